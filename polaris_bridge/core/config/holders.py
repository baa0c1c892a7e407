"""Who holds which version: what clients said they have, and who is late. In memory only.

Adapters report what a client has when they learn it (a poll, a listening request, a query) and let go when its connection ends;
those that only poll are forgotten when they were not heard of for a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from ..ports import Clock
from .model import ANYBODY, Asker, FileKey
from .reading import Reading

Version = str | int
"""An md5 ("": nothing) or a version (0: nothing), as the client's protocol says it."""

MOST: Final = 200_000
"""Clients remembered; of more the one that was silent longest is forgotten."""
MOST_EACH: Final = 50_000
"""Files remembered of one client; of more the one that it said first."""


class Holding(Struct, frozen=True):
    """What one client has of one file."""

    client: str
    key: FileKey
    has: Version
    via: str
    """The adapter it came through."""
    ip: str
    heard_ms: int
    late: bool
    """It would get something else now."""


class _Client:
    __slots__ = ("asker", "has", "heard_ms", "lasting", "via")

    def __init__(self, via: str, asker: Asker) -> None:
        self.via = via
        self.asker = asker
        self.has: dict[FileKey, Version] = {}
        self.heard_ms = 0
        self.lasting = False


class Holders:
    """All clients of the configuration centre on this node."""

    def __init__(self, reading: Reading, clock: Clock, most: int = MOST, most_each: int = MOST_EACH) -> None:
        self._reading = reading
        self._clock = clock
        self._most = most
        self._most_each = most_each
        self._clients: dict[str, _Client] = {}
        """The one that was silent longest first."""

    def __len__(self) -> int:
        return len(self._clients)

    # ------------------------------------------------------------------ reports

    def report(
        self,
        client: str,
        has: Iterable[tuple[FileKey, Version]],
        *,
        via: str,
        asker: Asker = ANYBODY,
        lasting: bool = False,
        whole: bool = False,
    ) -> None:
        """A client says what it has. ``lasting``: until ``gone`` is called; ``whole``: it has nothing else."""
        found = self._clients.pop(client, None) or _Client(via, asker)
        self._clients[client] = found
        found.asker, found.via, found.lasting, found.heard_ms = asker, via, lasting, self._clock.wall_ms()
        if whole:
            found.has = {}
        for key, version in has:
            snapshot = self._reading.snapshot(key)
            now = self._reading.resolve(key, asker)
            # the same objects as everywhere: ten thousand clients of a file keep one key and one md5
            found.has[snapshot.key] = now.md5 if now is not None and now.md5 == version else version
        while len(found.has) > self._most_each:  # names that never were cost a client nothing to say
            del found.has[next(iter(found.has))]
        while len(self._clients) > self._most:
            del self._clients[next(iter(self._clients))]

    def dropped(self, client: str, keys: Iterable[FileKey]) -> None:
        """A client does not listen to these any more."""
        found = self._clients.get(client)
        for key in keys:
            if found is not None:
                found.has.pop(key, None)

    def gone(self, client: str) -> None:
        """A client's connection ended."""
        self._clients.pop(client, None)

    def forget(self, before_ms: int) -> int:
        """Forget those not heard of since a time, but the lasting ones; how many."""
        silent = [id for id, c in self._clients.items() if not c.lasting and c.heard_ms < before_ms]
        for id in silent:
            del self._clients[id]
        return len(silent)

    # ------------------------------------------------------------------ queries

    def of(self, key: FileKey) -> list[Holding]:
        """Every client that has something of a file, or waits for it."""
        return [self._holding(id, c, key, c.has[key]) for id, c in self._clients.items() if key in c.has]

    def by(self, client: str) -> list[Holding]:
        """Everything that a client has."""
        found = self._clients.get(client)
        return [] if found is None else [self._holding(client, found, key, has) for key, has in found.has.items()]

    def at(self, ip: str) -> list[Holding]:
        """Everything that the clients at an address have."""
        return [h for id, c in list(self._clients.items()) if c.asker.ip == ip for h in self.by(id)]

    def late(self, key: FileKey) -> list[Holding]:
        """The clients that have not got what they would get now."""
        return [holding for holding in self.of(key) if holding.late]

    def _holding(self, id: str, client: _Client, key: FileKey, has: Version) -> Holding:
        md5, version = (has, None) if isinstance(has, str) else (None, has)
        late = self._reading.is_stale(key, client.asker, md5=md5, version=version)
        return Holding(id, key, has, client.via, client.asker.ip, client.heard_ms, late)
