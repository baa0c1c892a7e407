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
        self, admission: Admission, key: Callable[[Scope], ServiceKey], begin: Change, end: Change, slices: Slices
    ) -> None:
        """``key``: where a service lives in the core."""
        self._admission = admission
        self._key = key
        self._begin = begin
        self._end = end
        self._slices = slices
        self._held: dict[Connection, dict[_What, str]] = {}
        """Whom a subscription belongs to."""
        self._resting: set[tuple[Connection, _What]] = set()
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

    def gone(self, connection: Connection) -> None:
        """A client is gone."""
        for what in self._held.pop(connection, {}):
            self._resting.discard((connection, what))

    def changed(self) -> None:
        """The directory changed: everybody's right is asked for again."""
        if self._held:
            self._slices.run("endings", self._look, lambda _done: self._again())

    def _again(self) -> None:
        if self._seen != self._admission.revision:
            self.changed()

    def _look(self) -> Work:
        self._seen = self._admission.revision
        count = 0
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
