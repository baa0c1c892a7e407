"""The connection without a socket: what each frame does in each state, windows, settings, and the one error per fault."""

from __future__ import annotations

import struct

import pytest
from peer import NOTHING_LEFT, STREAM, UNARY, Later, Peer, call_headers, message, opening, settings, split

from polaris_bridge.transport.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Fault,
    frame,
    rst_stream,
    window_update,
)
from polaris_bridge.transport.hpack import encode
from polaris_bridge.transport.limits import CONNECTION_WINDOW, STREAM_WINDOW, Limits
from polaris_bridge.transport.rpc import RpcError, Status
from polaris_bridge.transport.streams import REACTIONS, Reaction, State


def ending(found) -> tuple[int, str]:
    """Code and words of the GOAWAY at the end."""
    assert found[-1][0] == GOAWAY
    return struct.unpack_from(">I", found[-1][3], 4)[0], found[-1][3][8:].decode()


def test_a_call_is_answered_by_three_frames() -> None:
    peer = Peer()
    found = peer.send(opening(), message(b"hello", end=True))
    assert [(kind, flags, stream) for kind, flags, stream, _ in found] == [
        (HEADERS, END_HEADERS, 1), (DATA, 0, 1), (HEADERS, END_HEADERS | END_STREAM, 1),
    ]  # fmt: skip
    assert peer.fields(found[0]) == {":status": "200", "content-type": "application/grpc"}
    assert found[1][3] == b"\0\0\0\0\5hello"
    assert peer.fields(found[2]) == {"grpc-status": "0"}
    assert peer.left() == NOTHING_LEFT


@pytest.mark.parametrize("size", [1, 7, 24, 25, 100])
def test_the_same_in_any_pieces(size: int) -> None:
    session = PREFACE + frame(SETTINGS, 0, 0) + opening() + message(b"hello", end=True) + opening(3, STREAM)
    session += message(b"a", 3) + message(b"b" * 20_000, 3, end=True)[:16_000]
    whole = Peer(greet=None)
    expected = whole.send(session)
    cut = Peer(greet=None)
    assert cut.send_cut(session, range(size, len(session), size)) == expected


def place(peer: Peer, state: State) -> int:
    """Bring a stream into a state; its number."""
    if state is State.IDLE:
        return 5
    if state is State.OPEN:
        peer.send(opening(1, STREAM))
    elif state is State.HALF_CLOSED:
        peer.unary = lambda _message, _call: Later()
        peer.send(opening(1), message(b"", end=True))
        peer.unary = lambda message, _call: message
    elif state is State.CLOSED:
        peer.send(opening(1), message(b"", end=True))
    else:
        peer.send(opening(1, "/no/Such"))
    assert peer.connection.state(1) is state
    return 1


FRAMES = {
    DATA: lambda stream: message(b"x", stream),
    HEADERS: lambda stream: opening(stream, STREAM, end=True),
    PRIORITY: lambda stream: frame(PRIORITY, 0, stream, bytes(5)),
    RST_STREAM: lambda stream: rst_stream(stream, Fault.CANCEL),
    WINDOW_UPDATE: lambda stream: window_update(stream, 1),
}


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("kind", FRAMES)
def test_every_frame_in_every_state(state: State, kind: int) -> None:
    peer = Peer()
    stream = place(peer, state)
    if (state, kind) == (State.OPEN, HEADERS):
        return  # trailers: below
    found = peer.send(FRAMES[kind](stream))
    reaction, fault = REACTIONS[state][kind]
    codes = [
        (what[0], struct.unpack_from(">I", what[3], 4 if what[0] == GOAWAY else 0)[0])
        for what in found
        if what[0] in (RST_STREAM, GOAWAY)
    ]
    if reaction is Reaction.CONNECTION:
        assert codes == [(GOAWAY, fault)]
        assert peer.connection.ended
        assert peer.left() == NOTHING_LEFT
    elif reaction is Reaction.STREAM:
        assert codes == [(RST_STREAM, fault)]
        assert peer.connection.state(stream) is State.LEFT
    else:
        assert codes == []
    if reaction is not Reaction.CONNECTION:
        assert [what[0] for what in peer.send(opening(7), message(b"", 7, end=True))] == [HEADERS, DATA, HEADERS]


def connection_faults() -> dict[str, tuple[bytes, Fault]]:
    head = call_headers()
    return {
        "no SETTINGS first": (PREFACE + frame(PING, 0, 0, bytes(8)), Fault.PROTOCOL_ERROR),
        "no preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r", Fault.PROTOCOL_ERROR),
        "too long": (struct.pack(">IBI", 16385 << 8, 0, 1), Fault.FRAME_SIZE_ERROR),
        "DATA on 0": (frame(DATA, 0, 0, b"x"), Fault.PROTOCOL_ERROR),
        "HEADERS on 0": (frame(HEADERS, END_HEADERS, 0, head), Fault.PROTOCOL_ERROR),
        "even stream": (frame(HEADERS, END_HEADERS, 2, head), Fault.PROTOCOL_ERROR),
        "going back": (opening(5) + opening(3), Fault.PROTOCOL_ERROR),
        "inside a block": (frame(HEADERS, 0, 1, head) + frame(PING, 0, 0, bytes(8)), Fault.PROTOCOL_ERROR),
        "another's block": (frame(HEADERS, 0, 1, head) + frame(CONTINUATION, 4, 3), Fault.PROTOCOL_ERROR),
        "CONTINUATION of nothing": (frame(CONTINUATION, 4, 1, b""), Fault.PROTOCOL_ERROR),
        "padding": (frame(HEADERS, END_HEADERS | PADDED, 1, b"\xff" + head), Fault.PROTOCOL_ERROR),
        "padding of nothing": (opening() + frame(DATA, PADDED, 1), Fault.PROTOCOL_ERROR),
        "no block": (frame(HEADERS, END_HEADERS, 1, b"\x80"), Fault.COMPRESSION_ERROR),
        "PUSH_PROMISE": (frame(PUSH_PROMISE, 4, 1, bytes(4)), Fault.PROTOCOL_ERROR),
        "PING of 7": (frame(PING, 0, 0, bytes(7)), Fault.FRAME_SIZE_ERROR),
        "PING on a stream": (frame(PING, 0, 1, bytes(8)), Fault.PROTOCOL_ERROR),
        "SETTINGS on a stream": (frame(SETTINGS, 0, 1), Fault.PROTOCOL_ERROR),
        "SETTINGS of 5": (frame(SETTINGS, 0, 0, bytes(5)), Fault.FRAME_SIZE_ERROR),
        "ack with settings": (frame(SETTINGS, ACK, 0, bytes(6)), Fault.FRAME_SIZE_ERROR),
        "ENABLE_PUSH 2": (settings(push=2), Fault.PROTOCOL_ERROR),
        "window 2^31": (settings(window=2**31), Fault.FLOW_CONTROL_ERROR),
        "frame size": (settings(frame=16383), Fault.PROTOCOL_ERROR),
        "stream's window by SETTINGS": (
            opening(1, STREAM) + window_update(1, 2**31 - 65536) + settings(window=65536), Fault.FLOW_CONTROL_ERROR,
        ),
        "credit of 0": (window_update(0, 0), Fault.PROTOCOL_ERROR),
        "credit too much": (window_update(0, 2**31 - 1), Fault.FLOW_CONTROL_ERROR),
        "credit of 3 octets": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), Fault.FRAME_SIZE_ERROR),
        "RST_STREAM of 3": (opening(1, STREAM) + frame(RST_STREAM, 0, 1, bytes(3)), Fault.FRAME_SIZE_ERROR),
        "GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), Fault.PROTOCOL_ERROR),
        "GOAWAY of 7": (frame(GOAWAY, 0, 0, bytes(7)), Fault.FRAME_SIZE_ERROR),
        "PRIORITY on 0": (frame(PRIORITY, 0, 0, bytes(5)), Fault.PROTOCOL_ERROR),
        "HEADERS without its priority": (frame(HEADERS, END_HEADERS | 0x20, 1, bytes(4)), Fault.FRAME_SIZE_ERROR),
    }  # fmt: skip


@pytest.mark.parametrize("name", connection_faults())
def test_what_ends_a_connection(name: str) -> None:
    octets, fault = connection_faults()[name]
    fresh = name.startswith("no ") and name != "no block"
    peer = Peer(greet=None) if fresh else Peer()
    code, why = ending(peer.send(octets))
    assert code == fault
    assert why
    assert peer.left() == NOTHING_LEFT
    assert peer.send(opening(9), message(b"", 9, end=True)) == []
    assert peer.budget.reasons[fault.name.lower()] == 1


def stream_faults() -> dict[str, tuple[bytes, Fault]]:
    plain = ((":method", "POST"), (":scheme", "http"), (":path", "/a/b"))

    def block(*fields: tuple[str, str]) -> bytes:
        return frame(HEADERS, END_HEADERS | END_STREAM, 1, encode(*fields))

    return {
        "no method": (block((":scheme", "http"), (":path", "/a/b")), Fault.PROTOCOL_ERROR),
        "no path": (block((":method", "POST"), (":scheme", "http"), (":path", "")), Fault.PROTOCOL_ERROR),
        "twice": (block(*plain, (":path", "/c")), Fault.PROTOCOL_ERROR),
        "unknown pseudo": (block(*plain, (":status", "200")), Fault.PROTOCOL_ERROR),
        "pseudo late": (block((":method", "POST"), ("a", "b"), (":scheme", "http"), (":path", "/")), Fault.PROTOCOL_ERROR),
        "capital": (block(*plain, ("Big", "x")), Fault.PROTOCOL_ERROR),
        "empty name": (block(*plain, ("", "x")), Fault.PROTOCOL_ERROR),
        "connection": (block(*plain, ("connection", "close")), Fault.PROTOCOL_ERROR),
        "te": (block(*plain, ("te", "gzip")), Fault.PROTOCOL_ERROR),
        "line break": (block(*plain, ("a", "b\r\nc")), Fault.PROTOCOL_ERROR),
        "length": (block(*plain, ("content-length", "1")), Fault.PROTOCOL_ERROR),
        "no length": (block(*plain, ("content-length", "+1")), Fault.PROTOCOL_ERROR),
        "CONNECT with a path": (block((":method", "CONNECT"), (":path", "/"), (":authority", "x")), Fault.PROTOCOL_ERROR),
        "itself": (frame(HEADERS, END_HEADERS | 0x20, 1, bytes([0, 0, 0, 1, 9]) + call_headers()), Fault.PROTOCOL_ERROR),
        "shorter than said": (
            opening(1, UNARY, ("content-length", "9")) + message(b"abc", end=True), Fault.PROTOCOL_ERROR,
        ),
        "longer than said": (opening(1, UNARY, ("content-length", "6")) + message(b"abc"), Fault.PROTOCOL_ERROR),
        "credit of 0": (opening(1, STREAM) + window_update(1, 0), Fault.PROTOCOL_ERROR),
        "credit too much": (opening(1, STREAM) + window_update(1, 2**31 - 1), Fault.FLOW_CONTROL_ERROR),
        "trailers without end": (opening(1, STREAM) + frame(HEADERS, END_HEADERS, 1, b""), Fault.PROTOCOL_ERROR),
        "pseudo in trailers": (
            opening(1, STREAM) + frame(HEADERS, END_HEADERS | END_STREAM, 1, encode((":path", "/"))), Fault.PROTOCOL_ERROR,
        ),
        "PRIORITY of 4": (frame(PRIORITY, 0, 1, bytes(4)), Fault.FRAME_SIZE_ERROR),
    }  # fmt: skip


@pytest.mark.parametrize("name", stream_faults())
def test_what_ends_a_stream_and_nothing_else(name: str) -> None:
    octets, fault = stream_faults()[name]
    peer = Peer()
    found = peer.send(octets)
    assert [(what[0], what[2], what[3]) for what in found if what[0] != HEADERS] == [
        (RST_STREAM, 1, struct.pack(">I", fault))
    ]
    assert all(echo.events[-1:] == ["close"] for echo in peer.streams)
    assert peer.left() == NOTHING_LEFT
    assert [what[0] for what in peer.send(opening(3), message(b"", 3, end=True))] == [HEADERS, DATA, HEADERS]


def test_content_length_that_is_right_is_fine_and_trailers_end_a_request() -> None:
    peer = Peer()
    found = peer.send(
        opening(1, UNARY, ("content-length", "8")), message(b"abc"), frame(HEADERS, 5, 1, encode(("x-more", "1")))
    )
    assert found[1][3] == b"\0\0\0\0\3abc"


def test_padding_counts_for_the_window_and_is_no_message() -> None:
    peer = Peer()
    body = struct.pack(">BI", 0, 3) + b"abc"
    found = peer.send(opening(), frame(DATA, PADDED | END_STREAM, 1, b"\x09" + body + bytes(9)))
    assert found[1][3] == body
    assert peer.connection._receive_window == CONNECTION_WINDOW - len(body) - 10


def test_a_block_in_many_frames_with_padding_and_priority() -> None:
    peer = Peer()
    head = call_headers()
    first = frame(HEADERS, PADDED | 0x20, 1, b"\x03" + bytes(5) + head[:10] + bytes(3))
    found = peer.send(first, frame(CONTINUATION, 0, 1, head[10:11]), frame(CONTINUATION, END_HEADERS, 1, head[11:]))
    assert found == []
    assert [what[0] for what in peer.send(message(b"x", end=True))] == [HEADERS, DATA, HEADERS]


def test_the_meaning_of_a_block_is_remembered_until_the_table_changes() -> None:
    peer = Peer()
    head = (":method", "POST"), (":scheme", "http"), (":path", UNARY), ("content-type", "application/grpc")
    indexed = b"\x40\x07x-token\x01a"
    peer.send(frame(HEADERS, 5, 1, encode(*head) + indexed))
    refers = encode(*head) + b"\xbe"
    seen: list[str | None] = []
    peer.unary = lambda message, call: seen.append(call.metadata("x-token")) or message
    for stream in (3, 5):
        peer.send(frame(HEADERS, 4, stream, refers), message(b"", stream, end=True))
    peer.send(frame(HEADERS, 4, 7, encode(*head) + b"\x40\x07x-token\x01b"), message(b"", 7, end=True))
    peer.send(frame(HEADERS, 4, 9, refers), message(b"", 9, end=True))
    assert seen == ["a", "a", "b", "b"]


# ---------------------------------------------------------------- windows


def test_answers_wait_for_the_streams_window_and_trailers_wait_behind_them() -> None:
    peer = Peer(greet=PREFACE + settings(window=10))
    found = peer.send(opening(), message(b"x" * 20, end=True))
    assert [(what[0], len(what[3])) for what in found if what[0] == DATA] == [(DATA, 10)]
    assert peer.connection.unsent == 15
    assert [len(what[3]) for what in peer.send(window_update(1, 5))] == [5]
    found = peer.send(window_update(1, 100))
    assert [what[0] for what in found] == [DATA, HEADERS]
    assert peer.left() == NOTHING_LEFT


def test_settings_change_the_windows_of_open_streams_and_may_make_them_negative() -> None:
    peer = Peer()
    later = Later()
    peer.unary = lambda _message, _call: later
    peer.send(opening(), message(b"", end=True))
    peer.send(settings(window=0))
    later.settle(b"x" * 10)
    assert [what[0] for what in peer.read()] == [HEADERS]
    found = peer.send(settings(window=15))
    assert [what[0] for what in found] == [SETTINGS, DATA, HEADERS]  # the acknowledgement comes first
    peer.send(opening(3, STREAM), message(b"12345", 3))
    peer.send(settings(window=0))
    assert peer.connection.streams[3].send_window == -10
    assert peer.send(window_update(3, 9), message(b"again", 3)) == []
    assert sum(len(what[3]) for what in peer.send(window_update(3, 11))) == 10


def test_the_connections_window_is_shared_in_turns() -> None:
    peer = Peer(greet=PREFACE + settings(window=2**20))
    peer.unary = lambda _message, _call: b"y" * 200_000
    for stream in (1, 3, 5):
        peer.send(opening(stream), message(b"", stream, end=True))
    sent: dict[int, int] = {}
    while peer.connection.streams:
        for _, _, stream, payload in peer.send(window_update(0, 65536)):
            sent[stream] = sent.get(stream, 0) + len(payload)
        if len(sent) == 3 and peer.connection.streams:
            break
    assert set(sent) == {1, 3, 5}


def test_credit_is_given_at_half_of_a_window() -> None:
    peer = Peer()
    peer.send(opening(1, STREAM))
    credits: dict[int, int] = {0: 0, 1: 0}
    body = b"x" * 16_000
    for _ in range(300):
        for kind, _, stream, payload in peer.send(message(body)):
            if kind == WINDOW_UPDATE:
                credits[stream] += struct.unpack(">I", payload)[0]
        peer.send(window_update(0, 16_005), window_update(1, 16_005))
    sent = 300 * 16_005
    assert sent - STREAM_WINDOW // 2 - 16_005 < credits[1] <= sent
    assert sent - CONNECTION_WINDOW // 2 - 16_005 < credits[0] <= sent


def test_more_than_the_streams_window_ends_the_stream() -> None:
    peer = Peer(script=lambda _call, _message: Later())
    peer.send(opening(1, STREAM))
    found = []
    for _ in range(STREAM_WINDOW // 16_000 + 1):
        found = peer.send(message(b"x" * 16_000))
    assert found[-1][0] == RST_STREAM
    assert peer.left() == NOTHING_LEFT


# ---------------------------------------------------------------- streams


def test_the_next_message_waits_for_the_answer_to_the_last() -> None:
    answers = [Later(), Later()]
    peer = Peer(script=lambda _call, message: answers[int(message)])
    peer.send(opening(1, STREAM), message(b"0"), message(b"1", end=True))
    echo = peer.streams[0]
    assert echo.seen == [b"0"]
    answers[0].settle(b"first")
    assert echo.seen == [b"0", b"1"]
    assert echo.events == []
    answers[1].settle(b"second")
    assert echo.events == ["end", "close"]
    found = peer.read()
    assert [what[3][5:] for what in found if what[0] == DATA] == [b"first", b"second"]
    assert peer.left() == NOTHING_LEFT
    assert peer.wakes == 1


def test_who_does_not_read_gets_no_further_message_handled() -> None:
    peer = Peer(greet=PREFACE + settings(window=0), script=lambda _call, _message: b"x" * 100)
    peer.send(opening(1, STREAM), *(message(b"%d" % n) for n in range(50)))
    assert len(peer.streams[0].seen) == 1
    peer.send(window_update(1, 105))
    assert len(peer.streams[0].seen) == 2
    peer.send(window_update(1, 1_000_000))
    assert len(peer.streams[0].seen) == 50


def test_finishing_within_a_message_still_sends_its_answer() -> None:
    def script(call, message: bytes) -> bytes:
        call.send(b"push")
        call.finish(Status.ABORTED, "für heute genug")
        call.finish(Status.OK)
        return message

    peer = Peer(script=script)
    found = peer.send(opening(1, STREAM), message(b"answer"), message(b"too late"))
    assert [what[3][5:] for what in found if what[0] == DATA] == [b"push", b"answer"]
    assert found[-1][0] == RST_STREAM
    assert found[-1][3] == bytes(4)
    peer.fields(found[0])
    assert peer.fields(found[-2]) == {"grpc-status": "10", "grpc-message": "f%C3%BCr heute genug"}
    assert peer.streams[0].events == ["close"]
    assert peer.send(message(b"later still", end=True)) == []
    assert peer.left() == NOTHING_LEFT


def test_a_stream_that_stays_is_pushed_to_after_its_client_has_ended() -> None:
    peer = Peer()
    peer.send(opening(1, STREAM))
    peer.streams[0].stays = True
    peer.send(message(b"a", end=True))
    peer.streams[0].call.send(b"push")
    assert peer.wakes == 1
    assert [what[3][5:] for what in peer.read()] == [b"push"]
    peer.streams[0].call.finish()
    assert peer.fields(peer.read()[0]) == {"grpc-status": "0"}
    assert peer.streams[0].events == ["end", "close"]


def test_messages_in_any_cut_of_frames() -> None:
    peer = Peer()
    peer.send(opening(1, STREAM))
    octets = b"".join(struct.pack(">BI", 0, size) + b"m" * size for size in (0, 1, 300, 5, 0, 70_000, 2))
    for at in range(0, len(octets), 997):
        peer.send(frame(DATA, 0, 1, octets[at : at + 997]), window_update(1, 2000), window_update(0, 2000))
    assert [len(seen) for seen in peer.streams[0].seen] == [0, 1, 300, 5, 0, 70_000, 2]
    assert peer.connection.held == 0


@pytest.mark.parametrize("way", ["reset", "lost", "fault", "expired"])
def test_however_a_stream_ends_its_handler_is_told_once_and_nothing_is_left(way: str) -> None:
    later = Later()
    peer = Peer(script=lambda _call, _message: later)
    peer.send(
        opening(1, STREAM, ("grpc-timeout", "5S")),
        message(b"a"),
        message(b"waits"),
        frame(DATA, 0, 1, b"\0\0\0\0\x20half"),
    )
    if way == "reset":
        peer.send(rst_stream(1, Fault.CANCEL))
    elif way == "lost":
        peer.connection.lost()
    elif way == "fault":
        peer.send(frame(DATA, 0, 0))
    else:
        alarm = peer.alarms.pop()
        assert alarm.seconds == 5
        alarm.call()
        assert peer.fields(peer.read()[0])["grpc-status"] == "4"
    assert peer.streams[0].events == ["close"]
    later.settle(b"too late")
    peer.streams[0].call.send(b"nobody")
    peer.streams[0].call.finish()
    assert [what for what in peer.read() if what[0] in (DATA, HEADERS)] == []
    assert peer.left() == NOTHING_LEFT
    assert peer.observed == ([(STREAM, 4)] if way == "expired" else [])


def test_pushes_beyond_the_backlog_end_the_stream_and_say_why() -> None:
    peer = Peer(limits=Limits(max_backlog=1000), greet=PREFACE + settings(window=0))
    peer.send(opening(1, STREAM))
    call = peer.streams[0].call
    for _ in range(20):
        call.send(b"x" * 100)
        assert call.backlog <= 1000
    assert peer.streams[0].events == ["close"]
    found = peer.read()
    assert peer.fields(found[0])[":status"] == "200"
    assert peer.fields(found[1])["grpc-status"] == "8"
    assert peer.left() == NOTHING_LEFT
    assert peer.budget.reasons["slow_reader"] == 1


# ---------------------------------------------------------------- limits


def test_streams_beyond_the_limit_are_refused_and_their_blocks_read() -> None:
    peer = Peer(limits=Limits(max_streams=2))
    peer.unary = lambda _message, _call: Later()
    peer.send(opening(1), opening(3))
    refused = peer.send(frame(HEADERS, 4, 5, call_headers() + b"\x40\x01a\x01b"))
    assert refused[0][0] == RST_STREAM
    assert struct.unpack(">I", refused[0][3])[0] == Fault.REFUSED_STREAM
    assert peer.connection._decoder._table == [("a", "b")]


def test_headers_beyond_the_limit_are_answered_with_resource_exhausted() -> None:
    peer = Peer(limits=Limits(max_metadata=1000))
    found = peer.send(opening(1, UNARY, ("x", "y" * 1000)), message(b"", end=True))
    assert peer.fields(found[0])["grpc-status"] == "8"


def test_what_is_held_of_unfinished_messages_is_bounded() -> None:
    peer = Peer(limits=Limits(max_receive=100_000, max_held=300_000))
    ended = 0
    for stream in range(1, 41, 2):
        peer.send(opening(stream))
        for n in range(5):
            part = (struct.pack(">BI", 0, 90_000) if n == 0 else b"") + b"x" * 15_000
            found = peer.send(frame(DATA, 0, stream, part))
            ended += any(what[0] == HEADERS for what in found)
    assert ended > 10
    assert peer.connection.held <= 300_000
    peer.connection.lost()
    assert peer.left() == NOTHING_LEFT


# ---------------------------------------------------------------- going


def test_two_goaways_and_calls_between_them_are_answered() -> None:
    peer = Peer()
    peer.connection.ask_to_go()
    assert struct.unpack(">II", peer.read()[0][3]) == (2**31 - 1, 0)
    assert len(peer.send(opening(1), message(b"", end=True))) == 3
    peer.connection.refuse_more()
    assert struct.unpack(">II", peer.read()[0][3]) == (1, 0)
    assert struct.unpack(">I", peer.send(opening(3))[0][3])[0] == Fault.REFUSED_STREAM
    assert peer.connection.leaving


def test_the_layout_packs_what_the_frames_are() -> None:
    peer = Peer()
    assert split(b"".join(frame(kind, 0, 1, b"x") for kind in (DATA, 77))) == [(DATA, 0, 1, b"x"), (77, 0, 1, b"x")]
    assert peer.send(frame(77, 0xFF, 1, b"unknown types are ignored")) == []


def test_errors_of_handlers_become_statuses() -> None:
    def refuse(_message: bytes, _call) -> bytes:
        raise RpcError(Status.NOT_FOUND, "50% weg")

    peer = Peer(unary=refuse)
    found = peer.send(opening(), message(b"", end=True))
    assert peer.fields(found[0]) == {
        ":status": "200", "content-type": "application/grpc", "grpc-status": "5", "grpc-message": "50%25 weg",
    }  # fmt: skip
    assert found[0][1] & END_STREAM
