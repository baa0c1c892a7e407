"""What a route answers, before it is an HTTP response: a body, its index, its status and the write that it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from polaris_bridge.adapters._shared.exchange import Deferred, Headers, Response
from polaris_bridge.adapters.consul.wire.refusals import Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Busy, Conflict, CoreError, Denied, Invalid, NotFound, Throttled, Unavailable

JSON: Final[Headers] = ((b"Content-Type", b"application/json"),)
PLAIN: Final[Headers] = ((b"Content-Type", b"text/plain; charset=utf-8"),)

encode: Final = msgspec.json.Encoder(order=None).encode


class Answer(Struct, frozen=True, gc=False):
    """One answer."""

    body: bytes | tuple[bytes, ...] = b""
    index: int = 0
    """Above 0: the answer of a read that can block; it carries this and the other headers of reads."""
    status: int = 200
    headers: Headers = JSON
    commit: Commit = SETTLED
    """The answer goes out when this is durable; a 5xx when the store did not take it."""
    filtered: bool = False
    """Whether something was hidden from the caller for want of a right."""
    unchanged: bool = False
    """Whether it is what the client says it has seen, told by something else than an index: a blocking read waits."""
    most_wait_s: float = 0.0
    """Above 0: how long a blocking read waits for something newer than this at most, whatever it asked for."""


class Later:
    """An answer that takes a while: ``begin`` is called once, and calls back once with the answer or why there is none."""

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[Callable[[Answer | Exception], None]], None]) -> None:
        self.begin = begin


Reply = Answer | Response | Deferred | Later
"""What routes return. Responses go out as they are."""

DONE: Final = Answer(b"", headers=PLAIN)
TRUE: Final = Answer(b"true")
FALSE: Final = Answer(b"false")


def json(value: object, index: int = 0, status: int = 200, commit: Commit = SETTLED) -> Answer:
    """Any value that msgspec encodes; bytes are taken for JSON already."""
    return Answer(value if isinstance(value, bytes) else encode(value), index, status, JSON, commit)


def done(commit: Commit | None = None) -> Answer:
    """200 with an empty body, as soon as the write is durable: writes of the agent API."""
    return DONE if commit is None or commit is SETTLED else Answer(b"", headers=PLAIN, commit=commit)


def true(commit: Commit | None = None) -> Answer:
    """``true``, as soon as the write is durable: writes of catalog, KV and sessions."""
    return TRUE if commit is None or commit is SETTLED else Answer(b"true", commit=commit)


def text(body: str, status: int = 200) -> Answer:
    """A plain text."""
    return Answer(body.encode("utf-8", "replace"), 0, status, PLAIN)


_CORE: Final[tuple[tuple[type[CoreError], int], ...]] = (
    (Busy, 503),
    (Unavailable, 500),
    (Throttled, 429),
    (Denied, 403),
    (Invalid, 500),
    (Conflict, 500),
    (NotFound, 500),
)
"""The core's refusals in the protocol's words; the first that fits."""


def refused(error: CoreError) -> Refused:
    """A refusal of the core as one of this protocol. A real agent says no leader when its store takes no writes."""
    if isinstance(error, Unavailable):
        return Refused(500, "No cluster leader")
    if isinstance(error, Denied):
        return Refused(403, "ACL not found" if not str(error) else f"Permission denied: {error}")
    status = next((status for kind, status in _CORE if isinstance(error, kind)), 500)
    return Refused(status, str(error))
