"""Time, timers and randomness as the operating system and the event loop give them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any


class SystemClock:
    """``core.ports.Clock``."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as the machine believes."""
        return time.time_ns() // 1_000_000


class LoopScheduler:
    """``core.ports.Scheduler`` on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def soon(self, run: Callable[[], None]) -> None:
        """After what runs now."""
        self._loop.call_soon(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> Any:
        """After a delay."""
        return self._loop.call_later(delay_s, run)


class RandomIds:
    """``core.ports.Ids``."""

    def unique(self) -> str:
        """32 hexadecimal digits that nobody else has."""
        return unique()


def unique() -> str:
    """32 hexadecimal digits that nobody else has."""
    return uuid.uuid4().hex
