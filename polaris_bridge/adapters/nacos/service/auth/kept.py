"""What clients are told of for as long as they may read it: it rests while their right is gone.

Clients do not ask again for what they subscribed to or listen to, so what rests is kept here and taken up when policies allow
it. (Nacos 2.5.1 goes on telling until the connection ends.)
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.nacos.service.admission import Admission, Kind
from polaris_bridge.adapters.nacos.service.connections import Connection

STRIDE: Final = 64
"""Things that are looked at before others get their turn."""

W = TypeVar("W", bound=Hashable)


class Kept(Generic[W]):
    """What those are told of who had to prove who they are. ``W``: one thing that a client is told of."""

    def __init__(
        self,
        admission: Admission,
        kind: Kind,
        may: Callable[[str, W], bool],
        begin: Callable[[Connection, W], None],
        end: Callable[[Connection, W], None],
        end_watches: Callable[[Connection], None],
        slices: Slices,
    ) -> None:
        """``may``: whether a principal may read something. ``begin``, ``end``: telling a client of it. ``end_watches``: ends all
        that a connection watches by patterns."""
        self._admission = admission
        self._kind: Kind = kind
        self._may = may
        self._begin = begin
        self._end = end
        self._end_watches = end_watches
        self._slices = slices
        self._held: dict[Connection, dict[W, str]] = {}
        """Whom something belongs to."""
        self._resting: set[tuple[Connection, W]] = set()
        self._watching: dict[Connection, dict[str, str]] = {}
        """By namespace, whom watches of patterns belong to."""
        self._seen = admission.revision

    def hold(self, connection: Connection, what: W, principal: str) -> None:
        """Somebody who was let in is told of something from now on."""
        if principal:
            self._held.setdefault(connection, {})[what] = principal
            self._resting.discard((connection, what))

    def held_by(self, connection: Connection) -> list[W]:
        """What a client is told of, or would be if it had the right."""
        return list(self._held.get(connection, ()))

    def let_go(self, connection: Connection, what: W) -> bool:
        """A client wants to hear no more of something; whether it was told of it."""
        held = self._held.get(connection)
        if held is None or held.pop(what, None) is None:
            return False
        self._resting.discard((connection, what))
        if not held:
            del self._held[connection]
        return True

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
            self._slices.run(("rights kept", self._kind), self._look, lambda _done: self._again())

    def _again(self) -> None:
        if self._seen != self._admission.revision:
            self.changed()

    def _look(self) -> Work:
        self._seen = self._admission.revision
        count = 0
        for connection, spaces in list(self._watching.items()):
            if not all(self._admission.reads_whole(who, namespace, self._kind) for namespace, who in spaces.items()):
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

    def _judge(self, connection: Connection, what: W, principal: str) -> None:
        may = self._may(principal, what)
        resting = (connection, what) in self._resting
        if not may and not resting:
            self._resting.add((connection, what))
            self._end(connection, what)
        elif may and resting:
            self._resting.discard((connection, what))
            self._begin(connection, what)
