"""What a hostile client can make us do is bounded: in memory, in time, in answers. Each ends as ENHANCE_YOUR_CALM or waits."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from peer import NOTHING_LEFT, STREAM, UNARY, Later, Peer, call_headers, message, opening, settings

from polaris_bridge.transport.frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS,
    Fault,
    frame,
    rst_stream,
    window_update,
)
from polaris_bridge.transport.hpack import encode
from polaris_bridge.transport.limits import FAIR_UNSENT, MIB, WRITE_SIZE, Budget, Limits

CHUNK = 64 * 1024


@contextmanager
def bounded(memory: int, cpu_s: float = 2.0) -> Iterator[None]:
    """Fails when more than so many bytes are held at a time, or it takes so much CPU."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        began = time.process_time()
        yield
        spent = time.process_time() - began
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < memory, f"{peak} bytes at a time"
    assert spent < cpu_s


def flood(peer: Peer, octets: bytes, times: int) -> tuple[Fault, int] | None:
    """Repeat something until the connection ends: why, and how many bytes it took."""
    per_chunk = max(1, CHUNK // len(octets))
    for n in range(0, times, per_chunk):
        for found in peer.send(octets * per_chunk):
            if found[0] == GOAWAY:
                return Fault(struct.unpack_from(">I", found[3], 4)[0]), n * len(octets)
    return None


FLOODS: dict[str, bytes] = {
    "empty DATA": frame(DATA, 0, 1),
    "SETTINGS": frame(SETTINGS, 0, 0),
    "SETTINGS with windows": settings(window=1) + settings(window=65535),
    "PRIORITY": frame(PRIORITY, 0, 1, b"\0\0\0\3\0"),
    "unknown types": frame(99, 0, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_floods_of_frames_that_say_nothing(name: str) -> None:
    peer = Peer()
    peer.send(opening(1, STREAM))
    with bounded(MIB):
        ended = flood(peer, FLOODS[name], 1_000_000)
    assert ended is not None
    assert ended[0] is Fault.ENHANCE_YOUR_CALM
    assert peer.left() == NOTHING_LEFT


@pytest.mark.parametrize("client_resets", [True, False])
def test_rapid_reset(client_resets: bool) -> None:
    """Calls begun and cancelled, or made us cancel them."""
    peer = Peer()
    ended = False
    with bounded(2 * MIB, 5):
        for stream in range(1, 100_001, 2):
            end = rst_stream(stream, Fault.CANCEL) if client_resets else window_update(stream, 0)
            ended = any(found[0] == GOAWAY for found in peer.send(opening(stream, STREAM), end))
            if ended:
                break
    assert ended
    assert stream < 10_000
    assert len(peer.streams) == sum(echo.events == ["close"] for echo in peer.streams)
    assert peer.left() == NOTHING_LEFT


def test_a_client_that_gives_up_many_calls_now_and_then_is_no_attacker() -> None:
    peer = Peer(limits=Limits(max_streams=2000))
    stream = -1
    for _ in range(5):
        for _ in range(1500):
            stream += 2
            assert peer.send(opening(stream, STREAM), rst_stream(stream, Fault.CANCEL)) == []
        peer.connection.refill(2)
    assert not peer.connection.ended


@pytest.mark.parametrize("what", ["PING", "SETTINGS", "refused calls"])
def test_answers_that_are_asked_for_and_not_read(what: str) -> None:
    peer = Peer(limits=Limits(max_streams=5))
    peer.connection.writable = False
    octets: Callable[[int], bytes] = {
        "PING": lambda _n: frame(PING, 0, 0, b"12345678") * 100,
        "SETTINGS": lambda _n: frame(SETTINGS, 0, 0),
        "refused calls": lambda n: opening(2 * n + 1, "/no/Such", end=True),
    }[what]
    with bounded(2 * MIB):
        for n in range(20_000):
            peer.connection.receive(octets(n))
            if peer.connection.ended:
                break
    assert peer.connection.ended
    assert peer.connection.budget.reasons["enhance_your_calm"] == 1
    assert peer.connection.out_size < MIB


def test_pings_of_a_client_that_reads_are_answered_however_many() -> None:
    peer = Peer()
    for _ in range(200):
        assert len(peer.send(frame(PING, 0, 0, b"12345678") * 100)) == 100


@pytest.mark.parametrize("part", [b"", b"\0", b"\0" * 16_384], ids=["empty", "small", "large"])
def test_continuations_without_end(part: bytes) -> None:
    peer = Peer()
    peer.send(frame(HEADERS, 0, 1, call_headers()))
    with bounded(2 * MIB):
        ended = flood(peer, frame(CONTINUATION, 0, 1, part), 100_000)
    assert ended is not None
    assert ended[0] is Fault.ENHANCE_YOUR_CALM


def test_an_hpack_bomb() -> None:
    peer = Peer()
    filled = b"\x40\x01a" + b"\x7f\xa1\x1e" + b"x" * 4000
    peer.send(frame(HEADERS, 5, 1, encode((":method", "POST"), (":scheme", "http"), (":path", "/a/b")) + filled))
    with bounded(4 * MIB):
        found = peer.send(frame(HEADERS, 5, 3, call_headers() + b"\xbe" * 16_000))
    assert found[-1][0] == GOAWAY
    assert struct.unpack_from(">I", found[-1][3], 4)[0] == Fault.ENHANCE_YOUR_CALM


def test_blocks_that_are_too_large_again_and_again() -> None:
    peer = Peer(limits=Limits(max_metadata=4096))
    ended = None
    with bounded(4 * MIB, 10):
        for stream in range(1, 20_001, 2):
            found = peer.send(opening(stream, UNARY, ("x", "y" * 8000), end=True))
            if found[-1][0] == GOAWAY:
                ended = found[-1]
                break
    assert ended is not None


def test_data_in_single_octets_costs_little_memory() -> None:
    peer = Peer()
    peer.send(opening(1, STREAM), frame(DATA, 0, 1, struct.pack(">BI", 0, 1_000_000)))
    with bounded(2 * MIB, 5):
        for _ in range(50):
            peer.send(frame(DATA, 0, 1, b"x") * 1000)
    assert not peer.connection.ended
    assert peer.connection.held == 50_005


@pytest.mark.parametrize("path", [UNARY, STREAM])
def test_no_window_and_many_large_answers_asked_for(path: str) -> None:
    """900 answers of 1 MB to a client that takes none: what is produced is bounded, the rest of the calls waits."""
    made = []

    def answer(_message: bytes, _call: object = None) -> bytes:
        made.append(1)
        return bytes(1_000_000)

    peer = Peer(
        greet=PREFACE + settings(window=0),
        limits=Limits(max_unsent=10 * MIB),
        unary=answer,
        script=lambda _call, message: answer(message),
    )
    with bounded(15 * MIB, 20):
        for n in range(900):
            peer.send(opening(2 * n + 1, path), message(b"ask", 2 * n + 1, end=True))
    assert len(made) <= 12
    assert peer.connection.unsent <= 12 * MIB
    assert peer.budget.reasons["set_aside"] == 900 - len(made)
    assert peer.connection.aside
    peer.send(settings(window=2**20))
    for _ in range(2000):
        if not peer.connection.streams:
            break
        peer.send(window_update(0, MIB))
    assert len(made) == 900
    assert peer.left() == NOTHING_LEFT


def test_a_full_socket_holds_answers_back_as_a_window_does() -> None:
    peer = Peer(
        greet=PREFACE + settings(window=2**31 - 1), limits=Limits(max_unsent=4 * MIB), unary=lambda *_: bytes(500_000)
    )
    peer.send(window_update(0, 2**31 - 1 - 65535))
    peer.connection.writable = False
    for n in range(100):
        peer.connection.receive(opening(2 * n + 1) + message(b"", 2 * n + 1, end=True))
    assert peer.connection.unsent < 5 * MIB
    assert peer.connection.out_size < WRITE_SIZE
    peer.connection.writable = True
    sizes = []
    while taken := peer.connection.take():
        sizes.append(len(taken))
    assert sum(sizes) > 100 * 500_000
    assert max(sizes) < 2 * WRITE_SIZE
    assert peer.left() == NOTHING_LEFT


def test_who_owes_much_is_set_aside_when_all_together_owe_too_much() -> None:
    budget = Budget()
    limits = Limits(max_unsent_total=4 * MIB)
    greedy = [
        Peer(greet=PREFACE + settings(window=0), limits=limits, budget=budget, unary=lambda *_: bytes(1_100_000))
        for _ in range(10)
    ]
    for peer in greedy:
        for stream in range(1, 21, 2):
            peer.send(opening(stream), message(b"", stream, end=True))
    assert budget.unsent < 4 * MIB + 10 * (FAIR_UNSENT + 1_100_000)
    modest = Peer(limits=limits, budget=budget)
    assert len(modest.send(opening(1), message(b"x", end=True))) == 3
    for peer in greedy:
        peer.connection.lost()
    assert budget.unsent == 0


def test_pushes_to_a_connection_that_owes_too_much_end_their_streams() -> None:
    peer = Peer(greet=PREFACE + settings(window=0), limits=Limits(max_unsent=2 * MIB))
    peer.send(*(opening(n, STREAM) for n in range(1, 201, 2)))
    for _ in range(5):
        for echo in peer.streams:
            echo.call.send(bytes(30_000))
    assert peer.connection.unsent <= 2 * MIB + 30_005
    assert 0 < sum(echo.events == ["close"] for echo in peer.streams) < 100
    assert peer.budget.reasons["slow_reader"] > 0


def test_a_gzip_bomb_is_not_inflated() -> None:
    peer = Peer(limits=Limits(max_receive=MIB))
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(200)) + packer.flush()
    octets = struct.pack(">BI", 1, len(bomb)) + bomb
    frames = [frame(DATA, 0, 1, octets[at : at + 16_000]) for at in range(0, len(octets), 16_000)]
    with bounded(5 * MIB):
        found = peer.send(opening(1, UNARY, ("grpc-encoding", "gzip")), *frames, frame(DATA, 1, 1))
    assert peer.fields(next(what for what in found if what[0] == HEADERS))["grpc-status"] == "8"
    assert peer.left() == NOTHING_LEFT


def test_streams_opened_and_left_cost_little() -> None:
    peer = Peer()
    peer.unary = lambda *_: Later()
    with bounded(3 * MIB):
        for n in range(5000):
            if any(what[0] == GOAWAY for what in peer.send(opening(2 * n + 1))):
                break
    assert peer.connection.ended
    assert peer.left() == NOTHING_LEFT
