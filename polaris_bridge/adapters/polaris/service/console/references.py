"""Which aliases a service has."""

from __future__ import annotations

from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry


class References:
    """Found once when somebody first asks, then kept in step. What is kept may be outdated, so it is looked up again in the
    newest state before it counts."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._aliases: dict[ServiceKey, dict[ServiceKey, None]] | None = None

    def any(self, service: ServiceKey) -> bool:
        """Whether a service has an alias in the newest state."""
        ledger = self._registry.ledger
        for alias in self._known().get(service, ()):
            record = ledger.service(alias).record
            if record is not None and record.reference == service:
                return True
        return False

    def expect(self, alias: ServiceKey, service: ServiceKey) -> None:
        """An alias of a service is on its way to the store."""
        self._known().setdefault(service, {})[alias] = None

    def _known(self) -> dict[ServiceKey, dict[ServiceKey, None]]:
        if self._aliases is None:
            self._aliases = {}
            for snapshot in self._registry:
                if snapshot.record is not None and snapshot.record.reference is not None:
                    self._aliases.setdefault(snapshot.record.reference, {})[snapshot.key] = None
            self._registry.observe(self._published)
        return self._aliases

    def _published(self, published: Published) -> None:
        known = self._known()
        for key in published.services:
            record = self._registry.snapshot(key).record
            if record is None:
                known.pop(key, None)  # a service that is gone had none, or they lead nowhere
            elif record.reference is not None:
                known.setdefault(record.reference, {})[key] = None
