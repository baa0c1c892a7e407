"""Regular expressions of rules, by RE2: time in proportion to the text, whatever the pattern.

SDKs evaluate rules by engines that go back and forth; what RE2 does not have (look-around, back-references) is said when a
pattern is compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

LONGEST: Final = 1000
"""Characters of a pattern."""
MEMORY: Final = 1024 * 1024
"""Bytes that one compiled pattern may take."""
KEPT: Final = 512
"""Compiled patterns kept."""


class NoPatternError(ValueError):
    """Not a regular expression in any of the languages that SDKs read."""


class LinearSearch:
    """``core.routing.ports.Patterns``. The engine is imported on first use."""

    def compile(self, pattern: str) -> Callable[[str], str | None]:
        """What finds the first part of a text that matches.

        Raises ``ValueError``, whose text says what is not possible; ``NoPatternError`` where that is so for every engine.
        """
        found = compiled(pattern)
        if isinstance(found, str):
            raise (NoPatternError if found.startswith(_NOWHERE) else ValueError)(found)

        def find(text: str) -> str | None:
            try:
                part = found.search(text)
            except UnicodeEncodeError:  # half a surrogate pair
                return None
            return None if part is None else part[0]

        return find


_NOWHERE: Final = ("missing )", "missing ]", "no argument for repetition", "unexpected )", "trailing \\")
"""How RE2's errors begin that are those of every engine."""


@lru_cache(KEPT)
def compiled(pattern: str) -> Any:
    """The pattern as RE2's object, or (a text) what is wrong with it."""
    if len(pattern) > LONGEST:
        return f"a pattern of at most {LONGEST} characters"
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
