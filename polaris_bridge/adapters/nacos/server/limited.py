"""What who asks too often is answered: Nacos' own words for its limits (TPS control of 2.5.1), and as late as there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters._shared.exchange import Deferred, Headers, Request, Response
from polaris_bridge.adapters._shared.throttle import Excess
from polaris_bridge.adapters.nacos.wire.payload import Malformed, decode, encode
from polaris_bridge.core.ports import Scheduler
from polaris_bridge.transport.rpc import Later, RpcError, Status

from .grpc_answers import OVER_THRESHOLD, error, failure
from .grpc_config import CONFIG_KINDS
from .grpc_kinds import Kinds
from .grpc_naming import KINDS

HELD_S: Final = 1.0
"""How long a refusal is held back, as there: clients come back at once."""
MOST_HELD: Final = 1000
"""Refusals that wait at a time; further ones go out at once, so that a flood does not fill the memory."""
_WORDS: Final = {Excess.ADDRESS: "over limit of the client address", Excess.API: "over limit of the request"}
_NOT_KEPT: Final[Headers] = (
    (b"Pragma", b"no-cache"),
    (b"Expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"Cache-Control", b"no-cache,no-store"),
)
_KINDS: Final[Kinds] = {**KINDS, **CONFIG_KINDS}


class TooMany:
    """The refusals of one listener."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.held = 0
        """How many wait now."""

    def http(self, _request: Request, found: Excess) -> Response | Deferred:
        """503 with a text."""
        response = Response(503, f"{_WORDS[found]}\r\n".encode(), _NOT_KEPT)
        return response if self._full() else _HeldResponse(self, response)

    def request(self, data: bytes, found: Excess) -> bytes | Later:
        """Of ``Request/request``: the answer's own type with 500/503. Raises ``RpcError`` for what is no message."""
        try:
            type = decode(data).type
        except Malformed as fault:
            raise RpcError(Status.INTERNAL, f"Invalid protobuf byte sequence: {fault}") from None
        text = f"Tps Flow restricted:{_WORDS[found]}"
        kind = _KINDS.get(type)
        if kind is None:
            answer = error(500, OVER_THRESHOLD, text)
        else:
            answer = encode(kind.answer, failure(500, OVER_THRESHOLD, text, kind.refused))
        return answer if self._full() else _HeldMessage(self, answer)

    def _full(self) -> bool:
        return self.held >= MOST_HELD

    def later(self, reply: Callable[[], None]) -> Callable[[], None]:
        """Hold something back; returns what lets go of it before."""
        self.held += 1
        over = False

        def end() -> None:
            nonlocal over
            if not over:
                over = True
                self.held -= 1

        def due() -> None:
            if not over:
                end()
                reply()

        self._scheduler.later(HELD_S, due)
        return end


class _HeldResponse:
    """A response that waits."""

    __slots__ = ("_end", "_owner", "_response")

    def __init__(self, owner: TooMany, response: Response) -> None:
        self._owner = owner
        self._response = response
        self._end: Callable[[], None] | None = None

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""
        self._end = self._owner.later(lambda: reply(self._response))

    def abandon(self) -> None:
        """See ``exchange.Parked``."""
        if self._end is not None:
            self._end()


class _HeldMessage:
    """A message that waits."""

    __slots__ = ("_end", "_message", "_owner")

    def __init__(self, owner: TooMany, message: bytes) -> None:
        self._owner = owner
        self._message = message
        self._end: Callable[[], None] | None = None

    def then(self, reply: Callable[[bytes | RpcError], None]) -> None:
        """See ``rpc.Later``."""
        self._end = self._owner.later(lambda: reply(self._message))

    def abandon(self) -> None:
        """See ``rpc.Parked``."""
        if self._end is not None:
            self._end()
