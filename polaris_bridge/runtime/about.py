"""What ``polaris-bridge version`` says: the program, its database, and which servers it claims to be."""

from __future__ import annotations

from polaris_bridge import __version__


def facts() -> list[tuple[str, str]]:
    """Names and values, in the order of showing. Imports the adapters."""
    from polaris_bridge.adapters import ADAPTERS
    from polaris_bridge.storage.texts import load_texts

    schema = str(load_texts("sqlite").schema)
    claims = [(adapter.source, adapter.claim) for adapter in ADAPTERS]
    return [("polaris-bridge", __version__), ("database schema", schema), *claims]
