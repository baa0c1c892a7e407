"""The kept statements are those that the declarations give, and starting does not pay for the declarations."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import mysql, postgresql

from polaris_bridge.core.ports import TABLES
from polaris_bridge.storage.statements import compile_texts, kept_form, sqlite_texts
from polaris_bridge.storage.texts import file_of, load_texts


def test_kept_texts_are_what_the_declarations_compile_to() -> None:
    assert load_texts("sqlite") == sqlite_texts(), "run python -m polaris_bridge.storage.statements"
    assert file_of("sqlite").read_bytes() == kept_form(sqlite_texts())


@pytest.mark.parametrize(
    ("dialect", "sign", "upsert"),
    [
        (mysql.dialect(paramstyle="format"), "%s", "ON DUPLICATE KEY UPDATE"),
        (postgresql.dialect(paramstyle="format"), "%s", "ON CONFLICT"),
    ],
    ids=["mysql", "postgresql"],
)
def test_other_dialects_take_the_same_parameters(dialect: Dialect, sign: str, upsert: str) -> None:
    ours, theirs = load_texts("sqlite"), compile_texts(dialect)
    for table in TABLES:
        assert upsert in theirs.upsert[table]
        assert theirs.upsert[table].count(sign) == ours.upsert[table].count("?")
        assert theirs.purge[table].count(sign) == ours.purge[table].count("?") == 2
        assert theirs.alive[table].count(sign) == 0
    assert len(theirs.create) == len(ours.create)


def test_using_the_store_imports_neither_sqlalchemy_nor_alembic(tmp_path: object) -> None:
    program = f"""
import sys
from pathlib import Path
from polaris_bridge.core.ports import ExtTypes
from polaris_bridge.storage import open_store
store = open_store("sqlite", path=Path({str(tmp_path)!r}) / "r.db", synchronous="normal", ext_types=ExtTypes(),
    post=lambda run: run(), unique=lambda: "n", wall_ms=lambda: 0)
store.load()
store.close()
print(sorted({{name.partition(".")[0] for name in sys.modules}} & {{"sqlalchemy", "sqlmodel", "alembic", "pydantic"}}))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert answer.stdout.strip() == "[]"
