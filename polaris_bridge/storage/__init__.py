"""Durable rows of the registry: the forms of ``core.ports.Store``.

``memory`` keeps rows as long as the process lives, ``sql`` in a database (SQLite today). Importing this package is cheap:
the table declarations (SQLModel, SQLAlchemy) and Alembic are only imported where their tasks arise, see ``texts``.
"""

from __future__ import annotations

from .opening import KINDS, open_store

__all__ = ["KINDS", "open_store"]
