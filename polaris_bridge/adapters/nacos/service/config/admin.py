"""What operators and consoles do with configurations, put together: looking, history, archives, capacity, listeners."""

from __future__ import annotations

from polaris_bridge.adapters.nacos.service.admission import Action, Admission, file_name
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .capacity import Capacities
from .history import History
from .listeners_view import ListenersView
from .search import Search, Sees
from .transfer import Carrying


class ConfigAdmin:
    """The parts, one a server."""

    def __init__(self, registry: Registry, admission: Admission, settings: NacosSettings) -> None:
        centre = registry.config
        self._admission = admission
        self._reading = centre.reading
        self.search = Search(centre)
        self.history = History(centre)
        self.carrying = Carrying(centre, settings)
        self.capacities = Capacities(registry)
        self.listeners = ListenersView(centre)

    def sees(self, caller: Caller, namespace: str) -> Sees | None:
        """Which configurations of a namespace a caller may read; None: all."""
        if self._admission.reads_whole(caller.principal, namespace, "config"):
            return None
        return lambda key: self.may(caller, "r", key)

    def may(self, caller: Caller, action: Action, key: FileKey) -> bool:
        """Whether a caller may read or write a configuration."""
        return self._admission.may(caller.principal, action, "config", key.namespace, file_name(key.group, key.name))

    def count(self, namespace: str) -> int:
        """How many configurations a namespace has, drafts of other protocols among them."""
        return sum(self._reading.count(group.key) for group in self._reading.groups(namespace))
