"""Options of xDS (``apiservers[].option`` of an ``xds-v3`` entry)."""

from __future__ import annotations

from msgspec import Struct

MAX_BACKLOG = 64 * 1024 * 1024
"""Octets that may wait for one stream's client: a first answer about 10,000 services is larger than what others push."""


class XdsSettings(Struct, frozen=True, kw_only=True):
    """How one listener behaves, and what its listeners have in common."""

    auth: bool = False
    """Whether credentials are asked for."""
    certificates: bool = False
    """Whether clients show a certificate, which is as good as a token: the listener has a ``trustedCAFile``."""
    interval_s: float = 0.05
    """Seconds between two changes that the same clients are told of; the first goes out at once. The first listener says so."""
