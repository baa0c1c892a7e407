"""Options of the native listeners (``apiservers[].option`` and ``.api`` of ``service-grpc`` and ``api-http`` entries)."""

from __future__ import annotations

from msgspec import Struct

from polaris_bridge.core.breaking.model import BreakingTerms

DISCOVER = "discover"
REGISTER = "register"
HEALTHCHECK = "healthcheck"
CONFIG = "config"
CLIENT_PARTS = frozenset({DISCOVER, REGISTER, HEALTHCHECK, CONFIG})
CONSOLE_PARTS = frozenset({"default", "service", "config"})


class BreakingSettings(Struct, frozen=True):
    """How the server breaks circuits."""

    terms: BreakingTerms = BreakingTerms()
    results_per_second: int = 1000
    """Results that one caller may tell."""


class PolarisSettings(Struct, frozen=True, kw_only=True):
    """How the native protocol behaves, on every listener."""

    max_metadata: int = 64
    """Pairs of metadata that a native registration may have; the original's limit. Dubbo may need more."""
    health_check: bool = True
    """``healthcheck.open``: whether heartbeats are heard; off, they are answered 400140."""
    kept_answers: int = 128
    """Services whose encoded answer is kept (``sizeCacheProto``); 0 = none (``enableCacheProto: false``)."""
    client_report_s: float = 120.0
    """``healthcheck.clientReportInterval``: how often SDKs report; a client silent for three times that is forgotten."""
    config_open: bool = True
    """``config.open``: whether the configuration centre is served."""
    content_max: int = 20_000
    """``config.contentMaxLength``: characters that a content written through the native protocol may have."""
    breaking: BreakingSettings | None = BreakingSettings()
    """``circuitBreaker``: how calls that fail are found out, and instances left alone; None: not at all."""
    validate_format: bool = False
    """``config.validateFormat``: whether a published content that is not what its format says is refused."""


class GroupSettings(Struct, frozen=True, kw_only=True):
    """Which groups of calls one listener answers: on gRPC the others get 400401, on HTTP 404."""

    client: frozenset[str] = CLIENT_PARTS
    console: frozenset[str] = CONSOLE_PARTS
    admin: bool = True
    swagger: bool = False
    """Whether the description of the HTTP API is served."""
    pprof: bool = False
    """Whether profiles can be asked for."""


class NativeSettings(Struct, frozen=True, kw_only=True):
    """What one listener is told."""

    shared: PolarisSettings = PolarisSettings()
    groups: GroupSettings = GroupSettings()
