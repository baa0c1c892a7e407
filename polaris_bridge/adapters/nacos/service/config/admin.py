"""What operators and consoles do with configurations, put together: looking, history, archives, capacity, listeners."""

from __future__ import annotations

from msgspec import structs

from polaris_bridge.adapters.nacos.service.admission import Action, Admission, file_name
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.adapters.nacos.translate.config import merged
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.config.model import Change, FileKey
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
        self._centre = centre
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

    def describe(self, key: FileKey, desc: str | None, tags: tuple[str, ...] | None, caller: Caller) -> Commit | None:
        """Give a configuration another description and other tags (None: as they are), under the same content. None: there is
        no such configuration. A draft of another protocol that nobody released makes room, and stays in the history."""
        seen = self._reading.snapshot(key).full
        file = self._centre.files.newest(key)
        if seen is None or file is None:
            return None
        text = seen.release.text
        change = Change(
            comment=text.comment if desc is None else desc,
            tags=text.tags if tags is None else merged(tags, text.tags),
        )
        if file.unreleased:
            change = structs.replace(
                change,
                content=self._reading.plain(text),
                format=text.format,
                ext=text.ext,
                algorithm=text.algorithm,
                client_key=text.client_key,
            )
        return self._centre.releases.publish(key, caller, change=change).commit
