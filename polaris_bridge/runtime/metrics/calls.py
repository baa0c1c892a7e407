"""Calls per protocol, operation and code: how many, how long. Read by ``/metrics`` and by the statistics log."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from .tallies import DURATIONS_S, Distribution

_HEAD: Final = 4
"""A row is [count, sum, least of the window, most of the window, one count per bucket ...]."""
_NEVER: Final = float("inf")

CallKey = tuple[str, str, str | int]


class CallWindow(NamedTuple):
    """The calls of one kind within one interval. Times are seconds."""

    protocol: str
    operation: str
    code: str
    calls: int
    least: float
    most: float
    average: float


class CallStats:
    """``observe`` is called on the event loop for every call and costs less than a microsecond."""

    def __init__(self) -> None:
        self._rows: dict[CallKey, list[float]] = {}
        self._closed: dict[CallKey, tuple[float, float]] = {}
        self.window: tuple[CallWindow, ...] = ()
        """The last interval that ``close_window`` ended."""

    def observe(self, protocol: str, operation: str, code: str | int, seconds: float) -> None:
        """Count one finished call. ``operation`` is one of the adapter's own names, never text of the client."""
        row = self._rows.get((protocol, operation, code))
        if row is None:
            row = self._rows[(protocol, operation, code)] = [0, 0.0, _NEVER, 0.0] + [0] * (len(DURATIONS_S) + 1)
        row[0] += 1
        row[1] += seconds
        if seconds < row[2]:
            row[2] = seconds
        if seconds > row[3]:
            row[3] = seconds
        row[_HEAD + bisect_left(DURATIONS_S, seconds)] += 1

    def close_window(self) -> tuple[CallWindow, ...]:
        """End the interval: the kinds of calls that happened in it, most frequent first. Event loop only."""
        found = []
        for key, row in self._rows.items():
            count, total = row[0], row[1]
            count_before, total_before = self._closed.get(key, (0, 0.0))
            happened = int(count - count_before)
            if happened:
                average = (total - total_before) / happened
                found.append(CallWindow(key[0], key[1], str(key[2]), happened, row[2], row[3], average))
                self._closed[key] = (count, total)
                row[2], row[3] = _NEVER, 0.0
        found.sort(key=lambda call: -call.calls)
        self.window = tuple(found)
        return self.window

    def totals(self) -> list[tuple[tuple[str, str, str], int]]:
        """(protocol, operation, code) with the number of calls since the start. Any thread."""
        return [((protocol, op, str(code)), int(row[0])) for (protocol, op, code), row in list(self._rows.items())]

    def durations(self) -> dict[tuple[str, str], Distribution]:
        """How long calls took, by (protocol, operation) over all codes. Any thread."""
        found: dict[tuple[str, str], Distribution] = {}
        for (protocol, operation, _), row in list(self._rows.items()):
            known = found.setdefault((protocol, operation), Distribution([0] * (len(DURATIONS_S) + 1), 0.0))
            counts = [int(a + b) for a, b in zip(known.counts, row[_HEAD:], strict=True)]
            found[(protocol, operation)] = Distribution(counts, known.total + row[1])
        return found
