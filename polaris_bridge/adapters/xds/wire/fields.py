"""Fields of protocol buffers on bytes, as far as the envelopes of discovery need them
(https://protobuf.dev/programming-guides/encoding/)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
LENGTH: Final = 2
FIXED32: Final = 5


class Malformed(Exception):
    """Bytes that are no message."""


def varint(number: int) -> bytes:
    """An unsigned number, seven bits an octet."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return varint(number << 3 | LENGTH) + varint(len(value)) + value


def text(number: int, value: str) -> bytes:
    """A field of text; nothing when it is empty, as the default is not sent."""
    return field(number, value.encode()) if value else b""


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it. ``Malformed`` when it is cut or longer than ten octets."""
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("a number is cut short or too long")
        octet = data[at]
        at += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, at
        shift += 7


def span(data: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the value of a field begins and ends, from the place behind its tag. ``Malformed`` when that is beyond the end."""
    if kind == LENGTH:
        if at < len(data) and data[at] < 0x80:
            size, at = data[at], at + 1
        else:
            size, at = read_varint(data, at)
        end = at + size
    elif kind == VARINT:
        end = read_varint(data, at)[1]
    elif kind == FIXED64:
        end = at + 8
    elif kind == FIXED32:
        end = at + 4
    else:
        raise Malformed(f"wire type {kind}")
    if end > len(data):
        raise Malformed("a field is cut short")
    return at, end


def fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Every field in its order: number, wire type, and the octets of its value. ``Malformed`` where they end to be fields."""
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        start, at = span(data, at, tag & 7)
        if tag < 8:
            raise Malformed("field number 0")
        yield tag >> 3, tag & 7, data[start:at]


def utf8(value: bytes) -> str:
    """A value as text. ``Malformed`` when it is none."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"text is not UTF-8: {error}") from None


def number_of(value: bytes) -> int:
    """The value of a varint field."""
    return read_varint(value, 0)[0]


def signed(number: int) -> int:
    """An int32 or int64 as it is meant: negative ones are sent as if they had 64 bits."""
    number &= (1 << 64) - 1
    return number - (1 << 64) if number >> 63 else number
