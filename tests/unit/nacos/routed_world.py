"""A Nacos service in a bottle whose lists follow rules: rules written by hand, clients on gRPC, over HTTP and with a UDP port."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from grpc_world import World

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.nacos.server.http import NacosHttp
from polaris_bridge.adapters.nacos.server.routes import ROUTES
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.polaris.service.routing.sources import ReadTargets, StandingServices
from polaris_bridge.core.model import Caller, Document, Location, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import SWITCH, DiscoveryRouting
from polaris_bridge.core.routing.model import NO_RULES, Condition, Group, Route, Rules, Source
from polaris_bridge.core.routing.ready import ReadyRules

KIND = "rule"
NAMESPACE = "default"
ORDERS, SHOP = ServiceKey(NAMESPACE, "orders"), ServiceKey(NAMESPACE, "shop")
_JAVA = ((b"user-agent", b"Nacos-Java-Client:v1.4.8"),)
PERSON = Caller("polaris", "10.9.9.9")


def to(version: str, **more: Any) -> Group:
    """The instances of a version."""
    return Group(version, (Condition("version", version),), **more)


def rule(*groups: Group, caller: str = "shop", **labels: str) -> Rules:
    """Calls of a service, and with these labels, go to these groups."""
    wanted = tuple(Condition(key, value) for key, value in labels.items())
    return Rules((Route("r", "r.s", (Source(NAMESPACE, caller, wanted),), groups),))


class Book:
    """Rules of services; a document of each tells that it changed."""

    kinds = frozenset({KIND})

    def __init__(self, registry: Registry) -> None:
        self._documents = registry.documents
        self._rules: dict[ServiceKey, Rules] = {}
        self._marks: dict[ServiceKey, int] = {}

    def revision(self) -> int:
        return self._documents.revision(KIND)

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        return self._marks.get(service, 0), lambda: self._rules.get(service, NO_RULES)

    def write(self, service: ServiceKey, rules: Rules) -> None:
        self._rules[service] = rules
        self._marks[service] = self._marks.get(service, 0) + 1
        self._documents.put(Document(KIND, service.name, targets=(service,)), PERSON)


class Routed(World):
    """``routing``: whether the listener routes every service."""

    def __init__(self, *, routing: bool = True) -> None:
        super().__init__(NacosSettings(routing=routing))

    def start(self) -> None:
        super().start()
        self.http = NacosHttp(self.service, ROUTES)
        self.packets: list[tuple[int, list[int]]] = []
        self.service.udp.attach(self._send)

    def parts(self) -> dict[str, Any]:
        self.book = Book(self.registry)
        standing = StandingServices(self.registry, ReadTargets(self.registry, {}))
        rules = ReadyRules(self.book, LinearSearch())
        self.located: dict[str, Location] = {}
        self.routing = DiscoveryRouting(
            self.registry, standing, rules, self.located.get, everywhere=self.settings.routing
        )
        return {"routing": self.routing}

    def _send(self, packet: bytes, _ip: str, port: int) -> None:
        found = json.loads(json.loads(packet)["data"])
        self.packets.append((port, sorted(host["port"] for host in found["hosts"])))

    def pushed(self) -> list[tuple[int, list[int]]]:
        """Where packets went since the last look, and the instances in each."""
        found, self.packets = self.packets, []
        return found

    # ------------------------------------------------------------------ what people do

    def write(self, rules: Rules = NO_RULES, service: ServiceKey = ORDERS) -> None:
        """Rules of a service, in place of those before."""
        self.book.write(service, rules)
        self.settle()

    def switch(self, word: str | None, service: ServiceKey = ORDERS) -> None:
        """What a service says itself of being routed."""
        record = ServiceRecord(service.namespace, service.name, {} if word is None else {SWITCH: word})
        self.registry.put_service(record, PERSON)
        self.settle()

    def two_versions(self, **more: Mapping[str, Any]) -> None:
        """Orders of two versions: v1 on port 1, v2 on port 2. ``more``: by version, what else is said of it."""
        for port, version in enumerate(("v1", "v2"), 1):
            said = {"metadata": {"version": version}} | dict(more.get(version, {}))
            self.client(f"10.0.1.{port}").register(port=port, **said)

    def get(self, path: str, peer: str = "10.0.0.7", **params: object) -> Any:
        """A GET over HTTP, to its end."""
        reply = self.http.handle(Request("GET", f"/nacos{path}", urlencode(params), _JAVA, b"", peer))
        got: list[Response] = []
        if isinstance(reply, Response):
            got.append(reply)
        else:
            reply.then(got.append)
        self.settle()
        assert got[0].status == 200, got[0]
        body = got[0].body
        return json.loads(body if isinstance(body, bytes) else b"".join(body))

    def listed(self, peer: str = "10.0.0.7", **params: object) -> Any:
        """The list of orders, as a client of the first generation asks for it."""
        return self.get("/v1/ns/instance/list", peer, serviceName="orders", **params)
