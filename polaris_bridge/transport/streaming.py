"""Streaming calls: any number of messages either way.

The handler's next message is handed over when the answer to the last one has been taken by the socket (``_Wait``). A stream ends
in one place, ``_conclude``, as soon as nothing is in its way; ``on_close`` follows at once, the status goes behind what was sent.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final

from .call import CUT_SHORT, EXPIRED, HELD_TOO_MUCH, Call, Opening, Timer
from .frames import MESSAGE
from .grpc_framing import PLAIN, PREFIX_SIZE, message_size, too_large_sent
from .rpc import Later, RpcError, Status, StreamHandler

if TYPE_CHECKING:
    from .connection import Connection

_STOPPING: Final = RpcError(Status.UNAVAILABLE, "the server is stopping")
_BROKEN: Final = (0, "")
"""How servers written in Go end a stream whose handler failed."""


class _Wait(Enum):
    """What the next message waits for."""

    NOTHING = 0
    HANDLER = 1
    """The handler is being called, further up the stack."""
    ANSWER = 2
    """The handler's answer comes later."""
    READER = 3
    """The client has not read the last answer."""
    TURN = 4
    """The connection owes too much: this stream was set aside."""


_NOTHING, _HANDLER, _ANSWER, _READER, _TURN = _Wait  # read for every message


class StreamCall(Call):
    """``rpc.Call`` of a stream."""

    __slots__ = ("_closed", "_end_as", "_handler", "_inbox", "_input_over", "_partial", "_timer", "_waits", "_within")

    def __init__(self, connection: Connection, id: int, opening: Opening) -> None:
        super().__init__(connection, id, opening)
        self._handler: StreamHandler | None = None
        self._partial: bytearray | None = None
        self._inbox: deque[bytes] | None = None
        """Whole messages that wait for their turn."""
        self._waits = _NOTHING
        self._end_as: tuple[int, str] | None = None
        """How the stream is to end."""
        self._closed = False
        """It has ended, for the handler at least."""
        self._input_over = False
        """``on_end`` was called."""
        self._timer: Timer | None = None
        self._within = False
        """``Later.then`` is being called, further up the stack."""

    # ------------------------------------------------------------------ what the handler may do

    def send(self, message: bytes) -> None:
        """See ``rpc.Call``."""
        if self._end_as is not None or self._closed:
            return
        error = self._unsendable(message)
        if error is None:
            self.connection.send(self, self._opening.layout, *self._outgoing(message))
            return
        self.connection.budget.reasons["slow_reader"] += 1
        self._give_up(error)

    def _unsendable(self, message: bytes) -> RpcError | None:
        limits = self._opening.shared.limits
        if len(message) > limits.max_send:
            return too_large_sent(len(message), limits.max_send)
        if self.backlog + len(message) > limits.max_backlog:
            return RpcError(Status.RESOURCE_EXHAUSTED, f"{self.backlog} bytes were not read in time")
        connection = self.connection
        if connection.unsent and connection.congested():
            text = f"{connection.unsent} bytes of this connection were not read in time"
            return RpcError(Status.RESOURCE_EXHAUSTED, text)
        return None

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """See ``rpc.Call``."""
        if self._end_as is None and not self._closed:
            self._end_as = (int(code), message)
            self._settle()

    def _give_up(self, error: RpcError) -> None:
        """End with what is unread forgotten: its reader is too slow, or out of time."""
        self.connection.drop(self)
        self._end_as = (int(error.code), error.message)
        if self._waits is not _HANDLER:
            self._conclude()

    def _settle(self) -> None:
        """End, if that is decided and nothing is in the way. An answer that is due is waited for; an unread one is not: the
        status queues behind it."""
        if self._end_as is not None and self._waits not in (_HANDLER, _ANSWER):
            self._conclude()

    # ------------------------------------------------------------------ what arrives

    def opened(self) -> None:
        """See ``Stream``."""
        opening = self._opening
        shared = opening.shared
        if opening.timeout_s is not None:
            self._timer = shared.call_later(opening.timeout_s, self._expired)
        shared.open.add(self)
        self._waits = _HANDLER
        try:
            if shared.stopping:
                raise _STOPPING
            self._check_allowed()
            assert opening.stream is not None
            self._handler = opening.stream(self)
        except RpcError as error:
            self._decide(error)
        except Exception as error:  # noqa: BLE001  # handlers fail as they like: see ``_fault``
            self._fault(error)
        self._waits = _NOTHING
        self._settle()

    def on_data(self, octets: bytes, ended: bool) -> None:
        """See ``Stream``. The usual frame holds one plain message."""
        if self._closed or self._end_as is not None:
            return
        size = len(octets) - PREFIX_SIZE
        try:
            if (
                self._partial is None
                and size >= 0
                and octets[0] == 0
                and MESSAGE.unpack_from(octets)[1] == size
                and size <= self._opening.shared.limits.max_receive
            ):
                self._message(octets[PREFIX_SIZE:])
            elif octets:
                self._collect(octets)
            if ended and not self._closed:
                if self._partial:
                    raise CUT_SHORT
                self._go_on()
        except RpcError as error:
            self._decide(error)
            self._settle()

    def _collect(self, octets: bytes) -> None:
        """Messages in any cut. RpcError when they end the stream."""
        if self._partial is None:
            self._partial = bytearray()
        part = self._partial
        part += octets
        if not self.connection.hold(len(octets)):
            raise HELD_TOO_MUCH
        most = self._opening.shared.limits.max_receive
        at = 0
        while len(part) - at >= PREFIX_SIZE and not self._closed:
            body = at + PREFIX_SIZE
            end = body + message_size(part[at:body], most, self._opening.encoding)
            if len(part) < end:
                break
            self._message(self._incoming(part[at], bytes(part[body:end])))
            at = end
        if self._closed:
            return
        self.connection.release(at)
        del part[:at]
        if not part:
            self._partial = None

    def _message(self, message: bytes) -> None:
        """A message is complete: hand it over, or put it behind those that wait."""
        if self._waits is _NOTHING and self._end_as is None and not self._inbox:
            self._hand(message)
        elif self._end_as is None:
            self._keep(message)
            if not self.connection.hold(len(message)):
                raise HELD_TOO_MUCH

    def _keep(self, message: bytes, *, first: bool = False) -> None:
        if self._inbox is None:
            self._inbox = deque()
        (self._inbox.appendleft if first else self._inbox.append)(message)
        self.held += len(message) + PREFIX_SIZE

    def _go_on(self) -> None:
        """Whatever waits has its turn: messages, then the end of the input."""
        while self._waits is _NOTHING and self._end_as is None:
            if self._inbox:
                message = self._inbox.popleft()
                self.held -= len(message) + PREFIX_SIZE
                self.connection.release(len(message))
                self._hand(message)
                self.connection.credit(self)
            elif self.ended and not self._input_over:
                self._end_input()
            else:
                break

    def _hand(self, message: bytes) -> None:
        """Ask the handler."""
        connection = self.connection
        if connection.unsent and connection.congested():
            self._keep(message, first=True)
            connection.hold(len(message))
            self._waits = _TURN
            connection.set_aside(self)
            return
        assert self._handler is not None
        began = perf_counter()
        self._waits = _HANDLER
        try:
            reply = self._handler.on_message(message)
            if reply is None:
                self._waits = _NOTHING
            elif isinstance(reply, bytes):
                self._answer(reply, began)
            else:
                self._await(reply, began)
        except RpcError as error:
            self._decide(error)
            self._waits = _NOTHING
        except Exception as error:  # noqa: BLE001  # handlers fail as they like: see ``_fault``
            self._fault(error)
            self._waits = _NOTHING
        if self._end_as is not None:
            self._settle()

    def _await(self, reply: Later, began: float) -> None:
        self._waits = _ANSWER
        self._within = True
        try:
            reply.then(partial(self._arrived, began))
        finally:
            self._within = False

    def _arrived(self, began: float, reply: bytes | RpcError) -> None:
        """An answer that came later, perhaps within ``then``."""
        if self._closed or self._waits is not _ANSWER:
            return
        try:
            if isinstance(reply, RpcError):
                raise reply
            self._answer(reply, began)
        except RpcError as error:
            self._decide(error)
            self._waits = _NOTHING
        self._settle()
        if not self._within:
            self._go_on()

    def _answer(self, message: bytes, began: float) -> None:
        shared = self._opening.shared
        if self._closed:
            return
        if len(message) > shared.limits.max_send:
            raise too_large_sent(len(message), shared.limits.max_send)
        layout = self._opening.layout
        if layout is PLAIN:
            taken = self.connection.send(self, PLAIN, 0, message)
        else:
            taken = self.connection.send(self, layout, *self._outgoing(message))
        self._waits = _NOTHING if taken else _READER
        shared.answered += 1
        if shared.observe is not None:
            shared.observe(self.path, 0, perf_counter() - began)

    def on_taken(self) -> None:
        """See ``Stream``."""
        if self._waits is _READER:
            self._waits = _NOTHING
            self._go_on()

    def resume(self) -> None:
        """See ``Stream``."""
        if self._waits is _TURN:
            self._waits = _NOTHING
        if not self._closed:
            self._go_on()

    def _end_input(self) -> None:
        self._input_over = True
        assert self._handler is not None
        self._waits = _HANDLER
        try:
            if not self._handler.on_end() and self._end_as is None:
                self._end_as = (0, "")
        except RpcError as error:
            self._decide(error)
        except Exception as error:  # noqa: BLE001  # handlers fail as they like: see ``_fault``
            self._fault(error)
        self._waits = _NOTHING
        self._settle()

    # ------------------------------------------------------------------ how it ends

    def _decide(self, error: RpcError) -> None:
        """The first decision counts."""
        if self._end_as is None:
            self._end_as = (int(error.code), error.message)

    def _fault(self, error: Exception) -> None:
        """The listener's one catch-all for streams ends here."""
        self._opening.shared.fault(self.path, error)
        self._end_as = self._end_as or _BROKEN

    def _conclude(self) -> None:
        """Send the status, behind what was sent before, and tell the handler."""
        if self._closed:
            return
        assert self._end_as is not None
        code, message = self._end_as
        if code:
            self._opening.shared.refused(self.path, code, perf_counter())
        self._end(code, message)
        self._close()

    def _expired(self) -> None:
        self._timer = None
        if not self._closed:
            self._give_up(EXPIRED)

    def gone(self) -> None:
        """See ``Stream``."""
        if not self._closed:
            self._close()  # to leave a stream is what clients do when they need no more of it: not counted

    def _close(self) -> None:
        """Let go of everything, then ``on_close``."""
        self._closed = True
        shared = self._opening.shared
        shared.open.discard(self)
        held = len(self._partial or b"") + sum(map(len, self._inbox or ()))
        if held:
            self.connection.release(held)
        self._partial = self._inbox = None
        self.held = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        handler, self._handler = self._handler, None
        if handler is not None:
            try:
                handler.on_close()
            except Exception as error:  # noqa: BLE001  # the end of one stream must not disturb the others
                shared.fault(self.path, error)
