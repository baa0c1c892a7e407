"""What a listener refuses, and how: sizes, times, malformed input."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.exchange import Response

CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


async def refused(client, status):
    answer = await client.answer()
    assert answer.status == status
    assert answer.header("connection") == "close"
    assert answer.body == b""
    assert await client.closed() == b""


async def test_a_declared_body_that_is_too_long(bench, echo, hot):
    listener = await bench.listen(echo, hot=hot, max_body_size=1000)
    client = await bench.connect(listener)
    ok = await client.ask(b"PUT / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    assert ok.status == 200
    await client.send(b"PUT / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n")
    await refused(client, 413)
    assert listener.counters().refusals == {413: 1}


async def test_a_chunked_body_that_is_too_long(bench, hot):
    asked = []
    listener = await bench.listen(
        lambda request: asked.append(request) or Response(200), hot=hot, max_body_size=100_000
    )
    client = await bench.connect(listener)
    await client.send(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNK)
    await client.send(CHUNK)
    await refused(client, 413)
    assert asked == [], "nothing half-read reaches a handler"
    assert listener.counters().errors == 0


async def test_the_answer_survives_a_client_that_goes_on_sending(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot, max_body_size=1000))
    await client.send(b"PUT / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n", b"x" * 8_000_000)
    await refused(client, 413)


async def test_it_is_not_read_for_ever(bench, echo, hot, until):
    listener = await bench.listen(echo, hot=hot, max_body_size=1000)
    client = await bench.connect(listener)
    await client.send(b"PUT / HTTP/1.1\r\nContent-Length: 80000000\r\n\r\n")
    await until(lambda: any(connection.lingering for connection in listener._state.connections))
    await bench.pass_time(listener, 6)
    await until(lambda: not listener.counters().connections_open)


async def test_refusals_wait_for_earlier_answers(bench, later, hot, until):
    first = later()
    listener = await bench.listen(lambda _request: first, hot=hot, max_body_size=10)
    client = await bench.connect(listener)
    await client.send("GET /a HTTP/1.1\r\n\r\n", "PUT / HTTP/1.1\r\nContent-Length: 11\r\n\r\n")
    await until(lambda: first.reply and listener.counters().refusals)
    first.settle(Response(200, b"first"))
    assert (await client.answer()).body == b"first"
    await refused(client, 413)


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /a b HTTP/1.1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
async def test_malformed_requests(bench, echo, hot, bad, caplog):
    listener = await bench.listen(echo, hot=hot)
    client = await bench.connect(listener)
    assert (await client.ask("GET /a HTTP/1.1\r\n\r\n")).status == 200
    await client.send(bad)
    await refused(client, 400)
    assert listener.counters().errors == 0
    assert not caplog.records, "anybody could fill the log"


async def test_connect_is_refused(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot))
    await client.send("CONNECT other:80 HTTP/1.1\r\n\r\n")
    await refused(client, 405)


async def test_too_many_headers(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot, max_headers=50))
    assert (await client.ask("GET / HTTP/1.1\r\n" + "x: y\r\n" * 50 + "\r\n")).status == 200
    await client.send("GET / HTTP/1.1\r\n" + "x: y\r\n" * 51 + "\r\n")
    await refused(client, 431)


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nX: ", b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "]
)
async def test_a_head_or_trailer_without_end_takes_bounded_memory(bench, echo, hot, start, until):
    listener = await bench.listen(echo, hot=hot, max_head_size=30_000)
    client = await bench.connect(listener)
    await client.send(start)
    sent = 0
    while not listener.counters().refusals and sent < 3_000_000:
        await client.send(b"a" * 10_000)
        sent += 10_000
        await asyncio.sleep(0.001)
    await refused(client, 431)
    assert sent < 500_000


async def test_a_large_head_in_one_piece(bench, echo, hot):
    client = await bench.connect(await bench.listen(echo, hot=hot, max_head_size=3000))
    await client.send("GET / HTTP/1.1\r\n" + f"X: {'y' * 100}\r\n" * 40 + "\r\n")
    await refused(client, 431)


async def test_slow_loris(bench, echo, hot, until):
    listener = await bench.listen(echo, hot=hot)
    client = await bench.connect(listener)
    await client.send("GET / HT")
    await until(lambda: any(connection.phase for connection in listener._state.connections))
    await bench.pass_time(listener, 15)
    await client.send("TP/1.1\r\nX: ")
    assert listener.counters().connections_open == 1
    await bench.pass_time(listener, 6)
    await refused(client, 408)


async def test_a_body_that_trickles(bench, hot, echo, until):
    listener = await bench.listen(echo, hot=hot)
    client = await bench.connect(listener)
    await client.send("PUT / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", b"x" * 163840)
    await until(lambda: any(connection.received == 163840 for connection in listener._state.connections))
    await bench.pass_time(listener, 29)  # 20 s + 163,840 bytes at 16 KiB/s
    assert listener.counters().connections_open == 1
    assert not listener.counters().refusals
    await bench.pass_time(listener, 2)
    await refused(client, 408)
    assert listener.counters().errors == 0


async def test_silent_and_idle_connections_end(bench, echo, hot, until):
    listener = await bench.listen(echo, hot=hot)
    silent, idle = await bench.connect(listener), await bench.connect(listener)
    assert (await idle.ask("GET / HTTP/1.1\r\n\r\n")).status == 200
    await until(lambda: listener.counters().connections_open == 2)
    await bench.pass_time(listener, 21)
    assert await silent.closed() == b""
    assert listener.counters().connections_open == 1
    assert (await idle.ask("GET / HTTP/1.1\r\n\r\n")).status == 200
    await bench.pass_time(listener, 119)
    assert listener.counters().connections_open == 1
    await bench.pass_time(listener, 2)
    assert await idle.closed() == b""


async def test_waiting_for_an_answer_is_not_idle(bench, later, hot, until):
    first = later()
    listener = await bench.listen(lambda _request: first, hot=hot)
    client = await bench.connect(listener)
    await client.send("GET / HTTP/1.1\r\n\r\n")
    await until(lambda: first.reply)
    await bench.pass_time(listener, 1000)
    first.settle(Response(200, b"long poll"))
    assert (await client.answer()).body == b"long poll"


async def test_a_client_that_never_reads_is_cut(bench, hot, until):
    listener = await bench.listen(lambda _request: Response(200, b"x" * 8_000_000), hot=hot)
    client = await bench.connect(listener, limit=1 << 16)
    client.writer.transport.pause_reading()
    await client.send("GET / HTTP/1.1\r\n\r\n")
    await until(lambda: any(connection.flow.write_paused for connection in listener._state.connections))
    await bench.pass_time(listener, 1)
    await bench.pass_time(listener, 100)
    assert listener.counters().connections_open == 1
    await bench.pass_time(listener, 30)
    await until(lambda: not listener.counters().connections_open)


async def test_pipelining_without_end(bench, later, hot, until):
    first = later()
    listener = await bench.listen(lambda request: first if request.path == "/first" else Response(200), hot=hot)
    client = await bench.connect(listener)
    await client.send(b"GET /first HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n" * 5000)
    await until(lambda: first.reply and listener.counters().refusals)
    first.settle(Response(200))
    statuses = [(await client.answer()).status for _ in range(1001)]
    assert statuses == [200] * 1001
    await refused(client, 503)


GARBAGE = st.one_of(
    st.binary(min_size=1, max_size=60),
    st.sampled_from(
        [
            b"GET / HTTP/1.1\r\n",
            b"PUT /a HTTP/1.0\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"Content-Length: 5\r\n",
            b"abcde",
            b"5\r\nabcde\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: Upgrade\r\nUpgrade: h2c\r\n",
            b"0\r\n\r\n",
            b"Expect: 100-continue\r\n",
        ]
    ),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(GARBAGE, min_size=1, max_size=8), st.booleans())
async def test_no_input_is_an_error_of_ours(new_bench, echo, pieces, hot):
    bench = new_bench()
    try:
        listener = await bench.listen(echo, hot=hot)
        client = await bench.connect(listener)
        for piece in pieces:
            try:
                await client.send(piece)
            except ConnectionError:
                break
            await asyncio.sleep(0)
        with contextlib.suppress(OSError, RuntimeError):  # uvloop's word for a connection that is closed already
            client.writer.write_eof()
        said = await client.closed()
        assert said == b"" or said.startswith(b"HTTP/1.1 ")
        assert listener.counters().errors == 0
        assert (await (await bench.connect(listener)).ask("GET / HTTP/1.1\r\n\r\n")).status == 200
    finally:
        await bench.end()
