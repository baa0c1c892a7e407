"""Values to put into stores, a stand-in for the core's thread, an onlooker."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from polaris_bridge.core.model import Lease, Registration
from polaris_bridge.core.ports import REGISTRATION, ExtTypes, Row, Store

NOW_MS = 1_700_000_000_000


class Ext(Struct, frozen=True, gc=False):
    """Attributes of the source ``known``."""

    app: str = ""
    ports: dict[str, int] = {}


class Marks(Struct, frozen=True, gc=False, array_like=True):
    """Bookkeeping of the source ``known``."""

    dirty_ms: int = 0
    action: str = ""


def types() -> ExtTypes:
    """The structs of ``known``; every other source is not declared."""
    declared = ExtTypes()
    declared.declare("known", Ext, Marks)
    return declared


def registration(key: str = "a", **fields: Any) -> Registration:
    """A registration; what is not said has a value that differs from the default where that is easy."""
    values: dict[str, Any] = {
        "source": "known",
        "namespace": "default",
        "service": "orders",
        "host": "10.0.0.1",
        "port": 8080,
        "liveness": Lease(30_000, 90_000, 90_000),
        "metadata": {"zone": "a"},
        "revision": 7,
    }
    return Registration(key=key, **values | fields)


def row(value: Registration, changed_ms: int = NOW_MS) -> Row:
    """A registration as a row."""
    return Row(REGISTRATION, tuple(value.id), value.revision, value, changed_ms)


def tombstone(value: Registration, changed_ms: int = NOW_MS) -> Row:
    """The end of a registration."""
    return Row(REGISTRATION, tuple(value.id), value.revision + 1, None, changed_ms)


class Core:
    """Stands for the core's thread: keeps what is posted until the test runs it, and the outcomes of appends."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], None]] = []
        self.outcomes: list[Exception | None] = []

    def post(self, run: Callable[[], None]) -> None:
        self.posted.append(run)

    def run(self) -> None:
        """Run what was posted."""
        while self.posted:
            self.posted.pop(0)()

    def append(self, store: Store, rows: Sequence[Row], reserve: int = 0) -> Exception | None:
        """Append, wait, and the outcome."""
        before = len(self.outcomes)
        store.append(rows, reserve, self.outcomes.append)
        store.flush()
        self.run()
        assert len(self.outcomes) == before + 1, "an outcome is told exactly once"
        return self.outcomes[-1]


Open = Callable[..., Store]


def peek(path: Path, text: str) -> list[Any]:
    """Rows of a query by an onlooker, also while a store is open."""
    onlooker = sqlite3.connect(path)
    try:
        return onlooker.execute(text).fetchall()
    finally:
        onlooker.close()
