"""SQLite as a ``Database``: one file in WAL mode, held by one process, checked before anything writes to it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from polaris_bridge.core.ports import StoreRefused

from . import sqlite_file
from .lockfile import Held, LockFile
from .sqlite_file import Found, sidecar
from .texts import Texts, load_texts

SYNCHRONOUS = ("normal", "full")

_PATIENCE_S = 5.0
"""How long a write waits for somebody with an SQLite shell in the same file."""

_SETTINGS = (
    "PRAGMA cache_size=-2048",  # KiB; reads happen once, so pages are only worth keeping for the next write
    "PRAGMA mmap_size=0",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=OFF",  # some builds overwrite what is deleted, at twice the price
    "PRAGMA wal_autocheckpoint=1000",  # pages: 4 MiB
    "PRAGMA journal_size_limit=16777216",  # bytes: what a burst leaves of the log
)

_PRIMARY_CODE = 0xFF
_CIRCUMSTANCES = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors that say nothing against the file itself."""

_WHERE = "give the store another path (store.option.path)"


class SqliteDatabase:
    """The database file at a path, with ``.lock`` beside it while it is open.

    ``synchronous`` normal: an acknowledged write outlives the process; full: the machine too.
    """

    errors: type[Exception] = sqlite3.Error

    def __init__(
        self, path: Path, *, synchronous: str, wall_ms: Callable[[], int], migrations: Path | None = None
    ) -> None:
        if synchronous not in SYNCHRONOUS:
            raise ValueError(f"synchronous is {synchronous!r}; expected one of {', '.join(SYNCHRONOUS)}")
        self._path = path.expanduser().resolve()
        self._synchronous = synchronous
        self._wall_ms = wall_ms
        self._migrations = migrations
        self._stray: Path | None = None
        self._lock = LockFile(sidecar(self._path, ".lock"), wall_ms)
        self.texts: Texts = load_texts("sqlite")

    def open(self) -> sqlite3.Connection:
        """See ``Database.open``. A missing file (its directories too) or an empty one is made."""
        try:
            self._look()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.take()
            return self._checked()
        except Held as error:
            raise StoreRefused(
                f"{self._path} is held by {error}. Stop that process first, or {_WHERE}: one file serves one server."
            ) from None
        except (OSError, sqlite3.Error) as error:
            self.release()
            raise self.refusal(error) from error
        except StoreRefused:
            self.release()
            raise

    def _look(self) -> Found:
        """What is there, judged without SQLite, which would write beside it. Raises ``StoreRefused``."""
        found, why = sqlite_file.look(self._path)
        if why:
            raise StoreRefused(f"{self._path} {why}. It was left untouched; {_WHERE}.")
        return found

    def _checked(self) -> sqlite3.Connection:
        if self._look() is Found.NOTHING:
            sqlite_file.create(self._path, self.texts)
        index = sidecar(self._path, "-shm")
        if not index.exists():
            self._stray = index
        reader = sqlite_file.reading(self._path)
        try:
            stored = self._verify(reader)
        except BaseException:
            reader.close()
            raise
        if stored == self.texts.schema:
            return reader
        reader.close()
        self._migrate(stored)
        return sqlite_file.reading(self._path)

    def _verify(self, reader: sqlite3.Connection) -> int:
        """Its schema version, when it is sound and not newer than this program."""
        stored = sqlite_file.schema(reader)
        if stored > self.texts.schema:
            raise StoreRefused(
                f"{self._path} was written by a newer version (schema {stored}, this one knows {self.texts.schema}). "
                f"It was left untouched. Start that version again, or put the copy in its place that was made before "
                f"the file was migrated ({self._path.name}.schema-*)."
            )
        complaint = sqlite_file.complaint(reader)
        if complaint:
            raise sqlite3.DatabaseError(complaint)
        return stored

    def _migrate(self, stored: int) -> None:
        from .migration import migrate  # Alembic and SQLAlchemy, for this one occasion

        migrate(self._path, stored, self.texts.schema, self._wall_ms(), self._migrations)

    def connect(self) -> sqlite3.Connection:
        """See ``Database.connect``. Never makes a new file: what vanished must not come back empty."""
        connection = sqlite_file.connect(self._path, "mode=rw", _PATIENCE_S)
        try:
            for setting in (*_SETTINGS, f"PRAGMA synchronous={self._synchronous}"):
                connection.execute(setting)
        except sqlite3.Error:
            connection.close()
            raise
        self._stray = None  # from here on it is SQLite's to remove
        return connection

    def refusal(self, error: Exception) -> StoreRefused:
        """See ``Database.refusal``."""
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
        if isinstance(error, OSError) or code in _CIRCUMSTANCES:
            return StoreRefused(
                f"{self._path} cannot be opened: {error}. See that there is free space and that this user "
                f"(id {os.geteuid()}) may read and write the file and its directory, or {_WHERE}."
            )
        return StoreRefused(
            f"{self._path} is damaged: {error}. It was left untouched. Restore it from a backup, try "
            f"`sqlite3 {self._path.name} .recover` on a copy of it, or move it away to start with an empty registry "
            f"that clients fill again."
        )

    def release(self) -> None:
        """See ``Database.release``."""
        if self._stray is not None:
            self._stray.unlink(missing_ok=True)
            self._stray = None
        self._lock.release()
