"""Discovery in a bottle: what readers ask, in words of tests."""

from __future__ import annotations

import json
from typing import Any

from bottle import CALLER
from native import Native

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.eureka.translate import Marks, lift, native_pairs
from polaris_bridge.adapters.eureka.wire.messages import MY_OWN, InstanceInfo, LeaseInfo, Port
from polaris_bridge.adapters.polaris.service.discovery import Delivered, Discovering, Later
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, NamespaceRecord, ServiceKey, ServiceRecord, Switch
from polaris_bridge.core.terms import Terms

INSTANCE, SERVICES, ROUTING = v1.DiscoverRequest.INSTANCE, v1.DiscoverRequest.SERVICES, v1.DiscoverRequest.ROUTING
ORDERS = ServiceKey("default", "orders")
NOTHING = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


def request(type: int, name: str | None = None, namespace: str | None = None, revision: str | None = None) -> Any:
    """A request; without any name it has no service at all."""
    found = v1.DiscoverRequest(type=type)
    for field, value in (("name", name), ("namespace", namespace), ("revision", revision)):
        if value is not None:
            getattr(found.service, field).value = value
    return found


def eureka_info(app: str = "ORDERS", **fields: Any) -> InstanceInfo:
    """What a Spring application sends."""
    given: dict[str, Any] = {
        "instance_id": "host:orders:8080", "host_name": "host", "ip_addr": "10.0.0.1", "port": Port(8080, True),
        "secure_port": Port(443, False), "data_center": MY_OWN, "lease": LeaseInfo(30, 90),
        "metadata": {"management.port": "9090", "internal-register-from": "forged"}, "vip_address": app.lower(),
        "health_check_url": "http://host:9090/actuator/health",
    } | fields  # fmt: skip
    return InstanceInfo(app=app, **given)


class Reader(Native):
    """A native server's reading side, fed by native and other clients."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.rules: dict[tuple[int, ServiceKey], Delivered] = {}
        super().__init__(terms)

    def restart(self) -> None:
        """Another process on the same store."""
        super().restart()
        self.discovering = self.another()

    def another(self) -> Discovering:
        """A second reading side on the same registry, which knows nothing yet."""
        return Discovering(self.registry, {"eureka": native_pairs}, self._deliver)

    def _deliver(self, type: int, asked: ServiceKey, target: ServiceKey) -> Delivered:
        return self.rules.get((type, target), Delivered("", v1.DiscoverResponse()))

    def ask(self, *what: Any, of: Discovering | None = None, **named: Any) -> v1.DiscoverResponse:
        """What a gRPC client gets."""
        asked = what[0] if isinstance(what[0], v1.DiscoverRequest) else request(*what, **named)
        return v1.DiscoverResponse.FromString(self._arrived((of or self.discovering).discover(asked, CALLER)))

    def ask_json(self, asked: v1.DiscoverRequest) -> tuple[int, Any]:
        """What an HTTP client gets."""
        found = self._arrived(self.discovering.discover_json(asked, CALLER))
        return found.code, json.loads(found.body if isinstance(found.body, bytes) else b"".join(found.body))

    def _arrived(self, found: Any) -> Any:
        if not isinstance(found, Later):
            return found
        answers: list[Any] = []
        found.then(answers.append)
        self.queue.settle()
        [answer] = answers
        return answer

    def instances(self, name: str = "orders", namespace: str = "default") -> dict[str, v1.Instance]:
        """The instances of a service by id; none is there twice."""
        answer = self.ask(INSTANCE, name, namespace)
        found = {m.id.value: m for m in answer.instances}
        assert len(found) == len(answer.instances)
        return found

    def revision(self, name: str = "orders", namespace: str = "default") -> str:
        """The revision that INSTANCE answers."""
        return self.ask(INSTANCE, name, namespace).service.revision.value

    def eureka(self, info: InstanceInfo | None = None, *, word: str = "up", replicated: bool = False) -> None:
        """An Eureka client registers."""
        info = info or eureka_info()
        marks = Marks(replicated=replicated)
        self.registry.register(
            lift(info, "default", info.app.lower(), word, marks, EurekaSettings()), Caller("eureka"), exact=False
        )
        self.queue.settle()

    def service(self, record: ServiceRecord) -> None:
        """An operator writes a service."""
        self.registry.put_service(record, CALLER)
        self.queue.settle()

    def namespace(self, record: NamespaceRecord) -> None:
        """An operator writes a namespace."""
        self.registry.put_namespace(record, CALLER)
        self.queue.settle()

    def switch(self, source: str, key: str = "", *, on: bool = True) -> None:
        """An operator withdraws the usual address, or gives it back."""
        self.registry.switch(*self.place, Switch(source, key, "out_of_service"), CALLER, on=on)
        self.queue.settle()
