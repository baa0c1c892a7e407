"""Schema 1, the first: what ``tables`` declared when it was released. Frozen, whatever ``tables`` says later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "1"
down_revision = None


def upgrade() -> None:
    """Make the tables in an empty database."""
    op.create_table("meta", _text("name", 64), sa.Column("value", sa.String(255), nullable=False))
    _table("namespace", _text("name", 128))
    _table("service", _text("namespace", 128), _text("name", 128))
    _table("registration", _text("source", 32), _text("namespace", 128), _text("key", 512), blobs=("ext", "marks"))
    _table(
        "switch",
        _text("namespace", 128),
        _text("service", 128),
        _text("host", 253),
        sa.Column("port", sa.Integer, primary_key=True, autoincrement=False),
        _text("vpc", 64),
        _text("source", 32),
        _text("key", 512),
    )


def _text(name: str, length: int) -> sa.Column[str]:
    kind = sa.String(length).with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
    return sa.Column(name, kind, primary_key=True)


def _table(name: str, *key: sa.Column[str] | sa.Column[int], blobs: tuple[str, ...] = ()) -> None:
    op.create_table(
        name,
        *key,
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.SmallInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        *(sa.Column(blob, sa.LargeBinary(1 << 24)) for blob in ("document", *blobs)),
    )
    dead = sa.text("deleted = 1")
    op.create_index(f"{name}_tombstone", name, ["changed_ms"], sqlite_where=dead, postgresql_where=dead)
