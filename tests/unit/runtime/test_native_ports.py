"""The native ports of a whole server, with messages that somebody else's code built."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import httpx
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc import aio

from polaris_bridge.testing import Running, server


def sdk_messages() -> tuple[Any, Any]:
    """Messages of package ``v1`` in the process's default pool, where a Polaris SDK registers its own."""
    texts = [("service", 2), ("namespace", 3), ("host", 4)]
    file = descriptor_pb2.FileDescriptorProto(name="sdk/service.proto", package="v1", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    instance = file.message_type.add(name="Instance")
    optional = descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL
    message = descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE
    kinds = [(name, number, ".google.protobuf.StringValue") for name, number in texts]
    for name, number, kind in [*kinds, ("port", 5, ".google.protobuf.UInt32Value")]:
        instance.field.add(name=name, number=number, label=optional, type=message, type_name=kind)
    response = file.message_type.add(name="Response")
    response.field.add(name="code", number=1, label=optional, type=message, type_name=".google.protobuf.UInt32Value")
    pool: Any = descriptor_pool.Default()
    try:
        pool.FindMessageTypeByName("v1.Instance")
    except KeyError:
        import google.protobuf.wrappers_pb2  # noqa: F401 - puts them into the pool

        pool.Add(file)
    return tuple(  # type: ignore[return-value]
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in ("Instance", "Response")
    )


async def register(running: Running, **fields: Any) -> int:
    instance, response = sdk_messages()
    async with aio.insecure_channel(running.grpc) as channel:
        call: Any = channel.unary_unary(
            "/v1.PolarisGRPC/RegisterInstance",
            request_serializer=instance.SerializeToString,
            response_deserializer=response.FromString,
        )
        place = {"service": {"value": "orders"}, "namespace": {"value": "default"}, "host": {"value": "10.0.0.1"}}
        answer = await call(instance(**{**place, "port": {"value": 8080}, **fields}))
    code: int = answer.code.value
    return code


async def test_beside_an_sdk_in_the_same_process() -> None:
    async with server() as running:
        assert await register(running) == 200000
        async with httpx.AsyncClient() as client:
            seen = await client.get(f"{running.eureka}/apps/orders", headers={"accept": "application/json"})
            listed = await client.get(f"{running.front}/naming/v1/instances?service=orders&namespace=default")
        assert seen.json()["application"]["instance"][0]["ipAddr"] == "10.0.0.1"
        assert [i["host"] for i in listed.json()["instances"]] == ["10.0.0.1"]


async def test_a_closed_group() -> None:
    closed = "apiservers.service-grpc.api.client={enable: true, include: [discover]}"
    async with server(sets=[closed]) as running:
        assert await register(running) == 400401


async def test_a_closed_group_of_http_is_no_route() -> None:
    closed = "apiservers.api-http.api={console: {enable: false}, client: {enable: true, include: [discover]}}"
    async with server(sets=[closed]) as running, httpx.AsyncClient(base_url=running.front) as client:
        assert (await client.get("/naming/v1/services")).status_code == 404
        assert (await client.post("/v1/Heartbeat", json={})).status_code == 404
        assert (await client.post("/v1/Discover", json={})).status_code == 400


async def test_the_server_is_in_its_own_registry() -> None:
    async with server() as running, httpx.AsyncClient(base_url=running.front) as client:
        found = (await client.get("/naming/v1/instances?service=polaris.checker&namespace=Polaris")).json()
    (own,) = found["instances"]
    assert f"{own['host']}:{own['port']}" == running.grpc
    assert own["healthy"]


async def test_what_a_group_without_heartbeats_means() -> None:
    async with server(sets=["healthcheck.open=false"]) as running, httpx.AsyncClient(base_url=running.front) as client:
        answer = (await client.post("/v1/Heartbeat", json={"id": "x"})).json()
    assert answer["code"] == 400140


async def test_a_stop_ends_streams_so_that_clients_go_elsewhere() -> None:
    ended: asyncio.Future[grpc.StatusCode] = asyncio.get_running_loop().create_future()

    async def wait(channel: Any) -> None:
        call = channel.stream_stream("/v1.PolarisGRPC/Discover")()
        with pytest.raises(aio.AioRpcError) as error:
            await call.read()
        ended.set_result(error.value.code())

    async with server() as running:
        channel = aio.insecure_channel(running.grpc)
        waiting = asyncio.create_task(wait(channel))
        await asyncio.wait_for(channel.channel_ready(), 5)
    await waiting
    await channel.close()
    assert ended.result() == grpc.StatusCode.UNAVAILABLE
