"""Servers of our own as registries elsewhere: each has a store of its own, so echoes and outages are real."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from polaris_bridge import testing


@pytest.fixture
async def elsewhere() -> AsyncIterator[testing.Running]:
    """A server with every protocol, and nothing in it."""
    async with testing.server() as running:
        yield running
