"""One row of a benchmark's result, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from measure import table

COLUMNS = ("what", "unit", "ours", "target", "ours/target", "floor", "own share", "peer", "peer/ours", "spread", "note")
_NONE = "-"


@dataclass(frozen=True)
class Row:
    """A figure; None = not measured or not stated. All numbers in ``unit``; smaller is better."""

    what: str
    unit: str
    ours: float
    target: float | None = None
    floor: float | None = None
    """The same number of a bare server, in the same run."""
    peer: float | None = None
    """The same number of a real server."""
    spread: float | None = None
    """(largest - smallest) / median of the runs."""
    note: str = ""
    share: float | None = None
    """A target for the own share, in place of ``target``."""

    @property
    def _own(self) -> float | None:
        return None if self.floor is None else self.ours - self.floor

    def cells(self) -> tuple[str, ...]:
        """Text for ``COLUMNS``."""
        return (
            self.what,
            self.unit,
            number(self.ours),
            number(self.target) if self.share is None else f"own {number(self.share)}",
            _ratio(self.ours, self.target) if self.share is None else _ratio(self._own, self.share),
            number(self.floor),
            number(self._own),
            number(self.peer),
            _ratio(self.peer, self.ours),
            _NONE if self.spread is None else f"{self.spread:.0%}",
            self.note,
        )


def number(value: float | None) -> str:
    """Three significant digits, and every digit before the point."""
    if value is None:
        return _NONE
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _ratio(a: float | None, b: float | None) -> str:
    return _NONE if a is None or not b else f"{a / b:.2f}"


def report(title: str, rows: Iterable[Row]) -> str:
    """The table."""
    return table(title, COLUMNS, [row.cells() for row in rows])
