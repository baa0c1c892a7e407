"""One listening gRPC port on grpcio: binding, certificates, the once-a-second sweep, draining.

grpcio accepts, speaks HTTP/2 and keeps to its limits in threads of its own; a call costs some 300 microseconds of CPU there, a
message of a stream 80-100. Nothing of that is visible to handlers (``rpc``), so another transport can take its place.

What a client meets that breaks a rule:

* a message above ``max_receive``: RESOURCE_EXHAUSTED, the handler never sees it (of a stream: it sees the end);
* bytes that are no HTTP/2 or no gRPC: the connection or the call ends, without a word in our log;
* a client that does not read: one unsent answer is held, its further requests wait in its own connection's window (64 KiB);
  pushes up to ``max_backlog``;
* a client that vanishes: known at once when its machine still answers, else after ``keep_alive_s`` + ``keep_alive_timeout_s``;
* a client that pings much: nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio

from polaris_bridge.adapters._shared.accepting import cannot_listen, probe
from polaris_bridge.adapters._shared.grpc_calls import STOPPING, Calls, Observe, StreamCall, serve_unary
from polaris_bridge.adapters._shared.grpc_peers import Peers
from polaris_bridge.adapters._shared.grpc_services import Health, Reflection
from polaris_bridge.adapters._shared.grpc_tls import GrpcCertificates
from polaris_bridge.adapters._shared.listener import Connected, ListenerCounters, ListenerDescription
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import Methods, Open, Status, StreamHandler

log = logging.getLogger("polaris_bridge.apiserver")

_SWEEP_S = 1.0
_DRAIN_S = 24 * 3600.0  # drain() waits as long as it takes


class GrpcListener:
    """See ``start``, ``drain``, ``stop``, as of ``HttpListener``. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: GrpcSettings,
        methods: Methods,
        *,
        allow: Callable[[str], bool] | None = None,
        pool: DescriptorPool | None = None,
        observe: Observe | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``allow`` says whether a client address may speak to us at all (else PERMISSION_DENIED). ``pool`` holds the
        descriptors that reflection tells. ``observe`` is told of every answer.

        Raises ValueError, OSError or ssl.SSLError for limits or certificates that cannot be used.
        """
        self.settings = settings
        self.peers = Peers(settings, allow, monotonic)
        self._calls = Calls(settings, self.peers, observe)
        self._health = Health(methods.services)
        self._methods = Methods()
        for table in (methods, self._health.methods(), Reflection(methods.services, pool).methods()):
            self._methods.include(table)
        self._certificates = GrpcCertificates(settings.tls, settings.name) if settings.tls else None
        self._server: aio.Server | None = None
        self._port = 0
        self._timer: asyncio.TimerHandle | None = None
        self._drain: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port in use; the kernel's choice when the settings say 0."""
        return self._port or self.settings.port

    def describe(self) -> ListenerDescription:
        """For the table of listeners at start-up."""
        tls = self.settings.tls
        scheme = "grpcs" if tls else "grpc"
        return ListenerDescription(
            self.settings.name, self.settings.host, self.port, scheme, bool(tls and tls.trusted_ca_file)
        )

    def counters(self) -> ListenerCounters:
        """For metrics. Connections are those known by their calls; ``requests`` counts answered messages and refused calls."""
        calls = self._calls
        return ListenerCounters(
            self.peers.open,
            self.peers.total,
            self.peers.refused,
            calls.answered + calls.refusals.total(),
            dict(calls.refusals),
            calls.errors,
        )

    def connected(self) -> Connected:
        """For operators who ask: the connections known by their calls."""
        return self.peers.connected()

    def cut(self, host: str, port: int = 0) -> int:
        """Nothing: grpcio ends no single connection. Zero."""
        return 0

    async def start(self) -> None:
        """Bind and serve. OSError with host, port and what to do when that is not possible."""
        settings = self.settings
        await probe(settings)
        server = aio.server(options=_options(settings))
        server.add_generic_rpc_handlers((_Table(self._calls, self._methods),))
        address = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
        try:
            if self._certificates is None:
                self._port = server.add_insecure_port(address)
            else:
                self._port = server.add_secure_port(address, self._certificates.credentials)
        except RuntimeError as error:
            raise cannot_listen(settings, OSError(errno.EADDRINUSE, "grpcio could not bind")) from error
        await server.start()
        self._server = server
        self._sweep_again()

    def _sweep_again(self) -> None:
        self.sweep()
        self._timer = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep_again)

    def sweep(self) -> None:
        """Once a second: connections that are silent, changed certificates."""
        self.peers.sweep()
        if self._certificates is not None:
            self._certificates.reload_if_changed()

    def reload_tls(self) -> bool:
        """Read the certificate files now. True when there is nothing to read or it worked; the reason is logged."""
        return self._certificates is None or self._certificates.reload()

    async def drain(self) -> None:
        """Say NOT_SERVING, accept nothing more, answer what is in flight, end streams with UNAVAILABLE so that their
        clients go elsewhere; returns when no call is left. Takes as long as the slowest answer: bound it, or use ``stop``."""
        assert self._server is not None, "start() comes first"
        if self._drain is None:
            self._health.leave()
            self._drain = asyncio.get_running_loop().create_task(self._server.stop(_DRAIN_S))
            await asyncio.sleep(0)  # the listening port is closed, GOAWAY is on its way
            self._calls.leaving = True
            for stream in list(self._calls.streams):
                stream.finish(Status.UNAVAILABLE, STOPPING)
        await asyncio.shield(self._drain)

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left. May be called again, or before ``start``."""
        server = self._server
        if server is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            if self.peers.busy:
                log.warning("%s: calls of %d connections cut after %g s", self.settings.name, self.peers.busy, grace)
            assert self._drain is not None
            self._drain.cancel()
            await server.stop(None)
        if self._timer is not None:
            self._timer.cancel()
        self._server = None


class _Table(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The table of methods as grpcio asks for it. A generic handler and no registered ones: with those grpcio waits on one
    task per method for every call."""

    def __init__(self, calls: Calls, methods: Methods) -> None:
        self._calls = calls
        self._methods = methods
        self._known: dict[str, Any] = {}
        for path, answer in methods.unaries():
            self._known[path] = grpc.unary_unary_rpc_method_handler(partial(serve_unary, calls, answer, path))
        for path, open in methods.streams():
            self._known[path] = self._stream(path, open)

    def service(self, details: Any) -> Any:
        """Called by grpcio at the beginning of every call."""
        known = self._known.get(details.method)
        return self._stream(details.method, self._unknown) if known is None else known

    def _stream(self, path: str, open: Open) -> Any:
        calls = self._calls

        async def serve(_requests: object, context: Any) -> None:
            await StreamCall(calls, path, context).serve(open)

        return grpc.stream_stream_rpc_method_handler(serve)

    def _unknown(self, call: Any) -> StreamHandler:
        raise self._methods.unknown(call.path)


_MAX_PENDING: Final = 100_000
"""Calls that may wait until Python takes them. By itself grpcio turns away some from 1,000 on and all from 3,000 on, with
CANCELLED, which clients take for their own doing; thousands of connections that come back at once have more."""


def _options(settings: GrpcSettings) -> list[tuple[str, int]]:
    """Arguments of grpcio's core. Clients may ping as they like: SDKs do, and a server that ends them for it loses them."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.max_receive),
        ("grpc.max_send_message_length", -1),  # ours is checked before
        ("grpc.max_metadata_size", settings.max_metadata),
        ("grpc.absolute_max_metadata_size", settings.max_metadata),
        ("grpc.max_concurrent_streams", settings.max_streams),
        ("grpc.server.max_pending_requests", _MAX_PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _MAX_PENDING),
        ("grpc.server_handshake_timeout_ms", round(settings.handshake_timeout_s * 1000)),
        ("grpc.keepalive_time_ms", round(settings.keep_alive_s * 1000)),
        ("grpc.keepalive_timeout_ms", round(settings.keep_alive_timeout_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 0),
        ("grpc.http2.max_ping_strikes", 0),
    ]
