"""Subscriptions rest while their right is gone: whoever may no longer read a service hears no more of it until it may again."""

from __future__ import annotations

from collections.abc import Callable

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.service.admission import Admission
from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.core.model import ServiceKey

from .kept import Kept

Change = Callable[[Connection, Scope, str], None]
"""Begins or ends the pushes of a subscription: connection, service, clusters."""
_What = tuple[Scope, str]


class Endings(Kept[_What]):
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

        def may(principal: str, what: _What) -> bool:
            found = key(what[0])
            return admission.may(principal, "r", "naming", found.namespace, found.name)

        super().__init__(
            admission,
            "naming",
            may,
            lambda connection, what: begin(connection, *what),
            lambda connection, what: end(connection, *what),
            end_watches,
            slices,
        )

    def subscribed(self, connection: Connection, scope: Scope, clusters: str, principal: str) -> None:
        """Somebody who was let in subscribes."""
        self.hold(connection, (scope, clusters), principal)

    def unsubscribed(self, connection: Connection, scope: Scope, clusters: str) -> None:
        """A client wants to hear no more; with clusters that it did not name before, of the service at all."""
        if not self.let_go(connection, (scope, clusters)):
            for what in self.held_by(connection):
                if what[0] == scope:
                    self.let_go(connection, what)
