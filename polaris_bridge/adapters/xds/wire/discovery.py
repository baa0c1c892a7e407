"""The envelopes of discovery on bytes: requests in, responses out, in both variants.

Written by hand because they are all that an update of one client costs: an Envoy repeats its node of 61 KB with every request
and, in the state of the world, all names that it wants. The node is stepped over, and names that are octet for octet those of
the request before are not read again (``Seen``). The messages are ``envoy.service.discovery.v3.discovery``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from .fields import LENGTH, Malformed, field, fields, number_of, read_varint, signed, span, text, utf8, varint

_TYPE: Final = 4 << 3 | LENGTH
_NAMES: Final = 3 << 3 | LENGTH
_WORTH: Final = 512
"""Octets of names from which on it is cheaper to compare than to read."""


class Request(Struct, gc=False):
    """A ``DiscoveryRequest``."""

    version: str = ""
    node: bytes | None = None
    """As it came; None: it was not sent."""
    names: frozenset[str] | None = frozenset()
    """None: those of the request that ``mark`` is of."""
    type_url: str = ""
    nonce: str = ""
    error: str | None = None
    """What the client has against the response; None: nothing."""
    size: int = 0
    """Octets of the names, and..."""
    mark: int = 0
    """...their hash in this process; 0 when they are too few to be worth it."""


class DeltaRequest(Struct, gc=False):
    """A ``DeltaDiscoveryRequest``."""

    node: bytes | None = None
    type_url: str = ""
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    initial: dict[str, str] = {}
    """Versions that the client has, by name."""
    nonce: str = ""
    error: str | None = None


Seen = Mapping[int, int]
"""Names of earlier requests of a stream: the octets that they take, and the hash of those."""


def read_request(data: bytes, seen: Seen | None = None) -> Request:
    """Decode. ``Malformed`` for anything that is no ``DiscoveryRequest``."""
    request = Request()
    names: list[str] = []
    first = last = -1
    at, end = 0, len(data)
    while at < end:
        begin = at
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = read_varint(data, begin)
        if tag < 8:
            raise Malformed("field number 0")
        if tag == _NAMES and seen and first < 0:
            known = _known(data, begin, seen)
            if known:
                request.names = None
                request.size, request.mark = known, seen[known]
                at = begin + known
                continue
        start, at = span(data, at, tag & 7)
        if tag == _NAMES:
            names.append(utf8(data[start:at]))
            if first < 0:
                first = begin
            last = at
        elif tag == _TYPE:
            request.type_url = utf8(data[start:at])
        elif tag == 0x0A:
            request.version = utf8(data[start:at])
        elif tag == 0x12:
            request.node = data[start:at]
        elif tag == 0x2A:
            request.nonce = utf8(data[start:at])
        elif tag == 0x32:
            request.error = _error(data[start:at])
        elif tag == 0x3A:
            names.append(_located(data[start:at]))
    if names:
        request.names = frozenset(names)
        if first >= 0 and last - first >= _WORTH:
            request.size, request.mark = last - first, hash(data[first:last])
    return request


def _known(data: bytes, begin: int, seen: Seen) -> int:
    """How many octets from here on are names that were read before; 0: none."""
    for size, mark in seen.items():
        end = begin + size
        if (end >= len(data) or data[end] == _TYPE) and hash(data[begin:end]) == mark:
            return size
    return 0


def read_delta(data: bytes) -> DeltaRequest:
    """Decode. ``Malformed`` for anything that is no ``DeltaDiscoveryRequest``."""
    request = DeltaRequest()
    subscribe: list[str] = []
    unsubscribe: list[str] = []
    initial: dict[str, str] = {}
    for number, kind, value in fields(data):
        if kind != LENGTH:
            continue
        if number == 2:
            request.type_url = utf8(value)
        elif number == 3:
            subscribe.append(utf8(value))
        elif number == 4:
            unsubscribe.append(utf8(value))
        elif number == 5:
            name, version = _entry(value)
            initial[name] = version
        elif number == 6:
            request.nonce = utf8(value)
        elif number == 7:
            request.error = _error(value)
        elif number == 1:
            request.node = value
        elif number == 8:
            subscribe.append(_located(value))
        elif number == 9:
            unsubscribe.append(_located(value))
    request.subscribe = frozenset(subscribe)
    request.unsubscribe = frozenset(unsubscribe)
    request.initial = initial
    return request


def _entry(value: bytes) -> tuple[str, str]:
    """One entry of a map of texts."""
    key = content = ""
    for number, kind, part in fields(value):
        if kind == LENGTH and number == 1:
            key = utf8(part)
        elif kind == LENGTH and number == 2:
            content = utf8(part)
    return key, content


def _located(value: bytes) -> str:
    """The name in a ``ResourceLocator``; what it says besides (dynamic parameters) is not served."""
    for number, kind, part in fields(value):
        if kind == LENGTH and number == 1:
            return utf8(part)
    return ""


def _error(value: bytes) -> str:
    """A ``google.rpc.Status``: its message, or its code when it says nothing."""
    code, message = 0, ""
    for number, kind, part in fields(value):
        if number == 1 and kind == 0:
            code = signed(number_of(part))
        elif number == 2 and kind == LENGTH:
            message = part.decode("utf-8", "replace")
    return message or f"code {code}"


# ---------------------------------------------------------------------- responses

NONCE: Final = b"\x2a"
"""The tag of ``nonce`` in both kinds of responses. It is the last field: everything before it is the same for everybody."""


def with_nonce(body: bytes, nonce: bytes) -> bytes:
    """A response, from what everybody gets and this client's nonce (shorter than 128 octets)."""
    return b"%b\x2a%c%b" % (body, len(nonce), nonce)


def framed(packed: bytes) -> bytes:
    """One resource of a ``DiscoveryResponse``."""
    return b"\x12" + varint(len(packed)) + packed


def response(type_url: str, version: str, resources: Iterable[bytes]) -> bytes:
    """A ``DiscoveryResponse`` without nonce, of ``framed`` resources."""
    return b"".join((text(1, version), *resources, text(4, type_url)))


def framed_delta(name: str, version: str, packed: bytes) -> bytes:
    """One resource of a ``DeltaDiscoveryResponse``."""
    return field(2, text(1, version) + field(2, packed) + text(3, name))


def removed(name: str) -> bytes:
    """One name of ``removed_resources``."""
    return field(6, name.encode())


def delta_response(type_url: str, version: str, parts: Iterable[bytes]) -> bytes:
    """A ``DeltaDiscoveryResponse`` without nonce, of ``framed_delta`` resources and ``removed`` names."""
    return b"".join((text(1, version), *parts, text(4, type_url)))


def assignment_of(packed: bytes) -> str:
    """Under which name a packed ``Cluster`` asks for its endpoints: ``eds_cluster_config.service_name``, else its own."""
    name = service = ""
    for number, kind, value in fields(packed):
        if number == 2 and kind == LENGTH:
            for inner, wire, part in fields(value):
                if inner == 1 and wire == LENGTH:
                    name = utf8(part)
                elif inner == 3 and wire == LENGTH:
                    service = next((utf8(v) for n, w, v in fields(part) if n == 2 and w == LENGTH), "")
    return service or name
