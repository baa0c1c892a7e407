"""Answers over gRPC: bodies in the order of Nacos 2.5.1, refusals as it says them, and answers that wait for the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from polaris_bridge.adapters.nacos.service.admission import Forbidden
from polaris_bridge.adapters.nacos.service.fuzzy_patterns import OverLimit
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import IllegalParam
from polaris_bridge.adapters.nacos.wire.payload import encode
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Busy, CoreError, Denied, Throttled
from polaris_bridge.transport.rpc import RpcError

json: Final = msgspec.json.Encoder().encode

ERROR: Final = "ErrorResponse"
NOT_FOUND: Final = 302
UNREGISTERED: Final = 301
BAD_GATEWAY: Final = 502
OVER_THRESHOLD: Final = 503

DONE: Final = b'{"resultCode":200,"errorCode":0,"success":true}'
"""The body of an answer that says nothing more."""


def success(members: bytes) -> bytes:
    """A body with further members: JSON without braces."""
    return b'{"resultCode":200,"errorCode":0,%b,"success":true}' % members


def failure(result: int, code: int, message: str, members: bytes = b"") -> bytes:
    """A body that says no."""
    return b'{"resultCode":%d,"errorCode":%d,"message":%b%b,"success":false}' % (result, code, json(message), members)


def error(result: int, code: int, message: str) -> bytes:
    """An ``ErrorResponse``, whole."""
    return encode(ERROR, failure(result, code, message))


def refusal(error_: Exception, answer: str, members: bytes = b"") -> bytes:
    """A refusal, whole. What filters object to is said in the answer's own type, what the handler objects to in an
    ``ErrorResponse``. ``members``: what the answer's type has besides (lists: ``count``)."""
    if isinstance(error_, IllegalParam):
        return encode(answer, failure(500, 400, f"Param check invalid:{error_.text}", members))
    if isinstance(error_, Forbidden):
        return encode(answer, failure(500, 403, error_.text, members))
    if isinstance(error_, Denied | Throttled):
        return encode(answer, failure(500, 403, str(error_), members))
    if isinstance(error_, OverLimit):
        return encode(answer, failure(500, error_.grpc, error_.text, members))
    if isinstance(error_, Refused):
        return error(error_.grpc, error_.grpc, error_.text)
    if isinstance(error_, Busy):
        return error(500, OVER_THRESHOLD, str(error_))
    if isinstance(error_, CoreError):
        return error(500, 500, str(error_))
    return error(500, 500, "internal error")


class Written(msgspec.Struct, frozen=True, gc=False):
    """What a handler answers when a write is durable. ``body`` is JSON."""

    body: bytes
    commit: Commit


class Asks(Protocol):
    """Calls back once, now or later (``core.ports.Undecided``)."""

    def then(self, call: Callable[[], None], /) -> None:
        """Register the one who is called back."""
        ...


class Pending:
    """A ``Later`` of the transport that is settled by ``settle``."""

    __slots__ = ("_answer", "_reply")

    def __init__(self) -> None:
        self._answer: bytes | RpcError | None = None
        self._reply: Callable[[bytes | RpcError], None] | None = None

    def then(self, reply: Callable[[bytes | RpcError], None]) -> None:
        """See ``rpc.Later``."""
        if self._answer is not None:
            reply(self._answer)
        else:
            self._reply = reply

    def settle(self, answer: bytes | RpcError) -> None:
        """The answer is there. The first one counts."""
        if self._answer is None:
            self._answer = answer
            if self._reply is not None:
                self._reply(answer)
