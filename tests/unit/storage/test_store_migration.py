"""An older schema: copied, then migrated in one transaction, or refused unchanged.

The older version made up here lacks a column.
"""

from __future__ import annotations

import builtins
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from stored import NOW_MS, Core, peek, registration, row, types

from polaris_bridge.core.model import Document, ServiceKey
from polaris_bridge.core.ports import DOCUMENT, Row, StoreRefused
from polaris_bridge.storage.migration import VERSIONS, upgrade
from polaris_bridge.storage.sql import SqlStore
from polaris_bridge.storage.sqlite import SqliteDatabase
from polaris_bridge.storage.tables import SCHEMA

OLD = SCHEMA - 1

ZERO = f"""
revision = "{OLD}"
down_revision = None

def upgrade():
    raise AssertionError("nobody starts before it")
"""

ONE = f"""
import sqlalchemy as sa
from alembic import op

revision = "{SCHEMA}"
down_revision = "{OLD}"

def upgrade():
    with op.batch_alter_table("registration") as table:
        table.add_column(sa.Column("marks", sa.LargeBinary))
    op.execute("UPDATE registration SET revision = revision + 1000")
"""


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    directory = tmp_path / "versions % of mine"
    directory.mkdir()
    (directory / "zero.py").write_text(ZERO)
    (directory / "one.py").write_text(ONE)
    return directory


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "registry.db"


def store_at(path: Path, versions: Path | None, core: Core) -> SqlStore:
    database = SqliteDatabase(path, synchronous="normal", wall_ms=lambda: NOW_MS, migrations=versions)
    return SqlStore(database, ext_types=types(), post=core.post, unique=lambda: "n")


@pytest.fixture
def old(path: Path, core: Core) -> Path:
    """A database of the older version: without the column ``marks``."""
    store = store_at(path, None, core)
    store.load()
    core.append(store, [row(registration("kept", revision=7))], reserve=99)
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE registration DROP COLUMN marks")
    connection.execute("UPDATE meta SET value = ? WHERE name = 'schema'", (str(OLD),))
    connection.commit()
    connection.close()
    return path


def dump(path: Path) -> list[str]:
    """Everything in a database, as SQL."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.iterdump())
    finally:
        connection.close()


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


COPY = f"registry.db.schema-{OLD}.20231114T221320Z"


def test_an_older_store_is_copied_and_migrated(old: Path, versions: Path, core: Core) -> None:
    before = dump(old)
    store = store_at(old, versions, core)
    loaded = store.load()
    assert list(loaded.rows) == [registration("kept", revision=1007)]
    assert (loaded.reserved, loaded.epoch) == (99, 2)
    assert core.append(store, [row(registration("new"))]) is None
    store.close()
    assert names(old) == ["registry.db", COPY]
    assert dump(old.with_name(COPY)) == before
    assert names(old) == ["registry.db", COPY]
    assert peek(old, "SELECT value FROM meta WHERE name = 'schema'") == [(str(SCHEMA),)]
    assert peek(old, "SELECT name FROM sqlite_master WHERE name LIKE '%alembic%'") == []
    store = store_at(old, versions, core)
    assert store.load().epoch == 3
    store.close()
    assert names(old) == ["registry.db", COPY]


def test_the_way_back_is_the_copy(old: Path, versions: Path, core: Core) -> None:
    store = store_at(old, versions, core)
    store.load()
    store.close()
    old.with_name(COPY).replace(old)
    store = store_at(old, versions, core)
    assert [value.revision for value in store.load().rows] == [1007]  # type: ignore[union-attr]
    store.close()


def test_the_copy_has_what_a_kill_left_in_the_log(old: Path, versions: Path, core: Core) -> None:
    connection = sqlite3.connect(old)
    connection.execute("UPDATE registration SET revision = 50")
    connection.commit()
    files = {name: old.with_name(name).read_bytes() for name in (old.name, old.name + "-wal")}
    connection.close()
    for name, content in files.items():
        old.with_name(name).write_bytes(content)
    store = store_at(old, versions, core)
    assert [value.revision for value in store.load().rows] == [1050]  # type: ignore[union-attr]
    store.close()
    assert peek(old.with_name(COPY), "SELECT revision FROM registration") == [(50,)]


def test_a_migration_that_fails_changes_nothing(old: Path, versions: Path, core: Core) -> None:
    (versions / "one.py").write_text(ONE + "    raise ValueError('half way')\n")
    before = old.read_bytes()
    with pytest.raises(StoreRefused, match=f"could not be migrated from schema {OLD} to {SCHEMA}: half way") as caught:
        store_at(old, versions, core).load()
    assert COPY in str(caught.value)
    assert old.read_bytes() == before
    assert names(old) == ["registry.db", COPY]
    (versions / "one.py").write_text(ONE)
    store = store_at(old, versions, core)
    assert len(list(store.load().rows)) == 1
    store.close()


def test_a_version_without_a_way_is_refused(old: Path, core: Core) -> None:
    connection = sqlite3.connect(old)
    connection.execute("UPDATE meta SET value = '0' WHERE name = 'schema'")
    connection.commit()
    connection.close()
    before = old.read_bytes()
    with pytest.raises(StoreRefused, match=f"could not be migrated from schema 0 to {SCHEMA}"):
        store_at(old, None, core).load()
    assert old.read_bytes() == before


def test_without_alembic_the_extra_is_named(
    old: Path, versions: Path, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "alembic":
            raise ImportError(name)
        return real(name, *arguments, **named)

    before = old.read_bytes()
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(StoreRefused, match=r"pip install 'polaris-bridge\[migrate-store\]'"):
        store_at(old, versions, core).load()
    assert old.read_bytes() == before
    assert names(old) == ["registry.db"]


def test_a_damaged_older_store_is_refused_before_it_is_copied(old: Path, versions: Path, core: Core) -> None:
    with old.open("rb+") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 8192)
    before = old.read_bytes()
    with pytest.raises(StoreRefused, match="damaged"):
        store_at(old, versions, core).load()
    assert old.read_bytes() == before
    assert names(old) == ["registry.db"]


def test_a_store_of_schema_1_gets_room_for_documents(path: Path, core: Core) -> None:
    store = store_at(path, None, core)
    store.load()
    assert core.append(store, [row(registration("kept", revision=7))], reserve=99) is None
    store.close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TABLE document")
    connection.execute("UPDATE meta SET value = '1' WHERE name = 'schema'")
    connection.commit()
    connection.close()
    store = store_at(path, None, core)
    assert list(store.load().rows) == [registration("kept", revision=7)]
    rule = Document("routing", "r1", targets=(ServiceKey("default", "orders"),), body=b"x", revision=101)
    assert core.append(store, [Row(DOCUMENT, ("routing", "r1"), 101, rule, NOW_MS)]) is None
    store.close()
    store = store_at(path, None, core)
    assert list(store.load().rows) == [registration("kept", revision=7), rule]
    store.close()


def schema(path: Path) -> dict[str, list[Any]]:
    """Columns and indexes of all tables."""
    tables = [name for (name,) in peek(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {name: peek(path, f"PRAGMA table_info({name})") for name in tables}
    indexes = peek(path, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
    return found | {"indexes": [(name, " ".join(text.split())) for name, text in indexes]}


def test_the_revisions_lead_to_what_the_declarations_say(path: Path, core: Core) -> None:
    """Every new schema version needs a revision: this fails without it."""
    store = store_at(path, None, core)
    store.load()
    store.close()
    migrated = path.with_name("migrated.db")
    connection = sqlite3.connect(migrated)
    connection.execute("PRAGMA user_version=1")
    connection.close()
    upgrade(migrated, "base", str(SCHEMA), VERSIONS)
    assert schema(migrated) == schema(path)
