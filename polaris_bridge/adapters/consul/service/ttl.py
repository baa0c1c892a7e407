"""The clocks of TTL checks: one timer for all of them, set to the one that runs out first.

A sign of life only writes a later time; a check is looked at again when the time it was put down for has come. Time stands
still while the process cannot hear anybody (stopped, suspended, stalled), as for leases.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from polaris_bridge.core.leases import LeaseTime
from polaris_bridge.core.ports import Clock, Scheduler

from .index import LiveCheck

_MOST: Final = 500
"""Checks looked at before other work gets its turn."""
_SOONEST_S: Final = 0.01


class TtlClock:
    """Which TTL runs out when. ``expired`` is told of each that did."""

    def __init__(self, clock: Clock, scheduler: Scheduler, expired: Callable[[LiveCheck], None]) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._expired = expired
        self._time = LeaseTime(clock.monotonic())
        self._heap: list[tuple[float, int, LiveCheck]] = []
        self._count = 0
        self._armed = float("inf")
        """When the timer fires that is set for the earliest time."""

    def now(self) -> float:
        """Seconds that checks live by."""
        return self._time.now(self._clock.monotonic())

    def tick(self) -> None:
        """Once a second: time goes on."""
        self._time.advance(self._clock.monotonic())

    def watch(self, live: LiveCheck) -> None:
        """A check's TTL began to run."""
        if live.timed and live.timed <= live.due:
            return  # it will be looked at before, and put down again
        self._put(live)
        self._arm()

    def _put(self, live: LiveCheck) -> None:
        live.timed = live.due
        self._count += 1
        heapq.heappush(self._heap, (live.due, self._count, live))

    def _arm(self) -> None:
        if not self._heap:
            return
        due = self._heap[0][0]
        if due < self._armed:
            self._armed = due
            self._scheduler.later(max(_SOONEST_S, due - self.now()), lambda: self._run(due))

    def _run(self, armed: float) -> None:
        if armed != self._armed:
            return  # another timer was set for an earlier time
        self._armed = float("inf")
        now = self.now()
        for _ in range(_MOST):
            if not self._heap or self._heap[0][0] > now:
                break
            due, _, live = heapq.heappop(self._heap)
            if live.timed != due:
                continue  # it was put down for an earlier time since
            live.timed = 0.0
            if not live.due:
                continue
            if live.due > now:
                self._put(live)
                continue
            live.due = 0.0
            self._expired(live)
        self._arm()
