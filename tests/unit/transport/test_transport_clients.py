"""Real clients of grpcio against the listener: every kind of call, sizes, metadata, deadlines, cancellation, gzip."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from peer import STREAM, UNARY, Later
from transport_port import WAIT_S, Port, failure, until

from polaris_bridge.transport.rpc import RpcError, Status


async def test_bytes_go_in_and_out_with_the_callers_address_and_headers(port: Port) -> None:
    seen: list[object] = []

    def answer(message: bytes, call) -> bytes:
        names = ("x-token", "absent", "x-raw-bin", "user-agent")
        seen.extend((call.path, call.peer, *(call.metadata(name) for name in names)))
        return message[::-1]

    port.unary = answer
    channel = port.channel(await port.listen())
    metadata = (("x-token", "first"), ("x-token", "second"), ("x-raw-bin", b"\x00\xff"))
    assert await channel.unary_unary(UNARY)(b"\x00abc", metadata=metadata) == b"cba\x00"
    assert seen[:5] == [UNARY, "127.0.0.1", "first", None, "\x00\xff"]
    assert "grpc" in str(seen[5])
    assert [what[:2] for what in port.observed] == [(UNARY, 0)]


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_536, 4 * 2**20, 30 * 2**20])
async def test_messages_of_any_size_both_ways(port: Port, size: int) -> None:
    listener = await port.listen(max_receive=32 * 2**20)
    channel = port.channel(listener, max_receive_message_length=-1)
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert await channel.unary_unary(UNARY)(body) == body
    stream = channel.stream_stream(STREAM)()
    await stream.write(body)
    assert await stream.read() == body
    await stream.done_writing()
    assert await stream.code() == grpc.StatusCode.OK
    assert (listener.budget.unsent, listener.budget.held) == (0, 0)


async def test_messages_above_the_limits(port: Port) -> None:
    listener = await port.listen(max_receive=1000, max_send=1000)
    unary = port.channel(listener).unary_unary(UNARY)
    assert await failure(unary(b"x" * 1001)) == (8, "grpc: received message larger than max (1001 vs. 1000)")
    port.unary = lambda _message, _call: b"x" * 1001
    assert await failure(unary(b"")) == (8, "grpc: trying to send message larger than max (1001 vs. 1000)")
    assert listener.counters().refusals == {8: 2}


async def test_gzip_both_ways(port: Port) -> None:
    channel = port.channel(await port.listen())
    body = b"compressible" * 10_000
    assert await channel.unary_unary(UNARY)(body, compression=grpc.Compression.Gzip) == body
    stream = channel.stream_stream(STREAM)(compression=grpc.Compression.Gzip)
    for _ in range(3):
        await stream.write(body)
        assert await stream.read() == body


async def test_streams_of_many_messages_in_order(port: Port) -> None:
    channel = port.channel(await port.listen())
    stream = channel.stream_stream(STREAM)()

    async def ask() -> None:
        for n in range(2000):
            await stream.write(b"%d " % n + b"x" * (n * 10 % 20_000))
        await stream.done_writing()

    asking = asyncio.ensure_future(ask())
    async with asyncio.timeout(4 * WAIT_S):
        for n in range(2000):
            assert (await stream.read()).startswith(b"%d " % n)
        await asking
        assert await stream.read() is grpc.aio.EOF


async def test_many_calls_at_once_on_one_connection(port: Port) -> None:
    listener = await port.listen()
    unary = port.channel(listener).unary_unary(UNARY)
    answers = await asyncio.gather(*(unary(b"%d" % n) for n in range(1500)))
    assert answers == [b"%d" % n for n in range(1500)]
    assert listener.counters().connections_open == 1


async def test_handlers_choose_the_status_and_failures_tell_nothing(port: Port, caplog) -> None:
    def refuse(message: bytes, _call) -> bytes:
        if message == b"fail":
            raise ZeroDivisionError("secret")
        raise RpcError(Status.ABORTED, "für später")

    port.unary = refuse
    listener = await port.listen()
    unary = port.channel(listener).unary_unary(UNARY)
    assert await failure(unary(b"")) == (10, "für später")
    with caplog.at_level(logging.WARNING):
        assert await failure(unary(b"fail")) == (13, "internal error")
    assert [record.getMessage() for record in caplog.records] == [f"test: {UNARY} failed: ZeroDivisionError('secret')"]
    assert listener.counters().errors == 1
    assert await failure(port.channel(listener).unary_unary("/test.Echo/No")(b"")) == (
        12, "unknown method No for service test.Echo",
    )  # fmt: skip


async def test_deadlines_end_what_takes_too_long(port: Port) -> None:
    later = Later()
    port.unary = lambda _message, _call: later
    port.script = lambda _call, _message: later
    listener = await port.listen()
    channel = port.channel(listener)
    assert (await failure(channel.unary_unary(UNARY)(b"", timeout=0.1)))[0] == 4
    stream = channel.stream_stream(STREAM)(timeout=0.1)
    await stream.write(b"x")
    assert await stream.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: port.streams[0].events == ["close"])
    later.settle(b"too late")
    await until(lambda: not next(iter(listener.links)).connection.streams)


async def test_cancelling_reaches_the_handler(port: Port) -> None:
    listener = await port.listen()
    stream = port.channel(listener).stream_stream(STREAM)()
    await stream.write(b"x")
    assert await stream.read() == b"x"
    stream.cancel()
    await until(lambda: port.streams[0].events == ["close"])
    assert listener.counters().streams_open == 0


async def test_pushes_and_answers_that_come_later(port: Port) -> None:
    later = Later()
    port.script = lambda _call, _message: later
    stream = port.channel(await port.listen()).stream_stream(STREAM)()
    await stream.write(b"x")
    await until(lambda: port.streams and port.streams[0].seen)
    port.streams[0].call.send(b"push")
    later.settle(b"answer")
    assert [await stream.read(), await stream.read()] == [b"push", b"answer"]
    port.streams[0].call.finish(Status.UNAVAILABLE, "elsewhere")
    assert await stream.code() == grpc.StatusCode.UNAVAILABLE
    assert await stream.details() == "elsewhere"


@pytest.mark.parametrize("kind", ["unary_stream", "stream_unary"])
async def test_the_other_kinds_of_calls_are_streams_here(port: Port, kind: str) -> None:
    channel = port.channel(await port.listen())
    if kind == "unary_stream":
        assert [answer async for answer in channel.unary_stream(STREAM)(b"one")] == [b"one"]
    else:
        port.script = lambda call, message: message if message == b"last" else None
        assert await channel.stream_unary(STREAM)(iter([b"a", b"b", b"last"])) == b"last"
