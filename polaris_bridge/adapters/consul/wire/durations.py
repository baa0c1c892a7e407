"""Durations as Go writes and reads them: ``1m30s``, ``500ms``, ``1.5h``, ``0``; numbers are nanoseconds.

The grammar and the complaints are those of Go's ``time.ParseDuration``.
"""

from __future__ import annotations

import re
from typing import Final

NANOSECOND: Final = 1
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
MAX_NS: Final = (1 << 63) - 1

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_PART: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_PLAIN: Final = re.compile(r"([0-9]{1,9})(ms|s|m|h)")


class BadDuration(ValueError):
    """No duration; the text is Go's."""


def parse(text: str) -> int:
    """Nanoseconds of a duration, negative ones included. Raises ``BadDuration``."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None:
        return int(plain[1]) * _UNITS[plain[2]]
    rest = text[1:] if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    if not rest:
        raise BadDuration(f"time: invalid duration {quoted(text)}")
    total = 0
    while rest:
        total += _part(text, rest)
        found = _PART.match(rest)
        rest = rest[found.end() :] if found is not None else ""
    limit = MAX_NS + 1 if text[0] == "-" else MAX_NS
    if total > limit:
        raise BadDuration(f"time: invalid duration {quoted(text)}")
    return -total if text[0] == "-" else total


def _part(whole: str, rest: str) -> int:
    """Nanoseconds of the number with its unit that ``rest`` begins with."""
    found = _PART.match(rest)
    assert found is not None
    digits, fraction, unit = found[1], found[2], found[3]
    if not digits and not fraction:
        raise BadDuration(f"time: invalid duration {quoted(whole)}")
    if not unit:
        raise BadDuration(f"time: missing unit in duration {quoted(whole)}")
    scale = _UNITS.get(unit)
    if scale is None:
        raise BadDuration(f"time: unknown unit {quoted(unit)} in duration {quoted(whole)}")
    if len(digits) > 20:
        raise BadDuration(f"time: invalid duration {quoted(whole)}")
    found_ns = int(digits or 0) * scale
    if fraction:
        fraction = fraction[:18]
        found_ns += int(fraction) * scale // 10 ** len(fraction)
    return found_ns


def text(ns: int) -> str:
    """A duration as Go prints it: ``1m30s``, ``1.5s``, ``500ms``, ``0s``."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    for unit, scale in (("ns", 1), ("µs", 1_000), ("ms", MILLISECOND)):
        if ns < scale * 1000:
            return f"{sign}{_decimal(ns, scale)}{unit}"
    minutes, rest = divmod(ns, 60 * SECOND)
    seconds = f"{_decimal(rest, SECOND)}s"
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{seconds}"
    return f"{sign}{minutes}m{seconds}" if minutes else f"{sign}{seconds}"


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    if not rest:
        return str(whole)
    digits = str(rest).rjust(len(str(scale)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def quoted(value: str) -> str:
    """As Go's ``%q`` prints it, for texts that hold nothing unusual."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
