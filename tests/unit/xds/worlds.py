"""A registry in a bottle with the world that xDS clients see of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import structs

from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.adapters.polaris.service.rules.kinds import Kind
from polaris_bridge.adapters.polaris.service.rules.writing import Rules
from polaris_bridge.adapters.polaris.wire.json import decode_list
from polaris_bridge.adapters.xds.node import ENVOY, GRPC, Node
from polaris_bridge.adapters.xds.resources import Resource, View
from polaris_bridge.adapters.xds.service.world import RegistryWorld
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.encoding import message_type
from polaris_bridge.core.model import Caller, Location, Registration, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

CALLER = Caller("test")
GRPC_NODE = Node(id="n", kind=GRPC)
ENVOY_NODE = Node(id="sidecar~default/pod-1~10.0.0.1", kind=ENVOY)


class Clock:
    """Moves only when told."""

    now_ms = 1_700_000_000_000

    def monotonic(self) -> float:
        return 1000.0

    def wall_ms(self) -> int:
        self.now_ms += 1
        return self.now_ms


class Queue:
    """What is to run soon."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing here waits for a timer."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class Numbers:
    """Ids that count."""

    def __init__(self) -> None:
        self._last = 0

    def unique(self) -> str:
        self._last += 1
        return f"{self._last:032x}"


class Reported:
    """``Reports`` that keeps what it is told."""

    def __init__(self) -> None:
        self.problems: list[tuple[str, str, str]] = []

    def problem(self, view: View | None, type_url: str, name: str, text: str, /) -> None:
        self.problems.append((type_url, name, text))


class Bottle:
    """The registry, and its world."""

    def __init__(self, governance: Callable[[Registry], Governance] | None = None) -> None:
        self.queue = Queue()
        store = MemoryStore(post=lambda run: run(), unique=lambda: "node-1")
        self.registry = Registry(store, Clock(), self.queue, Terms())
        self.registry.load()
        self.reported = Reported()
        rules = None if governance is None else governance(self.registry)
        self.rules = Rules(self.registry, Numbers())
        self.world = RegistryWorld(self.registry, self.reported, rules)
        self.told: list[tuple[View, set[str]]] = []
        self.world.observe(lambda view, changed: self.told.append((view, set(changed))))

    def put(self, service: str, host: str, port: int = 8080, namespace: str = "default", **more: Any) -> None:
        """Register an instance."""
        key = f"{service}/{host}:{port}"
        registration = Registration("test", namespace, key, service, host, port, **more)
        self.registry.register(registration, CALLER)
        self.queue.settle()

    def rule(self, kind: Kind, rule: Any) -> None:
        """Write a rule as a console does, or change the one with its id."""
        found = decode_list(kind.message, json.dumps([rule]).encode())
        id = rule.get("id", "")
        exists = bool(id) and self.registry.documents.get(kind.name, id) is not None
        write = self.rules.update if exists else self.rules.create
        outcome = write(kind, found, Caller("polaris"))
        self.queue.settle()
        codes = [each.code.value for each in getattr(outcome.response, "responses", ())]
        assert codes == [200000], outcome.response

    def unrule(self, kind: Kind, id: str) -> None:
        """Delete a rule."""
        self.registry.documents.delete(kind.name, id, CALLER)
        self.queue.settle()

    def end(self, service: str, host: str, port: int = 8080, namespace: str = "default") -> None:
        """Deregister it."""
        from polaris_bridge.core.model import RegistrationKey

        self.registry.deregister(RegistrationKey("test", namespace, f"{service}/{host}:{port}"), CALLER)
        self.queue.settle()

    def record(self, name: str, namespace: str = "default", **more: Any) -> None:
        """Make or change a service's record."""
        known = self.registry.snapshot(ServiceKey(namespace, name)).record
        record = structs.replace(known, **more) if known else ServiceRecord(namespace, name, **more)
        self.registry.put_service(record, CALLER)
        self.queue.settle()

    def drop(self, name: str, namespace: str = "default") -> None:
        """Delete a service."""
        self.registry.delete_service(ServiceKey(namespace, name), CALLER)
        self.queue.settle()


def node(kind: str = ENVOY, metadata: Mapping[str, str] | None = None, **more: Any) -> Node:
    """A node of a kind."""
    return Node(id="n", kind=kind, metadata=metadata or {}, **more)


def decoded(type_url: str, resource: Resource | None) -> Any:
    """A resource as its message."""
    from google.protobuf.any_pb2 import Any as Packed

    assert resource is not None
    packed = Packed.FromString(resource.packed)
    assert packed.type_url == type_url
    return message_type(type_url).FromString(packed.value)


def endpoints(view: View, name: str) -> list[tuple[str, int, int, int]]:
    """Host, health, weight and priority of the endpoints of an assignment."""
    found = decoded(types.ASSIGNMENT, view.read(types.ASSIGNMENT, name))
    return [
        (
            each.endpoint.address.socket_address.address,
            each.health_status,
            each.load_balancing_weight.value,
            locality.priority,
        )
        for locality in found.endpoints
        for each in locality.lb_endpoints
    ]


def somewhere(region: str = "", zone: str = "", campus: str = "") -> Location:
    """A place."""
    return Location(region, zone, campus)


def changed_types(told: Collection[tuple[View, set[str]]], view: View) -> set[str]:
    """Everything that a view was told to have changed."""
    return {type_url for each, changed in told if each is view for type_url in changed}
