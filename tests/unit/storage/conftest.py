"""Stores under test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stored import NOW_MS, Core, Open, types

from polaris_bridge.core.ports import ExtTypes, Store
from polaris_bridge.storage import open_store


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "registry.db"


@pytest.fixture
def opened(core: Core, path: Path) -> Iterator[Open]:
    """Makes SQLite stores at ``path`` and closes them in the end."""
    stores: list[Store] = []

    def make(synchronous: str = "normal", ext_types: ExtTypes | None = None) -> Store:
        stores.append(
            open_store(
                "sqlite",
                path=path,
                synchronous=synchronous,
                ext_types=ext_types or types(),
                post=core.post,
                unique=lambda: "0123456789abcdef0123456789abcdef",
                wall_ms=lambda: NOW_MS,
            )
        )
        return stores[-1]

    yield make
    for store in stores:
        store.close()
