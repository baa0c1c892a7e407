"""One listening HTTP port: accepting, limits, certificates, the once-a-second sweep, draining."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from msgspec import Struct
from starlette.types import ASGIApp
from uvicorn.config import Config

from polaris_bridge.adapters._shared.accepting import listening_sockets
from polaris_bridge.adapters._shared.endpoint import asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Handler, Request, Response
from polaris_bridge.adapters._shared.forwarded import plain_address
from polaris_bridge.adapters._shared.protocol import HttpProtocol
from polaris_bridge.adapters._shared.settings import HttpSettings
from polaris_bridge.adapters._shared.state import Hot, LimitedState, ListenerState, empty_500, no_hot_requests
from polaris_bridge.adapters._shared.throttle import HttpLimit
from polaris_bridge.adapters._shared.tls import Certificates
from polaris_bridge.transport.accepting import Acceptor

log = logging.getLogger("polaris_bridge.apiserver")


class ListenerDescription(Struct, frozen=True):
    """What to show of a listener."""

    name: str
    host: str
    port: int
    scheme: str
    """``http`` or ``https``."""
    client_certificates: bool
    """Whether clients must show one."""


class ListenerCounters(Struct, frozen=True):
    """Numbers since the start (``open`` ones: now)."""

    connections_open: int
    connections_total: int
    connections_refused: dict[str, int]
    """By reason: ``max_conn_limit``, ``max_conn_per_host``, ``open_files``, ``tls``."""
    requests: int
    """Answers written, hot, cold and refusals."""
    refusals: dict[int, int]
    """Requests the listener itself answered, by status."""
    errors: int
    """Requests that ended in an unexpected exception."""


class Connected(Struct, frozen=True):
    """Who is connected to a listener."""

    limited: bool
    """Whether ``connLimit`` is on."""
    clients: list[tuple[str, int]]
    """Address and port of every client."""
    quiet_s: dict[str, float]
    """Of hosts that ``connLimit`` counts: seconds since a connection came or went."""


class HttpListener:
    """See ``start``, ``drain``, ``stop``. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: HttpSettings,
        handler: Handler,
        *,
        hot: Hot = no_hot_requests,
        app: ASGIApp | None = None,
        internal_error: Callable[[Request], Response] = empty_500,
        allow: Callable[[str], bool] | None = None,
        limit: HttpLimit | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``handler`` answers what ``hot`` does not claim, through ``app`` when one is given (it should end in
        ``asgi_endpoint(handler)``), else directly. ``internal_error`` shapes the answer to a handler's exception.
        ``allow`` says whether a client address may speak to us at all (else 403), ``limit`` what is answered instead to a
        request that is one too many.

        Raises ValueError, OSError or ssl.SSLError for networks, limits or certificates that cannot be used.
        """
        self.settings = settings
        if limit is None:
            self._state = ListenerState(settings, hot, internal_error, allow, monotonic, wall)
        else:
            self._state = LimitedState(settings, hot, internal_error, allow, monotonic, wall)
            self._state.limit = limit
        self._certificates = Certificates(settings.tls, settings.name) if settings.tls else None
        self._config = Config(
            cast(Any, app or asgi_endpoint(handler, max_body_size=settings.max_body_size)),
            http=HttpProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            proxy_headers=False,
            server_header=False,
        )
        self._config.load()
        self._acceptor = Acceptor(settings.name, self._state.admission, self._serve, self.sweep, plain_address)
        self._emptied = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The port in use; the kernel's choice when the settings say 0."""
        return self._acceptor.port or self.settings.port

    def describe(self) -> ListenerDescription:
        """For the table of listeners at start-up."""
        tls = self.settings.tls
        return ListenerDescription(
            self.settings.name,
            self.settings.host,
            self.port,
            "https" if tls else "http",
            bool(tls and tls.trusted_ca_file),
        )

    def counters(self) -> ListenerCounters:
        """For metrics."""
        state = self._state
        return ListenerCounters(
            state.admission.open,
            self._acceptor.total,
            dict(state.admission.refused),
            state.total_requests,
            dict(state.refusals),
            state.errors,
        )

    def connected(self) -> Connected:
        """For operators who ask."""
        admission = self._state.admission
        return Connected(admission.limited, [c.endpoint for c in self._connections()], admission.quiet_s())

    def cut(self, host: str, port: int = 0) -> int:
        """End the connections of a client address, or the one from this port, whatever is in flight; how many there were."""
        found = [c for c in self._connections() if c.peer == host and port in (0, c.endpoint[1])]
        for connection in found:
            connection.cut()
        return len(found)

    def _connections(self) -> list[HttpProtocol]:
        return [c for c in self._state.connections if isinstance(c, HttpProtocol)]

    async def start(self) -> None:
        """Bind and accept. OSError with host, port and what to do when that is not possible."""
        sockets = await listening_sockets(self.settings)
        self._loop = asyncio.get_running_loop()
        self._acceptor.start(sockets)

    async def _serve(self, sock: socket.socket, address: tuple[str, int]) -> None:
        """From an accepted socket to a connection with its protocol, through the TLS handshake when there is one."""
        assert self._loop is not None
        peer = address[0]
        protocol = _Admitted(self._config, self._state, peer, self._loop, partial(self._gone, peer))
        tls = self._certificates
        try:
            if tls is None:
                await self._loop.connect_accepted_socket(lambda: protocol, sock)
            else:
                await self._loop.connect_accepted_socket(
                    lambda: protocol, sock, ssl=tls.context, ssl_handshake_timeout=self.settings.header_timeout_s
                )
        except OSError as error:  # ssl.SSLError, a reset, a handshake that took too long
            self._state.admission.refused["tls" if tls else "reset"] += 1
            log.debug("%s: connection from %s did not come about: %s", self.settings.name, peer, error)
        finally:
            if not protocol.made:
                sock.close()
                self._gone(peer)

    def _gone(self, peer: str) -> None:
        self._state.admission.leave(peer)
        if self._state.admission.open == 0:
            self._emptied.set()

    def sweep(self) -> None:
        """Once a second: timeouts of all connections, the date header, counters of hosts, changed certificates."""
        state = self._state
        state.tick()
        for connection in list(state.connections):
            connection.sweep()  # type: ignore[union-attr]
        state.admission.purge()
        if self._certificates is not None:
            self._certificates.reload_if_changed()

    def reload_tls(self) -> bool:
        """Read the certificate files now. True when there is nothing to read or it worked; the reason is logged."""
        return self._certificates is None or self._certificates.reload()

    # Ending

    async def drain(self) -> None:
        """Stop accepting, close idle connections, answer what is in flight with ``connection: close``; returns when
        no connection is left. Takes as long as the slowest answer: bound it, or use ``stop``."""
        self._acceptor.close()
        await asyncio.sleep(0)  # requests that have arrived already count as in flight
        self._state.draining = True
        if self._certificates is not None:
            self._acceptor.cancel_handshakes()
        for connection in list(self._state.connections):
            connection.shutdown()
        while self._state.admission.open:
            self._emptied.clear()
            await self._emptied.wait()

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left. May be called again, or before ``start``."""
        if self._loop is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            if self._state.admission.open:
                log.warning("%s: %d connections cut after %g s", self.settings.name, self._state.admission.open, grace)
        for connection in list(self._state.connections):
            connection.cut()  # type: ignore[union-attr]
        for task in list(self._state.tasks):
            task.cancel()
        self._acceptor.stop()
        await asyncio.sleep(0)


class _Admitted(HttpProtocol):
    """Tells the listener when a connection it counted in is over."""

    def __init__(
        self,
        config: Config,
        state: ListenerState,
        peer: str,
        loop: asyncio.AbstractEventLoop,
        gone: Callable[[], None],
    ) -> None:
        super().__init__(config, state, peer, loop)
        self._gone = gone
        self.made = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.made = True
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone()
