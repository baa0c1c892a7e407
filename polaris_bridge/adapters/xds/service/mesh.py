"""What an Envoy is sent: what all of its namespace are, and what it is alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.core.model import ServiceKey

from .audiences import Reader
from .beside import Beside
from .changes import Log
from .services import Turn
from .shelves import Shelf
from .spaces import Space
from .tables import Table

_NOTHING: Final[Mapping[str, Resource]] = MappingProxyType({})


class Mesh:
    """``adapters.xds.resources.View`` of Envoys."""

    def __init__(
        self, reader: Reader, space: Space, shelves: Mapping[str, Shelf], table: Table | None, beside: Beside
    ) -> None:
        """``table``: None for a gateway, whose table is its own."""
        self.reader = reader
        self.space = space
        self.shelves = shelves
        self.table = table
        self.beside = beside
        self._together: dict[str, tuple[Mapping[str, Resource], Mapping[str, Resource], Mapping[str, Resource]]] = {}

    def read(self, type_url: str, name: str, /) -> Resource | None:
        """One resource."""
        own = self.beside.all(type_url).get(name)
        if own is not None:
            return own
        shelf = self.shelves.get(type_url)
        if shelf is not None:
            return shelf.read(name)
        if self.table is None:
            return None
        if type_url == types.ROUTES and name == self.table.name:
            return self.table.read(self.reader.service)
        return self.table.host(name, self.reader.service) if type_url == types.VIRTUAL_HOST else None

    def all(self, type_url: str, /) -> Mapping[str, Resource]:
        """All of a type."""
        own = self.beside.all(type_url)
        shelf = self.shelves.get(type_url)
        shared = _NOTHING
        if shelf is not None:
            shared = shelf.all()
        elif type_url == types.ROUTES and self.table is not None:
            shared = {self.table.name: self.table.read(self.reader.service)}
        if not own or not shared:
            return shared or own
        known = self._together.get(type_url)
        if known is None or known[0] is not own or known[1] is not shared:
            known = self._together[type_url] = own, shared, MappingProxyType({**shared, **own})
        return known[2]

    def stamp(self, type_url: str, /) -> int:
        """When something of a type last changed."""
        return max((log.stamp for log in self._logs(type_url)), default=0)

    def changed(self, type_url: str, since: int, /) -> frozenset[str] | None:
        """What changed since."""
        found: set[str] = set()
        for log in self._logs(type_url):
            names = log.since(since)
            if names is None:
                return None
            found |= names
        return frozenset(found)

    def ahead(self, type_url: str, names: Collection[str] | None, /) -> Work | None:
        """What makes resources, in slices; None when it is not worth it."""
        shelf = self.shelves.get(type_url)
        if shelf is not None:
            own = self.beside.all(type_url)
            return shelf.ahead(None if names is None else [name for name in names if name not in own])
        if self.table is None or type_url not in (types.ROUTES, types.VIRTUAL_HOST):
            return None
        if type_url == types.ROUTES and names is not None and self.table.name not in names:
            return None
        return self.table.ahead()

    def _logs(self, type_url: str) -> list[Log]:
        found = [self.beside.logs[type_url]] if type_url in self.beside.logs else []
        shelf = self.shelves.get(type_url)
        if shelf is not None:
            found.append(shelf.log)
        if self.table is not None and type_url == types.ROUTES:
            found.append(self.table.log)
        if self.table is not None and type_url == types.VIRTUAL_HOST:
            found.append(self.table.hosts_log)
        return found

    def follow(self, changed: Collection[str], turns: Mapping[ServiceKey, Turn], now: int) -> set[str]:
        """``changed``: types that changed in what it shares with others; all types that changed."""
        return {*changed, *self.beside.follow(turns, now)}
