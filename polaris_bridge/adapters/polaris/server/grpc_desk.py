"""Where native gRPC calls are received, on whichever port: decoded, admitted, counted, answered when their fate is known."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Final, Protocol

from google.protobuf.message import DecodeError, Message

from polaris_bridge.adapters.polaris.answers import UNECHOED, Outcome, bare, code_in, code_of, echoed, failed, respond
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.service.routes import Result
from polaris_bridge.adapters.polaris.settings import HEALTHCHECK, REGISTER, GroupSettings
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.model import Caller
from polaris_bridge.transport.rpc import Call, Later, RpcError, Status, Unary


class Observers(Protocol):
    """Who counts."""

    def observe(self, operation: str, status: int, seconds: float, /) -> None:
        """Every finished call and message of a stream; the status is the code's first three digits."""
        ...

    def discovered(self, namespace: str, service: str, /) -> None:
        """Every read."""
        ...


TOKEN: Final = "x-polaris-token"
_ASYNC: Final = "async-regis"
_AGENT: Final = "user-agent"

Answered = Outcome | v1.Response
Answer = Callable[[Any, Caller], Answered]
Answering = Callable[[Any, Caller], "bytes | Later"]


def caller_of(call: Call) -> Caller:
    """Who calls, before anybody asked whether it may."""
    return Caller(SOURCE, call.peer, agent=call.metadata(_AGENT) or "")


def decoded(kind: Any, data: bytes) -> Any:
    """A message of the kind; the status that grpc-go gives of bytes that are none."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise RpcError(Status.INTERNAL, f"grpc: error unmarshalling request: {error}") from None


class Desk:
    """Where every call is received: decoded, admitted, counted, and answered when its fate is known."""

    def __init__(
        self,
        admission: Admission,
        groups: GroupSettings,
        observers: Observers,
        *,
        shut: frozenset[str] = frozenset(),
    ) -> None:
        """``shut``: groups that are closed whatever the listener says."""
        self._admission = admission
        self._open = groups.client - shut
        self.observe = observers.observe
        self.discovered = observers.discovered

    def open(self, group: str) -> bool:
        """Whether calls of a group are answered here."""
        return group in self._open

    def admit(self, token: str, operation: str, message: Message, caller: Caller) -> Caller:
        """The caller with its principal. Raises ``Denied``."""
        return self._admission.admit(token, operation, (message,), caller)

    def unary(self, group: str, operation: str, kind: Any, answer: Answer) -> Unary:
        """A method that answers with a ``Response``."""
        if not self.open(group):
            return closed

        def handle(data: bytes, call: Call) -> bytes | Later:
            start = perf_counter()
            message = decoded(kind, data)
            try:
                caller = self.admit(call.metadata(TOKEN) or "", operation, message, caller_of(call))
            except Denied as error:
                given: Answered = respond(code_of(error))
            else:
                given = answer(message, caller)
            return self._settle(operation, given, start)

        return handle

    def encoded(self, group: str, operation: str, kind: Any, answer: Answering) -> Unary:
        """A method whose answers are encoded already: those that many get alike, and those that wait for something to happen.
        What is counted of these is how long it took until they waited."""
        if not self.open(group):
            return closed

        def handle(data: bytes, call: Call) -> bytes | Later:
            start = perf_counter()
            message = decoded(kind, data)
            try:
                caller = self.admit(call.metadata(TOKEN) or "", operation, message, caller_of(call))
            except Denied as error:
                given: bytes | Later = bare(code_of(error))
            else:
                given = answer(message, caller)
            status = code_in(given) // 1000 if isinstance(given, bytes) else 200
            self.observe(operation, status, perf_counter() - start)
            return given

        return handle

    def register(self, registering: Registering) -> Unary:
        """RegisterInstance, which need not wait for the store when ``async-regis`` says so."""
        waiting = self.unary(REGISTER, "RegisterInstance", v1.Instance, registering.register)
        at_once = self.unary(REGISTER, "RegisterInstance", v1.Instance, partial(registering.register, wait=False))
        return lambda data, call: (waiting if call.metadata(_ASYNC) is None else at_once)(data, call)

    def heartbeat(self, registering: Registering) -> Unary:
        """Heartbeat: the commonest call. Its answer is put together from the bytes of the request."""
        if not self.open(HEALTHCHECK):
            return closed

        def handle(data: bytes, call: Call) -> bytes:
            start = perf_counter()
            instance = decoded(v1.Instance, data)
            try:
                caller = self.admit(call.metadata(TOKEN) or "", "Heartbeat", instance, caller_of(call))
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
                caller = self.admit(call.metadata(TOKEN) or "", "Heartbeat", message, caller_of(call))
            except Denied:
                pass
            else:
                if self.open(HEALTHCHECK):
                    status, given = 200, answer(message, caller)
            self.observe(kind.DESCRIPTOR.name, status, perf_counter() - start)
            return made(given)

        return handle

    def _settle(self, operation: str, given: Answered, start: float) -> bytes | Later:
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


def closed(_data: bytes, _call: Call) -> bytes:
    return bare(v1.ClientAPINotOpen)


def made(given: Any) -> bytes | Later:
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

    def __init__(self, desk: Desk, operation: str, outcome: Outcome, start: float) -> None:
        self._desk = desk
        self._operation = operation
        self._outcome = outcome
        self._start = start

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``Later``."""
        finish, operation, outcome, start = self._desk.finish, self._operation, self._outcome, self._start
        outcome.commit.then(lambda error: reply(finish(operation, outcome, error, start)))


class Stream:
    """What the streams have in common: who called is read once."""

    __slots__ = ("_caller", "_desk", "_token")

    def __init__(self, desk: Desk, call: Call) -> None:
        self._desk = desk
        self._caller = caller_of(call)
        self._token = call.metadata(TOKEN) or ""

    def on_end(self) -> None:
        """The client sends no more; nothing is pushed, so the stream is over."""

    def on_close(self) -> None:
        """Nothing is held."""
