"""Services that somebody subscribes to over gRPC, and who of the subscribers gets the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.watching import Watcher

from .requests import Round
from .scope import Scope

if TYPE_CHECKING:
    from .connections import Connection

_Key = tuple[str, str, str, RoutingClass | None]


class Variant:
    """The subscribers of one service who get the same bytes."""

    __slots__ = ("clusters", "connections", "fresh", "kind", "rounds", "scope", "topic")

    def __init__(self, topic: Topic, scope: Scope, clusters: str, kind: RoutingClass | None) -> None:
        self.topic = topic
        self.scope = scope
        self.clusters = clusters
        self.kind = kind
        """None: the service's lists follow no rules."""
        self.connections: dict[Connection, None] = {}
        self.fresh: dict[Connection, None] | None = None
        """Who has subscribed just now; None: nobody, and no timer runs."""
        self.rounds: list[Round] = []
        """Under way."""

    @property
    def key(self) -> _Key:
        """What makes it one."""
        return self.scope.group, self.scope.name, self.clusters, self.kind


class Topic:
    """One service of the core that somebody subscribes to."""

    __slots__ = ("changed_at", "changed_by", "key", "ruled", "seen", "to_tell", "variants", "watcher")

    def __init__(self, key: ServiceKey) -> None:
        self.key = key
        self.variants: dict[_Key, Variant] = {}
        self.watcher: Watcher | None = None
        self.ruled: object = None
        """What its subscribers were told apart by; None: by nothing."""
        self.seen = 0
        """The revision that subscribers know, or are being told."""
        self.to_tell = 0
        """Variants whose subscribers are being told."""
        self.changed_at = 0.0
        """Monotonic seconds of the first change that nobody was told of yet; 0: there is none."""
        self.changed_by = ""
        """The protocol that it came through."""
