"""Checks that say something and want an answer: over a connection, or in a datagram."""

from __future__ import annotations

import asyncio
from typing import Final

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING

_READ: Final = 16 * 1024
_MOST: Final = 1024 * 1024
"""Bytes of an answer that are read."""


async def over_tcp(check: Check) -> Outcome:
    """Connect, send, and read until one of the wanted answers is there. Raises ``OSError`` (``TimeoutError`` included).

    polaris-go reads until the other side hangs up; here who answers and stays is well too.
    """
    async with asyncio.timeout(check.timeout_ms / 1000):
        reader, writer = await asyncio.open_connection(check.host, check.port)
        try:
            writer.write(check.send)
            await writer.drain()
            if not check.receive:
                return Outcome(PASSING, "sent")
            heard = b""
            while heard not in check.receive and len(heard) < _MOST:
                data = await reader.read(_READ)
                if not data:
                    break
                heard += data
        finally:
            writer.transport.abort()
    return _judged(check, heard)


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, heard: asyncio.Future[bytes]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._heard.done():
            self._heard.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._heard.done():
            self._heard.set_exception(exc)


async def over_udp(check: Check) -> Outcome:
    """Send, and read one datagram. Raises ``OSError`` (``TimeoutError`` included)."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Asking(heard), remote_addr=(check.host, check.port))
    try:
        transport.sendto(check.send)
        async with asyncio.timeout(check.timeout_ms / 1000):
            return _judged(check, await heard)
    finally:
        transport.abort()


def _judged(check: Check, heard: bytes) -> Outcome:
    if not check.receive or heard in check.receive:
        return Outcome(PASSING, "answered")
    return Outcome(CRITICAL, f"another answer than wanted: {len(heard)} bytes")
