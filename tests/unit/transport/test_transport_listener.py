"""The listener's own work: TLS, limits at accept, other protocols, silence and age, slices of pushes, leaving."""

from __future__ import annotations

import asyncio
import gc
import logging
import ssl
import struct
import subprocess
from collections import Counter
from pathlib import Path

import grpc
import pytest
from peer import STREAM, UNARY, Later, message, opening, settings
from transport_port import WAIT_S, Files, Port, Wire, failure, until

from polaris_bridge.transport.frames import (
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    Fault,
    frame,
    window_update,
)
from polaris_bridge.transport.link import _LINKS_PER_PASS, Link


def certificate(folder: Path, name: str, issuer: str = "") -> tuple[Path, Path]:
    """A certificate for localhost, signed by itself or by another of this folder."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-subj",
        f"/CN={name}",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    if issuer:
        command += ["-CA", str(folder / f"{issuer}.pem"), "-CAkey", str(folder / f"{issuer}.key")]
        command += ["-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    for name in ("server", "second", "authority"):
        certificate(folder, name)
    certificate(folder, "client", "authority")
    return folder


def files(keys: Path, name: str = "server", authority: str = "") -> Files:
    return Files(keys / f"{name}.pem", keys / f"{name}.key", keys / f"{authority}.pem" if authority else None)


def trusting(keys: Path, server: str = "server", client: str = "") -> grpc.ChannelCredentials:
    pair = [(keys / f"client.{kind}").read_bytes() for kind in ("key", "pem")] if client else [None, None]
    return grpc.ssl_channel_credentials((keys / f"{server}.pem").read_bytes(), *pair)


async def test_tls_with_alpn_and_what_handlers_see_of_it(port: Port, keys: Path) -> None:
    seen = []
    port.unary = lambda message, call: seen.append(call.link.tls) or message
    listener = await port.listen(certificates=files(keys))
    body = b"x" * 300_000
    assert await port.channel(listener, trusting(keys)).unary_unary(UNARY)(body) == body
    assert seen[0].version == "TLSv1.3"
    assert seen[0].certificate == {}
    client = ssl.create_default_context(cafile=str(keys / "server.pem"))
    client.set_alpn_protocols(["http/1.1", "h2"])
    _, writer = await asyncio.open_connection("localhost", listener.port, ssl=client)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()


async def test_client_certificates(port: Port, keys: Path) -> None:
    seen = []
    port.unary = lambda message, call: seen.append(call.link.tls.certificate["subject"]) or message
    listener = await port.listen(certificates=files(keys, authority="authority"))
    assert await port.channel(listener, trusting(keys, client="client")).unary_unary(UNARY)(b"x") == b"x"
    assert seen == [((("commonName", "client"),),)]
    code, _ = await failure(port.channel(listener, trusting(keys)).unary_unary(UNARY)(b"x"))
    assert code == 14
    assert len(seen) == 1


async def test_new_certificates_serve_new_connections(port: Port, keys: Path) -> None:
    certificates = files(keys)
    listener = await port.listen(certificates=certificates)
    old = port.channel(listener, trusting(keys))
    assert await old.unary_unary(UNARY)(b"x") == b"x"
    certificates.cert, certificates.key = keys / "second.pem", keys / "second.key"
    assert listener.reload_tls()
    assert await port.channel(listener, trusting(keys, "second")).unary_unary(UNARY)(b"y") == b"y"
    assert await old.unary_unary(UNARY)(b"x") == b"x"
    listener.sweep()
    assert certificates.looked == 1


async def test_a_failed_handshake_is_counted_and_leaves_nothing(port: Port, keys: Path) -> None:
    listener = await port.listen(certificates=files(keys))
    wire = await port.wire(listener)
    await wire.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
    await until(lambda: listener.counters().connections_refused == {"tls": 1})
    await until(lambda: not listener.links)


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /v1/x HTTP/1.0\r\n\r\n"])
async def test_http1_is_told_what_is_spoken_here(port: Port, request_line: bytes) -> None:
    listener = await port.listen()
    wire = await port.wire(listener)
    await wire.send(request_line)
    answer = await wire.rest()
    assert answer.startswith(b"HTTP/1.1 505 HTTP Version Not Supported\r\n")
    assert answer.endswith(b"This port speaks gRPC, which is HTTP/2; HTTP/1.1 is not understood here.\n")
    assert listener.counters().reasons == {"http1": 1}
    await wire.close()
    await until(lambda: not listener.links)


async def test_other_first_bytes_end_the_connection(port: Port) -> None:
    listener = await port.listen()
    for octets in (b"\x16\x03\x01\x02\x00", b"INVALID CONNECTION PREFACE\r\n\r\n", bytes(100)):
        wire = await port.wire(listener)
        await wire.send(octets)
        await wire.rest()
        await wire.close()
    assert listener.counters().reasons == {"tls_on_plain_port": 1, "protocol_error": 2}
    await until(lambda: not listener.links)


class Doorman:
    """Lets two connections in."""

    def __init__(self) -> None:
        self.open = 0
        self.refused: Counter[str] = Counter()

    def enter(self, host: str, _fileno: int) -> str | None:
        if self.open >= 2:
            self.refused[f"{host} has two"] += 1
            return f"{host} has two"
        self.open += 1
        return None

    def leave(self, _host: str) -> None:
        self.open -= 1

    def purge(self) -> None:
        return None


async def test_connections_beyond_the_limit_are_closed_at_once_and_others_let_in_later(port: Port, caplog) -> None:
    doorman = Doorman()
    listener = await port.listen(admission=doorman)
    inside = [await port.wire(listener) for _ in range(2)]
    for wire in inside:
        await wire.greet()
        await wire.until(SETTINGS)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert await (await port.wire(listener)).rest() == b""
    assert len(caplog.records) == 1
    assert listener.counters().connections_refused == {"127.0.0.1 has two": 3}
    await inside[0].close()
    await until(lambda: doorman.open == 1)
    later = await port.wire(listener)
    await later.greet()
    await later.until(SETTINGS)


async def test_who_may_not_call_is_told_so(port: Port) -> None:
    listener = await port.listen(allow=lambda host: host != "127.0.0.1")
    channel = port.channel(listener)
    expected = (7, "127.0.0.1 is not allowed to call this server")
    assert await failure(channel.unary_unary(UNARY)(b"")) == expected
    assert await failure(channel.stream_unary(STREAM)(iter([b""]))) == expected
    assert port.streams == []
    assert listener.counters().reasons == {"not_allowed": 2}


async def test_a_link_has_an_identity_and_tells_its_end(port: Port) -> None:
    links, ended = [], []
    port.unary = lambda message, call: links.append(call.link) or message
    listener = await port.listen()
    first, second = await greeted(port, listener), await greeted(port, listener)
    for wire, stream in ((first, 1), (second, 1), (first, 3)):
        await wire.send(opening(stream), message(b"", stream, end=True))
        await wire.until(DATA)
    assert links[0] is links[2]
    assert links[0].number != links[1].number
    assert links[0].tls is None
    links[0].closed(lambda: ended.append(0))
    assert listener.cut("127.0.0.1", links[0].port) == 1
    assert await first.rest() is not None
    await until(lambda: ended == [0])
    assert links[0].lost
    assert not links[1].lost
    links[0].closed(lambda: ended.append(1))
    assert ended == [0, 1]


async def test_a_link_that_is_over_goes_without_a_collector(port: Port) -> None:
    """Who outlives a young collection is put out of the collector's sight: a cycle would stay for hours."""
    listener = await port.listen()
    gc.collect()
    gc.disable()
    try:
        wires = [await greeted(port, listener) for _ in range(3)]
        for wire in wires:
            await wire.send(opening(1), message(b"", 1, end=True))
            await wire.until(DATA)
        await wires[0].send(opening(3, STREAM), message(b"", 3))
        numbers = {link.number for link in listener.links}
        assert len(numbers) == 3
        listener.cut("127.0.0.1")
        await until(lambda: not any(o.number in numbers for o in gc.get_objects() if isinstance(o, Link)))
    finally:
        gc.enable()


async def greeted(port: Port, listener) -> Wire:
    wire = await port.wire(listener)
    await wire.greet()
    await wire.until(SETTINGS)
    return wire


async def test_a_silent_client_is_asked_and_then_taken_for_gone(port: Port) -> None:
    listener = await port.listen(keep_alive_s=100, keep_alive_timeout_s=10)
    talking, silent = await greeted(port, listener), await greeted(port, listener)
    await port.pass_time(listener, 1)
    await port.pass_time(listener, 100)
    asked = await talking.until(PING)
    await silent.until(PING)
    await talking.send(frame(PING, 1, 0, asked[3]))
    await until(lambda: sum(link.connection.pinged for link in listener.links) == 1)
    await port.pass_time(listener, 10)
    assert await silent.read_frame() is None
    await until(lambda: len(listener.links) == 1)
    assert listener.counters().reasons == {"keep_alive": 1}


async def test_who_says_nothing_at_first_is_cut(port: Port) -> None:
    listener = await port.listen(handshake_timeout_s=20)
    wires = [await port.wire(listener) for _ in range(2)]
    await wires[1].send(PREFACE[:10])
    await until(lambda: len(listener.links) == 2)
    await port.pass_time(listener, 21)
    for wire in wires:
        assert await wire.read_frame() is None
    assert listener.counters().reasons == {"handshake_timeout": 2}


@pytest.mark.parametrize("limit", ["max_idle_s", "max_age_s"])
async def test_idle_and_old_connections_are_asked_to_go_without_losing_a_call(port: Port, limit: str) -> None:
    later = Later()
    port.unary = lambda _message, _call: later
    listener = await port.listen(**{limit: 50})
    busy, idle = await greeted(port, listener), await greeted(port, listener)
    await busy.send(opening(1), message(b"", end=True))
    await until(lambda: later.reply)
    await port.pass_time(listener, 49)
    await port.pass_time(listener, 2)
    assert struct.unpack_from(">I", (await idle.until(GOAWAY))[3])[0] == 2**31 - 1
    assert struct.unpack_from(">I", (await idle.until(GOAWAY))[3])[0] == 0
    assert await idle.read_frame() is None
    if limit == "max_age_s":
        await busy.until(GOAWAY)
    later.settle(b"done")
    assert (await busy.until(DATA))[3][5:] == b"done"
    if limit == "max_age_s":
        await port.pass_time(listener, 30)
    else:
        await idle.close()
        await until(lambda: len(listener.links) == 1)


async def test_a_slow_reader_is_set_aside_and_in_the_end_told_why(port: Port) -> None:
    port.unary = lambda _message, _call: bytes(1_000_000)
    listener = await port.listen(max_unsent=3_000_000, slow_reader_s=60)
    wire = await port.wire(listener)
    await wire.send(PREFACE, settings(window=0))
    await wire.send(*(opening(n) + message(b"", n, end=True) for n in range(1, 41, 2)))
    await until(lambda: listener.counters().reasons.get("set_aside"))
    assert listener.counters().unsent < 5_000_000
    healthy = port.channel(listener)
    assert len(await healthy.unary_unary(UNARY)(b"")) == 1_000_000
    await port.pass_time(listener, 1)
    await port.pass_time(listener, 61)
    goaway = await wire.until(GOAWAY)
    assert struct.unpack_from(">I", goaway[3], 4)[0] == Fault.ENHANCE_YOUR_CALM
    assert b"were not read in time" in goaway[3]
    assert listener.counters().reasons["slow_reader"] == 1
    assert listener.counters().unsent == 0


async def test_pushes_to_many_go_out_in_slices(port: Port) -> None:
    listener = await port.listen()
    wires = [await greeted(port, listener) for _ in range(_LINKS_PER_PASS * 3)]
    for wire in wires:
        await wire.send(opening(1, STREAM), message(b"hello"))
        await wire.until(DATA)
    written: list[int] = []
    for echo in port.streams:
        echo.call.send(b"push")
    waiting = listener._flusher._waiting
    while waiting:
        written.append(len(waiting))
        await asyncio.sleep(0)
    assert written == [_LINKS_PER_PASS * 3, _LINKS_PER_PASS * 2, _LINKS_PER_PASS]
    for wire in wires:
        assert (await wire.until(DATA))[3][5:] == b"push"


async def test_draining_answers_what_is_in_flight_and_ends_streams(port: Port) -> None:
    later = Later()
    port.unary = lambda message, _call: later if message == b"slow" else message
    listener = await port.listen()
    channel = port.channel(listener)
    slow = asyncio.ensure_future(channel.unary_unary(UNARY)(b"slow"))
    stream = channel.stream_stream(STREAM)()
    await stream.write(b"x")
    assert await stream.read() == b"x"
    await until(lambda: later.reply)
    draining = asyncio.ensure_future(listener.drain())
    assert await asyncio.wait_for(stream.code(), WAIT_S) == grpc.StatusCode.UNAVAILABLE
    assert await stream.details() == "the server is stopping"
    assert not draining.done()
    later.settle(b"answered")
    assert await asyncio.wait_for(slow, WAIT_S) == b"answered"
    await asyncio.wait_for(draining, WAIT_S)
    assert listener.links == set()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", listener.port or 1)


async def test_calls_that_arrive_while_draining_are_answered_until_the_second_goaway(port: Port) -> None:
    listener = await port.listen()
    wire = await greeted(port, listener)
    draining = asyncio.ensure_future(listener.drain())
    assert struct.unpack_from(">I", (await wire.until(GOAWAY))[3])[0] == 2**31 - 1
    await wire.send(opening(1), message(b"in time", 1, end=True), opening(3, STREAM))
    assert (await wire.until(DATA))[3][5:] == b"in time"
    assert struct.unpack_from(">I", (await wire.until(GOAWAY))[3])[0] == 3
    await asyncio.wait_for(draining, WAIT_S)


async def test_three_restarts_under_load_fail_no_call(port: Port) -> None:
    done = 0
    stopping = False

    async def caller(channel: grpc.aio.Channel) -> None:
        nonlocal done
        unary = channel.unary_unary(UNARY)
        while not stopping:
            assert await unary(b"x", wait_for_ready=True, timeout=WAIT_S) == b"x"
            done += 1

    first = await port.listen()
    number = first.port
    callers = [asyncio.ensure_future(caller(port.channel(first))) for _ in range(4)]
    current = first
    for _ in range(3):
        before = done
        await until(lambda before=before: done > before + 50)
        await current.stop(WAIT_S)
        current = await port.listen(number=number)
    before = done
    await until(lambda: done > before + 50)
    stopping = True
    await asyncio.wait_for(asyncio.gather(*callers), WAIT_S)


async def test_stopping_cuts_what_does_not_end(port: Port, caplog) -> None:
    port.unary = lambda _message, _call: Later()
    listener = await port.listen()
    wire = await greeted(port, listener)
    await wire.send(opening(1), message(b"", end=True))
    await until(lambda: any(link.connection.streams for link in listener.links))
    with caplog.at_level(logging.WARNING):
        await listener.stop(0.01)
    assert [record.getMessage() for record in caplog.records] == ["test: calls of 1 connections cut after 0.01 s"]
    await until(lambda: not listener.links)
    assert listener.counters().connections_open == 0
    await listener.stop(0)


async def test_a_malformed_connection_is_told_why_and_harms_no_other(port: Port) -> None:
    listener = await port.listen()
    good, bad = await greeted(port, listener), await greeted(port, listener)
    await good.send(opening(1, STREAM), message(b"a"))
    await bad.send(opening(1, STREAM), window_update(0, 0), b"never read" * 100_000)
    goaway = await bad.until(GOAWAY)
    assert goaway[3][8:] == b"WINDOW_UPDATE of 0"
    assert await bad.read_frame() is None
    await good.send(message(b"b"))
    assert [(await good.until(DATA))[3][5:] for _ in "ab"] == [b"a", b"b"]


async def test_clients_that_vanish_leave_nothing(port: Port) -> None:
    port.script = lambda _call, message: Later() if message == b"wait" else message
    listener = await port.listen()
    wires = []
    for n in range(30):
        wire = await port.wire(listener)
        wires.append(wire)
        if n % 3:
            await wire.send(PREFACE, frame(SETTINGS, 0, 0), opening(1, STREAM))
        if n % 3 == 2:
            await wire.send(message(b"wait"), message(b"more"), frame(DATA, 0, 1, b"\0\0\0\1\0half"))
    await until(lambda: len(port.streams) == 20)
    for wire in wires:
        await wire.close()
    await until(lambda: not listener.links)
    assert all(echo.events == ["close"] for echo in port.streams)
    counters = listener.counters()
    assert (counters.unsent, counters.held, counters.streams_open, listener.admission.open) == (0, 0, 0, 0)


async def test_streams_ended_by_the_peer_are_counted_by_reason(port: Port) -> None:
    listener = await port.listen()
    wire = await greeted(port, listener)
    await wire.send(opening(1, STREAM), window_update(1, 0))
    await wire.until(RST_STREAM)
    await wire.send(opening(3), message(b"x", 3, end=True))
    assert (await wire.until(HEADERS))[2] == 3
    assert listener.counters().reasons == {"stream_protocol_error": 1}
