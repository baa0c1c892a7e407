"""One type on one stream: what the client wants, what it was told, and what it said to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from .audience import Audience, Group, Key
from .steps import EMPTY, NOTHING, Held, Scope, Step

if TYPE_CHECKING:
    from .stream import Stream


PATIENCE: Final = 64
"""Pieces of what was refused that are tried after one change."""


class Refusal(Struct, frozen=True, gc=False):
    """A NACK: what a client has against a response."""

    version: str
    """Of the response."""
    text: str
    at_ms: int


class Subscription:
    """One type on one stream. What it means to be told of is decided in ``stream``."""

    __slots__ = (
        "accepted",
        "again",
        "asked",
        "audience",
        "building",
        "dirty",
        "group",
        "held",
        "leaving",
        "mark",
        "must",
        "named",
        "nonce",
        "parts",
        "patience",
        "pieces",
        "prepared",
        "refusal",
        "refused",
        "since",
        "size",
        "stream",
        "version",
        "waiting",
    )

    def __init__(self, stream: Stream, audience: Audience) -> None:
        self.stream = stream
        self.audience = audience
        self.group: Group = audience.enter(self, Scope())
        self.named = False
        """The client named something: from then on no names are no wildcard any more (state of the world)."""
        self.held: Held = EMPTY
        """What it was told."""
        self.since = audience.at
        """The stamp of that."""
        self.nonce = b""
        """Of the last response."""
        self.parts: tuple[frozenset[str], ...] = ()
        """What was in the last responses, of which ``nonce`` is the last one's; see ``Step``."""
        self.refused = NOTHING
        """What was in responses that it refused, and in none that it accepted since."""
        self.patience = PATIENCE
        self.pieces: tuple[frozenset[str], ...] = ()
        """What it refused together, and is to be told in smaller pieces."""
        self.version = ""
        """Of the last response."""
        self.accepted = ""
        """The last version that it accepted."""
        self.refusal: Refusal | None = None
        """What it has against a response."""
        self.waiting = False
        """It has not said anything to the last response."""
        self.asked: frozenset[str] | None = NOTHING
        """Names that it waits to be told of; None: all that it subscribes to."""
        self.must = False
        """It waits for a response, even an empty one."""
        self.dirty = False
        """Something that it subscribes to may have changed."""
        self.again = NOTHING
        """What it is to be told once more."""
        self.leaving = NOTHING
        """What is gone and it was not told of."""
        self.building = False
        """What it is to be told is being built."""
        self.prepared: tuple[Key, Step] | None = None
        """What was."""
        self.size = self.mark = 0
        """See ``wire.discovery.Request``."""

    @property
    def pending(self) -> bool:
        """Whether there may be something to say."""
        return bool(
            self.dirty or self.must or self.asked is None or self.asked or self.again or self.leaving or self.pieces
        )

    @property
    def answerable(self) -> bool:
        """Whether the client waits for an answer to a request."""
        return self.must or self.asked is None or bool(self.asked)

    def subscribe(self, scope: Scope) -> None:
        """What it wants from now on. What it wants no more is as if it had never been told."""
        group = self.group
        if scope == group.scope:
            return
        audience = self.audience
        audience.leave(self, group)
        self.group = audience.enter(self, scope)
        if scope.wildcard:
            return
        held, names = self.held.resources, scope.names
        if group.scope.wildcard or len(held) > len(names) or not held.keys() <= names:
            self.held = self.held.of(names)
        self.leaving &= names
        self.refused &= names

    def part(self, nonce: str) -> frozenset[str]:
        """What was in one of the last responses; nothing for older ones."""
        if not self.nonce or not nonce.isascii() or not nonce.isdigit():
            return NOTHING
        behind = int(self.nonce) - int(nonce)
        return self.parts[-1 - behind] if 0 <= behind < len(self.parts) else NOTHING

    def suspects(self, names: frozenset[str]) -> None:
        """It refused a response with these. They are told again in halves, down to the one that it does not take: some clients
        refuse a response as a whole, and would never have the others."""
        self.refused |= names
        if len(names) > 1:
            ordered = sorted(names)
            half = len(names) // 2
            self.pieces = (frozenset(ordered[:half]), frozenset(ordered[half:]), *self.pieces)

    def next_piece(self) -> frozenset[str]:
        """What is to be told next of what was refused together; nothing when it has refused too often."""
        if not self.pieces:
            return NOTHING
        piece, *rest = self.pieces
        self.patience -= 1
        self.pieces = tuple(rest) if self.patience > 0 else ()
        return piece

    def end(self) -> None:
        """It wants nothing any more, whatever it was sent last: what it asks for next it asks for as if for the first time."""
        self.subscribe(Scope())
        self.nonce, self.waiting = b"", False
        self.asked, self.must = NOTHING, False
        self.again, self.pieces = NOTHING, ()
        self.size = self.mark = 0

    def close(self) -> None:
        """The stream is over."""
        self.audience.leave(self, self.group)
