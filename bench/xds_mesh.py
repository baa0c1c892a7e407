"""A large registry seen by an Envoy: its first wildcard answers, cold and with everything built, then the price of one change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import grpc
from bridge import Bridge, fine_cpu_seconds
from grpc_load import send_all
from polaris_fleet import REGISTER, SUCCESS, NativeFleet
from report import Row
from xds_clients import CARRIED, STREAM

from polaris_bridge.adapters.xds.wire import messages, types

_PER_SERVICE = 10
_CHANGES = 100
_SETTLES_S = 0.02
"""The last acknowledgement has been read by then."""


def rows(services: int) -> Iterator[Row]:
    """All rows of this part."""
    fleets = [NativeFleet(f"mesh-{n:05d}", _PER_SERVICE, subnet=n % 100) for n in range(services)]
    with Bridge(options=CARRIED) as server:
        everybody = [fleet.registration(n) for fleet in fleets for n in range(fleet.size)]
        send_all(server.grpc, REGISTER, everybody, SUCCESS)
        time.sleep(3)
        cold, built, changes_ms, stalls, size = asyncio.run(_measure(server, fleets))
    what = f"{services:,} services of {_PER_SERVICE}: first clusters and endpoints"
    yield Row(f"{what}, cold", "CPU s", cold, 8, note=f"{size / 1e6:.1f} MB of endpoints")
    yield Row(f"{what}, built", "CPU s", built, 1.5)
    yield Row("longest stall meanwhile, cold", "ms", stalls[0], 20)
    yield Row("longest stall meanwhile, built", "ms", stalls[1], 20)
    yield Row("then one change: registration, one assignment, an Envoy told", "CPU ms", changes_ms[1], 2)
    yield Row("the same with two Envoys", "CPU ms", changes_ms[0])


async def _measure(
    server: Bridge, fleets: list[NativeFleet]
) -> tuple[float, float, tuple[float, float], tuple[float, float], int]:
    warm = _Envoy(server.xds, "warm")
    await warm.ask(types.RUNTIME, ["x"])  # loads the messages
    server.stall_ms()
    before = fine_cpu_seconds(server.pid)
    first = _Envoy(server.xds, "first")
    size = await first.boot(len(fleets))
    cold = fine_cpu_seconds(server.pid) - before
    stall_cold = server.stall_ms()
    before = fine_cpu_seconds(server.pid)
    second = _Envoy(server.xds, "second")
    await second.boot(len(fleets))
    built = fine_cpu_seconds(server.pid) - before
    stall_built = server.stall_ms()
    await asyncio.sleep(2)
    two = await _change_ms(server, fleets, [first, second])
    await first.close()
    one = await _change_ms(server, fleets, [second])
    return cold, built, (two, one), (stall_cold, stall_built), size


async def _change_ms(server: Bridge, fleets: list[NativeFleet], envoys: list[_Envoy]) -> float:
    """CPU of an instance that registers, until everybody was told and has accepted; less what an idle server takes."""
    before = fine_cpu_seconds(server.pid)
    await asyncio.sleep(2)
    idle = (fine_cpu_seconds(server.pid) - before) / 2
    spent = 0.0
    channel = grpc.aio.insecure_channel(server.grpc)
    register: Any = channel.unary_unary(REGISTER, request_serializer=bytes, response_deserializer=bytes)
    for n in range(_CHANGES):
        fleet = fleets[n * 37 % len(fleets)]
        before, began = fine_cpu_seconds(server.pid), time.monotonic()
        assert (await register(fleet.registration(_PER_SERVICE + n + _CHANGES * len(envoys)))).startswith(SUCCESS)
        await asyncio.gather(*(envoy.endpoints() for envoy in envoys))
        await asyncio.sleep(_SETTLES_S)
        spent += fine_cpu_seconds(server.pid) - before - idle * (time.monotonic() - began)
    await channel.close()
    return spent * 1000 / _CHANGES


class _Envoy:
    """A client of the state of the world that keeps to one type after the other."""

    def __init__(self, address: str, name: str) -> None:
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(address, options=options)
        self._call: Any = self._channel.stream_stream(STREAM, request_serializer=bytes, response_deserializer=bytes)()
        self._node = messages.base.Node(id=f"sidecar~default/{name}~127.0.0.1", user_agent_name="envoy")
        self._names: list[str] = []

    async def ask(self, type_url: str, names: list[str]) -> Any:
        request = messages.discovery.DiscoveryRequest(type_url=type_url, resource_names=names, node=self._node)
        await self._call.write(request.SerializeToString())
        return await self._answer(type_url, names)

    async def _answer(self, type_url: str, names: list[str]) -> Any:
        data = await self._call.read()
        if data is grpc.aio.EOF:
            raise RuntimeError(f"the stream ended: {await self._call.code()} {await self._call.details()}")
        response = messages.discovery.DiscoveryResponse.FromString(data)
        assert response.type_url == type_url, response.type_url
        accepted = messages.discovery.DiscoveryRequest(
            type_url=type_url,
            resource_names=names,
            version_info=response.version_info,
            response_nonce=response.nonce,
        )
        await self._call.write(accepted.SerializeToString())
        return response

    async def boot(self, services: int) -> int:
        """Clusters, then the endpoints of all; the octets of those."""
        clusters = await self.ask(types.CLUSTER, [])
        found = [messages.cluster.Cluster.FromString(each.value) for each in clusters.resources]
        self._names = [each.name for each in found if each.type == 3]
        assert len(self._names) >= services, len(self._names)
        answer = await self.ask(types.ASSIGNMENT, self._names)
        held, size = len(answer.resources), answer.ByteSize()
        while held < len(self._names):
            answer = await self._answer(types.ASSIGNMENT, self._names)
            held += len(answer.resources)
            size += answer.ByteSize()
        return size

    async def close(self) -> None:
        """The Envoy goes."""
        self._call.cancel()
        await self._channel.close()

    async def endpoints(self) -> None:
        """The next change."""
        answer = await self._answer(types.ASSIGNMENT, self._names)
        assert len(answer.resources) == 1, len(answer.resources)
