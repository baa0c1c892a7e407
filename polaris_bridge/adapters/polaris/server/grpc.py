"""The gRPC methods of port 8091 as a table: bytes to messages, the caller, the group that may be closed, and bytes back.

A business error is never a gRPC status: its code is in the body. Statuses are left for what a server written with grpc-go says
of itself: INTERNAL for bytes that are no message, UNIMPLEMENTED for a method that it does not have (WatchClientEvents).
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final, Protocol

from polaris_bridge.adapters.polaris.answers import Outcome, bare, code_in, code_of
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.heartbeats import Heartbeats
from polaris_bridge.adapters.polaris.service.operations import discover_operation
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.service.routes import Result
from polaris_bridge.adapters.polaris.settings import DISCOVER, HEALTHCHECK, REGISTER, GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.transport.rpc import Call, Later, Methods

from .grpc_desk import Answer, Desk, Observers, Stream, decoded, made

NAMING: Final = "/v1.PolarisGRPC/"
BEATING: Final = "/v1.PolarisHeartbeatGRPC/"
CONTRACTS: Final = "/v1.PolarisServiceContractGRPC/"


class Discovering(Protocol):
    """Answers what a client wants to know."""

    def discover(self, request: v1.DiscoverRequest, caller: Caller, /) -> bytes | Later:
        """An encoded ``DiscoverResponse``; later when it takes a while to put together."""
        ...


class Clients(Protocol):
    """Keeps the clients that report."""

    def report(self, client: v1.Client, caller: Caller, /) -> Outcome | v1.Response:
        """ReportClient."""
        ...


class Contracts(Protocol):
    """Keeps the contracts that services report."""

    def report(self, contract: v1.ServiceContract, caller: Caller, /) -> Outcome | v1.Response:
        """ReportServiceContract."""
        ...

    def get(self, contract: v1.ServiceContract, caller: Caller, /) -> Outcome | v1.Response:
        """GetServiceContract."""
        ...


class Parts(Protocol):
    """What of the service is reached from here."""

    @property
    def admission(self) -> Admission: ...
    @property
    def registering(self) -> Registering: ...
    @property
    def heartbeats(self) -> Heartbeats: ...
    @property
    def discovering(self) -> Discovering: ...
    @property
    def clients(self) -> Clients: ...
    @property
    def contracts(self) -> Contracts: ...


def methods(parts: Parts, groups: GroupSettings, observers: Observers) -> Methods:
    """The table of one listener. A call of a group that is closed there is answered 400401."""
    table = Methods()
    desk = Desk(parts.admission, groups, observers)
    naming, beats, contracts = parts.registering, parts.heartbeats, parts.contracts
    unaries: tuple[tuple[str, str, str, Any, Answer], ...] = (
        (NAMING + "DeregisterInstance", REGISTER, "DeregisterInstance", v1.Instance, naming.deregister),
        (NAMING + "ReportClient", DISCOVER, "ReportClient", v1.Client, parts.clients.report),
        (CONTRACTS + "ReportServiceContract", DISCOVER, "ReportServiceContract", v1.ServiceContract, contracts.report),
        (CONTRACTS + "GetServiceContract", DISCOVER, "DiscoverServiceContract", v1.ServiceContract, contracts.get),
    )
    for path, group, operation, kind, answer in unaries:
        table.unary(path, desk.unary(group, operation, kind, answer))
    table.unary(NAMING + "RegisterInstance", desk.register(naming))
    table.unary(NAMING + "Heartbeat", desk.heartbeat(naming))
    table.unary(BEATING + "BatchGetHeartbeat", desk.batch(v1.GetHeartbeatsRequest, v1.GetHeartbeatsResponse, beats.get))
    table.unary(
        BEATING + "BatchDelHeartbeat", desk.batch(v1.DelHeartbeatsRequest, v1.DelHeartbeatsResponse, beats.forget)
    )
    table.stream(BEATING + "BatchHeartbeat", lambda call: _Beats(desk, beats, call))
    table.stream(NAMING + "Discover", lambda call: _Discover(desk, parts.discovering, call))
    return table


class _Discover(Stream):
    """One answer per request, in order."""

    __slots__ = ("_discovering",)

    def __init__(self, desk: Desk, discovering: Discovering, call: Call) -> None:
        super().__init__(desk, call)
        self._discovering = discovering

    def on_message(self, data: bytes, /) -> bytes | Later:
        """See ``StreamHandler``."""
        start = perf_counter()
        desk = self._desk
        request = decoded(v1.DiscoverRequest, data)
        if not desk.open(DISCOVER):
            return bare(v1.ClientAPINotOpen)
        operation = discover_operation(request)
        try:
            caller = desk.admit(self._token, operation, request, self._caller)
        except Denied as error:
            desk.observe("Discover", 401, perf_counter() - start)
            return _denied(request, code_of(error))
        answer = self._discovering.discover(request, caller)
        desk.discovered(request.service.namespace.value, request.service.name.value)
        status = code_in(answer) // 1000 if isinstance(answer, bytes) else 200
        desk.observe("Discover", status, perf_counter() - start)
        return answer


def _denied(request: v1.DiscoverRequest, code: int) -> bytes:
    answer = v1.DiscoverResponse.FromString(bare(code))
    answer.type = request.type
    answer.service.CopyFrom(request.service)
    return answer.SerializeToString()


class _Beats(Stream):
    """BatchHeartbeat: one empty answer per request, whatever happened."""

    __slots__ = ("_beats",)

    def __init__(self, desk: Desk, beats: Heartbeats, call: Call) -> None:
        super().__init__(desk, call)
        self._beats = beats

    def on_message(self, data: bytes, /) -> bytes | Later:
        """See ``StreamHandler``."""
        start = perf_counter()
        desk = self._desk
        request = decoded(v1.HeartbeatsRequest, data)
        status = 400
        given: Result = _NOTHING
        if desk.open(HEALTHCHECK):
            try:
                given = self._beats.beat(request, desk.admit(self._token, "Heartbeat", request, self._caller))
                status = 200
            except Denied:
                status = 401
        desk.observe("BatchHeartbeat", status, perf_counter() - start)
        return made(given)


_NOTHING: Final = v1.HeartbeatsResponse()
