"""Unary calls: one request, one answer. A handler is a plain function, called while bytes are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from .call import CUT_SHORT, EXPIRED, HELD_TOO_MUCH, INTERNAL, Call, Opening, Timer
from .frames import MESSAGE
from .grpc_framing import PLAIN, PREFIX_SIZE, message_size, too_large_received, too_large_sent
from .rpc import Later, RpcError, Status, abandoning

if TYPE_CHECKING:
    from .connection import Connection

_NO_REQUEST: Final = RpcError(Status.INTERNAL, "grpc: the call ended without a request")
_SECOND_REQUEST: Final = RpcError(Status.INTERNAL, "grpc: a second request in a call that takes one")


class UnaryCall(Call):
    """One request, one answer."""

    __slots__ = ("_aside", "_body", "_if_gone", "_over", "_timer")

    def __init__(self, connection: Connection, id: int, opening: Opening) -> None:
        super().__init__(connection, id, opening)
        self._body: bytearray | None = None
        self._aside = False
        """The request waits in ``_body`` for the client to read."""
        self._if_gone: Callable[[], None] | None = None
        """Tells the pending answer that nobody waits for it any more."""
        self._over = False
        self._timer: Timer | None = None

    def send(self, message: bytes) -> None:
        """A unary call has one answer."""
        raise TypeError(f"{self.path} is unary: it cannot push")

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """A unary call ends by its answer or an ``RpcError``."""
        raise TypeError(f"{self.path} is unary: its answer ends it")

    def on_data(self, octets: bytes, ended: bool) -> None:
        """See ``Stream``. The usual call is one DATA frame that holds one plain message and ends the stream."""
        if self._over:
            return
        if ended and self._body is None:
            size = len(octets) - PREFIX_SIZE
            if size >= 0 and octets[0] == 0 and MESSAGE.unpack_from(octets)[1] == size:
                if size > self._opening.shared.limits.max_receive:
                    self._fail(too_large_received(size, self._opening.shared.limits.max_receive))
                else:
                    self._request(octets[PREFIX_SIZE:])
                return
        try:
            self._collect(octets, ended)
        except RpcError as error:
            self._fail(error)

    def _collect(self, octets: bytes, ended: bool) -> None:
        body = self._body
        if body is None:
            body = self._body = bytearray()
            self._watch_deadline()
        body += octets
        shared = self._opening.shared
        if not self.connection.hold(len(octets)):
            raise HELD_TOO_MUCH
        if len(body) >= PREFIX_SIZE:
            size = message_size(body, shared.limits.max_receive, self._opening.encoding)
            if len(body) > PREFIX_SIZE + size:
                raise _SECOND_REQUEST
        if not ended:
            return
        if not body:
            raise _NO_REQUEST
        if len(body) < PREFIX_SIZE or len(body) < PREFIX_SIZE + size:
            raise CUT_SHORT
        message = self._incoming(body[0], bytes(memoryview(body)[PREFIX_SIZE:]))
        self._release()
        self._request(message)

    def _release(self) -> None:
        if self._body:
            self.connection.release(len(self._body))
            self._body = bytearray()

    def _request(self, message: bytes) -> None:
        """The request is there: ask the handler, unless the client owes us to read first."""
        opening = self._opening
        connection = self.connection
        if connection.unsent and connection.congested():
            self._set_aside(message)
            return
        began = perf_counter()
        try:
            if opening.shared.allow is not None:
                self._check_allowed()
            assert opening.unary is not None
            reply = opening.unary(message, self)
            if type(reply) is bytes:
                self._reply(reply, began)
                return
        except RpcError as error:
            self._fail(error, began)
            return
        except Exception as error:  # noqa: BLE001  # the listener's one catch-all for unary calls
            opening.shared.fault(self.path, error)
            self._fail(INTERNAL, began)
            return
        self._watch_deadline()
        self._later(reply, began)

    def _set_aside(self, message: bytes) -> None:
        self._body = bytearray(message)
        if not self.connection.hold(len(message)):
            self._fail(HELD_TOO_MUCH)
            return
        self._aside = True
        self.connection.set_aside(self)
        self._watch_deadline()

    def _later(self, reply: bytes | Later, began: float) -> None:
        try:
            if isinstance(reply, (bytes, bytearray)):
                self._arrived(began, bytes(reply))
            else:
                self._if_gone = abandoning(reply)
                reply.then(partial(self._arrived, began))
        except Exception as error:  # noqa: BLE001  # what was returned is the handler's as well
            self._opening.shared.fault(self.path, error)
            self._fail(INTERNAL, began)

    def _arrived(self, began: float, reply: bytes | RpcError) -> None:
        self._if_gone = None
        if self._over:
            return
        if isinstance(reply, RpcError):
            self._fail(reply, began)
        else:
            self._reply(reply, began)

    def _reply(self, message: bytes, began: float) -> None:
        shared = self._opening.shared
        if self._over:
            return
        if len(message) > shared.limits.max_send:
            self._fail(too_large_sent(len(message), shared.limits.max_send), began)
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        layout = self._opening.layout
        if layout is PLAIN:
            self.connection.respond(self, PLAIN, message)
        else:
            self.connection.send(self, layout, *self._outgoing(message))
            self.connection.finish(self, layout.trailers)
        shared.answered += 1
        if shared.observe is not None:
            shared.observe(self.path, 0, perf_counter() - began)

    def _fail(self, error: RpcError, began: float | None = None) -> None:
        if not self._over:
            self._close()
            self._refuse(error, perf_counter() if began is None else began)

    def _close(self) -> None:
        self._over = True
        self._release()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if_gone, self._if_gone = self._if_gone, None
        if if_gone is not None:
            if_gone()

    def _watch_deadline(self) -> None:
        """Only calls that are not answered at once need a timer."""
        opening = self._opening
        if opening.timeout_s is not None and self._timer is None and not self._over:
            self._timer = opening.shared.call_later(opening.timeout_s, self._expired)

    def _expired(self) -> None:
        self._timer = None
        self._fail(EXPIRED)

    def resume(self) -> None:
        """See ``Stream``."""
        if self._aside and not self._over:
            assert self._body is not None
            message = bytes(self._body)
            self._release()
            self._aside = False
            self._request(message)

    def gone(self) -> None:
        """See ``Stream``."""
        self._close()
