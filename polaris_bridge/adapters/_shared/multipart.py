"""Forms of several parts (``multipart/form-data``, RFC 7578) in a body that is there as a whole: what uploads look like.

Nothing is copied but the contents asked for, every byte is looked at a fixed number of times, and a form of more parts than
``MOST_PARTS`` is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

MOST_PARTS: Final = 256
MOST_HEADER: Final = 8 * 1024
"""Bytes of the headers of one part."""

_TYPE: Final = re.compile(r"\s*multipart/form-data\s*(?:;|\Z)", re.IGNORECASE | re.ASCII)
_PARAMETER: Final = re.compile(r';\s*([A-Za-z0-9*_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s"]*))', re.ASCII)
_LONGEST_BOUNDARY: Final = 70


class NoForm(ValueError):
    """The content type is not that of a form, or names no boundary."""


class BrokenForm(ValueError):
    """The body is not the form that its content type promises, or has more parts than are read."""


class Part(Struct, frozen=True):
    """One part of a form."""

    name: str
    content: bytes
    filename: str | None = None
    """None: it is a field. As the client wrote it: never a path to write to."""
    content_type: str = ""


def parts(content_type: str, body: bytes) -> list[Part]:
    """The parts of a form, in order. Raises ``NoForm`` and ``BrokenForm``."""
    return list(_parts(body, _boundary(content_type)))


def first(form: list[Part], name: str) -> Part | None:
    """The first part of a name."""
    return next((part for part in form if part.name == name), None)


def is_form(content_type: str) -> bool:
    """Whether a content type is that of a form."""
    return _TYPE.match(content_type) is not None


def _boundary(content_type: str) -> bytes:
    if not is_form(content_type):
        raise NoForm("not a form")
    boundary = _parameters(content_type).get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise NoForm("no boundary")
    return boundary.encode("latin-1", "replace")


def _parts(body: bytes, boundary: bytes) -> Iterator[Part]:
    mark = b"--" + boundary
    if body.startswith(mark):
        at = len(mark)
    else:
        at = body.find(b"\r\n" + mark)  # what stands before the first part is passed over
        if at < 0:
            raise BrokenForm("no part")
        at += 2 + len(mark)
    for _ in range(MOST_PARTS + 1):
        if body.startswith(b"--", at):
            return
        line = body.find(b"\r\n", at)
        if line < 0 or body[at:line].strip(b" \t"):
            raise BrokenForm("a boundary ends in something else")
        end = body.find(b"\r\n" + mark, line)
        if end < 0:
            raise BrokenForm("the end is missing")
        yield _part(body, line, end)
        at = end + 2 + len(mark)
    raise BrokenForm(f"more than {MOST_PARTS} parts")


def _part(body: bytes, line: int, end: int) -> Part:
    """The part between the end of a boundary's line and the beginning of the next boundary."""
    blank = body.find(b"\r\n\r\n", line, min(end + 4, line + MOST_HEADER))
    if blank < 0:
        raise BrokenForm("headers without an end")
    headers: dict[str, str] = {}
    for header in body[line + 2 : blank].decode("utf-8", "replace").split("\r\n"):
        key, _, value = header.partition(":")
        headers.setdefault(key.strip().lower(), value.strip())
    said = _parameters(headers.get("content-disposition", ""))
    return Part(
        said.get("name", ""), body[min(blank + 4, end) : end], said.get("filename"), headers.get("content-type", "")
    )


def _parameters(header: str) -> dict[str, str]:
    """The parameters of a header, quotes and escapes taken off; the first of a name counts."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        quoted = match[2]
        value = match[3] if quoted is None else re.sub(r"\\([\"\\])", r"\1", quoted)
        found.setdefault(match[1].lower(), value)
    return found
