"""The gRPC methods of the port: discovery of all types on one stream, and of single types.

Errors are statuses: INTERNAL for bytes that are no request, as from a server written with grpc-go; RESOURCE_EXHAUSTED for
clients that are ended because they do not read, or ask without end; UNAUTHENTICATED and PERMISSION_DENIED where ``auth`` is on;
UNAVAILABLE when the server stops, so that clients come back at once. LRS and CSDS are not served: UNIMPLEMENTED.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from polaris_bridge.adapters.xds.service.admission import Admission
from polaris_bridge.adapters.xds.service.stream import Stream, TooMuch
from polaris_bridge.adapters.xds.service.telling import Telling
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.fields import Malformed
from polaris_bridge.core.errors import Denied, Throttled
from polaris_bridge.transport.rpc import Call, Methods, RpcError, Status

from .loading import Gate, Loading

Observe = Callable[[str, int, float], None]
"""Told of every request: method, status (200, or 400 when it ends the stream), seconds."""

_PACKAGE: Final = "/envoy.service."
AGGREGATED: Final = _PACKAGE + "discovery.v3.AggregatedDiscoveryService/"
SINGLE: Final = {
    types.LISTENER: ("listener.v3.ListenerDiscoveryService/", "StreamListeners", "DeltaListeners"),
    types.ROUTES: ("route.v3.RouteDiscoveryService/", "StreamRoutes", "DeltaRoutes"),
    types.VIRTUAL_HOST: ("route.v3.VirtualHostDiscoveryService/", "", "DeltaVirtualHosts"),
    types.CLUSTER: ("cluster.v3.ClusterDiscoveryService/", "StreamClusters", "DeltaClusters"),
    types.ASSIGNMENT: ("endpoint.v3.EndpointDiscoveryService/", "StreamEndpoints", "DeltaEndpoints"),
    types.SECRET: ("secret.v3.SecretDiscoveryService/", "StreamSecrets", "DeltaSecrets"),
    types.RUNTIME: ("runtime.v3.RuntimeDiscoveryService/", "StreamRuntime", "DeltaRuntime"),
}
"""By type: the service, its method for the state of the world ("" = there is none), and the incremental one."""


def methods(telling: Telling, admission: Admission, loading: Loading, observe: Observe) -> Methods:
    """The table."""
    table = Methods()

    def add(path: str, *, delta: bool, only: str = "") -> None:
        table.stream(path, lambda call: Discovery(telling, admission, loading, observe, call, delta=delta, only=only))

    add(AGGREGATED + "StreamAggregatedResources", delta=False)
    add(AGGREGATED + "DeltaAggregatedResources", delta=True)
    for type_url, (service, state, changes) in SINGLE.items():
        if state:
            add(_PACKAGE + service + state, delta=False, only=type_url)
        add(_PACKAGE + service + changes, delta=True, only=type_url)
    return table


class Discovery(Gate):
    """One stream of discovery: ``StreamHandler`` for the transport, ``Sink`` for the service."""

    __slots__ = ("_observe", "_stream", "_telling")

    def __init__(
        self,
        telling: Telling,
        admission: Admission,
        loading: Loading,
        observe: Observe,
        call: Call,
        *,
        delta: bool,
        only: str,
    ) -> None:
        super().__init__(loading, call)
        principal = proven(admission, call)
        self._observe = observe
        self._telling = telling
        admit = None if principal is None else lambda node: admission.reads(principal, node.namespace)
        self._stream = Stream(telling, self, delta=delta, only=only, admit=admit)

    @property
    def backlog(self) -> int:
        """See ``Sink``."""
        return self._call.backlog

    @property
    def peer(self) -> str:
        """See ``Sink``."""
        return self._call.peer

    def send(self, message: bytes, /) -> None:
        """See ``Sink``."""
        self._call.send(message)

    def drop(self, reason: str, /) -> None:
        """See ``Sink``: what it has not read is let go of with its connection."""
        self._call.finish(Status.RESOURCE_EXHAUSTED, reason)
        self._call.link.close()

    def handle(self, message: bytes, /) -> bytes | None:
        """See ``Gate``."""
        start = perf_counter()
        status = 400
        try:
            answer = self._stream.receive(message)
            status = 200
            return answer
        except Malformed as error:
            raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None
        except TooMuch as error:
            self._telling.dropped("flood")
            raise RpcError(Status.RESOURCE_EXHAUSTED, str(error)) from None
        except Denied as error:
            raise RpcError(Status.PERMISSION_DENIED, str(error)) from None
        finally:
            self._observe(self._call.path.rpartition("/")[2], status, perf_counter() - start)

    def on_close(self) -> None:
        """See ``StreamHandler``."""
        super().on_close()
        self._stream.close()
        del self._stream  # which knows this one: neither would go before the collector comes


def proven(admission: Admission, call: Call) -> str | None:
    """Who calls; None: somebody who may do everything. Raises ``RpcError``."""
    try:
        return admission.enter(call.metadata, call.peer)
    except Throttled as error:
        raise RpcError(Status.RESOURCE_EXHAUSTED, str(error)) from None
    except Denied as error:
        raise RpcError(Status.UNAUTHENTICATED, str(error)) from None
