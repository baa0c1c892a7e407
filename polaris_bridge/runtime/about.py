"""What ``polaris-bridge version`` says: the program, its database, and which servers it claims to be."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from polaris_bridge import __version__

ADAPTERS: Final = ("eureka",)
"""Packages of adapters that can be switched on. Each has a constant ``CLAIM``: the server and version it behaves as."""


def facts() -> list[tuple[str, str]]:
    """Names and values, in the order of showing. Imports the table declarations and the adapters."""
    from polaris_bridge.storage.tables import SCHEMA

    claims = [(name, str(import_module(f"polaris_bridge.adapters.{name}").CLAIM)) for name in ADAPTERS]
    return [("polaris-bridge", __version__), ("database schema", str(SCHEMA)), *claims]
