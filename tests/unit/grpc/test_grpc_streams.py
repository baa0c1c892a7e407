"""Streams: one answer a message in order, pushes, ends from either side."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from calling import STREAM, WAIT_S, Answer, Bench, ending, streams_of, until

from polaris_bridge.transport.rpc import RpcError, Status


async def opened(bench: Bench, **options):
    listener = await bench.listen(**options)
    return listener, bench.channel(listener, max_receive_message_length=-1).stream_stream(STREAM)()


async def exchange(stream, message: bytes) -> bytes:
    async with asyncio.timeout(WAIT_S):
        await stream.write(message)
        return await stream.read()


async def test_every_message_is_answered_in_order(bench: Bench) -> None:
    listener, stream = await opened(bench)
    messages = [b"", *(b"%d" % n * n for n in range(1, 50))]
    for message in messages:
        await stream.write(message)
    await stream.done_writing()
    async with asyncio.timeout(WAIT_S):
        assert [message async for message in stream] == messages
    assert await ending(stream) == (Status.OK, "")
    echo = bench.streams[0]
    await echo.closed.wait()
    assert echo.events == ["end", "close"]
    assert listener.counters().requests == 50
    assert {what[:2] for what in bench.observed} == {(STREAM, 0)}


async def test_a_later_answer_holds_back_the_messages_behind_it(bench: Bench) -> None:
    answer = Answer()
    bench.script = lambda _call, message: answer if message == b"slow" else message
    _, stream = await opened(bench)
    await stream.write(b"slow")
    await stream.write(b"fast")
    echo = await bench.stream_opened()
    await answer.asked.wait()
    assert echo.seen == [b"slow"]
    await answer.settle(b"slow is there")
    async with asyncio.timeout(WAIT_S):
        assert [await stream.read(), await stream.read()] == [b"slow is there", b"fast"]


async def test_no_answer_is_an_answer(bench: Bench) -> None:
    bench.script = lambda _call, message: None if message == b"quiet" else message
    _, stream = await opened(bench)
    await stream.write(b"quiet")
    assert await exchange(stream, b"loud") == b"loud"


async def test_pushes_come_in_order_and_before_a_later_answer(bench: Bench) -> None:
    def script(call, message: bytes) -> bytes:
        for n in range(20):
            call.send(b"%d" % n)
        assert call.backlog in (0, 30)  # what the connection takes at once does not wait
        return message

    bench.script = script
    _, stream = await opened(bench)
    await stream.write(b"answer")
    async with asyncio.timeout(WAIT_S):
        got = [await stream.read() for _ in range(21)]
    assert got == [*(b"%d" % n for n in range(20)), b"answer"]
    assert bench.streams[0].call.backlog == 0


async def test_pushes_while_the_client_says_nothing(bench: Bench) -> None:
    _, stream = await opened(bench)
    assert await exchange(stream, b"hello") == b"hello"
    call = bench.streams[0].call
    for n in range(3):
        call.send(b"%d" % n)
        async with asyncio.timeout(WAIT_S):
            assert await stream.read() == b"%d" % n
    assert await exchange(stream, b"again") == b"again"


async def test_the_server_ends_a_quiet_stream_after_its_last_push(bench: Bench) -> None:
    listener, stream = await opened(bench)
    assert await exchange(stream, b"hello") == b"hello"
    echo = bench.streams[0]
    echo.call.send(b"bye")
    echo.call.finish(Status.UNAVAILABLE, "go elsewhere")
    echo.call.finish(Status.OK)
    echo.call.send(b"never seen")
    async with asyncio.timeout(WAIT_S):
        assert await stream.read() == b"bye"
        with pytest.raises(grpc.aio.AioRpcError):
            await stream.read()
    assert await ending(stream) == (Status.UNAVAILABLE, "go elsewhere")
    assert echo.events == ["close"]
    assert listener.counters().refusals == {Status.UNAVAILABLE: 1}


async def test_the_server_ends_a_stream_from_its_handler_after_the_answer(bench: Bench) -> None:
    def script(call, message: bytes) -> bytes:
        call.finish()
        return message

    bench.script = script
    _, stream = await opened(bench)
    assert await exchange(stream, b"last") == b"last"
    assert await exchange_ends(stream) == (Status.OK, "")


async def exchange_ends(stream) -> tuple[int, str]:
    async with asyncio.timeout(WAIT_S):
        assert await stream.read() is grpc.aio.EOF
    return await ending(stream)


async def test_a_stream_may_stay_for_pushes_when_the_client_has_said_all(bench: Bench) -> None:
    _, stream = await opened(bench)
    assert await exchange(stream, b"hello") == b"hello"
    echo = bench.streams[0]
    echo.stays = True
    await stream.done_writing()
    await until(lambda: echo.events == ["end"])
    echo.call.send(b"news")
    async with asyncio.timeout(WAIT_S):
        assert await stream.read() == b"news"
    echo.call.finish()
    assert await exchange_ends(stream) == (Status.OK, "")
    assert echo.events == ["end", "close"]


@pytest.mark.parametrize("how", ["raised", "later"])
async def test_a_handler_chooses_the_status(bench: Bench, how: str) -> None:
    answer = Answer()

    def script(call, _message: bytes):
        call.send(b"before")
        if how == "later":
            return answer
        raise RpcError(Status.FAILED_PRECONDITION, "not now")

    bench.script = script
    _, stream = await opened(bench)
    await stream.write(b"x")
    async with asyncio.timeout(WAIT_S):
        assert await stream.read() == b"before"
    if how == "later":
        await answer.settle(RpcError(Status.FAILED_PRECONDITION, "not now"))
    assert await ending(stream) == (Status.FAILED_PRECONDITION, "not now")
    assert bench.streams[0].events == ["close"]


async def test_an_unexpected_exception_is_logged_once_and_ends_the_stream(bench: Bench, caplog) -> None:
    def script(_call, _message: bytes) -> bytes:
        raise KeyError("secret")

    bench.script = script
    listener, stream = await opened(bench)
    with caplog.at_level(logging.WARNING):
        await stream.write(b"x")
        assert await exchange_ends(stream) == (Status.OK, "")
    assert [r.getMessage() for r in caplog.records] == [f"test: {STREAM} failed: KeyError('secret')"]
    assert bench.streams[0].events == ["close"]
    assert listener.counters().errors == 1


async def test_a_failing_end_is_logged_and_harms_nothing(bench: Bench, caplog) -> None:
    listener, stream = await opened(bench)
    assert await exchange(stream, b"x") == b"x"

    def fail() -> None:
        raise RuntimeError("on_close")

    bench.streams[0].on_close = fail  # type: ignore[method-assign]
    with caplog.at_level(logging.WARNING):
        await stream.done_writing()
        assert await exchange_ends(stream) == (Status.OK, "")
    assert [r.getMessage() for r in caplog.records] == [f"test: {STREAM} failed: RuntimeError('on_close')"]
    assert listener.counters().errors == 1


async def test_a_client_that_cancels_closes_the_handler(bench: Bench, caplog) -> None:
    listener, stream = await opened(bench)
    assert await exchange(stream, b"x") == b"x"
    with caplog.at_level(logging.WARNING):
        stream.cancel()
        echo = bench.streams[0]
        async with asyncio.timeout(WAIT_S):
            await echo.closed.wait()
        echo.call.send(b"to nobody")
        echo.call.finish(Status.ABORTED)
    assert echo.events.count("close") == 1
    assert echo.events[-1] == "close"
    assert caplog.records == []
    await until(lambda: not streams_of(listener))


async def test_a_client_that_cancels_while_an_answer_is_due(bench: Bench, caplog) -> None:
    answer = Answer()
    bench.script = lambda _call, _message: answer
    listener, stream = await opened(bench)
    await stream.write(b"x")
    echo = await bench.stream_opened()
    await answer.asked.wait()
    with caplog.at_level(logging.WARNING):
        stream.cancel()
        async with asyncio.timeout(WAIT_S):
            await echo.closed.wait()
        await answer.settle(b"too late")
        await until(lambda: not streams_of(listener))
    assert caplog.records == []


async def test_a_message_above_the_limit_ends_the_stream(bench: Bench) -> None:
    _, stream = await opened(bench, max_receive=1000)
    assert await exchange(stream, b"x" * 1000) == b"x" * 1000
    await stream.write(b"x" * 1001)
    code, text = await ending(stream)
    assert code == Status.RESOURCE_EXHAUSTED
    assert "larger than max" in text
    async with asyncio.timeout(WAIT_S):
        await bench.streams[0].closed.wait()
    assert bench.streams[0].seen == [b"x" * 1000]


@pytest.mark.parametrize("pushed", [False, True])
async def test_an_answer_above_the_limit_ends_the_stream(bench: Bench, pushed: bool) -> None:
    def script(call, message: bytes) -> bytes | None:
        if not pushed:
            return message
        call.send(message)
        return None

    bench.script = script
    _, stream = await opened(bench, max_send=10)
    assert await exchange(stream, b"x" * 10) == b"x" * 10
    await stream.write(b"x" * 11)
    assert await ending(stream) == (
        Status.RESOURCE_EXHAUSTED,
        "grpc: trying to send message larger than max (11 vs. 10)",
    )


async def test_many_streams_of_one_connection(bench: Bench) -> None:
    listener = await bench.listen()
    channel = bench.channel(listener)
    streams = [channel.stream_stream(STREAM)() for _ in range(200)]
    for n, stream in enumerate(streams):
        await stream.write(b"%d" % n)
    async with asyncio.timeout(WAIT_S):
        assert [await stream.read() for stream in streams] == [b"%d" % n for n in range(200)]
    assert listener.counters().connections_open == 1
    for stream in streams:
        stream.cancel()
    await until(lambda: not streams_of(listener))


async def test_more_streams_than_a_connection_may_have_wait_for_their_turn(bench: Bench) -> None:
    listener = await bench.listen(max_streams=2)
    channel = bench.channel(listener)
    first, second = channel.stream_stream(STREAM)(), channel.stream_stream(STREAM)()
    assert [await exchange(s, b"x") for s in (first, second)] == [b"x", b"x"]
    third = channel.stream_stream(STREAM)()
    waiting = asyncio.ensure_future(exchange(third, b"third"))
    first.cancel()
    assert await asyncio.wait_for(waiting, WAIT_S) == b"third"
    assert len(bench.streams) == 3
