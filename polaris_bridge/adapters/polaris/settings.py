"""Options of the native listeners (``apiservers[].option`` and ``.api`` of ``service-grpc`` and ``api-http`` entries)."""

from __future__ import annotations

from msgspec import Struct

DISCOVER = "discover"
REGISTER = "register"
HEALTHCHECK = "healthcheck"


class PolarisSettings(Struct, frozen=True, kw_only=True):
    """How the native protocol behaves, on every listener."""

    max_metadata: int = 64
    """Pairs of metadata that a native registration may have; the original's limit. Dubbo may need more."""
    health_check: bool = True
    """``healthcheck.open``: whether heartbeats are heard; off, they are answered 400140."""
    client_report_s: float = 120.0
    """``healthcheck.clientReportInterval``: how often SDKs report; a client silent for three times that is forgotten."""


class GroupSettings(Struct, frozen=True, kw_only=True):
    """Which groups of calls one listener answers; the others get 400401."""

    client: frozenset[str] = frozenset({DISCOVER, REGISTER, HEALTHCHECK})
    console: frozenset[str] = frozenset({"default", "service", "config"})
    admin: bool = True
