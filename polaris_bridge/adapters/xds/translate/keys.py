"""What the core knows of this protocol: its name, and what it keeps with a registration."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

SOURCE: Final = "xds"
"""The source of registrations that Envoys make."""


class Health(Struct, frozen=True, gc=False, tag="xds-health", array_like=True):
    """``ext`` of an instance that an Envoy registered: how it is checked there."""

    path: str = ""
    """Of an HTTP check; "" = whether a TCP connection is taken."""
    port: int = 0
    """Where it is checked."""


class Marks(Struct, frozen=True, gc=False, tag="xds-marks", array_like=True):
    """``marks``: none are kept."""
