"""connLimit and the whitelist: who is let in, and what counts as a connection."""

from __future__ import annotations

import asyncio
import logging

import pytest
from calling import STREAM, UNARY, WAIT_S, Bench, failure, only_grpcio

from polaris_bridge.adapters._shared.grpc_peers import client_address
from polaris_bridge.adapters._shared.settings import ConnLimitSettings
from polaris_bridge.transport.rpc import Status


@only_grpcio
async def held(bench: Bench, listener):
    """A connection with a stream under way."""
    stream = bench.channel(listener).stream_stream(STREAM)()
    async with asyncio.timeout(WAIT_S):
        await stream.write(b"x")
        assert await stream.read() == b"x"
    return stream


@only_grpcio
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ConnLimitSettings(open_conn_limit=True, max_conn_per_host=2), "max_conn_per_host"),
        (ConnLimitSettings(open_conn_limit=True, max_conn_limit=2), "max_conn_limit"),
    ],
)
async def test_beyond_the_limit_calls_end_until_another_connection_has_left(
    bench: Bench, caplog, limits, reason
) -> None:
    listener = await bench.listen(conn_limit=limits)
    first, second = [await held(bench, listener) for _ in range(2)]
    third = bench.channel(listener)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            code, text = await failure(third.unary_unary(UNARY)(b"x"))
            assert code == Status.RESOURCE_EXHAUSTED
            assert reason in text
    assert len(caplog.records) == 1
    assert (await failure(third.stream_stream(STREAM)().read()))[0] == Status.RESOURCE_EXHAUSTED
    assert listener.counters().connections_refused == {reason: 3}
    assert (listener.counters().connections_open, listener.counters().connections_total) == (2, 2)
    first.cancel()
    await bench.streams[0].closed.wait()
    await bench.pass_time(listener, 4)
    assert (await failure(third.unary_unary(UNARY)(b"x")))[0] == Status.RESOURCE_EXHAUSTED
    await bench.pass_time(listener, 2)
    assert await third.unary_unary(UNARY)(b"x") == b"x"
    second.cancel()


@only_grpcio
async def test_a_connection_that_was_let_in_is_not_asked_again(bench: Bench) -> None:
    listener = await bench.listen(conn_limit=ConnLimitSettings(open_conn_limit=True, max_conn_per_host=1))
    channel = bench.channel(listener)
    for _ in range(3):
        await bench.pass_time(listener, 4)
        assert await channel.unary_unary(UNARY)(b"x") == b"x"
    assert listener.counters().connections_total == 1


@only_grpcio
async def test_the_white_list_is_beyond_the_limit_per_host(bench: Bench) -> None:
    limits = ConnLimitSettings(open_conn_limit=True, max_conn_per_host=1, white_list="10.0.0.1, 127.0.0.1")
    listener = await bench.listen(conn_limit=limits)
    for _ in range(3):
        assert await bench.channel(listener).unary_unary(UNARY)(b"x") == b"x"


@only_grpcio
async def test_limits_that_are_not_switched_on(bench: Bench) -> None:
    listener = await bench.listen(conn_limit=ConnLimitSettings(max_conn_per_host=1, max_conn_limit=1))
    for _ in range(3):
        assert await bench.channel(listener).unary_unary(UNARY)(b"x") == b"x"
    assert listener.counters().connections_open == 3
    await bench.pass_time(listener, 6)
    assert listener.counters().connections_open == 0


@only_grpcio
async def test_who_is_not_allowed_is_told_so_and_reaches_no_handler(bench: Bench) -> None:
    asked: list[str] = []

    def allow(host: str) -> bool:
        asked.append(host)
        return False

    listener = await bench.listen(allow=allow)
    channel = bench.channel(listener)
    code, text = await failure(channel.unary_unary(UNARY)(b"x"))
    assert code == Status.PERMISSION_DENIED
    assert "127.0.0.1" in text
    assert (await failure(channel.stream_stream(STREAM)().read()))[0] == Status.PERMISSION_DENIED
    assert (await failure(channel.unary_unary("/grpc.health.v1.Health/Check")(b"")))[0] == Status.PERMISSION_DENIED
    assert asked == ["127.0.0.1"] * 3
    assert bench.streams == []
    assert listener.counters().connections_refused == {"not_allowed": 3}


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ipv4:10.1.2.3:4567", "10.1.2.3"),
        ("ipv6:%5B::1%5D:50051", "::1"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::1"),
        ("ipv6:%5B::ffff:10.1.2.3%5D:1", "10.1.2.3"),
        ("ipv6:[2001:db8::7]:443", "2001:db8::7"),
        ("unix:/run/x.sock", ""),
        ("unix:", ""),
    ],
)
def test_addresses(text: str, address: str) -> None:
    assert client_address(text) == address


@only_grpcio
@pytest.mark.parametrize(
    ("listen", "call"), [("::", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("localhost", "localhost")]
)
async def test_the_callers_address_whatever_we_listen_on(bench: Bench, listen: str, call: str) -> None:
    bench.unary = lambda _message, seen: seen.peer.encode()
    listener = await bench.listen(host=listen)
    answer = await bench.channel(listener, host=call).unary_unary(UNARY)(b"")
    assert answer in ((b"127.0.0.1", b"::1") if call == "localhost" else (call.strip("[]").encode(),))
