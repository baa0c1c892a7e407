"""Counters and distributions with labels, as plain dicts: cheap to add to on the event loop, read when somebody scrapes."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

DURATIONS_S: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets of every duration: from a renewal to a stuck disk."""


class Distribution(NamedTuple):
    """Counts per bucket (not cumulative; the last one is "more") and the sum of what was observed."""

    counts: list[int]
    total: float


class Tally:
    """A counter per set of label values."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, ...], int] = {}

    def add(self, *labels: str, n: int = 1) -> None:
        """Count ``n`` more under these label values, in the order of the metric's labels."""
        counts = self._counts
        counts[labels] = counts.get(labels, 0) + n

    def read(self) -> list[tuple[tuple[str, ...], int]]:
        """Everything counted since the start. Any thread."""
        return list(self._counts.items())


class Spread:
    """A distribution of durations (seconds) per set of label values."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, ...], list[float]] = {}

    def observe(self, seconds: float, *labels: str) -> None:
        """Add one duration under these label values, in the order of the metric's labels."""
        row = self._rows.get(labels)
        if row is None:
            row = self._rows[labels] = [0.0] + [0] * (len(DURATIONS_S) + 1)
        row[0] += seconds
        row[1 + bisect_left(DURATIONS_S, seconds)] += 1

    def read(self) -> list[tuple[tuple[str, ...], Distribution]]:
        """Everything observed since the start. Any thread."""
        return [(labels, Distribution([int(n) for n in row[1:]], row[0])) for labels, row in list(self._rows.items())]
