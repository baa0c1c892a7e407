"""Binding, describing, draining and stopping; the standard services."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import grpc
import pytest
from calling import STREAM, UNARY, WAIT_S, Answer, Bench, ending, failure, until
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from polaris_bridge.adapters._shared.grpc_listener import GrpcListener
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import Methods, Status

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


# ---------------------------------------------------------------------- binding


async def test_what_is_shown_of_it(bench: Bench) -> None:
    listener = await bench.listen()
    shown = listener.describe()
    assert (shown.name, shown.host, shown.scheme, shown.client_certificates) == ("test", "127.0.0.1", "grpc", False)
    assert shown.port == listener.port > 0


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])
async def test_a_port_that_is_taken_is_named_with_the_way_out(bench: Bench, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=r"set listenIP / listenPort") as error:
            await bench.listen(host=host, port=port)
    assert f"test cannot listen on {host}:{port}: Address already in use" in str(error.value)


async def test_two_listeners_never_share_a_port(bench: Bench) -> None:
    first = await bench.listen()
    with pytest.raises(OSError, match="Address already in use"):
        await bench.listen(port=first.port)


async def test_an_address_of_another_machine_and_no_address_at_all(bench: Bench) -> None:
    with pytest.raises(OSError, match=r"test cannot listen on 192.0.2.1:0: Cannot assign"):
        await bench.listen(host="192.0.2.1")
    with pytest.raises(OSError, match="'no such host' is no address"):
        await bench.listen(host="no such host")


def test_paths_of_the_table_are_checked() -> None:
    methods = Methods()
    methods.unary(UNARY, lambda message, _call: message)
    with pytest.raises(ValueError, match="has a handler already"):
        methods.unary(UNARY, lambda message, _call: message)
    for wrong in ("test.Echo/Unary", "/Unary", "/a/b/c", "/test.Echo/"):
        with pytest.raises(ValueError, match="no gRPC path"):
            methods.unary(wrong, lambda message, _call: message)
    assert methods.services == ["test.Echo"]


# ---------------------------------------------------------------------- health and reflection


async def health(channel, service: str) -> int:
    asked = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    return health_pb2.HealthCheckResponse.FromString(await channel.unary_unary(CHECK)(asked)).status


async def test_health_of_the_port_and_of_each_service(bench: Bench) -> None:
    channel = bench.channel(await bench.listen())
    assert [await health(channel, name) for name in ("", "test.Echo")] == [SERVING, SERVING]
    assert await failure(health(channel, "test.Other")) == (Status.NOT_FOUND, "unknown service")
    assert (await failure(channel.unary_unary(CHECK)(b"\xff\xff")))[0] == Status.INTERNAL


async def test_who_watches_health_is_told_when_the_listener_drains(bench: Bench) -> None:
    listener = await bench.listen()
    stream = bench.channel(listener).unary_stream(WATCH)(b"")
    unknown = bench.channel(listener).unary_stream(WATCH)(
        health_pb2.HealthCheckRequest(service="x").SerializeToString()
    )

    async def told(watch) -> int:
        return health_pb2.HealthCheckResponse.FromString(await asyncio.wait_for(watch.read(), WAIT_S)).status

    assert [await told(stream), await told(unknown)] == [SERVING, SERVICE_UNKNOWN]
    drained = asyncio.ensure_future(listener.drain())
    assert await told(stream) == NOT_SERVING
    assert (await ending(stream))[0] == Status.UNAVAILABLE
    await asyncio.wait_for(drained, WAIT_S)
    assert listener._health._watchers == {}


def pool() -> DescriptorPool:
    made = DescriptorPool()
    file = FileDescriptorProto(name="echo.proto", package="test", syntax="proto3")
    file.message_type.add(name="Text").field.add(name="text", number=1, type=9, label=1)
    method = file.service.add(name="Echo").method.add(name="Unary")
    method.input_type = method.output_type = ".test.Text"
    made.Add(file)
    return made


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_services_and_files_of_the_adapters_own_pool(bench: Bench, version: str) -> None:
    path = f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"
    stream = bench.channel(await bench.listen(pool=pool())).stream_stream(path)()

    async def ask(**what):
        await stream.write(reflection_pb2.ServerReflectionRequest(**what).SerializeToString())
        return reflection_pb2.ServerReflectionResponse.FromString(await asyncio.wait_for(stream.read(), WAIT_S))

    listed = {service.name for service in (await ask(list_services="")).list_services_response.service}
    assert listed == {"test.Echo", "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    for name in ("test.Echo", "test.Text", "test.Echo.Unary"):
        found = (await ask(file_containing_symbol=name)).file_descriptor_response.file_descriptor_proto
        assert [FileDescriptorProto.FromString(file).name for file in found] == ["echo.proto"]
    assert (await ask(file_by_filename="echo.proto")).HasField("file_descriptor_response")
    assert (await ask(file_containing_symbol="grpc.health.v1.Health")).HasField("file_descriptor_response")
    assert (await ask(file_containing_symbol="test.Missing")).error_response.error_code == Status.NOT_FOUND
    assert (await ask()).error_response.error_code == Status.INVALID_ARGUMENT
    assert (await ask(all_extension_numbers_of_type="test.Text")).HasField("all_extension_numbers_response")
    extension = reflection_pb2.ExtensionRequest(containing_type="test.Text", extension_number=7)
    assert (await ask(file_containing_extension=extension)).error_response.error_code == Status.NOT_FOUND
    await stream.write(b"\xff\xff\xff")
    assert (await ending(stream))[0] == Status.INTERNAL


# ---------------------------------------------------------------------- ends


async def test_drain_answers_what_is_in_flight_and_sends_streams_elsewhere(bench: Bench) -> None:
    answer, owed = Answer(), Answer()
    bench.unary = lambda _message, _call: answer
    bench.script = lambda _call, message: owed if message == b"slow" else message
    listener = await bench.listen()
    channel = bench.channel(listener)
    call = asyncio.ensure_future(channel.unary_unary(UNARY)(b"x"))
    quiet, busy = channel.stream_stream(STREAM)(), channel.stream_stream(STREAM)()
    await quiet.write(b"x")
    assert await quiet.read() == b"x"
    await busy.write(b"slow")
    await answer.asked.wait()
    await owed.asked.wait()
    drained = asyncio.ensure_future(listener.drain())
    assert await ending(quiet) == (Status.UNAVAILABLE, "the server is stopping")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", listener.port)
    assert not drained.done()
    await answer.settle(b"unary is answered")
    await owed.settle(b"stream too")
    assert await asyncio.wait_for(call, WAIT_S) == b"unary is answered"
    assert await asyncio.wait_for(busy.read(), WAIT_S) == b"stream too"
    assert (await ending(busy))[0] == Status.UNAVAILABLE
    await asyncio.wait_for(drained, WAIT_S)
    await listener.stop(1)


async def test_drain_under_load_fails_no_call_that_was_begun(bench: Bench) -> None:
    """What arrives in the moment of the end has not been begun: grpcio ends it with CANCELLED, later ones with UNAVAILABLE."""
    handled = [0]

    def count(message: bytes, _call) -> bytes:
        handled[0] += 1
        return message

    bench.unary = count
    listener = await bench.listen()
    answered = [0]
    refusals: list[tuple[int, str]] = []

    async def client() -> None:
        channel = bench.channel(listener, enable_retries=0)
        call = channel.unary_unary(UNARY)
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                try:
                    assert await call(b"x") == b"x"
                except grpc.aio.AioRpcError as error:
                    refusals.append((error.code().value[0], error.details() or ""))
                    return
                answered[0] += 1

    clients = [asyncio.ensure_future(client()) for _ in range(8)]
    await until(lambda: answered[0] > 200)
    await asyncio.wait_for(listener.drain(), WAIT_S)
    await asyncio.wait_for(asyncio.gather(*clients), WAIT_S)
    assert handled[0] == answered[0]
    assert {code for code, _ in refusals} <= {Status.UNAVAILABLE, Status.CANCELLED}


async def test_stop_cuts_what_does_not_end_and_says_so(bench: Bench, caplog) -> None:
    asked: list[Answer] = []
    bench.unary = lambda _message, _call: asked.append(Answer()) or asked[0]
    listener = await bench.listen()
    call = asyncio.ensure_future(failure(bench.channel(listener).unary_unary(UNARY)(b"x")))
    await until(lambda: asked)
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(WAIT_S):
            await listener.stop(0.05)
    assert (await call)[0] in (Status.CANCELLED, Status.UNAVAILABLE)
    assert [r.getMessage() for r in caplog.records] == ["test: calls of 1 connections cut after 0.05 s"]
    await listener.stop(0)


async def test_stop_before_start_and_while_a_drain_waits(bench: Bench) -> None:
    await GrpcListener(GrpcSettings(name="never", port=0), Methods()).stop(1)
    arrived: list[bytes] = []

    def never(message: bytes, _call: object) -> Answer:
        arrived.append(message)
        return Answer()

    bench.unary = never
    listener = await bench.listen()
    call = asyncio.ensure_future(failure(bench.channel(listener).unary_unary(UNARY)(b"x")))
    await until(lambda: arrived)
    drain = asyncio.ensure_future(listener.drain())
    async with asyncio.timeout(WAIT_S):
        await listener.stop(0.05)
        await call
        with contextlib.suppress(asyncio.CancelledError):
            await drain


async def test_an_idle_connection_does_not_hold_up_the_end(bench: Bench) -> None:
    listener = await bench.listen()
    channel = bench.channel(listener)
    assert await channel.unary_unary(UNARY)(b"x") == b"x"
    async with asyncio.timeout(WAIT_S):
        await listener.drain()
        await listener.stop(1)
