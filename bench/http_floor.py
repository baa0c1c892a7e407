"""CPU per HTTP request: a bare httptools protocol, our hot path, our cold path. Run: python bench/http_floor.py [seconds]"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import httptools
import uvloop
from measure import Figure, HttpLoad, ServerProcess, StallProbe, measure_http, table
from starlette.applications import Starlette
from starlette.routing import Route

from polaris_bridge.adapters._shared.endpoint import asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.settings import HttpSettings

BODY = b'{"status":"UP","id":1}'[:21]
ANSWER = Response(200, BODY, ((b"content-type", b"application/json"),))
WIRE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 21\r\n\r\n" + BODY

LOADS = {
    "GET, 1 header": HttpLoad(path="/eureka/apps/A"),
    "PUT, 7 headers": HttpLoad(
        method="PUT",
        path="/eureka/apps/FOO/host%3Afoo%3A8080?status=UP&lastDirtyTimestamp=1700000000000",
        headers={
            "Accept": "application/json, application/*+json",
            "Accept-Encoding": "gzip, x-gzip, deflate",
            "User-Agent": "Java-EurekaClient/v1.10.18",
            "DiscoveryIdentity-Name": "DefaultClient",
            "DiscoveryIdentity-Version": "1.4",
            "Connection": "keep-alive",
        },
    ),
}


class Bare(asyncio.Protocol):
    """The least a Python HTTP server can do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.transport.write(WIRE)  # type: ignore[attr-defined]


def answer(_request: Request) -> Response:
    return ANSWER


async def serve(kind: str) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    probe = StallProbe()
    probe.start()
    if kind == "bare":
        server = await loop.create_server(Bare, "127.0.0.1", 0, backlog=2048)
        port = server.sockets[0].getsockname()[1]
    else:
        endpoint = asgi_endpoint(answer)
        app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "PUT"])])
        hot = {"hot": answer}.get(kind)
        listener = HttpListener(
            HttpSettings(name=kind, host="127.0.0.1", port=0),
            answer,
            hot=lambda _method, _target: hot,
            app=app if kind == "starlette" else endpoint,
        )
        await listener.start()
        port = listener.port
    print(f"ready {port}", flush=True)
    await stop.wait()
    print(f"{probe.longest_ms:.1f}")


def main(seconds: float) -> None:
    rows: list[tuple[object, ...]] = []
    for load_name, load in LOADS.items():
        floor = 0.0
        for kind in ("bare", "hot", "cold", "starlette"):
            with ServerProcess([sys.executable, __file__, "--serve", kind]) as server:
                figure: Figure = measure_http(server.pid, f"http://127.0.0.1:{server.port}", load, seconds=seconds)
            floor = floor or figure.cpu_us
            stall = server.farewell.strip()
            ratio = f"{figure.cpu_us / floor:.1f}"
            errors = figure.bad_status + figure.socket_errors
            rows.append((f"{load_name}: {kind}", figure.cpu_us, ratio, f"{figure.spread:.0%}", stall, errors))
    columns = ("request: path", "CPU us", "x bare", "spread", "longest stall ms", "errors")
    print(table(f"21-byte answers, 32 connections, {os.cpu_count()} cores", columns, rows))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        uvloop.run(serve(sys.argv[2]))
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 5)
