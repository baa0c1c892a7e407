"""One Eureka listener in a bottle: HTTP requests as values, a clock turned by hand, a store in memory that survives restarts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.eureka.server import EurekaServer
from polaris_bridge.adapters.eureka.service import EurekaService
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.core.model import (
    Caller,
    Lease,
    Registration,
    RegistrationKey,
    ServiceKey,
    Switch,
)
from polaris_bridge.core.ports import Authority, OpenDoor
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

START_MS = 1_700_000_000_000
UNPROTECTED = Terms(protection=ProtectionTerms(enabled=False))
STRANGER = Caller("other", "127.0.0.1")
MY_OWN = {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"}

Json = dict[str, Any]


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms

    def move(self, seconds: float) -> None:
        self.now_s += seconds
        self.now_ms += round(seconds * 1000)


class Queue:
    """What is to run soon; timers never come due, the test ticks by hand."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        raise AssertionError("nothing in these tests watches")

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()

    def step(self) -> bool:
        """Run one; False when there is none."""
        if self._soon:
            self._soon.popleft()()
        return bool(self._soon)


class Answer:
    """Status, headers and body of one response."""

    def __init__(self, response: Response) -> None:
        self.status = response.status
        self.headers = {name.decode().lower(): value.decode() for name, value in response.headers}
        self.body = response.body if isinstance(response.body, bytes) else b"".join(response.body)

    @property
    def json(self) -> Json:
        tree: Json = json.loads(self.body)
        return tree

    @property
    def instance(self) -> Json:
        return self.json["instance"]  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:200]!r}"


def document(app: str = "ORDERS", id: str | None = "i1", **members: Any) -> Json:
    """An instance document as clients send it."""
    found: Json = {
        "instanceId": id, "hostName": "host-1", "app": app, "ipAddr": "10.0.0.1", "status": "UP",
        "port": {"$": 8080, "@enabled": "true"}, "dataCenterInfo": MY_OWN, "lastDirtyTimestamp": "100",
    }  # fmt: skip
    return {k: v for k, v in (found | members).items() if v is not None}


class LoneServer:
    """The listener with words for what Eureka clients do."""

    def __init__(
        self,
        settings: EurekaSettings | None = None,
        terms: Terms = UNPROTECTED,
        authority: Authority | None = None,
        routing: Callable[[Registry], DiscoveryRouting] | None = None,
    ) -> None:
        self.settings = settings or EurekaSettings()
        self.terms = terms
        self.authority = authority or OpenDoor()
        self._routing = routing
        self.clock = Clock()
        self.store = MemoryStore(post=lambda run: run(), unique=lambda: "node-1")
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.queue = Queue()
        self.registry = Registry(self.store, self.clock, self.queue, self.terms)
        self.registry.load()
        routing = None if self._routing is None else self._routing(self.registry)
        self.service = EurekaService(self.registry, self.settings, self.authority, routing)
        self.server = EurekaServer(self.service)

    # ------------------------------------------------------------------ requests

    def ask(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None, settle: bool = True
    ) -> Answer:
        """One request; its answer when the store has taken what it wrote."""
        path, _, query = target.partition("?")
        fields = {"accept": "application/json"} | dict(headers or {})
        raw = [(name.encode(), value.encode("latin-1")) for name, value in fields.items() if value]
        reply = self.server.handle(Request(method, path, query, raw, body, "10.9.9.9"))
        if isinstance(reply, Response):
            if settle:
                self.queue.settle()
            return Answer(reply)
        found: list[Response] = []
        reply.then(found.append)
        self.queue.settle()
        assert len(found) == 1, "answered once"
        return Answer(found[0])

    def ask_later(self, method: str, target: str, tree: object) -> list[Response]:
        """One request with a JSON body; its answer appears in the list when it is there."""
        raw = [(b"content-type", b"application/json")]
        reply = self.server.handle(Request(method, target, "", raw, json.dumps(tree).encode(), "10.9.9.9"))
        found: list[Response] = []
        if isinstance(reply, Response):
            found.append(reply)
        else:
            reply.then(found.append)
        return found

    def register(self, app: str = "ORDERS", id: str | None = "i1", base: str = "/eureka", **members: Any) -> Answer:
        replicated = members.pop("replicated", False)
        return self.post(f"{base}/apps/{quote(app)}", {"instance": document(app, id, **members)}, replicated=replicated)

    def post(self, target: str, tree: object, *, replicated: bool = False, **headers: str) -> Answer:
        fields = {"content-type": "application/json"} | headers
        if replicated:
            fields["x-netflix-discovery-replication"] = "true"
        return self.ask("POST", target, json.dumps(tree).encode(), fields)

    def renew(self, app: str = "ORDERS", id: str = "i1", query: str = "", *, replicated: bool = False) -> Answer:
        fields = {"x-netflix-discovery-replication": "true"} if replicated else {}
        return self.ask("PUT", f"/eureka/apps/{app}/{id}{query and '?' + query}", headers=fields)

    def batch(self, *items: Json) -> list[Json]:
        answer = self.post("/eureka/peerreplication/batch/", {"replicationList": items})
        assert answer.status == 200, answer
        return answer.json["responseList"]  # type: ignore[no-any-return]

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def one(self, app: str = "ORDERS", id: str = "i1") -> Json:
        """By id; it is there."""
        answer = self.get(f"/eureka/apps/{app}/{id}")
        assert answer.status == 200, answer
        return answer.instance

    def statuses(self, base: str = "/eureka") -> dict[tuple[str, str], str]:
        """(app, id) -> status of the full list, whose hash code fits."""
        applications = self.get(f"{base}/apps").json["applications"]
        found = {key: i["status"] for key, i in instances(applications)}
        assert applications["apps__hashcode"] == hash_of(found.values())
        return found

    def delta(self, base: str = "/eureka") -> dict[tuple[str, str], str]:
        """(app, id) -> action type."""
        return {key: i["actionType"] for key, i in instances(self.get(f"{base}/apps/delta").json["applications"])}

    def version(self, base: str = "/eureka") -> int:
        """versions__delta, a string in JSON."""
        version = self.get(f"{base}/apps/delta").json["applications"]["versions__delta"]
        assert isinstance(version, str)
        return int(version)

    # ------------------------------------------------------------------ other protocols, time

    def foreign(self, source: str = "nacos", key: str = "k1", **members: Any) -> Registration:
        """Another protocol registers something."""
        fields: dict[str, Any] = {
            "service": "orders", "host": "10.0.0.1", "port": 8080, "namespace": "default",
            "liveness": Lease(5_000, 15_000, 0),
        } | members  # fmt: skip
        r = Registration(source=source, key=key, **fields)
        self.registry.register(r, STRANGER)
        self.queue.settle()
        return r

    def forget(self, r: Registration | RegistrationKey) -> None:
        self.registry.deregister(r.id if isinstance(r, Registration) else r, STRANGER)
        self.queue.settle()

    def switch(self, r: Registration, source: str = "nacos", key: str = "", *, on: bool = True) -> None:
        """An operator's withdrawal through another protocol."""
        where = ServiceKey(r.namespace, r.service)
        self.registry.switch(where, r.address, Switch(source, key, "out_of_service"), STRANGER, on=on)
        self.queue.settle()

    def beat(self, *registrations: Registration) -> None:
        for r in registrations:
            self.registry.renew(r.id)
        self.queue.settle()

    def tick(self) -> None:
        self.registry.tick()
        self.queue.settle()
        self.service.sweep()

    def pass_time(self, seconds: float, *keep: Callable[[], object]) -> None:
        """Time passes with a tick each second; ``keep`` is called before each."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end - 1e-9:
            for call in keep:
                call()
            self.clock.move(min(1.0, end - self.clock.now_s))
            self.tick()


class JavaClient:
    """A client's copy of the registry: one full fetch, then deltas; a mismatch of the hash code is an error here."""

    def __init__(self, server: LoneServer, base: str = "/eureka") -> None:
        self._server = server
        self._base = base
        self.copy: dict[tuple[str, str], Json] = {}
        self.version = 0
        self.hash = ""
        self.stale = False
        """Whether the server was restarted since the last poll: what left before that nobody can tell by a delta."""
        self.fetch()

    def fetch(self) -> None:
        applications = self._server.get(f"{self._base}/apps").json["applications"]
        self.copy = dict(instances(applications))
        self.hash = applications["apps__hashcode"]
        assert self.hash == hash_of(i["status"] for i in self.copy.values())

    def poll(self) -> None:
        """Apply a delta as the Java client does; its hash code must be that of the result."""
        applications = self._server.get(f"{self._base}/apps/delta").json["applications"]
        version = int(applications["versions__delta"])
        assert version > 0
        assert version >= self.version, "versions grow"
        before = {key: _stable(i) for key, i in self.copy.items()}
        for key, instance in instances(applications):
            if instance["actionType"] == "DELETED":
                self.copy.pop(key, None)
            else:
                self.copy[key] = instance
        if {key: _stable(i) for key, i in self.copy.items()} != before:
            assert (version, applications["apps__hashcode"]) != (self.version, self.hash), "py client would skip it"
        self.version, self.hash = version, applications["apps__hashcode"]
        stale, self.stale = self.stale, False
        if stale and self.hash != hash_of(i["status"] for i in self.copy.values()):
            self.fetch()
        assert self.hash == hash_of(i["status"] for i in self.copy.values()), "mismatch: a full fetch by every client"


def instances(applications: Json) -> Iterator[tuple[tuple[str, str], Json]]:
    """Every instance of a list document under (app, id); none stands there twice."""
    seen = set()
    for application in applications["application"]:
        for instance in application["instance"]:
            key = (application["name"], instance.get("instanceId") or instance["hostName"])
            assert key not in seen, f"{key} is listed twice"
            assert instance["app"] == application["name"]
            seen.add(key)
            yield key, instance


def hash_of(statuses: Any) -> str:
    """apps__hashcode, counted naively."""
    words = list(statuses)
    return "".join(f"{word}_{words.count(word)}_" for word in sorted(set(words)))


def _stable(instance: Json) -> Json:
    """Without what renewals move."""
    return {k: v for k, v in instance.items() if k not in ("leaseInfo", "actionType", "lastUpdatedTimestamp")}
