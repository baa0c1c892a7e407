"""Who reads a list, where rules say what each kind of callers is given: found by what it registered, or by what it calls itself.

What came by the reader's own connection goes first; then the service that is called like its application, if there is one; then
what is registered at the address that it names, or is seen from; then its application, whether there is such a service or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .connections import Connection
from .scope import Scope

_NAMELESS: Final = frozenset({"", "-", "unknown"})
"""What clients say whose application has no name."""
_OF_LIBRARIES: Final = frozenset({"source", "module", "AppName", "taskId", "tls.enable"})
"""Labels of a connection that say nothing of the application, or that are looked at here."""


class Reader(Struct, frozen=True, gc=False):
    """One reader of one service's lists."""

    scope: Scope
    caller: Caller
    """``client``: its connection, when it registered something by that; else the address that it names, if it does."""
    app: str = ""
    publishes: bool = False
    """Whether it registered something by its connection."""


class Readers:
    """The kinds of those who read lists of one listener."""

    def __init__(
        self,
        registry: Registry,
        key: Callable[[Scope], ServiceKey],
        routing: DiscoveryRouting | None = None,
        *,
        switched: bool = False,
    ) -> None:
        """``routing`` None: nobody's lists follow rules. ``switched``: whether those of all services do, unless one says no."""
        self._registry = registry
        self._key = key
        self._routing = routing
        self._switched = switched
        self.moved: list[Callable[[Sequence[str]], None]] = []
        """Told of the addresses and connections whose registrations changed: they may be of another kind now."""
        if routing is not None:
            routing.known.followers.append(self._moved)

    @property
    def any(self) -> bool:
        """Whether the lists of some service follow rules."""
        return self._routing is not None and self._routing.any_on(self._switched)

    def on(self, service: ServiceKey) -> bool:
        """Whether the lists of a service follow rules."""
        return self._routing is not None and self._routing.on(service, self._switched)

    def ruled(self, service: ServiceKey) -> object:
        """What readers of a service are told apart by: while it is equal, those who did not move are of the same kind."""
        if self._routing is None:
            return None
        return self._routing.rules.rulebook.revision(), self._registry.snapshot(service).record

    def connected(self, connection: Connection, scope: Scope) -> RoutingClass | None:
        """The kind of a reader on a connection. None: all get the same list of this service."""
        if not self.any:
            return None
        held = connection.held
        publishes = held is not None and bool(held.published)
        client = connection.id if publishes else connection.client_ip or connection.id
        caller = Caller(SOURCE, connection.host, "", client, connection.version, labels=_told(connection.labels))
        return self.kind(Reader(scope, caller, connection.app, publishes))

    def kind(self, reader: Reader) -> RoutingClass | None:
        """The kind of a reader. None: all get the same list of this service."""
        routing, service, caller = self._routing, self._key(reader.scope), reader.caller
        if routing is None or not routing.on(service, self._switched):
            return None
        if reader.app not in _NAMELESS:
            own = self._key(structs.replace(reader.scope, name=reader.app))
            if (not reader.publishes and self._exists(own)) or routing.known.who(caller).who.service is None:
                caller = structs.replace(caller, service=own)
        return routing.classify(service, caller)

    def _exists(self, service: ServiceKey) -> bool:
        snapshot = self._registry.snapshot(service)
        return snapshot.record is not None or bool(snapshot.addresses)

    def _moved(self, who: Sequence[str]) -> None:
        for told in self.moved:
            told(who)


def asking(caller: Caller, scope: Scope, ip: str, app: str) -> Reader:
    """Somebody who asks over HTTP. ``ip``, ``app``: its address and application, as it says itself; may be empty."""
    return Reader(scope, Caller(SOURCE, caller.address, "", ip or caller.address), app)


def _told(labels: Mapping[str, str]) -> dict[str, str]:
    """What a client says of its application when it connects."""
    return {key: value for key, value in labels.items() if key not in _OF_LIBRARIES}
