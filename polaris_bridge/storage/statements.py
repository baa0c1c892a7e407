"""The statements, in SQLAlchemy Core over the declared tables, and their compilation to ``Texts``.

The dialects differ in two places only, both here: the upsert (``_UPSERT``) and how a writing transaction begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import json
from sqlalchemy import Dialect, Table, bindparam, delete, literal_column, select, tuple_
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement

from polaris_bridge.core.ports import TABLES

from .tables import DEAD, SCHEMA, Stored
from .texts import Texts, file_of


def _on_conflict(insert: Callable[[Table], Any]) -> Callable[[Table], Any]:
    def upsert(table: Table) -> Any:
        statement = insert(table)
        changed = {column.name: statement.excluded[column.name] for column in _values(table)}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)

    return upsert


def _on_duplicate_key(table: Table) -> Any:
    statement = mysql.insert(table)
    return statement.on_duplicate_key_update({c.name: statement.inserted[c.name] for c in _values(table)})


_UPSERT: dict[str, Callable[[Table], Any]] = {
    "sqlite": _on_conflict(sqlite.insert),
    "postgresql": _on_conflict(postgresql.insert),
    "mysql": _on_duplicate_key,
}

_BEGIN = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "BEGIN", "mysql": "BEGIN"}

_NOT_READ = frozenset({"deleted", "changed_ms"})


def _values(table: Table) -> list[Any]:
    return [column for column in table.columns if not column.primary_key]


def _alive(table: Table) -> Any:
    return select(*(c for c in table.columns if c.name not in _NOT_READ)).where(literal_column("deleted = 0"))


def _ended(table: Table) -> Any:
    """With an offset, because SQLite's compiler would else add one as a parameter."""
    chosen = select(table.c.source, table.c.namespace, table.c.key, table.c.changed_ms).where(DEAD)
    return chosen.order_by(table.c.changed_ms.desc()).limit(bindparam("rows")).offset(literal_column("0"))


def _purge(table: Table) -> Any:
    """Deletes a slice. The second, nested select is for MySQL, which else refuses to read what it deletes from."""
    key = list(table.primary_key)
    old = (
        select(*key)
        .where(DEAD, table.c.changed_ms < bindparam("before_ms"))
        .limit(bindparam("rows"))
        .offset(literal_column("0"))  # SQLite's compiler would put a parameter there
        .subquery("old")
    )
    return delete(table).where(tuple_(*key).in_(select(*old.c)))


def compile_texts(dialect: Dialect) -> Texts:
    """All statements for a dialect whose ``paramstyle`` is a positional one (``qmark``, ``format``)."""
    tables = {name: Stored.metadata.tables[name] for name in TABLES}
    meta = Stored.metadata.tables["meta"]
    upsert = _UPSERT[dialect.name]

    def text(statement: ClauseElement) -> str:
        return " ".join(str(statement.compile(dialect=dialect)).split())

    create = [text(CreateTable(table)) for table in (meta, *tables.values())]
    create += [text(CreateIndex(index)) for table in tables.values() for index in table.indexes]
    return Texts(
        schema=SCHEMA,
        create=create,
        begin=_BEGIN[dialect.name],
        upsert={name: text(upsert(table)) for name, table in tables.items()},
        alive={name: text(_alive(table)) for name, table in tables.items()},
        ended=text(_ended(tables["registration"])),
        purge={name: text(_purge(table)) for name, table in tables.items()},
        meta=text(select(meta)),
        put_meta=text(upsert(meta)),
    )


def sqlite_texts() -> Texts:
    """The texts that ``sqlite.json`` must hold."""
    return compile_texts(sqlite.dialect(paramstyle="qmark"))


def kept_form(texts: Texts) -> bytes:
    """A file of texts."""
    return json.format(json.encode(texts), indent=2) + b"\n"


if __name__ == "__main__":
    file_of("sqlite").write_bytes(kept_form(sqlite_texts()))
