"""Regular expressions of gray rules, by RE2: time in proportion to the value, whatever the pattern.

The original uses a backtracking engine (.NET's syntax, in Go), which a pattern such as ``(a*)*b`` holds up for hours. RE2 has
no look-around and no back-references; a rule with those is refused when it is written.
"""

from __future__ import annotations

from polaris_bridge.adapters._shared.patterns import compiled


class LinearPatterns:
    """``core.config.ports.Patterns``."""

    def defect(self, pattern: str) -> str | None:
        """What is wrong with a pattern."""
        found = compiled(pattern)
        return found if isinstance(found, str) else None

    def matches(self, pattern: str, value: str) -> bool:
        """Whether all of a value matches. Does not raise."""
        found = compiled(pattern)
        if isinstance(found, str):
            return False
        try:
            return found.fullmatch(value) is not None
        except UnicodeEncodeError:  # half a surrogate pair
            return False
