"""One type on one stream: what the client wants, what it was told, and what it said to that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from .audience import Audience, Group, Key
from .steps import EMPTY, NOTHING, Held, Scope, Step

if TYPE_CHECKING:
    from .stream import Stream


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
        "prepared",
        "refusal",
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
        self.version = ""
        """Of the last response."""
        self.accepted = ""
        """The last version that it accepted."""
        self.refusal: Refusal | None = None
        """What it has against the last response."""
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
        return bool(self.dirty or self.must or self.asked is None or self.asked or self.again or self.leaving)

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

    def end(self) -> None:
        """It wants nothing any more, whatever it was sent last: what it asks for next it asks for as if for the first time."""
        self.subscribe(Scope())
        self.nonce, self.waiting = b"", False
        self.asked, self.must = NOTHING, False
        self.again = NOTHING
        self.size = self.mark = 0

    def close(self) -> None:
        """The stream is over."""
        self.audience.leave(self, self.group)
