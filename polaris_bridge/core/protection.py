"""Self-protection: when too many leases of a namespace run out at once, the fault is more likely the network's.

Per namespace, with the leases' own lengths: when more than ``max(minimum, percent)`` of the leased registrations ran out
within one lease length, deletion is held back for at most ``max_hold_s``. Nothing else is: deregistration works, and what
is held shows as unhealthy to every protocol but its own.
"""

from __future__ import annotations

from heapq import heappop, heappush

from msgspec import Struct


class ProtectionTerms(Struct, frozen=True):
    """When self-protection holds. ``percent`` of the leased registrations of a namespace, at least ``minimum`` of them."""

    enabled: bool = True
    percent: float = 15.0
    minimum: int = 5
    max_hold_s: float = 900.0


class Protection:
    """The state of one namespace."""

    def __init__(self, terms: ProtectionTerms) -> None:
        self.terms = terms
        self.leased = 0
        """Registrations with a lease that may be deleted, the held ones included."""
        self.held = 0
        self.since: float | None = None
        """Lease time at which it began to hold; None while it does not."""
        self.episodes = 0
        self._recent: list[float] = []
        """Until when each recent deletion counts; a heap."""

    @property
    def active(self) -> bool:
        """Whether deletions are held back now."""
        return self.since is not None

    def admit(self, running_out: int, now: float) -> bool:
        """Whether that many further leases may be deleted now. Starts or goes on holding when not."""
        if not self.terms.enabled:
            return True
        self._forget(now)
        gone = len(self._recent)
        lost = gone + self.held + running_out
        if lost <= max(self.terms.minimum, (self.leased + gone) * self.terms.percent / 100):
            return True
        if self.since is None:
            self.since = now
            self.episodes += 1
        return False

    def over(self, now: float) -> bool:
        """Whether what is held is to be let go: enough came back, or it was held long enough. Ends the episode."""
        if self.since is None:
            return False
        self._forget(now)
        gone = len(self._recent)
        limit = max(self.terms.minimum, (self.leased + gone) * self.terms.percent / 100)
        if gone + self.held <= limit or now - self.since >= self.terms.max_hold_s:
            self.since = None
            return True
        return False

    def deleted(self, lease_s: float, now: float) -> None:
        """Count a deletion by expiry; it is remembered for one length of its lease."""
        if self.terms.enabled:
            self._forget(now)
            heappush(self._recent, now + lease_s)

    def _forget(self, now: float) -> None:
        while self._recent and self._recent[0] <= now:
            heappop(self._recent)
