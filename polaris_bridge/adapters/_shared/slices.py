"""Long pieces of work in short slices, so that nobody else waits for them: a generator that is run a few milliseconds at a time.

Whoever asks for the same piece while it is under way gets the same result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Hashable
from typing import Any, Final

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.ports import Scheduler

log = logging.getLogger(__name__)

SLICE_S: Final = 0.004

Work = Generator[None, None, Any]
"""Yields wherever it may be interrupted; returns its result."""
Writing = Generator[Commit | None, None, Any]
"""The same; yields a commit where it has to wait for one."""


class Slices:
    """The pieces of work under way, by key."""

    def __init__(self, scheduler: Scheduler, elapsed: Callable[[], float] = time.perf_counter) -> None:
        self._scheduler = scheduler
        self._elapsed = elapsed
        self._running: dict[Hashable, tuple[Writing, list[Callable[[Any], None]]]] = {}

    def run(self, key: Hashable, make: Callable[[], Writing], done: Callable[[Any], None]) -> None:
        """Begin the work of ``make``, or join what runs under the same key. ``done`` gets the result, None if it failed."""
        known = self._running.get(key)
        if known is not None:
            known[1].append(done)
            return
        self._running[key] = (make(), [done])
        self._scheduler.soon(lambda: self._go_on(key))

    def _go_on(self, key: Hashable) -> None:
        work, waiting = self._running[key]
        until = self._elapsed() + SLICE_S
        try:
            while True:
                commit = next(work)
                if commit is not None and not commit.done:
                    commit.then(lambda _error: self._scheduler.soon(lambda: self._go_on(key)))
                    return
                if self._elapsed() >= until:
                    self._scheduler.soon(lambda: self._go_on(key))
                    return
        except StopIteration as stop:
            result = stop.value
        except Exception:  # whoever waits must get an answer
            log.exception("work in slices failed")
            result = None
        del self._running[key]
        for done in waiting:
            done(result)
