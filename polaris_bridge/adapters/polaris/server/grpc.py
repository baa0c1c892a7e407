"""The gRPC methods of port 8091 as a table: bytes to messages, the caller, the group that may be closed, and bytes back.

A business error is never a gRPC status: its code is in the body. Statuses are left for what a server written with grpc-go says
of itself: INTERNAL for bytes that are no message, UNIMPLEMENTED for a method that it does not have (WatchClientEvents).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message

from polaris_bridge.adapters.polaris.answers import UNECHOED, Outcome, bare, code_in, code_of, echoed, failed, respond
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.heartbeats import Heartbeats
from polaris_bridge.adapters.polaris.service.operations import discover_operation
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.service.routes import Result
from polaris_bridge.adapters.polaris.settings import DISCOVER, HEALTHCHECK, REGISTER, GroupSettings
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.transport.rpc import Call, Later, Methods, RpcError, Status, Unary

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


class Observers(Protocol):
    """Who counts."""

    def observe(self, operation: str, status: int, seconds: float, /) -> None:
        """Every finished call and message of a stream; the status is the code's first three digits."""
        ...

    def discovered(self, namespace: str, service: str, /) -> None:
        """Every read."""
        ...


_TOKEN: Final = "x-polaris-token"
_ASYNC: Final = "async-regis"
_AGENT: Final = "user-agent"

_Answered = Outcome | v1.Response
_Answer = Callable[[Any, Caller], _Answered]


def methods(parts: Parts, groups: GroupSettings, observers: Observers) -> Methods:
    """The table of one listener. A call of a group that is closed there is answered 400401."""
    table = Methods()
    desk = _Desk(parts.admission, groups, observers)
    naming, beats, contracts = parts.registering, parts.heartbeats, parts.contracts
    unaries: tuple[tuple[str, str, str, Any, _Answer], ...] = (
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


def caller_of(call: Call) -> Caller:
    """Who calls, before anybody asked whether it may."""
    return Caller(SOURCE, call.peer, agent=call.metadata(_AGENT) or "")


def decoded(kind: Any, data: bytes) -> Any:
    """A message of the kind; the status that grpc-go gives of bytes that are none."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None


class _Desk:
    """Where every call is received: decoded, admitted, counted, and answered when its fate is known."""

    def __init__(self, admission: Admission, groups: GroupSettings, observers: Observers) -> None:
        self._admission = admission
        self._open = groups.client
        self.observe = observers.observe
        self.discovered = observers.discovered

    def open(self, group: str) -> bool:
        """Whether calls of a group are answered here."""
        return group in self._open

    def admit(self, token: str, operation: str, message: Message, caller: Caller) -> Caller:
        """The caller with its principal. Raises ``Denied``."""
        return self._admission.admit(token, operation, (message,), caller)

    def unary(self, group: str, operation: str, kind: Any, answer: _Answer) -> Unary:
        """A method that answers with a ``Response``."""
        if not self.open(group):
            return _closed

        def handle(data: bytes, call: Call) -> bytes | Later:
            start = perf_counter()
            message = decoded(kind, data)
            try:
                caller = self.admit(call.metadata(_TOKEN) or "", operation, message, caller_of(call))
            except Denied as error:
                given: _Answered = respond(code_of(error))
            else:
                given = answer(message, caller)
            return self._settle(operation, given, start)

        return handle

    def register(self, registering: Registering) -> Unary:
        """RegisterInstance, which need not wait for the store when ``async-regis`` says so."""
        waiting = self.unary(REGISTER, "RegisterInstance", v1.Instance, registering.register)
        at_once = self.unary(REGISTER, "RegisterInstance", v1.Instance, partial(registering.register, wait=False))
        return lambda data, call: (waiting if call.metadata(_ASYNC) is None else at_once)(data, call)

    def heartbeat(self, registering: Registering) -> Unary:
        """Heartbeat: the commonest call. Its answer is put together from the bytes of the request."""
        if not self.open(HEALTHCHECK):
            return _closed

        def handle(data: bytes, call: Call) -> bytes:
            start = perf_counter()
            instance = decoded(v1.Instance, data)
            try:
                caller = self.admit(call.metadata(_TOKEN) or "", "Heartbeat", instance, caller_of(call))
            except Denied as error:
                code = code_of(error)
            else:
                code = registering.beat(instance, caller)
            self.observe("Heartbeat", code // 1000, perf_counter() - start)
            return bare(code) if code in UNECHOED else echoed(code, data)

        return handle

    def batch(self, kind: Any, answer_kind: Any, answer: Callable[[Any, Caller], Result]) -> Unary:
        """A batch call about heartbeats, whose answer has no code that clients look at: refused means empty."""

        def handle(data: bytes, call: Call) -> bytes | Later:
            start = perf_counter()
            message = decoded(kind, data)
            status = 401
            given: Result = answer_kind()
            try:
                caller = self.admit(call.metadata(_TOKEN) or "", "Heartbeat", message, caller_of(call))
            except Denied:
                pass
            else:
                if self.open(HEALTHCHECK):
                    status, given = 200, answer(message, caller)
            self.observe(kind.DESCRIPTOR.name, status, perf_counter() - start)
            return _made(given)

        return handle

    def _settle(self, operation: str, given: _Answered, start: float) -> bytes | Later:
        outcome = given if isinstance(given, Outcome) else Outcome(given)
        if outcome.commit.done:
            return self.finish(operation, outcome, outcome.commit.error, start)
        return _Promise(self, operation, outcome, start)

    def finish(self, operation: str, outcome: Outcome, error: Exception | None, start: float) -> bytes:
        """The encoded answer of a call whose fate is known."""
        response: Any = outcome.response if error is None else failed(outcome.response, error)
        self.observe(operation, response.code.value // 1000, perf_counter() - start)
        encoded: bytes = response.SerializeToString()
        return encoded


def _closed(_data: bytes, _call: Call) -> bytes:
    return bare(v1.ClientAPINotOpen)


def _made(given: Any) -> bytes | Later:
    """The encoded form of a message, or of one that is being made."""
    return _Making(given) if not isinstance(given, Message) else given.SerializeToString()


class _Making:
    """An answer that is put together bit by bit."""

    __slots__ = ("_later",)

    def __init__(self, later: Any) -> None:
        self._later = later

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``Later``."""

        def done(message: Message | None) -> None:
            reply(RpcError(Status.INTERNAL) if message is None else message.SerializeToString())

        self._later.then(done)


class _Promise:
    """An answer that waits for the store."""

    __slots__ = ("_desk", "_operation", "_outcome", "_start")

    def __init__(self, desk: _Desk, operation: str, outcome: Outcome, start: float) -> None:
        self._desk = desk
        self._operation = operation
        self._outcome = outcome
        self._start = start

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``Later``."""
        finish, operation, outcome, start = self._desk.finish, self._operation, self._outcome, self._start
        outcome.commit.then(lambda error: reply(finish(operation, outcome, error, start)))


class _Stream:
    """What the streams have in common: who called is read once."""

    __slots__ = ("_caller", "_desk", "_token")

    def __init__(self, desk: _Desk, call: Call) -> None:
        self._desk = desk
        self._caller = caller_of(call)
        self._token = call.metadata(_TOKEN) or ""

    def on_end(self) -> None:
        """The client sends no more; nothing is pushed, so the stream is over."""

    def on_close(self) -> None:
        """Nothing is held."""


class _Discover(_Stream):
    """One answer per request, in order."""

    __slots__ = ("_discovering",)

    def __init__(self, desk: _Desk, discovering: Discovering, call: Call) -> None:
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


class _Beats(_Stream):
    """BatchHeartbeat: one empty answer per request, whatever happened."""

    __slots__ = ("_beats",)

    def __init__(self, desk: _Desk, beats: Heartbeats, call: Call) -> None:
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
        return _made(given)


_NOTHING: Final = v1.HeartbeatsResponse()
