"""Fuzzy watch of services: connections that want to hear of services by a pattern, which ones there are and which come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.nacos.translate.names import decode
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry

from .fuzzy_patterns import Dialect, Pattern, PatternBook, Watching
from .requests import Requests

BATCH: Final = 100

SERVICES: Final = Dialect(
    sync="NamingFuzzyWatchSyncRequest",
    change="NamingFuzzyWatchChangeNotifyRequest",
    key="serviceKey",
    changed="changedType",
    added="ADD_SERVICE",
    news="ADD_SERVICE",
    deleted="DELETE_SERVICE",
    module="naming",
    batch=BATCH,
    ask_again_s=6.0,
    rest={"syncType": "FUZZY_WATCH_RESOURCE_CHANGED"},
)


class FuzzyWatches(PatternBook[ServiceKey]):
    """All patterns of services of one listener."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        namespace: Callable[[str], str],
        listed: Callable[[ServiceKey], bool],
    ) -> None:
        """``namespace``: the core's for an id. ``listed``: whether a service is there for Nacos clients."""
        super().__init__(registry.scheduler, requests, namespace, SERVICES)
        self._registry = registry
        self._listed = listed
        registry.observe(self._published)

    def sweep(self) -> None:
        """To be called once a second: services are forgotten without a publication, too."""
        for watching in list(self._patterns.values()):
            for key in [key for key in watching.matched if not self._listed(key)]:
                self._change(watching, watching.matched.pop(key), self._dialect.deleted)

    def _fill(self, watching: Watching[ServiceKey]) -> None:
        for snapshot in self._registry.services(watching.namespace):
            if not self._enter(watching, snapshot.key, *decode(snapshot.key.name)):
                break
        self._filled(watching)

    def _is_there(self, key: ServiceKey) -> bool:
        return self._listed(key)

    def _known_as(self, pattern: Pattern, group: str, name: str) -> str:
        return f"{pattern.namespace_id}@@{group}@@{name}"

    def _published(self, published: Published) -> None:
        """Services that came or went."""
        if not self._in:
            return
        for key in published.services:
            if key.namespace in self._in:
                self._follow(key.namespace, key, *decode(key.name))
