"""Which connector speaks to which kind of registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.migration.engine.reduce import Abilities
from polaris_bridge.migration.model import CONSUL, EUREKA, HERE, NACOS, POLARIS, RegistryEntry
from polaris_bridge.migration.ports import Connector, RegistryError

from .consul import Consul
from .eureka import Eureka
from .here import Here
from .nacos import Nacos
from .polaris import Polaris
from .web import Web

ABILITIES: Final[dict[str, Abilities]] = {kind.kind: kind.can for kind in (Here, Eureka, Nacos, Consul, Polaris)}
"""What each kind can hold of an instance."""


def connect(entry: RegistryEntry, secret: str, now_ms: Callable[[], int]) -> Connector:
    """Something that speaks to a registry; nothing is sent yet. Raises ``RegistryError`` for an unknown kind."""
    match entry.kind:
        case "eureka":
            web = Web(entry, auth=(entry.user, secret) if entry.user else None)
            return Eureka(entry, web, now_ms)
        case "nacos":
            return Nacos(entry, secret)
        case "consul":
            return Consul(entry, secret)
        case "polaris":
            return Polaris(entry, secret)
        case _:
            raise RegistryError(
                f"there is no kind {entry.kind!r}: take {EUREKA}, {NACOS}, {CONSUL} or {POLARIS}, not {HERE}"
            )
