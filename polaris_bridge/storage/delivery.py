"""How outcomes of writes reach the core's thread: many of them with one hop, because a hop costs more than a row."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

Post = Callable[[Callable[[], None]], None]
"""Runs a callable on the core's thread, later; safe to call from any thread. ``loop.call_soon_threadsafe`` is one."""

Done = Callable[[Exception | None], None]
Outcome = tuple[Done, Exception | None]

_log = logging.getLogger(__name__)


class Deliveries:
    """Outcomes on their way. ``add`` may be called from any thread; callbacks run in the order of the calls."""

    def __init__(self, post: Post) -> None:
        self._post = post
        self._waiting: deque[Outcome] = deque()
        self._posted = False
        self._lock = threading.Lock()

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Bring outcomes to the core; posts only when no delivery is under way yet."""
        with self._lock:
            self._waiting.extend(outcomes)
            if self._posted or not self._waiting:
                return
            self._posted = True
        self._send()

    def _send(self) -> None:
        try:
            self._post(self._deliver)
        except RuntimeError as error:  # what an event loop says that was closed before its store
            with self._lock:
                self._waiting.clear()
                self._posted = False
            _log.warning("outcomes of writes reach nobody, close the store before its loop: %s", error)

    def _deliver(self) -> None:
        """Run all callbacks; one that raises does not take the outcome away from those behind it."""
        with self._lock:
            batch, self._waiting = self._waiting, deque()
            self._posted = False
        try:
            while batch:
                done, error = batch.popleft()
                done(error)
        finally:
            if batch:
                with self._lock:
                    self._waiting.extendleft(reversed(batch))
                    self._posted = True
                self._send()
