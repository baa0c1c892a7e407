"""Entries of the key-value store as JSON, and what the parameters of their calls say.

Names, order and complaints as in Consul 1.20.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_plus

import msgspec
from msgspec import Struct

from .params import Params
from .refusals import Refused, bad, failed

_MAX_UINT: Final = (1 << 64) - 1


class KvPair(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An entry; the value travels as base64, an empty one as null."""

    LockIndex: int
    Key: str
    Flags: int
    Value: bytes | None
    Session: str = ""
    CreateIndex: int
    ModifyIndex: int


encode: Final = msgspec.json.Encoder().encode


def cut(names: Iterable[str], prefix: str, separator: str) -> list[str]:
    """Keys up to the first separator behind the prefix, each once, in their order."""
    if not separator:
        return list(names)
    found: dict[str, None] = {}
    begin, length = len(prefix), len(separator)
    for name in names:
        at = name.find(separator, begin)
        found[name if at < 0 else name[: at + length]] = None
    return list(found)


def number(params: Params, name: str) -> int:
    """A whole number of 64 bits without sign. Raises ``Refused`` (500) with Go's complaint."""
    value = params.text(name)
    if not value.isascii() or not value.isdigit():
        raise failed(f"strconv.ParseUint: parsing {_quoted(value)}: invalid syntax")
    if len(value.lstrip("0")) > 20 or int(value) > _MAX_UINT:
        raise failed(f"strconv.ParseUint: parsing {_quoted(value)}: value out of range")
    return int(value)


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def exclusive(params: Params, *names: str) -> None:
    """Refuse (400) more than one of these parameters."""
    if params and sum(map(params.has, names)) > 1:
        raise bad(f"Conflicting flags: {_encoded(params)}\n")


def _encoded(params: Params) -> str:
    """All parameters as Go encodes them: sorted by name."""
    pairs = [(name, value) for name in sorted(params.names()) for value in params.all(name)]
    return "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in pairs)


def too_large(size: int, most: int) -> Refused:
    """413 for a value."""
    page = "https://www.consul.io/docs/agent/config/config-files#kv_max_value_size"
    return Refused(413, f"Request body({size} bytes) too large, max size: {most} bytes. See {page}.")
