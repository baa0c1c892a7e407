"""Long work on the event loop in short slices: whoever works asks now and then whether others should have their turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable
from typing import Any, Final, TypeVar

SLICE_S: Final = 0.004
AGAIN_S: Final = 0.2

T = TypeVar("T")


class Breath:
    """One piece of work."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = time.perf_counter() + SLICE_S

    async def take(self) -> None:
        """Let others have their turn when it is time."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + SLICE_S


async def sliced(work: Generator[None, None, T]) -> T:
    """The result of work that yields wherever it may be interrupted."""
    breath = Breath()
    while True:
        try:
            next(work)
        except StopIteration as stop:
            result: T = stop.value
            return result
        await breath.take()


async def ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """End tasks and wait until they have. One that loses its cancellation (a group of tasks does when a member fails at the same
    moment) is told again."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=AGAIN_S)
