"""The store that forgets: for tests, for trying out, and for registries whose clients all come back by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from msgspec import structs

from polaris_bridge.core.model import Registration
from polaris_bridge.core.ports import REGISTRATION, TABLES, Ended, Loaded, Row, Value

from .delivery import Deliveries, Done, Post

ENDED = 10_000
"""How many ended registrations ``load`` tells of."""


class StoreClosed(Exception):
    """The write came after ``close``."""

    def __init__(self) -> None:
        super().__init__("the store is closed")


def forget_held(value: Value) -> Value:
    """A value as it would come back from a file: protection is a matter of the running process."""
    if isinstance(value, Registration) and value.held:
        return structs.replace(value, held=False)
    return value


class MemoryStore:
    """Rows in dictionaries. ``load`` after ``close`` gives them again, as reopening a file would."""

    def __init__(self, *, post: Post, unique: Callable[[], str]) -> None:
        self._deliveries = Deliveries(post)
        self._unique = unique
        self._rows: dict[str, dict[tuple[str | int, ...], Row]] = {table: {} for table in TABLES}
        self._reserved = 0
        self._epoch = 0
        self._node = ""
        self._open = False

    def load(self) -> Loaded:
        """Everything alive; every call counts as one opening."""
        self._open = True
        self._epoch += 1
        self._node = self._node or self._unique()
        alive = [
            forget_held(row.value) for table in TABLES for row in self._rows[table].values() if row.value is not None
        ]
        dead = [row for row in self._rows[REGISTRATION].values() if row.value is None]
        dead.sort(key=lambda row: -row.changed_ms)
        ended = [Ended(str(row.key[0]), str(row.key[1]), str(row.key[2]), row.changed_ms) for row in dead[:ENDED]]
        return Loaded(rows=alive, reserved=self._reserved, epoch=self._epoch, node=self._node, ended=ended)

    def append(self, rows: Sequence[Row], reserve: int, done: Done) -> None:
        """Keep the rows; fails only for an unknown table (whole) and after ``close``."""
        self._deliveries.add([(done, self._keep(rows, reserve))])

    def _keep(self, rows: Sequence[Row], reserve: int) -> Exception | None:
        if not self._open:
            return StoreClosed()
        unknown = {row.table for row in rows} - self._rows.keys()
        if unknown:
            return ValueError(f"no such table: {', '.join(sorted(unknown))}")
        for row in rows:
            self._rows[row.table][row.key] = row
        self._reserved = max(self._reserved, reserve)
        return None

    def reserve(self, revision: int) -> None:
        """Keep the high-water mark."""
        if not self._open:
            raise StoreClosed
        self._reserved = max(self._reserved, revision)

    def purge(
        self,
        before_ms: int,
        tables: Sequence[str] = TABLES,
        limit: int = 0,
        done: Callable[[int], None] | None = None,
    ) -> None:
        """Forget tombstones older than a time, at once."""
        old = (
            (table, key)
            for table in tables
            for key, row in self._rows[table].items()
            if row.value is None and row.changed_ms < before_ms
        )
        gone = list(islice(old, limit or None))
        for table, key in gone:
            del self._rows[table][key]
        if done is not None:
            purged = len(gone)
            self._deliveries.add([(lambda _: done(purged), None)])

    def tombstones(self) -> int:
        """How many deleted rows are still remembered."""
        return sum(row.value is None for rows in self._rows.values() for row in rows.values())

    def flush(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Refuse further writes."""
        self._open = False
