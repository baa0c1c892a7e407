"""Looking at a database file without changing it, and making a new one."""

from __future__ import annotations

import contextlib
import enum
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from .texts import Texts

APPLICATION = 0x706F6C62
"""SQLite's ``application_id`` of our files ("polb"): other programs' databases are told apart by it."""

_MAGIC = b"SQLite format 3\0"
_APPLICATION_AT = slice(68, 72)
_HEADER_BYTES = 100


class Found(enum.Enum):
    """What is at the path of a store."""

    NOTHING = enum.auto()
    """No file, or an empty one."""
    OURS = enum.auto()
    OTHER = enum.auto()


def sidecar(path: Path, suffix: str) -> Path:
    """A file that belongs to a database: its name with something behind it."""
    return path.with_name(path.name + suffix)


def look(path: Path) -> tuple[Found, str]:
    """What is there by its first bytes, and what is wrong with it ("" for what may be used)."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        header = b""
    if not header:
        if has_log(path):
            log = sidecar(path, "-wal").name
            return Found.OTHER, f"is missing or empty while {log} beside it still holds its last writes"
        return Found.NOTHING, ""
    if not header.startswith(_MAGIC) or len(header) < _HEADER_BYTES:
        return Found.OTHER, "is not an SQLite database"
    application = int.from_bytes(header[_APPLICATION_AT], "big")
    if application != APPLICATION:
        return Found.OTHER, f"is an SQLite database of another program (application id {application:#010x})"
    return Found.OURS, ""


def has_log(path: Path) -> bool:
    """Whether writes wait in the write-ahead log, as after a kill."""
    try:
        return sidecar(path, "-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def connect(path: Path, parameters: str, patience_s: float = 0.0) -> sqlite3.Connection:
    """A connection without implicit transactions, by URI parameters."""
    return sqlite3.connect(
        f"file:{quote(str(path))}?{parameters}",
        uri=True,
        timeout=patience_s,
        isolation_level=None,
        check_same_thread=False,
    )


def reading(path: Path) -> sqlite3.Connection:
    """A connection that changes neither the file nor its log.

    Without a log the file is read as if on a read-only medium, and nothing appears beside it. With one, SQLite puts
    its shared index (``-shm``) there when it is missing.
    """
    connection = connect(path, "mode=ro" if has_log(path) else "immutable=1")
    try:
        connection.execute("PRAGMA cache_size=-2048")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def schema(reader: sqlite3.Connection) -> int:
    """Version of the tables in a database of ours. Raises ``sqlite3.Error`` when it does not say."""
    row = reader.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
    if row is None or not str(row[0]).isdecimal():
        raise sqlite3.DatabaseError("it does not say which schema it has")
    return int(row[0])


def complaint(reader: sqlite3.Connection) -> str:
    """The first structural fault, or "". Costs about 0.4 µs a row, all rows being read afterwards anyhow."""
    answer = str(reader.execute("PRAGMA quick_check(1)").fetchone()[0])
    return "" if answer == "ok" else answer.replace("\n", " ")


def create(path: Path, texts: Texts) -> None:
    """Make an empty store; it appears at its path only when it is complete and on the disk.

    Raises ``OSError`` or ``sqlite3.Error``, leaving nothing.
    """
    building = sidecar(path, ".new")
    for leftover in (building, sidecar(building, "-journal")):
        leftover.unlink(missing_ok=True)
    try:
        with contextlib.closing(connect(building, "mode=rwc")) as connection:
            connection.execute(texts.begin)
            connection.execute(f"PRAGMA application_id={APPLICATION}")
            for text in texts.create:
                connection.execute(text)
            connection.execute(texts.put_meta, ("schema", str(texts.schema)))
            connection.execute("COMMIT")
            connection.execute("PRAGMA journal_mode=WAL")
        os.replace(building, path)
    except BaseException:
        building.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a rename in a directory survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
