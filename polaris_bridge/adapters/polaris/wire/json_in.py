"""JSON to messages, as lenient as the real server's reader (jsonpb with unknown fields allowed).

A member may have the field's JSON name or its name in the .proto file; beside these two, which is all that the original knows,
its camelCase and snake_case forms are understood. Unknown members are ignored, ``null`` leaves a field unset, enums come by name
or number, numbers also as text, wrappers as their bare value, messages of type Any with ``@type`` beside their own members.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeVar

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["MAX_DEPTH", "Malformed", "decode", "decode_list"]

M = TypeVar("M", bound=Message)
_Convert = Callable[[Any], Any]
_Fill = Callable[[Message, Any, int], None]
_Set = Callable[[Message, Any, int, Mapping[str, Any]], None]

MAX_DEPTH: Final = 100
"""How deep messages may be nested, which is also protobuf's own limit for the binary form."""

TYPE_PREFIX: Final = "type.googleapis.com/"
_WRAPPER: Final = re.compile(r"google\.protobuf\.(Bool|Bytes|Double|Float|Int32|Int64|String|UInt32|UInt64)Value")
_RANGES: Final = {
    FieldDescriptor.CPPTYPE_INT32: range(-(1 << 31), 1 << 31),
    FieldDescriptor.CPPTYPE_INT64: range(-(1 << 63), 1 << 63),
    FieldDescriptor.CPPTYPE_UINT32: range(1 << 32),
    FieldDescriptor.CPPTYPE_UINT64: range(1 << 64),
}
_ENUM_RANGE: Final = _RANGES[FieldDescriptor.CPPTYPE_INT32]
_WHOLE: Final = re.compile(r"-?[0-9]{1,20}")
_DURATION: Final = re.compile(r"[+-]?(?:(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:h|m|s|ms|us|µs|ns))+")
_DURATION_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|m|s|us|µs|ns)")
_NANOS: Final = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}
_LOWER: Final = re.compile("_([a-z])")
_UPPER: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Malformed(Exception):
    """The bytes are not the document that was asked for. The only exception that decoding raises.

    The real server answers code 400001 (ParseException) with ``request decode failed:`` and the reason.
    """

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}" if where else why)
        self.where = where
        self.why = why

    def within(self, member: str) -> Malformed:
        """The same, seen from the message or list that contains it."""
        return Malformed(member + ("." if self.where and self.where[0] != "[" else "") + self.where, self.why)


def decode(kind: type[M], body: bytes) -> M:
    """A message of the class ``kind``. Malformed when the bytes are something else."""
    message = kind()
    _filler(kind.DESCRIPTOR)(message, _parsed(body), 0)
    return message


def decode_list(kind: type[M], body: bytes) -> list[M]:
    """The messages of a JSON array, which is what batch requests are."""
    items = _parsed(body)
    if not isinstance(items, list):
        raise Malformed("", "an array belongs here")
    fill = _filler(kind.DESCRIPTOR)
    messages = []
    for at, item in enumerate(items):
        message = kind()
        try:
            if item is not None:
                fill(message, item, 1)
        except Malformed as problem:
            raise problem.within(f"[{at}]") from None
        messages.append(message)
    return messages


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise Malformed("", str(problem)) from None


@cache
def _filler(descriptor: Descriptor) -> _Fill:
    """What reads a JSON value into any message of a type."""
    if _WRAPPER.fullmatch(descriptor.full_name):
        return _wrapper(descriptor)
    special = _SPECIAL.get(descriptor.full_name)
    if special is not None:
        return special
    setters: dict[str, _Set] = {}

    def fill(message: Message, value: Any, depth: int) -> None:
        if not isinstance(value, dict):
            raise Malformed("", "an object belongs here")
        if depth > MAX_DEPTH:
            raise Malformed("", "nested too deeply")
        if not setters:  # only now: a type may contain itself
            setters.update(_setters(descriptor))
        for name, item in value.items():
            setter = setters.get(name)
            if setter is None or item is None:
                continue
            try:
                setter(message, item, depth + 1, value)
            except Malformed as problem:
                raise problem.within(name) from None

    return fill


def _setters(descriptor: Descriptor) -> dict[str, _Set]:
    """By every name that a member may have. The two official ones go before the other spellings."""
    setters: dict[str, _Set] = {}
    for field in descriptor.fields:
        setters[field.name] = setters[field.json_name] = _setter(field)
    for field in descriptor.fields:
        for name in (_LOWER.sub(lambda letter: letter[1].upper(), field.name), _UPPER.sub("_", field.name).lower()):
            setters.setdefault(name, setters[field.name])
    return setters


def _setter(field: FieldDescriptor) -> _Set:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return _map(field)
    if field.is_repeated:
        return _list(field)
    name = field.name
    if field.cpp_type != FieldDescriptor.CPPTYPE_MESSAGE:
        convert = _converter(field)
        return lambda message, value, depth, parent: setattr(message, name, convert(value))
    fill = _filler(field.message_type)
    guess = _UNTYPED.get(field.full_name)

    def set_message(message: Message, value: Any, depth: int, parent: Mapping[str, Any]) -> None:
        if guess is not None and isinstance(value, dict) and "@type" not in value:
            value = {"@type": TYPE_PREFIX + guess(parent), **value}
        inner = getattr(message, name)
        inner.SetInParent()
        fill(inner, value, depth)

    return set_message


def _list(field: FieldDescriptor) -> _Set:
    name = field.name
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        fill = _filler(field.message_type)

        def put(values: Any, item: Any, depth: int) -> None:
            message = values.add()
            if item is not None:
                fill(message, item, depth)
    else:
        convert, default = _converter(field), _converter_default(field)

        def put(values: Any, item: Any, depth: int) -> None:
            values.append(default if item is None else convert(item))

    def set_list(message: Message, items: Any, depth: int, parent: Mapping[str, Any]) -> None:
        if not isinstance(items, list):
            raise Malformed("", "an array belongs here")
        values = getattr(message, name)
        for at, item in enumerate(items):
            try:
                put(values, item, depth)
            except Malformed as problem:
                raise problem.within(f"[{at}]") from None

    return set_list


def _map(field: FieldDescriptor) -> _Set:
    name = field.name
    assert field.message_type is not None
    key_field, value_field = field.message_type.fields
    read_key = _key if key_field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else _converter(key_field)
    composite = value_field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    fill = _filler(value_field.message_type) if composite else None
    convert = None if composite else _converter(value_field)
    default = None if composite else _converter_default(value_field)

    def set_map(message: Message, entries: Any, depth: int, parent: Mapping[str, Any]) -> None:
        if not isinstance(entries, dict):
            raise Malformed("", "an object belongs here")
        values = getattr(message, name)
        for key, item in entries.items():
            try:
                if convert is not None:
                    values[read_key(key)] = default if item is None else convert(item)
                    continue
                inner = values[read_key(key)]
                if fill is not None and item is not None:
                    fill(inner, item, depth)
            except Malformed as problem:
                raise problem.within(f"[{key!r}]") from None

    return set_map


def _key(text: str) -> bool:
    if text not in ("true", "false"):
        raise Malformed("", "true or false belongs here")
    return text == "true"


def _wrapper(descriptor: Descriptor) -> _Fill:
    convert = _converter(descriptor.fields_by_name["value"])

    def fill(message: Message, value: Any, depth: int) -> None:
        message.value = convert(value)  # type: ignore[attr-defined]

    return fill


def _converter_default(field: FieldDescriptor) -> Any:
    """What ``null`` among the items of a list or map means."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return b"" if field.type == FieldDescriptor.TYPE_BYTES else ""
    return False if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else 0


def _converter(field: FieldDescriptor) -> _Convert:
    """What makes a field's value of a JSON value that is not null."""
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        return _bytes if field.type == FieldDescriptor.TYPE_BYTES else _text
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return _boolean
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        assert field.enum_type is not None
        return _enum({value.name: value.number for value in field.enum_type.values})
    if kind in _RANGES:
        return _whole(_RANGES[kind])
    return _real


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Malformed("", "text belongs here")
    return value


def _bytes(value: Any) -> bytes:
    try:
        return b64decode(_text(value).replace("-", "+").replace("_", "/"), validate=True)
    except (Base64Error, ValueError):
        raise Malformed("", "base64 belongs here") from None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Malformed("", "true or false belongs here")
    return value


def _whole(allowed: range) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        if _WHOLE.fullmatch(value) if isinstance(value, str) else isinstance(value, float) and value.is_integer():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            raise Malformed("", "a whole number belongs here")
        if value not in allowed:
            raise Malformed("", "number out of range")
        return value

    return convert


def _real(value: Any) -> float:
    if isinstance(value, str):
        value = {"Infinity": float("inf"), "-Infinity": float("-inf"), "NaN": float("nan")}.get(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise Malformed("", "a number belongs here")
    return float(value)


def _enum(numbers: Mapping[str, int]) -> _Convert:
    whole = _whole(_ENUM_RANGE)

    def convert(value: Any) -> int:
        if not isinstance(value, str):
            return whole(value)
        number = numbers.get(value)
        if number is None:
            raise Malformed("", f"{value[:64]!r} is none of {', '.join(numbers)}")
        return number

    return convert


def _duration(message: Any, value: Any, depth: int) -> None:
    """Text as Go reads durations: ``1s``, ``1.5h``, ``1m30s``, ``200ms``."""
    text = _text(value)
    if text != "0" and not _DURATION.fullmatch(text):
        raise Malformed("", "a duration such as 1s belongs here")
    nanos = 0
    for whole, digits, unit in _DURATION_PART.findall(text):
        scale = _NANOS[unit]
        nanos += int(whole or "0") * scale + int(digits or "0") * scale // 10 ** len(digits)
    if nanos >= 1 << 63:
        raise Malformed("", "number out of range")
    sign = -1 if text.startswith("-") else 1
    message.seconds, message.nanos = sign * (nanos // 10**9), sign * (nanos % 10**9)


def _any(message: Any, value: Any, depth: int) -> None:
    if not isinstance(value, dict):
        raise Malformed("", "an object belongs here")
    url = value.get("@type")
    if not isinstance(url, str):
        raise Malformed("", "member @type is missing")
    try:
        kind = message.DESCRIPTOR.file.pool.FindMessageTypeByName(url.rpartition("/")[2])
    except KeyError:
        raise Malformed("@type", f"unknown message type {url[:128]!r}") from None
    inner = GetMessageClass(kind)()
    if kind.full_name in _SPECIAL or _WRAPPER.fullmatch(kind.full_name):
        if value.get("value") is not None:
            _filler(kind)(inner, value["value"], depth + 1)
    else:
        _filler(kind)(inner, value, depth + 1)
    message.type_url = url
    message.value = inner.SerializeToString(deterministic=True)


_SPECIAL: Final[dict[str, _Fill]] = {"google.protobuf.Any": _any, "google.protobuf.Duration": _duration}

_ROUTING_CONFIGS: Final = {
    "MetadataPolicy": "v1.MetadataRoutingConfig",
    1: "v1.MetadataRoutingConfig",
    "NearbyPolicy": "v1.NearbyRoutingConfig",
    2: "v1.NearbyRoutingConfig",
}


def _routing_config(rule: Mapping[str, Any]) -> str:
    policy = rule.get("routing_policy", rule.get("routingPolicy"))
    return (
        _ROUTING_CONFIGS.get(policy, "v1.RuleRoutingConfig")
        if isinstance(policy, str | int)
        else "v1.RuleRoutingConfig"
    )


def _selector(entry: Mapping[str, Any]) -> str:
    return "v1.ServiceGatewaySelector" if "gateway" in str(entry.get("type")) else "v1.ServiceSelector"


_UNTYPED: Final[dict[str, Callable[[Mapping[str, Any]], str]]] = {
    "v1.RouteRule.routing_config": _routing_config,
    "v1.TrafficEntry.selector": _selector,
}
"""Fields of type Any whose message type is known without ``@type``: people write rules by hand, and leave it out."""
