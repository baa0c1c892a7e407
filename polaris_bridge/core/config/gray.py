"""Which clients a gray release is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import Invalid
from .model import EXACT, IN, MATCHES, NOT_EQUAL, NOT_IN, PRESENT, RANGE, REGEX, Asker, GrayRule, Match
from .ports import Patterns


def applies(rule: GrayRule, asker: Asker, patterns: Patterns) -> bool:
    """Whether a client is meant. A rule that names nothing means nobody."""
    if not rule.labels and not rule.ips:
        return False
    if rule.ips and asker.ip not in rule.ips:
        return False
    return all(_fits(match, asker.labels.get(match.key), patterns) for match in rule.labels)


def check(rule: GrayRule, patterns: Patterns) -> None:
    """Refuse (``Invalid``) what could never be judged."""
    if not rule.labels and not rule.ips:
        raise Invalid("gray rule", "name labels or addresses")
    for match in rule.labels:
        if match.kind not in MATCHES:
            raise Invalid("gray rule", f"no such match: {match.kind!r}")
        least, most = _COUNTS[match.kind]
        if not match.key or not least <= len(match.values) <= most:
            raise Invalid("gray rule", f"a label and {least} value(s) for {match.kind!r}")
        if match.kind == RANGE and None in map(_whole, match.values):
            raise Invalid("gray rule", "a range of whole numbers")
        if match.kind == REGEX and (defect := patterns.defect(match.values[0])) is not None:
            raise Invalid("gray rule", defect)


def _fits(match: Match, value: str | None, patterns: Patterns) -> bool:
    if value is None:
        return False
    if match.kind == REGEX:
        return patterns.matches(match.values[0], value)
    return _FITS[match.kind](match.values, value)


def _between(values: tuple[str, ...], value: str) -> bool:
    low, high, number = _whole(values[0]), _whole(values[1]), _whole(value)
    return low is not None and high is not None and number is not None and low <= number <= high


def _whole(text: str) -> int | None:
    try:
        return int(text) if len(text) < 32 else None
    except ValueError:
        return None


_FITS: Final[dict[str, Callable[[tuple[str, ...], str], bool]]] = {
    EXACT: lambda values, value: value == values[0],
    NOT_EQUAL: lambda values, value: value != values[0],
    IN: lambda values, value: value in values,
    NOT_IN: lambda values, value: value not in values,
    RANGE: _between,
    PRESENT: lambda values, value: True,
}

_COUNTS: Final = {
    EXACT: (1, 1), NOT_EQUAL: (1, 1), REGEX: (1, 1), IN: (1, 10_000), NOT_IN: (1, 10_000), RANGE: (2, 2), PRESENT: (0, 0),
}  # fmt: skip
"""How many values each takes, least and most."""
