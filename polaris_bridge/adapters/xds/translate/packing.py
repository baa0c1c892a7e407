"""Resources packed: content with its type, and a version that follows from it."""

from __future__ import annotations

from hashlib import blake2b

from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.wire.assignments import delimited, text


def packed(type_url: str, name: str, content: bytes) -> Resource:
    """A resource of this serialized content. Equal content, equal version."""
    whole = text(b"\x0a", type_url) + delimited(b"\x12", content)
    return Resource(name, blake2b(whole, digest_size=8).hexdigest(), whole)
