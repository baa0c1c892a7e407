"""Rules of the console as values, for adapters that make something of their own out of them."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.core.registry import Registry

from .breaking.sources import StoredBreakers, StoredDetects
from .judging.sources import StoredLimits
from .routing.sources import StoredRules
from .rules.kinds import CIRCUIT_BREAKER, FAULT_DETECT, LANE, RATE_LIMIT, ROUTING

KINDS: Final = frozenset(kind.name for kind in (ROUTING, LANE, RATE_LIMIT, CIRCUIT_BREAKER, FAULT_DETECT))


def governance(registry: Registry) -> Governance:
    """Where rules come from, for a registry."""
    return Governance(
        StoredRules(registry), StoredLimits(registry), StoredBreakers(registry), StoredDetects(registry), KINDS
    )
