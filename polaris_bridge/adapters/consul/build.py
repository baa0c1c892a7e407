"""Puts the adapter together: settings in, something that listens out."""

from __future__ import annotations

import random
import socket
from functools import partial
from typing import Final

from polaris_bridge.adapters._shared.adapter import Adapter, OnePort, Surroundings
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.settings import HttpSettings

from .server.http import ConsulHttp
from .server.routes import ROUTES
from .service.consul import ConsulService
from .service.state import ConsulState
from .settings import ConsulSettings
from .translate.keys import SOURCE, Document, Marks

_REGISTERS: Final = frozenset({"PUT /v1/agent/service/register", "PUT /v1/catalog/register"})
_HEARTBEATS: Final = frozenset(f"PUT /v1/agent/check/{word}/" for word in ("pass", "warn", "fail", "update"))
_RESULTS: Final = {200: "ok", 404: "unknown"}


class ConsulFace(OnePort):
    """One Consul HTTP port."""

    def __init__(self, around: Surroundings, http: HttpSettings, settings: ConsulSettings) -> None:
        host = around.host
        self.service = ConsulService(
            around.registry,
            around.authority,
            settings,
            ids=around.ids,
            host_name=socket.gethostname(),
            address=lambda: "127.0.0.1" if host is None else host.address,
            state=around.share(SOURCE, lambda: ConsulState(around.registry)),
        )
        self._around = around
        self._http = ConsulHttp(self.service, ROUTES, random=random.random, observe=self._observe)
        self.listener = HttpListener(
            http,
            self._http.handle,
            hot=self._http.hot,
            app=self._http.app(),
            internal_error=self._http.internal_error,
            allow=around.allow,
        )
        self._heard = partial(around.heartbeat, SOURCE)

    def sweep(self) -> None:
        """See ``Face``."""
        self.service.sweep()

    def leave(self) -> None:
        """See ``Face``. Who waits is answered now."""
        self._http.leave()

    def _observe(self, operation: str, status: int, seconds: float) -> None:
        self._around.observe(SOURCE, operation, status, seconds)
        if operation in _HEARTBEATS:
            self._heard(_RESULTS.get(status, "stale"))
        elif operation in _REGISTERS:
            self._around.registered(seconds)


CLAIM: Final = "Consul 1.20"

ADAPTER: Final = Adapter("service-consul", SOURCE, CLAIM, Document, Marks, ConsulFace)
