"""The TCP check: whoever accepts a connection is well."""

from __future__ import annotations

import asyncio

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import PASSING

from . import tls


async def perform(check: Check) -> Outcome:
    """Connect, and hang up at once. Raises ``OSError`` (``TimeoutError`` included) when there is no connection."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(check.timeout_ms / 1000):
        transport, _ = await loop.create_connection(
            asyncio.Protocol, check.host, check.port, ssl=tls.context(check), server_hostname=tls.name(check)
        )
    transport.close()
    return Outcome(PASSING, "connected")
