"""Fields that every rule message has in its own way: a plain text in newer ones, a wrapper in older ones, or not at all."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def has(message: Message, field: str) -> bool:
    """Whether messages of this type have a field."""
    return field in message.DESCRIPTOR.fields_by_name


def text(message: Message, field: str) -> str:
    """The text of a field; empty when it is absent or the message has none of that name."""
    value: Any = getattr(message, field, "")
    return value if isinstance(value, str) else str(value.value)


def put_text(message: Message, field: str, value: str) -> None:
    """Set a text field, if the message has it."""
    if not has(message, field):
        return
    if isinstance(getattr(message, field), str):
        setattr(message, field, value)
    else:
        getattr(message, field).value = value


def number(message: Message, field: str) -> int:
    """The number in a field; 0 when it is absent or the message has none of that name."""
    value: Any = getattr(message, field, 0)
    return value if isinstance(value, int) else int(value.value)


def flag(message: Message, field: str) -> bool:
    """The truth value of a field."""
    value: Any = getattr(message, field)
    return value if isinstance(value, bool) else bool(value.value)


def put_flag(message: Message, field: str, value: bool) -> None:
    """Set a truth value, if the message has the field."""
    if not has(message, field):
        return
    if isinstance(getattr(message, field), bool):
        setattr(message, field, value)
    else:
        getattr(message, field).value = value


def clear(message: Message, *fields: str) -> None:
    """Unset fields, those that the message has."""
    for field in fields:
        if has(message, field):
            message.ClearField(field)
