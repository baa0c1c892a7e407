"""The floor under long polls: an httptools protocol that holds every POST to a listener and every GET with an index, and answers
all with the same bytes when something is posted or put elsewhere."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import cast

import httptools
import uvloop
from measure import ServerProcess

_HELD: dict[Bare, None] = {}


class Bare(asyncio.Protocol):
    """The least a Python server that holds requests can do."""

    wire = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_message_complete(self) -> None:
        if self._url.endswith(b"/listener") or b"index=" in self._url:
            _HELD[self] = None
            return
        self.transport.write(b"HTTP/1.1 200 OK\r\nx-consul-index: 1\r\ncontent-length: 4\r\n\r\ntrue")
        if self._parser.get_method() in (b"POST", b"PUT"):
            for held in _HELD:
                held.transport.write(self.wire)
            _HELD.clear()

    def connection_lost(self, error: Exception | None) -> None:
        _HELD.pop(self, None)


def poll_floor(body: bytes) -> ServerProcess:
    """Such a server in a process of its own; ``body`` is what it answers to those that wait."""
    return ServerProcess([sys.executable, __file__, body.decode()])


async def _serve(body: bytes) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    Bare.wire = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    server = await loop.create_server(Bare, "127.0.0.1", 0, backlog=4096)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1].encode()))
