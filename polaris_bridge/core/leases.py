"""Leases: who has to be heard from until when.

A wheel of one-second slots holds every lease in the slot in which it could run out; a renewal only writes the time, and
a slot that comes round puts back what was renewed meanwhile. All times are seconds of *lease time*: the monotonic clock
less the time in which this process could not have heard a heartbeat (stopped, suspended, stalled), so that a late run
expires nobody for its own lateness.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from .model import RegistrationKey

SLOTS: Final = 512
TICK_S: Final = 1.0
LATE_S: Final = 2.0
"""A tick later than this after the one before counts as a stall of the process."""


class Held(Struct, gc=False, eq=False):
    """One running lease. Times are seconds of lease time."""

    source: str
    namespace: str
    key: str
    renewed: float
    """The last sign of life."""
    unhealthy_s: float
    delete_s: float
    protectable: bool
    lost: bool = False
    """Whether it ran out; it may run on towards its deletion."""

    @property
    def id(self) -> RegistrationKey:
        """The registration it keeps alive."""
        return RegistrationKey(self.source, self.namespace, self.key)

    @property
    def due(self) -> float:
        """When the next thing happens to it if nobody renews; infinity when nothing would."""
        if not self.lost:
            return self.renewed + self.unhealthy_s
        return self.renewed + self.delete_s if self.delete_s else float("inf")


class LeaseTime:
    """The monotonic clock less stalls. ``advance`` is called by every tick, ``now`` by everybody else."""

    __slots__ = ("_highest", "_last", "stalled", "stalls")

    def __init__(self, monotonic: float) -> None:
        self._last = monotonic
        self._highest = monotonic
        self.stalled = 0.0
        self.stalls = 0

    def now(self, monotonic: float) -> float:
        """Lease time at a monotonic time. Notices a stall even when the first call after it is no tick."""
        if monotonic - self._last > LATE_S:
            self._skip(monotonic)
        self._highest = max(self._highest, monotonic - self.stalled)
        return self._highest

    def advance(self, monotonic: float) -> float:
        """Lease time at a tick."""
        now = self.now(monotonic)
        self._last = monotonic
        return now

    def _skip(self, monotonic: float) -> None:
        self.stalled += monotonic - self._last - TICK_S
        self.stalls += 1
        self._last = monotonic


class Wheel:
    """All leases by the second in which they may run out."""

    def __init__(self, now: float) -> None:
        self._slots: list[list[Held]] = [[] for _ in range(SLOTS)]
        self._at = int(now)
        self._ready: deque[Held] = deque()

    def add(self, lease: Held) -> None:
        """Watch a lease. One that nothing happens to is kept in the farthest slot and looked at when that comes round."""
        due = lease.due
        ahead = SLOTS - 1 if due == float("inf") else int(due) + 1 - self._at
        self._slots[(self._at + max(1, min(ahead, SLOTS - 1))) % SLOTS].append(lease)

    def collect(self, now: float) -> None:
        """Move every slot that has come round by now into the line of leases to look at."""
        target = int(now)
        for _ in range(min(target - self._at, SLOTS)):
            self._at += 1
            slot = self._at % SLOTS
            self._ready.extend(self._slots[slot])
            self._slots[slot] = []
        self._at = max(self._at, target)

    def overdue(self, now: float, limit: int) -> Iterator[Held]:
        """Up to ``limit`` leases of the line, those that really ran out; the others go back into the wheel.

        The caller drops a lease whose registration is gone and calls ``add`` again for one that lives on.
        """
        for _ in range(min(limit, len(self._ready))):
            lease = self._ready.popleft()
            if lease.due <= now:
                yield lease
            else:
                self.add(lease)

    @property
    def behind(self) -> int:
        """How many leases wait to be looked at."""
        return len(self._ready)
