"""The store in a database: everything is read once, then one thread writes what the core appends."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from polaris_bridge.core.ports import TABLES, Ended, ExtTypes, Loaded, Row, StoreRefused, Value

from .database import Connection, Cursor, Database
from .delivery import Deliveries, Done, Post
from .documents import Reader, Unreadable
from .memory import ENDED, StoreClosed
from .writer import Group, Purge, Writer


class SqlStore:
    """``core.ports.Store`` over a ``Database``. All methods are for the core's thread."""

    def __init__(self, database: Database, *, ext_types: ExtTypes, post: Post, unique: Callable[[], str]) -> None:
        self._database = database
        self._ext_types = ext_types
        self._deliveries = Deliveries(post)
        self._unique = unique
        self._writer: Writer | None = None

    def load(self) -> Loaded:
        """Everything alive. Raises ``StoreRefused``; nothing is written before everything was read and understood."""
        if self._writer is not None:
            raise RuntimeError("the store is loaded already; close it first")
        reader = self._database.open()
        try:
            loaded = self._read(reader)
        except (self._database.errors, Unreadable, ValueError) as error:
            reader.close()
            self._database.release()
            raise self._database.refusal(error) from error
        reader.close()
        try:
            self._writer = Writer(self._database, self._enter(loaded), self._deliveries, loaded.reserved)
        except self._database.errors as error:
            self._database.release()
            raise StoreRefused(
                f"the store can be read but not written: {error}. Give its directory free space and write permission."
            ) from error
        return loaded

    def _read(self, connection: Connection) -> Loaded:
        texts = self._database.texts
        meta = dict(_rows(connection, texts.meta))
        values = Reader(self._ext_types)
        rows: list[Value] = []
        for table in TABLES:
            rows.extend(values.values(table, _rows(connection, texts.alive[table])))
        return Loaded(
            rows=rows,
            reserved=int(meta.get("reserved", "0")),
            epoch=int(meta.get("epoch", "0")) + 1,
            node=meta.get("node") or self._unique(),
            ended=[Ended(*row) for row in _rows(connection, texts.ended, (ENDED,))],
        )

    def _enter(self, loaded: Loaded) -> Connection:
        """Note this opening; the connection for the writer."""
        connection = self._database.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(self._database.texts.begin)
            facts = [("epoch", str(loaded.epoch)), ("node", loaded.node)]
            cursor.executemany(self._database.texts.put_meta, facts)
            connection.commit()
        except self._database.errors:
            connection.close()
            raise
        return connection

    def append(self, rows: Sequence[Row], reserve: int, done: Done) -> None:
        """Queue rows for the writer. What it gathers is one transaction, yet each call succeeds or fails alone."""
        if self._writer is None:
            self._deliveries.add([(done, StoreClosed())])
            return
        self._writer.append(Group(rows, reserve, done))

    def reserve(self, revision: int) -> None:
        """Store the high-water mark behind what was appended, and wait. Raises what the database raised."""
        if self._writer is None:
            raise StoreClosed
        outcomes: list[Exception | None] = []
        self._writer.append(Group((), revision, outcomes.append, now=True))
        self._writer.flush()
        if outcomes[0] is not None:
            raise outcomes[0]

    def purge(
        self,
        before_ms: int,
        tables: Sequence[str] = TABLES,
        limit: int = 0,
        done: Callable[[int], None] | None = None,
    ) -> None:
        """Let the writer delete old tombstones, in slices between appended groups."""
        if self._writer is not None:
            self._writer.purge(Purge(before_ms, tables, limit, done))
        elif done is not None:
            self._deliveries.add([(lambda _: done(0), None)])

    def flush(self) -> None:
        """Wait for the writer. The outcomes are then on their way to the core's thread."""
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        """Flush, close, release. ``load`` may open it again."""
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._database.release()


def _rows(connection: Connection, text: str, parameters: tuple[int, ...] = ()) -> Cursor:
    cursor = connection.cursor()
    cursor.execute(text, parameters)
    return cursor
