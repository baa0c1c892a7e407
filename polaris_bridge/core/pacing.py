"""Probes one after the other: so many a second at most, however many are due, and each with the time that it took."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import structs

from .health import Check, Outcome, Probe
from .ports import Clock, Scheduler


class Paced:
    """``core.health.Probe`` in front of another one: what comes too early waits."""

    def __init__(self, probe: Probe, per_second: float, clock: Clock, scheduler: Scheduler) -> None:
        self._probe = probe
        self._gap_s = 1 / per_second
        self._clock = clock
        self._scheduler = scheduler
        self._free_s = 0.0
        """When the next one may begin."""

    @property
    def kinds(self) -> Mapping[str, int]:
        """See ``core.health.Probe``."""
        return self._probe.kinds

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """See ``core.health.Probe``; ``done`` may come later than that by as long as the check had to wait."""
        turn = _Turn(self._probe, check, done, self._clock)
        now_s = self._clock.monotonic()
        start_s = max(now_s, self._free_s)
        self._free_s = start_s + self._gap_s
        if start_s <= now_s:
            turn.begin()
        else:
            self._scheduler.later(start_s - now_s, turn.begin)
        return turn.cancel


class _Turn:
    """One check, waiting or under way."""

    __slots__ = ("_begun_s", "_cancel", "_cancelled", "_check", "_clock", "_done", "_probe")

    def __init__(self, probe: Probe, check: Check, done: Callable[[Outcome], None], clock: Clock) -> None:
        self._probe = probe
        self._check = check
        self._done = done
        self._clock = clock
        self._begun_s = 0.0
        self._cancelled = False
        self._cancel: Callable[[], None] | None = None

    def begin(self) -> None:
        """It is its turn."""
        if not self._cancelled:
            self._begun_s = self._clock.monotonic()
            self._cancel = self._probe.begin(self._check, self._over)

    def cancel(self) -> None:
        """Nobody waits for it any more."""
        self._cancelled = True
        if self._cancel is not None:
            self._cancel()

    def _over(self, outcome: Outcome) -> None:
        took_ms = round((self._clock.monotonic() - self._begun_s) * 1000)
        self._done(structs.replace(outcome, elapsed_ms=took_ms))
