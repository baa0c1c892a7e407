"""A made-up fleet of Spring-shaped instances: their documents, as Python and as wrk scripts write them, and seeding a server.

Instance ``n`` belongs to application ``n // per_app``, has its own host, address and URLs, and five metadata pairs of which one
is its own. Leases last an hour, so that nothing expires under a benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from plain_http import Answer, Connection

DIRTY_MS = 1_790_000_000_000
BATCH_PATH = "/eureka/peerreplication/batch/"
BATCH = 250
"""Registrations in one call of peer replication, as real servers send them."""

_DOCUMENT = json.dumps(
    {
        "instanceId": "@HOST@:@NAME@:8080",
        "hostName": "@HOST@",
        "app": "@APP@",
        "ipAddr": "@IP@",
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "securePort": {"$": 443, "@enabled": "false"},
        "countryId": 1,
        "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
        "leaseInfo": {
            "renewalIntervalInSecs": 30,
            "durationInSecs": 3600,
            "registrationTimestamp": 0,
            "lastRenewalTimestamp": 0,
            "evictionTimestamp": 0,
            "serviceUpTimestamp": 0,
        },
        "metadata": {
            "management.port": "8081",
            "management.context-path": "/manage",
            "version": "3.14.2",
            "zone": "eu-central-1b",
            "pod": "@NAME@-6f9c7d5b8-@N@",
        },
        "homePageUrl": "http://@HOST@:8080/",
        "statusPageUrl": "http://@HOST@:8081/manage/actuator/info",
        "healthCheckUrl": "http://@HOST@:8081/manage/actuator/health",
        "vipAddress": "@NAME@",
        "secureVipAddress": "@NAME@",
        "isCoordinatingDiscoveryServer": "false",
        "lastUpdatedTimestamp": "@DIRTY@",
        "lastDirtyTimestamp": "@DIRTY@",
    },
    separators=(",", ":"),
)

REGISTER_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json, application/*+json",
    "Accept-Encoding": "gzip, x-gzip, deflate",
    "User-Agent": "Java-EurekaClient/v2.0.4",
    "DiscoveryIdentity-Name": "DefaultClient",
    "DiscoveryIdentity-Version": "1.4",
}
"""What Spring's client sends with every call."""


@dataclass(frozen=True)
class Instance:
    """One instance's names."""

    n: int
    name: str
    host: str
    ip: str

    @property
    def app(self) -> str:
        """The application as paths spell it."""
        return self.name.upper()

    @property
    def id(self) -> str:
        """The instance's id."""
        return f"{self.host}:{self.name}:8080"

    def document(self, dirty_ms: int = DIRTY_MS) -> str:
        """The instance without the ``instance`` member around it."""
        text = _DOCUMENT.replace("@HOST@", self.host).replace("@NAME@", self.name).replace("@APP@", self.app)
        return text.replace("@IP@", self.ip).replace("@N@", f"{self.n:06d}").replace("@DIRTY@", str(dirty_ms))

    def body(self, dirty_ms: int = DIRTY_MS) -> str:
        """The body of a registration."""
        return f'{{"instance":{self.document(dirty_ms)}}}'


@dataclass(frozen=True)
class Fleet:
    """``size`` instances in applications of ``per_app``. Fleets of different ``label`` share no name."""

    size: int
    per_app: int = 100
    label: str = "orders"

    def __getitem__(self, n: int) -> Instance:
        return Instance(
            n,
            f"{self.label}-service-{n // self.per_app:04d}",
            f"node-{n:06d}.{self.label}.prod.internal",
            f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}",
        )

    def __iter__(self) -> Iterator[Instance]:
        return (self[n] for n in range(self.size))

    def lua(self) -> str:
        """Lua functions ``app(n)``, ``id(n)`` and ``body(n, dirty)`` with the same names, and the fleet's ``size``."""
        return _LUA % {
            "document": json.dumps(f'{{"instance":{_DOCUMENT}}}').replace(r"\u0040", "@"),
            "label": json.dumps(self.label),
            "per_app": self.per_app,
            "size": self.size,
        }

    def seed(self, connection: Connection, path: str = BATCH_PATH) -> None:
        """Write the whole fleet through the API, in batches. Raises ``RuntimeError`` when a batch is refused."""
        for start in range(0, self.size, BATCH):
            items = [_item(self[n]) for n in range(start, min(start + BATCH, self.size))]
            answer = _replicate(connection, path, items)
            refused = answer.body.count(b"statusCode") - answer.body.count(b'"statusCode":20')
            if answer.status != 200 or refused:
                raise RuntimeError(f"a batch of registrations got {answer.status}, {refused} items refused")


def cancel(connection: Connection, members: Sequence[tuple[str, str]], path: str = BATCH_PATH) -> None:
    """End registrations, given as (application, id), in batches. Those that are gone already do not matter."""
    for start in range(0, len(members), BATCH):
        items = [f'{{"appName":"{app}","id":"{id}","action":"Cancel"}}' for app, id in members[start : start + BATCH]]
        _replicate(connection, path, items)


def _replicate(connection: Connection, path: str, items: Sequence[str]) -> Answer:
    return connection.call("POST", path, REGISTER_HEADERS, f'{{"replicationList":[{",".join(items)}]}}'.encode())


def _item(instance: Instance) -> str:
    head = f'{{"appName":"{instance.app}","id":"{instance.id}","lastDirtyTimestamp":{DIRTY_MS},"status":"UP"'
    return f'{head},"action":"Register","instanceInfo":{instance.document()}}}'


_LUA = """
local document, label, size = %(document)s, %(label)s, %(size)d
local function name(n) return string.format("%%s-service-%%04d", label, math.floor(n / %(per_app)d)) end
local function host(n) return string.format("node-%%06d.%%s.prod.internal", n, label) end
local function app(n) return string.upper(name(n)) end
local function id(n) return host(n) .. ":" .. name(n) .. ":8080" end
local function body(n, dirty)
  local values = {
    HOST = host(n), NAME = name(n), APP = app(n), N = string.format("%%06d", n), DIRTY = dirty,
    IP = string.format("10.%%d.%%d.%%d", math.floor(n / 65536) %% 256, math.floor(n / 256) %% 256, n %% 256),
  }
  return (string.gsub(document, "@(%%u+)@", values))
end
"""
