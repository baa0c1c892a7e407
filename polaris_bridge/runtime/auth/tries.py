"""Limits on failed tries to log in: for a name from an address, and for an address whatever the name. Nobody else is affected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW_S: Final = 60.0
PER_NAME: Final = 10
"""Failures within a minute for one name from one address."""
PER_ADDRESS: Final = 60
"""Failures within a minute from one address."""
MAX_KEPT: Final = 20_000


class Tries:
    """Counts failures over a sliding minute."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failed: dict[tuple[str, str], deque[float]] = {}

    def blocked(self, name: str, address: str) -> bool:
        """Whether no further try is taken now."""
        return self._count((name, address)) >= PER_NAME or self._count(("", address)) >= PER_ADDRESS

    def failed(self, name: str, address: str) -> None:
        """One more."""
        if len(self._failed) >= MAX_KEPT:
            self._purge()
        now = self._monotonic()
        for key, most in (((name, address), PER_NAME), (("", address), PER_ADDRESS)):
            self._failed.setdefault(key, deque(maxlen=most)).append(now)

    def succeeded(self, name: str, address: str) -> None:
        """The right password ends the count for the name; not that of the address."""
        self._failed.pop((name, address), None)

    def _count(self, key: tuple[str, str]) -> int:
        failed = self._failed.get(key)
        if failed is None:
            return 0
        since = self._monotonic() - WINDOW_S
        while failed and failed[0] <= since:
            failed.popleft()
        if not failed:
            del self._failed[key]
        return len(failed)

    def _purge(self) -> None:
        for key in list(self._failed):
            self._count(key)
        if len(self._failed) >= MAX_KEPT:
            for key in list(self._failed)[: MAX_KEPT // 2]:
                del self._failed[key]
