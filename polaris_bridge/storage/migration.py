"""Bringing an older database to the current schema. Imported only when a stored version differs.

The scripts are Alembic's, in ``migrations``; a revision's id is the schema version it leads to ("1", "2", ...). The
table ``meta`` alone says which version a database has: Alembic's own version table exists during the migration only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from polaris_bridge.core.ports import StoreRefused

from . import sqlite_file
from .sqlite_file import sidecar

SCRIPTS = Path(__file__).with_name("migrations")
VERSIONS = SCRIPTS / "versions"


def migrate(path: Path, stored: int, wanted: int, now_ms: int, versions: Path | None = None) -> Path:
    """Copy the database at ``path`` beside itself, then migrate it in one transaction; the copy's path.

    ``versions`` is another directory of revisions. Raises ``StoreRefused`` with the database unchanged, ``OSError`` or
    ``sqlite3.Error`` when the copy cannot be made.
    """
    try:
        import alembic  # noqa: F401 - asked for before anything is touched
    except ImportError:
        raise StoreRefused(
            f"{path} has schema {stored} and must be migrated to {wanted}, which needs Alembic. It was left "
            f"untouched. Install the extra: pip install 'polaris-bridge[migrate-store]'."
        ) from None
    copy = _copy(path, stored, now_ms)
    try:
        upgrade(path, str(stored), str(wanted), versions or VERSIONS)
    except Exception as error:
        raise StoreRefused(
            f"{path} could not be migrated from schema {stored} to {wanted}: {error}. It still is what it was, and "
            f"{copy.name} is a copy of it. Start the version that wrote it, and report this."
        ) from error
    return copy


def _copy(path: Path, stored: int, now_ms: int) -> Path:
    """A complete copy, its log included; it has its name only once it is whole and on the disk."""
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = sidecar(path, f".schema-{stored}.{moment}")
    building = sidecar(copy, ".new")
    building.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite_file.reading(path)) as source,
            contextlib.closing(sqlite3.connect(building)) as target,
        ):
            source.backup(target)
        with building.open("rb+") as file:
            os.fsync(file.fileno())
        building.replace(copy)
    except BaseException:
        building.unlink(missing_ok=True)
        raise
    sqlite_file.sync_directory(path.parent)
    return copy


def upgrade(path: Path, stored: str, wanted: str, versions: Path) -> None:
    """All steps from one revision to another, in one transaction: SQLite can roll back changes of tables.

    Raises whatever a script, Alembic or the driver raises; nothing is changed then.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine, text
    from sqlalchemy.pool import StaticPool

    config = Config()
    config.set_main_option("script_location", _literal(SCRIPTS))
    config.set_main_option("version_locations", _literal(versions))
    config.set_main_option("path_separator", "newline")
    with contextlib.closing(sqlite_file.connect(path, "mode=rw")) as driver:
        engine = create_engine("sqlite://", creator=lambda: driver, poolclass=StaticPool)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA synchronous=FULL")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.stamp(config, stored)
            command.upgrade(config, wanted)
            connection.execute(text("DROP TABLE alembic_version"))
            connection.execute(text("UPDATE meta SET value = :version WHERE name = 'schema'"), {"version": wanted})
            connection.commit()


def _literal(path: Path) -> str:
    """A path as a value of Alembic's configuration, where a percent sign interpolates."""
    return str(path).replace("%", "%%")
