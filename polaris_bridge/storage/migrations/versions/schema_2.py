"""Schema 2: documents (rules, contracts, clients) beside the registrations. Frozen, whatever ``tables`` says later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Add the table; what is there stays as it is."""
    op.create_table(
        "document",
        _text("kind", 32),
        _text("id", 255),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("deleted", sa.SmallInteger, nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("document", sa.LargeBinary(1 << 24)),
    )
    dead = sa.text("deleted = 1")
    op.create_index("document_tombstone", "document", ["changed_ms"], sqlite_where=dead, postgresql_where=dead)


def _text(name: str, length: int) -> sa.Column[str]:
    kind = sa.String(length).with_variant(VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql")
    return sa.Column(name, kind, primary_key=True)
