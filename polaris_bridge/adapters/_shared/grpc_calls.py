"""How grpcio's asynchronous server runs a handler of the table: one coroutine a call, bytes through it.

Measured beside it on one core, 200-byte messages (microseconds of CPU): a unary call costs about 300, whatever the handler;
an asynchronous generator and reading and writing by hand cost the same 80-100 per message of a stream, and only the latter can
push, stop reading while an answer is unsent, and be ended from outside. Nearly all of it is grpcio's core and its thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

import grpc
from grpc import aio
from grpc.aio import EOF  # type: ignore[attr-defined]

from polaris_bridge.adapters._shared.grpc_peers import Peer, Peers
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import Later, Open, RpcError, Status, StreamHandler, Unary, abandoning

log = logging.getLogger("polaris_bridge.apiserver")

Observe = Callable[[str, int, float], None]
"""Told of every finished unary call, every answered message of a stream, and a stream that ends other than OK:
path, status, seconds."""

CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


STOPPING: Final = "the server is stopping"


class Calls:
    """What all calls of one listener share."""

    def __init__(self, settings: GrpcSettings, peers: Peers, observe: Observe | None) -> None:
        self.settings = settings
        self.peers = peers
        self.observe = observe
        self.streams: set[StreamCall] = set()
        """Those that are open."""
        self.leaving = False
        """Whether the server is stopping: a stream that begins all the same is sent elsewhere."""
        self.answered = 0
        """Unary calls and messages of streams that were answered."""
        self.refusals: Counter[int] = Counter()
        """Calls that ended in another status than OK, by status."""
        self.errors = 0
        """Calls that ended in an unexpected exception."""

    def fault(self, path: str, error: BaseException) -> None:
        """Count and log an unexpected error with its call."""
        self.errors += 1
        log.error("%s: %s failed: %r", self.settings.name, path, error, exc_info=error)

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

    def too_large(self, message: bytes) -> RpcError | None:
        """Why a message is not sent, if so."""
        limit = self.settings.max_send
        if len(message) <= limit:
            return None
        text = f"grpc: trying to send message larger than max ({len(message)} vs. {limit})"
        return RpcError(Status.RESOURCE_EXHAUSTED, text)


class PlainCall:
    """``rpc.Call`` of a unary call."""

    __slots__ = ("_context", "_metadata", "link", "path", "peer")

    def __init__(self, path: str, link: Peer, context: Any) -> None:
        self.path = path
        self.link = link
        self.peer = link.host
        self._context = context
        self._metadata: dict[str, str] | None = None

    def metadata(self, name: str) -> str | None:
        """See ``rpc.Call``."""
        if self._metadata is None:
            self._metadata = _first_values(self._context.invocation_metadata())
        return self._metadata.get(name)

    def send(self, message: bytes) -> None:
        """A unary call has one answer."""
        raise TypeError(f"{self.path} is unary: it cannot push")

    backlog = 0

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """A unary call ends by its answer or an ``RpcError``."""
        raise TypeError(f"{self.path} is unary: its answer ends it")


def _first_values(pairs: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value if isinstance(value, str) else value.decode("latin-1"))
    return found


async def serve_unary(calls: Calls, answer: Unary, path: str, request: bytes, context: Any) -> bytes:
    """One unary call from its request on."""
    began = perf_counter()
    try:
        peer = calls.peers.enter(context.peer())
    except RpcError as error:
        return await _refuse(calls, path, error, began, context)
    try:
        reply = answer(request, PlainCall(path, peer, context))
        if not isinstance(reply, bytes):
            reply = await arrival(reply)
        too_large = calls.too_large(reply)
        if too_large is not None:
            raise too_large
        calls.done(path, began)
        return reply
    except RpcError as error:
        return await _refuse(calls, path, error, began, context)
    except Exception as error:  # noqa: BLE001  # the listener's one catch-all for unary calls
        calls.fault(path, error)
        return await _refuse(calls, path, RpcError(Status.INTERNAL, "internal error"), began, context)
    finally:
        calls.peers.leave(peer)


async def _refuse(calls: Calls, path: str, error: RpcError, began: float, context: Any) -> bytes:
    calls.refused(path, error.code, began)
    await context.abort(CODES[error.code], error.message)
    raise AssertionError("abort always raises")


async def arrival(later: Later) -> bytes:
    """Wait for an answer. RpcError when that is what comes."""
    arrived: asyncio.Future[bytes | RpcError] = asyncio.get_running_loop().create_future()

    def arrive(reply: bytes | RpcError) -> None:
        if not arrived.done():  # the client may be gone
            arrived.set_result(reply)

    later.then(arrive)
    try:
        reply = await arrived
    except asyncio.CancelledError:  # the client left, or its deadline has passed
        abandon = abandoning(later)
        if abandon is not None and (arrived.cancelled() or not arrived.done()):
            abandon()
        raise
    if isinstance(reply, RpcError):
        raise reply
    return reply


class StreamCall:
    """``rpc.Call`` of a stream, and the coroutine that reads, hands over, writes and ends."""

    __slots__ = (
        "_calls",
        "_context",
        "_end",
        "_flusher",
        "_metadata",
        "_overflowed",
        "_queue",
        "_task",
        "_waiting",
        "_writing",
        "backlog",
        "link",
        "path",
        "peer",
    )

    link: Peer

    def __init__(self, calls: Calls, path: str, context: Any) -> None:
        self.path = path
        self.peer = ""
        self.backlog = 0
        self._calls = calls
        self._context = context
        self._metadata: dict[str, str] | None = None
        self._queue: deque[bytes] = deque()
        self._writing = False
        self._flusher: asyncio.Task[None] | None = None
        self._end: tuple[int, str] | None = None
        self._overflowed = False
        self._waiting = False
        self._task: asyncio.Task[Any] | None = None

    def metadata(self, name: str) -> str | None:
        """See ``rpc.Call``."""
        if self._metadata is None:
            self._metadata = _first_values(self._context.invocation_metadata())
        return self._metadata.get(name)

    # ------------------------------------------------------------------ pushes and the end

    def send(self, message: bytes) -> None:
        """See ``rpc.Call``."""
        if self._end is not None:
            return
        error = self._calls.too_large(message)
        if error is None and self.backlog + len(message) > self._calls.settings.max_backlog:
            error = RpcError(Status.RESOURCE_EXHAUSTED, f"{self.backlog} bytes were not read in time")
        if error is not None:
            self._overflowed = True
            self._queue.clear()
            self.backlog = 0
            self._end = (int(error.code), error.message)
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()  # it may be waiting for the client to read
            return
        self._queue.append(message)
        self.backlog += len(message)
        if not self._writing:
            self._writing = True
            self._flusher = asyncio.get_running_loop().create_task(self._flush())

    async def _flush(self) -> None:
        try:
            while self._queue:
                message = self._queue.popleft()
                await self._context.write(message)
                self.backlog = max(0, self.backlog - len(message))
        except aio.BaseError:
            self._queue.clear()  # the client is gone, which ends the stream
        finally:
            self._writing = False
            self._flusher = None

    async def _write(self, message: bytes) -> None:
        """Send an answer behind all pushes; returns when the connection has taken it."""
        too_large = self._calls.too_large(message)
        if too_large is not None:
            raise too_large
        if self._writing or self._queue:
            self._queue.append(message)
            self.backlog += len(message)
            await self._flushed()
            return
        self._writing = True
        try:
            await self._context.write(message)
        finally:
            self._writing = False
        await self._flushed()

    async def _flushed(self) -> None:
        while self._flusher is not None or self._queue:
            if self._flusher is None:
                self._writing = True
                await self._flush()
            else:
                await self._flusher

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """See ``rpc.Call``."""
        if self._end is not None:
            return
        self._end = (int(code), message)
        if self._waiting and self._task is not None:
            self._task.cancel()

    # ------------------------------------------------------------------ the coroutine

    async def serve(self, open: Open) -> None:
        """The whole stream."""
        began = perf_counter()
        calls = self._calls
        peer = None
        calls.streams.add(self)
        try:
            peer = calls.peers.enter(self._context.peer())
            self.link = peer
            self.peer = peer.host
            peer.streams[self] = None
            self._task = asyncio.current_task()
            if calls.leaving:
                raise RpcError(Status.UNAVAILABLE, STOPPING)
            await self._handle(open)
            if not self._overflowed:
                await self._flushed()
        except RpcError as error:
            self._end = (int(error.code), error.message)
        except asyncio.CancelledError:
            if not self._overflowed or self._task is None or self._task.uncancel() > 0:
                raise
        except aio.BaseError:
            raise asyncio.CancelledError from None  # the client is gone: the end that grpcio expects then
        finally:
            calls.streams.discard(self)
            if self._flusher is not None:
                self._flusher.cancel()
            if peer is not None:
                peer.streams.pop(self, None)
                calls.peers.leave(peer)
        code, message = self._end or (0, "")
        if code:
            calls.refused(self.path, code, began)
            await self._context.abort(CODES[code], message)

    async def _handle(self, open: Open) -> None:
        """From the first to the last thing a handler is asked."""
        handler: StreamHandler | None = None
        try:
            handler = open(self)
            await self._converse(handler)
        except RpcError as error:
            self._end = (int(error.code), error.message)
        except aio.BaseError:
            raise
        except Exception as error:  # noqa: BLE001  # the listener's one catch-all for streams
            self._calls.fault(self.path, error)
            self._end = (0, "")  # as servers written in Go end a stream whose handler failed
        finally:
            if self._end is None:
                self._end = (int(Status.CANCELLED), "")
            if handler is not None:
                self._close(handler)

    async def _converse(self, handler: StreamHandler) -> None:
        calls = self._calls
        while self._end is None:
            message = await self._unless_finished(self._context.read())
            if message is None:
                return
            if message is EOF:
                # A client that is gone reads as an end too; the cancellation that tells them apart comes with the same
                # events. A status sent to nobody would leave 125 bytes in grpcio for good, and polaris-go cancels a
                # stream every second or two.
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                if handler.on_end():
                    await self._unless_finished(asyncio.get_running_loop().create_future())
                else:
                    self.finish()
                return
            began = perf_counter()
            reply = handler.on_message(message)
            if reply is None or self._overflowed:
                continue
            if not isinstance(reply, bytes):
                reply = await arrival(reply)
            await self._write(reply)
            calls.done(self.path, began)

    async def _unless_finished(self, awaited: Any) -> Any:
        """Wait, and let ``finish`` end the wait: then None."""
        self._waiting = True
        try:
            return await awaited
        except asyncio.CancelledError:
            assert self._task is not None
            if self._end is None or self._task.uncancel() > 0:
                raise
            return None
        finally:
            self._waiting = False

    def _close(self, handler: StreamHandler) -> None:
        try:
            handler.on_close()
        except Exception as error:  # noqa: BLE001  # the end of one stream must not disturb grpcio
            self._calls.fault(self.path, error)
