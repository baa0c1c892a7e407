"""Raw HTTP/1.1 connections for the replayer: header names and order as recorded, only Host and Content-Length are our own."""

from __future__ import annotations

import asyncio
import contextlib

import h11

from .exchange import ReplayError
from .plan import Target
from .recording import Answer, Request

_OWN_HEADERS = ("host", "content-length", "transfer-encoding", "expect")


class HttpLanes:
    """One live connection a recorded connection, opened at its first call."""

    def __init__(self, target: Target) -> None:
        assert target.http is not None
        self._target = target
        self._address = target.http
        self._lanes: dict[str, _Lane] = {}

    async def call(self, conn: str, request: Request, deadline_s: float) -> Answer:
        """Send one request and read its whole answer. Raises ReplayError when the server hangs up or stays silent."""
        lane = self._lanes.get(conn)
        if lane is None or lane.ended:
            lane = self._lanes[conn] = await _Lane.open(self._address)
        try:
            async with asyncio.timeout(deadline_s):
                return await lane.call(self._event(request), request.body)
        except TimeoutError:
            raise ReplayError(f"{request.method} {request.target}: no answer within {deadline_s:.0f} s") from None
        except (OSError, h11.RemoteProtocolError, EOFError) as error:
            raise ReplayError(f"{request.method} {request.target}: connection broke: {error!r}") from error

    async def close(self) -> None:
        """Close all connections."""
        for lane in self._lanes.values():
            await lane.close()

    def _event(self, request: Request) -> h11.Request:
        headers = [(name, value) for name, value in request.headers if name.lower() not in _OWN_HEADERS]
        headers.insert(0, ("Host", f"{self._address[0]}:{self._address[1]}"))
        if (request.header("transfer-encoding") or "").lower() == "chunked":
            headers.append(("Transfer-Encoding", "chunked"))
        elif request.body or request.header("content-length") is not None:
            headers.append(("Content-Length", str(len(request.body))))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return h11.Request(method=request.method, target=self._target.path(request.target), headers=raw)


class _Lane:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._state = h11.Connection(h11.CLIENT)
        self.ended = False

    @classmethod
    async def open(cls, address: tuple[str, int]) -> _Lane:
        try:
            return cls(*await asyncio.open_connection(*address))
        except OSError as error:
            raise ReplayError(f"cannot connect to {address[0]}:{address[1]}: {error}") from error

    async def call(self, event: h11.Request, body: bytes) -> Answer:
        parts = [self._state.send(event)]
        if body:
            parts.append(self._state.send(h11.Data(data=body)))
        parts.append(self._state.send(h11.EndOfMessage()))
        self._writer.write(b"".join(part for part in parts if part))
        await self._writer.drain()
        return await self._answer()

    async def _answer(self) -> Answer:
        head: h11.Response | None = None
        body = bytearray()
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError("the server closed the connection without an answer")
        assert head is not None
        if self._state.our_state is h11.DONE and self._state.their_state is h11.DONE:
            self._state.start_next_cycle()
        else:
            self.ended = True
            await self.close()
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items())
        return Answer(str(head.status_code), headers, bytes(body))

    async def _next(self) -> object:
        while True:
            event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._state.receive_data(await self._reader.read(65536))

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):  # the server may have been quicker
            await self._writer.wait_closed()
