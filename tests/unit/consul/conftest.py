"""Tests of sockets run on the loop that we serve with, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

OF_SOCKETS = ("test_consul_dns_listener",)


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Its transports are none of asyncio's classes, and close in ways of their own."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.stem in OF_SOCKETS:
        factories["uvloop"] = uvloop.new_event_loop
    return factories
