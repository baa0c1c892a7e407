"""Ends the interval of the call statistics again and again, and tells those who want to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from .calls import CallStats, CallWindow

Reader = Callable[[Sequence[CallWindow]], None]


class Windows:
    """Runs on one loop between ``start`` and ``stop``. Readers are called on the loop and must not raise."""

    def __init__(self, calls: CallStats, interval_s: float, readers: Sequence[Reader] = ()) -> None:
        self._calls = calls
        self._interval_s = interval_s
        self._readers = readers
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin an interval on the running loop."""
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._again)

    def stop(self) -> None:
        """End the interval that runs, for the last time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._end()

    def _again(self) -> None:
        self._end()
        self.start()

    def _end(self) -> None:
        window = self._calls.close_window()
        for read in self._readers:
            read(window)
