"""JSON bodies as Go's decoder takes them: names without regard to case, ``null`` as if absent, unknown names refused.

A table says which names an object may have and how each value is read; complaints are in the decoder's words as far as they
are known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from . import durations
from .refusals import Refused

Read = Callable[[Any, str], Any]
"""From a JSON value and the name it stands under to a value; raises ``BadJson``."""
Table = Mapping[str, tuple[str, Read]]
"""By name, as documented and in lower case: what it is called here, and how it is read."""

_TOO_DEEP: Final = "exceeded max depth"
_MAX_INT: Final = (1 << 63) - 1


class BadJson(ValueError):
    """A body that is not what was expected; the text is what the decoder says."""


def decode_failed(error: BadJson) -> Refused:
    """400 as the agent API says it."""
    return Refused(400, f"Request decode failed: {error}")


def table(fields: Mapping[str, tuple[str, Read]]) -> Table:
    """A table that finds names in any case, the documented spelling first."""
    return {**{name.lower(): entry for name, entry in fields.items()}, **fields}


def value(body: bytes) -> Any:
    """The first JSON value of a body; what follows it is not looked at. Raises ``BadJson``."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _first(body)
    except RecursionError:
        raise BadJson(_TOO_DEEP) from None


def _first(body: bytes) -> Any:
    text = body.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise BadJson("EOF")
    try:
        found = _decoder.raw_decode(text)[0]
    except BadJson:
        raise
    except json.JSONDecodeError as error:
        rest = text[error.pos :].lstrip(" \t\r\n")
        if not rest or error.msg.startswith("Unterminated"):
            raise BadJson("unexpected EOF") from None
        raise BadJson(f"invalid character {_shown(rest[0])} {_expected(error.msg)}") from None
    except (ValueError, RecursionError):
        raise BadJson(_TOO_DEEP) from None
    return _mended(found) if "\\u" in text else found


def _mended(found: Any) -> Any:
    """Halves of surrogate pairs become U+FFFD, as in Go."""
    if isinstance(found, str):
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(found, list):
        return [_mended(each) for each in found]
    if isinstance(found, dict):
        return {_mended(key): _mended(each) for key, each in found.items()}
    return found


def _no_constant(name: str) -> Any:
    raise BadJson(f"invalid character {_shown(name[0])} looking for beginning of value")


_decoder: Final = json.JSONDecoder(parse_constant=_no_constant)
_EXPECTED: Final = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}


def _expected(message: str) -> str:
    return _EXPECTED.get(message.removesuffix(": "), "looking for beginning of value")


def _shown(character: str) -> str:
    return "'\\''" if character == "'" else f"'{character}'"


def members(found: Any, fields: Table) -> dict[str, Any]:
    """What an object says, by our names; what is absent or null is left out. Raises ``BadJson``."""
    if not isinstance(found, dict):
        raise BadJson(f"json: cannot unmarshal {_kind(found)} into Go value")
    said: dict[str, Any] = {}
    for name, each in found.items():
        entry = fields.get(name) or fields.get(name.lower())
        if entry is None:
            raise BadJson(f'json: unknown field "{name}"')
        if each is not None:
            said[entry[0]] = entry[1](each, name)
    return said


# ---------------------------------------------------------------------- values


def _kind(found: Any) -> str:
    if isinstance(found, bool):
        return "bool"
    if isinstance(found, str):
        return "string"
    if isinstance(found, int | float):
        return "number"
    return "array" if isinstance(found, list) else "object"


def wrong(found: Any, name: str, wanted: str) -> BadJson:
    """A value of another type than wanted."""
    return BadJson(f"json: cannot unmarshal {_kind(found)} into Go struct field .{name} of type {wanted}")


def text(found: Any, name: str) -> str:
    """A string."""
    if not isinstance(found, str):
        raise wrong(found, name, "string")
    return found


def flag(found: Any, name: str) -> bool:
    """A boolean."""
    if not isinstance(found, bool):
        raise wrong(found, name, "bool")
    return found


def integer(found: Any, name: str) -> int:
    """A whole number of 64 bits."""
    if isinstance(found, bool) or not isinstance(found, int):
        if isinstance(found, float):
            raise BadJson(f"json: cannot unmarshal number {found:g} into Go struct field .{name} of type int")
        raise wrong(found, name, "int")
    if not -_MAX_INT - 1 <= found <= _MAX_INT:
        raise BadJson(f"json: cannot unmarshal number {found} into Go struct field .{name} of type int")
    return found


def texts(found: Any, name: str) -> tuple[str, ...]:
    """A list of strings; null among them is the empty one."""
    if not isinstance(found, list):
        raise wrong(found, name, "[]string")
    return tuple("" if each is None else text(each, name) for each in found)


def text_map(found: Any, name: str) -> dict[str, str]:
    """An object of strings."""
    if not isinstance(found, dict):
        raise wrong(found, name, "map[string]string")
    return {key: "" if each is None else text(each, name) for key, each in found.items()}


def texts_map(found: Any, name: str) -> dict[str, tuple[str, ...]]:
    """An object of lists of strings."""
    if not isinstance(found, dict):
        raise wrong(found, name, "map[string][]string")
    return {key: () if each is None else texts(each, name) for key, each in found.items()}


def duration(found: Any, _name: str) -> int:
    """Nanoseconds: a Go string, or a number of them. Anything else counts as absent, as the decoder has it."""
    if isinstance(found, str):
        try:
            return durations.parse(found)
        except durations.BadDuration as error:
            raise BadJson(str(error)) from None
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0
    return max(-durations.MAX_NS, min(durations.MAX_NS, int(found)))


def raw(found: Any, _name: str) -> bytes:
    """Any value, kept as JSON."""
    return msgspec.json.encode(found)


def ignored(_found: Any, _name: str) -> None:
    """A name that is taken and not looked at."""


def nested(fields: Table) -> Read:
    """An object of its own table."""
    return lambda found, _name: members(found, fields)


def many(fields: Table) -> Read:
    """A list of objects of one table; null among them is an empty one."""

    def read(found: Any, name: str) -> list[dict[str, Any]]:
        if not isinstance(found, list):
            raise wrong(found, name, "[]object")
        return [members({} if each is None else each, fields) for each in found]

    return read


def mapped(fields: Table) -> Read:
    """An object whose values are objects of one table."""

    def read(found: Any, name: str) -> dict[str, dict[str, Any]]:
        if not isinstance(found, dict):
            raise wrong(found, name, "map[string]object")
        return {key: members({} if each is None else each, fields) for key, each in found.items()}

    return read
