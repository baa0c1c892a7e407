"""A Nacos HTTP port in a bottle with the routes of every generation, and clients that are connected over gRPC beside it."""

from __future__ import annotations

from typing import Any

from grpc_world import Call, Link
from http_bottle import Answer, HttpBottle, Json

from polaris_bridge.adapters.nacos.server.http import NacosHttp
from polaris_bridge.adapters.nacos.server.routes import ROUTES
from polaris_bridge.adapters.nacos.service.connections import Connection, Setup
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.service.subscribers import GRPC, Subscriber
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.wire.messages import Instance
from polaris_bridge.core.model import Caller

CALLER = Caller("nacos", "10.9.9.9")
IP, PORT = "10.0.0.1", 8080


class Everything(HttpBottle):
    """The port with words for what operators do. ``v2`` and ``v3`` return ``data`` of an answer that is a success."""

    def __init__(self, settings: NacosSettings | None = None) -> None:
        super().__init__(settings)
        self.http = NacosHttp(
            self.service,
            ROUTES,
            observe=lambda operation, status, _: self.seen.append((operation, status)),
            heartbeat=self.beats.append,
        )

    def call(self, method: str, path: str, /, **params: object) -> Answer:
        """One call below the context path."""
        return self.ask(method, f"/nacos{path}", params)

    def data(self, method: str, path: str, /, **params: object) -> Json:
        """``data`` of an envelope that says success."""
        answer = self.call(method, path, **params)
        assert answer.status == 200, answer
        assert list(answer.json) == ["code", "message", "data"]
        assert (answer.json["code"], answer.json["message"]) == (0, "success"), answer
        return answer.json["data"]

    def refused(self, method: str, path: str, /, **params: object) -> tuple[int, int, str, Json]:
        """Status, code, message and data of an envelope that says no success."""
        answer = self.call(method, path, **params)
        assert answer.headers["content-type"] == "application/json", answer
        return answer.status, answer.json["code"], answer.json["message"], answer.json["data"]

    def objected(self, method: str, path: str, /, **params: object) -> str:
        """The plain text of an objection to a parameter."""
        answer = self.call(method, path, **params)
        assert answer.status == 400, answer
        assert answer.headers["cache-control"] == "no-cache,no-store"
        assert answer.text.endswith("\r\n")
        return answer.text.rstrip("\r\n")

    # ------------------------------------------------------------------ beside HTTP

    def scope(self, service: str = "orders", space: str = "public", group: str = "") -> Scope:
        return self.service.scope(space, service, group)

    def connect(self, host: str = "10.0.0.7", port: int = 40_001, **labels: str) -> Connection:
        """A gRPC client."""
        stream = Call(Link(host, port), "/BiRequestStream/requestBiStream")
        said = {"source": "sdk", "module": "naming", "AppName": "shop"} | labels
        return self.service.connections.set_up(stream, Setup("Nacos-Java-Client:v2.5.1", "public", said))

    def publish(self, connection: Connection, *instances: Instance, service: str = "orders") -> None:
        """It registers a set."""
        assert connection.held is not None
        self.service.registering.batch(self.scope(service), instances, CALLER, connection.held)
        self.timers.settle()

    def subscribe(self, client: str, ip: str, port: int, service: str = "orders", **members: Any) -> None:
        """Somebody subscribes."""
        found = Subscriber(client, members.pop("kind", GRPC), ip, port, **members)
        self.service.subscribers.add(self.scope(service), found)


def instance(ip: str = IP, port: int = PORT, **members: Any) -> Instance:
    return Instance(ip, port, **members)
