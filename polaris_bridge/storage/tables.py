"""The tables: the single declaration of what is stored, for every dialect.

Only ``statements`` and the migrations import this; a running server uses the texts compiled from it (see ``texts``),
because SQLModel costs more start-up time and memory than everything else in the process together.

Columns of each table: its key; ``revision`` of the write; ``deleted`` 1 marks a tombstone; ``changed_ms`` when; the rest
of the value as one ``document`` (``documents``), so that a new field of a value needs no change of the schema.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, ColumnElement, Index, Integer, LargeBinary, SmallInteger, String, literal_column
from sqlalchemy.dialects.mysql import VARCHAR
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

SCHEMA = 2
"""Version of these declarations. Raising it takes a script in ``migrations/versions`` and a new ``texts`` file."""


def _name(length: int) -> TypeEngine[str]:
    """Text that is compared byte by byte, in MySQL too."""
    return String(length).with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql")


_BLOB = LargeBinary(1 << 24)  # MySQL takes the smallest type that fits; its default ends at 64 KiB

DEAD: Final[ColumnElement[bool]] = literal_column("deleted = 1")
"""The condition of the partial indexes; a query that is to use them has to say the same."""


def _tombstones(table: str) -> tuple[Index]:
    """What makes ``purge`` cheap and costs living rows nothing where indexes can be partial."""
    return (Index(f"{table}_tombstone", "changed_ms", sqlite_where=DEAD, postgresql_where=DEAD),)


class Stored(SQLModel, registry=registry()):
    """Base with a registry of its own: a test process may declare tables of the same names."""


class Meta(Stored, table=True):
    """Facts of the store itself: ``schema``, ``node``, ``epoch``, ``reserved``."""

    name: str = Field(sa_type=_name(64), primary_key=True)
    value: str = Field(sa_type=String(255))


class Namespace(Stored, table=True):
    """``NamespaceRecord``."""

    __table_args__ = _tombstones("namespace")
    name: str = Field(sa_type=_name(128), primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=SmallInteger)
    changed_ms: int = Field(sa_type=BigInteger)
    document: bytes | None = Field(sa_type=_BLOB)


class Service(Stored, table=True):
    """``ServiceRecord``."""

    __table_args__ = _tombstones("service")
    namespace: str = Field(sa_type=_name(128), primary_key=True)
    name: str = Field(sa_type=_name(128), primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=SmallInteger)
    changed_ms: int = Field(sa_type=BigInteger)
    document: bytes | None = Field(sa_type=_BLOB)


class Registration(Stored, table=True):
    """``Registration``; ``ext`` and ``marks`` apart, because only their adapter can read them."""

    __table_args__ = _tombstones("registration")
    source: str = Field(sa_type=_name(32), primary_key=True)
    namespace: str = Field(sa_type=_name(128), primary_key=True)
    key: str = Field(sa_type=_name(512), primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=SmallInteger)
    changed_ms: int = Field(sa_type=BigInteger)
    document: bytes | None = Field(sa_type=_BLOB)
    ext: bytes | None = Field(sa_type=_BLOB)
    marks: bytes | None = Field(sa_type=_BLOB)


class Switch(Stored, table=True):
    """``SwitchRow``."""

    __table_args__ = _tombstones("switch")
    namespace: str = Field(sa_type=_name(128), primary_key=True)
    service: str = Field(sa_type=_name(128), primary_key=True)
    host: str = Field(sa_type=_name(253), primary_key=True)
    port: int = Field(sa_type=Integer, primary_key=True)
    vpc: str = Field(sa_type=_name(64), primary_key=True)
    source: str = Field(sa_type=_name(32), primary_key=True)
    key: str = Field(sa_type=_name(512), primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=SmallInteger)
    changed_ms: int = Field(sa_type=BigInteger)
    document: bytes | None = Field(sa_type=_BLOB)


class Document(Stored, table=True):
    """``Document``."""

    __table_args__ = _tombstones("document")
    kind: str = Field(sa_type=_name(32), primary_key=True)
    id: str = Field(sa_type=_name(255), primary_key=True)
    revision: int = Field(sa_type=BigInteger)
    deleted: int = Field(sa_type=SmallInteger)
    changed_ms: int = Field(sa_type=BigInteger)
    document: bytes | None = Field(sa_type=_BLOB)
