"""The query string of a request, and the options that every read understands.

Names, order of judgement and complaints as an agent 1.20 has them.
"""

from __future__ import annotations

import html
import re
from typing import Final
from urllib.parse import quote, unquote, unquote_plus

from msgspec import Struct

from . import durations
from .refusals import Refused, bad

DEFAULT_WAIT_S: Final = 300.0
MAX_WAIT_S: Final = 600.0
_MAX_INDEX: Final = (1 << 64) - 1
_BROKEN: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Params:
    """The parameters of one request, in their order; names are case-sensitive."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    @classmethod
    def of(cls, query: str) -> Params:
        """Decode. Raises ``Refused`` (500 with an empty body) for what Go's parser does not take."""
        if not query:
            return EMPTY
        if ";" in query or _BROKEN.search(query):
            raise Refused(500, "")
        values: dict[str, list[str]] = {}
        plain = "%" not in query and "+" not in query
        for part in query.split("&"):
            if not part:
                continue
            name, _, value = part.partition("=")
            if not plain:
                name, value = unquote_plus(name), unquote_plus(value)
            values.setdefault(name, []).append(value)
        return cls(values)

    def text(self, name: str, default: str = "") -> str:
        """The first value of a parameter; the default when it is absent."""
        found = self._values.get(name)
        return found[0] if found else default

    def all(self, name: str) -> list[str]:
        """Every value of a parameter; not to be changed."""
        return self._values.get(name) or []

    def has(self, name: str) -> bool:
        """Whether it is there, with or without a value."""
        return name in self._values

    def names(self) -> list[str]:
        """The names of all parameters."""
        return list(self._values)

    def pairs(self, name: str) -> dict[str, str]:
        """A repeatable parameter of the form ``key:value`` (``node-meta``); without a colon the value is empty."""
        return {key: value for key, _, value in (each.partition(":") for each in self.all(name))}

    def __bool__(self) -> bool:
        return bool(self._values)


EMPTY: Final = Params({})


class Options(Struct, frozen=True, gc=False):
    """What a read may say about itself."""

    index: int = 0
    """The client has seen this; 0: answer at once."""
    wait_s: float = DEFAULT_WAIT_S
    """How long to wait for something newer, at most."""
    stale: bool = False
    consistent: bool = False
    cached: bool = False

    @property
    def consistency(self) -> str:
        """As it is told to the client."""
        return "stale" if self.stale else "consistent" if self.consistent else "leader"


PLAIN: Final = Options()


def options(params: Params, cache_control: str | None) -> Options:
    """The options of a read. Raises ``Refused`` in the order in which an agent judges them."""
    if not params and not cache_control:
        return PLAIN
    stale, consistent, cached = params.has("stale"), params.has("consistent"), params.has("cached")
    most = params.text("max_stale")
    if most:
        try:
            stale = durations.parse(most) > 0 or stale
        except durations.BadDuration:
            raise bad(f"Invalid max_stale value {durations.quoted(most)}") from None
    if stale and consistent:
        raise bad("Cannot specify ?stale with ?consistent, conflicting semantics.")
    if cached and consistent:
        raise bad("Cannot specify ?cached with ?consistent, conflicting semantics.")
    if cache_control:
        _check_cache_control(cache_control)
    wait_s = _wait_s(params)
    return Options(_index(params), wait_s, stale, consistent, cached)


def _wait_s(params: Params) -> float:
    value = params.text("wait")
    if not value:
        return DEFAULT_WAIT_S
    try:
        seconds = durations.parse(value) / durations.SECOND
    except durations.BadDuration:
        raise bad("Invalid wait time") from None
    return DEFAULT_WAIT_S if seconds <= 0 else min(seconds, MAX_WAIT_S)


def _index(params: Params) -> int:
    value = params.text("index")
    if not value:
        return 0
    if not value.isascii() or not value.isdigit() or int(value[:21]) > _MAX_INDEX:
        raise bad("Invalid index")
    return int(value)


def _check_cache_control(header: str) -> None:
    for directive in header.lower().split(","):
        name, _, value = directive.strip().partition("=")
        if name in ("max-age", "stale-if-error") and not re.fullmatch(r"[+-]?[0-9]{1,18}", value):
            raise bad("Invalid Cache-Control header.")


def path(raw: str) -> str | None:
    """A request's path, decoded; None for one that is not decodable (400 from the HTTP server itself)."""
    if "%" not in raw:
        return raw
    return None if _BROKEN.search(raw) else unquote(raw)


def quoted(decoded: str) -> str:
    """A decoded path as it stands in a URL."""
    return quote(decoded, safe="/:@!$&'()*+,;=~-._")


def escaped(target: str) -> str:
    """A URL as it stands in an attribute of HTML."""
    return html.escape(target)


_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def boolean(value: str) -> bool | None:
    """As Go reads a boolean; None: it is none."""
    return _BOOLEANS.get(value)
