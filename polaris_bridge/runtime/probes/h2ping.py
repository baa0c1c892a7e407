"""The H2PING check: whoever speaks HTTP/2 and answers a ping is well."""

from __future__ import annotations

import asyncio
from typing import Final

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import PASSING

from . import tls

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
_ACKNOWLEDGED: Final = b"\0\0\0\4\1\0\0\0\0"
_OPAQUE: Final = b"healthy?"
_PING: Final = b"\0\0\x08\6\0\0\0\0\0" + _OPAQUE
_IS_PING, _IS_SETTINGS, _ACK = 6, 4, 1
_MOST_FRAMES: Final = 100
_MOST_LENGTH: Final = 16_384


async def perform(check: Check) -> Outcome:
    """Ask. Raises ``OSError`` (``TimeoutError`` included) when nobody answers so."""
    async with asyncio.timeout(check.timeout_ms / 1000):
        reader, writer = await asyncio.open_connection(
            check.host, check.port, ssl=tls.context(check, ("h2",)), server_hostname=tls.name(check)
        )
        try:
            writer.write(_PREFACE + _SETTINGS + _PING)
            for _ in range(_MOST_FRAMES):
                head = await reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                if length > _MOST_LENGTH:
                    break
                body = await reader.readexactly(length)
                if head[3] == _IS_SETTINGS and not head[4] & _ACK:
                    writer.write(_ACKNOWLEDGED)
                if head[3] == _IS_PING and head[4] & _ACK and body == _OPAQUE:
                    return Outcome(PASSING, "HTTP2 ping was successful")
        except asyncio.IncompleteReadError:
            raise OSError("the connection ended") from None
        finally:
            writer.transport.abort()
    raise OSError("it does not answer pings of HTTP/2")
