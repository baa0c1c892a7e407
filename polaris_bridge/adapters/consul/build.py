"""Puts the adapter together: settings in, something that listens out."""

from __future__ import annotations

import random
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from polaris_bridge.adapters._shared.adapter import Adapter, Listener, Surroundings
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.throttle import http_limit

from .server.dns import Resolver
from .server.dns_listener import DnsListener
from .server.dns_recursors import Recursors
from .server.http import ConsulHttp
from .server.limited import limited_names, too_many
from .server.routes import ROUTES
from .service.consul import ConsulService
from .service.state import ConsulState
from .settings import ConsulSettings, ListenerSettings
from .translate.keys import SOURCE, Document, Marks
from .translate.services import native_pairs

_REGISTERS: Final = frozenset({"PUT /v1/agent/service/register", "PUT /v1/catalog/register"})
_HEARTBEATS: Final = frozenset(f"PUT /v1/agent/check/{word}/" for word in ("pass", "warn", "fail", "update"))
_RESULTS: Final = {200: "ok", 404: "unknown"}


class ConsulFace:
    """One Consul listener: HTTP and, on a port of its own, DNS."""

    def __init__(self, around: Surroundings, ports: ListenerSettings, settings: ConsulSettings) -> None:
        host = around.host
        self.service = ConsulService(
            around.registry,
            around.authority,
            settings,
            ids=around.ids,
            host_name=socket.gethostname(),
            address=lambda: "127.0.0.1" if host is None else host.address,
            state=around.share(SOURCE, lambda: ConsulState(around.registry, around.health)),
            shuffle=random.shuffle,
            random=random.random,
            routing=around.routing,
            locate=around.locate,
        )
        self._around = around
        self._http = ConsulHttp(self.service, ROUTES, random=random.random, observe=self._observe)
        http = HttpListener(
            ports.http,
            self._http.handle,
            hot=self._http.hot,
            app=self._http.app(),
            internal_error=self._http.internal_error,
            allow=around.allow,
            limit=http_limit(around.throttle, SOURCE, too_many),
        )
        self._heard = partial(around.heartbeat, SOURCE)
        names = settings.dns
        self._recursors = Recursors(names.recursors, names.recursor_timeout_s) if names.recursors else None
        resolver = Resolver(
            self.service.names,
            names,
            self._recursors,
            observe=partial(around.observe, SOURCE),
            prepare=self.service.slices.run,
        )
        resolve = limited_names(resolver.resolve, around.throttle)
        dns = () if ports.dns is None else (DnsListener(ports.dns, resolve, allow=around.allow),)
        self.listeners: Sequence[Listener] = (http, *dns)

    async def start(self) -> None:
        """See ``Face``."""
        begun: list[Listener] = []
        try:
            for listener in self.listeners:
                await listener.start()
                begun.append(listener)
        except OSError:
            for listener in begun:
                await listener.stop(0)
            raise

    def close(self) -> None:
        """See ``Face``."""
        if self._recursors is not None:
            self._recursors.close()

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

ADAPTER: Final = Adapter("service-consul", SOURCE, CLAIM, Document, Marks, ConsulFace, pairs=native_pairs)
