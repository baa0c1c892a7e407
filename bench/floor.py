"""The floor under every HTTP figure: an httptools protocol that answers each request with the same bytes, nothing else."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import cast

import httptools
import uvloop
from measure import ServerProcess


class Bare(asyncio.Protocol):
    """The least a Python HTTP server can do."""

    def __init__(self, wire: bytes) -> None:
        self._wire = wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self._transport.write(self._wire)


def floor_server(status: int, size: int) -> ServerProcess:
    """Such a server in a process of its own, answering with a body of ``size`` bytes."""
    return ServerProcess([sys.executable, __file__, str(status), str(size)])


async def _serve(status: int, size: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    length = b"" if status == 204 else b"content-length: %d\r\n" % size
    wire = b"HTTP/1.1 %d OK\r\ncontent-type: application/json\r\n%b\r\n%b" % (status, length, b"x" * size)
    server = await loop.create_server(lambda: Bare(wire), "127.0.0.1", 0, backlog=2048)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
