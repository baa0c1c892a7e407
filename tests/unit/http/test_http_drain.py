"""Ending a listener without cutting anybody off."""

from __future__ import annotations

import asyncio

import pytest

from polaris_bridge.adapters._shared.exchange import Response

GET = "GET /{} HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_drain(bench, later, hot, until):
    waiting = later()

    def handle(request):
        return waiting if request.path == "/later" else Response(200)

    listener = await bench.listen(handle, hot=hot)
    idle, busy, sending = [await bench.connect(listener) for _ in range(3)]
    assert (await idle.ask(GET.format("a"))).status == 200
    await busy.send(GET.format("later"))
    await sending.send("PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\na")
    await until(lambda: waiting.reply and any(connection.received == 1 for connection in listener._state.connections))
    draining = asyncio.create_task(listener.drain())
    assert await idle.closed() == b""
    with pytest.raises(OSError):
        await bench.connect(listener)
    assert not draining.done()
    waiting.settle(Response(200, b"kept"))
    answer = await busy.answer()
    assert (answer.body, answer.header("connection")) == (b"kept", "close")
    assert await busy.closed() == b""
    await sending.send("bc")
    answer = await sending.answer()
    assert (answer.status, answer.header("connection")) == (200, "close")
    async with asyncio.timeout(4):
        await draining
    assert listener.counters().connections_open == 0


async def test_pipelined_requests_are_all_answered(bench, later, hot, until):
    waiting = later()
    listener = await bench.listen(lambda request: waiting if request.path == "/later" else Response(200), hot=hot)
    client = await bench.connect(listener)
    await client.send(GET.format("later"), GET.format("a"), GET.format("b"))
    await until(lambda: waiting.reply)
    draining = asyncio.create_task(listener.drain())
    await until(lambda: listener._state.draining)
    waiting.settle(Response(200))
    assert [(await client.answer()).header("connection") for _ in range(3)] == [None, None, "close"]
    async with asyncio.timeout(4):
        await draining


async def test_stop_cuts_after_its_grace(bench, later, hot, until, caplog):
    waiting = later()
    listener = await bench.listen(lambda _request: waiting, hot=hot)
    client = await bench.connect(listener)
    await client.send(GET.format("later"))
    await until(lambda: waiting.reply)
    await listener.stop(0.05)
    assert await client.closed() == b""
    await until(lambda: not listener.counters().connections_open)
    assert [record.getMessage() for record in caplog.records] == ["test: 1 connections cut after 0.05 s"]
    assert listener.counters().errors == 0
    waiting.settle(Response(200, b"too late"))
    await listener.stop(0.05)
    assert asyncio.all_tasks() == {asyncio.current_task()}
