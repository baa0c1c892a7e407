"""The other end of a ``Connection``, without a socket: writes any frames, reads what comes back as tuples."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from polaris_bridge.transport.calls import Calls
from polaris_bridge.transport.connection import Connection
from polaris_bridge.transport.frames import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, frame
from polaris_bridge.transport.hpack import Decoder, encode
from polaris_bridge.transport.limits import Budget, Limits
from polaris_bridge.transport.rpc import Call, Methods, RpcError

UNARY = "/test.Echo/Unary"
STREAM = "/test.Echo/Stream"
Frame = tuple[int, int, int, bytes]


def split(octets: bytes) -> list[Frame]:
    """Frames of an output, each (type, flags, stream, payload). What is cut short fails."""
    found = []
    at = 0
    while at < len(octets):
        size, flags, stream = struct.unpack_from(">IBI", octets, at)
        end = at + 9 + (size >> 8)
        assert end <= len(octets)
        found.append((size & 0xFF, flags, stream, octets[at + 9 : end]))
        at = end
    return found


def call_headers(
    path: str = UNARY, *more: tuple[str, str], method: str = "POST", kind: str = "application/grpc"
) -> bytes:
    """The header block of a call."""
    pseudo = ((":method", method), (":scheme", "http"), (":path", path), (":authority", "x"))
    return encode(*pseudo, ("content-type", kind), ("te", "trailers"), *more)


def opening(stream: int = 1, path: str = UNARY, *more: tuple[str, str], end: bool = False, **options: Any) -> bytes:
    """The HEADERS frame of a call."""
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, call_headers(path, *more, **options))


def message(body: bytes, stream: int = 1, *, end: bool = False, flag: int = 0) -> bytes:
    """A DATA frame with one message."""
    return frame(DATA, END_STREAM if end else 0, stream, struct.pack(">BI", flag, len(body)) + body)


def settings(**values: int) -> bytes:
    """SETTINGS: ``window`` or ``frame``."""
    numbers = {"window": 4, "frame": 5, "push": 2}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", numbers[name], value) for name, value in values.items()))


class Later:
    """An answer that a test decides."""

    def __init__(self) -> None:
        self.reply: Callable[[bytes | RpcError], None] | None = None

    def then(self, reply: Callable[[bytes | RpcError], None]) -> None:
        self.reply = reply

    def settle(self, answer: bytes | RpcError) -> None:
        assert self.reply is not None
        self.reply(answer)


class Echo:
    """A stream that answers what it is told, and notes what happens to it."""

    def __init__(self, call: Call, script: Callable[[Call, bytes], Any] | None = None) -> None:
        self.call = call
        self.seen: list[bytes] = []
        self.events: list[str] = []
        self.stays = False
        self._script = script

    def on_message(self, message: bytes) -> Any:
        self.seen.append(message)
        return message if self._script is None else self._script(self.call, message)

    def on_end(self) -> bool:
        self.events.append("end")
        return self.stays

    def on_close(self) -> None:
        self.events.append("close")


class Owner:
    """In place of a socket's holder."""

    host = "192.0.2.1"


@dataclass
class Alarm:
    """A timer that a test lets ring."""

    seconds: float
    call: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class Peer:
    """A client and the connection it talks to."""

    limits: Limits = field(default_factory=Limits)
    unary: Callable[[bytes, Call], Any] = lambda message, _call: message
    script: Callable[[Call, bytes], Any] | None = None
    greet: bytes | None = PREFACE + frame(SETTINGS, 0, 0)
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        self.streams: list[Echo] = []
        self.alarms: list[Alarm] = []
        self.wakes = 0
        self.observed: list[tuple[str, int]] = []
        methods = Methods()
        methods.unary(UNARY, lambda message, call: self.unary(message, call))
        methods.stream(STREAM, self._open)
        self.calls = Calls(
            "test",
            methods,
            self.limits,
            self._call_later,
            observe=lambda path, code, _: self.observed.append((path, code)),
        )
        self.connection = Connection(self.calls, self.limits, self.budget, self._wake, Owner())
        self.decoder = Decoder()
        if self.greet is not None:
            first = self.send(self.greet)
            assert [found[0] for found in first] == [SETTINGS, 8, SETTINGS]
            assert first[2][1] == ACK

    def _wake(self) -> None:
        self.wakes += 1

    def _call_later(self, seconds: float, call: Callable[[], None]) -> Alarm:
        self.alarms.append(Alarm(seconds, call))
        return self.alarms[-1]

    def _open(self, call: Call) -> Echo:
        self.streams.append(Echo(call, self.script))
        return self.streams[-1]

    def send(self, *octets: bytes) -> list[Frame]:
        """Give bytes, in one piece; the frames that come back."""
        self.connection.receive(b"".join(octets))
        return self.read()

    def send_cut(self, octets: bytes, cuts: Iterable[int]) -> list[Frame]:
        """Give bytes cut at these places."""
        found: list[Frame] = []
        at = 0
        for cut in (*sorted(cuts), len(octets)):
            found += self.send(octets[at:cut])
            at = cut
        return found

    def read(self) -> list[Frame]:
        """All that can be written now."""
        found: list[Frame] = []
        while taken := self.connection.take():
            found += split(taken)
        return found

    def fields(self, found: Frame) -> dict[str, str]:
        """A HEADERS frame's list."""
        assert found[0] == HEADERS
        return dict(self.decoder.decode(found[3], 2**20))

    def left(self) -> dict[str, int]:
        """What is held by a connection: all zero when nothing is."""
        connection = self.connection
        return {
            "streams": len(connection.streams),
            "unsent": connection.unsent,
            "held": connection.held,
            "all unsent": connection.budget.unsent,
            "all held": connection.budget.held,
            "open": len(self.calls.open),
            "alarms": sum(not alarm.cancelled for alarm in self.alarms),
        }


NOTHING_LEFT = dict.fromkeys(("streams", "unsent", "held", "all unsent", "all held", "open", "alarms"), 0)
