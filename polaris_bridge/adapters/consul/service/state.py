"""What the Consul listeners of one server have in common: what stands on every node, and the clocks of its checks."""

from __future__ import annotations

import logging
from typing import Final

from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.model import SYSTEM
from polaris_bridge.core.registry import Registry

from .aliases import Aliases
from .index import Index, LiveCheck
from .outcomes import Outcomes
from .probing import Probing
from .ttl import TtlClock

log = logging.getLogger(__name__)

REAP_S: Final = 30.0
"""How often critical services are looked through."""
_LEAST_REAP_S: Final = 60.0
"""The shortest ``DeregisterCriticalServiceAfter`` that counts."""


class ConsulState:
    """One for each registry."""

    def __init__(self, registry: Registry, health: HealthEngine | None = None) -> None:
        """``health``: who performs checks; None: nobody."""
        self._registry = registry
        self.clock = TtlClock(registry.clock, registry.scheduler, self._expired)
        self.index = Index(registry, self.clock.now)
        self.outcomes = Outcomes(registry, self.index)
        self.index.timed = self.clock.watch
        self.index.followers.append(Aliases(registry, self.index, self.outcomes))
        if health is not None:
            self.index.followers.append(Probing(health, self.outcomes))
        self.index.load()
        self._reaped = self.clock.now()
        self._ticked = -1.0

    def _expired(self, live: LiveCheck) -> None:
        self.outcomes.expired(live)

    def sweep(self) -> None:
        """Once a second; several listeners may call it."""
        monotonic = self._registry.clock.monotonic()
        if monotonic == self._ticked:
            return
        self._ticked = monotonic
        self.clock.tick()
        now = self.clock.now()
        if now - self._reaped >= REAP_S:
            self._reaped = now
            self._reap(now)

    def _reap(self, now: float) -> None:
        """Deregister the services that have been critical for longer than one of their checks bears."""
        due = {}
        for live in self.index.doomed:
            bears_s = max(live.record.deregister_ns / 1e9, _LEAST_REAP_S)
            if live.owner is not None and now - live.critical_since > bears_s:
                due[live.owner] = live
        for owner, live in due.items():
            log.info("service %s was critical for too long by its check %s: deregistered", owner.key, live.record.id)
            self._registry.deregister(owner, SYSTEM)
