"""DNS over TCP (RFC 7766): messages of two bytes of length and so many bytes, answered in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from .dns_udp import Resolve

IDLE_S: Final = 8.0
"""How long a connection may be silent, or leave its answers unread."""
_LENGTH: Final = 2
_MOST_UNREAD: Final = 256 * 1024
"""Bytes of answers that may wait for a client before no more of its questions are read."""
_MOST_WAITING: Final = 100
"""Questions of one connection that may wait for answers from elsewhere."""


class TcpConnection(asyncio.Protocol):
    """One client."""

    def __init__(
        self, resolve: Resolve, peer: tuple[str, int], now: Callable[[], float], gone: Callable[[TcpConnection], None]
    ) -> None:
        self.peer = peer
        self.answered = 0
        self.since = now()
        """When it last said or read something."""
        self._resolve = resolve
        self._now = now
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: deque[list[bytes]] = deque()
        """Answers in order, each in a list that is empty until it is there."""
        self._paused = self._draining = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio. A transport of uvloop is none of asyncio's class."""
        self._transport = transport
        transport.set_write_buffer_limits(high=_MOST_UNREAD)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        self._transport = None
        self._gone(self)

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._received += data
        self._take()

    def pause_writing(self) -> None:
        """See asyncio: the client does not read."""
        self._paused = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio."""
        self._paused = False
        self.since = self._now()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
            self._take()

    def sweep(self) -> None:
        """Once a second: let go of who is silent or does not read."""
        if self._transport is None or self._now() - self.since <= IDLE_S:
            return
        if self._paused:
            self.cut()
        elif not self._waiting:
            self._transport.close()

    def drain(self) -> None:
        """Close when everything is answered."""
        self._draining = True
        if not self._waiting and self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _take(self) -> None:
        received = self._received
        at = 0
        while not self._paused and len(self._waiting) < _MOST_WAITING and self._transport is not None:
            end = at + _LENGTH + int.from_bytes(received[at : at + _LENGTH], "big")
            if len(received) < at + _LENGTH or len(received) < end:
                break
            message = bytes(received[at + _LENGTH : end])
            at = end
            self.since = self._now()
            reply = self._resolve(message, self.peer[0], True)
            if reply is None:
                self._transport.close()
                break
            place: list[bytes] = []
            self._waiting.append(place)
            if isinstance(reply, bytes):
                self._answer(place, reply)
            else:
                reply.then(partial(self._answer, place))
        del received[:at]

    def _answer(self, place: list[bytes], message: bytes) -> None:
        place.append(message)
        waiting = self._waiting
        while waiting and waiting[0]:
            (answer,) = waiting.popleft()
            if self._transport is not None and not self._transport.is_closing():
                self._transport.write(len(answer).to_bytes(_LENGTH, "big") + answer)
                self.answered += 1
        if self._draining and not waiting and self._transport is not None:
            self._transport.close()
