"""Another implementation as the judge: nghttp2 writes random legal sessions, reads what we answer, and must have understood them
as we did."""

from __future__ import annotations

import struct
from typing import Any

import ngh2
from hypothesis import given, settings
from hypothesis import strategies as st
from peer import NOTHING_LEFT, STREAM, UNARY, Peer

NAME = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=12).map("x-".__add__)
VALUE = st.text([chr(code) for code in range(0x21, 0x7F)], max_size=60)
METADATA = st.lists(st.tuples(NAME, VALUE), max_size=6, unique_by=lambda pair: pair[0])
MESSAGES = st.lists(st.integers(0, 50_000).map(lambda size: b"m" * size), min_size=1, max_size=4)
CALLS = st.lists(st.tuples(st.booleans(), METADATA, MESSAGES, st.booleans()), min_size=1, max_size=12)


class Session:
    """nghttp2's client, our server, and nghttp2's server beside it, which hears the same."""

    def __init__(self, window: int, frame: int) -> None:
        self.seen: dict[int, Any] = {}
        self.peer = Peer(greet=None, unary=self._unary, script=lambda _call, message: message)
        self.client = ngh2.Connection(ngh2.Role.CLIENT)
        self.judge = ngh2.Connection(ngh2.Role.SERVER)
        self.judge.initiate_connection()
        # What it promises is not heard by the client: the session is bounded by our own windows.
        self.judge.set_local_window_size(2**31 - 1)
        self.client.initiate_connection({4: window, 5: frame})
        self.answers: dict[int, dict[str, Any]] = {}
        self.requests: dict[int, tuple[tuple[Any, ...], bytearray]] = {}

    def _unary(self, message: bytes, call: Any) -> bytes:
        self.seen[call.id] = call
        return message

    def exchange(self, cut: int) -> None:
        """Until neither side has anything to say."""
        while True:
            sent = self.client.data_to_send()
            self.judge.receive_data(sent)
            for at in range(0, len(sent), cut):
                self.peer.connection.receive(sent[at : at + cut])
            back = b""
            while taken := self.peer.connection.take():
                back += taken
            if back:
                self.client.receive_data(back)
            self._note()
            if not sent and not back:
                return

    def _note(self) -> None:
        for event in self.judge.events():
            name = type(event).__name__
            if name == "RequestReceived":
                self.requests[event.stream_id] = (tuple(event.headers), bytearray())
            elif name == "DataReceived":
                self.requests[event.stream_id][1].extend(event.data)
        for event in self.client.events():
            name = type(event).__name__
            assert name not in ("ConnectionClosed", "GoAwayReceived", "StreamReset"), event
            if name == "ResponseReceived":
                self.answers[event.stream_id] = {"head": pairs(event.headers), "body": bytearray()}
            elif name == "DataReceived":
                self.answers[event.stream_id]["body"] += event.data
            elif name == "TrailersReceived":
                self.answers[event.stream_id]["trailers"] = pairs(event.headers)


def pairs(headers: Any) -> dict[str, str]:
    return {header[0].decode(): header[1].decode() for header in headers}


@settings(max_examples=60, deadline=None)
@given(
    CALLS,
    st.sampled_from([1, 100, 65_535, 2**20]),
    st.sampled_from([16_384, 100_000]),
    st.sampled_from([1, 17, 5000, 2**20]),
)
def test_sessions_of_another_implementation(calls, window: int, frame: int, cut: int) -> None:
    if window == 1:
        calls = [
            (unary, metadata, [message[:100] for message in messages], more)
            for unary, metadata, messages, more in calls
        ]
    cut = max(cut, 200) if any(len(message) > 1000 for _, _, messages, _ in calls for message in messages) else cut
    session = Session(window, frame)
    session.exchange(cut)
    expected: dict[int, tuple[dict[str, str], bytes]] = {}
    for unary, metadata, messages, wait in calls:
        sent = messages[:1] if unary else messages
        fields = [(":method", "POST"), (":scheme", "http"), (":path", UNARY if unary else STREAM), (":authority", "a")]
        fields += [("content-type", "application/grpc"), ("te", "trailers"), *metadata]
        stream = session.client.send_request([(name.encode(), value.encode()) for name, value in fields])
        body = b"".join(struct.pack(">BI", 0, len(message)) + message for message in sent)
        session.client.send_data(stream, body, end_stream=True)
        expected[stream] = (dict(fields), body)
        if wait:
            session.exchange(cut)
    session.exchange(cut)
    for stream, (fields, body) in expected.items():
        heard, octets = session.requests[stream]
        assert pairs(heard) == fields
        assert bytes(octets) == body
        answer = session.answers[stream]
        assert answer["head"] == {":status": "200", "content-type": "application/grpc"}
        assert bytes(answer["body"]) == body
        assert answer["trailers"] == {"grpc-status": "0"}
        if stream in session.seen:
            call = session.seen[stream]
            assert all(
                call.metadata(name) == value
                for name, value in fields.items()
                if name.startswith("x-") and not name.endswith("-bin")
            )
    assert session.peer.left() == NOTHING_LEFT
