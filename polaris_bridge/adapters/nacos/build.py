"""Puts the adapter together: settings in, something that listens on two ports out."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.adapter import Adapter, Listener, Surroundings
from polaris_bridge.adapters._shared.grpc_port import grpc_port
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.throttle import http_limit, limited_methods

from .server.grpc import REQUEST, STREAM, methods
from .server.http import NacosHttp
from .server.limited import TooMany
from .server.routes import ROUTES, without_config
from .server.udp import UdpPort
from .service.cluster_nodes import Place
from .service.nacos import NacosService
from .settings import GRPC_OFFSET, ListenerSettings, NacosSettings
from .translate.instances import native_pairs
from .translate.keys import SOURCE, Document, Marks

_REGISTERS: Final = frozenset(
    {
        "POST /v1/ns/instance",
        "POST /v2/ns/instance",
        "POST /v3/client/ns/instance",
        "POST /v3/admin/ns/instance",
        "InstanceRequest",
        "BatchInstanceRequest",
        "PersistentInstanceRequest",
    }
)
_ATTEMPTS: Final = 50
"""To find two free ports a thousand apart."""


class NacosFace:
    """One Nacos listener: HTTP and, 1000 above it, gRPC; 1.x clients are told of changes by UDP."""

    def __init__(self, around: Surroundings, ports: ListenerSettings, settings: NacosSettings) -> None:
        self.service = NacosService(
            around.registry,
            around.authority,
            settings,
            ids=around.ids,
            accounts=around.accounts,
            pairs=around.pairs,
            health=around.health,
            routing=around.routing,
        )
        self.service.pushing.told = self._told
        self._around = around
        self._ports = ports
        discovered = None if around.discovered is None else partial(around.discovered, SOURCE)
        self._http = NacosHttp(
            self.service,
            ROUTES if settings.config_open else without_config(ROUTES),
            observe=self._observe,
            heartbeat=partial(around.heartbeat, SOURCE),
            discovered=discovered,
        )
        self._too_many = TooMany(around.registry.scheduler)
        self._methods = limited_methods(
            methods(self.service, observe=self._observe, discovered=discovered),
            around.throttle,
            SOURCE,
            {REQUEST: self._too_many.request, STREAM: None},  # what comes by the stream are answers to us
        )
        self._udp = UdpPort(self.service, ports.http.host)
        self.listeners: Sequence[Listener] = self._listening(ports)

    def _listening(self, ports: ListenerSettings) -> tuple[Listener, Listener]:
        http = self._http
        allow = self._around.allow
        return (
            HttpListener(
                ports.http,
                http.handle,
                hot=http.hot,
                app=http.app(),
                internal_error=http.internal_error,
                allow=allow,
                limit=http_limit(self._around.throttle, SOURCE, self._too_many.http),
            ),
            grpc_port(ports.grpc, self._methods, allow=allow, pool=None),
        )

    async def start(self) -> None:
        """See ``Face``."""
        if self._ports.http.port == 0:
            self.listeners = self._listening(_free_pair(self._ports))
        begun: list[Listener] = []
        try:
            for listener in self.listeners:
                await listener.start()
                begun.append(listener)
            await self._udp.start()
        except OSError:
            for listener in begun:
                await listener.stop(0)
            raise
        self._locate()

    def sweep(self) -> None:
        """See ``Face``."""
        self._locate()
        self.service.sweep()

    def _locate(self) -> None:
        """Where this server is, for those who ask; others may reach it by another address than a moment ago."""
        host = self._around.host
        if host is not None:
            self.service.place = Place(host.address, self.listeners[0].port)

    def leave(self) -> None:
        """See ``Face``. What connections hold stays for their clients to come back to, after the next start."""
        self.service.connections.leave()
        self.service.polling.leave()

    def close(self) -> None:
        """See ``Face``."""
        self._udp.close()

    def _told(self, by: str, seconds: float, since_s: float) -> None:
        self._around.pushed(by, SOURCE, seconds, since_s)

    def _observe(self, operation: str, status: int, seconds: float) -> None:
        self._around.observe(SOURCE, operation, status, seconds)
        if operation in _REGISTERS:
            self._around.registered(seconds)


def _free_pair(ports: ListenerSettings) -> ListenerSettings:
    """Two ports that are free now. Raises OSError when there are none."""
    host = ports.http.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(_ATTEMPTS):
        with socket.socket(family) as lower, socket.socket(family) as upper:
            lower.bind((host, 0))
            port = int(lower.getsockname()[1])
            try:
                upper.bind((host, port + GRPC_OFFSET))
            except (OSError, OverflowError):
                continue
            return ListenerSettings(
                http=structs.replace(ports.http, port=port), grpc=structs.replace(ports.grpc, port=port + GRPC_OFFSET)
            )
    raise OSError(f"{ports.http.name}: no two free ports {GRPC_OFFSET} apart were found; name one by listenPort")


CLAIM: Final = "Nacos 2.5.1"

ADAPTER: Final = Adapter("service-nacos", SOURCE, CLAIM, Document, Marks, NacosFace, pairs=native_pairs)
