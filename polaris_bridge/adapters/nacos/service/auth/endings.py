"""Subscriptions rest while their right is gone: whoever may no longer read a service hears no more of it until it may again.

Clients do not ask again for what they subscribe to, so a subscription that rests is kept here and taken up when policies allow
it. (Nacos 2.5.1 goes on pushing until the connection ends.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.nacos.service.admission import Admission
from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.core.model import ServiceKey

STRIDE: Final = 64
"""Subscriptions that are looked at before others get their turn."""

Change = Callable[[Connection, Scope, str], None]
"""Begins or ends the pushes of a subscription: connection, service, clusters."""
_What = tuple[Scope, str]


class Endings:
    """The subscriptions of those who had to prove who they are."""

    def __init__(
        self,
        admission: Admission,
        key: Callable[[Scope], ServiceKey],
        begin: Change,
        end: Change,
        end_watches: Callable[[Connection], None],
        slices: Slices,
    ) -> None:
        """``key``: where a service lives in the core. ``end_watches``: ends all that a connection watches by patterns."""
        self._admission = admission
        self._key = key
        self._begin = begin
        self._end = end
        self._end_watches = end_watches
        self._slices = slices
        self._held: dict[Connection, dict[_What, str]] = {}
        """Whom a subscription belongs to."""
        self._resting: set[tuple[Connection, _What]] = set()
        self._watching: dict[Connection, dict[str, str]] = {}
        """By namespace, whom watches of patterns belong to."""
        self._seen = admission.revision

    def subscribed(self, connection: Connection, scope: Scope, clusters: str, principal: str) -> None:
        """Somebody who was let in subscribes."""
        if principal:
            self._held.setdefault(connection, {})[scope, clusters] = principal
            self._resting.discard((connection, (scope, clusters)))

    def unsubscribed(self, connection: Connection, scope: Scope, clusters: str) -> None:
        """A client wants to hear no more; with clusters that it did not name before, of the service at all."""
        held = self._held.get(connection)
        if held is None:
            return
        exact = (scope, clusters)
        for what in [exact] if exact in held else [each for each in held if each[0] == scope]:
            del held[what]
            self._resting.discard((connection, what))
        if not held:
            del self._held[connection]

    def watched(self, connection: Connection, namespace: str, principal: str) -> None:
        """Somebody who may read all of a namespace watches patterns there. That ends with the right, for good."""
        if principal:
            self._watching.setdefault(connection, {})[namespace] = principal

    def gone(self, connection: Connection) -> None:
        """A client is gone."""
        self._watching.pop(connection, None)
        for what in self._held.pop(connection, {}):
            self._resting.discard((connection, what))

    def changed(self) -> None:
        """The directory changed: everybody's right is asked for again."""
        if self._held or self._watching:
            self._slices.run("endings", self._look, lambda _done: self._again())

    def _again(self) -> None:
        if self._seen != self._admission.revision:
            self.changed()

    def _look(self) -> Work:
        self._seen = self._admission.revision
        count = 0
        for connection, spaces in list(self._watching.items()):
            if not all(self._admission.reads_whole(who, namespace) for namespace, who in spaces.items()):
                self._watching.pop(connection, None)
                self._end_watches(connection)
            yield
        for connection, held in list(self._held.items()):
            for what, principal in list(held.items()):
                if held.get(what) == principal and connection in self._held:
                    self._judge(connection, what, principal)
                count += 1
                if count % STRIDE == 0:
                    yield

    def _judge(self, connection: Connection, what: _What, principal: str) -> None:
        scope, clusters = what
        key = self._key(scope)
        may = self._admission.may(principal, "r", "naming", key.namespace, key.name)
        resting = (connection, what) in self._resting
        if not may and not resting:
            self._resting.add((connection, what))
            self._end(connection, scope, clusters)
        elif may and resting:
            self._resting.discard((connection, what))
            self._begin(connection, scope, clusters)
