"""Any message of any type, for properties that must hold for all of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.wire import v1

TYPES: list[Descriptor] = [
    message
    for name in sorted(path for path in v1.MESSAGES.files if path.startswith("polaris/"))
    for message in v1.MESSAGES.pool.FindFileByName(name).message_types_by_name.values()
    if message.full_name.startswith("v1.")
]

ANY_TYPES = ("v1.RuleRoutingConfig", "v1.ServiceSelector", "v1.ServiceContract", "google.protobuf.StringValue")

_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """A message with a few of its fields set, nested ones too."""
    message = GetMessageClass(descriptor)()
    if descriptor.full_name == "google.protobuf.Any":
        inner = draw(messages(v1.MESSAGES.message(draw(st.sampled_from(ANY_TYPES))).DESCRIPTOR, depth + 1))
        message.Pack(inner, deterministic=True)  # type: ignore[attr-defined]
        return message
    if descriptor.full_name == "google.protobuf.Duration":
        nanos = draw(st.integers(-(2**53), 2**53))
        message.FromNanoseconds(nanos)  # type: ignore[attr-defined]
        return message
    fields = [field for field in descriptor.fields if depth < 4 or field.message_type is None]
    if not fields:
        return message
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique_by=lambda field: field.number)):
        _set(draw, message, field, depth)
    return message


def _set(draw: st.DrawFn, message: Any, field: FieldDescriptor, depth: int) -> None:
    target = getattr(message, field.name) if field.is_repeated or field.message_type else None
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        for entry in range(draw(st.integers(0, 3))):
            name = draw(scalars(key)) if entry else draw(st.text(max_size=3))
            if value.message_type is None:
                target[name] = draw(scalars(value))
            else:
                target[name].CopyFrom(draw(messages(value.message_type, depth + 1)))
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 3))):
            if field.message_type is None:
                target.append(draw(scalars(field)))
            else:
                target.add().CopyFrom(draw(messages(field.message_type, depth + 1)))
    elif field.message_type is not None:
        target.SetInParent()
        target.CopyFrom(draw(messages(field.message_type, depth + 1)))
    else:
        setattr(message, field.name, draw(scalars(field)))


@cache
def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values of a field that is no message."""
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values]) | st.just(12345)
    if field.cpp_type in _RANGES:
        return st.integers(*_RANGES[field.cpp_type])
    if field.cpp_type == FieldDescriptor.CPPTYPE_FLOAT:
        return st.floats(allow_nan=False, width=32)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.binary(max_size=9)
    return st.text(max_size=12) | st.sampled_from(
        ["<a href='&'>", "\u2028\u2029", 'a"\\b', "\x00\x1f\x7f", "名字", "😀"]
    )
