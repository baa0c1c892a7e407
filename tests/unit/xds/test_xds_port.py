"""The port as clients find it: every method, its errors, credentials, and a server that stops."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import httpx
import pytest

from polaris_bridge.adapters.xds.server.grpc import AGGREGATED, SINGLE
from polaris_bridge.adapters.xds.service.stream import Stream
from polaris_bridge.adapters.xds.service.subscription import Subscription
from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.testing import Running, server

STATE = AGGREGATED + "StreamAggregatedResources"
RUNTIME = types.RUNTIME
DELTA = AGGREGATED + "DeltaAggregatedResources"


@asynccontextmanager
async def stream(address: str, method: str, metadata: Any = None, options: Any = None) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        call: Any = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)(
            metadata=metadata
        )
        yield call
        call.cancel()


def asks(type_url: str, *names: str) -> bytes:
    request = messages.discovery.DiscoveryRequest(type_url=type_url, resource_names=names)
    request.node.id = "sidecar~default/pod-1~127.0.0.1"
    data: bytes = request.SerializeToString()
    return data


async def layers(call: Any, request: bytes) -> list[str]:
    await call.write(request)
    answer = messages.discovery.DiscoveryResponse.FromString(await call.read())
    return [messages.rtds.Runtime.FromString(each.value).name for each in answer.resources if RUNTIME in each.type_url]


async def ended(call: Any) -> tuple[grpc.StatusCode, str]:
    with suppress(grpc.aio.AioRpcError):
        assert await call.read() is grpc.aio.EOF
    return await call.code(), await call.details()


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_all_methods_are_there(transport: str) -> None:
    async with server(sets=[f"apiservers.xds-v3.option.transport={transport}"]) as running:
        async with stream(running.xds, STATE) as call:
            assert await layers(call, asks(types.RUNTIME, "base")) == ["base"]
        async with stream(running.xds, DELTA) as call:
            await call.write(messages.discovery.DeltaDiscoveryRequest(type_url=types.LISTENER).SerializeToString())
            answer = messages.discovery.DeltaDiscoveryResponse.FromString(await call.read())
            assert answer.type_url == types.LISTENER
        for type_url, (service, state, delta) in SINGLE.items():
            if state:
                async with stream(running.xds, f"/envoy.service.{service}{state}") as call:
                    await call.write(asks("", "nobody"))
                    assert messages.discovery.DiscoveryResponse.FromString(await call.read()).type_url == type_url
            async with stream(running.xds, f"/envoy.service.{service}{delta}") as call:
                request = messages.discovery.DeltaDiscoveryRequest(resource_names_subscribe=["nobody"])
                await call.write(request.SerializeToString())
                assert messages.discovery.DeltaDiscoveryResponse.FromString(await call.read()).type_url == type_url


async def test_envoys_ask_for_limits_here_too() -> None:
    async with server() as running, grpc.aio.insecure_channel(running.xds) as channel:
        ask: Any = channel.unary_unary("/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(b"")
        assert "domain" in refused.value.details()


@pytest.mark.parametrize(
    "method",
    ["load_stats.v3.LoadReportingService/StreamLoadStats", "status.v3.ClientStatusDiscoveryService/FetchClientStatus"],
)
async def test_what_is_not_served_is_unimplemented(method: str) -> None:
    async with server() as running, stream(running.xds, f"/envoy.service.{method}") as call:
        assert (await ended(call))[0] == grpc.StatusCode.UNIMPLEMENTED


async def test_bytes_that_are_no_request_end_the_stream() -> None:
    async with server() as running, stream(running.xds, STATE) as call:
        await call.write(b"\x0a\xff")
        code, text = await ended(call)
        assert code == grpc.StatusCode.INTERNAL
        assert text.startswith("grpc: error unmarshalling request")


async def test_a_server_that_stops_sends_its_clients_elsewhere() -> None:
    async with server() as running, stream(running.xds, STATE) as call:
        await layers(call, asks(types.RUNTIME, "base"))
        await running.server.stop()
        assert (await ended(call))[0] == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_stream_that_is_over_is_forgotten_at_once(transport: str) -> None:
    async with server(sets=[f"apiservers.xds-v3.option.transport={transport}"]) as running:
        async with stream(running.xds, STATE) as call:
            await layers(call, asks(types.RUNTIME, "base"))
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                async with stream(running.xds, STATE) as call:
                    await layers(call, asks(types.RUNTIME, "base"))
                    await layers(call, asks(types.CLUSTER))
            async with stream(running.xds, STATE) as call:  # those before it are over when it is answered
                await layers(call, asks(types.RUNTIME, "base"))
                left = [each for each in gc.get_objects() if isinstance(each, Stream | Subscription)]
                assert len(left) <= 2 * 2, left  # this one's, and at most one that is just ending
        finally:
            gc.enable()


async def token_of(running: Running) -> str:
    async with httpx.AsyncClient(base_url=running.front, timeout=20) as client:
        answer = await client.post("/core/v1/user/login", json={"name": "polaris", "password": "secret-1"})
        token: str = answer.json()["loginResponse"]["token"]
        return token


async def test_with_auth_streams_show_a_token() -> None:
    options = ["apiservers.xds-v3.option.auth=true", "auth.user.option.initialPassword=secret-1"]
    async with server(sets=options) as running:
        async with stream(running.xds, STATE) as call:
            assert (await ended(call))[0] == grpc.StatusCode.UNAUTHENTICATED
        async with stream(running.xds, STATE, [("x-polaris-token", "nonsense")]) as call:
            assert (await ended(call))[0] == grpc.StatusCode.UNAUTHENTICATED
        token = await token_of(running)
        for metadata in ([("x-polaris-token", token)], [("authorization", f"Bearer {token}")]):
            async with stream(running.xds, STATE, metadata) as call:
                assert await layers(call, asks(types.RUNTIME, "base")) == ["base"]
