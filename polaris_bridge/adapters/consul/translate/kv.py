"""Entries of the core as those of the protocol."""

from __future__ import annotations

from polaris_bridge.adapters.consul.wire.kv import KvPair
from polaris_bridge.core.kv.model import Entry


def pair(entry: Entry, *, value: bool = True) -> KvPair:
    """An entry, with or without its value."""
    return KvPair(
        LockIndex=entry.lock_index,
        Key=entry.key,
        Flags=entry.flags,
        Value=(entry.value or None) if value else None,
        Session=entry.session,
        CreateIndex=entry.create_index,
        ModifyIndex=entry.modify_index,
    )
