"""Endpoints and assignments as bytes, made of pieces: of a large service one endpoint is encoded anew, the rest is joined.

The messages are ``LbEndpoint``, ``LocalityLbEndpoints`` and ``ClusterLoadAssignment`` of ``envoy.config.endpoint.v3``, whose
numbers of fields stand here; tests read what comes out with the real messages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from .fields import varint

HEALTHY: Final = 1
UNHEALTHY: Final = 2
"""``HealthStatus`` of ``envoy.config.core.v3``."""

Metadata = Mapping[str, Mapping[str, str]]
"""By name of a filter: texts by key."""


def delimited(tag: bytes, content: bytes) -> bytes:
    """A field with a length. ``tag``: its number and type."""
    return tag + varint(len(content)) + content


def text(tag: bytes, content: str) -> bytes:
    """A field with a text; nothing for an empty one. What is no Unicode becomes a question mark."""
    return delimited(tag, content.encode("utf-8", "replace")) if content else b""


def _wrapped(tag: bytes, number: int) -> bytes:
    """A ``google.protobuf.UInt32Value``."""
    return delimited(tag, b"\x08" + varint(number))


def endpoint(host: str, port: int, weight: int, *, healthy: bool, metadata: Metadata) -> bytes:
    """One ``LbEndpoint``, as a field of a locality. ``host`` is an address in digits, ``weight`` is above 0."""
    socket = text(b"\x12", host) + b"\x18" + varint(port)
    address = delimited(b"\x0a", delimited(b"\x0a", socket))
    content = delimited(b"\x0a", address) + (b"\x10\x01" if healthy else b"\x10\x02")
    if metadata:
        content += delimited(b"\x1a", b"".join(_filter(name, metadata[name]) for name in sorted(metadata)))
    return delimited(b"\x12", content + _wrapped(b"\x22", weight))


def _filter(name: str, fields: Mapping[str, str]) -> bytes:
    struct = b"".join(
        delimited(
            b"\x0a", text(b"\x0a", key) + delimited(b"\x12", delimited(b"\x1a", fields[key].encode("utf-8", "replace")))
        )
        for key in sorted(fields)
    )
    return delimited(b"\x0a", text(b"\x0a", name) + delimited(b"\x12", struct))


class Locality(Struct, frozen=True, gc=False):
    """Endpoints at one place."""

    region: str
    zone: str
    sub_zone: str
    priority: int
    weight: int
    """Above 0."""
    endpoints: tuple[bytes, ...]
    """As ``endpoint`` makes them."""


def assignment(name: str, localities: Iterable[Locality]) -> bytes:
    """A ``ClusterLoadAssignment``."""
    return text(b"\x0a", name) + b"".join(map(_locality, localities))


def _locality(locality: Locality) -> bytes:
    place = text(b"\x0a", locality.region) + text(b"\x12", locality.zone) + text(b"\x1a", locality.sub_zone)
    content = [delimited(b"\x0a", place), *locality.endpoints, _wrapped(b"\x1a", locality.weight)]
    if locality.priority:
        content.append(b"\x28" + varint(locality.priority))
    return delimited(b"\x12", b"".join(content))
