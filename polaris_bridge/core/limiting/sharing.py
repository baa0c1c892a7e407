"""Several nodes count together: each tells the others regularly what it used, and learns what they did.

Between two exchanges, and for as long as the place of exchange is out of reach, a node decides by what it knows; what it could
not tell waits, while its window still has it. An exchange that failed may have been done all the same: its use is then told
twice, and a little less passes, never more.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from polaris_bridge.core.ports import Clock, Scheduler

from .counters import Counter
from .limiter import Limiter
from .ports import Exchange, Totals, Used

BATCH: Final = 250
"""Counters in one exchange: about a millisecond's work here and there."""
ROUNDS: Final = 2
"""Exchanges in an interval: one node tells with its next one, another learns of it with the one after."""
RETRY_S: Final = 1.0
"""How long nothing is tried after a failure."""


class Sharer:
    """Keeps a limiter's counters in step with those of other nodes. ``start`` once, ``stop`` once."""

    def __init__(
        self, limiter: Limiter[Any], place: Exchange, clock: Clock, scheduler: Scheduler, interval_s: float
    ) -> None:
        """``interval_s``: how old what nodes know of each other may be, but for the time that exchanges take."""
        self._limiter = limiter
        self._place = place
        self._clock = clock
        self._scheduler = scheduler
        self._interval_s = interval_s
        self._waiting: list[Counter[Any]] = []
        self._under_way = 0
        self._failed = False
        self._stopped = False
        self._due = False
        self.failures = 0
        """Exchanges that did not work."""

    def start(self) -> None:
        """From now on use is exchanged."""
        self._limiter.touched = {}
        self._again()

    def stop(self) -> None:
        """Tell what was not told yet, once; nothing is begun any more."""
        self._stopped = True
        if self._limiter.touched is not None:
            self._waiting += self._limiter.touched.values()
            self._limiter.touched = None
        while self._waiting:
            self._exchange()

    # ------------------------------------------------------------------ rounds

    def _again(self) -> None:
        """The next round, when this one is over."""
        if self._due or self._stopped or self._waiting or self._under_way:
            return
        self._due = True
        self._scheduler.later(RETRY_S if self._failed else self._interval_s / ROUNDS, self._round)

    def _round(self) -> None:
        if self._stopped:
            return
        self._failed = self._due = False
        self._waiting = list((self._limiter.touched or {}).values())
        self._limiter.touched = {}
        self._go_on()

    def _go_on(self) -> None:
        """One batch a turn: others run in between."""
        if self._waiting and not self._stopped:
            self._exchange()
        if self._waiting and not self._stopped:
            self._scheduler.soon(self._go_on)
        self._again()

    def _exchange(self) -> None:
        counters = self._waiting[-BATCH:]
        del self._waiting[-BATCH:]
        now_ms = self._clock.wall_ms()
        batch = [self._taken(counter, now_ms) for counter in counters]
        self._under_way += 1
        self._place.exchange(batch, partial(self._answered, counters, batch))

    def _taken(self, counter: Counter[Any], now_ms: int) -> Used:
        window = counter.window
        window.roll(now_ms)
        oldest, waiting, counter.waiting = window.oldest, counter.waiting, None
        added = {slot: amount for slot, amount in waiting.items() if slot >= oldest} if waiting else {}
        clients = len(counter.clients) if counter.each else None
        return Used(counter.identity, counter.slots, oldest, window.span_ms, added, window.newest, clients)

    def _answered(
        self, counters: Sequence[Counter[Any]], batch: Sequence[Used], totals: Sequence[Totals] | None
    ) -> None:
        self._under_way -= 1
        if totals is None:
            self._failed = True
            self.failures += 1
            self._keep(counters, batch)
        else:
            now_ms = self._clock.wall_ms()
            for counter, found in zip(counters, totals, strict=True):
                waiting = counter.waiting or {}
                known = {slot: total + waiting.get(slot, 0) for slot, total in found.used.items()}
                self._limiter.learn(counter, known, found.elsewhere, now_ms)
        self._again()

    def _keep(self, counters: Sequence[Counter[Any]], batch: Sequence[Used]) -> None:
        """What was not told waits for the next round."""
        touched = self._limiter.touched
        for counter, used in zip(counters, batch, strict=True):
            if touched is not None:
                touched[counter.key] = counter
            if used.added:
                if counter.waiting is None:
                    counter.waiting = {}
                for slot, amount in used.added.items():
                    counter.waiting[slot] = counter.waiting.get(slot, 0) + amount
