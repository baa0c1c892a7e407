"""What the core decides by: rate limit rules as the console wrote them, and how many instances a service has."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters.polaris.service.rules.kinds import RATE_LIMIT
from polaris_bridge.adapters.polaris.service.rules.records import shown
from polaris_bridge.adapters.polaris.translate.limits import limit_rules
from polaris_bridge.adapters.polaris.translate.shown import healthy, isolated, seen
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry

KEPT: Final = 1024
"""Services whose number of instances is kept."""


class StoredLimits:
    """``core.limiting.judging.LimitBook``: rules of the console, in the order that clients get them in."""

    def __init__(self, registry: Registry) -> None:
        self._documents = registry.documents

    def revision(self) -> int:
        """The publication that last changed one."""
        return self._documents.revision(RATE_LIMIT.name)

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], tuple[LimitRule, ...]]]:
        """The revisions of the rules of a service, and what reads them."""
        about = self._documents.about(RATE_LIMIT.name, service)

        def read() -> tuple[LimitRule, ...]:
            documents = sorted(about, key=lambda d: (d.priority, d.created_ms, d.id))
            return limit_rules(shown(RATE_LIMIT, document) for document in documents)

        return tuple(document.revision for document in about), read


class Instances:
    """How many instances of a service take traffic, as native readers see it."""

    def __init__(self, registry: Registry, catalog: Catalog) -> None:
        self._registry = registry
        self._catalog = catalog
        self._counted: OrderedDict[ServiceKey, tuple[Hashable, int]] = OrderedDict()

    def __call__(self, key: ServiceKey) -> int:
        """Counted once for each change of the service."""
        sight = self._catalog.sight(key)
        if sight is None:
            return 0
        snapshots = [self._registry.snapshot(source) for source in sight.sources]
        state = tuple(snapshot.revision for snapshot in snapshots)
        known = self._counted.get(key)
        if known is not None and known[0] == state:
            return known[1]
        count = sum(
            healthy(s) and not isolated(s, address)
            for snapshot in snapshots
            for address in snapshot.addresses.values()
            for s in seen(address)
        )
        self._counted[key] = (state, count)
        self._counted.move_to_end(key)
        if len(self._counted) > KEPT:
            self._counted.popitem(last=False)
        return count
