"""A pair of TCP ports in front of the server's pair, for one client: bytes pass unchanged until told otherwise.

HTTP on ``port``, gRPC on the one ``PAIR_OFFSET`` above, as clients reckon. Its connections can be reset, and made silent.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from contextlib import ExitStack

from ..eureka.relay import CHUNK, RelayLoop
from ..server import PAIR_OFFSET, free_pair

RESETS = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: a close sends RST."""


class Tunnel:
    """Lives in the loop's thread; every method returns when it is so."""

    def __init__(self, loop: RelayLoop, host: str, port: int) -> None:
        self._loop, self._host, self._upstream = loop, host, port
        self.port = free_pair()
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self._loop.do(self._open())

    def reset(self) -> None:
        """Ends every present connection with a reset, on both sides. New ones are accepted."""
        self._loop.do(self._reset())

    def hold(self) -> None:
        """Nothing passes any more, neither bytes nor ends, and nobody is told; new connections are accepted and silent."""
        self._loop.do(self._hold())

    def release(self) -> None:
        """What was held passes."""
        self._loop.do(self._release())

    def close(self) -> None:
        self._loop.do(self._close())

    async def _open(self) -> None:
        for offset in (0, PAIR_OFFSET):
            upstream = self._upstream + offset

            async def accept(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: int = upstream
            ) -> None:
                await self._accept(reader, writer, upstream)

            self._servers.append(await asyncio.start_server(accept, "127.0.0.1", self.port + offset))

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        await self._reset()

    async def _reset(self) -> None:
        for writer in self._sockets:
            end: socket.socket = writer.get_extra_info("socket")
            if end.fileno() == -1:
                continue  # it is ending by itself
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)
        present = list(self._connections)
        for connection in present:
            connection.cancel()
        await asyncio.gather(*present, return_exceptions=True)

    async def _hold(self) -> None:
        self._passing.clear()

    async def _release(self) -> None:
        self._passing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream: int) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        with ExitStack() as stack:
            stack.callback(self._connections.discard, connection)
            self._keep(stack, writer)
            # The server may be down: the client sees its connection end. A cancelled handler would be logged.
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._passing.wait()
                upstream_reader, upstream_writer = await asyncio.open_connection(self._host, upstream)
                self._keep(stack, upstream_writer)
                await self._pass_on((reader, upstream_writer), (upstream_reader, writer))

    def _keep(self, stack: ExitStack, writer: asyncio.StreamWriter) -> None:
        self._sockets.add(writer)
        stack.callback(writer.transport.abort)
        stack.callback(self._sockets.discard, writer)

    async def _pass_on(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Until one side ends: then both do, with what was written."""
        pumps = [asyncio.create_task(self._pump(source, sink)) for source, sink in ways]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            await self._passing.wait()
            for _, sink in ways:
                sink.close()
                await sink.wait_closed()
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            await self._passing.wait()
            sink.write(data)
            await sink.drain()
