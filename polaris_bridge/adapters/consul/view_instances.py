"""Nodes, instances and services as Consul's readers see them, each with its encoded forms, made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from polaris_bridge.core.model import AddressKey, Registration, ServiceKey

from .translate.keys import SOURCE, NodeKey
from .translate.shown import worst
from .wire.shapes import (
    CheckShape,
    NodeShape,
    ServiceShape,
    Weights,
    catalog_json,
    encode,
    instance_json,
    service_json,
)

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class NodeView(Struct, frozen=True):
    """A node with its checks."""

    key: NodeKey
    shape: NodeShape
    checks: tuple[CheckShape, ...]
    status: str
    """The worst of its checks."""
    json: bytes
    checks_json: tuple[bytes, ...]
    maintained: bool = False
    """Whether all of it is in maintenance."""


At = tuple[ServiceKey, AddressKey]
"""A service of the core and an address in it."""


class Instance:
    """One instance. Its encoded forms are made when they are asked for."""

    __slots__ = (
        "_catalog",
        "_health",
        "_plain",
        "at",
        "checks",
        "node",
        "order",
        "places",
        "registration",
        "service",
        "status",
        "weighed",
    )

    def __init__(
        self, node: NodeView, service: ServiceShape, checks: list[CheckShape], registration: Registration | None
    ) -> None:
        """``registration``: None for the server itself."""
        self.node = node
        self.service = service
        self.checks = checks
        """Its own ones."""
        self.status = worst((node.status, *(check.status for check in checks)))
        """The worst of its own and its node's checks."""
        self.registration = registration
        self.at: At | None = None
        """Where it stands in its service, when it is a part of one."""
        self.weighed = False
        """Whether its weights are a rule's."""
        self.places: dict[str, Any] | None = None
        """What names (DNS) make of it, by domain."""
        self.order = (node.shape.node.lower(), service.id.lower())
        self._health: bytes | None = None
        self._catalog: bytes | None = None
        self._plain: tuple[dict[str, Any] | None, dict[str, Any] | None] = (None, None)

    def weighing(self, weights: Weights) -> Instance:
        """The same with other weights, which are a rule's."""
        made = Instance(self.node, structs.replace(self.service, weights=weights), self.checks, self.registration)
        made.weighed = True
        return made

    @property
    def health(self) -> bytes:
        """``{"Node", "Service", "Checks"}``."""
        if self._health is None:
            checks = [*self.node.checks_json, *map(encode, self.checks)]
            self._health = instance_json(self.node.json, service_json(self.service), checks)
        return self._health

    @property
    def catalog(self) -> bytes:
        """``CatalogService``."""
        if self._catalog is None:
            self._catalog = catalog_json(self.node.shape, self.service)
        return self._catalog

    @property
    def health_plain(self) -> dict[str, Any]:
        """``health`` as plain values, for filters."""
        health, catalog = self._plain
        if health is None:
            health = _decode(self.health)
            self._plain = health, catalog
        return health

    @property
    def catalog_plain(self) -> dict[str, Any]:
        """``catalog`` as plain values."""
        health, catalog = self._plain
        if catalog is None:
            catalog = _decode(self.catalog)
            self._plain = health, catalog
        return catalog


class Listing:
    """Instances of one service, by node and id, with the lists that are made of them."""

    __slots__ = ("_bodies", "_records", "_sorted", "encoded", "name")

    def __init__(self, name: str, instances: list[Instance] | None = None) -> None:
        self.name = name
        """In its own spelling, for lists."""
        self.encoded: set[str] = set()
        """The variants of lists for which every instance was encoded once."""
        self._sorted = instances
        self._bodies: dict[str, bytes] = {}
        self._records: Any = None

    @property
    def instances(self) -> list[Instance]:
        """By node and id. Not to be changed; another list after each change."""
        if self._sorted is None:
            self._sorted = self._in_order()
        return self._sorted

    @property
    def tags(self) -> tuple[str, ...]:
        """Every tag of every instance, once."""
        return tuple(dict.fromkeys(tag for instance in self.instances for tag in instance.service.tags))

    def body(self, variant: str, make: Callable[[list[Instance]], bytes]) -> bytes:
        """A list of the service, encoded once per change."""
        found = self._bodies.get(variant)
        if found is None:
            found = self._bodies[variant] = make(self.instances)
        return found

    def records(self, make: Callable[[list[Instance]], Any]) -> Any:
        """What somebody derives from the instances (DNS), made once per change."""
        if self._records is None:
            self._records = make(self.instances)
        return self._records

    def _in_order(self) -> list[Instance]:
        return []


class ServiceView(Listing):
    """A service as it is now, all of it."""

    __slots__ = ("_at", "_unit", "keys", "own", "weights")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._at: dict[At, tuple[Instance, ...]] = {}
        self._unit = 100
        self.keys: dict[ServiceKey, None] = {}
        """The services of the core that it is made of, the spellings of one name."""
        self.own = 0
        """How many of the instances are registrations of Consul's clients."""
        self.weights: dict[int, int] = {}
        """The weights of the others, each with how many have it."""

    @property
    def size(self) -> int:
        """How many addresses it has."""
        return len(self._at)

    def _in_order(self) -> list[Instance]:
        return sorted((i for here in self._at.values() for i in here), key=lambda i: i.order)

    def _put(self, at: At, instances: tuple[Instance, ...]) -> None:
        for instance in self._at.get(at, ()):
            self._count(instance, -1)
        for instance in instances:
            instance.at = at
            self._count(instance, 1)
        if instances:
            self._at[at] = instances
            self.keys[at[0]] = None
        else:
            self._at.pop(at, None)
        self._sorted = self._records = None
        self._bodies.clear()

    def _count(self, instance: Instance, more: int) -> None:
        r = instance.registration
        if r is None:
            return
        if r.source == SOURCE:
            self.own += more
            return
        left = self.weights.get(r.weight, 0) + more
        if left:
            self.weights[r.weight] = left
        else:
            del self.weights[r.weight]


def joined(items: Iterable[bytes]) -> bytes:
    """A JSON list of encoded items."""
    return b"[" + b",".join(items) + b"]"
