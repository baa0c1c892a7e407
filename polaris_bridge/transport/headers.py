"""What a request's header list must look like (RFC 9113, section 8.2 and 8.3), and what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .hpack_tables import Field

_FORBIDDEN: Final = {"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"}
"""Fields of one hop of HTTP/1.1 (section 8.2.2)."""
_NAME: Final = re.compile(r"[!-9;-@\[-~]+", re.ASCII)
"""Visible, no capital letter, no colon (section 8.2.1)."""
_BAD_VALUE: Final = re.compile(r"[\0\r\n]")
_MAX_KNOWN: Final = 1024

_known: set[str] = set()
"""Names that were found valid before; bounded."""


class Malformed(Exception):  # the RFC's word
    """The request breaks the rules of its header list: its stream ends with PROTOCOL_ERROR."""


@dataclass(slots=True, frozen=True)
class Request:
    """A valid header list."""

    method: str
    path: str
    """"" of CONNECT, which alone has none."""
    authority: str
    metadata: dict[str, str]
    """First value of every ordinary field."""
    length: int
    """``content-length``; -1 when it is not said."""


def read_request(fields: list[Field]) -> Request:
    """The list that begins a request. Malformed when it must not be answered."""
    pseudo: dict[str, str] = {}
    metadata: dict[str, str] = {}
    for name, value in fields:
        if name in _known:
            metadata.setdefault(name, value)
        elif name[:1] == ":":
            if metadata:
                raise Malformed(f"{name} behind an ordinary field")
            if name in pseudo:
                raise Malformed(f"{name} twice")
            pseudo[name] = value
        else:
            _check_name(name, value)
            metadata.setdefault(name, value)
    _check_values(fields)
    method, path, authority = pseudo.pop(":method", ""), pseudo.pop(":path", ""), pseudo.pop(":authority", "")
    scheme = pseudo.pop(":scheme", "")
    if pseudo:
        raise Malformed(f"{next(iter(pseudo))} is no field of a request")
    if not method or (not (path and scheme) if method != "CONNECT" else bool(path or scheme)):
        raise Malformed(":method, :scheme or :path is missing")
    if metadata.get("te", "trailers") != "trailers":
        raise Malformed("te is not trailers")
    return Request(method, path, authority, metadata, _length(metadata, fields) if "content-length" in metadata else -1)


def check_trailers(fields: list[Field]) -> None:
    """The list that ends a request. Malformed when it must not."""
    for name, value in fields:
        if name[:1] == ":":
            raise Malformed(f"{name} in trailers")
        _check_name(name, value)
    _check_values(fields)


def _check_name(name: str, value: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise Malformed(f"the field name {name!r}")
    if name in _FORBIDDEN:
        raise Malformed(f"{name}: {value}")
    if len(_known) < _MAX_KNOWN and len(name) < 64:
        _known.add(name)


def _check_values(fields: list[Field]) -> None:
    if _BAD_VALUE.search("".join([value for _, value in fields])):
        raise Malformed("a field value with a line break or NUL")


def _length(metadata: dict[str, str], fields: list[Field]) -> int:
    text = metadata["content-length"]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Malformed(f"content-length {text!r}")
    if any(name == "content-length" and value != text for name, value in fields):
        raise Malformed("two different content-length")
    return int(text)
