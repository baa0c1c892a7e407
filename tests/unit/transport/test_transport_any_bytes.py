"""One sentence: any bytes, cut anywhere, either work or end in one GOAWAY, and nothing is left when the connection is."""

from __future__ import annotations

import struct

from hypothesis import given, settings
from hypothesis import strategies as st
from peer import NOTHING_LEFT, STREAM, UNARY, Later, Peer, call_headers, message, opening

from polaris_bridge.transport.frames import DATA, GOAWAY, HEADERS, PREFACE, SETTINGS, frame
from polaris_bridge.transport.limits import Limits

NUMBERS = st.sampled_from([0, 1, 1, 1, 3, 3, 5, 7, 2, 2**31 - 1, 2**31 + 1])
BLOCKS = st.one_of(
    st.sampled_from(
        [
            call_headers(UNARY), call_headers(STREAM), call_headers(STREAM, ("grpc-timeout", "1S")), call_headers("/x/y"),
            call_headers(UNARY, ("grpc-encoding", "gzip")), call_headers(UNARY, method="GET"),
            call_headers(UNARY, ("content-length", "7")), call_headers(UNARY, kind="text/plain"), b"\x82\x86", b"\xbe", b"",
            call_headers(STREAM) + b"\x40\x01a\x01b",
        ]
    ),
    st.binary(max_size=30),
)  # fmt: skip


def prefixed(body: bytes, flag: int) -> bytes:
    return struct.pack(">BI", flag, len(body)) + body


def whole_call(stream: int, path: str) -> bytes:
    return opening(stream, path) + message(b"hello", stream, end=True)


BODIES = st.one_of(
    st.builds(prefixed, st.binary(max_size=40), st.sampled_from([0, 0, 0, 1, 9])),
    st.binary(max_size=40),
    st.just(struct.pack(">BI", 0, 3000) + bytes(3000)),
)  # fmt: skip
SHORT = st.binary(max_size=12)
FLAGS = st.sampled_from([0, 0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF])
CREDIT = st.sampled_from([0, 1, 100, 65535, 2**31 - 1, 2**32 - 1])
SETTING = st.builds(
    lambda name, value: struct.pack(">HI", name, value),
    st.integers(0, 7),
    st.sampled_from([0, 1, 100, 16384, 2**24 - 1, 2**31 - 1, 2**31]),
)
FRAMES = st.one_of(
    st.builds(lambda n, flags, body: frame(HEADERS, flags | 4, n, body), NUMBERS, FLAGS, BLOCKS),
    st.builds(lambda n, flags, body: frame(HEADERS, flags, n, body), NUMBERS, FLAGS, BLOCKS),
    st.builds(lambda n, flags, body: frame(DATA, flags, n, body), NUMBERS, FLAGS, BODIES),
    st.builds(lambda n, credit: frame(8, 0, n, struct.pack(">I", credit)), NUMBERS, CREDIT),
    st.builds(lambda items: frame(SETTINGS, 0, 0, b"".join(items)), st.lists(SETTING, max_size=3)),
    st.builds(lambda n: frame(3, 0, n, bytes(4)), NUMBERS),
    st.builds(lambda n, kind, flags, octets: frame(kind, flags, n, octets), NUMBERS, st.integers(0, 12), FLAGS, SHORT),
    st.builds(whole_call, st.sampled_from(range(1, 40, 2)), st.sampled_from([UNARY, STREAM])),
    st.binary(max_size=20),
)  # fmt: skip
ACTIONS = st.sampled_from(["nothing", "full", "free", "settle", "push", "finish"])


def answers(peer: Peer, laters: list[Later]):
    def answer(body: bytes) -> object:
        match len(body) % 5:
            case 0:
                return body
            case 1:
                laters.append(Later())
                return laters[-1]
            case 2:
                raise ZeroDivisionError
            case _:
                return b"x" * 3000

    peer.unary = lambda body, _call: answer(body)
    peer.script = lambda _call, body: None if body == b"hello" else answer(body)


def act(peer: Peer, action: str, laters: list[Later]) -> None:
    """What happens beside what the client sends."""
    if action == "full":
        peer.connection.writable = False
    elif action == "free":
        peer.connection.writable = True
    elif action == "settle" and laters:
        laters.pop().settle(b"late")
    for echo in peer.streams[-2:]:
        if action == "push":
            echo.call.send(b"p" * 500)
        elif action == "finish":
            echo.call.finish()


def check(found: list, peer: Peer) -> None:
    ends = [what for what in found if what[0] == GOAWAY]
    assert len(ends) <= 1
    assert bool(ends) == (peer.connection.ended and peer.connection.why != "test over")
    if ends:
        assert found[-1] is ends[0]


def finish(peer: Peer, laters: list[Later]) -> None:
    """The socket is gone: so is everything."""
    peer.connection.lost("test over")
    for later in laters:
        later.settle(b"too late")
    for echo in peer.streams:
        assert echo.events.count("close") == 1
        assert echo.events[-1] == "close"
    assert peer.left() == NOTHING_LEFT


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(FRAMES, ACTIONS), max_size=25), st.data())
def test_any_frames_in_any_order_with_anything_happening_meanwhile(steps, data) -> None:
    peer = Peer(limits=Limits(max_streams=4, max_receive=2000, max_backlog=2000, max_unsent=10_000, max_metadata=1000))
    laters: list[Later] = []
    answers(peer, laters)
    found = []
    for octets, action in steps:
        cut = data.draw(st.integers(0, len(octets)))
        found += peer.send_cut(octets, [cut])
        act(peer, action, laters)
        found += peer.read()
    if peer.connection.ended:
        found += peer.read()
    check(found, peer)
    finish(peer, laters)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_at_all(octets: bytes, greeted: bool) -> None:
    peer = Peer(greet=None)
    found = peer.send((PREFACE + frame(SETTINGS, 0, 0) if greeted else b"") + octets)
    check(found, peer)
    finish(peer, [])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(FRAMES), max_size=12), st.lists(st.integers(0, 1500), max_size=20))
def test_where_the_bytes_are_cut_makes_no_difference(steps, cuts: list[int]) -> None:
    octets = b"".join(step[0] for step in steps)
    whole, pieces = Peer(), Peer()
    expected = whole.send(octets)
    found = pieces.send_cut(octets, [cut for cut in cuts if cut < len(octets)])
    assert sorted(found) == sorted(expected)
    assert pieces.connection.ended == whole.connection.ended
    assert [echo.seen for echo in pieces.streams] == [echo.seen for echo in whole.streams]
