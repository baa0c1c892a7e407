"""How the writer gathers groups, and what each of them hears when something fails. On SQLite, with its driver in between."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from stored import NOW_MS, Core, peek, registration, row, tombstone, types

from polaris_bridge.core.ports import Row
from polaris_bridge.storage.delivery import Deliveries
from polaris_bridge.storage.sql import SqlStore
from polaris_bridge.storage.sqlite import SqliteDatabase
from polaris_bridge.storage.writer import GATHERED_ROWS, PURGED_ROWS


class Rules:
    """What the driver does today, and what it was asked to do."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.reached = threading.Event()
        self.begun = 0
        self.committed = 0
        self.connected = 0
        self.refuse_begin: Exception | None = None
        self.refuse_rows: Callable[[Sequence[Any]], bool] = lambda parameters: False
        self.refuse_commit: list[Exception] = []


class SpiedCursor(sqlite3.Cursor):
    """Waits and fails by the rules."""

    def execute(self, text: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if text.startswith("BEGIN"):
            rules = self.connection.rules  # type: ignore[attr-defined]
            rules.begun += 1
            rules.reached.set()
            rules.go.wait(30)
            if rules.refuse_begin:
                raise rules.refuse_begin
        return super().execute(text, parameters)

    def executemany(self, text: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        rows = list(parameters)
        if any(map(self.connection.rules.refuse_rows, rows)):  # type: ignore[attr-defined]
            raise sqlite3.OperationalError("disk I/O error")
        return super().executemany(text, rows)


class Spied(sqlite3.Connection):
    rules: Rules

    def cursor(self, *_: Any) -> Any:
        return SpiedCursor(self)

    def commit(self) -> None:
        if self.rules.refuse_commit:
            raise self.rules.refuse_commit.pop(0)
        super().commit()
        self.rules.committed += 1


class SpiedDatabase(SqliteDatabase):
    """The real thing, but its connections obey rules once the store is loaded."""

    def __init__(self, path: Path, rules: Rules) -> None:
        super().__init__(path, synchronous="normal", wall_ms=lambda: NOW_MS)
        self._file = path
        self._rules = rules

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, factory=Spied, isolation_level=None, check_same_thread=False)
        connection.rules = self._rules
        self._rules.connected += 1
        return connection


@pytest.fixture
def rules() -> Rules:
    return Rules()


@pytest.fixture
def store(path: Path, rules: Rules, core: Core) -> Iterator[SqlStore]:
    store = SqlStore(SpiedDatabase(path, rules), ext_types=types(), post=core.post, unique=lambda: "n")
    store.load()
    rules.begun = rules.committed = 0
    rules.reached.clear()
    yield store
    rules.go.set()
    rules.refuse_begin = None
    store.close()


def gather(store: SqlStore, core: Core, rules: Rules, groups: list[list[Row]]) -> list[Exception | None]:
    """Outcomes of groups that queued up while the writer was busy with another one."""
    rules.go.clear()
    store.append([row(registration("before"))], 0, lambda error: None)
    assert rules.reached.wait(30)
    for group in groups:
        store.append(group, 0, core.outcomes.append)
    rules.go.set()
    store.flush()
    return core.outcomes


def keys(path: Path) -> set[str]:
    return {key for (key,) in peek(path, "SELECT key FROM registration WHERE deleted = 0")} - {"before"}


def group(*names: str) -> list[Row]:
    return [row(registration(name)) for name in names]


def test_what_gathered_is_one_transaction_and_one_post(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    outcomes = gather(store, core, rules, [group(f"{n}a", f"{n}b") for n in range(20)])
    assert rules.committed == 2
    assert len(core.posted) <= 2
    core.run()
    assert outcomes == [None] * 20
    assert len(keys(path)) == 40


def test_a_transaction_ends_at_its_bound_of_rows(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    size = GATHERED_ROWS // 4
    gather(store, core, rules, [group(*(f"{n}-{i}" for i in range(size))) for n in range(9)])
    core.run()
    assert rules.committed == 1 + 3
    assert len(keys(path)) == 9 * size


def test_an_idle_writer_commits_at_once(store: SqlStore, core: Core, rules: Rules) -> None:
    for number in range(3):
        core.append(store, group(str(number)))
        assert rules.committed == number + 1


def test_one_bad_group_fails_alone_and_order_is_kept(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    rules.refuse_rows = lambda parameters: parameters[2] == "bad"
    groups = [
        [row(registration("x", weight=1)), *group("a")],
        group("b", "bad", "c"),
        [row(registration("x", weight=3, revision=9)), *group("d")],
    ]
    outcomes = gather(store, core, rules, groups)
    core.run()
    assert [outcome is None for outcome in outcomes] == [True, False, True]
    assert keys(path) == {"x", "a", "d"}
    assert peek(path, "SELECT revision FROM registration WHERE key = 'x'") == [(9,)]


def test_a_failed_commit_is_tried_again_group_by_group(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    rules.go.clear()
    store.append(group("before"), 0, lambda error: None)
    assert rules.reached.wait(30)
    for name in "abc":
        store.append(group(name), 0, core.outcomes.append)
    full = sqlite3.OperationalError("database or disk is full")
    rules.refuse_commit = [full, full]  # "before" alone, then the three together
    rules.go.set()
    store.flush()
    core.run()
    assert core.outcomes == [None] * 3
    assert keys(path) == {"a", "b", "c"}
    assert rules.committed == 3


def test_what_cannot_begin_is_tried_once(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    rules.refuse_begin = sqlite3.OperationalError("database is locked")
    outcomes = gather(store, core, rules, [group("a"), group("b"), group("c")])
    core.run()
    assert outcomes == [rules.refuse_begin] * 3
    assert rules.begun == 2
    assert keys(path) == set()


def test_after_a_failure_the_next_append_has_a_fresh_connection(
    store: SqlStore, core: Core, rules: Rules, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    error = sqlite3.OperationalError("disk I/O error")
    rules.refuse_commit = [error, error]
    assert core.append(store, group("a")) is error
    assert core.append(store, group("b")) is error
    connected = rules.connected
    assert core.append(store, group("c")) is None
    assert rules.connected == connected + 1
    assert keys(path) == {"c"}
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(said) == 2
    assert "does not take writes" in said[0]
    assert "disk I/O error" in said[0]
    assert "takes writes again; 2 groups failed" in said[1]


def test_a_reservation_that_fails_is_raised_and_not_remembered(store: SqlStore, rules: Rules, path: Path) -> None:
    rules.refuse_commit = [sqlite3.OperationalError("database or disk is full")]
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.reserve(500)
    store.reserve(400)
    assert peek(path, "SELECT value FROM meta WHERE name = 'reserved'") == [("400",)]


def test_a_reservation_needs_no_help_of_the_cores_thread(store: SqlStore, core: Core, path: Path) -> None:
    store.append(group("a"), 100, core.outcomes.append)
    store.reserve(200)
    assert core.outcomes == []
    assert peek(path, "SELECT value FROM meta WHERE name = 'reserved'") == [("200",)]


def test_purge_works_in_slices_and_lets_others_pass(store: SqlStore, core: Core, rules: Rules, path: Path) -> None:
    many = PURGED_ROWS * 2 + 10
    core.append(store, [tombstone(registration(str(n)), 5) for n in range(many)])
    core.append(store, [tombstone(registration("young"), NOW_MS), *group("living")])
    rules.begun = rules.committed = 0
    rules.reached.clear()
    rules.go.clear()
    store.purge(NOW_MS)
    assert rules.reached.wait(30)
    store.append(group("between"), 0, core.outcomes.append)
    rules.go.set()
    for _ in range(3):
        store.flush()
    core.run()
    assert core.outcomes[-1] is None
    assert {key for (key,) in peek(path, "SELECT key FROM registration")} == {"young", "living", "between"}
    assert rules.committed == 4


def test_purge_uses_the_index_of_tombstones(path: Path, store: SqlStore) -> None:
    from polaris_bridge.storage.texts import load_texts

    onlooker = sqlite3.connect(path)
    try:
        for table, text in load_texts("sqlite").purge.items():
            plan = " ".join(str(step) for step in onlooker.execute(f"EXPLAIN QUERY PLAN {text}", (1, 1)))
            assert f"{table}_tombstone" in plan
    finally:
        onlooker.close()


def test_a_purge_that_fails_is_logged(
    store: SqlStore, core: Core, rules: Rules, caplog: pytest.LogCaptureFixture, path: Path
) -> None:
    core.append(store, [tombstone(registration("a"), 5)])
    rules.refuse_begin = sqlite3.OperationalError("database is locked")
    store.purge(NOW_MS)
    store.flush()
    assert "stay until the next run: database is locked" in caplog.text
    rules.refuse_begin = None
    store.purge(NOW_MS)
    store.flush()
    assert peek(path, "SELECT count(*) FROM registration") == [(0,)]


def test_close_stores_what_was_appended(store: SqlStore, core: Core, path: Path) -> None:
    for number in range(200):
        store.append(group(str(number)), 0, core.outcomes.append)
    store.close()
    core.run()
    assert core.outcomes == [None] * 200
    assert len(keys(path)) == 200


def test_a_loop_that_is_gone_costs_no_rows(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def closed(_: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    store = SqlStore(SpiedDatabase(path, Rules()), ext_types=types(), post=closed, unique=lambda: "n")
    store.load()
    for name in "ab":
        store.append(group(name), 0, lambda error: None)
        store.flush()
    store.close()
    assert keys(path) == {"a", "b"}
    assert "Event loop is closed" in caplog.text


def test_deliveries_post_once_until_they_ran() -> None:
    core, told = Core(), []
    deliveries = Deliveries(core.post)
    deliveries.add([])
    assert core.posted == []
    for number in range(3):
        deliveries.add([(lambda _, number=number: told.append(number), None)])  # type: ignore[misc]
    assert len(core.posted) == 1
    core.run()
    deliveries.add([(lambda _: told.append(3), None)])
    core.run()
    assert told == [0, 1, 2, 3]
