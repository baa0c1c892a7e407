"""Clusters and assignments of everything that callers in one namespace see, shared by all Envoys that are told the same."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.names import outbound, outbound_of
from polaris_bridge.adapters.xds.translate.rules.labels import ENVOY
from polaris_bridge.adapters.xds.translate.rules.subsets import NOBODY, WHOLE, Subset
from polaris_bridge.core.model import ServiceKey

from .called import Called
from .changes import Log
from .services import Services, Turn
from .spaces import Space

Make = Callable[[Called, Subset], Resource | None]
FEW: Final = 50
"""Resources up to which making them is not worth slices."""


class Shelf:
    """One type of resources, of which each service has one, and one for each part that its rules choose."""

    def __init__(
        self, space: Space, services: Services, make: Make, log: Log, fixed: Mapping[str, Resource], *, encodes: bool
    ) -> None:
        """``fixed``: those that are of no service; ``encodes``: whether endpoints have to be encoded for it."""
        self.log = log
        self._space = space
        self._services = services
        self._make = make
        self._fixed = fixed
        self._encodes = encodes
        self._names: dict[ServiceKey, tuple[str, ...]] | None = None
        """By service: the names of its resources; None until somebody wants all of them."""
        self._built: dict[str, Resource] = dict(fixed)
        self._all: Mapping[str, Resource] | None = None
        self._stale: dict[ServiceKey, None] = {}
        self._made: dict[ServiceKey, None] = {}
        """Services whose resources were made ahead, for somebody who asks by name, and are as they were."""

    # ------------------------------------------------------------------ reading

    def read(self, name: str) -> Resource | None:
        """One resource."""
        fixed = self._fixed.get(name)
        if fixed is not None:
            return fixed
        found = outbound_of(name, self._sees)
        if found is None or not self._sees(found[0]):
            return None
        called = self._services.get(found[0])
        subset = None if called is None else called.subset(found[1])
        return None if called is None or subset is None else self._make(called, subset)

    def all(self) -> Mapping[str, Resource]:
        """All of them."""
        for _ in self._fill():
            pass
        if self._all is None:
            self._all = MappingProxyType(dict(self._built))
        return self._all

    def ahead(self, names: Collection[str] | None) -> Work | None:
        """What makes them, in slices; None when it is not worth it."""
        if names is None:
            if not self._space.filled or self._names is None or len(self._stale) > FEW:
                return self._work(None)
            return self._work(None) if any(map(self._large, self._stale)) else None
        found = (outbound_of(name, self._sees) for name in names)
        keys = [each[0] for each in found if each is not None and each[0] not in self._made]
        return self._work(keys) if len(keys) > FEW or any(map(self._large, keys)) else None

    def _large(self, key: ServiceKey) -> bool:
        return self._services.large(key, rich=True if self._encodes else None)

    def _work(self, keys: Collection[ServiceKey] | None) -> Work:
        if keys is None:
            yield from self._fill()
            return None
        for key in keys:
            yield from self._prepare(key)
            called = self._services.get(key)
            if called is not None:
                self._make(called, WHOLE)
            self._made[key] = None
            yield
        return None

    def _prepare(self, key: ServiceKey) -> Iterator[None]:
        yield from self._services.read(key)
        called = self._services.known(key)
        if called is not None and self._encodes and not called.encoded(rich=True):
            yield from called.encode(rich=True)

    def _fill(self) -> Iterator[None]:
        """Everything that is missing."""
        yield from self._space.fill()
        if self._names is None:
            self._names = {}
            self._stale = dict.fromkeys(self._space.names)
        while self._stale:
            key = next(iter(self._stale))
            yield from self._prepare(key)
            self._stale.pop(key, None)
            self._enter(key)
            yield

    def _enter(self, key: ServiceKey) -> None:
        """Make what a service has now, and forget what it has no more."""
        assert self._names is not None
        before = self._names.pop(key, ())
        names: dict[str, Subset] = {}
        called = self._services.get(key) if key in self._space.names else None
        if called is not None:
            parts = [part for part in called.subsets(ENVOY) if part.exact is None]
            names = {outbound(key, part.id): part for part in (WHOLE, *parts)}
            for name, part in names.items():
                made = self._make(called, part)
                if made is not None:
                    self._built[name] = made
                else:
                    self._built.pop(name, None)
            self._names[key] = tuple(names)
        for name in before:
            if name not in names:
                self._built.pop(name, None)
        self._all = None

    def _sees(self, key: ServiceKey) -> bool:
        if key not in self._space.names and not self._space.filled:
            self._space.look(key)
        return key in self._space.names

    # ------------------------------------------------------------------ after a publication

    def follow(self, turns: Mapping[ServiceKey, Turn], shown: Collection[ServiceKey], now: int) -> bool:
        """What changed, and which services came into sight or left it; whether that concerns this."""
        names: set[str] = set()
        unsure = False
        for key in {*turns, *shown}:
            if key not in self._space.names and key not in (self._names or {}) and key not in shown:
                continue
            turn = turns.get(key)
            if turn is not None and not self._encodes and not turn.shape and not turn.existence:
                continue
            self._made.pop(key, None)
            called = self._services.known(key)
            if called is None and self._names is not None and key in self._space.names:
                unsure |= self._services.large(key)
                called = None if unsure else self._services.get(key)
            if called is not None and (turn is None or turn.shape or turn.existence):
                called.subsets(ENVOY)  # those of which it has a name from now on
            came = (NOBODY.id,) if turn is None or turn.existence or key in shown else ()
            ids = (*(("",) if turn is None else turn.subsets), *(() if called is None else called.subset_ids), *came)
            names |= {outbound(key, id) for id in dict.fromkeys(ids)}
            if self._names is not None:
                names.update(self._names.get(key, ()))
                self._stale[key] = None
                self._all = None
        if unsure:
            self.log.forget(now)  # what it has parts of is known when it is read
        else:
            self.log.add(now, names)
        return bool(names)
