"""What one caller, or the server's own probe, has to say of a resource by one rule: its counters, and whether it objects.

Every voice counts for itself with the semantics of polaris-go 1.7.0, so calls of one never add to those of another. Unlike there
a share of errors is looked at with every call, not once an interval after the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..limiting.windows import Window
from .model import InARow, Share, Trigger

BUCKETS: Final = 10
"""Parts of a stretch of time: what is older than the stretch is forgotten after a tenth of it more at the latest."""
REMEMBERED_MS: Final = 10_000
"""An objection stands for so long at least."""


class _Row:
    """Errors in a row."""

    __slots__ = ("errors", "most")

    def __init__(self, trigger: InARow) -> None:
        self.most = trigger.errors
        self.errors = 0

    def count(self, well: int, failed: int, _now_ms: int) -> bool:
        self.errors = 0 if well else self.errors + failed
        return 0 < self.most <= self.errors

    def said(self) -> str:
        return f"{self.errors} errors in a row"


class _Share:
    """Errors among calls."""

    __slots__ = ("_calls", "_failed", "trigger")

    def __init__(self, trigger: Share) -> None:
        self.trigger = trigger
        self._calls = Window(max(1, trigger.interval_ms), BUCKETS)
        self._failed = Window(max(1, trigger.interval_ms), BUCKETS)

    def count(self, well: int, failed: int, now_ms: int) -> bool:
        self._calls.add(now_ms, well + failed)
        self._failed.add(now_ms, failed)
        calls, errors, trigger = self._calls.total, self._failed.total, self.trigger
        enough = calls >= trigger.calls and errors >= max(1, trigger.errors)
        return enough and errors * 100 >= trigger.percent * calls

    def said(self) -> str:
        return f"{self._failed.total} errors in {self._calls.total} calls within {self.trigger.interval_ms // 1000} s"


def _counter(trigger: Trigger) -> _Row | _Share:
    return _Row(trigger) if isinstance(trigger, InARow) else _Share(trigger)


def remembered_ms(triggers: Sequence[Sequence[Trigger]], sleep_ms: int) -> int:
    """How long an objection stands: as long as what it is about counts, and as long as calls would stop."""
    intervals = (t.interval_ms for part in triggers for t in part if isinstance(t, Share))
    return max(REMEMBERED_MS, sleep_ms, *intervals, 0)


class Voice:
    """The counters of one who tells."""

    __slots__ = ("_counters", "_objects_until", "calls", "errors", "failing", "heard_ms", "passed", "why")

    def __init__(self, triggers: Sequence[Sequence[Trigger]]) -> None:
        """``triggers``: of each part of the rule."""
        self._counters = tuple(tuple(map(_counter, part)) for part in triggers)
        self._objects_until = 0
        self.calls = 0
        self.errors = 0
        """Everything it told of, since it was first heard."""
        self.heard_ms = 0
        """When it told of something last."""
        self.failing = False
        """Whether the last it told of was an error."""
        self.passed = 0
        """Calls that went well in a row while calls are tried."""
        self.why = ""

    def count(self, judged: Sequence[tuple[int, int] | None], now_ms: int, stands_ms: int) -> None:
        """Calls that went well and that failed, by part of the rule; None: the part is not about them.

        It objects from the first time that a trigger is met until ``stands_ms`` later, or until none is met any more.
        """
        met = heard = False
        for counters, counts in zip(self._counters, judged, strict=True):
            if counts is None:
                continue
            heard = True
            for counter in counters:
                if counter.count(*counts, now_ms):
                    met, self.why = True, counter.said()
        if met:
            self._objects_until = now_ms + stands_ms
        elif heard:
            self._objects_until = 0

    def objects(self, now_ms: int) -> bool:
        """Whether it found that calls should stop."""
        return now_ms < self._objects_until

    def said(self) -> list[str]:
        """The state of its counters, for people."""
        return [counter.said() for part in self._counters for counter in part]
