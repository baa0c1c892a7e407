"""What can be selected in an answer: its fields, their types, and what can be asked of each."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from msgspec import Struct

from .expressions import EQUAL, IN, IS_EMPTY, MATCHES

Kind = Literal["text", "int", "bool"]


class Scalar(Struct, frozen=True):
    """A single value."""

    kind: Kind = "text"


class ListOf(Struct, frozen=True):
    """A list; a selector passes through it to each of its items."""

    item: Field


class MapOf(Struct, frozen=True):
    """A map with text as keys, selected by key; what it holds may be selected further."""

    item: Field = Scalar()


class Record(Struct, frozen=True):
    """Named fields; nothing can be asked of the record itself."""

    fields: dict[str, Field]


Field = Scalar | ListOf | MapOf | Record


def within(field: Field, name: str) -> Field | None:
    """What a selector reaches by one more name; None: there is no such thing."""
    if isinstance(field, Record):
        return field.fields.get(name)
    if isinstance(field, MapOf):
        return field.item
    if isinstance(field, ListOf) and not isinstance(field.item, Scalar):
        return within(field.item, name)
    return None


def operators(field: Field) -> frozenset[str]:
    """What can be asked of a field."""
    if isinstance(field, Scalar):
        return _TEXT if field.kind == "text" else _PLAIN
    if isinstance(field, MapOf):
        return _CONTAINER
    if isinstance(field, ListOf):
        return _CONTAINER if isinstance(field.item, Scalar) else _LIST
    return frozenset()


def value_of(field: Field, text: str) -> str | int | bool:
    """A value as written, in the type of a field. Raises ``ValueError`` with the words of Go's parser."""
    scalar = field.item if isinstance(field, ListOf) else field
    kind = scalar.kind if isinstance(scalar, Scalar) else "text"
    return _READ[kind](text)


def _int(text: str) -> int:
    if not _GO_INT.fullmatch(text) or "__" in text or text.endswith("_"):
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    digits = text.lower().replace("_", "")
    sign = -1 if digits[0] == "-" else 1
    digits = digits.lstrip("+-")
    base = _BASES.get(digits[:2], 10)
    if base == 10 and len(digits) > 1 and digits[0] == "0":
        base = 8
    try:
        number = sign * int(digits[2:] if base != 10 and digits[1].isalpha() else digits, base)
    except ValueError:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


def _bool(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')


_TEXT: Final = frozenset({EQUAL, IN, MATCHES})
_PLAIN: Final = frozenset({EQUAL})
_CONTAINER: Final = frozenset({IN, IS_EMPTY})
_LIST: Final = frozenset({IS_EMPTY})
_GO_INT: Final = re.compile(r"[+-]?[0-9][0-9a-zA-Z_]{0,70}")
_BASES: Final = {"0x": 16, "0o": 8, "0b": 2}
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_READ: Final[dict[str, Callable[[str], str | int | bool]]] = {"text": str, "int": _int, "bool": _bool}
