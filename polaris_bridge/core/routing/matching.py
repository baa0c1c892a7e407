"""Conditions made ready: texts of rules become functions of a label's value, once for all calls.

Semantics of polaris-go 1.7.0. Groups differ from it where it takes three operators for "equals" (IN, NOT_IN, RANGE), and an empty
value for itself: polaris-java and the specification mean what these words say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from msgspec import Struct

from .model import ANY, EXACT, IN, NOT_EQUALS, NOT_IN, PARAMETER, RANGE, REGEX, TEXT, Condition
from .ports import Find, Patterns

Test = Callable[[str], bool]
"""Whether a label's value is what a condition wants."""

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}\Z", re.ASCII)
_INT64: Final = 1 << 63


def anything(_value: str) -> bool:
    """Of an empty value, and of ``*``."""
    return True


def nothing(_value: str) -> bool:
    """Of what cannot be evaluated."""
    return False


def integer(text: str) -> int | None:
    """A decimal number of 64 bits."""
    if _INTEGER.match(text) is None:
        return None
    number = int(text)
    return number if -_INT64 <= number < _INT64 else None


def make_test(operator: str, value: str, patterns: Patterns, *, whole: bool = False, literal: bool = False) -> Test:
    """The test that a value is for. Raises ``ValueError`` for a pattern that cannot be evaluated, and an unknown operator.

    ``whole``: a pattern has to match something; an empty match is none (of instances, polaris-go wants that).
    ``literal``: the value came with a call, so ``*`` in it is a star.
    """
    if value in ("", ANY) and not literal:
        return anything
    maker = _MAKERS.get(operator)
    if maker is not None:
        return maker(value)
    if operator != REGEX:
        raise ValueError(f"the operator {operator!r} is not known")
    return partial(_found, patterns.compile(value), whole)


def _found(find: Find, whole: bool, value: str) -> bool:
    found = find(value)
    return found is not None and (not whole or found != "")


def _in(value: str) -> Test:
    return frozenset(value.split(",")).__contains__


def _not_in(value: str) -> Test:
    items = frozenset(value.split(","))
    return lambda given: given not in items


def _range(value: str) -> Test:
    ends = [integer(end) for end in value.split("~")]
    if len(ends) != 2 or ends[0] is None or ends[1] is None:
        return nothing
    low, high = ends[0], ends[1]

    def within(given: str) -> bool:
        number = integer(given)
        return number is not None and low <= number <= high

    return within


_MAKERS: Final[dict[str, Callable[[str], Test]]] = {
    EXACT: lambda value: value.__eq__,
    NOT_EQUALS: lambda value: value.__ne__,
    IN: _in,
    NOT_IN: _not_in,
    RANGE: _range,
}


class Ready(Struct, frozen=True):
    """A condition made ready."""

    condition: Condition
    test: Test | None
    """None: the value comes with the call."""
    defect: str = ""
    """Why it cannot be evaluated; it then never holds."""


def ready(condition: Condition, patterns: Patterns, *, whole: bool = False) -> Ready:
    """Make a condition ready. Does not raise."""
    if condition.origin != TEXT:
        return Ready(condition, None)
    try:
        return Ready(condition, make_test(condition.operator, condition.value, patterns, whole=whole))
    except ValueError as error:
        return Ready(condition, nothing, str(error))


def needs(condition: Condition) -> tuple[str, ...]:
    """The labels of the caller that a group's condition looks at."""
    return (condition.value,) if condition.origin == PARAMETER else ()
