"""Which aliases a service has."""

from __future__ import annotations

from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry


class References:
    """The aliases of one registry. Made when it is loaded. What is kept may be outdated: it is looked up again in the newest
    state before it counts."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._aliases: dict[ServiceKey, dict[ServiceKey, None]] = {}
        for snapshot in registry:
            if snapshot.record is not None and snapshot.record.reference is not None:
                self.expect(snapshot.key, snapshot.record.reference)
        registry.observe(self._published)

    def any(self, service: ServiceKey) -> bool:
        """Whether a service has an alias in the newest state."""
        ledger = self._registry.ledger
        for alias in self._aliases.get(service, ()):
            record = ledger.service(alias).record
            if record is not None and record.reference == service:
                return True
        return False

    def expect(self, alias: ServiceKey, service: ServiceKey) -> None:
        """An alias of a service is on its way to the store."""
        self._aliases.setdefault(service, {})[alias] = None

    def _published(self, published: Published) -> None:
        for key in published.services:
            record = self._registry.snapshot(key).record
            if record is None:
                self._aliases.pop(key, None)  # a service that is gone had none, or they lead nowhere
            elif record.reference is not None:
                self.expect(key, record.reference)
