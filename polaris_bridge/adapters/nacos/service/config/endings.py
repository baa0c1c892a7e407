"""Listeners of configuration rest while their right is gone, and are told that there is news when it comes back."""

from __future__ import annotations

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.service.admission import Admission, file_name
from polaris_bridge.adapters.nacos.service.auth.kept import Kept
from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.core.config.model import FileKey

from .fuzzy_config import FuzzyConfigs
from .listeners import ConfigListeners

_What = tuple[FileKey, str]
"""A file, and how its listener spells the namespace."""


class ConfigEndings(Kept[_What]):
    """The listeners that had to prove who they are."""

    def __init__(
        self, admission: Admission, listeners: ConfigListeners, patterns: FuzzyConfigs, slices: Slices
    ) -> None:
        def may(principal: str, what: _What) -> bool:
            key = what[0]
            return admission.may(principal, "r", "config", key.namespace, file_name(key.group, key.name))

        def begin(connection: Connection, what: _What) -> None:
            listeners.listen(connection, *what, None)

        def end(connection: Connection, what: _What) -> None:
            listeners.unlisten(connection, what[0])

        super().__init__(admission, "config", may, begin, end, patterns.gone, slices)
