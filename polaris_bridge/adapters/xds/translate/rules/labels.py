"""Labels of calls as parts of a request, and which of them a client can compare. Pure.

The beginnings of labels are those that rules are read with (``core.routing`` does not look at them): PolarisMesh's.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from polaris_bridge.core.routing.model import ANY, EXACT, IN, NOT_EQUALS, NOT_IN, PARAMETER, REGEX, Condition

PATH: Final = "path"
HEADERS: Final = "headers"
QUERIES: Final = "queries"
COOKIES: Final = "cookies"
VERB: Final = "verb"
ADDRESS: Final = "address"
CALLER: Final = "caller"
METADATA: Final = "metadata"
OTHER: Final = "other"

_WHOLE: Final = {"$path": (PATH, ""), "$method": (VERB, ":method"), "$caller_ip": (ADDRESS, "")}
_BEGIN: Final = (
    ("$header.", HEADERS),
    ("$query.", QUERIES),
    ("$cookie.", COOKIES),
    ("$caller_service.", CALLER),
    ("$caller_metadata.", METADATA),
)
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~:0-9A-Za-z-]+\Z")
"""What names of headers and cookies are made of (RFC 9110, and the colon of Envoy's own)."""
_UNSEEN: Final = {
    VERB: "the verb of a call",
    ADDRESS: "the caller's address",
    CALLER: "the calling service",
    METADATA: "metadata of the calling instance",
    OTHER: "a label that only the application knows",
}


def part_of(label: str) -> tuple[str, str]:
    """The part of a request that a label stands for, and its name there."""
    whole = _WHOLE.get(label)
    if whole is not None:
        return whole
    for begin, part in _BEGIN:
        if label.startswith(begin):
            return part, label[len(begin) :]
    return OTHER, label


def is_name(part: str, name: str) -> bool:
    """Whether something of a request may be called so."""
    return bool(name) and (part == QUERIES or _TOKEN.match(name) is not None)


class Dialect(Struct, frozen=True):
    """What a kind of client can compare, and do, with a call."""

    name: str
    parts: frozenset[str]
    path_operators: frozenset[str]
    stains: bool
    """Whether it gives calls further headers."""

    def defect(self, part: str, name: str, condition: Condition) -> str:
        """Why it cannot compare a part of a request so; empty when it can."""
        if part not in self.parts:
            seen = _UNSEEN.get(part, f"the {part} of a call")
            return f"{self.name} cannot compare {seen}"
        if part != PATH and not is_name(part, name):
            return f"{part} have no such names"
        if condition.origin == PARAMETER or condition.value in ("", ANY):
            return ""
        allowed = {PATH: self.path_operators, QUERIES: _QUERY_OPERATORS, COOKIES: _COOKIE_OPERATORS}.get(part)
        if allowed is not None and condition.operator not in allowed:
            return f"{self.name} cannot compare {part} by {condition.operator}"
        return ""


_QUERY_OPERATORS: Final = frozenset({EXACT, REGEX, IN})
_COOKIE_OPERATORS: Final = frozenset({EXACT, NOT_EQUALS, IN, NOT_IN})
ENVOY: Final = Dialect(
    "Envoy",
    frozenset({PATH, HEADERS, QUERIES, COOKIES, VERB}),
    frozenset({EXACT, REGEX, IN, NOT_EQUALS, NOT_IN}),
    stains=True,
)
GRPC: Final = Dialect("a gRPC client", frozenset({PATH, HEADERS}), frozenset({EXACT, REGEX, IN}), stains=False)
