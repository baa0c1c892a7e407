"""Answers that may take long to make: at once when there is little to look at, else bit by bit while others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.polaris.service.routes import Result
from polaris_bridge.core.ports import Scheduler

FEW: Final = 1000
"""So many things are looked at without a pause."""


class LongWork:
    """Does pieces of work that belong to one caller each: nobody joins one that is under way, for it may have passed already
    what its asker changed just before."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._slices = Slices(scheduler)

    def result(self, work: Work, size: int) -> Result:
        """What the work returns, or the promise of it when it is about many things."""
        return _Sliced(self._slices, work) if size > FEW else _finished(work)


class _Sliced:
    """See ``service.routes.Later``."""

    __slots__ = ("_slices", "_work")

    def __init__(self, slices: Slices, work: Work) -> None:
        self._slices = slices
        self._work = work

    def then(self, reply: Callable[[Any], None]) -> None:
        """See ``Later``."""
        self._slices.run(object(), lambda: self._work, reply)


def _finished(work: Work) -> Result:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result
