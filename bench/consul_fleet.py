"""Made-up Consul services and the calls about them, and the servers that get them: ours, and the real agent that the environment
names.

Checks have a TTL of an hour, so that nothing expires under a benchmark.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge import Bridge, pin_process
from measure import SERVER_CORE
from nacos_fleet import Server
from plain_http import Connection

HEADERS = {
    "Accept-Encoding": "gzip",
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Go-http-client/1.1",
}
"""What the Go client sends with every call."""
PLAIN = {name: value for name, value in HEADERS.items() if name != "Accept-Encoding"}
"""The same of a client that takes no compressed answers."""
REGISTER = "/v1/agent/service/register"


@dataclass(frozen=True)
class ConsulFleet:
    """``size`` instances of one service. Fleets of different ``subnet`` share no address."""

    service: str
    size: int
    subnet: int = 0

    def id(self, n: int) -> str:
        """The id of one."""
        return f"{self.service}-{n:05d}"

    def host(self, n: int) -> str:
        """The address of one."""
        return f"10.{160 + self.subnet}.{n >> 8 & 255}.{n & 255}"

    def registration(self, n: int, version: str = "1.0.0") -> str:
        """Body of a PUT: five pairs, two tags, one check."""
        meta = {
            "pod": f"{self.service}-6f9c7d5b8-{n:06d}", "stage": "prod", "version": version, "zone": "eu-central-1b",
            "management_port": "8081",
        }  # fmt: skip
        document = {
            "ID": self.id(n), "Name": self.service, "Tags": ["http", "prod"], "Port": 8080, "Address": self.host(n),
            "Meta": meta, "Check": {"TTL": "3600s", "Status": "passing"}, "Checks": None,
        }  # fmt: skip
        return json.dumps(document, separators=(",", ":"))

    def beat(self, n: int) -> str:
        """Target of a PUT: its check passes."""
        return f"/v1/agent/check/pass/service:{self.id(n)}"

    @property
    def listing(self) -> str:
        """Target of a GET."""
        return f"/v1/health/service/{self.service}"

    def register(self, connection: Connection, n: int, version: str = "1.0.0") -> None:
        """RuntimeError when it is refused."""
        answer = connection.call("PUT", REGISTER, HEADERS, self.registration(n, version).encode())
        if answer.status != 200:
            raise RuntimeError(f"a registration got {answer.status} {answer.body[:200]!r}")

    def seed(self, base: str) -> None:
        """Register all."""
        with Connection(base) as connection:
            for n in range(self.size):
                self.register(connection, n)

    def clear(self, base: str) -> None:
        """Deregister all."""
        with Connection(base) as connection:
            for n in range(self.size):
                connection.call("PUT", f"/v1/agent/service/deregister/{self.id(n)}", HEADERS)


def index(connection: Connection, target: str) -> int:
    """The index of a read. RuntimeError when it has none."""
    answer = connection.call("GET", target, HEADERS)
    found = answer.header("X-Consul-Index")
    if answer.status != 200 or not found:
        raise RuntimeError(f"{target} got {answer.status} {answer.body[:200]!r}")
    return int(found)


def blocking(host: str, target: str, since: int, wait: str = "600s") -> bytes:
    """A read that waits for something newer, as bytes on the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Host": host, **PLAIN}.items())
    return f"GET {target}?index={since}&wait={wait} HTTP/1.1\r\n{lines}\r\n".encode()


def peer_server() -> Server | None:
    """The agent at ``PEER_CONSUL`` (``http://host:8500``); ``PEER_CONSUL_PID`` is its process when it runs here, which is then
    pinned as ours is."""
    url, pid = os.environ.get("PEER_CONSUL"), os.environ.get("PEER_CONSUL_PID")
    if not url:
        return None
    where = urlsplit(url if "//" in url else f"http://{url}")
    if pid:
        pin_process(int(pid), SERVER_CORE)
    return Server(f"{where.scheme}://{where.netloc}", int(pid) if pid else None)


def dns_of(server: Server) -> tuple[str, int]:
    """Where a server answers names: a peer 100 above its HTTP port, as 8600 is above 8500, or at ``PEER_CONSUL_DNS``."""
    if server.bridge is not None:
        host, _, port = server.bridge.dns.rpartition(":")
        return host, int(port)
    where = urlsplit(server.base)
    host, _, port = os.environ.get("PEER_CONSUL_DNS", f"{where.hostname}:{(where.port or 8500) + 100}").rpartition(":")
    return host, int(port)


@contextmanager
def filled(*fleets: ConsulFleet, others: Sequence[ConsulFleet] = ()) -> Iterator[list[Server]]:
    """Our server, and the peer when there is one, with the fleets in them. The peer loses them again, and ``others``."""
    peer = peer_server()
    with Bridge() as bridge:
        servers = [Server(f"http://{bridge.consul}", bridge.pid, bridge), *([peer] if peer else [])]
        try:
            for server in servers:
                for fleet in fleets:
                    fleet.seed(server.base)
            yield servers
        finally:
            for fleet in (*fleets, *others) if peer else ():
                fleet.clear(peer.base)
