"""Puts the adapter together: settings in, something that listens out."""

from __future__ import annotations

from functools import partial
from typing import Final

from polaris_bridge.adapters._shared.adapter import PROXY_LIMITS, Adapter, OnePort, Surroundings
from polaris_bridge.adapters._shared.exchange import Handler
from polaris_bridge.adapters._shared.grpc_port import grpc_port
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.adapters._shared.throttle import http_limit, limited, limited_methods
from polaris_bridge.transport.rpc import Methods

from .server import grpc, grpc_config, grpc_limiter, grpc_rls
from .server.http import NativeHttp
from .server.limited import CONFIG_ANSWERS, NAMING_ANSWERS, too_many
from .service.limiting import TokenService
from .service.polaris import PolarisService
from .settings import NativeSettings, PolarisSettings
from .translate.keys import SOURCE, Document, Marks
from .wire.v1 import MESSAGES

LIMITER: Final = "service-limiter"
_HEARTBEATS: Final = {200: "ok", 400: "unknown"}


class Observers:
    """Where calls of one listener are counted."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        discovered = around.discovered
        self._discovered = None if discovered is None else partial(discovered, SOURCE)

    def observe(self, operation: str, status: int, seconds: float, /) -> None:
        """Every finished call; the status is the code's first three digits."""
        around = self._around
        around.observe(SOURCE, operation, status, seconds)
        if operation == "Heartbeat":
            around.heartbeat(SOURCE, _HEARTBEATS.get(status, "stale"))
        elif operation == "RegisterInstance":
            around.registered(seconds)

    def discovered(self, namespace: str, service: str, /) -> None:
        """Every read."""
        if self._discovered is not None:
            self._discovered(namespace, service or "*")


def service_of(around: Surroundings, settings: PolarisSettings) -> PolarisService:
    """The one native service of a server."""

    def make() -> PolarisService:
        return PolarisService(
            around.registry,
            around.authority,
            settings,
            ids=around.ids,
            pairs=around.pairs,
            locate=around.locate,
            host=around.host,
            doors=around.doors,
            accounts=around.accounts,
            too_often=None if around.throttle is None else partial(around.throttle.too_often, SOURCE),
            limiter=around.limiter,
            routing=around.routing,
            probes=around.detections,
        )

    return around.share(SOURCE, make)


def envoy_limits(around: Surroundings, settings: PolarisSettings) -> Methods:
    """What a port answers to Envoys that ask whether a request is too many."""
    native = service_of(around, settings)
    return grpc_rls.methods(native.envoy, native.admission, Observers(around))


def limiter_methods(around: Surroundings, settings: PolarisSettings) -> Methods:
    """What a port answers as a limiter: to Envoy, and, when somebody counts, to clients that limit themselves."""
    table = Methods()
    table.include(envoy_limits(around, settings))
    limiter = around.limiter
    if limiter is not None:
        registry = around.registry
        service = around.share(LIMITER, lambda: TokenService(limiter, registry.clock, registry.scheduler))
        table.include(grpc_limiter.methods(service, Observers(around)))
    return table


class NativeFace(OnePort):
    """What the native gRPC ports have in common."""

    service: PolarisService

    def sweep(self) -> None:
        """See ``Face``."""
        self.service.sweep()

    def leave(self) -> None:
        """See ``Face``: who waits for configuration is answered, over HTTP too."""
        self.service.config.watching.leave()


class GrpcFace(NativeFace):
    """One native gRPC port for discovery."""

    def __init__(self, around: Surroundings, port: GrpcSettings, settings: NativeSettings) -> None:
        self.service = service_of(around, settings.shared)
        table = limited_methods(
            grpc.methods(self.service, settings.groups, Observers(around)), around.throttle, SOURCE, NAMING_ANSWERS
        )
        table.include(limiter_methods(around, settings.shared))
        self.listener = grpc_port(port, table, allow=around.allow, pool=MESSAGES.pool)


class ConfigFace(NativeFace):
    """One native gRPC port for configuration."""

    def __init__(self, around: Surroundings, port: GrpcSettings, settings: NativeSettings) -> None:
        self.service = service_of(around, settings.shared)
        table = limited_methods(
            grpc_config.methods(self.service, settings.groups, Observers(around)),
            around.throttle,
            SOURCE,
            CONFIG_ANSWERS,
        )
        self.listener = grpc_port(port, table, allow=around.allow, pool=MESSAGES.pool)


class LimiterFace(NativeFace):
    """One port of the limiter alone."""

    def __init__(self, around: Surroundings, port: GrpcSettings, settings: NativeSettings) -> None:
        self.service = service_of(around, settings.shared)
        table = limiter_methods(around, settings.shared)
        self.listener = grpc_port(port, table, allow=around.allow, pool=MESSAGES.pool)


def routes(around: Surroundings, settings: NativeSettings) -> Handler:
    """What one main HTTP port answers natively."""
    service = service_of(around, settings.shared)
    native = NativeHttp(
        service.routes(pprof=settings.groups.pprof), service.admission, settings.groups, Observers(around).observe
    )
    return limited(native.handle, http_limit(around.throttle, SOURCE, too_many))


CLAIM: Final = "polaris-server 1.19.0"

ADAPTER: Final = Adapter(
    "service-grpc",
    SOURCE,
    CLAIM,
    Document,
    Marks,
    GrpcFace,
    routes=routes,
    offers={PROXY_LIMITS: envoy_limits},
    others={"config-grpc": ConfigFace, LIMITER: LimiterFace},
)
