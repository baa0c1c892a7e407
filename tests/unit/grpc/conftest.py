"""Every test here runs on the standard loop and on the one we serve with; ``bench`` ends what it started."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from calling import Bench

from polaris_bridge.adapters._shared.grpc_listener import GrpcListener
from polaris_bridge.adapters._shared.native_grpc import NativeGrpcListener


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=[GrpcListener, NativeGrpcListener], ids=["grpcio", "native"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """Both transports serve the same table in the same way."""
    made = Bench(request.param)
    yield made
    await made.end()
