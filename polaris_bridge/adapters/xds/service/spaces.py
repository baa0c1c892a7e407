"""Which services callers in one namespace see, and what their names mean: its own, aliases, and what others export to it."""

from __future__ import annotations

from collections.abc import Iterator

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.core.model import ServiceKey

from .hosts import Hosts


class Space:
    """One namespace, as its callers see it."""

    def __init__(self, namespace: str, catalog: Catalog) -> None:
        self.namespace = namespace
        self.hosts = Hosts(namespace)
        self.shown: dict[ServiceKey, ServiceKey] = {}
        """By name: the service that is called."""
        self.names: dict[ServiceKey, dict[ServiceKey, None]] = {}
        """By service: its names."""
        self._catalog = catalog
        self._steps: Iterator[None] | None = self._fill()

    # ------------------------------------------------------------------ reading everything once

    @property
    def filled(self) -> bool:
        """Whether every name was looked at."""
        return self._steps is None

    def fill(self) -> Iterator[None]:
        """Look at every name; several may do it together. Yields where it may be interrupted."""
        while self._steps is not None:
            if next(self._steps, self) is self:
                self._steps = None
            else:
                yield

    def _fill(self) -> Iterator[None]:
        for home in self._catalog.namespaces():
            for record in list(self._catalog.names(home)):
                if home == self.namespace:
                    self.look(record.key)
                elif self._sees(record.key):
                    self.look(record.key)
                    self.look(ServiceKey(self.namespace, record.name))
                yield

    # ------------------------------------------------------------------ one name

    def look(self, name: ServiceKey) -> set[ServiceKey]:
        """Look at a name anew; the names of which something is different now."""
        record = self._catalog.record(name)
        sight = self._catalog.sight(name) if self._sees(name) else None
        target = None
        if sight is not None:
            target = sight.of.key if sight.sources == (sight.of.key,) else name
        before = self.shown.get(name)
        found: set[ServiceKey] = set()
        if target is not None:
            found = self.hosts.put(name, record.created_ms if record is not None else 0)
        if target == before:
            return found
        if before is not None:
            names = self.names[before]
            del names[name]
            if not names:
                del self.names[before]
        if target is None:
            del self.shown[name]
            return self.hosts.drop(name)
        self.shown[name] = target
        self.names.setdefault(target, {})[name] = None
        return {name, *found}

    def follow(self, changed: ServiceKey) -> set[ServiceKey]:
        """What a name stands for may be something else; the names of which something is different now."""
        found: set[ServiceKey] = set()
        for name in self.concerned(changed):
            found |= self.look(name)
        return found

    def concerned(self, changed: ServiceKey) -> set[ServiceKey]:
        """The names here that may mean what a name stands for."""
        homes = self._catalog.homes(changed.name)
        return {changed, ServiceKey(self.namespace, changed.name), *(ServiceKey(home, changed.name) for home in homes)}

    def look_again(self) -> set[ServiceKey]:
        """Exports of a namespace changed: look at every name that may mean something else now."""
        found: set[ServiceKey] = set()
        for home in self._catalog.namespaces():
            for record in list(self._catalog.names(home)):
                found |= self.look(record.key)
                if home != self.namespace:
                    found |= self.look(ServiceKey(self.namespace, record.name))
        return found

    def _sees(self, name: ServiceKey) -> bool:
        """Whether a name is one of this namespace, or exported to it."""
        if name.namespace == self.namespace:
            return True
        return self._catalog.exports(name, self.namespace)
