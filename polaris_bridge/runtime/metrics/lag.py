"""How long the event loop keeps others waiting: a timer that notes how late it was called."""

from __future__ import annotations

import asyncio
from typing import Final

INTERVAL_S: Final = 0.01
"""A stall is seen shortened by up to this much. 100 wake-ups a second cost less than 0.1 % of a core."""


class LoopLag:
    """Samples one loop between ``start`` and ``stop``. All times are seconds."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.last = 0.0
        """The newest sample."""
        self.longest = 0.0
        """The longest stall since the start."""
        self._since_read = 0.0

    def start(self) -> None:
        """Begin sampling the running loop."""
        self._loop = asyncio.get_running_loop()
        self._arm(self._loop)

    def stop(self) -> None:
        """End sampling."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop = None

    def take(self) -> float:
        """The longest stall since the last time this was asked (by whomever)."""
        longest, self._since_read = self._since_read, 0.0
        return longest

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due = loop.time() + self._interval_s
        self._timer = loop.call_at(self._due, self._sample)

    def _sample(self) -> None:
        loop = self._loop
        if loop is None:
            return
        lag = max(loop.time() - self._due, 0.0)
        self.last = lag
        if lag > self._since_read:
            self._since_read = lag
            if lag > self.longest:
                self.longest = lag
        self._arm(loop)
