"""The gRPC methods of the limiter, on whichever port: a stream on which clients count, and the server's time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.service.limiting import BACKLOG, Seat, TokenService
from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.adapters.polaris.wire import limiter_codes as codes
from polaris_bridge.transport.rpc import Call, Later, Methods, RpcError, Status

from .grpc_desk import Observers, decoded

LIMITER: Final = "/polaris.metric.v2.RateLimitGRPCV2/"


def methods(service: TokenService, observers: Observers) -> Methods:
    """The table. What has no answer of its own kind (bytes that are no message) is the status that grpc-go gives."""
    table = Methods()

    def time_adjust(data: bytes, _call: Call) -> bytes:
        start = perf_counter()
        decoded(wire.TimeAdjustRequest, data)
        answer = wire.TimeAdjustResponse(serverTimestamp=service.clock.wall_ms()).SerializeToString()
        observers.observe("TimeAdjust", 200, perf_counter() - start)
        return answer

    table.unary(LIMITER + "TimeAdjust", time_adjust)
    table.stream(LIMITER + "Service", lambda call: _Stream(service, observers, call))
    return table


class _Stream:
    """One answer per message, in order; in between, what others used up."""

    __slots__ = ("__weakref__", "_call", "_observers", "_seat", "_service")

    def __init__(self, service: TokenService, observers: Observers, call: Call) -> None:
        self._service = service
        self._observers = observers
        self._call = call
        self._seat = Seat(self._push)

    def on_message(self, data: bytes, /) -> bytes | Later | None:
        """See ``StreamHandler``."""
        start = perf_counter()
        request = decoded(wire.RateLimitRequest, data)
        given: Any = self._service.answer(self._seat, request)
        if not isinstance(given, Message):
            return _Making(self, given, start)
        answer = self.encoded(given, start)
        if not _ends(given):
            return answer
        self._call.send(answer)
        self._call.finish()
        return None

    def encoded(self, given: Any, start: float) -> bytes:
        """The bytes of an answer, which is counted."""
        field = _FIELDS.get(given.cmd)
        if field is not None:
            name, kind = field
            self._observers.observe(name, getattr(given, kind).code // 1000, perf_counter() - start)
        answer: bytes = given.SerializeToString()
        return answer

    def finish(self) -> None:
        """End the stream behind what was answered."""
        self._call.finish()

    def _push(self, message: bytes) -> None:
        if self._call.backlog < BACKLOG:
            self._call.send(message)

    def on_end(self) -> None:
        """The client sends no more: the stream is over."""

    def on_close(self) -> None:
        """See ``StreamHandler``."""
        self._service.leave(self._seat)


class _Making:
    """An answer that is put together bit by bit."""

    __slots__ = ("_later", "_start", "_stream")

    def __init__(self, stream: _Stream, later: Any, start: float) -> None:
        self._stream = stream
        self._later = later
        self._start = start

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """See ``Later``."""

        def done(given: Any) -> None:
            if given is None:
                reply(RpcError(Status.INTERNAL))
                return
            reply(self._stream.encoded(given, self._start))
            if _ends(given):
                self._stream.finish()

        self._later.then(done)


def _ends(given: Any) -> bool:
    """A key that another node made: the client has to look for the node that its counters belong to."""
    code: int = given.rateLimitReportResponse.code
    return code == codes.INVALID_COUNTER_KEY


_FIELDS: Final[dict[int, tuple[str, str]]] = {
    wire.INIT: ("RateLimitInit", "rateLimitInitResponse"),
    wire.ACQUIRE: ("RateLimitAcquire", "rateLimitReportResponse"),
    wire.BATCH_ACQUIRE: ("RateLimitAcquire", "rateLimitReportResponse"),
    wire.BATCH_INIT: ("RateLimitBatchInit", "rateLimitBatchInitResponse"),
}
"""By ``cmd``: the operation as it is counted, and the field that has the answer."""
