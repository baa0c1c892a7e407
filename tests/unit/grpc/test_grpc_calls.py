"""Unary calls: bytes, metadata, answers that come later, errors and their statuses."""

from __future__ import annotations

import asyncio
import logging

import grpc
import pytest
from calling import UNARY, WAIT_S, Answer, Bench, failure, until
from frames import GOAWAY, PING, frame

from polaris_bridge.transport.rpc import RpcError, Status


async def test_bytes_go_in_and_out_with_the_callers_address_and_headers(bench: Bench) -> None:
    seen: list[object] = []

    def answer(message: bytes, call) -> bytes:
        seen.extend(
            (call.path, call.peer, call.metadata("x-token"), call.metadata("absent"), call.metadata("x-raw-bin"))
        )
        return message[::-1]

    bench.unary = answer
    channel = bench.channel(await bench.listen())
    metadata = (("x-token", "first"), ("x-token", "second"), ("x-raw-bin", b"\x00\xff"))
    assert await channel.unary_unary(UNARY)(b"\x00abc", metadata=metadata) == b"cba\x00"
    assert seen == [UNARY, "127.0.0.1", "first", None, "\x00\xff"]
    assert [what[:2] for what in bench.observed] == [(UNARY, 0)]
    assert bench.observed[0][2] > 0


async def test_an_empty_message_is_a_message(bench: Bench) -> None:
    channel = bench.channel(await bench.listen())
    assert await channel.unary_unary(UNARY)(b"") == b""


async def test_an_answer_that_comes_later(bench: Bench) -> None:
    answer = Answer()
    bench.unary = lambda _message, _call: answer
    channel = bench.channel(await bench.listen())
    call = asyncio.ensure_future(channel.unary_unary(UNARY)(b"x"))
    await answer.settle(b"durable")
    assert await asyncio.wait_for(call, WAIT_S) == b"durable"


async def test_an_answer_that_is_there_at_once(bench: Bench) -> None:
    class Now:
        def then(self, reply) -> None:
            reply(b"now")

    bench.unary = lambda _message, _call: Now()
    assert await bench.channel(await bench.listen()).unary_unary(UNARY)(b"x") == b"now"


@pytest.mark.parametrize("later", [False, True])
async def test_a_handler_chooses_the_status(bench: Bench, later: bool) -> None:
    answer = Answer()

    def refuse(_message: bytes, _call):
        if later:
            return answer
        raise RpcError(Status.ABORTED, "für später")

    bench.unary = refuse
    listener = await bench.listen()
    call = asyncio.ensure_future(failure(bench.channel(listener).unary_unary(UNARY)(b"x")))
    if later:
        await answer.settle(RpcError(Status.ABORTED, "für später"))
    assert await call == (Status.ABORTED, "für später")
    assert listener.counters().refusals == {Status.ABORTED: 1}
    assert listener.counters().errors == 0


async def test_an_unexpected_exception_is_logged_once_with_its_path_and_tells_the_client_nothing(bench, caplog) -> None:
    def fail(_message: bytes, _call) -> bytes:
        raise ZeroDivisionError("secret")

    bench.unary = fail
    listener = await bench.listen()
    with caplog.at_level(logging.WARNING):
        assert await failure(bench.channel(listener).unary_unary(UNARY)(b"x")) == (Status.INTERNAL, "internal error")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", f"test: {UNARY} failed: ZeroDivisionError('secret')")
    ]
    assert listener.counters().errors == 1
    assert [what[:2] for what in bench.observed] == [(UNARY, Status.INTERNAL)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/test.Echo/Missing", "unknown method Missing for service test.Echo"),
        ("/test.Other/Unary", "unknown service test.Other"),
    ],
)
async def test_unknown_paths_are_answered_as_servers_in_go_do(bench: Bench, path: str, text: str) -> None:
    channel = bench.channel(await bench.listen())
    assert await failure(channel.unary_unary(path)(b"x")) == (Status.UNIMPLEMENTED, text)


async def test_a_message_above_the_limit_never_reaches_the_handler(bench: Bench) -> None:
    listener = await bench.listen(max_receive=1000)
    channel = bench.channel(listener)
    assert await channel.unary_unary(UNARY)(b"x" * 1000)
    code, text = await failure(channel.unary_unary(UNARY)(b"x" * 1001))
    assert code == Status.RESOURCE_EXHAUSTED
    assert "larger than max (1001 vs. 1000)" in text
    assert [status for _, status, _ in bench.observed].count(0) == 1


async def test_four_mebibytes_are_taken_by_default_as_the_real_server_does(bench: Bench) -> None:
    channel = bench.channel(await bench.listen(), max_receive_message_length=-1)
    full = b"x" * (4 * 1024 * 1024)
    assert await channel.unary_unary(UNARY)(full) == full
    assert (await failure(channel.unary_unary(UNARY)(full + b"x")))[0] == Status.RESOURCE_EXHAUSTED


async def test_an_answer_above_the_limit_ends_the_call(bench: Bench) -> None:
    bench.unary = lambda message, _call: message * 100
    channel = bench.channel(await bench.listen(max_send=100))
    assert await channel.unary_unary(UNARY)(b"x") == b"x" * 100
    assert await failure(channel.unary_unary(UNARY)(b"xx")) == (
        Status.RESOURCE_EXHAUSTED,
        "grpc: trying to send message larger than max (200 vs. 100)",
    )


async def test_headers_above_the_limit_end_the_call(bench: Bench) -> None:
    channel = bench.channel(await bench.listen(max_metadata=4096))
    code, _ = await failure(channel.unary_unary(UNARY)(b"x", metadata=(("x-token", "t" * 10_000),)))
    assert code == Status.RESOURCE_EXHAUSTED
    assert await channel.unary_unary(UNARY)(b"x", metadata=(("x-token", "t" * 1000),)) == b"x"


async def test_a_client_that_gives_up_ends_its_call_and_a_late_answer_harms_nobody(bench: Bench, caplog) -> None:
    answer = Answer()
    bench.unary = lambda message, _call: answer if message == b"slow" else message
    listener = await bench.listen()
    channel = bench.channel(listener)
    with caplog.at_level(logging.WARNING):
        code, _ = await failure(channel.unary_unary(UNARY)(b"slow", timeout=0.05))
        assert code == Status.DEADLINE_EXCEEDED
        await answer.settle(b"too late")
        assert await channel.unary_unary(UNARY)(b"next") == b"next"
    assert caplog.records == []
    await bench.pass_time(listener, 10)
    await until(lambda: listener.counters().connections_open <= 1)


async def test_a_unary_call_cannot_push(bench: Bench) -> None:
    caught: list[str] = []

    def push(message: bytes, call) -> bytes:
        for wrong in (lambda: call.send(b"x"), call.finish):
            with pytest.raises(TypeError) as error:
                wrong()
            caught.append(str(error.value))
        assert call.backlog == 0
        return message

    bench.unary = push
    await bench.channel(await bench.listen()).unary_unary(UNARY)(b"x")
    assert all(UNARY in text for text in caught)
    assert len(caught) == 2


async def test_clients_may_ping_as_they_like(bench: Bench) -> None:
    listener = await bench.listen()
    options = {"keepalive_time_ms": 10, "keepalive_permit_without_calls": 1, "http2.max_pings_without_data": 0}
    channel = bench.channel(listener, **options)
    states: list[grpc.ChannelConnectivity] = []
    assert await channel.unary_unary(UNARY)(b"x") == b"x"
    states.append(channel.get_state())
    wire = await bench.wire(listener)
    await wire.greet()
    await wire.send(frame(PING, 0, 0, b"12345678") * 50)
    for _ in range(50):
        found = await wire.until_kind(PING, GOAWAY)
        assert found is not None
        assert found[:2] == (PING, 1)
    assert await channel.unary_unary(UNARY)(b"x") == b"x"
    assert states == [grpc.ChannelConnectivity.READY]


class Watched(Answer):
    """An answer that may take long."""

    def __init__(self) -> None:
        super().__init__()
        self.abandoned = 0

    def abandon(self) -> None:
        self.abandoned += 1


async def test_an_answer_that_may_take_long_is_told_when_its_client_leaves(bench: Bench) -> None:
    answer = Watched()
    bench.unary = lambda _message, _call: answer
    call = bench.channel(await bench.listen()).unary_unary(UNARY)(b"x")
    await until(answer.asked.is_set)
    assert not answer.abandoned
    call.cancel()
    await until(lambda: answer.abandoned == 1)


async def test_it_is_told_when_the_connection_is_lost(bench: Bench) -> None:
    answer = Watched()
    bench.unary = lambda _message, _call: answer
    channel = bench.channel(await bench.listen())
    call = channel.unary_unary(UNARY)(b"x")
    await until(answer.asked.is_set)
    await channel.close()
    await until(lambda: answer.abandoned == 1)
    assert call.cancelled()


async def test_it_is_told_when_the_deadline_has_passed(bench: Bench) -> None:
    answer = Watched()
    bench.unary = lambda _message, _call: answer
    call = bench.channel(await bench.listen()).unary_unary(UNARY)(b"x", timeout=0.2)
    assert (await failure(call))[0] == Status.DEADLINE_EXCEEDED
    await until(lambda: answer.abandoned == 1)


async def test_it_is_told_nothing_once_it_has_answered(bench: Bench) -> None:
    answer = Watched()
    bench.unary = lambda _message, _call: answer
    channel = bench.channel(await bench.listen())
    call = asyncio.ensure_future(channel.unary_unary(UNARY)(b"x"))
    await answer.settle(b"told")
    assert await call == b"told"
    await channel.close()
    assert not answer.abandoned
