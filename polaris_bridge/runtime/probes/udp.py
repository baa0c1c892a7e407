"""The UDP check: a datagram is sent; an answer, or none at all within the timeout, is well; a refusal is not."""

from __future__ import annotations

import asyncio
from typing import Final

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import PASSING

_PAYLOAD: Final = b"\n"


class _Asking(asyncio.DatagramProtocol):
    def __init__(self, heard: asyncio.Future[None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self._heard.done():
            self._heard.set_result(None)

    def error_received(self, exc: Exception) -> None:
        if not self._heard.done():
            self._heard.set_exception(exc)


async def perform(check: Check) -> Outcome:
    """Ask. Raises ``OSError`` when the datagram is refused."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Asking(heard), remote_addr=(check.host, check.port))
    try:
        transport.sendto(_PAYLOAD)
        async with asyncio.timeout(check.timeout_ms / 1000):
            await heard
    except TimeoutError:
        return Outcome(PASSING, "no answer, and no refusal")
    finally:
        transport.abort()
    return Outcome(PASSING, "answered")
