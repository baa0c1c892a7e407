"""What changed since when: names of resources by the count of publications."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

KEPT: Final = 512
"""Changes that are remembered."""


class Log:
    """Changes of the resources of one type in one place."""

    __slots__ = ("_changes", "_since", "stamp")

    def __init__(self, now: int) -> None:
        self.stamp = now
        """When something last changed."""
        self._since = now
        self._changes: deque[tuple[int, frozenset[str]]] = deque()

    def add(self, now: int, names: Collection[str]) -> None:
        """These changed, came or went."""
        if not names:
            return
        self.stamp = now
        self._changes.append((now, frozenset(names)))
        if len(self._changes) > KEPT:
            self._since = self._changes.popleft()[0]

    def forget(self, now: int) -> None:
        """Anything may have changed."""
        self.stamp = self._since = now
        self._changes.clear()

    def since(self, stamp: int) -> frozenset[str] | None:
        """The names of all changes after a stamp; None when not all of them are remembered."""
        if stamp >= self.stamp:
            return frozenset()
        if stamp < self._since:
            return None
        found: set[str] = set()
        for at, names in reversed(self._changes):
            if at <= stamp:
                break
            found |= names
        return frozenset(found)
