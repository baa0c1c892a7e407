"""Keeps the garbage collector from walking the registry: with 100,000 instances one full walk stops everybody for 300 ms.

What is registered is made of values without cycles, which go when nobody refers to them; the collector is only needed for
what requests leave behind, and that is young. So whatever survived a young collection is moved out of its sight, and looked
at again rarely, when there is little of it.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

YOUNG_S: Final = 10.0
"""How often the survivors are put aside."""
WHOLE_EVERY: Final = 360
"""In how many of these rounds everything is looked at (an hour) ..."""
WHOLE_UP_TO: Final = 200_000
"""... as long as it is not more than so many objects: about 20 ms."""


class Garbage:
    """Runs on one loop between ``start`` and ``stop``. For a process of our own, not inside somebody's test."""

    def __init__(self) -> None:
        self._rounds = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Put everything there is aside, and go on doing so."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 5, 1_000_000)  # short young collections, no whole ones by count
        self._again()

    def stop(self) -> None:
        """Leave the collector as it is."""
        if self._timer is not None:
            self._timer.cancel()

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(YOUNG_S, self._round)

    def _round(self) -> None:
        self._rounds += 1
        if self._rounds % WHOLE_EVERY == 0 and gc.get_freeze_count() < WHOLE_UP_TO:
            gc.unfreeze()
            gc.collect()
        else:
            gc.collect(1)
        gc.freeze()
        self._again()
