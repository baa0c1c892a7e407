"""Tags for readers of protocols that have none: those of the form ``key=value`` read as metadata (mapping.md section 2.4)."""

from __future__ import annotations

from polaris_bridge.core.model import Registration


def metadata_of(r: Registration) -> dict[str, str]:
    """A registration's metadata with its tags of the form ``key=value``, where it has no such key itself."""
    if not r.tags:
        return r.metadata
    found: dict[str, str] = {}
    for tag in r.tags:
        key, equals, value = tag.partition("=")
        if equals and key:
            found.setdefault(key, value)
    return {**found, **r.metadata} if found else r.metadata
