"""The native service of one server: its parts, put together once and used by every listener."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.model import Location, Registration
from polaris_bridge.core.ports import Authority, Ids
from polaris_bridge.core.registry import Registry

from .admission import Admission
from .clients import Clients
from .contracts import Contracts
from .discovery import Discovering
from .heartbeats import Heartbeats
from .index import InstanceIndex
from .registration import Registering
from .rules.delivery import Deliveries
from .rules.writing import Rules


class PolarisService:
    """Everything that native calls need. One for all listeners of a server, since it keeps encoded answers."""

    def __init__(
        self,
        registry: Registry,
        authority: Authority,
        settings: PolarisSettings,
        *,
        ids: Ids,
        pairs: Mapping[str, Callable[[Registration], dict[str, str]]],
        locate: Callable[[str], Location | None],
    ) -> None:
        """``pairs``: see ``translate.shown``; ``locate`` tells where a host is, None when nobody knows."""
        self.registry = registry
        self.settings = settings
        self.ids = ids
        self.pairs = pairs
        self.admission = Admission(authority)
        self.index = InstanceIndex(registry)
        self.registering = Registering(registry, settings, self.index, locate)
        self.heartbeats = Heartbeats(registry, settings, self.index, self.registering)
        self.deliveries = Deliveries(registry)
        self.discovering = Discovering(registry, pairs, self.deliveries.deliver, cache_size=settings.kept_answers)
        self.clients = Clients(registry, settings, locate)
        self.contracts = Contracts(registry, ids.unique, self.discovering.catalog.target)
        self.rules = Rules(registry, ids)

    def sweep(self) -> None:
        """Once a second."""
        self.discovering.sweep()
