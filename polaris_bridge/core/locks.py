"""Locks: who holds what, until when: for clients that ask for one, their sessions, and the claims of several nodes.

Kept in memory only. Times are seconds of lease time (``core.leases``): a process that stood still lengthens every lock by as
much, because its owners could not renew meanwhile. Nothing here waits: who does not get a lock asks again, or listens to
``ended``.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from .errors import Busy
from .leases import LeaseTime
from .ports import Clock

log = logging.getLogger(__name__)

NEVER: Final = float("inf")
"""The end of a lock that is held until its owner lets go."""

MOST: Final = 100_000
"""Locks held at once; one more is refused with ``Busy``."""


class LockKey(NamedTuple):
    """What is locked; each protocol has a kind of its own."""

    kind: str
    name: str


class Lock(Struct, frozen=True, gc=False):
    """A lock that is held."""

    key: LockKey
    owner: str
    until: float
    """Seconds of lease time; ``NEVER``."""
    turn: int
    """Larger than that of every holder before, of any lock: a fence against owners who do not know that their time is up."""


class Locks:
    """All locks of one node."""

    def __init__(self, clock: Clock, most: int = MOST) -> None:
        self._clock = clock
        self._time = LeaseTime(clock.monotonic())
        self._most = most
        self._held: dict[LockKey, Lock] = {}
        self._of: dict[str, dict[LockKey, None]] = {}
        self._ends: list[tuple[float, int, LockKey]] = []
        """A heap of (until, turn, key); entries of locks that were renewed or let go are passed over."""
        self._turn = 0
        self.ended: list[Callable[[Lock], None]] = []
        """Told of every lock that is free again, however that came about. Must be quick and not raise."""

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Lock]:
        return iter(list(self._held.values()))

    # ------------------------------------------------------------------ queries

    def holder(self, key: LockKey) -> Lock | None:
        """The lock as it is held now; None when it is free. One that ran out is free at once, whenever the next tick comes."""
        held = self._held.get(key)
        return held if held is not None and held.until > self._now() else None

    def of(self, owner: str) -> list[Lock]:
        """What an owner holds."""
        now = self._now()
        return [lock for key in self._of.get(owner, ()) if (lock := self._held[key]).until > now]

    # ------------------------------------------------------------------ commands

    def acquire(self, key: LockKey, owner: str, ttl_s: float | None = None, *, again: bool = False) -> Lock | None:
        """Take a lock for ``ttl_s`` seconds (None: until it is let go). None when somebody holds it.

        ``again``: its owner may take it again, which renews it; otherwise a lock is not re-entrant. Raises ``Busy``.
        """
        held = self.holder(key)
        if held is not None:
            return self._renewed(held, ttl_s) if again and held.owner == owner else None
        if key in self._held:
            self._end(self._held[key])
        if len(self._held) >= self._most:
            self.tick()
            if len(self._held) >= self._most:
                raise Busy(f"{self._most} locks are held")
        self._turn += 1
        lock = Lock(key, owner, self._until(ttl_s), self._turn)
        self._of.setdefault(owner, {})[key] = None
        self._keep(lock)
        return lock

    def renew(self, key: LockKey, owner: str, ttl_s: float | None = None) -> Lock | None:
        """Begin the time of a lock anew. None when this owner does not hold it (any more)."""
        held = self.holder(key)
        return self._renewed(held, ttl_s) if held is not None and held.owner == owner else None

    def release(self, key: LockKey, owner: str | None = None) -> bool:
        """Let go; ``owner`` None: whoever holds it. False when it is free, or another one's."""
        held = self.holder(key)
        if held is None or (owner is not None and held.owner != owner):
            return False
        self._end(held)
        return True

    def release_all(self, owner: str) -> list[Lock]:
        """An owner is gone: everything it holds is free; what that was."""
        gone = [self._held[key] for key in self._of.get(owner, {})]
        for lock in gone:
            self._end(lock)
        return gone

    def tick(self) -> list[Lock]:
        """Let time pass: what ran out is free. To be called once a second; which locks those were."""
        now = self._time.advance(self._clock.monotonic())
        gone = []
        while self._ends and self._ends[0][0] <= now:
            until, turn, key = heapq.heappop(self._ends)
            held = self._held.get(key)
            if held is not None and held.turn == turn and held.until == until:
                self._end(held)
                gone.append(held)
        return gone

    # ------------------------------------------------------------------ pieces

    def _now(self) -> float:
        return self._time.now(self._clock.monotonic())

    def _until(self, ttl_s: float | None) -> float:
        return NEVER if ttl_s is None else self._now() + ttl_s

    def _renewed(self, held: Lock, ttl_s: float | None) -> Lock:
        lock = Lock(held.key, held.owner, self._until(ttl_s), held.turn)
        self._keep(lock)
        return lock

    def _keep(self, lock: Lock) -> None:
        self._held[lock.key] = lock
        if lock.until != NEVER:
            heapq.heappush(self._ends, (lock.until, lock.turn, lock.key))
        if len(self._ends) > 64 + 4 * len(self._held):  # renewals leave their old ends behind
            self._ends = [(held.until, held.turn, held.key) for held in self._held.values() if held.until != NEVER]
            heapq.heapify(self._ends)

    def _end(self, lock: Lock) -> None:
        del self._held[lock.key]
        mine = self._of[lock.owner]
        del mine[lock.key]
        if not mine:
            del self._of[lock.owner]
        for told in self.ended:
            try:
                told(lock)
            except Exception:  # one listener's fault must not keep the others from being told
                log.exception("a listener to locks failed")
