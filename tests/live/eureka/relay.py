"""A TCP relay between one client and the server: bytes pass unchanged, every exchange is written down.

It is the witness of what a client really sent and was answered, and the door that keeps clients out while
the state of a restarted server is looked at.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import h11

T = TypeVar("T")
CHUNK = 64 * 1024


@dataclass(frozen=True)
class Exchange:
    """One request and the status that answered it."""

    method: str
    target: str
    status: int
    answer_size: int
    authorization: str


class Witness:
    """Reads both directions of one connection without touching them."""

    def __init__(self, tell: Callable[[Exchange], None]) -> None:
        self._tell = tell
        self._asked = h11.Connection(h11.SERVER)
        self._answered = h11.Connection(h11.CLIENT)
        self._method = self._target = self._authorization = ""
        self._status = self._size = 0

    def asked(self, data: bytes) -> None:
        """Bytes that the client sent."""
        self._asked.receive_data(data)
        self._read_requests()

    def answered(self, data: bytes) -> None:
        """Bytes that the server sent."""
        self._answered.receive_data(data)
        while not isinstance(event := self._answered.next_event(), type) and not isinstance(
            event, h11.ConnectionClosed
        ):
            if isinstance(event, h11.InformationalResponse):
                continue
            self._asked.send(event)
            if isinstance(event, h11.Response):
                self._status, self._size = event.status_code, 0
            elif isinstance(event, h11.Data):
                self._size += len(event.data)
            else:
                self._tell(Exchange(self._method, self._target, self._status, self._size, self._authorization))
                self._next_exchange()
                return

    def _read_requests(self) -> None:
        while not isinstance(event := self._asked.next_event(), type) and not isinstance(event, h11.ConnectionClosed):
            self._answered.send(event)
            if isinstance(event, h11.Request):
                self._method, self._target = event.method.decode(), event.target.decode()
                self._authorization = dict(event.headers).get(b"authorization", b"").decode()

    def _next_exchange(self) -> None:
        if self._asked.our_state is h11.DONE and self._asked.their_state is h11.DONE:
            self._asked.start_next_cycle()
            self._answered.start_next_cycle()
            self._read_requests()


class RelayLoop:
    """The thread in which all relays live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine there and returns its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        """Ends the thread; relays must be closed before."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Relay:
    """``127.0.0.1:port`` in front of one server, for one client. ``source``: the address that the server sees it call from."""

    def __init__(self, loop: RelayLoop, host: str, port: int, source: str = "") -> None:
        self.exchanges: list[Exchange] = []
        self.violations: list[str] = []
        self.port = 0
        self._loop = loop
        self._upstream = (host, port)
        self._source = (source, 0) if source else None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.open()

    def open(self) -> None:
        """Accepts connections, on the same port as ever."""
        self._loop.do(self._open())

    def close(self) -> None:
        """Refuses new connections and cuts the present ones."""
        self._loop.do(self._close())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        present = list(self._connections)
        for connection in present:
            connection.cancel()
        await asyncio.gather(*present, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            await self._relay(reader, writer)
        except h11.ProtocolError as violation:
            self.violations.append(repr(violation))
        except OSError:
            pass  # the server is down: the client sees its connection end
        except asyncio.CancelledError:
            pass  # closed from here; the stream machinery would log a cancelled handler
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._upstream, local_addr=self._source)
        witness = Witness(self.exchanges.append)
        pumps = [
            asyncio.create_task(pump(reader, upstream_writer, witness.asked)),
            asyncio.create_task(pump(upstream_reader, writer, witness.answered)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for each in pumps:
                each.cancel()
            upstream_writer.transport.abort()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, witness: Callable[[bytes], None]) -> None:
    """Passes bytes on until the source ends, then ends the sink too."""
    while data := await source.read(CHUNK):
        witness(data)
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
