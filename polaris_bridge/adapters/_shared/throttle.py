"""Where calls that are too many are turned away, on whatever listener: the rule is the runtime's, the words the protocol's.

Without limits nothing stands between a listener and its handlers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Protocol
from urllib.parse import unquote

from polaris_bridge.transport.rpc import Call, Later, Methods, Open, RpcError, Status, StreamHandler, Unary

from .exchange import Deferred, Handler, Request, Response


class Excess(Enum):
    """Which limit a call met."""

    ADDRESS = "ip"
    """Its client's address calls too often."""
    API = "api"
    """What it asks is asked too often, by everybody together."""


class CallLimits(Protocol):
    """Who counts calls. Neither method waits."""

    def excess(self, protocol: str, address: str, api: str, /) -> Excess | None:
        """Count a call; why it is one too many, if so. ``api``: ``METHOD:/path`` over HTTP, the path over gRPC."""
        ...

    def too_often(self, protocol: str, instance: str, /) -> bool:
        """Count a registration or deregistration of an instance; whether it is one too many."""
        ...


HttpLimit = Callable[[Request], "Response | Deferred | None"]
"""What a request that is one too many is answered; None: it is none. Does not raise."""

RpcLimit = Callable[[bytes, Excess], "bytes | Later"]
"""What a message that is one too many is answered. May raise ``RpcError``."""

TOO_MANY: Final = "too many calls, try again later"


def http_limit(
    limits: CallLimits | None, protocol: str, answer: Callable[[Request, Excess], Response | Deferred]
) -> HttpLimit | None:
    """The limit of an HTTP listener; None when there is none. Paths count as polaris-server 1.19 counts them: decoded, and
    without a slash at their end."""
    if limits is None:
        return None
    excess = limits.excess

    def limit(request: Request) -> Response | Deferred | None:
        path = request.path
        if "%" in path:
            path = unquote(path, "latin-1")
        found = excess(protocol, request.peer, f"{request.method}:{path.removesuffix('/')}")
        return None if found is None else answer(request, found)

    return limit


def limited(handler: Handler, limit: HttpLimit | None) -> Handler:
    """A handler behind a limit; the handler itself when there is none."""
    if limit is None:
        return handler

    def handle(request: Request) -> Response | Deferred:
        refused = limit(request)
        return handler(request) if refused is None else refused

    return handle


def limited_methods(
    table: Methods, limits: CallLimits | None, protocol: str, answers: Mapping[str, RpcLimit | None]
) -> Methods:
    """A table behind limits; the table itself when there are none. Every message of a stream counts, as on polaris-server 1.19.

    ``answers``: what is said instead of an answer, by path; None: calls of this method are not limited. Methods that are not
    named end with RESOURCE_EXHAUSTED.
    """
    if limits is None:
        return table
    found = Methods()
    for path, unary in table.unaries():
        answer = answers.get(path, _exhausted)
        found.unary(path, unary if answer is None else _unary(unary, limits, protocol, path, answer))
    for path, open in table.streams():
        answer = answers.get(path, _exhausted)
        found.stream(path, open if answer is None else _stream(open, limits, protocol, path, answer))
    return found


def limited_openings(table: Methods, limits: CallLimits | None, protocol: str) -> Methods:
    """A table whose streams are counted as they are opened, the table itself when there are no limits: for protocols whose
    messages are the server's own pace, such as acknowledgements. One too many ends with RESOURCE_EXHAUSTED."""
    if limits is None:
        return table
    found = Methods()
    for path, unary in table.unaries():
        found.unary(path, _unary(unary, limits, protocol, path, _exhausted))
    for path, open in table.streams():
        found.stream(path, _opening(open, limits, protocol, path))
    return found


def _opening(open: Open, limits: CallLimits, protocol: str, path: str) -> Open:
    def opened(call: Call) -> StreamHandler:
        if limits.excess(protocol, call.peer, path) is not None:
            raise RpcError(Status.RESOURCE_EXHAUSTED, TOO_MANY)
        return open(call)

    return opened


def _exhausted(_message: bytes, _found: Excess) -> bytes:
    raise RpcError(Status.RESOURCE_EXHAUSTED, TOO_MANY)


def _unary(unary: Unary, limits: CallLimits, protocol: str, path: str, answer: RpcLimit) -> Unary:
    excess = limits.excess

    def handle(message: bytes, call: Call) -> bytes | Later:
        found = excess(protocol, call.peer, path)
        return unary(message, call) if found is None else answer(message, found)

    return handle


def _stream(open: Open, limits: CallLimits, protocol: str, path: str, answer: RpcLimit) -> Open:
    return lambda call: _Limited(open(call), limits, protocol, call.peer, path, answer)


class _Limited:
    """A stream whose messages are counted."""

    __slots__ = ("_address", "_answer", "_excess", "_handler", "_path", "_protocol", "on_close", "on_end")

    def __init__(
        self, handler: StreamHandler, limits: CallLimits, protocol: str, address: str, path: str, answer: RpcLimit
    ) -> None:
        self._handler = handler
        self._excess = limits.excess
        self._protocol = protocol
        self._address = address
        self._path = path
        self._answer = answer
        self.on_end = handler.on_end
        self.on_close = handler.on_close

    def on_message(self, message: bytes, /) -> bytes | Later | None:
        """See ``StreamHandler``."""
        found = self._excess(self._protocol, self._address, self._path)
        return self._handler.on_message(message) if found is None else self._answer(message, found)
