"""A stream as HTTP/2 sees it: its states, what each frame means in each of them, and what a request's owner is told.

A server that is never pushed to needs five of the states of RFC 9113, section 5.1. A stream that the client has ended and we
have answered is closed; one that we ended first is *left*: the client may not know yet, so what it sends is dropped.

    idle --HEADERS--> open --END_STREAM--> half closed --answer ends--> closed
                       |  \\--- RST_STREAM of the client -------------> closed
                       \\------ answer ends, RST_STREAM of ours ------> left
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

from .frames import DATA, HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE, Fault

if TYPE_CHECKING:
    from .connection import Connection


class State(Enum):
    """Where a stream is."""

    IDLE = "idle"
    OPEN = "open"
    HALF_CLOSED = "half closed"
    CLOSED = "closed"
    LEFT = "left"


class Reaction(Enum):
    """What a frame leads to."""

    TAKE = "take"
    IGNORE = "ignore"
    STREAM = "end the stream"
    CONNECTION = "end the connection"


REACTIONS: Final[dict[State, dict[int, tuple[Reaction, Fault]]]] = {
    State.IDLE: {
        HEADERS: (Reaction.TAKE, Fault.NO_ERROR),
        PRIORITY: (Reaction.IGNORE, Fault.NO_ERROR),
        DATA: (Reaction.CONNECTION, Fault.PROTOCOL_ERROR),
        RST_STREAM: (Reaction.CONNECTION, Fault.PROTOCOL_ERROR),
        WINDOW_UPDATE: (Reaction.CONNECTION, Fault.PROTOCOL_ERROR),
    },
    State.OPEN: {
        HEADERS: (Reaction.TAKE, Fault.NO_ERROR),
        PRIORITY: (Reaction.IGNORE, Fault.NO_ERROR),
        DATA: (Reaction.TAKE, Fault.NO_ERROR),
        RST_STREAM: (Reaction.TAKE, Fault.NO_ERROR),
        WINDOW_UPDATE: (Reaction.TAKE, Fault.NO_ERROR),
    },
    State.HALF_CLOSED: {
        HEADERS: (Reaction.STREAM, Fault.STREAM_CLOSED),
        PRIORITY: (Reaction.IGNORE, Fault.NO_ERROR),
        DATA: (Reaction.STREAM, Fault.STREAM_CLOSED),
        RST_STREAM: (Reaction.TAKE, Fault.NO_ERROR),
        WINDOW_UPDATE: (Reaction.TAKE, Fault.NO_ERROR),
    },
    State.CLOSED: {
        HEADERS: (Reaction.CONNECTION, Fault.STREAM_CLOSED),
        PRIORITY: (Reaction.IGNORE, Fault.NO_ERROR),
        DATA: (Reaction.STREAM, Fault.STREAM_CLOSED),
        RST_STREAM: (Reaction.IGNORE, Fault.NO_ERROR),
        WINDOW_UPDATE: (Reaction.IGNORE, Fault.NO_ERROR),
    },
    State.LEFT: {
        HEADERS: (Reaction.IGNORE, Fault.NO_ERROR),
        PRIORITY: (Reaction.IGNORE, Fault.NO_ERROR),
        DATA: (Reaction.IGNORE, Fault.NO_ERROR),
        RST_STREAM: (Reaction.IGNORE, Fault.NO_ERROR),
        WINDOW_UPDATE: (Reaction.IGNORE, Fault.NO_ERROR),
    },
}
"""What a frame means by the state of its stream. DATA that is not taken counts for the connection's window all the same."""


class Stream:
    """A request and its answer. Subclasses are told what arrives; they answer by the methods of ``connection``.

    The hooks are called while bytes are read or written and must not raise.
    """

    __slots__ = (
        "backlog",
        "connection",
        "ended",
        "held",
        "id",
        "left",
        "offset",
        "pending",
        "receive_window",
        "send_window",
        "started",
        "trailers",
    )

    def __init__(self, connection: Connection, id: int, length: int) -> None:
        """``length`` is the announced content-length, -1 for none."""
        self.connection = connection
        self.id = id
        self.ended = False
        """The client sends no more: half closed."""
        self.left = length
        """What is still to come of the announced content-length."""
        self.send_window = connection.first_send_window
        self.receive_window = connection.stream_window
        self.held = 0
        """Octets that have arrived for which the client gets no new credit yet."""
        self.started = False
        """Our HEADERS are out."""
        self.pending: deque[bytes] | None = None
        """Octets of the answer that wait for a window or for the socket; ``offset`` of the first were sent."""
        self.offset = 0
        self.backlog = 0
        """How many those are."""
        self.trailers: bytes | None = None
        """The header block that ends the answer once nothing is pending."""

    def opened(self) -> None:
        """The request's header list is complete; the stream is known to the connection."""

    def on_data(self, octets: bytes, ended: bool) -> None:
        """A part of the request's body; with ``ended`` the last one."""

    def on_taken(self) -> None:
        """All that was pending has been given to the socket."""

    def resume(self) -> None:
        """The connection, which set this stream aside, owes its client little again."""

    def gone(self) -> None:
        """The client has reset the stream, broken the protocol, or lost its connection. Nothing can be answered any more."""
