"""Limits on connections of the transport of our own: one too many is closed when it is accepted."""

from __future__ import annotations

import pytest
from calling import UNARY, Bench, failure, until

from polaris_bridge.adapters._shared.native_grpc import NativeGrpcListener
from polaris_bridge.adapters._shared.settings import ConnLimitSettings
from polaris_bridge.transport.rpc import Status

pytestmark = pytest.mark.parametrize("bench", [NativeGrpcListener], ids=["native"], indirect=True)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (ConnLimitSettings(open_conn_limit=True, max_conn_per_host=1), "max_conn_per_host"),
        (ConnLimitSettings(open_conn_limit=True, max_conn_limit=1), "max_conn_limit"),
    ],
)
async def test_one_connection_too_many_is_closed_until_another_has_left(
    bench: Bench, limits: ConnLimitSettings, reason: str
) -> None:
    listener = await bench.listen(conn_limit=limits)
    first = bench.channel(listener)
    assert await first.unary_unary(UNARY)(b"x") == b"x"
    assert (await failure(bench.channel(listener).unary_unary(UNARY)(b"x")))[0] == Status.UNAVAILABLE
    assert listener.counters().connections_refused[reason] >= 1
    assert [host for host, _ in listener.connected().clients] == ["127.0.0.1"]
    assert listener.connected().limited
    await first.close()
    await until(lambda: listener.counters().connections_open == 0)
    assert await bench.channel(listener).unary_unary(UNARY)(b"x") == b"x"


async def test_who_is_exempt_is_not_counted(bench: Bench) -> None:
    limits = ConnLimitSettings(open_conn_limit=True, max_conn_per_host=1, white_list="127.0.0.1")
    listener = await bench.listen(conn_limit=limits)
    channels = [bench.channel(listener) for _ in range(3)]
    assert [await channel.unary_unary(UNARY)(b"x") for channel in channels] == [b"x"] * 3


async def test_who_is_not_allowed_is_told_so(bench: Bench) -> None:
    bench.unary = lambda _message, _call: pytest.fail("it reached the handler")
    listener = await bench.listen(allow=lambda address: address != "127.0.0.1")
    assert (await failure(bench.channel(listener).unary_unary(UNARY)(b"x")))[0] == Status.PERMISSION_DENIED
    assert listener.counters().refusals == {Status.PERMISSION_DENIED: 1}


async def test_an_operator_cuts_connections(bench: Bench) -> None:
    listener = await bench.listen()
    channel = bench.channel(listener)
    await channel.unary_unary(UNARY)(b"x")
    ((host, port),) = listener.connected().clients
    assert listener.cut(host, port + 1) == 0
    assert listener.cut(host, port) == 1
    await until(lambda: listener.counters().connections_open == 0)
    assert await channel.unary_unary(UNARY)(b"again", wait_for_ready=True) == b"again"
