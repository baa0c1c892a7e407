"""Native instances in a bottle: what SDKs say, in words of tests."""

from __future__ import annotations

from typing import Any

from bottle import CALLER, Bottle

from polaris_bridge.adapters.polaris.service.heartbeats import Heartbeats
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.translate.shown import instances
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import AddressKey, Caller, Lease, Registration, ServiceKey
from polaris_bridge.core.terms import Terms

OK = 200000
HOST, PORT = "10.0.0.1", 8080
BEATING = {"type": 1, "heartbeat": {"ttl": {"value": 5}}}
ID = instance_id("default", "orders", HOST, PORT)
PLACE = {"service": "orders", "namespace": "default", "host": HOST, "port": PORT}


def instance(**fields: Any) -> v1.Instance:
    """An instance as SDKs send it: plain values become wrappers, None leaves a field out."""
    given = PLACE | fields
    plain = {k: v if isinstance(v, dict) else {"value": v} for k, v in given.items() if v is not None}
    return v1.Instance(**plain)


def named(id: str) -> v1.Instance:
    """An instance by its id alone."""
    return v1.Instance(id={"value": id})


class Native(Bottle):
    """The registering part of the service."""

    def __init__(self, terms: Terms | None = None, settings: PolarisSettings | None = None) -> None:
        self.settings = settings or PolarisSettings()
        super().__init__(terms)

    def restart(self) -> None:
        """Another process on the same store."""
        super().restart()
        self.index = InstanceIndex(self.registry)
        self.registering = Registering(self.registry, self.settings, self.index)
        self.heartbeats = Heartbeats(self.registry, self.settings, self.index, self.registering)

    def register(self, message: v1.Instance | None = None, **fields: Any) -> Any:
        """RegisterInstance; the answer."""
        return self.answer(self.registering.register(message or instance(**fields), CALLER))

    def deregister(self, message: v1.Instance | None = None, **fields: Any) -> Any:
        """DeregisterInstance; the answer."""
        return self.answer(self.registering.deregister(message or instance(**fields), CALLER))

    def beat(self, message: v1.Instance | None = None, **fields: Any) -> int:
        """Heartbeat; its code."""
        code: int = self.answer(self.registering.heartbeat(message or instance(**fields), CALLER)).code.value
        return code

    def foreign(self, source: str = "nacos", key: str = "k1", **fields: Any) -> Registration:
        """Another protocol registers something."""
        given: dict[str, Any] = {
            "namespace": "default", "service": "orders", "host": HOST, "port": PORT, "liveness": Lease(5_000, 15_000, 0),
        } | fields  # fmt: skip
        r = Registration(source=source, key=key, **given)
        self.registry.register(r, Caller(source))
        self.queue.settle()
        return r

    def shown(self, service: str = "orders", namespace: str = "default") -> dict[str, Any]:
        """What native readers see of a service, by id; no id is there twice."""
        found: dict[str, Any] = {}
        for address in self.registry.snapshot(ServiceKey(namespace, service)).addresses.values():
            for _, message in instances(address, {}, discovered=False):
                assert message.id.value not in found
                found[message.id.value] = message
        return found

    def health(self, service: str = "orders", namespace: str = "default") -> dict[str, tuple[bool, bool]]:
        """(healthy, isolated) by id."""
        return {id: (m.healthy.value, m.isolate.value) for id, m in self.shown(service, namespace).items()}

    @property
    def place(self) -> tuple[ServiceKey, AddressKey]:
        """Where instances of these tests are unless they say otherwise."""
        return ServiceKey("default", "orders"), AddressKey(HOST, PORT)
