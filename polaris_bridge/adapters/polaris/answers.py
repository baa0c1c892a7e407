"""The shape of every native answer: a code, its text, and what was asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import Struct

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Busy, Conflict, CoreError, Denied, NotFound, Unavailable


class Outcome(Struct, frozen=True):
    """A message to answer with, and when that becomes true. When the commit fails, the answer is ``failed`` of it instead."""

    response: Message
    commit: Commit = SETTLED


def respond(code: int, info: str | None = None, **fields: Message) -> v1.Response:
    """An answer with the code's own text, or another one, and messages of the request or the result by field name."""
    answer = v1.Response.FromString(_head(code))
    if info is not None:
        answer.info.value = info
    for name, value in fields.items():
        getattr(answer, name).CopyFrom(value)
    return answer


def echoed(code: int, instance: bytes) -> bytes:
    """An encoded answer whose ``instance`` is the request as it came: what a heartbeat gets, without building anything."""
    return b"".join((_head(code), _INSTANCE, _varint(len(instance)), instance))


CODES: Final[dict[type[CoreError], int]] = {
    Busy: v1.StoreLayerException,
    Unavailable: v1.StoreLayerException,
    Denied: v1.NotAllowedAccess,
    Conflict: v1.BadRequest,
    NotFound: v1.NotFoundResource,
}
"""What becomes of the core's refusals, where an operation knows nothing more precise to say."""


def code_of(error: Exception) -> int:
    """The code of a failure."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), v1.ExecuteException)


def failed(response: Message, error: Exception) -> Any:
    """What to answer instead when the store did not take what an answer says: the same message with the error's code.

    In a batch every item that was said to be done gets it too, since all of them were one transaction or stood behind it.
    """
    answer: Any = type(response)()
    answer.CopyFrom(response)
    code = code_of(error)
    _mark(answer, code)
    if "responses" in answer.DESCRIPTOR.fields_by_name:
        for item in answer.responses:
            if item.code.value == v1.ExecuteSuccess:
                _mark(item, code)
    return answer


_TEXTS: Final = {
    v1.ExecuteSuccess: "execute success",
    v1.BadRequest: "bad request",
    v1.InvalidParameter: "invalid parameter",
    v1.InvalidNamespaceName: "invalid namespace name",
    v1.InvalidServiceName: "invalid service name",
    v1.InvalidInstanceID: "invalid instance id",
    v1.InvalidInstanceHost: "invalid instance host",
    v1.InvalidInstancePort: "invalid instance port",
    v1.InvalidInstanceProtocol: "invalid instance protocol",
    v1.InvalidInstanceVersion: "invalid instance version",
    v1.InvalidInstanceLogicSet: "invalid instance logic set",
    v1.HealthCheckNotOpen: "server not open health check",
    v1.InvalidMetadata: "the length of metadata is too long or metadata contains invalid characters",
    v1.NotFoundResource: "not found resource",
    v1.NotFoundService: "not found service",
    v1.NotFoundNamespace: "not found namespace",
    v1.ClientAPINotOpen: "client api is not open",
    v1.NotAllowedAccess: "access is not approved",
    v1.ExecuteException: "execute exception",
    v1.StoreLayerException: "store layer exception",
    v1.HeartbeatException: "heartbeat execute exception",
    v1.InstanceRegisTimeout: "instance async regist timeout",
}


def text(code: int) -> str:
    """The text that goes with a code."""
    return _TEXTS.get(code, "")


def _mark(answer: Any, code: int) -> None:
    answer.code.value = code
    answer.info.value = text(code)


@lru_cache(maxsize=1024)
def _head(code: int) -> bytes:
    """Code and text, encoded: there are few of them, and every answer begins with one."""
    return v1.Response(code={"value": code}, info={"value": text(code)}).SerializeToString()


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_INSTANCE: Final = _varint(v1.Response.DESCRIPTOR.fields_by_name["instance"].number << 3 | 2)
"""The tag of ``Response.instance``."""
