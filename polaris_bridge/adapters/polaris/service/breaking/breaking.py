"""Circuit breaking of one server: rules, breakers, probes and ejections, put together."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.settings import BreakingSettings
from polaris_bridge.core.breaking.breakers import Breakers, Standing
from polaris_bridge.core.breaking.detecting import Detector
from polaris_bridge.core.breaking.ejecting import Ejector
from polaris_bridge.core.breaking.model import Told
from polaris_bridge.core.events import Published
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.limiting.deciding import Gates
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.model import AddressKey, Caller, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.model import ANY

from .sources import KINDS, StoredBreakers, StoredDetects

SECOND_MS: Final = 1000


class BreakingCounters(Struct):
    """What happened since the start, for metrics."""

    told: int = 0
    """Results that callers told."""
    malformed: int = 0
    """Reports that could not be read."""
    too_many: int = 0
    """Reports of callers that told too much."""


class CircuitBreaking:
    """What native readers' breakers do for themselves, done for everybody."""

    def __init__(self, registry: Registry, settings: BreakingSettings, probes: HealthEngine | None) -> None:
        """``probes`` makes probes; None: nobody does."""
        self.counters = BreakingCounters()
        self._registry = registry
        self.ejector = Ejector(registry, settings.terms.percent)
        self.breakers = Breakers(
            StoredBreakers(registry), LinearSearch(), registry.clock, settings.terms, self.ejector.moved
        )
        self.ejector.follow(self.breakers)
        self._detects = StoredDetects(registry)
        self.probes = probes
        self.detector = None if probes is None else Detector(registry, probes, self._detects, self.breakers)
        self._gates = Gates()
        self._allowance = (Allowance(settings.results_per_second, SECOND_MS),)
        self._changed: dict[ServiceKey, None] = {}
        """Services whose rules may have changed; with ``*``: any."""
        registry.observe(self._published)
        if self.detector is not None:
            self.detector.review()

    def room_for(self, voice: str, results: int) -> bool:
        """Whether a caller may tell so much more just now."""
        return self._gates.take(voice, self._allowance, results, self._registry.clock.wall_ms()).allowed

    def tell(self, told: Told) -> list[Standing]:
        """Calls were made. The resources that they count for, as they stand now."""
        self.counters.told += 1
        return self.breakers.tell(told)

    def release(self, service: ServiceKey, place: AddressKey, caller: Caller) -> bool:
        """An operator lets calls go to an instance again. Whether they had stopped."""
        return self.ejector.release(service, place, caller)

    def sweep(self) -> None:
        """Once a second."""
        self.breakers.tick()
        self._gates.sweep(self._registry.clock.wall_ms())

    # ------------------------------------------------------------------ pieces

    def _published(self, published: Published) -> None:
        concerned = [change for change in published.documents if change.kind in KINDS]
        for change in concerned:
            if change.after is None:
                self._detects.forget(change.id)
        targets = [
            target for change in concerned for kept in (change.before, change.after) if kept for target in kept.targets
        ]
        if targets:
            if not self._changed:
                self._registry.scheduler.soon(self._review)
            self._changed.update(dict.fromkeys(targets))

    def _review(self) -> None:
        changed, self._changed = self._changed, {}
        self.breakers.review()
        if self.detector is not None:
            self.detector.review(None if any(ANY in target for target in changed) else changed)
