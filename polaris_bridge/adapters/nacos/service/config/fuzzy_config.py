"""Fuzzy watch of configuration: connections that want to hear of files by a pattern, which ones there are and which come and go.

As on Nacos 3.0.3 a file that comes is told as ``CONFIG_CHANGED``, and one that was there already is not told of when its
content changes: who wants to hear of that listens to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.nacos.service.fuzzy_patterns import Dialect, Pattern, PatternBook, Watching
from polaris_bridge.adapters.nacos.service.requests import Requests
from polaris_bridge.adapters.nacos.wire.config_payloads import group_key
from polaris_bridge.core.config.model import FileKey
from polaris_bridge.core.registry import Registry

FILES: Final = Dialect(
    sync="ConfigFuzzyWatchSyncRequest",
    change="ConfigFuzzyWatchChangeNotifyRequest",
    key="groupKey",
    changed="changeType",
    added="ADD_CONFIG",
    news="CONFIG_CHANGED",
    deleted="DELETE_CONFIG",
    module="config",
    batch=20,
    ask_again_s=5.0,
    rest={},
)
STRIDE: Final = 64
"""Files that are looked at before others get their turn."""


class FuzzyConfigs(PatternBook[FileKey]):
    """All patterns of configuration files of one listener."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        slices: Slices,
        namespace: Callable[[str], str],
        shown: Callable[[FileKey], bool],
    ) -> None:
        """``namespace``: the core's for an id. ``shown``: whether a file has a name that Nacos knows."""
        super().__init__(registry.scheduler, requests, namespace, FILES)
        self._reading = registry.config.reading
        self._watches = registry.config.watches
        self._slices = slices
        self._shown = shown
        self._watcher = self._watches.file_watcher((None,), self._woken, 0.0)

    def _fill(self, watching: Watching[FileKey]) -> None:
        self._watcher.arm(self._watches.newest)  # nothing when it is armed
        self._slices.run(("pattern", watching), lambda: self._look(watching), lambda _done: self._filled(watching))

    def _look(self, watching: Watching[FileKey]) -> Work:
        """What is there. What comes or goes meanwhile is followed as always."""
        count = 0
        for group in self._reading.groups(watching.namespace):
            for key in self._reading.keys(group.key):
                if not self._enter(watching, key, key.group, key.name):
                    return
                count += 1
                if count % STRIDE == 0:
                    yield
            yield

    def _is_there(self, key: FileKey) -> bool:
        snapshot = self._reading.snapshot(key)
        return (snapshot.full is not None or bool(snapshot.grays)) and self._shown(key)

    def _known_as(self, pattern: Pattern, group: str, name: str) -> str:
        return group_key(name, group, pattern.namespace_id)

    def _woken(self) -> None:
        touched = sorted(self._watcher.touched)
        if self._patterns:
            self._watcher.arm(self._watches.newest)
        for key in touched:
            if key.namespace in self._in:
                self._follow(key.namespace, key, key.group, key.name)
