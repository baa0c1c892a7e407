"""Regular expressions of gray rules, by RE2: time in proportion to the value, whatever the pattern.

The original uses a backtracking engine (.NET's syntax, in Go), which a pattern such as ``(a*)*b`` holds up for hours. RE2 has
no look-around and no back-references; a rule with those is refused when it is written.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

LONGEST: Final = 1000
"""Characters of a pattern."""
MEMORY: Final = 1024 * 1024
"""Bytes that one compiled pattern may take."""
KEPT: Final = 512
"""Compiled patterns kept."""


class LinearPatterns:
    """``core.config.ports.Patterns``."""

    def defect(self, pattern: str) -> str | None:
        """What is wrong with a pattern."""
        if len(pattern) > LONGEST:
            return f"a pattern of at most {LONGEST} characters"
        found = _compiled(pattern)
        return found if isinstance(found, str) else None

    def matches(self, pattern: str, value: str) -> bool:
        """Whether all of a value matches. Does not raise."""
        found = _compiled(pattern)
        if isinstance(found, str):
            return False
        try:
            return found.fullmatch(value) is not None
        except UnicodeEncodeError:  # half a surrogate pair
            return False


@lru_cache(KEPT)
def _compiled(pattern: str) -> Any:
    """The pattern, or what is wrong with it."""
    try:
        import re2
    except ImportError:  # no wheel for this machine
        return "regular expressions are not available: install google-re2"
    options = re2.Options()
    options.max_mem, options.log_errors = MEMORY, False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0] if error.args else b""
        return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    except UnicodeEncodeError:
        return "not Unicode"
