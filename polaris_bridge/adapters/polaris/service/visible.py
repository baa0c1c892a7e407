"""What of a list its reader may see: the same right that the list needs, for each thing in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.core.auth.values import CONFIG_GROUP
from polaris_bridge.core.config.model import GroupKey
from polaris_bridge.core.model import Caller, Document, ServiceKey
from polaris_bridge.core.ports import Resource

Sees = Callable[[Caller, str], Callable[[Resource], bool] | None]
"""By caller and operation: whether a resource may be seen; None: all of them."""


def everything(_caller: Caller, _operation: str) -> None:
    """Where nobody is judged."""
    return


class Visible:
    """Predicates for lists. Each is ``ALL`` when nothing has to be left out, so that nothing is looked at one by one."""

    def __init__(self, sees: Sees = everything) -> None:
        self._sees = sees

    def services(self, caller: Caller, operation: str) -> Callable[[ServiceKey], bool]:
        """Which services."""
        sees = self._sees(caller, operation)
        return ALL if sees is None else lambda key: sees(Resource("service", key[0], key[1]))

    def namespaces(self, caller: Caller, operation: str) -> Callable[[str], bool]:
        """Which namespaces."""
        sees = self._sees(caller, operation)
        return ALL if sees is None else lambda name: sees(Resource("namespace", name, name))

    def config_groups(self, caller: Caller, operation: str) -> Callable[[GroupKey], bool]:
        """Which groups of configuration files."""
        sees = self._sees(caller, operation)
        return ALL if sees is None else lambda key: sees(Resource(CONFIG_GROUP, key[0], key[1]))

    def documents(self, caller: Caller, operation: str) -> Callable[[Document], bool]:
        """Which rules."""
        sees = self._sees(caller, operation)
        return ALL if sees is None else lambda d: sees(Resource(d.kind, d.namespace, d.name, d.id))


def _all(_thing: object) -> bool:
    return True


ALL: Final[Callable[[object], bool]] = _all
"""Nothing is left out."""
