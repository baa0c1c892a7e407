"""A connection with its socket, as an ``asyncio`` protocol: one write per read, and what is pushed outside of reads in slices.

A ``Link`` is also what handlers know a client's connection by: an identity, the address, what TLS said, and its end.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from .connection import Connection
from .contract import Application
from .frames import Fault
from .limits import WRITE_SIZE, Budget, Limits

_LINGER_S: Final = 1.0
"""How long input is dropped after the last write: closing a socket with unread input resets it, and what was written is lost."""
_SECOND_GOAWAY_S: Final = 0.2
"""After the first: calls that were under way to us have arrived."""
_CLOSE_S: Final = 2.0
"""How long a client that is asked to go may take."""
_LINKS_PER_PASS: Final = 64
"""Connections flushed before others get their turn: a write costs some 20 microseconds."""
_HTTP1: Final = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE) ")
_HTTP1_BODY: Final = b"This port speaks gRPC, which is HTTP/2; HTTP/1.1 is not understood here.\n"
_HTTP1_ANSWER: Final = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b"
    % (len(_HTTP1_BODY), _HTTP1_BODY)
)
_TLS_RECORD: Final = b"\x16\x03"

_numbers = itertools.count(1)


@dataclass(slots=True, frozen=True)
class Tls:
    """What a handshake said."""

    version: str
    cipher: str
    certificate: dict[str, Any]
    """The client's, as ``ssl.SSLSocket.getpeercert`` shows it; empty when it has shown none."""


@dataclass(slots=True, frozen=True)
class Parted:
    """What is left of a ``Link`` that is over, for calls that somebody still holds."""

    number: int
    host: str
    port: int
    lost: bool = True
    tls: None = None

    def closed(self, told: Callable[[], None]) -> None:
        """See ``rpc.Link``."""
        told()

    def close(self) -> None:
        """See ``rpc.Link``."""


class Flusher:
    """Connections that have something to write outside of their reads."""

    def __init__(self) -> None:
        self._waiting: deque[Link] = deque()
        self._loop = asyncio.get_running_loop()
        self._scheduled = False

    def add(self, link: Link) -> None:
        """Flush soon."""
        self._waiting.append(link)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        waiting = self._waiting
        for _ in range(min(_LINKS_PER_PASS, len(waiting))):
            waiting.popleft().flush()
        self._scheduled = bool(waiting)
        if waiting:
            self._loop.call_soon(self._flush)


class Link(asyncio.Protocol):
    """See the top of this file. ``gone`` is called once, when the connection is over."""

    __slots__ = (
        "_busy_at",
        "_closing",
        "_flusher",
        "_gone",
        "_heard_at",
        "_listeners",
        "_loop",
        "_moved_at",
        "_pinged_at",
        "_since",
        "_transport",
        "connection",
        "host",
        "lost",
        "made",
        "number",
        "port",
        "secure",
    )

    def __init__(
        self,
        application: Application,
        limits: Limits,
        budget: Budget,
        flusher: Flusher,
        peer: tuple[str, int],
        now: float,
        gone: Callable[[Link], None],
    ) -> None:
        self.number = next(_numbers)
        """Identity: no other connection of this process has it."""
        self.host, self.port = peer
        self.secure = False
        """Whether it came by TLS."""
        self.lost = False
        """It is over."""
        self.made = False
        """There is a socket."""
        self.connection = Connection(application, limits, budget, self._wake, self)
        self._flusher = flusher
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._closing = False
        self._listeners: list[Callable[[], None]] | None = None
        self._since = self._heard_at = self._busy_at = self._pinged_at = self._moved_at = now

    def __repr__(self) -> str:
        return f"<Link {self.number} {self.host}:{self.port}{' lost' if self.lost else ''}>"

    # ------------------------------------------------------------------ what handlers may ask

    @property
    def tls(self) -> Tls | None:
        """What TLS said; None on a plain connection, and on one that is over."""
        found = self._transport.get_extra_info("ssl_object") if self._transport is not None else None
        if found is None:
            return None
        cipher = found.cipher()
        return Tls(found.version() or "", cipher[0] if cipher else "", dict(found.getpeercert() or {}))

    def closed(self, told: Callable[[], None]) -> None:
        """See ``rpc.Link``."""
        if self.lost:
            told()
            return
        if self._listeners is None:
            self._listeners = []
        self._listeners.append(told)

    def close(self) -> None:
        """See ``rpc.Link``."""
        self.drain()
        self._loop.call_later(_CLOSE_S, self._cut_late)

    def _cut_late(self) -> None:
        if not self.lost:
            self.cut()

    def cut(self) -> None:
        """End it, whatever is in flight. Calls end when the loop comes round."""
        self._closing = True
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ asyncio's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See ``asyncio.Protocol``."""
        self._transport = transport
        self.made = True
        self.secure = transport.get_extra_info("ssl_object") is not None
        if self._closing:  # the listener stopped meanwhile
            transport.abort()
            return
        transport.set_write_buffer_limits(high=WRITE_SIZE)
        # Our SETTINGS go out when the client's first bytes are here: an answer in HTTP/1.1 must not have them before it.

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        connection = self.connection
        if not connection.greeted and not connection.ended and self._other_protocol(data):
            return
        connection.receive(data)
        self.flush()

    def _other_protocol(self, data: bytes) -> bool:
        """The first bytes tell what is spoken."""
        if _HTTP1.match(data):
            reason, answer = "http1", _HTTP1_ANSWER
        elif data.startswith(_TLS_RECORD):
            reason, answer = "tls_on_plain_port", b""
        else:
            return False
        self.connection.budget.reasons[reason] += 1
        self.connection.lost(reason)
        self._leave(answer)
        return True

    def eof_received(self) -> None:
        """See ``asyncio.Protocol``: nobody who could read an answer is left, so the transport closes."""

    def pause_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self.connection.writable = False

    def resume_writing(self) -> None:
        """See ``asyncio.Protocol``."""
        self.connection.writable = True
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self.connection.lost("lost")
        self._closing = self.lost = True
        self._transport = None
        listeners, self._listeners = self._listeners, None
        self._gone(self)
        for call in listeners or ():
            call()
        self.connection.let_go(Parted(self.number, self.host, self.port))

    # ------------------------------------------------------------------ writing

    def _wake(self) -> None:
        self._flusher.add(self)

    def flush(self) -> None:
        """Write what there is, until the socket is full."""
        transport = self._transport
        connection = self.connection
        take = connection.take
        if transport is None or self._closing or transport.is_closing():
            take()
            return
        while data := take():
            transport.write(data)
            if transport.is_closing():  # the write failed
                return
        if connection.ended:
            self._leave(b"")
        elif connection.leaving and not connection.streams:
            connection.lost("drained")
            self._leave(b"", patient=True)

    def _leave(self, answer: bytes, *, patient: bool = False) -> None:
        """Close so that what was written arrives: end our side, drop what still comes for a while, then close. For a client
        that does not read we wait only when ``patient``."""
        transport = self._transport
        if self._closing or transport is None or transport.is_closing():
            return
        self._closing = True
        if answer:
            transport.write(answer)
        if not self.connection.writable and not patient:
            transport.abort()
        elif self.secure:  # TLS ends both sides at once
            transport.close()
        else:
            transport.write_eof()
            self._loop.call_later(_LINGER_S, transport.close)

    # ------------------------------------------------------------------ once a second

    def tick(self, now: float, seconds: float) -> None:
        """Time has passed: silence, age, slow readers."""
        connection = self.connection
        if self._closing:
            return
        connection.refill(seconds)
        limits = connection.limits
        if connection.heard:
            connection.heard = False
            connection.pinged = False
            self._heard_at = now
        if not connection.greeted:
            if now - self._since >= limits.handshake_timeout_s:
                self._cut_for("handshake_timeout")
            return
        if connection.pinged:
            if now - self._pinged_at >= limits.keep_alive_timeout_s:
                self._cut_for("keep_alive")
                return
        elif limits.keep_alive_s and now - self._heard_at >= limits.keep_alive_s:
            self._pinged_at = now
            connection.ping()
        self._slow(now)
        self._old(now)

    def _slow(self, now: float) -> None:
        connection = self.connection
        if connection.moved or not connection.unsent:
            connection.moved = False
            self._moved_at = now
        elif connection.congested() and now - self._moved_at >= connection.limits.slow_reader_s:
            connection.budget.reasons["slow_reader"] += 1
            connection.fail(Fault.ENHANCE_YOUR_CALM, f"{connection.unsent} bytes were not read in time")
            self.flush()
        if connection.aside:
            self.flush()  # the listener as a whole may owe less

    def _old(self, now: float) -> None:
        connection = self.connection
        limits = connection.limits
        if connection.streams:
            self._busy_at = now
        age = now - self._since
        if limits.max_age_s and age >= limits.max_age_s + limits.max_age_grace_s:
            self._cut_for("max_age")
        elif not connection.leaving and (
            (limits.max_age_s and age >= limits.max_age_s)
            or (limits.max_idle_s and now - self._busy_at >= limits.max_idle_s)
        ):
            self.drain()

    def _cut_for(self, reason: str) -> None:
        self.connection.budget.reasons[reason] += 1
        self.cut()

    # ------------------------------------------------------------------ leaving gracefully

    def drain(self) -> None:
        """Ask the client to go; close when its calls are answered. Twice is once."""
        connection = self.connection
        if connection.ended or self._closing or connection.asked_to_go:
            return
        connection.ask_to_go()
        self._loop.call_later(_SECOND_GOAWAY_S, self._drain_on)

    def _drain_on(self) -> None:
        if not self.connection.greeted:
            self.cut()
        elif not self._closing:
            self.connection.refuse_more()
            self.flush()
