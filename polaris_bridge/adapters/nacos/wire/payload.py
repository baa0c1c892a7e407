"""The one gRPC message of Nacos, ``Payload``, to and from bytes, by hand: its type has no package and few fields.

    Metadata { string type = 3; map<string, string> headers = 7; string clientIp = 8; }
    Payload  { Metadata metadata = 2; google.protobuf.Any body = 3; }

``body.value`` is JSON; ``body.type_url`` is empty and not looked at. Fields may come in any order and more than once (then
the last counts, messages merge), unknown ones are skipped, as every protobuf reader does it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

MAX_FIELDS: Final = 4096
"""Fields and headers that one message may have. Real ones have a dozen; a hostile one of 10 MiB could have five million."""
MAX_DEPTH: Final = 100
"""Groups within groups, as protobuf's own readers limit them. Nobody has sent groups since proto2."""

_VARINT, _FIXED64, _BYTES, _GROUP, _END, _FIXED32 = range(6)

# tags: the number of a field and its kind, in one byte
_METADATA: Final = 0x12
_BODY: Final = 0x1A
_TYPE: Final = 0x1A
_HEADER: Final = 0x3A
_IP: Final = 0x42
_KEY: Final = 0x0A
_VALUE: Final = 0x12


class Malformed(ValueError):
    """Bytes that are not what they should be. The text says what is wrong with them."""


class Payload(Struct, frozen=True, gc=False):
    """A request, an answer or a push, on whichever stream."""

    type: str
    """The simple name of the class that ``body`` holds, such as ``InstanceRequest``."""
    headers: dict[str, str]
    client_ip: str
    body: bytes
    """JSON."""


def encode(type: str, body: bytes, headers: Iterable[tuple[str, str]] = (), client_ip: str = "") -> bytes:
    """A ``Payload`` as bytes. Servers put the type in and nothing else, but for ``client_ip`` in what they ask (2.5.1)."""
    parts = [_field(_TYPE, type.encode())] if type else []
    parts += [_field(_HEADER, _field(_KEY, k.encode()) + _field(_VALUE, v.encode())) for k, v in headers]
    if client_ip:
        parts.append(_field(_IP, client_ip.encode()))
    value = b"".join((b"\x12", _varint(len(body)), body)) if body else b""
    return b"".join((_field(_METADATA, b"".join(parts)), b"\x1a", _varint(len(value)), value))


def decode(data: bytes) -> Payload:
    """What the bytes say; absent fields are empty. Raises Malformed."""
    try:
        usual = _usual(data)
    except (IndexError, UnicodeDecodeError):
        usual = None
    if usual is not None:
        return usual
    try:
        return _Reader(data).payload()
    except UnicodeDecodeError:
        raise Malformed("a string is not UTF-8") from None


def _field(tag: int, content: bytes) -> bytes:
    return b"".join((bytes((tag,)), _varint(len(content)), content))


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _usual(data: bytes) -> Payload | None:
    """The same for messages as clients write them, at a third of the price: only fields that are known here, one byte a tag.
    None, or an IndexError or UnicodeDecodeError: it has something else, or something is wrong with it; ``_Reader`` will tell."""
    type, client_ip, body = "", "", b""
    headers: dict[str, str] = {}
    at, end, fields = 0, len(data), 0
    while at < end:
        outer = data[at]
        size, at = data[at + 1], at + 2
        if size > 0x7F:
            size, at = _long(data, size, at)
        inner = at + size
        fields += 1
        if inner > end or outer not in (_METADATA, _BODY) or fields > MAX_FIELDS:
            return None
        while at < inner:
            tag = data[at]
            size, at = data[at + 1], at + 2
            if size > 0x7F:
                size, at = _long(data, size, at)
            start, at = at, at + size
            fields += 1
            if at > inner or fields > MAX_FIELDS:
                return None
            if outer == _BODY:
                if tag != _VALUE:
                    return None
                body = data[start:at]
            elif tag == _TYPE:
                type = data[start:at].decode()
            elif tag == _IP:
                client_ip = data[start:at].decode()
            elif tag == _HEADER and size >= 4 and data[start] == _KEY and data[start + 1] < 0x80:
                middle = start + 2 + data[start + 1]
                after = middle + 2
                if after > at or data[middle] != _VALUE:
                    return None
                size = data[middle + 1]
                if size > 0x7F:
                    size, after = _long(data, size, after)
                if after + size != at:
                    return None
                headers[data[start + 2 : middle].decode()] = data[after:at].decode()
            else:
                return None
    return Payload(type, headers, client_ip, body)


def _long(data: bytes, first: int, at: int) -> tuple[int, int]:
    """A length of several bytes, the first of which was read, and where it ends."""
    size, shift = first & 0x7F, 7
    while shift < 35:
        digit = data[at]
        at += 1
        size |= (digit & 0x7F) << shift
        if digit < 0x80:
            return size, at
        shift += 7
    return len(data), at


class _Reader:
    """A place in the bytes. Spans are given by their ends, so that nothing is copied before it is wanted."""

    __slots__ = ("_at", "_data", "_fields")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._fields = 0

    def payload(self) -> Payload:
        end = len(self._data)
        type, client_ip, body = "", "", b""
        headers: dict[str, str] = {}
        while self._at < end:
            field, kind = self._tag(end)
            if kind != _BYTES or field not in (2, 3):
                self._skip(field, kind, end)
                continue
            inner = self._span(end)
            while self._at < inner:
                part, kind = self._tag(inner)
                if kind != _BYTES:
                    self._skip(part, kind, inner)
                elif field == 3:
                    content = self._content(inner)
                    if part == 2:
                        body = content
                    elif part == 1:
                        content.decode()
                elif part == 3:
                    type = self._content(inner).decode()
                elif part == 8:
                    client_ip = self._content(inner).decode()
                elif part == 7:
                    key, value = self._entry(self._span(inner))
                    headers[key] = value
                else:
                    self._at = self._span(inner)
        return Payload(type, headers, client_ip, body)

    def _entry(self, end: int) -> tuple[str, str]:
        key = value = ""
        while self._at < end:
            field, kind = self._tag(end)
            if kind != _BYTES or field not in (1, 2):
                self._skip(field, kind, end)
            elif field == 1:
                key = self._content(end).decode()
            else:
                value = self._content(end).decode()
        return key, value

    def _tag(self, end: int) -> tuple[int, int]:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise Malformed(f"more than {MAX_FIELDS} fields")
        tag = self._number(end, 5)
        if tag > 0xFFFFFFFF or tag < 8:
            raise Malformed("a field has no number")
        return tag >> 3, tag & 7

    def _number(self, end: int, most: int = 10) -> int:
        """A varint of at most so many bytes."""
        number = shift = 0
        for _ in range(most):
            if self._at >= end:
                raise Malformed("the message is cut off")
            digit = self._data[self._at]
            self._at += 1
            number |= (digit & 0x7F) << shift
            if digit < 0x80:
                return number
            shift += 7
        raise Malformed("a number is too long")

    def _span(self, end: int) -> int:
        """Where the field that begins here ends."""
        after = self._number(end, 5)
        after += self._at
        if after > end:
            raise Malformed("a field is longer than what holds it")
        return after

    def _content(self, end: int) -> bytes:
        after = self._span(end)
        content = self._data[self._at : after]
        self._at = after
        return content

    def _skip(self, field: int, kind: int, end: int, depth: int = 0) -> None:
        if kind == _VARINT:
            self._number(end)
        elif kind == _BYTES:
            self._at = self._span(end)
        elif kind in (_FIXED64, _FIXED32):
            self._at += 8 if kind == _FIXED64 else 4
            if self._at > end:
                raise Malformed("the message is cut off")
        elif kind == _GROUP and depth < MAX_DEPTH:
            while True:
                inner, kind = self._tag(end)
                if kind == _END:
                    break
                self._skip(inner, kind, end, depth + 1)
            if inner != field:
                raise Malformed("a group ends as another one")
        else:
            raise Malformed("a field is of a kind that does not exist")
