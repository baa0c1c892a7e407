"""Payloads by hand, judged by google.protobuf with the messages described in a pool of this test's own."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

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


def agree(data: bytes) -> bool:
    """Whether both read the same. Python's protobuf sets map entries aside that hold an unknown field, Java's takes them, and
    so do we: then the headers are not compared."""
    mine, theirs = ours(data), judged(data)
    if mine is None or theirs is None or mine == theirs:
        return mine == theirs
    aside = any(field.field_number == 7 for field in UnknownFieldSet(Oracle.FromString(data).metadata))
    return aside and structs.replace(mine, headers={}) == structs.replace(theirs, headers={})


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
    assert agree(data)


@pytest.mark.parametrize(
    "odd",
    [
        b"\x0d\xff\xff\xff\xff",  # four bytes that would be an endless length
        b"\x12\x02\x3a\x00",  # a header without key and value
        b"\x12\x05\x3a\x03\x0a\x01k",  # without a value
        b"\x12\x05\x3a\x03\x12\x01v",  # without a key
        b"\x12\x08\x3a\x06\x12\x01v\x0a\x01k",  # the other way round
        b"\x12\x0b\x3a\x09\x0a\x01k\x12\x01v\x12\x01w",  # two values
        b"\x12\x08\x3a\x06\x0a\x01k\x0a\x01l",  # two keys
        b"\x12\x0a\x3a\x08\x0a\x01k\x12\x01v\x08\x01",  # something else in it
        b"\x12\x07\x3a\x85\x00\x0a\x01k\x12\x00",  # a length longer than it has to be
        b"\x1a\x04\x12\x82\x00hi"[:-1],
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x1a\x02\x12\x00", b"\x12\x03\x1a\x01T"])
def test_unusual_forms_are_read_as_protobuf_does_it(odd: bytes, rest: bytes) -> None:
    assert agree(odd + rest)
    assert agree(rest + odd)


@given(st.data())
def test_pieces_in_any_order_and_cut_anywhere(data: st.DataObject) -> None:
    payloads = [encode("A", b"{}"), encode("", b"x", [("k", "v")], "1.2.3.4"), encode("B", b"", [("k", "w"), ("", "")])]
    odd = [b"\x08\x96\x01", b"\x0d1234", b"\x0912345678", b"\x62\x02hi", b"\x63\x08\x01\x64", b"\x12\x00", b"\x1a\x00"]
    piece = st.sampled_from(payloads + odd)
    whole = b"".join(data.draw(st.lists(piece, max_size=6)))
    assert ours(whole) == judged(whole) is not None
    cut = whole[: data.draw(st.integers(0, len(whole)))]
    assert agree(cut)


def test_headers_with_something_unknown_in_them_count() -> None:
    assert decode(b"\x12\x0a\x3a\x08\x0a\x01k\x12\x01v\x08\x01").headers == {"k": "v"}


def test_more_fields_than_anybody_sends_are_refused() -> None:
    assert ours(b"\x08\x01" * (MAX_FIELDS + 1)) is None
    assert ours(b"\x08\x01" * MAX_FIELDS) is not None
    assert ours(b"\x12\x00" * (MAX_FIELDS + 1)) is None
    assert ours(b"\x12\x00" * MAX_FIELDS) is not None


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
