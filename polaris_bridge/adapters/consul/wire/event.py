"""User events as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct


class UserEvent(Struct, frozen=True):
    """One event, or what somebody wants to fire (without id and time)."""

    id: str
    name: str
    payload: bytes = b""
    node_filter: str = ""
    """A regular expression, as the other two."""
    service_filter: str = ""
    tag_filter: str = ""
    time: int = 0
    """Counts all events."""


class _Shape(Struct, frozen=True):
    ID: str
    Name: str
    Payload: bytes | None
    NodeFilter: str
    ServiceFilter: str
    TagFilter: str
    Version: int
    LTime: int


_encode: Final = msgspec.json.Encoder().encode


def _shape(event: UserEvent, time: int) -> _Shape:
    return _Shape(
        event.id, event.name, event.payload or None, event.node_filter, event.service_filter, event.tag_filter, 1, time
    )


def fired(event: UserEvent) -> bytes:
    """The answer to who fired it, who is not told its time."""
    return _encode(_shape(event, 0))


def listed(events: Iterable[UserEvent]) -> bytes:
    """A list of them."""
    return _encode([_shape(event, event.time) for event in events])
