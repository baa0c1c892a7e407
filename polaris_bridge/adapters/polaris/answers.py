"""The shape of every native answer: a code, its text, and what was asked for."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import Struct

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.codes import info as text
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import (
    Busy,
    Conflict,
    CoreError,
    Denied,
    NotFound,
    Throttled,
    TokenDisabled,
    TokenReplaced,
    TooLate,
    Unavailable,
)

__all__ = ["CODES", "UNECHOED", "Outcome", "bare", "code_in", "code_of", "echoed", "failed", "respond", "text"]


class Outcome(Struct, frozen=True):
    """A message to answer with, and when that becomes true. When the commit fails, the answer is ``failed`` of it instead."""

    response: Message
    commit: Commit = SETTLED


def respond(code: int, info: str | None = None, **fields: Message) -> v1.Response:
    """An answer with the code's own text, or another one, and messages of the request or the result by field name."""
    answer = v1.Response.FromString(bare(code))
    if info is not None:
        answer.info.value = info
    for name, value in fields.items():
        getattr(answer, name).CopyFrom(value)
    return answer


def echoed(code: int, instance: bytes) -> bytes:
    """An encoded answer whose ``instance`` is the request as it came: what a heartbeat gets, without building anything."""
    return b"".join((bare(code), _INSTANCE, _varint(len(instance)), instance))


UNECHOED: Final = frozenset({v1.HealthCheckNotOpen})
"""Codes that the original gives without the instance that was asked about."""


def code_in(encoded: bytes) -> int:
    """The code of an encoded answer, which stands first in it (as a wrapper whose number takes three bytes)."""
    return encoded[3] & 0x7F | (encoded[4] & 0x7F) << 7 | encoded[5] << 14


CODES: Final[dict[type[CoreError], int]] = {
    Busy: v1.StoreLayerException,
    Unavailable: v1.StoreLayerException,
    TokenDisabled: v1.TokenDisabled,
    TokenReplaced: v1.TokenNotExisted,
    Denied: v1.NotAllowedAccess,
    Throttled: v1.IPRateLimit,
    Conflict: v1.BadRequest,
    NotFound: v1.NotFoundResource,
}
"""What becomes of the core's refusals, where an operation knows nothing more precise to say. The first that fits counts."""


def code_of(error: Exception) -> int:
    """The code of a failure."""
    return next((code for kind, code in CODES.items() if isinstance(error, kind)), v1.ExecuteException)


def failed(response: Message, error: Exception) -> Any:
    """What to answer instead when the store did not take what an answer says: the same message with the error's code.

    In a batch every item that was said to be done gets it too, since all of them were one transaction or stood behind it.
    """
    answer: Any = type(response)()
    answer.CopyFrom(response)
    late = isinstance(error, TooLate) and isinstance(answer, v1.Response) and answer.HasField("instance")
    code = v1.InstanceRegisTimeout if late else code_of(error)
    _mark(answer, code)
    if "responses" in answer.DESCRIPTOR.fields_by_name:
        for item in answer.responses:
            if item.code.value == v1.ExecuteSuccess:
                _mark(item, code)
    return answer


def _mark(answer: Any, code: int) -> None:
    answer.code.value = code
    answer.info.value = text(code)


@lru_cache(maxsize=1024)
def bare(code: int) -> bytes:
    """An encoded answer of a code and its text: there are few of them, and every answer begins with one."""
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
