"""Messages to JSON, byte for byte as the real server's Go library (jsonpb, indented by one space, defaults emitted) writes them.

What that means, seen in recordings of polaris-server 1.19: members in the order of the .proto file, unset messages and wrappers
``null``, empty lists and maps as brackets on two lines, maps sorted by key, enums by name, 64-bit numbers as text, and ``<``,
``>``, ``&`` escaped.

A writer is compiled per message type and depth of nesting, with everything that does not depend on the message already text; a
message then costs its set fields only.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from json.encoder import encode_basestring as _quote
from struct import Struct
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from .newer import NEWER, OLDER

__all__ = ["ITEM_DEPTH", "encode", "fragment", "parts"]

_Write = Callable[[Any], str]

ITEM_DEPTH: Final = 2
"""How deep an item of an answer's list stands: what ``fragment`` writes fits there."""

PART: Final = 128 * 1024
"""Bytes of a part of a long document: joined in less than 0.1 ms, and about what a socket takes at once."""

MAX_DEPTH: Final = 200
"""Beyond it a message inside an Any is shown as bytes: only there can somebody nest without end."""

_ESCAPES: Final = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))
_LONG: Final = frozenset({FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64})
_FLOAT: Final = Struct("f")
_REAL_WORDS: Final = {"inf": '"Infinity"', "-inf": '"-Infinity"', "nan": '"NaN"'}
_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Bool", "Bytes", "Double", "Float", "Int32", "Int64", "String", "UInt32", "UInt64")
)


def encode(message: Message, fragments: Mapping[str, Sequence[bytes]] | None = None) -> bytes:
    """A document. ``fragments`` gives, by name of a repeated field, items that ``fragment`` wrote earlier: they stand in the
    place of the field's own items, so that a long list costs what changed in it."""
    if not fragments:
        return _escaped(_writer(message.DESCRIPTOR, 0)(message)).encode()
    shape = _shape(message.DESCRIPTOR, 0)
    pieces = shape.pieces(message)
    document: list[bytes] = []
    done = 0
    for slot, name in sorted((shape.slot_of[name], name) for name in fragments):
        document.append(_escaped("".join(pieces[done:slot])).encode())
        document += _spliced(shape.heads[slot], fragments[name])
        done = slot + 1
    document.append(_escaped("".join(pieces[done:])).encode())
    first = next(index for index, part in enumerate(document) if part)
    document[first] = b"{\n" + document[first][2:]
    document.append(b"\n}")
    return b"".join(document)


def parts(message: Message, name: str, items: Iterable[bytes], size: int = PART) -> Iterator[bytes]:
    """The document of ``encode`` with the items of one repeated field, bit by bit: for lists that are long to join and to send.
    Every part but the last has at least ``size`` bytes."""
    shape = _shape(message.DESCRIPTOR, 0)
    pieces = shape.pieces(message)
    slot = shape.slot_of[name]
    pad = b"\n" + b" " * ITEM_DEPTH
    head = _escaped("".join(pieces[:slot])) + shape.heads[slot]
    part = [f"{{\n{head[2:]}[".encode()]
    gathered = len(part[0])
    separator = pad
    for item in items:
        part += (separator, item)
        gathered += len(separator) + len(item)
        separator = b"," + pad
        if gathered >= size:
            yield b"".join(part)
            part, gathered = [], 0
    part.append(("\n ]" + _escaped("".join(pieces[slot + 1 :])) + "\n}").encode())
    yield b"".join(part)


def fragment(message: Message) -> bytes:
    """One item of an answer's list, to be kept and given to ``encode`` many times."""
    return _escaped(_writer(message.DESCRIPTOR, ITEM_DEPTH)(message)).encode()


def _spliced(head: str, items: Sequence[bytes]) -> tuple[bytes, ...]:
    """In parts, since a copy of a long list is felt."""
    pad = b"\n" + b" " * ITEM_DEPTH
    if not items:
        return (head.encode() + b"[\n ]",)
    return head.encode() + b"[" + pad, (b"," + pad).join(items), b"\n ]"


def _escaped(text: str) -> str:
    """Escapes a whole document at once: outside of strings, JSON has none of these characters."""
    for plain, escape in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escape)
    return text


class _Shape:
    """How the members of one message type are written at one depth. A member's text begins with a comma and a line's end."""

    def __init__(self, descriptor: Descriptor, depth: int) -> None:
        hidden = NEWER.get(descriptor.full_name, frozenset())
        older = OLDER.get(descriptor.full_name, {}) if depth == 0 else {}
        self.heads: list[str] = []
        self.slot_of: dict[str, int] = {}
        self._unset: list[str] = []
        self._slots: dict[FieldDescriptor, tuple[int, _Write]] = {}
        for slot, field in enumerate(descriptor.fields):
            start = ",\n" + " " * (depth + 1)
            head = f'{start}"{field.json_name}": '
            self.heads.append(head)
            self.slot_of[field.name] = slot
            if field.number in older:
                self._unset.append(start + older[field.number])
            elif field.containing_oneof is not None or field.number in hidden:
                self._unset.append("")
            else:
                self._unset.append(head + _unset(field, depth))
            self._slots[field] = slot, _member(field, head, depth)

    def pieces(self, message: Message) -> list[str]:
        """The text of every member, in order."""
        pieces = self._unset.copy()
        slots = self._slots
        for field, value in message.ListFields():
            slot, write = slots[field]
            pieces[slot] = write(value)
        return pieces


@cache
def _shape(descriptor: Descriptor, depth: int) -> _Shape:
    return _Shape(descriptor, depth)


@cache
def _writer(descriptor: Descriptor, depth: int) -> _Write:
    """What writes any message of a type, without a line's start before or an end after it."""
    name = descriptor.full_name
    if name in _WRAPPERS:
        return _wrapped(descriptor)
    special = _SPECIAL.get(name)
    if special is not None:
        return special(depth)
    shape: list[_Shape] = []
    end = "\n" + " " * depth + "}"

    def write(message: Message) -> str:
        if not shape:  # only now: a type may contain itself
            shape.append(_shape(descriptor, depth))
        return "{\n" + "".join(shape[0].pieces(message))[2:] + end

    return write


def _unset(field: FieldDescriptor, depth: int) -> str:
    """What stands for a field that is not set."""
    if field.is_repeated:
        return ("{\n" if _is_map(field) else "[\n") + " " * (depth + 1) + ("}" if _is_map(field) else "]")
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        return "null"
    return _single(field, depth)(field.default_value)


def _member(field: FieldDescriptor, head: str, depth: int) -> _Write:
    """What writes a set field's whole member."""
    if _is_map(field):
        return _map(field, head, depth)
    if field.is_repeated:
        return _list(field, head, depth)
    kind = field.message_type
    if kind is not None and kind.full_name == "google.protobuf.StringValue":
        return lambda value: head + _quote(value.value)  # what most fields are
    write = _single(field, depth + 1)
    return lambda value: head + write(value)


def _list(field: FieldDescriptor, head: str, depth: int) -> _Write:
    write = _single(field, depth + 2)
    start, between, end = _brackets(depth)

    def written(values: Any) -> str:
        return head + "[" + start + between.join([write(value) for value in values]) + end + "]"

    return written


def _map(field: FieldDescriptor, head: str, depth: int) -> _Write:
    assert field.message_type is not None
    key, value = field.message_type.fields
    write = _single(value, depth + 2)
    start, between, end = _brackets(depth)
    as_text: Callable[[Any], str] = str if key.cpp_type != FieldDescriptor.CPPTYPE_BOOL else _boolean

    def written(values: Any) -> str:
        entries = [_quote(as_text(key)) + ": " + write(values[key]) for key in sorted(values)]
        return head + "{" + start + between.join(entries) + end + "}"

    return written


def _brackets(depth: int) -> tuple[str, str, str]:
    start = "\n" + " " * (depth + 2)
    return start, "," + start, "\n" + " " * (depth + 1)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _single(field: FieldDescriptor, depth: int) -> _Write:
    """What writes one value of a field's type."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_MESSAGE:
        return _writer(field.message_type, depth)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return _enum(field.enum_type)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _bytes if field.type == FieldDescriptor.TYPE_BYTES else _quote
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean
    if kind in _LONG:
        return lambda value: f'"{value}"'
    return _REAL.get(kind, str)


def _wrapped(descriptor: Descriptor) -> _Write:
    write = _single(descriptor.fields_by_name["value"], 0)
    return lambda message: write(message.value)


def _enum(enum: EnumDescriptor) -> _Write:
    """By name; a number that the specification does not have as a number."""
    names = {value.number: f'"{value.name}"' for value in reversed(enum.values)}
    return lambda value: names.get(value) or str(value)


def _boolean(value: bool) -> str:
    return "true" if value else "false"


def _bytes(value: bytes) -> str:
    return f'"{b64encode(value).decode()}"'


def _double(value: float) -> str:
    text = repr(value)
    return _REAL_WORDS.get(text) or text.removesuffix(".0")


def _float(value: float) -> str:
    """The fewest digits that are this number among those of 32 bits; 9 always suffice."""
    for digits in range(1, 9):
        short = float(f"{value:.{digits}g}")
        if _FLOAT.unpack(_FLOAT.pack(short))[0] == value:
            return _double(short)
    return _double(value)


_REAL: Final = {FieldDescriptor.CPPTYPE_DOUBLE: _double, FieldDescriptor.CPPTYPE_FLOAT: _float}


def _duration(_depth: int) -> _Write:
    """Seconds with 0, 3, 6 or 9 digits after the point."""

    def written(message: Any) -> str:
        seconds, nanos = abs(message.seconds), abs(message.nanos)
        sign = "-" if message.seconds < 0 or message.nanos < 0 else ""
        text = f"{sign}{seconds}.{nanos:09d}"
        for zeros in ("000", "000", ".000"):
            text = text.removesuffix(zeros)
        return f'"{text}s"'

    return written


def _any(depth: int) -> _Write:
    """The message inside, with its type as the first member.

    The original fails on a type that it does not know; ours shows what is there, so that nothing seems to be empty.
    """
    pad, end = " " * (depth + 1), "\n" + " " * depth + "}"

    def written(message: Any) -> str:
        start = f'{{\n{pad}"@type": {_quote(message.type_url)}'
        pool = message.DESCRIPTOR.file.pool
        try:
            if depth > MAX_DEPTH:
                raise KeyError(message.type_url)
            kind = pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
            inner = GetMessageClass(kind).FromString(message.value)
        except (KeyError, DecodeError):
            return f'{start},\n{pad}"value": {_bytes(message.value)}{end}'
        if kind.full_name in _WRAPPERS or kind.full_name in _SPECIAL:
            return f'{start},\n{pad}"value": {_writer(kind, depth + 1)(inner)}{end}'
        return start + "".join(_shape(kind, depth).pieces(inner)) + end

    return written


_SPECIAL: Final[dict[str, Callable[[int], _Write]]] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Duration": _duration,
}
