"""What gRPC clients are sent: everything by the names that they ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.listeners import api_listener, server_listener
from polaris_bridge.adapters.xds.translate.names import (
    OUTBOUND_ROUTES,
    dialled,
    grpc_routes,
    outbound,
    outbound_of,
    services_of,
)
from polaris_bridge.adapters.xds.translate.rules.subsets import NOBODY
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.core.model import ServiceKey

from .audiences import Reader
from .changes import Log
from .making import Maker
from .parts import Parts
from .services import Services, Turn

SHARED: Final = (types.ROUTES, types.CLUSTER, types.ASSIGNMENT)
MOST_ASKED: Final = 10_000
"""Names of listeners of one view whose comings and goings are followed."""
_SERVER: Final = "grpc/server?xds.resource.listening_address="
_NOTHING: Final[Mapping[str, Resource]] = MappingProxyType({})


class Calls:
    """What changes for all gRPC clients alike: whatever they dialled, routes, clusters and endpoints have the same names."""

    def __init__(self, services: Services, now: int) -> None:
        self.logs = {type_url: Log(now) for type_url in SHARED}
        self._services = services

    def follow(self, turns: Mapping[ServiceKey, Turn], now: int, *, anything: bool) -> list[str]:
        """What changed; which types that concerns. ``anything``: names may mean something else than before."""
        if anything:
            for log in self.logs.values():
                log.forget(now)
            return list(SHARED)
        names: dict[str, set[str]] = {type_url: set() for type_url in SHARED}
        for key, turn in turns.items():
            called = self._services.known(key)
            subsets = (*turn.subsets, *(() if called is None else called.subset_ids))
            if turn.existence:
                subsets = (*subsets, NOBODY.id)
            clusters = {outbound(key, subset) for subset in dict.fromkeys(subsets)}
            names[types.ASSIGNMENT] |= clusters
            if turn.shape or turn.existence:
                names[types.CLUSTER] |= clusters
                names[types.ROUTES].add(grpc_routes(key))
        for type_url, changed in names.items():
            self.logs[type_url].add(now, changed)
        return [type_url for type_url, changed in names.items() if changed]


class Dialling:
    """``adapters.xds.resources.View`` of gRPC clients."""

    def __init__(self, reader: Reader, services: Services, calls: Calls, parts: Parts, maker: Maker, now: int) -> None:
        self.reader = reader
        self._services = services
        self._parts = parts
        self._maker = maker
        self._logs = {types.LISTENER: Log(now), **calls.logs}
        self._asked: dict[str, None] = {}
        self._meaning: dict[str, dict[str, None]] = {}
        """By name of a service, in lower case: the names asked for that may mean one that is called so."""
        self._listeners: dict[str, Resource] = {}

    # ------------------------------------------------------------------ View

    def read(self, type_url: str, name: str, /) -> Resource | None:
        """One resource."""
        if type_url == types.LISTENER:
            return self._listener(name)
        if type_url == types.ROUTES:
            key = self._table_of(name)
            called = None if key is None else self._services.get(key)
            return None if called is None else self._parts.grpc_routes(called, self.reader.service)
        if type_url not in (types.CLUSTER, types.ASSIGNMENT):
            return None
        found = outbound_of(name, self._exists)
        called = None if found is None or self._services.target(found[0]) != found[0] else self._services.get(found[0])
        subset = None if called is None or found is None else called.subset(found[1])
        if called is None or subset is None:
            return None
        if type_url == types.CLUSTER:
            return self._parts.grpc_cluster(called, subset)
        return self._parts.assignment(called, subset, self.reader.place, rich=False)

    def all(self, _type_url: str, /) -> Mapping[str, Resource]:
        """gRPC clients ask by name."""
        return _NOTHING

    def stamp(self, type_url: str, /) -> int:
        """When something of a type last changed."""
        log = self._logs.get(type_url)
        return 0 if log is None else log.stamp

    def changed(self, type_url: str, since: int, /) -> frozenset[str] | None:
        """What changed since."""
        log = self._logs.get(type_url)
        return frozenset() if log is None else log.since(since)

    def ahead(self, type_url: str, names: Collection[str] | None, /) -> Work | None:
        """Large services are read in slices."""
        rich = False if type_url == types.ASSIGNMENT else None
        large = [key for key in self._keys(type_url, names or ()) if self._services.large(key, rich=rich)]
        return self._work(large, rich) if large else None

    def _work(self, keys: list[ServiceKey], rich: bool | None) -> Work:
        for key in keys:
            yield from self._services.read(key)
            called = self._services.get(key)
            if called is not None and rich is not None:
                yield from called.encode(rich=rich)
        return None

    def _keys(self, type_url: str, names: Collection[str]) -> Iterator[ServiceKey]:
        for name in names:
            if type_url == types.ROUTES:
                key = self._table_of(name)
            elif type_url in (types.CLUSTER, types.ASSIGNMENT):
                found = outbound_of(name, self._exists)
                key = None if found is None else found[0]
            else:
                continue
            if key is not None:
                yield key

    # ------------------------------------------------------------------ names

    def _exists(self, key: ServiceKey) -> bool:
        return self._services.target(key) is not None

    def _table_of(self, name: str) -> ServiceKey | None:
        prefix, bar, host = name.partition("|")
        if prefix != OUTBOUND_ROUTES or not bar:
            return None
        return next((key for key in self._targets(host) if grpc_routes(key) == name), None)

    def _targets(self, host: str) -> Iterator[ServiceKey]:
        for name in services_of(host):
            found = self._services.target(name) or self._services.target(self._services.spelling(name))
            if found is not None:
                yield found

    def _listener(self, name: str) -> Resource | None:
        if name.startswith(_SERVER):
            return self._server(name)
        host = dialled(name)
        if host is None:
            return None
        target = next(self._targets(host), None)
        self._remember(name, host)
        if target is None:
            return None
        found = self._listeners.get(name)
        if found is None:
            found = self._maker.make(types.LISTENER, name, api_listener(name, grpc_routes(target)), None)
            if found is not None and name in self._asked:
                self._listeners[name] = found
        return found

    def _server(self, name: str) -> Resource | None:
        """Where a gRPC server listens."""
        host, _, port = name.removeprefix(_SERVER).rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not int(port) < 65536:
            return None
        return self._maker.make(types.LISTENER, name, server_listener(name, host, int(port)), None)

    def _remember(self, name: str, host: str) -> None:
        """A name was asked for: it is told when something changes of what it may mean."""
        if len(self._asked) >= MOST_ASKED and name not in self._asked:
            self._forget(next(iter(self._asked)))
        self._asked[name] = None
        for key in services_of(host):
            self._meaning.setdefault(key.name.lower(), {})[name] = None

    def _forget(self, name: str) -> None:
        del self._asked[name]
        self._listeners.pop(name, None)
        for key in services_of(dialled(name) or ""):
            names = self._meaning.get(key.name.lower(), {})
            names.pop(name, None)
            if not names:
                self._meaning.pop(key.name.lower(), None)

    # ------------------------------------------------------------------ after a publication

    def follow(
        self, changed: Collection[str], turns: Mapping[ServiceKey, Turn], now: int, *, anything: bool
    ) -> list[str]:
        """``changed``: types in which something changed for all such clients; all types that changed. ``anything``: names may
        mean something else than before."""
        log = self._logs[types.LISTENER]
        if anything:
            self._listeners.clear()
            log.forget(now)
            return [types.LISTENER, *changed]
        names = {name for key, turn in turns.items() if turn.existence for name in self._turned(key.name.lower())}
        log.add(now, names)
        return [types.LISTENER, *changed] if names else [*changed]

    def _turned(self, key: str) -> list[str]:
        """The names asked for that may mean something else now."""
        found = []
        for name in list(self._meaning.get(key, ())):
            if name not in self._asked:
                del self._meaning[key][name]
                continue
            self._listeners.pop(name, None)
            found.append(name)
        if not self._meaning.get(key):
            self._meaning.pop(key, None)
        return found
