"""gRPC's own framing: timeouts, statuses, metadata, gzip; requests that are none."""

from __future__ import annotations

import base64
import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peer import STREAM, UNARY, Peer, message, opening

from polaris_bridge.transport.frames import DATA, HEADERS, RST_STREAM, frame
from polaris_bridge.transport.grpc_framing import (
    binary,
    deflated,
    inflated,
    is_grpc,
    percent_encoded,
    timeout_s,
    trailers_only,
)
from polaris_bridge.transport.hpack import Decoder
from polaris_bridge.transport.limits import Limits
from polaris_bridge.transport.rpc import RpcError, Status


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("3S", 3),
        ("250m", 0.25),
        ("100u", 0.0001),
        ("5n", 5e-9),
        ("99999999H", None),
        ("0n", 0),
    ],
)
def test_timeouts(text: str, seconds: float | None) -> None:
    assert timeout_s(text) == (pytest.approx(seconds) if seconds is not None else None)


@pytest.mark.parametrize("text", ["", "S", "1", "1s", "-1S", "1.5S", "123456789S", "٣S", " 1S"])
def test_timeouts_that_are_none(text: str) -> None:
    with pytest.raises(RpcError) as caught:
        timeout_s(text)
    assert caught.value.code == Status.INTERNAL


@pytest.mark.parametrize(
    ("kind", "yes"),
    [
        ("application/grpc", True), ("application/grpc+proto", True), ("application/grpc;charset=utf-8", True),
        ("application/grpc-web", False), ("application/json", False), ("", False),
    ],
)  # fmt: skip
def test_content_types(kind: str, yes: bool) -> None:
    assert is_grpc(kind) is yes


def test_status_texts() -> None:
    assert percent_encoded("50% für\nalle") == "50%25 f%C3%BCr%0Aalle"
    fields = dict(Decoder().decode(trailers_only(8, "x" * 100_000), 2**20))
    assert len(fields["grpc-message"]) == 4096


@given(st.binary(max_size=100), st.booleans())
def test_binary_metadata_with_and_without_padding(octets: bytes, padded: bool) -> None:
    text = base64.b64encode(octets).decode()
    assert binary(text if padded else text.rstrip("=")).encode("latin-1") == octets
    assert binary(f"{text},{text}").encode("latin-1") == octets


@given(st.binary(max_size=3000))
def test_gzip_there_and_back(octets: bytes) -> None:
    assert gzip.decompress(deflated(octets)) == octets
    assert inflated(gzip.compress(octets, mtime=0), len(octets)) == octets


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (b"no gzip", Status.INTERNAL), (b"", Status.INTERNAL), (gzip.compress(b"abc", mtime=0)[:-2], Status.INTERNAL),
        (gzip.compress(b"abc", mtime=0) + b"more", Status.INTERNAL),
        (gzip.compress(bytes(1001), mtime=0), Status.RESOURCE_EXHAUSTED),
    ],
)  # fmt: skip
def test_gzip_that_is_refused(octets: bytes, code: Status) -> None:
    with pytest.raises(RpcError) as caught:
        inflated(octets, 1000)
    assert caught.value.code == code


def test_an_answer_is_compressed_for_whom_compresses_and_when_it_is_worth_it() -> None:
    peer = Peer()
    gzips = (("grpc-encoding", "gzip"), ("grpc-accept-encoding", "identity,gzip"))
    large = b"x" * 5000
    found = peer.send(opening(1, UNARY, *gzips), message(gzip.compress(large, mtime=0), flag=1, end=True))
    assert peer.fields(found[0])["grpc-encoding"] == "gzip"
    assert found[1][3][0] == 1
    assert gzip.decompress(found[1][3][5:]) == large
    assert peer.send(opening(3, UNARY, *gzips), message(b"small", 3, end=True))[1][3] == b"\0\0\0\0\5small"
    plain = peer.send(opening(5, UNARY, gzips[0]), message(gzip.compress(large, mtime=0), 5, flag=1, end=True))
    assert "grpc-encoding" not in peer.fields(plain[0])
    assert plain[1][3][5:] == large
    found = peer.send(opening(7, STREAM, *gzips), message(gzip.compress(large, mtime=0), 7, flag=1))
    assert gzip.decompress(found[1][3][5:]) == large


BAD_REQUESTS = {
    "half a prefix": (frame(DATA, 1, 1, b"\0\0\0"), Status.INTERNAL, "unexpected EOF"),
    "unknown flag": (message(b"abc", flag=9, end=True), Status.INTERNAL, "unexpected payload format 9"),
    "compressed without encoding": (message(b"abc", flag=1, end=True), Status.INTERNAL, "compressed flag set"),
    "2 GiB announced": (
        frame(DATA, 1, 1, b"\0\x80\0\0\0x"), Status.RESOURCE_EXHAUSTED, "larger than max (2147483648 vs. 4194304)",
    ),
    "shorter than announced": (frame(DATA, 1, 1, b"\0\0\0\0\x09abc"), Status.INTERNAL, "unexpected EOF"),
}  # fmt: skip


@pytest.mark.parametrize("path", [UNARY, STREAM])
@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_messages_that_are_none(name: str, path: str) -> None:
    octets, code, text = BAD_REQUESTS[name]
    peer = Peer()
    fields = peer.fields(peer.send(opening(1, path), octets)[0])
    assert fields["grpc-status"] == str(int(code))
    assert text in fields["grpc-message"]
    assert not any(echo.seen for echo in peer.streams)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (message(b"a") + message(b"b", end=True), "grpc: a second request in a call that takes one"),
        (frame(DATA, 1, 1), "grpc: the call ended without a request"),
    ],
)
def test_unary_calls_take_one_request(frames: bytes, text: str) -> None:
    peer = Peer()
    assert peer.fields(peer.send(opening(1), frames)[0])["grpc-message"] == text


def test_an_unknown_encoding_is_told_which_one_there_is() -> None:
    peer = Peer()
    found = peer.send(opening(1, UNARY, ("grpc-encoding", "zip")), message(b"abc", flag=1, end=True))
    assert peer.fields(found[0])["grpc-status"] == "12"


def test_early_ends_drop_what_the_client_still_sends() -> None:
    peer = Peer(limits=Limits(max_receive=10))
    found = peer.send(opening(1), message(b"x" * 11))
    assert [what[0] for what in found] == [HEADERS, RST_STREAM]
    assert peer.send(frame(DATA, 0, 1, b"more"), frame(DATA, 1, 1, b"and more")) == []


@pytest.mark.parametrize(
    ("method", "kind", "status"),
    [("GET", "", "405"), ("PUT", "application/grpc", "405"), ("POST", "text/html", "415"), ("HEAD", "", "405")],
)
def test_what_is_no_call_gets_an_http_answer_at_its_end(method: str, kind: str, status: str) -> None:
    peer = Peer()
    assert peer.send(opening(1, method=method, kind=kind)) == []
    found = peer.send(frame(DATA, 1, 1, b"body"))
    assert peer.fields(found[0])[":status"] == status
    assert (b"this port speaks gRPC" in found[1][3] or b"gRPC calls" in found[1][3]) == (method != "HEAD")
    assert found[-1][1] & 1


@given(st.lists(st.binary(max_size=400), max_size=10), st.lists(st.integers(1, 300), min_size=1, max_size=20))
def test_messages_in_any_frames(messages: list[bytes], sizes: list[int]) -> None:
    peer = Peer()
    peer.send(opening(1, STREAM))
    octets = b"".join(struct.pack(">BI", 0, len(body)) + body for body in messages)
    at = n = 0
    while at < len(octets):
        size = sizes[n % len(sizes)]
        peer.send(frame(DATA, 0, 1, octets[at : at + size]))
        at += size
        n += 1
    assert peer.streams[0].seen == messages
    assert peer.connection.held == 0
