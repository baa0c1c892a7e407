"""Sliding windows: how much was used within the last stretch of time, kept in a ring of slots.

Slots are aligned to the epoch, so every node and every client cuts time at the same places. Times are milliseconds since 1970.
"""

from __future__ import annotations

from array import array
from functools import lru_cache
from typing import Final

STRICT_SLOTS: Final = 100
"""Slots of a strict window: what is used at once comes back after 1.01 of its duration at the latest."""


class Window:
    """Use within the last ``duration_ms``, in ``slots`` parts.

    Loose: the slot now under way and those before it make up the duration, so one slot's use more than a limit may fall into
    some stretch of that length; with one slot it is the fixed window of polaris-limiter. Strict: one slot more is counted, so
    that no stretch of ``duration_ms`` ever holds more than ``total``.
    """

    __slots__ = ("_asked", "_newest", "_ring", "slot_ms", "total")

    def __init__(self, duration_ms: int, slots: int, *, strict: bool = False, most: int = (1 << 32) - 1) -> None:
        """``most``: slots hardly ever hold more than this; they take less memory then."""
        self.slot_ms = shared(max(1, -(-duration_ms // slots)))
        self._ring: array[int] = array(_code(most), [0]) * (slots + strict)
        self._asked = (0, 0, 0, 0)
        """The last question of ``until_at_most``: newest slot, totals now and wanted, and the slot whose end was the answer."""
        self._newest = 0
        self.total = 0
        """Used within the window, as of the last call that gave a time."""

    @property
    def slots(self) -> int:
        """Parts that are counted."""
        return len(self._ring)

    @property
    def span_ms(self) -> int:
        """How long use is remembered."""
        return self.slot_ms * len(self._ring)

    def roll(self, now_ms: int) -> int:
        """Forget what is older than the window; returns the total."""
        slot = now_ms // self.slot_ms
        gap = slot - self._newest
        if gap <= 0:
            if gap <= -len(self._ring):  # the clock was set back by more than the window: nothing is known of that time
                self._clear(slot)
        elif gap == 1:
            ring = self._ring
            at = slot % len(ring)
            self.total -= ring[at]
            ring[at] = 0
            self._newest = slot
        elif gap >= len(self._ring):
            self._clear(slot)
        else:
            ring = self._ring
            size = len(ring)
            for passed in range(self._newest + 1, slot + 1):
                at = passed % size
                self.total -= ring[at]
                ring[at] = 0
            self._newest = slot
        return self.total

    def add(self, now_ms: int, amount: int) -> int:
        """Use something now; returns the slot that has it. A clock that went back a little counts as standing still."""
        self.roll(now_ms)
        newest = self._newest
        self._put(newest % len(self._ring), amount)
        return newest

    def add_at(self, now_ms: int, at_ms: int, amount: int) -> int | None:
        """Something that was used at another time: in the slot of that time, in the newest when it is said to lie ahead by less
        than the window. None: it lies further off and is not counted."""
        self.roll(now_ms)
        newest = self._newest
        ring = self._ring
        size = len(ring)
        slot = at_ms // self.slot_ms
        if slot > newest:
            if slot >= newest + size:
                return None
            slot = newest
        elif slot <= newest - size:
            return None
        self._put(slot % size, amount)
        return slot

    def raise_to(self, slot: int, amount: int) -> None:
        """A slot holds at least so much, as others know. What is no longer, or not yet, in the window is passed over."""
        ring = self._ring
        if self._newest - len(ring) < slot <= self._newest:
            at = slot % len(ring)
            if amount > ring[at]:
                self._put(at, amount - ring[at])

    def in_slot(self, slot: int) -> int:
        """What a slot holds; 0 when it is outside the window."""
        ring = self._ring
        return ring[slot % len(ring)] if self._newest - len(ring) < slot <= self._newest else 0

    @property
    def newest(self) -> int:
        """Number of the slot under way."""
        return self._newest

    @property
    def oldest(self) -> int:
        """Number of the oldest slot that counts: milliseconds since 1970 divided by ``slot_ms``."""
        return self._newest - len(self._ring) + 1

    def until_at_most(self, now_ms: int, total: int) -> int:
        """Milliseconds until the total has come down to so much when nothing is used meanwhile; 0 when it has."""
        over = self.roll(now_ms) - total
        if over <= 0:
            return 0
        newest, used, wanted, slot = self._asked
        ring = self._ring
        size = len(ring)
        if newest != self._newest or used != self.total or wanted != total:  # many are refused for the same reason
            slot = self._newest - size
            while over > 0 and slot < self._newest:
                slot += 1
                over -= ring[slot % size]
            self._asked = (self._newest, self.total, total, slot)
        return (slot + size) * self.slot_ms - now_ms

    def _put(self, at: int, amount: int) -> None:
        try:
            self._ring[at] += amount
        except OverflowError:
            self.widen(1 << 63)
            self._ring[at] += amount
        self.total += amount

    def widen(self, most: int) -> None:
        """Slots may hold so much from now on; what they hold stays."""
        if array(_code(most)).itemsize > self._ring.itemsize:
            self._ring = array(_code(most), self._ring)

    def until_new(self, now_ms: int) -> int:
        """Milliseconds until what is used now is forgotten."""
        return (self._newest + len(self._ring)) * self.slot_ms - now_ms

    def _clear(self, slot: int) -> None:
        ring = self._ring
        if self.total:
            ring[:] = array(ring.typecode, bytes(ring.itemsize * len(ring)))
            self.total = 0
        self._newest = slot


@lru_cache(maxsize=1024)
def shared(number: int) -> int:
    """The same object for the same number: thousands of windows have the same length."""
    return number


def _code(most: int) -> str:
    """The smallest kind of array that holds numbers up to this."""
    return "H" if most < 1 << 16 else "I" if most < 1 << 32 else "Q"
