"""A server inside somebody's test: free ports, a store of its own, nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from polaris_bridge.runtime.config import load
from polaris_bridge.runtime.server import Server


class Running:
    """A running server and where it listens."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @property
    def registry(self) -> object:
        """The core's registry, for looking at what is really there."""
        return self.server.registry

    @property
    def eureka(self) -> str:
        """Service URL for Eureka clients."""
        return f"http://127.0.0.1:{self._port('service-eureka')}/eureka"

    @property
    def front(self) -> str:
        """Base URL of the main HTTP port."""
        return f"http://127.0.0.1:{self.server.front_port}"

    @property
    def grpc(self) -> str:
        """host:port for native SDKs."""
        return f"127.0.0.1:{self._port('service-grpc')}"

    @property
    def config(self) -> str:
        """host:port of the configuration centre for native SDKs."""
        return f"127.0.0.1:{self._port('config-grpc')}"

    @property
    def nacos(self) -> str:
        """host:port for Nacos clients of every generation; gRPC is 1000 above."""
        return f"127.0.0.1:{self._port('service-nacos')}"

    @property
    def consul(self) -> str:
        """host:port for Consul clients over HTTP."""
        return f"127.0.0.1:{self._port('service-consul')}"

    @property
    def dns(self) -> str:
        """host:port for names, over UDP and TCP."""
        return f"127.0.0.1:{self._port('service-consul-dns')}"

    @property
    def limiter(self) -> str:
        """host:port of the limiter alone, which ``polaris`` answers as well."""
        return f"127.0.0.1:{self._port('service-limiter')}"

    @property
    def xds(self) -> str:
        """host:port for gRPC's xDS clients and Envoy."""
        return f"127.0.0.1:{self._port('xds-v3')}"

    def _port(self, name: str) -> int:
        return next(d.port for d in (each.describe() for each in self.server.listeners) if d.name == name)


@asynccontextmanager
async def server(
    *, config: Path | None = None, data: Path | None = None, sets: Sequence[str] = ()
) -> AsyncIterator[Running]:
    """A server on free ports of 127.0.0.1, on the running event loop.

    Nobody is asked for a token, unless ``sets`` say ``auth.strategy.option.consoleOpen=true`` or ``clientOpen=true``.
    ``config`` is a configuration file instead of the shipped one. Without ``data`` everything is in memory; with it there is
    a SQLite store under that folder. ``sets`` are overrides as of ``polaris-bridge serve --set``.
    """
    with TemporaryDirectory() as scratch:
        folder = data or Path(scratch)
        given = [
            "apiservers.*.option.listenPort=0",
            "apiservers.service-consul.option.dnsPort=0",
            "auth.strategy.option.consoleOpen=false",
        ]
        if data is None:
            given.append("store={name: memoryStore}")
        loaded = load(config, sets=[*given, *sets], data_dir=folder, listen="127.0.0.1")
        running = Server(loaded.config, data=folder)
        try:
            await running.start()
            yield Running(running)
        finally:
            await running.stop()
