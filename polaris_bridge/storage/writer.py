"""The one thread that writes. Whatever has gathered while it was busy becomes one transaction; when idle it commits at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue

from msgspec import Struct

from polaris_bridge.core.ports import TABLES, Row

from .database import Connection, Cursor, Database
from .delivery import Deliveries, Done
from .documents import Columns, columns

GATHERED_ROWS = 512
"""Rows after which a transaction is full: about 10 ms of work that a later group waits for."""

PURGED_ROWS = 500
"""Tombstones deleted in one transaction, between which appended groups have their turn."""

_log = logging.getLogger(__name__)

Outcome = Exception | None


class Group(Struct, eq=False):
    """Rows that are stored together or not at all. ``now``: tell the outcome on the writer's thread."""

    rows: Sequence[Row]
    reserve: int
    done: Done
    now: bool = False


class Purge(Struct, eq=False):
    """Tombstones to delete: those older than a time, at most ``limit`` (0: all). ``done`` is told how many there were."""

    before_ms: int
    tables: Sequence[str]
    limit: int = 0
    done: Callable[[int], None] | None = None
    purged: int = 0


Packed = dict[str, list[Columns]]


def pack(rows: Sequence[Row]) -> Packed:
    """Parameters of the upserts by table, in order."""
    packed: Packed = {}
    for row in rows:
        packed.setdefault(row.table, []).append(columns(row))
    return packed


class Writer:
    """Owns the writing connection. Its methods may be called from any thread."""

    def __init__(self, database: Database, connection: Connection, deliveries: Deliveries, reserved: int) -> None:
        self._database = database
        self._connection: Connection | None = connection
        self._deliveries = deliveries
        self._reserved = reserved
        self._failing = 0
        self._closing = False
        self._tasks: SimpleQueue[Group | Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def append(self, group: Group) -> None:
        """Queue a group behind all that is queued."""
        self._tasks.put(group)

    def purge(self, purge: Purge) -> None:
        """Queue the deletion of old tombstones, slice by slice."""
        self._tasks.put(lambda: self._purge(purge))

    def flush(self) -> None:
        """Wait until everything queued so far was tried."""
        reached = threading.Event()
        self._tasks.put(reached.set)
        reached.wait()

    def close(self) -> None:
        """Flush, end the thread and close the connection."""
        self._closing = True
        self._tasks.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            groups, other = self._gather()
            if groups:
                self._store(groups)
            if other is None:
                self._disconnect()
                return
            other()

    def _gather(self) -> tuple[list[Group], Callable[[], None] | None]:
        """Groups that go into one transaction, and what comes after them; None is the end."""
        groups: list[Group] = []
        rows = 0
        task = self._tasks.get()
        while isinstance(task, Group):
            groups.append(task)
            rows += len(task.rows)
            if rows >= GATHERED_ROWS:
                return groups, _nothing
            try:
                task = self._tasks.get_nowait()
            except Empty:
                return groups, _nothing
        return groups, task

    def _store(self, groups: list[Group]) -> None:
        """Write groups and tell each its outcome; the core hears of all of them at once."""
        outcomes = self._packed(groups)
        for group, outcome in zip(groups, outcomes, strict=True):
            if group.now:
                group.done(outcome)
        self._deliveries.add([(g.done, o) for g, o in zip(groups, outcomes, strict=True) if not g.now])
        self._report(outcomes)

    def _packed(self, groups: list[Group]) -> list[Outcome]:
        """Outcomes of groups, those that cannot be packed set apart before anything is written."""
        outcomes: list[Outcome] = []
        good: list[tuple[Group, Packed]] = []
        for group in groups:
            try:
                good.append((group, pack(group.rows)))
                outcomes.append(None)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with a value: its group fails, the thread lives
                outcomes.append(error)
        written = iter(self._written(good)) if good else iter(())
        return [next(written) if outcome is None else outcome for outcome in outcomes]

    def _written(self, groups: list[tuple[Group, Packed]]) -> list[Outcome]:
        """Outcomes of groups written together; when that fails, of each written alone, in order."""
        begun = False
        try:
            cursor = self._begin()
            begun = True
            self._write(cursor, groups)
        except Exception as error:  # noqa: BLE001 - as above: whoever waits for an outcome must get one
            self._abandon()
            # what could not even begin is the fault of none of them, and trying may take the driver's whole patience
            if not begun or len(groups) == 1:
                return [error] * len(groups)
            return [outcome for group in groups for outcome in self._written([group])]
        return [None] * len(groups)

    def _begin(self) -> Cursor:
        if self._connection is None:
            self._connection = self._database.connect()
        cursor = self._connection.cursor()
        cursor.execute(self._database.texts.begin)
        return cursor

    def _write(self, cursor: Cursor, groups: list[tuple[Group, Packed]]) -> None:
        texts = self._database.texts
        for table in TABLES:
            parameters = [row for _, packed in groups for row in packed.get(table, ())]
            if parameters:
                cursor.executemany(texts.upsert[table], parameters)
        reserved = max(group.reserve for group, _ in groups)
        if reserved > self._reserved:
            cursor.execute(texts.put_meta, ("reserved", str(reserved)))
        self._commit()
        self._reserved = max(self._reserved, reserved)

    def _commit(self) -> None:
        assert self._connection is not None
        self._connection.commit()

    def _abandon(self) -> None:
        """Undo, and start the next transaction on a fresh connection: a repaired disk then needs no restart."""
        try:
            if self._connection is not None:
                self._connection.rollback()
        except self._database.errors as error:
            _log.debug("rollback after a failed write: %s", error)
        self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.close()
        except self._database.errors as error:
            _log.warning("closing the store: %s", error)

    def _report(self, outcomes: list[Outcome]) -> None:
        """One line when writes begin to fail and one when they work again."""
        errors = [outcome for outcome in outcomes if isinstance(outcome, self._database.errors)]
        if errors and not self._failing:
            _log.error(
                "the store does not take writes, clients get errors until it does, reads go on; "
                "look at free space and permissions of its directory: %s",
                errors[0],
            )
        elif self._failing and not errors:
            _log.warning("the store takes writes again; %d groups failed meanwhile", self._failing)
        self._failing = self._failing + len(errors) if errors else 0

    def _purge(self, purge: Purge) -> None:
        """Delete one slice and queue the next one behind what came meanwhile."""
        more = not self._closing and self._purge_slice(purge)
        if more:
            self.purge(purge)
        elif purge.done is not None:
            done, purged = purge.done, purge.purged
            self._deliveries.add([(lambda _: done(purged), None)])

    def _purge_slice(self, purge: Purge) -> bool:
        """Whether there may be more to delete."""
        size = min(PURGED_ROWS, purge.limit - purge.purged) if purge.limit else PURGED_ROWS
        left = size
        try:
            cursor = self._begin()
            for table in purge.tables:
                if left > 0:
                    cursor.execute(self._database.texts.purge[table], (purge.before_ms, left))
                    left -= cursor.rowcount
            self._commit()
        except Exception as error:  # noqa: BLE001 - as above: nobody waits, the next maintain job tries again
            self._abandon()
            _log.warning("old deleted rows stay until the next run: %s", error)
            return False
        purge.purged += size - left
        return left <= 0 and purge.purged != purge.limit


def _nothing() -> None:
    """Nothing comes after these groups."""
