"""Payloads by hand, judged by google.protobuf with the messages described in a pool of this test's own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire.payload import MAX_FIELDS, Malformed, Payload, decode, encode

RECORDINGS = sorted((Path(__file__).parents[2] / "compat" / "recordings" / "nacos").glob("*.jsonl"))


def _oracle() -> Any:
    """``Payload`` without a package, as the real server's, and unknown to the default pool (where an SDK may have it)."""
    text = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="nacos_grpc_service.proto", syntax="proto3")
    any_type = file.message_type.add(name="Any")
    any_type.field.add(name="type_url", number=1, type=text.TYPE_STRING, label=text.LABEL_OPTIONAL)
    any_type.field.add(name="value", number=2, type=text.TYPE_BYTES, label=text.LABEL_OPTIONAL)
    metadata = file.message_type.add(name="Metadata")
    entry = metadata.nested_type.add(name="HeadersEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=text.TYPE_STRING, label=text.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=text.TYPE_STRING, label=text.LABEL_OPTIONAL)
    metadata.field.add(name="type", number=3, type=text.TYPE_STRING, label=text.LABEL_OPTIONAL)
    metadata.field.add(name="clientIp", number=8, type=text.TYPE_STRING, label=text.LABEL_OPTIONAL)
    metadata.field.add(
        name="headers",
        number=7,
        type=text.TYPE_MESSAGE,
        label=text.LABEL_REPEATED,
        type_name=".Metadata.HeadersEntry",
    )
    payload = file.message_type.add(name="Payload")
    for name, number, of in (("metadata", 2, ".Metadata"), ("body", 3, ".Any")):
        payload.field.add(name=name, number=number, type=text.TYPE_MESSAGE, label=text.LABEL_OPTIONAL, type_name=of)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Payload"))


Oracle = _oracle()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def judged(data: bytes) -> Payload | None:
    """What google.protobuf reads; None: it refuses."""
    try:
        m = Oracle.FromString(data)
    except DecodeError:
        return None
    return Payload(m.metadata.type, dict(m.metadata.headers), m.metadata.clientIp, m.body.value)


def ours(data: bytes) -> Payload | None:
    try:
        return decode(data)
    except Malformed:
        return None


@given(TEXT, st.binary(max_size=300), st.dictionaries(TEXT, TEXT, max_size=5), TEXT)
def test_what_is_written_is_read_by_both(type: str, body: bytes, headers: dict[str, str], ip: str) -> None:
    data = encode(type, body, headers.items(), ip)
    assert decode(data) == Payload(type, headers, ip, body) == judged(data)


@given(TEXT, st.binary(max_size=300), st.dictionaries(TEXT, TEXT, max_size=5), TEXT)
def test_what_protobuf_writes_is_read(type: str, body: bytes, headers: dict[str, str], ip: str) -> None:
    m = Oracle()
    m.metadata.type, m.metadata.clientIp = type, ip
    m.metadata.headers.update(headers)
    m.body.type_url, m.body.value = "type.example/x", body
    assert decode(m.SerializeToString()) == Payload(type, headers, ip, body)


@given(st.binary(max_size=60))
@example(b"\x13\x14")  # a group of a known number
@example(b"\x13\x1b\x1c\x14")
@example(b"\x13\x1c")  # ends as another one
@example(b"\x12\x80\x80\x80\x80\x10")  # a length of 4 GiB
@example(b"\x00\x00")  # no field number
@example(b"\x12\x05\x3a\x03\x0a\x01\xff")  # a header that is not UTF-8
@example(b"\x1a\x03\x0a\x01\xff")  # a type_url that is not UTF-8
@example(b"\x80" * 12)
@example(b"\x0d\x00\x00")
def test_any_bytes_are_read_or_refused_as_protobuf_does_it(data: bytes) -> None:
    assert ours(data) == judged(data)


@given(st.data())
def test_pieces_in_any_order_and_cut_anywhere(data: st.DataObject) -> None:
    payloads = [encode("A", b"{}"), encode("", b"x", [("k", "v")], "1.2.3.4"), encode("B", b"", [("k", "w"), ("", "")])]
    odd = [b"\x08\x96\x01", b"\x0d1234", b"\x0912345678", b"\x62\x02hi", b"\x63\x08\x01\x64", b"\x12\x00", b"\x1a\x00"]
    piece = st.sampled_from(payloads + odd)
    whole = b"".join(data.draw(st.lists(piece, max_size=6)))
    assert ours(whole) == judged(whole) is not None
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    assert ours(cut) == judged(cut)


def test_more_fields_than_anybody_sends_are_refused() -> None:
    assert ours(b"\x08\x01" * (MAX_FIELDS + 1)) is None
    assert ours(b"\x08\x01" * MAX_FIELDS) is not None


def test_deep_groups_are_refused() -> None:
    assert ours(b"\x0b" * 5000 + b"\x0c" * 5000) is None


@pytest.mark.parametrize("path", RECORDINGS, ids=[p.stem for p in RECORDINGS])
def test_recorded_messages_come_back_byte_for_byte(path: Path) -> None:
    """As servers write them; clients differ in the order of fields and in empty members, so theirs are read only."""
    for line in path.read_text().splitlines():
        event = json.loads(line)
        if event.get("kind") != "message":
            continue
        data = base64.b64decode(event["base64"])
        read = decode(data)
        assert read == judged(data)
        if event["from"] == "server":
            assert encode(read.type, read.body, read.headers.items(), read.client_ip) == data
