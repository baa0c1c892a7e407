"""Clients in bad shape and in numbers: one that reads nothing, five hundred that come back after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from test_xds_port import RUNTIME, STATE, asks, layers, stream

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.xds.service import telling
from polaris_bridge.adapters.xds.service.plane import Plane
from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.testing import Running, server


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110  # conditions of what is tested, not of this program
            await asyncio.sleep(0.01)


async def test_a_client_that_reads_nothing_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "SLOW_S", 0.5)
    small = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
    async with server() as running:
        async with stream(running.xds, STATE, options=small) as call:
            await call.write(asks(RUNTIME, *(f"{n:04}" + "x" * 500 for n in range(4000))))
            plane: Plane = running.server._xds  # type: ignore[assignment]
            await until(lambda: plane.telling.counts.dropped)
            assert plane.telling.counts.dropped == {"slow_reader": 1}
        await until(lambda: not plane.telling.streams)
        async with stream(running.xds, STATE) as call:
            assert await layers(call, asks(RUNTIME, "base")) == ["base"]


async def test_five_hundred_clients_come_back_after_a_restart(tmp_path: Path) -> None:
    """Each is told what it knows, under the version that it knows; then a change."""
    versions: set[str] = set()
    for instances in (1, 1, 2):
        async with server(data=tmp_path) as running:
            await registered(running, instances)
            async with grpc.aio.insecure_channel(running.xds) as channel:
                open_stream: Any = channel.stream_stream(STATE, request_serializer=bytes, response_deserializer=bytes)
                calls = [open_stream() for _ in range(500)]
                versions |= set(await asyncio.gather(*(endpoints(call, instances) for call in calls)))
                for call in calls:
                    call.cancel()
    assert len(versions) == 2


async def registered(running: Running, instances: int) -> None:
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        register: Any = channel.unary_unary(
            "/v1.PolarisGRPC/RegisterInstance", request_serializer=bytes, response_deserializer=v1.Response.FromString
        )
        for n in range(instances):
            instance = v1.Instance()
            instance.namespace.value, instance.service.value = "default", "orders"
            instance.host.value, instance.port.value = f"10.0.0.{n + 1}", 8080
            assert (await register(instance.SerializeToString())).code.value == 200000


async def endpoints(call: Any, expected: int) -> str:
    await call.write(asks(types.ASSIGNMENT, "OUTBOUND|default|orders"))
    answer = messages.discovery.DiscoveryResponse.FromString(await call.read())
    [packed] = answer.resources
    assignment = messages.endpoint.ClusterLoadAssignment.FromString(packed.value)
    assert sum(len(locality.lb_endpoints) for locality in assignment.endpoints) == expected
    version: str = answer.version_info
    return version
