"""Alembic's environment and revisions of the store. To add one, see ``storage/README.md``."""
