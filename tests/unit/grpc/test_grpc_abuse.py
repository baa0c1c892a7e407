"""Clients that never read, vanish, or send nonsense: bounded memory, no leak, no word in the log."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import struct
from pathlib import Path
from random import Random

import grpc
import pytest
from calling import STREAM, UNARY, WAIT_S, Answer, Bench, ending, only_grpcio, streams_of, until
from frames import (
    DATA,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Wire,
    frame,
    message,
    opening,
)

from polaris_bridge.transport.rpc import Status

NO_WINDOW = struct.pack(">HI", 4, 0)
"""SETTINGS that allow the server to send nothing down a stream."""
BIG_WINDOW = struct.pack(">HI", 4, 2**31 - 1)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture):
    """None of this is worth a line above INFO."""
    with caplog.at_level(logging.INFO):
        yield
    assert [
        r.getMessage() for r in caplog.records if r.levelno > logging.INFO and "cut after" not in r.getMessage()
    ] == []


async def still_serves(bench: Bench, listener) -> None:
    assert await bench.channel(listener).unary_unary(UNARY)(b"alive") == b"alive"


async def test_who_never_reads_is_owed_one_answer_however_much_it_asks(bench: Bench) -> None:
    answer = b"x" * 100_000
    bench.script = lambda _call, _message: answer
    listener = await bench.listen()
    wire = await bench.wire(listener)
    await wire.greet(NO_WINDOW)
    await wire.send(opening(STREAM))
    for _ in range(200):
        await wire.send(message(b"ask"))
    echo = await bench.stream_opened()
    await until(lambda: echo.seen)
    await still_serves(bench, listener)
    assert len(echo.seen) <= 2
    await wire.send(frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**30)))
    await wire.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30)))
    while len(echo.seen) < 200:
        assert await wire.read_frame() is not None
    await wire.close()
    async with asyncio.timeout(WAIT_S):
        await echo.closed.wait()


async def test_a_client_that_reads_nothing_but_asks_for_much_does_not_grow_the_process(bench: Bench) -> None:
    """Through grpcio's own client, whose window is finite: what was found is that requests stop being read."""
    answer = b"x" * 1_000_000
    bench.script = lambda _call, _message: answer
    listener = await bench.listen()
    channel = bench.channel(listener, max_receive_message_length=-1)
    streams = [channel.stream_stream(STREAM)() for _ in range(10)]
    before = resident()

    async def ask(stream) -> None:
        for _ in range(500):
            await stream.write(b"ask")

    asking = [asyncio.ensure_future(ask(stream)) for stream in streams]
    await bench.stream_opened(10)
    await until(lambda: all(echo.seen for echo in bench.streams))
    await still_serves(bench, listener)
    assert resident() - before < 100_000_000
    assert max(len(echo.seen) for echo in bench.streams) < 50
    for task, stream in zip(asking, streams, strict=True):
        task.cancel()
        stream.cancel()
    await until(lambda: not streams_of(listener))


async def test_pushes_that_nobody_reads_end_the_stream(bench: Bench) -> None:
    listener = await bench.listen(max_backlog=1_000_000)
    wire = await bench.wire(listener)
    await wire.greet(NO_WINDOW)
    await wire.send(opening(STREAM), message(b"hello"))
    echo = await bench.stream_opened()
    await until(lambda: echo.seen)
    pushed = 0
    async with asyncio.timeout(WAIT_S):
        while not echo.closed.is_set():
            echo.call.send(b"x" * 100_000)
            pushed += 1
            assert echo.call.backlog <= 1_000_000
            await asyncio.sleep(0)
    assert pushed < 100
    assert listener.counters().refusals == {Status.RESOURCE_EXHAUSTED: 1}
    echo.call.send(b"to nobody")
    await still_serves(bench, listener)
    await wire.close()
    await until(lambda: not streams_of(listener))


async def test_a_slow_reader_of_pushes_that_keeps_up_gets_all_of_them(bench: Bench) -> None:
    listener = await bench.listen(max_backlog=2_000_000)
    stream = bench.channel(listener).stream_stream(STREAM)()
    await stream.write(b"hello")
    assert await asyncio.wait_for(stream.read(), WAIT_S) == b"hello"
    call = bench.streams[0].call
    for n in range(100):
        call.send(b"%05d" % n * 20_000)
        if call.backlog > 1_000_000:
            async with asyncio.timeout(WAIT_S):
                while call.backlog > 1_000_000:
                    assert (await stream.read())[:2] == b"00"
    call.finish()
    async with asyncio.timeout(WAIT_S):
        while (last := await stream.read()) is not grpc.aio.EOF:
            final = last
    assert final == b"00099" * 20_000
    assert (await ending(stream))[0] == Status.OK


@pytest.mark.parametrize("state", ["greeted", "nothing said", "half a message", "answered", "answer due"])
async def test_clients_that_vanish_leave_nothing(bench: Bench, state: str) -> None:
    if state == "answer due":
        bench.script = lambda _call, _message: Answer()
    listener = await bench.listen()
    wires: list[Wire] = []
    for _ in range(20):
        wire = await bench.wire(listener)
        wires.append(wire)
        if state == "nothing said":
            continue
        await wire.greet()
        if state == "greeted":
            continue
        await wire.send(opening(STREAM))
        if state == "half a message":
            await wire.send(frame(DATA, 0, 1, struct.pack(">BI", 0, 1000) + b"half"))
        else:
            await wire.send(message(b"hello"))
        if state == "answered":
            assert await wire.until_kind(DATA) is not None
    if state not in ("greeted", "nothing said"):
        await bench.stream_opened(20)
    for wire in wires:
        await wire.close()
    for echo in bench.streams:
        async with asyncio.timeout(WAIT_S):
            await echo.closed.wait()
    await until(lambda: not streams_of(listener))
    await bench.pass_time(listener, 6)
    await until(lambda: listener.counters().connections_open == 0)
    await still_serves(bench, listener)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        Random(1).randbytes(5000),
        PREFACE[:10],
        PREFACE + b"\xff" * 1000,
        PREFACE + frame(SETTINGS, 0, 0, b"odd"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(DATA, 0, 1, b"for no stream"),
        PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 4, 2, b""),
        PREFACE + frame(SETTINGS, 0, 0) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 0)),
        PREFACE + frame(SETTINGS, 0, 0) + frame(9, 0, 1, b"continuation of nothing"),
        PREFACE + frame(SETTINGS, 0, 0) + struct.pack(">I", 2**24 - 1)[1:] + b"\x00\x00\x00\x00\x00\x01",
    ],
    ids=lambda value: repr(value[:60]),
)
async def test_bytes_that_are_no_http2_harm_nobody(bench: Bench, garbage: bytes) -> None:
    listener = await bench.listen()
    wire = await bench.wire(listener)
    await wire.send(garbage)
    await still_serves(bench, listener)
    await wire.close()
    assert bench.streams == []
    assert listener.counters().errors == 0


@pytest.mark.parametrize(
    "call",
    [
        opening(STREAM) + frame(DATA, 1, 1, b"\x07\x00\x00"),
        opening(STREAM) + message(b"abc", flag=9, end=True),
        opening(STREAM) + message(b"abc", flag=1, end=True),
        opening(STREAM) + message(b"abc", length=2**31, end=True),
        opening(STREAM) + message(b"abc", length=100, end=True),
        opening(UNARY) + message(b"abc") + message(b"a second request", end=True),
        opening(UNARY, content_type="text/html") + message(b"abc", end=True),
        opening("no path") + message(b"abc", end=True),
        opening(UNARY, 1, ("grpc-timeout", "soon")) + message(b"abc", end=True),
        opening(UNARY, 1, ("grpc-encoding", "zip")) + message(b"abc", flag=1, end=True),
    ],
    ids=[
        "half a prefix", "unknown flag", "compressed without encoding", "2 GiB announced", "shorter than announced",
        "two requests", "no gRPC", "no path", "no timeout", "unknown encoding",
    ],
)  # fmt: skip
async def test_malformed_calls_end_and_the_server_goes_on(bench: Bench, call: bytes) -> None:
    listener = await bench.listen()
    wire = await bench.wire(listener)
    await wire.greet()
    await wire.send(call)
    await wire.until_kind(HEADERS, RST_STREAM, GOAWAY)
    await still_serves(bench, listener)
    await wire.close()
    await until(lambda: not streams_of(listener))
    assert listener.counters().errors == 0
    for echo in bench.streams:
        assert echo.events[-1] == "close"


@only_grpcio
async def test_a_unary_call_without_a_request_is_never_answered_and_ends_with_its_connection(bench: Bench) -> None:
    """grpcio's own doing: its handler is not asked. No client of ours sends this."""
    listener = await bench.listen()
    wire = await bench.wire(listener)
    await wire.greet()
    await wire.send(opening(UNARY), frame(DATA, 1, 1))
    await still_serves(bench, listener)
    await wire.close()
    await still_serves(bench, listener)
    assert [what[:2] for what in bench.observed] == [(UNARY, 0)] * 2


async def test_many_streams_that_are_begun_and_cancelled(bench: Bench) -> None:
    listener = await bench.listen()
    wire = await bench.wire(listener)
    await wire.greet(BIG_WINDOW)
    for n in range(1, 2001, 2):
        await wire.send(opening(STREAM, n), frame(RST_STREAM, 0, n, struct.pack(">I", 8)))
    await still_serves(bench, listener)
    await wire.close()
    await until(lambda: not streams_of(listener))
    assert all(echo.closed.is_set() for echo in bench.streams)
