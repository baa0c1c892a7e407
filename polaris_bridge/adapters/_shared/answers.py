"""How an answer's head looks on the wire, rendered once per distinct (status, headers)."""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from polaris_bridge.adapters._shared.exchange import Headers, Response

KEEP = 0
"""The connection stays open."""
CLOSE = 1
"""This is the last answer; it says ``connection: close``."""
KEEP_OLD = 2
"""HTTP/1.0 client that asked to keep the connection: the answer has to say that it will."""

BODILESS = frozenset({204, 304})
"""Statuses without a body and without content-length (RFC 9110 sections 8.6, 15.4.5)."""

_CONNECTION = {KEEP: b"", CLOSE: b"connection: close\r\n", KEEP_OLD: b"connection: keep-alive\r\n"}
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_MAX_HEADS = 1024
_COPY_BELOW = 16 * 1024  # bytes that are cheaper to copy into one buffer than to hand over as a second one
_SMALL_PART = 4 * 1024  # parts that are smaller on average are joined


def tails(date: bytes) -> tuple[bytes, bytes, bytes]:
    """Ends of a head for KEEP, CLOSE and KEEP_OLD: connection, date, empty line."""
    keep, close, keep_old = (_CONNECTION[kind] + b"date: " + date + b"\r\n\r\n" for kind in (KEEP, CLOSE, KEEP_OLD))
    return keep, close, keep_old


def render_head(status: int, headers: Headers) -> bytes:
    """Status line and headers. ValueError when they would not be one valid head (an answer must not be split)."""
    if status not in STATUS_LINE:
        raise ValueError(f"{status} is no HTTP status")
    lines = [STATUS_LINE[status]]
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise ValueError(f"response header {name!r}: {value!r} is not allowed in HTTP")
        lines.append(b"%b: %b\r\n" % (name, value))
    return b"".join(lines)


class Heads:
    """Rendered heads by (status, headers). Bounded; headers that change with every answer only cost their rendering."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[int, Headers], bytes] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def of(self, response: Response) -> bytes:
        """The head of this response up to content-length; ValueError as in ``render_head``."""
        key = (response.status, response.headers)
        try:
            return self._kept[key]
        except KeyError:
            if len(self._kept) >= _MAX_HEADS:
                self._kept.clear()
            return self._kept.setdefault(key, render_head(response.status, response.headers))
        except TypeError:  # a list of headers cannot be a key
            return render_head(response.status, response.headers)


def wire_parts(head: bytes, tail: bytes, response: Response, bodiless: bool) -> bytes | tuple[bytes, ...]:
    """The whole answer: one buffer when it is small or consists of small parts, else parts that need no copy."""
    body = response.body
    if response.status in BODILESS:
        return head + tail
    if isinstance(body, bytes):
        length = len(body)
        if bodiless:
            body = b""
        if len(body) <= _COPY_BELOW:
            return b"%bcontent-length: %d\r\n%b%b" % (head, length, tail, body)
        return b"%bcontent-length: %d\r\n%b" % (head, length, tail), body
    length = response.length
    first = b"%bcontent-length: %d\r\n%b" % (head, length, tail)
    if bodiless:
        return first
    if length <= _COPY_BELOW or length < _SMALL_PART * len(body):
        return b"".join((first, *body))
    return (first, *body)
