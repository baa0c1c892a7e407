"""One HTTP connection: uvicorn's httptools protocol with a hot path beneath the framework.

Parsing, flow control and the whole cold path (ASGI task, keep-alive, chunked answers) are uvicorn's. Added here:
requests the listener's ``hot`` hook claims are answered straight from the parser's callbacks; hot and cold requests of one
connection are answered strictly in order; time and size limits; draining.

A request that cannot be answered at once (an earlier one is pending, or the client does not read) waits as a *turn*
and stops the reading of more, so a connection never holds more than one read's worth of requests.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from polaris_bridge.adapters._shared.answers import CLOSE, KEEP, KEEP_OLD, wire_parts
from polaris_bridge.adapters._shared.exchange import Handler, Request, Response, abandoning
from polaris_bridge.adapters._shared.phases import BETWEEN, BODY, DEAF, FRESH, HEAD, UPGRADE, overdue, without_upgrade
from polaris_bridge.adapters._shared.state import SCOPE_KEY, FrameworkLog, ListenerState
from polaris_bridge.adapters._shared.target import split_target

_NOTED = frozenset({b"content-length", b"connection", b"expect"})
_CONNECTION = 1
_EXPECTS_CONTINUE = 2
_OVERSIZE = 4

_AT_ONCE = 2 * 1024 * 1024
_PIECE = 256 * 1024  # of a larger answer, at a time
_MAX_TURNS = 1000
_LINGER_BYTES = 16 * 1024 * 1024
_NO_REQUEST = Request("", "", "", (), b"", "")


class HttpProtocol(HttpToolsProtocol):
    """See the module. ``phase`` says what the parser is at, ``_busy`` whether an answer is pending."""

    def __init__(self, config: Config, state: ListenerState, peer: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(config, state, {SCOPE_KEY: state}, _loop=loop)
        self.state = state
        self.peer = peer
        self.phase = FRESH
        self.begun = state.now
        """When the phase (or the wait for the next request) began, on the coarse clock; moved on while reading is paused."""
        self.received = 0
        """Bytes of the current body."""
        self.lingering = False
        """The last answer was written while the client is still sending: what comes is read and dropped."""
        self.half_closed = False
        """The client has ended its side while an answer was pending."""
        self.unsent = 0
        self.stalled_since = state.now
        self.access_log = False
        self._turns: deque[Callable[[], None]] = deque()
        self._busy = False
        self._if_gone: Callable[[], None] | None = None  # tells the pending answer that nobody waits for it any more
        self._pumping = False
        self._leaving = state.draining
        self._active: RequestResponseCycle | None = None  # the cold request being answered
        self._arriving: RequestResponseCycle | None = None  # the cold request whose body is coming in
        self._unread = False
        self._rest: deque[bytes | memoryview] = deque()  # of a large answer
        self._resume: Callable[[], None] | None = None  # what writes on when the client has read
        self._unproductive = 0
        self._progress = False
        self._owes_continue = False
        self._notes = 0
        self._kind = KEEP
        self._handler: Handler | None = None
        self._method = ""
        self._body: bytes | bytearray = b""
        self._trusted = state.proxies is not None and state.proxies.trusts(peer)
        self._forbidden = not self._trusted and state.allow is not None and not state.allow(peer)
        self._caller = peer
        self._caller_scheme = "http"

    # The transport's callbacks

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start of the connection (after the TLS handshake)."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=256 * 1024)
        self._caller_scheme = self.scheme or "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """End of the connection, whoever ended it. Answers still to come are dropped."""
        self._disown()
        super().connection_lost(exc)
        self._turns.clear()
        if_gone, self._if_gone = self._if_gone, None
        if if_gone is not None:
            if_gone()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more. It may still read, or be gone: what is in flight gets a few seconds to be answered."""
        if not (self._busy or self._turns) or self.scheme == "https" or self.phase == HEAD or self.phase == BODY:
            return None
        self._leave()
        self.phase = DEAF
        self.half_closed = True
        self.begun = self.state.now
        return True

    def data_received(self, data: bytes) -> None:
        """Feed the parser; every callback below runs inside this."""
        if self.phase == DEAF:
            self._drop(data)
            return
        self._reading = len(data)
        try:
            self._feed(data)
        except httptools.HttpParserCallbackError as error:
            self.state.fault(self._method, self.url.decode("latin-1"), error.__context__)
            self._refuse(500)
        except httptools.HttpParserError:
            self._refuse(400)
        if self.phase == HEAD or self.phase == BODY:
            self._bound_unproductive(len(data))

    def _feed(self, data: bytes) -> None:
        rest: bytes | memoryview = data
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except httptools.HttpParserUpgrade as paused:
                if self.phase != UPGRADE:
                    return
                # An upgrade we do not offer is an ordinary request; the parser takes its body for the other
                # protocol's bytes, so it gets the head once more without the upgrade.
                rest = memoryview(rest)[paused.args[0] :]
                self.phase = BETWEEN
                version = self.parser.get_http_version().encode()
                head = without_upgrade(self._method.encode(), self.url, version, self.headers)
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)

    def _bound_unproductive(self, size: int) -> None:
        """Unfinished heads, endless trailers and chunk extensions give neither head nor body: only so much of it."""
        if self._progress:
            self._progress = False
            self._unproductive = 0
            return
        self._unproductive += size
        if self._unproductive > self.state.settings.max_head_size:
            self._refuse(431)

    def _drop(self, data: bytes) -> None:
        self.received += len(data)
        if self.lingering and self.received > _LINGER_BYTES:
            self.transport.abort()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        """First byte of a request. The ASGI scope is only built once the request turns out to be cold."""
        if self.phase == DEAF:
            return
        self.phase = HEAD
        self.begun = self.state.now
        self.url = b""
        self.headers = []
        self._notes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line; trailers of a chunked body are dropped."""
        if self.phase != HEAD:
            return
        name = name.lower()
        if name in _NOTED:
            self._note(name, value)
        self.headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"connection":
            self._notes |= _CONNECTION
        elif name == b"expect":
            if value.lower() == b"100-continue":
                self._notes |= _EXPECTS_CONTINUE
        elif int(value) > self.state.settings.max_body_size:
            self._notes |= _OVERSIZE

    def on_headers_complete(self) -> None:
        """The head is complete: decide who answers, or refuse."""
        if self.phase != HEAD:
            return
        parser, state, notes = self.parser, self.state, self._notes
        method = parser.get_method()
        self._method = method.decode()
        if parser.should_upgrade():
            if method == b"CONNECT":
                self._refuse(405)
            else:
                self.phase = UPGRADE
            return
        self.phase = BODY
        self.received = 0
        self._progress = True
        self._owes_continue = False
        self._kind = KEEP if parser.should_keep_alive() else CLOSE
        if notes & _CONNECTION and self._kind == KEEP and parser.get_http_version() == "1.0":
            self._kind = KEEP_OLD
        read = self._unproductive + self._reading
        if (len(self.headers) > 20 or read > state.settings.max_head_size) and self._head_too_large():
            self._refuse(431)
            return
        if len(self._turns) >= _MAX_TURNS:
            self._refuse(503)
            return
        if self._trusted:
            self._find_caller()
        if self._forbidden:
            self._refuse(403)
            return
        if notes & _OVERSIZE:
            self._refuse(413)
            return
        handler = state.hot(method, self.url)
        if handler is None:
            self._begin_cold()
            return
        self._handler = handler
        self._body = b""
        if notes & _EXPECTS_CONTINUE:
            self._owes_continue = True
            self._continue()

    def _head_too_large(self) -> bool:
        settings = self.state.settings
        return (
            len(self.headers) > settings.max_headers
            or len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > settings.max_head_size
        )

    def _find_caller(self) -> None:
        state = self.state
        self._caller, self._caller_scheme = state.caller(self.peer, self.scheme or "http", self.headers)
        self._forbidden = state.allow is not None and not state.allow(self._caller)

    def on_body(self, body: bytes) -> None:
        """Part of a body, chunked or not."""
        if self.phase != BODY:
            return
        self.received += len(body)
        self._progress = True
        self._owes_continue = False
        if self.received > self.state.settings.max_body_size:
            self._refuse(413)
        elif self._handler is None:
            super().on_body(body)
        elif not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body

    def on_message_complete(self) -> None:
        """End of a request: a hot one is answered now when its turn has come."""
        if self.phase != BODY:
            return
        kind = self._kind
        self.phase = DEAF if kind == CLOSE else BETWEEN
        handler = self._handler
        if handler is None:
            self._arriving = None
            super().on_message_complete()
            return
        self._handler = None
        path, query = split_target(self.url)
        body = self._body
        request = Request(
            self._method,
            path,
            query,
            self.headers,
            body if isinstance(body, bytes) else bytes(body),
            self._caller,
            self._caller_scheme,
        )
        if self._busy or self._turns or self.flow.write_paused:
            self._wait(partial(self._serve, handler, request, kind))
        else:
            self._serve(handler, request, kind)

    # Hot requests

    def _serve(self, handler: Handler, request: Request, kind: int) -> None:
        reply = self.state.dispatch(handler, request)
        if isinstance(reply, Response):
            self._answer(request, reply, kind)
        else:
            self._busy = True
            self._if_gone = abandoning(reply)
            if self._if_gone is not None:  # it may take long: what it was asked with need not be kept so long
                request = Request(request.method, request.path, request.query, (), b"", request.peer, request.scheme)
                if self.phase == BETWEEN:
                    self.headers, self._body = [], b""
            reply.then(partial(self._answer_late, request, kind))

    def _answer_late(self, request: Request, kind: int, response: Response) -> None:
        if not self._busy or self.transport.is_closing():  # the client left, or was cut
            return
        self._busy = False
        self._if_gone = None
        self._answer(request, response, kind)
        self._pump()

    def _answer(self, request: Request, response: Response, kind: int) -> None:
        state = self.state
        state.total_requests += 1
        self.begun = state.now
        if self._leaving and not self._turns:
            kind = CLOSE
        head, response = state.head(request, response)
        parts = wire_parts(head, state.tails[kind], response, request.method == "HEAD")
        if isinstance(parts, bytes):
            self.transport.write(parts)
        elif sum(map(len, parts)) <= _AT_ONCE:
            self.transport.writelines(parts)
        else:
            self._busy = True
            self._rest.extend(parts)
            self._write_on(kind)
            return
        if kind == CLOSE:
            self._hang_up()

    def _write_on(self, kind: int) -> None:
        """Write a large answer as fast as the client reads it, a piece at a time, so that others have their turn between."""
        self._resume = None
        self.begun = self.stalled_since = self.state.now  # the client reads: its time begins anew
        if self.transport.is_closing():
            self._rest.clear()
            return
        size = 0
        while self._rest and size < _PIECE:
            part = self._rest.popleft()
            if len(part) > _PIECE:
                self._rest.appendleft(memoryview(part)[_PIECE:])
                part = memoryview(part)[:_PIECE]
            size += len(part)
            self.transport.write(part)
        if self._rest:
            if self.flow.write_paused:
                self._resume = partial(self._write_on, kind)
            else:
                self.loop.call_soon(self._write_on, kind)
            return
        self._busy = False
        if kind == CLOSE or (self._leaving and not self._turns):
            self._hang_up()
        else:
            self._pump()

    def _continue(self) -> None:
        if self._owes_continue and self.phase == BODY and not self._busy and not self._turns:
            self._owes_continue = False
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Cold requests

    def _begin_cold(self) -> None:
        url, headers = self.url, self.headers
        path, query = split_target(url)
        super().on_message_begin()
        self.url = b"/"  # uvicorn parses origin-form targets only
        self.headers = self.scope["headers"] = headers
        self.expect_100_continue = bool(self._notes & _EXPECTS_CONTINUE)
        self.scope["client"] = (self._caller, self.client[1] if self.client else 0)
        self.scope["scheme"] = self._caller_scheme
        self.logger = FrameworkLog(self.state, self._method, url.decode("latin-1"))  # type: ignore[assignment]
        self.cycle = None  # type: ignore[assignment]  # order is kept by the turns, not by uvicorn's pipeline
        super().on_headers_complete()
        self.url = url
        self.scope["path"] = _unquoted(path)
        self.scope["raw_path"] = path.encode("latin-1")
        self.scope["query_string"] = query.encode("latin-1")
        self.cycle.keep_alive = self._kind != CLOSE
        self._arriving = self.cycle

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        if self._busy or self._turns or self.flow.write_paused:
            self._wait(partial(self._run_cold, cycle, app))
        else:
            self._run_cold(cycle, app)

    def _run_cold(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._busy = True
        self._active = cycle
        if self._leaving and not self._turns:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """A cold answer was written; with ``connection: close`` the transport is closed already."""
        self.state.total_requests += 1
        self.begun = self.state.now
        self._busy = False
        self._active = None
        if self.transport.is_closing():
            return
        if self._leaving and not self._turns:
            self._hang_up()
        else:
            self._pump()

    # Turns

    def _wait(self, turn: Callable[[], None]) -> None:
        self._turns.append(turn)
        self.flow.pause_reading()

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._turns and not (self._busy or self.flow.write_paused or self.transport.is_closing()):
                self._turns.popleft()()
        finally:
            self._pumping = False
        if not self._turns and not self.transport.is_closing():
            self.flow.resume_reading()
            self._continue()

    def resume_writing(self) -> None:
        """The client has read most of what was written: requests that waited for that have their turn."""
        super().resume_writing()
        if self._resume is not None:
            self._resume()
        elif self._turns:
            self._pump()

    # Refusals and endings

    def _refuse(self, status: int) -> None:
        """Answer what cannot be a request of ours, after what came before it, and take nothing more."""
        if self.phase == DEAF:
            return
        self.state.refusals[status] += 1
        self.phase = DEAF
        self._handler = None
        self._unread = True
        if self._arriving is not None and not self._abandon(self._arriving):
            self.transport.close()
            return
        turn = partial(self._answer, _NO_REQUEST, Response(status), CLOSE)
        if self._busy or self._turns or self.flow.write_paused:
            self._wait(turn)
        else:
            turn()

    def _abandon(self, cycle: RequestResponseCycle) -> bool:
        """Tell a cold request that its body will not come. False when it has begun to answer already."""
        self._arriving = None
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            return False
        if self._active is cycle:
            self._busy = False
            self._active = None
        else:
            self._turns.pop()
        return True

    def _hang_up(self) -> None:
        self._turns.clear()
        self.phase = DEAF
        self.begun = self.state.now
        if not self._unread:
            self.transport.close()
            return
        # Closing with unread bytes would reset the connection and could destroy the answer on its way.
        self.lingering = True
        self.received = 0
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()

    def _leave(self) -> None:
        """Close after the last answer that is in flight."""
        self._leaving = True
        if self._active is not None and not self._turns and not self._active.response_started:
            self._active.keep_alive = False

    @property
    def idle(self) -> bool:
        """No request is being received or answered."""
        return not (self._busy or self._turns or self.phase == HEAD or self.phase == BODY)

    def shutdown(self) -> None:
        """The listener drains: close now when idle, else after the answer that is due."""
        self._leave()
        if self.idle and not self.lingering:
            self.transport.close()

    @property
    def endpoint(self) -> tuple[str, int]:
        """The client's address and port; port 0 when it has none."""
        return self.peer, self.client[1] if self.client else 0

    def cut(self) -> None:
        """End the connection now, whatever is in flight."""
        self._disown()
        self.transport.abort()

    def _disown(self) -> None:
        """Nobody is left to read the cold answer that is being made."""
        if self._active is not None:
            self._active.disconnected = True
            self._active.message_event.set()

    def sweep(self) -> None:
        """Once a second: end what takes too long."""
        verdict = overdue(self)
        if verdict == "abort":
            self.cut()
        elif verdict == "close":
            self._disown()
            self.transport.close()
        elif verdict == "timeout":
            self._refuse(408)


def _unquoted(path: str) -> str:
    return unquote(path) if "%" in path else path
