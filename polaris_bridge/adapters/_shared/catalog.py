"""Which services there are, and which ones a name means to a reader: aliases, other spellings, visibility over namespaces.

Kept in step with what is published, so that looking a name up again costs a comparison of ``generation``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry

EVERYWHERE: Final = "*"
"""In ``export_to``: every namespace."""


class Sight(Struct, frozen=True, gc=False):
    """What a reader finds under a name. ``of`` is the service whose attributes are shown, the target if the name is an alias;
    ``sources`` are the services whose instances are shown, ``of`` first when it is one of them."""

    of: ServiceRecord
    sources: tuple[ServiceKey, ...]


class Catalog:
    """The records of all services. Made when the registry is loaded."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._caseless = registry.terms.caseless
        self._records: dict[str, dict[str, ServiceRecord]] = {}
        """By namespace and name."""
        self._homes: dict[str, dict[str, None]] = {}
        """The namespaces that have a service of a name."""
        self.generation = 0
        """Moves with every change of a service's record, or of a namespace's."""
        self.namespace_generation = 0
        """The same for namespaces alone."""
        self.followers: list[Callable[[ServiceKey], None]] = []
        """Told of every service whose record changed."""
        for snapshot in registry:
            if snapshot.record is not None:
                self._enter(snapshot.key, snapshot.record)
        registry.observe(self._published)

    def record(self, key: ServiceKey) -> ServiceRecord | None:
        """One service."""
        return self._records.get(key[0], {}).get(key[1])

    def names(self, namespace: str) -> Iterator[ServiceRecord]:
        """The services of a namespace, aliases included."""
        return iter(self._records.get(namespace, {}).values())

    def homes(self, name: str) -> list[str]:
        """The namespaces that have a service of a name."""
        return list(self._homes.get(name, ()))

    def has(self, namespace: str) -> bool:
        """Whether a namespace has services."""
        return namespace in self._records

    def namespaces(self) -> list[str]:
        """The namespaces that have services."""
        return list(self._records)

    def target(self, key: ServiceKey) -> ServiceKey:
        """The service that a name means: that of the name, or what it is an alias of; the name itself when there is none."""
        found = self._resolve(key)
        return key if found is None else found.key

    def sight(self, key: ServiceKey) -> Sight | None:
        """What a reader in namespace ``key.namespace`` finds under a name; None when it finds nothing.

        Services of the same name in other namespaces are found too when they, or their namespaces, are exported there.
        """
        own = self._resolve(key)
        found: dict[ServiceKey, ServiceRecord] = {} if own is None else {own.key: own}
        for home in sorted(self._homes.get(key.name, ())):
            if home != key.namespace and self.exports(ServiceKey(home, key.name), key.namespace):
                record = self._resolve(ServiceKey(home, key.name))
                if record is not None:
                    found[record.key] = record
        if not found:
            return None
        return Sight(own or next(iter(found.values())), tuple(found))

    def exports(self, key: ServiceKey, namespace: str) -> bool:
        """Whether readers in another namespace find a service, or an alias, of this one under its name too."""
        record = self.record(key)
        if record is None:
            return False
        home = self._registry.ledger.namespaces.get(key.namespace)
        shown_in = (*record.export_to, *(home.export_to if home is not None else ()))
        return EVERYWHERE in shown_in or namespace in shown_in

    def _resolve(self, key: ServiceKey) -> ServiceRecord | None:
        """The record under a name; of an alias that of its target, one step and no further. None when that is missing."""
        record = self.record(key) or self._other_spelling(key)
        if record is None or record.reference is None:
            return record
        target = self.record(record.reference)
        return target if target is not None and target.reference is None else None

    def _other_spelling(self, key: ServiceKey) -> ServiceRecord | None:
        if key.name != key.name.lower():
            return None
        for other in self._registry.same_name(*key):
            record = self.record(other)
            if record is not None and any(
                r.source in self._caseless
                for address in self._registry.snapshot(other).addresses.values()
                for r in address.registrations
            ):
                return record
        return None

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        if published.namespaces:
            self.generation += 1
            self.namespace_generation += 1
        for key in published.services:
            record = self._registry.snapshot(key).record
            if record is self.record(key):
                continue
            self.generation += 1
            if record is None:
                self._leave(key)
            else:
                self._enter(key, record)
            for follower in self.followers:
                follower(key)

    def _enter(self, key: ServiceKey, record: ServiceRecord) -> None:
        self._records.setdefault(key.namespace, {})[key.name] = record
        self._homes.setdefault(key.name, {})[key.namespace] = None

    def _leave(self, key: ServiceKey) -> None:
        records, homes = self._records[key.namespace], self._homes[key.name]
        del records[key.name], homes[key.namespace]
        if not records:
            del self._records[key.namespace]
        if not homes:
            del self._homes[key.name]
