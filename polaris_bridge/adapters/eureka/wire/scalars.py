"""How the servers' JSON parser reads a scalar where another kind was expected.

The Netflix deserialiser asks for "the value as int, long, boolean or text", so ``"8081"``, ``8081`` and ``8081.0`` are one
number, text without a number is 0, and a JSON number outside the Java type is an error. Python values in, plain values out.
"""

from __future__ import annotations

import re
from typing import Final

from .messages import Malformed

Scalar = str | int | float | bool | None

INT_MAX: Final = 2**31 - 1
LONG_MAX: Final = 2**63 - 1

_DECIMAL: Final = re.compile(r"[+-]?[0-9]{1,19}")
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")


def as_whole(value: Scalar, where: str, maximum: int) -> int | None:
    """A whole number within a Java type whose largest value is ``maximum``; None for null.

    Text that is no number, or one outside the type, is 0 as on a real server; a bare JSON number outside it is Malformed.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _whole_of_text(value.strip(), maximum)
    if isinstance(value, float):
        if not -maximum - 1 <= value <= maximum:
            raise Malformed(where, "number out of range")
        value = int(value)
    if not -maximum - 1 <= value <= maximum:
        raise Malformed(where, "number out of range")
    return int(value)


def _whole_of_text(text: str, maximum: int) -> int:
    if _DECIMAL.fullmatch(text):
        number = int(text)
        return number if -maximum - 1 <= number <= maximum else 0
    if _FLOAT.fullmatch(text):
        return int(max(-maximum - 1, min(maximum, float(text))))
    return 0


def as_boolean(value: Scalar) -> bool | None:
    """A boolean; None for null. Of texts only ``true`` is true."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip() == "true"
    return bool(value)
