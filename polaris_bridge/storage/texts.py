"""SQL as the driver gets it: compiled by SQLAlchemy from ``tables`` and kept beside this file, one file a dialect.

A test compiles them anew and compares. After a change of ``tables`` or ``statements``:
``python -m polaris_bridge.storage.statements``.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, json


class Texts(Struct, frozen=True):
    """All statements of one dialect, with positional parameters."""

    schema: int
    """Version of the declarations they were compiled from."""
    create: list[str]
    """Makes the tables in an empty database."""
    begin: str
    """Starts a transaction that writes."""
    upsert: dict[str, str]
    """By table: key columns, revision, deleted, changed_ms, document; registration also ext, marks."""
    alive: dict[str, str]
    """By table: key columns, revision, document (ext, marks) of all rows that are no tombstones."""
    ended: str
    """Source, namespace, key and time of deleted registrations, the latest first; parameter: how many at most."""
    purge: dict[str, str]
    """By table; parameters: time in milliseconds, how many rows at most."""
    meta: str
    """All pairs of the table ``meta``."""
    put_meta: str
    """Parameters: name, value."""


def file_of(dialect: str) -> Path:
    """Where the texts of a dialect are kept."""
    return Path(__file__).with_name(f"{dialect}.json")


def load_texts(dialect: str) -> Texts:
    """The texts of a dialect, as they were compiled when the declarations last changed."""
    return json.decode(file_of(dialect).read_bytes(), type=Texts)
