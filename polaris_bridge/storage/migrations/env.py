"""Alembic's environment: runs revisions on the connection that ``storage.migration`` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from polaris_bridge.storage.tables import Stored

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Stored.metadata,
    render_as_batch=True,  # SQLite changes a table by copying it
)
context.run_migrations()
