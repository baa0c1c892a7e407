"""Regular expressions of filters, by RE2: time in proportion to the text, whatever the pattern. Go's engine is RE2 too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

LONGEST: Final = 1000
"""Characters of a pattern."""
_MEMORY: Final = 1024 * 1024
"""Bytes that one compiled pattern may take."""


def linear(pattern: str) -> Callable[[str], bool]:
    """Whether some part of a text matches. Raises ``ValueError`` for what is no pattern. The engine is imported on first use."""
    found = _compiled(pattern)

    def matches(value: str) -> bool:
        try:
            return found.search(value) is not None
        except UnicodeEncodeError:  # half a surrogate pair
            return False

    return matches


def groups(pattern: str, value: str) -> list[str] | None:
    """What the groups of a pattern matched in a text, the whole first; None: it does not match. Raises ``ValueError``."""
    found = _compiled(pattern).search(value)
    return None if found is None else [found[0], *(group or "" for group in found.groups())]


def _compiled(pattern: str) -> Any:
    if len(pattern) > LONGEST:
        raise ValueError(f"a pattern of at most {LONGEST} characters was expected")
    try:
        import re2
    except ImportError:  # no wheel for this machine
        raise ValueError("regular expressions are not available: install google-re2") from None
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"error parsing regexp: {text}") from None
    except UnicodeEncodeError:
        raise ValueError("error parsing regexp: invalid UTF-8") from None
