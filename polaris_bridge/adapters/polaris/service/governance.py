"""Rules of the console as values, for adapters that make something of their own out of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.model import Unread

from .breaking.sources import StoredBreakers, StoredDetects
from .judging.sources import StoredLimits
from .routing.sources import StoredRules
from .rules.kinds import (
    BLOCK_ALLOW,
    CIRCUIT_BREAKER,
    FAULT_DETECT,
    FAULT_INJECTION,
    LANE,
    LOSSLESS,
    RATE_LIMIT,
    ROUTING,
    TRAFFIC_MIRRORING,
)

OTHERS: Final = (LOSSLESS, BLOCK_ALLOW, TRAFFIC_MIRRORING, FAULT_INJECTION)
"""Kinds that are kept for libraries, which alone do something by them."""
KINDS: Final = frozenset(kind.name for kind in (ROUTING, LANE, RATE_LIMIT, CIRCUIT_BREAKER, FAULT_DETECT, *OTHERS))


def governance(registry: Registry) -> Governance:
    """Where rules come from, for a registry."""

    def others(service: ServiceKey) -> Iterator[Unread]:
        for kind in OTHERS:
            for document in registry.documents.about(kind.name, service):
                if document.enabled:
                    yield Unread(document.id, kind.name, "libraries alone do something by such a rule")

    return Governance(
        StoredRules(registry), StoredLimits(registry), StoredBreakers(registry), StoredDetects(registry), others, KINDS
    )
