"""Who the clients are, what they publish and what they subscribe to: look-ups for operators.

A gRPC client is its connection and has its id. A client over HTTP is the instance it registers, ``ip:port#true`` when that is
ephemeral and ``ip:port#false`` when it is persistent; one that listens for UDP pushes is ``ip:port#true`` of that port. Ids and
members as on Nacos 2.5.1 and 3.x.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.translate.keys import EPHEMERAL, PERSISTENT, SOURCE, connection_of
from polaris_bridge.adapters.nacos.translate.names import Spaces, split
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, PUBLIC, Refused
from polaris_bridge.core.model import AddressKey, Registration, ServiceKey
from polaris_bridge.core.registry import Registry

if TYPE_CHECKING:
    from .connections import Connection, Connections
    from .scope import Scope
    from .subscribers import Subscriber, Subscribers

_BY_ADDRESS: Final = re.compile(r"(?P<ip>.*):(?P<port>\d{1,5})#(?P<ephemeral>true|false)\Z")
_MODULE: Final = "naming"
_STRIDE: Final = 500
"""Addresses looked at before somebody else may have a turn."""


class Client(Struct, frozen=True, gc=False):
    """One client."""

    id: str
    ephemeral: bool
    updated_ms: int
    """Wall-clock time of the last sign of life."""
    ip: str
    port: int
    connected: bool
    """Whether it is a connection; else it is known by an address."""
    version: str = ""
    app: str = ""


class Published(Struct, frozen=True, gc=False):
    """One instance that a client publishes."""

    client_id: str
    namespace_id: str
    group: str
    name: str
    ip: str
    port: int
    cluster: str


class Subscribed(Struct, frozen=True, gc=False):
    """One subscription of a client."""

    client_id: str
    namespace_id: str
    group: str
    name: str
    ip: str
    port: int
    app: str
    agent: str

    @property
    def address(self) -> str:
        """``ip:port``."""
        return f"{self.ip}:{self.port}"


class Counts(Struct, frozen=True, gc=False):
    """How many clients there are, by kind."""

    connections: int = 0
    ephemeral: int = 0
    persistent: int = 0

    @property
    def all(self) -> int:
        """Of every kind."""
        return self.connections + self.ephemeral + self.persistent


class Clients:
    """The clients of one server."""

    def __init__(self, registry: Registry, spaces: Spaces, connections: Connections, subscribers: Subscribers) -> None:
        self._registry = registry
        self._spaces = spaces
        self._connections = connections
        self._subscribers = subscribers

    # ------------------------------------------------------------------ clients

    def ids(self) -> Generator[None, None, list[str]]:
        """Of all clients. Yields where it may be interrupted: it looks at every registration."""
        found = {connection.id: None for connection in self._naming()}
        looked = 0
        for snapshot in self._registry.services():
            for address in list(snapshot.addresses.values()):
                for r in address.registrations:
                    if r.source == SOURCE and r.key.startswith((EPHEMERAL, PERSISTENT)):
                        found[_client_of(r)] = None
                looked += 1
                if looked % _STRIDE == 0:
                    yield
        for id in self._subscribers.clients():
            if _BY_ADDRESS.match(id):
                found[id] = None
        return list(found)

    def counts(self) -> Generator[None, None, Counts]:
        """How many clients there are. Yields where it may be interrupted."""
        ids = yield from self.ids()
        ephemeral = sum(id.endswith("#true") for id in ids)
        persistent = sum(id.endswith("#false") for id in ids)
        return Counts(len(ids) - ephemeral - persistent, ephemeral, persistent)

    def one(self, id: str) -> Client:
        """Raises ``Refused`` (404) when there is none."""
        connection = self._connections.get(id)
        if connection is not None:
            clock = self._registry.clock
            silent_ms = round((clock.monotonic() - connection.active) * 1000)
            return Client(
                id, True, clock.wall_ms() - silent_ms, connection.host, connection.port, True, connection.version,
                connection.app or "-",
            )  # fmt: skip
        updated = [self._registry.last_renewed_ms(r) for r in self._registrations(id)]
        match = _BY_ADDRESS.match(id)
        if match is None or not (updated or self._subscribers.by(id)):
            raise Refused(404, codes.RESOURCE_NOT_FOUND, f"clientId [ {id} ] not exist")
        updated_ms = max(updated, default=self._registry.clock.wall_ms())
        return Client(id, match["ephemeral"] == "true", updated_ms, match["ip"], int(match["port"]), False)

    def published(self, id: str) -> list[Published]:
        """What a client publishes. Raises ``Refused`` (404) when there is no such client."""
        found = [self._published(r) for r in self._registrations(id)]
        if not found:
            self.one(id)
        return found

    def subscribed(self, id: str) -> list[Subscribed]:
        """What a client subscribes to. Raises ``Refused`` (404) when there is no such client."""
        self.one(id)
        return [_subscribed(scope, found) for scope, found in self._subscribers.by(id)]

    # ------------------------------------------------------------------ services

    def publishers(self, service: ServiceKey, ip: str = "", port: int | None = None) -> list[Published]:
        """Who publishes a service, at an address or anywhere."""
        return [
            self._published(r)
            for place, address in self._registry.snapshot(service).addresses.items()
            if ip in ("", place.host) and port in (None, place.port)
            for r in address.registrations
            if r.source == SOURCE
        ]

    def subscribed_to(self, scope: Scope, ip: str = "", port: int | None = None) -> list[Subscribed]:
        """Who subscribes to a service, from an address or anywhere."""
        return [
            _subscribed(scope, found)
            for found in self._subscribers.of(scope)
            if ip in ("", found.ip) and port in (None, found.port)
        ]

    # ------------------------------------------------------------------ pieces

    def _naming(self) -> Iterator[Connection]:
        """Connections of naming clients; those of configuration clients publish nothing and are not listed."""
        return (c for c in self._connections if c.labels.get("module", _MODULE) == _MODULE)

    def _registrations(self, id: str) -> Iterator[Registration]:
        connection = self._connections.get(id)
        if connection is not None:
            held = connection.held
            for service, keys in list(held.published.items()) if held is not None else ():
                yield from self._held(service, keys)
            return
        match = _BY_ADDRESS.match(id)
        if match is None:
            return
        place = AddressKey(match["ip"], int(match["port"]))
        begin = EPHEMERAL if match["ephemeral"] == "true" else PERSISTENT
        for snapshot in self._registry.services():
            address = snapshot.addresses.get(place)
            for r in address.registrations if address is not None else ():
                if r.source == SOURCE and r.key.startswith(begin):
                    yield r

    def _held(self, service: ServiceKey, keys: Iterable[str]) -> Iterator[Registration]:
        wanted = set(keys)
        for address in self._registry.snapshot(service).addresses.values():
            for r in address.registrations:
                if r.source == SOURCE and r.key in wanted:
                    yield r

    def _published(self, r: Registration) -> Published:
        group, name = _named(r)
        return Published(
            _client_of(r), self._spaces.id(r.namespace), group, name, r.host, r.port, r.cluster or DEFAULT_CLUSTER
        )


def _subscribed(scope: Scope, found: Subscriber) -> Subscribed:
    return Subscribed(
        found.client,
        scope.namespace_id or PUBLIC,
        scope.group,
        scope.name,
        found.ip,
        found.port,
        found.app,
        found.agent,
    )


def _client_of(r: Registration) -> str:
    """The id of the client that made a registration."""
    if r.key.startswith(EPHEMERAL):
        return f"{r.host}:{r.port}#true"
    if r.key.startswith(PERSISTENT):
        return f"{r.host}:{r.port}#false"
    return connection_of(r.key)


def _named(r: Registration) -> tuple[str, str]:
    """Group and service, which stand in the key: ``e|group@@name|ip|port`` or ``connection|group@@name|ip|port|cluster``."""
    _, _, rest = r.key.partition("|")
    grouped, *_ = rest.rpartition(f"|{r.host}|{r.port}")
    return split(grouped)
