"""Who holds which version: what clients said they have, and who is late. In memory only.

Adapters report what a client has when they learn it (a poll, a listening request, a query) and let go when its connection ends;
those that only poll are forgotten when they were not heard of for a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from msgspec import Struct

from ..ports import Clock
from .model import ANYBODY, Asker, FileKey
from .reading import Reading

Version = str | int
"""An md5 ("": nothing) or a version (0: nothing), as the client's protocol says it."""

MOST: Final = 200_000
"""Clients remembered; of more the one that was silent longest is forgotten."""
MOST_PIECES: Final = 16
"""Pieces remembered of one client; of more the oldest."""
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


class _Piece(NamedTuple):
    """What a client said of many files at a time."""

    keys: tuple[FileKey, ...]
    versions: tuple[Version, ...]
    heard_ms: int


class _Client:
    __slots__ = ("asker", "has", "heard_ms", "lasting", "pieces", "via")

    def __init__(self, via: str, asker: Asker) -> None:
        self.via = via
        self.asker = asker
        self.has: dict[FileKey, Version] = {}
        """Counts before the pieces."""
        self.pieces: tuple[_Piece, ...] = ()
        """The oldest first, which counts least."""
        self.heard_ms = 0
        self.lasting = False

    def version(self, key: FileKey) -> Version | None:
        """What it has of a file."""
        found = self.has.get(key)
        if found is not None:
            return found
        return next((p.versions[p.keys.index(key)] for p in reversed(self.pieces) if key in p.keys), None)

    def everything(self) -> dict[FileKey, Version]:
        """By file."""
        found: dict[FileKey, Version] = {}
        for piece in self.pieces:
            found.update(zip(piece.keys, piece.versions, strict=True))
        return {**found, **self.has}


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
        found = self._heard(client, via, asker, lasting)
        if whole:
            found.has, found.pieces = {}, ()
        for key, version in has:
            snapshot = self._reading.snapshot(key)
            now = self._reading.resolve(key, asker)
            # the same objects as everywhere: ten thousand clients of a file keep one key and one md5
            found.has[snapshot.key] = now.md5 if now is not None and now.md5 == version else version
        while len(found.has) > self._most_each:  # names that never were cost a client nothing to say
            del found.has[next(iter(found.has))]

    def report_piece(
        self, client: str, keys: tuple[FileKey, ...], versions: tuple[Version, ...], *, via: str, asker: Asker = ANYBODY
    ) -> None:
        """A client says what it has of thousands of files: nothing is copied, and looking it up takes longer.

        It takes the place of an earlier piece whose first file is in it: a poll that comes again.
        """
        found = self._heard(client, via, asker, False)
        if found.has:
            for key in set(found.has).intersection(keys):
                del found.has[key]
        pieces = [piece for piece in found.pieces if piece.keys[0] not in keys]
        if keys:
            pieces.append(_Piece(keys, versions, found.heard_ms))
        while len(pieces) > MOST_PIECES or (len(pieces) > 1 and sum(len(p.keys) for p in pieces) > self._most_each):
            del pieces[0]
        found.pieces = tuple(pieces)

    def _heard(self, client: str, via: str, asker: Asker, lasting: bool) -> _Client:
        found = self._clients.pop(client, None) or _Client(via, asker)
        self._clients[client] = found
        found.asker, found.via, found.lasting, found.heard_ms = asker, via, lasting, self._clock.wall_ms()
        while len(self._clients) > self._most:
            del self._clients[next(iter(self._clients))]
        return found

    def dropped(self, client: str, keys: Iterable[FileKey]) -> None:
        """A client does not listen to these any more."""
        found = self._clients.get(client)
        if found is None:
            return
        if found.pieces:
            found.has, found.pieces = found.everything(), ()
        for key in keys:
            found.has.pop(key, None)

    def gone(self, client: str) -> None:
        """A client's connection ended."""
        self._clients.pop(client, None)

    def forget(self, before_ms: int) -> int:
        """Forget those not heard of since a time, but the lasting ones; how many."""
        silent: list[str] = []
        for id, client in self._clients.items():
            if client.pieces and client.pieces[0].heard_ms < before_ms:
                client.pieces = tuple(piece for piece in client.pieces if piece.heard_ms >= before_ms)
            if not client.lasting and client.heard_ms < before_ms:
                silent.append(id)
        for id in silent:
            del self._clients[id]
        return len(silent)

    # ------------------------------------------------------------------ queries

    def of(self, key: FileKey) -> list[Holding]:
        """Every client that has something of a file, or waits for it."""
        found = ((id, client, client.version(key)) for id, client in self._clients.items())
        return [self._holding(id, client, key, has) for id, client, has in found if has is not None]

    def by(self, client: str) -> list[Holding]:
        """Everything that a client has."""
        found = self._clients.get(client)
        if found is None:
            return []
        return [self._holding(client, found, key, has) for key, has in found.everything().items()]

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
