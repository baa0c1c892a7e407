"""Puts the adapter together: settings in, something that listens out."""

from __future__ import annotations

from functools import partial
from typing import Final

from polaris_bridge.adapters._shared.adapter import Adapter, OnePort, Surroundings
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.settings import HttpSettings
from polaris_bridge.adapters._shared.throttle import http_limit
from polaris_bridge.core.ports import OpenDoor

from .server import EurekaServer, too_many
from .service import EurekaService
from .settings import EurekaSettings
from .translate import SOURCE, Document, Marks, native_pairs

_HEARTBEATS: Final = {200: "ok", 404: "unknown"}


class EurekaFace(OnePort):
    """One Eureka port."""

    def __init__(self, around: Surroundings, http: HttpSettings, settings: EurekaSettings) -> None:
        asked = settings.auth or around.doors is None
        self.service = EurekaService(
            around.registry, settings, around.authority if asked else OpenDoor(), around.routing
        )
        self._around = around
        discovered = None if around.discovered is None else partial(around.discovered, SOURCE)
        server = EurekaServer(self.service, self._observe, discovered=discovered)
        limit = http_limit(around.throttle, SOURCE, too_many)
        self.listener = HttpListener(
            http, server.handle, hot=server.hot, app=server.app(), allow=around.allow, limit=limit
        )

    def sweep(self) -> None:
        """See ``Face``."""
        self.service.sweep()

    def _observe(self, operation: str, status: int, seconds: float) -> None:
        self._around.observe(SOURCE, operation, status, seconds)
        if operation == "PUT instance":
            self._around.heartbeat(SOURCE, _HEARTBEATS.get(status, "stale"))
        elif operation == "POST app":
            self._around.registered(seconds)


CLAIM: Final = "Eureka 2.0.5"

ADAPTER: Final = Adapter(
    "service-eureka", SOURCE, CLAIM, Document, Marks, EurekaFace, pairs=native_pairs, caseless=True
)
