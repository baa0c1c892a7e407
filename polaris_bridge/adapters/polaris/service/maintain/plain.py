"""Plain JSON of the maintain API, as Go reads and writes it: members found whatever their case, indented by one space."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Final

from polaris_bridge.adapters.polaris.service.routes import Text

_PLAIN: Final = "text/plain; charset=utf-8"
_ESCAPED: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}

DONE: Final = Text(b"", _PLAIN)
"""The answer of calls that say nothing when they succeed."""


class BadBody(ValueError):
    """A body that is no JSON of the wanted shape; the text says what is wrong."""


def shown(value: Any) -> Text:
    """A value as an answer."""
    return Text(json.dumps(value, indent=1, ensure_ascii=False).translate(_ESCAPED).encode("utf-8", "replace"))


def sentence(text: str, status: int = 200) -> Text:
    """Some words as an answer."""
    return Text(text.encode("utf-8", "replace"), _PLAIN, status)


def refused(text: str) -> Text:
    """The words of a refusal."""
    return sentence(text, 400)


def read(body: bytes) -> Any:
    """The JSON of a body. Raises ``BadBody``."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is no JSON: {error}") from None


def member(value: Any, name: str, kind: type, default: Any) -> Any:
    """A member of an object, its name in whatever case; ``default`` when it is not there. Raises ``BadBody``."""
    if not isinstance(value, dict):
        raise BadBody("expected an object")
    found = next((v for k, v in value.items() if k.lower() == name.lower()), None)
    if found is None:
        return default
    if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
        raise BadBody(f"{name}: expected {_KINDS[kind]}")
    return found


_KINDS: Final = {str: "a text", int: "a whole number", bool: "true or false"}


def time_text(wall_ms: int) -> str:
    """A time to the second in the server's own zone, as Go writes it into JSON."""
    text = datetime.fromtimestamp(wall_ms // 1000).astimezone().isoformat()
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text
