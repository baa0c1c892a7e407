"""The kinds of checks: what adapters ask for and probes perform. To the core they are words."""

from __future__ import annotations

from typing import Final

HTTP: Final = "http"
"""A request, of whose answer the status counts."""
TCP: Final = "tcp"
"""Whoever accepts a connection is well."""
MYSQL: Final = "mysql"
"""A login and a query."""
