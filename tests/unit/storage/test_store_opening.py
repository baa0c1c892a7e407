"""Which files are opened, which are refused, and that refusing one changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from stored import Core, Open, peek, registration, row, types

from polaris_bridge.core.ports import Loaded, Store, StoreRefused
from polaris_bridge.storage import open_store
from polaris_bridge.storage.sqlite_file import APPLICATION
from polaris_bridge.storage.tables import SCHEMA


def contents(directory: Path) -> dict[str, bytes]:
    """All files of a directory, apart from SQLite's shared index, which is no data."""
    return {file.name: file.read_bytes() for file in directory.iterdir() if not file.name.endswith("-shm")}


def refused(store: Store, directory: Path) -> str:
    """The text of a refusal, after which the directory is what it was."""
    before, names = contents(directory), sorted(os.listdir(directory))
    with pytest.raises(StoreRefused) as caught:
        store.load()
    assert contents(directory) == before
    assert sorted(os.listdir(directory)) == names
    return str(caught.value)


def fill(store: Store, core: Core, rows: int = 300) -> None:
    """A store with so many registrations, closed."""
    store.load()
    core.append(store, [row(registration(str(n), metadata={"k": "v" * 50})) for n in range(rows)])
    store.close()


def killed(path: Path, core: Core, store: Store, rows: int = 50) -> None:
    """What a kill leaves at ``path``: the rows are in the log only."""
    store.load()
    core.append(store, [row(registration(str(n))) for n in range(rows)])
    beside = path.with_name("copies")
    beside.mkdir()
    for file in (path, path.with_name(path.name + "-wal")):
        shutil.copy(file, beside / file.name)
    store.close()
    for file in beside.iterdir():
        shutil.move(file, path.with_name(file.name))
    beside.rmdir()


def test_a_new_file_is_made_with_its_directories(tmp_path: Path, core: Core) -> None:
    path = tmp_path / "a" / "b %?#" / "registry.db"
    store = open_store(
        "sqlite",
        path=path,
        synchronous="full",
        ext_types=types(),
        post=core.post,
        unique=lambda: "n",
        wall_ms=lambda: 0,
    )
    store.load()
    store.close()
    assert os.listdir(path.parent) == ["registry.db"]


def test_a_closed_store_is_one_file(opened: Open, core: Core, path: Path) -> None:
    fill(opened(), core)
    assert os.listdir(path.parent) == [path.name]
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION


def test_an_empty_file_becomes_a_store(opened: Open, path: Path) -> None:
    path.touch()
    assert opened().load().epoch == 1


def test_a_half_made_store_is_made_anew(opened: Open, path: Path) -> None:
    path.with_name(path.name + ".new").write_bytes(b"SQLite format 3\0 and then the power went")
    assert opened().load().epoch == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x00" * 16 + b"\xed\xda\x0c\xed" + b"\x02" + b"\x00" * 32_000, "not an SQLite database"),
        (b"x", "not an SQLite database"),
        (b"SQLite format 3\0", "not an SQLite database"),
    ],
    ids=["bolt", "text", "only the magic"],
)
def test_a_file_of_another_kind_is_refused(opened: Open, path: Path, content: bytes, why: str) -> None:
    path.write_bytes(content)
    text = refused(opened(), path.parent)
    assert why in text
    assert str(path) in text
    assert "store.option.path" in text


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_another_programs_database_is_refused(opened: Open, path: Path, journal: str) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute(f"PRAGMA journal_mode={journal}")
    theirs.execute("CREATE TABLE meta (name TEXT, value TEXT)")
    theirs.execute("INSERT INTO meta VALUES ('schema', '1')")
    theirs.commit()
    theirs.close()
    assert "another program" in refused(opened(), path.parent)


def test_a_database_with_our_mark_but_without_our_tables_is_refused(opened: Open, path: Path) -> None:
    theirs = sqlite3.connect(path)
    theirs.execute(f"PRAGMA application_id={APPLICATION}")
    theirs.execute("CREATE TABLE t (a)")
    theirs.close()
    assert "no such table: meta" in refused(opened(), path.parent)


def test_a_directory_is_refused(opened: Open, path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreRefused, match="directory"):
        opened().load()
    assert os.listdir(path.parent) == [path.name]


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '7' WHERE name = 'schema'")
    connection.commit()
    connection.close()


def test_a_newer_schema_is_refused(opened: Open, core: Core, path: Path) -> None:
    fill(opened(), core)
    newer(path)
    text = refused(opened(), path.parent)
    assert f"newer version (schema 7, this one knows {SCHEMA})" in text
    assert "schema-*" in text


def test_a_newer_schema_that_is_only_in_the_log_is_refused(opened: Open, core: Core, path: Path) -> None:
    killed(path, core, opened())
    holder = sqlite3.connect(path)
    holder.execute("UPDATE meta SET value = '7' WHERE name = 'schema'")
    holder.commit()
    copies = {name: path.with_name(name).read_bytes() for name in (path.name, path.name + "-wal")}
    holder.close()
    for name, content in copies.items():
        path.with_name(name).write_bytes(content)
    assert "newer version" in refused(opened(), path.parent)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def scribble(path: Path) -> None:
    with path.open("rb+") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 4096 * 4)


def lose_a_column(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE registration DROP COLUMN marks")
    connection.close()


def spoil_a_document(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE registration SET document = x'c1' WHERE key = '17'")
    connection.commit()
    connection.close()


def store_text_for_a_document(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE registration SET document = 'text', ext = 5, marks = 6 WHERE key = '17'")
    connection.commit()
    connection.close()


def lose_a_document(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE registration SET document = NULL WHERE key = '17'")
    connection.commit()
    connection.close()


def spoil_the_mark(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('reserved', 'many')")
    connection.commit()
    connection.close()


def lose_the_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM meta WHERE name = 'schema'")
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        scribble,
        lose_a_column,
        spoil_a_document,
        store_text_for_a_document,
        lose_a_document,
        spoil_the_mark,
        lose_the_version,
    ],
)
def test_a_damaged_store_is_refused(opened: Open, core: Core, path: Path, damage: Callable[[Path], None]) -> None:
    fill(opened(), core)
    damage(path)
    text = refused(opened(), path.parent)
    assert "damaged" in text
    assert "backup" in text


def test_a_damaged_store_with_writes_in_its_log_is_refused(opened: Open, core: Core, path: Path) -> None:
    fill(opened(), core)
    killed(path, core, opened())
    scribble(path)
    assert "damaged" in refused(opened(), path.parent)


def test_a_log_without_its_database_is_refused(opened: Open, core: Core, path: Path) -> None:
    killed(path, core, opened())
    path.unlink()
    assert "last writes" in refused(opened(), path.parent)


def test_what_a_kill_left_in_the_log_is_read(opened: Open, core: Core, path: Path) -> None:
    killed(path, core, opened(), rows=50)
    loaded: Loaded = opened().load()
    assert len(list(loaded.rows)) == 50
    assert loaded.epoch == 2


def test_a_second_store_of_the_process_is_refused_and_the_first_goes_on(opened: Open, core: Core, path: Path) -> None:
    first, second = opened(), opened()
    first.load()
    with pytest.raises(StoreRefused, match=rf"held by process {os.getpid()} on .* since 2023-11-14 22:13:20 UTC"):
        second.load()
    second.close()
    assert core.append(first, [row(registration())]) is None
    first.close()
    assert len(list(second.load().rows)) == 1


def test_a_link_to_a_store_is_the_same_store(opened: Open, core: Core, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    first = opened()
    first.load()
    second = open_store(
        "sqlite",
        path=link,
        synchronous="normal",
        ext_types=types(),
        post=core.post,
        unique=lambda: "n",
        wall_ms=lambda: 0,
    )
    with pytest.raises(StoreRefused, match="held by process"):
        second.load()


HOLDER = """
import sys
from pathlib import Path
from polaris_bridge.core.ports import ExtTypes
from polaris_bridge.storage import open_store
store = open_store("sqlite", path=Path(sys.argv[1]), synchronous="normal", ext_types=ExtTypes(),
    post=lambda run: run(), unique=lambda: "n", wall_ms=lambda: 0)
store.load()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_named_and_its_kill_frees_the_store(opened: Open, path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(
                StoreRefused, match=rf"held by process {holder.pid} on .* since 1970-01-01 00:00:00 UTC"
            ):
                opened().load()
        finally:
            holder.kill()
            holder.wait()
    assert path.with_name(path.name + ".lock").exists(), "a kill leaves the file of the lock"
    store = opened()
    assert store.load().epoch == 2
    store.close()
    assert os.listdir(path.parent) == [path.name]


def test_an_onlooker_may_read_while_the_store_is_open(opened: Open, core: Core, path: Path) -> None:
    store = opened()
    store.load()
    core.append(store, [row(registration("seen"))])
    assert peek(path, "SELECT key FROM registration") == [("seen",)]
    assert core.append(store, [row(registration("more"))]) is None


def test_loading_twice_is_an_error_of_the_caller(opened: Open) -> None:
    store = opened()
    store.load()
    with pytest.raises(RuntimeError, match="close it first"):
        store.load()


@pytest.mark.parametrize(
    ("change", "why"),
    [({"kind": "bolt"}, "memory, sqlite"), ({"path": None}, "path"), ({"synchronous": "off"}, "normal, full")],
)
def test_arguments_that_no_configuration_may_pass_on(
    path: Path, core: Core, change: dict[str, object], why: str
) -> None:
    arguments = {"kind": "sqlite", "path": path, "synchronous": "normal"} | change
    kind = str(arguments.pop("kind"))
    with pytest.raises(ValueError, match=why):
        open_store(kind, ext_types=None, post=core.post, unique=str, wall_ms=int, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
def test_the_settings_of_the_writing_connection(path: Path, opened: Open, synchronous: str, level: int) -> None:
    from polaris_bridge.storage.sqlite import SqliteDatabase

    opened().load()
    connection = SqliteDatabase(path, synchronous=synchronous, wall_ms=int).connect()
    try:
        asked = ("synchronous", "journal_mode", "cache_size", "mmap_size", "wal_autocheckpoint")
        values = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked]
    finally:
        connection.close()
    assert values == [level, "wal", -2048, 0, 1000]
