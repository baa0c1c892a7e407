"""Which services have an instance at an address: for names that are asked backwards. Followed only once somebody asked."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry


class HostIndex:
    """By namespace and host: the services there, each with its number of addresses."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._at: dict[tuple[str, str], dict[str, int]] = {}
        self._waiting: set[ServiceKey] = set()
        """While looking: the services that will be looked at as they will be then."""
        self._looking = False
        self.ready = False
        """Whether ``services_at`` is cheap; else ``look`` should have run."""
        registry.observe(self._published)

    def look(self) -> Generator[None, None, None]:
        """Look at every service once. Yields in between; changes meanwhile are followed."""
        if self.ready or self._looking:
            return
        self._looking = True
        self._waiting = {snapshot.key for snapshot in self._registry.services()}
        while self._waiting:
            service = self._waiting.pop()
            for address in self._registry.snapshot(service).addresses.values():
                if address.registrations:
                    self._count(service, address.host, 1)
            yield
        self.ready, self._looking = True, False

    def services_at(self, namespace: str, host: str) -> Iterable[str]:
        """The names of the services that have an instance at a host, written as it was registered."""
        if not self.ready:
            for _ in self.look():
                pass
        return sorted(self._at.get((namespace, host), ()))

    def _count(self, service: ServiceKey, host: str, more: int) -> None:
        here = self._at.setdefault((service.namespace, host), {})
        here[service.name] = here.get(service.name, 0) + more
        if here[service.name] <= 0:
            del here[service.name]
            if not here:
                del self._at[service.namespace, host]

    def _published(self, published: Published) -> None:
        if not self.ready and not self._looking:
            return
        for change in published.changes:
            if change.service in self._waiting:
                continue
            before = change.before is not None and bool(change.before.registrations)
            after = change.after is not None and bool(change.after.registrations)
            if before != after:
                self._count(change.service, change.address.host, 1 if after else -1)
