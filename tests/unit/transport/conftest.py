"""Tests with sockets run on the standard loop and on the one we serve with; ``port`` ends what it started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from transport_port import Port


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    made = Port()
    yield made
    await made.end()
