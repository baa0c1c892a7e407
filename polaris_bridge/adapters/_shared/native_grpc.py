"""One listening gRPC port on the transport of our own: the same surface as ``GrpcListener``, without grpcio's price.

What a client meets that breaks a rule: ``transport.listener``. Here its settings, certificates and limits become what that
needs, and the port gets the health service and reflection besides its own methods.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from google.protobuf.descriptor_pool import DescriptorPool

from polaris_bridge.adapters._shared.accepting import listening_sockets
from polaris_bridge.adapters._shared.admission import Admission
from polaris_bridge.adapters._shared.forwarded import plain_address
from polaris_bridge.adapters._shared.grpc_services import Health, Reflection
from polaris_bridge.adapters._shared.listener import Connected, ListenerCounters, ListenerDescription
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.adapters._shared.tls import Certificates
from polaris_bridge.transport.call import Observe
from polaris_bridge.transport.limits import Limits
from polaris_bridge.transport.listener import NativeListener
from polaris_bridge.transport.rpc import Methods


class NativeGrpcListener:
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
        """As of ``GrpcListener``."""
        self.settings = settings
        self._health = Health(methods.services)
        table = Methods()
        for part in (methods, self._health.methods(), Reflection(methods.services, pool).methods()):
            table.include(part)
        self._admission = Admission(settings.conn_limit, monotonic)
        certificates = Certificates(settings.tls, settings.name) if settings.tls else None
        self._listener = NativeListener(
            settings.name,
            table,
            limits=_limits(settings),
            admission=self._admission,
            certificates=certificates,
            allow=allow,
            observe=observe,
            address_of=plain_address,
            monotonic=monotonic,
        )
        self._port = 0

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
        """For metrics. ``requests`` counts answered messages and refused calls."""
        counted = self._listener.counters()
        return ListenerCounters(
            counted.connections_open,
            counted.connections_total,
            counted.connections_refused | counted.reasons,
            counted.answered + sum(counted.refusals.values()),
            counted.refusals,
            counted.errors,
        )

    def connected(self) -> Connected:
        """For operators who ask."""
        clients = [(link.host, link.port) for link in self._listener.links]
        return Connected(self._admission.limited, clients, self._admission.quiet_s())

    def cut(self, host: str, port: int = 0) -> int:
        """End the connections of a client address, or the one from this port; how many there were."""
        return self._listener.cut(host, port)

    async def start(self) -> None:
        """Bind and accept. OSError with host, port and what to do when that is not possible."""
        self._listener.start(await listening_sockets(self.settings))
        self._port = self._listener.port

    def sweep(self) -> None:
        """Once a second, by itself: time of all connections, changed certificates."""
        self._listener.sweep()

    def reload_tls(self) -> bool:
        """Read the certificate files now. True when there is nothing to read or it worked; the reason is logged."""
        return self._listener.reload_tls()

    async def drain(self) -> None:
        """Say NOT_SERVING, accept nothing more, answer what is in flight, send everybody elsewhere."""
        self._health.leave()
        await self._listener.drain()

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left. May be called again, or before ``start``."""
        self._health.leave()
        await self._listener.stop(grace)


def _limits(settings: GrpcSettings) -> Limits:
    return Limits(
        max_receive=settings.max_receive,
        max_send=settings.max_send,
        max_metadata=settings.max_metadata,
        max_streams=settings.max_streams,
        max_backlog=settings.max_backlog,
        handshake_timeout_s=settings.handshake_timeout_s,
        keep_alive_s=settings.keep_alive_s,
        keep_alive_timeout_s=settings.keep_alive_timeout_s,
    )
