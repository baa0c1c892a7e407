"""What every call has, of whatever kind: its headers, its peer, how its messages are wrapped and how it ends."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from .frames import Layout
from .grpc_framing import (
    GZIPPED,
    PLAIN,
    WORTH_COMPRESSING,
    binary,
    check_encoding,
    deflated,
    inflated,
    trailers,
    trailers_only,
)
from .headers import Request
from .limits import Limits
from .rpc import Link, Open, RpcError, Status, Unary
from .streams import Stream

if TYPE_CHECKING:
    from .connection import Connection

log = logging.getLogger("polaris_bridge.apiserver")

Observe = Callable[[str, int, float], None]
"""Told of every finished unary call, every answered message of a stream, and a stream that ends other than OK:
path, status, seconds."""


class Timer(Protocol):
    """What ``CallLater`` returns."""

    def cancel(self) -> None:
        """Do not call."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Runs a function in so many seconds, on the event loop."""

INTERNAL: Final = RpcError(Status.INTERNAL, "internal error")
EXPIRED: Final = RpcError(Status.DEADLINE_EXCEEDED, "context deadline exceeded")
CUT_SHORT: Final = RpcError(Status.INTERNAL, "unexpected EOF")
HELD_TOO_MUCH: Final = RpcError(Status.RESOURCE_EXHAUSTED, "too many bytes of unfinished messages on this connection")


class Shared:
    """What all calls of one listener share: limits and counters."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        call_later: CallLater,
        allow: Callable[[str], bool] | None,
        observe: Observe | None,
    ) -> None:
        """``allow`` says whether an address may call at all (else PERMISSION_DENIED)."""
        self.name = name
        self.limits = limits
        self.call_later = call_later
        self.allow = allow
        self.observe = observe
        self.open: set[Ending] = set()
        """Streams under way."""
        self.stopping = False
        """Set when the listener drains: streams that begin now end at once."""
        self.answered = 0
        """Unary calls and messages of streams that were answered."""
        self.refusals: Counter[int] = Counter()
        """Calls that ended in another status than OK, by status."""
        self.errors = 0
        """Calls that ended in an unexpected exception."""

    def fault(self, path: str, error: BaseException) -> None:
        """Count and log an unexpected error with its call."""
        self.errors += 1
        log.error("%s: %s failed: %r", self.name, path, error, exc_info=error)

    def refused(self, path: str, code: int, began: float) -> None:
        """A call ended other than OK."""
        self.refusals[code] += 1
        if self.observe is not None:
            self.observe(path, code, perf_counter() - began)

    def done(self, path: str, began: float) -> None:
        """A message was answered."""
        self.answered += 1
        if self.observe is not None:
            self.observe(path, 0, perf_counter() - began)


class Ending(Protocol):
    """A stream under way, as far as a listener that stops is concerned."""

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """See ``rpc.Call``."""
        ...


class Opening:
    """What a header list asks for. Shared by all calls whose header block is the same."""

    __slots__ = (
        "answer",
        "begin",
        "encoding",
        "layout",
        "metadata",
        "path",
        "refusal",
        "request",
        "shared",
        "stream",
        "timeout_s",
        "unary",
    )  # fmt: skip

    def __init__(self, shared: Shared, request: Request, begin: type[Call]) -> None:
        self.shared = shared
        self.request = request
        self.path = request.path
        self.metadata = request.metadata
        self.begin = begin
        self.unary: Unary | None = None
        self.stream: Open | None = None
        self.refusal: RpcError | None = None
        self.answer: tuple[bytes, bytes] = (b"", b"")
        """Head and body of a plain HTTP answer."""
        self.timeout_s: float | None = None
        self.encoding = ""
        self.layout: Layout = PLAIN

    def open(self, connection: Connection, stream: int) -> Stream:
        """See ``connection.Opening``."""
        return self.begin(connection, stream, self)


class Call(Stream):
    """``rpc.Call`` upon a stream: what unary calls and streams have in common."""

    __slots__ = ("_opening", "path")

    def __init__(self, connection: Connection, id: int, opening: Opening) -> None:
        super().__init__(connection, id, opening.request.length)
        self._opening = opening
        self.path = opening.path

    @property
    def peer(self) -> str:
        """See ``rpc.Call``."""
        return str(self.connection.owner.host)

    @property
    def link(self) -> Link:
        """See ``rpc.Call``."""
        link: Link = self.connection.owner
        return link

    def metadata(self, name: str) -> str | None:
        """See ``rpc.Call``."""
        value = self._opening.metadata.get(name)
        return binary(value) if value is not None and name.endswith("-bin") else value

    def _check_allowed(self) -> None:
        """RpcError for an address that may not call."""
        allow = self._opening.shared.allow
        if allow is not None and not allow(self.peer):
            self.connection.budget.reasons["not_allowed"] += 1
            raise RpcError(Status.PERMISSION_DENIED, f"{self.peer} is not allowed to call this server")

    def _refuse(self, error: RpcError, began: float) -> None:
        """End the call with a status."""
        self._opening.shared.refused(self.path, error.code, began)
        self._end(error.code, error.message)

    def _end(self, code: int, message: str) -> None:
        block = trailers(code, message) if self.started else trailers_only(code, message)
        self.connection.finish(self, block)

    def _outgoing(self, message: bytes) -> tuple[int, bytes]:
        """Flag and octets of a message, compressed when that was agreed upon."""
        if self._opening.layout is GZIPPED and len(message) >= WORTH_COMPRESSING:
            return 1, deflated(message)
        return 0, message

    def _incoming(self, flag: int, octets: bytes) -> bytes:
        if not flag:
            return octets
        check_encoding(self._opening.encoding)
        return inflated(octets, self._opening.shared.limits.max_receive)
