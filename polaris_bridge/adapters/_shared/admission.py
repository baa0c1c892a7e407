"""Which connections are let in: ``connLimit``, and the end of the process' file descriptors."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from polaris_bridge.adapters._shared.settings import ConnLimitSettings

TOTAL = "max_conn_limit"
PER_HOST = "max_conn_per_host"
OPEN_FILES = "open_files"


class _Host(Struct, gc=False):
    open: int
    last_seen: float


class Admission:
    """Counts connections per client address and says why one more is refused."""

    def __init__(
        self,
        settings: ConnLimitSettings,
        monotonic: Callable[[], float],
        open_files: Callable[[], int] = lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    ) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._open_files = open_files
        self._exempt = {entry.strip() for entry in settings.white_list.split(",")} - {""}
        self._hosts: dict[str, _Host] = {}
        self._next_purge = monotonic() + settings.purge_counter_interval_s
        self.open = 0
        """Connections held now."""
        self.refused: Counter[str] = Counter()
        """Connections closed at once, by reason."""

    def enter(self, host: str, fileno: int) -> str | None:
        """Count a connection in. Returns the reason when it must be closed instead (then it was not counted).

        ``fileno`` tells how near the process is to its limit: the kernel hands out the lowest free number.
        """
        reason = self._reason(host, fileno)
        if reason is not None:
            self.refused[reason] += 1
            return reason
        self.open += 1
        if self._settings.open_conn_limit:
            entry = self._hosts.get(host)
            if entry is None:
                self._hosts[host] = _Host(1, self._monotonic())
            else:
                entry.open += 1
                entry.last_seen = self._monotonic()
        return None

    def _reason(self, host: str, fileno: int) -> str | None:
        limit = self._open_files()
        if limit > 0 and fileno >= limit - min(64, limit // 8):
            return OPEN_FILES
        settings = self._settings
        if not settings.open_conn_limit:
            return None
        if 0 < settings.max_conn_limit <= self.open:
            return TOTAL
        entry = self._hosts.get(host)
        if entry is not None and entry.open >= settings.max_conn_per_host and host not in self._exempt:
            return PER_HOST
        return None

    def leave(self, host: str) -> None:
        """A connection that was let in has ended."""
        self.open -= 1
        entry = self._hosts.get(host)
        if entry is not None:
            entry.open -= 1
            entry.last_seen = self._monotonic()

    def purge(self) -> None:
        """Drop counters of hosts without a connection, when the interval has passed; cheap to call every second."""
        now = self._monotonic()
        if now < self._next_purge:
            return
        self._next_purge = now + self._settings.purge_counter_interval_s
        expired = now - self._settings.purge_counter_expire_s
        for host in [host for host, entry in self._hosts.items() if entry.open <= 0 and entry.last_seen < expired]:
            del self._hosts[host]

    @property
    def limited(self) -> bool:
        """Whether ``connLimit`` is on, so that hosts are counted."""
        return self._settings.open_conn_limit

    def quiet_s(self) -> dict[str, float]:
        """Seconds since a connection of each counted host last came or went."""
        now = self._monotonic()
        return {host: now - entry.last_seen for host, entry in self._hosts.items()}

    @property
    def hosts(self) -> dict[str, int]:
        """Open connections per client address (only counted while ``connLimit`` is on)."""
        return {host: entry.open for host, entry in self._hosts.items()}
