"""The floor under every gRPC figure: our gRPC listener answering every message with the same bytes, and nothing else.

It is carried by the same transport as the server (``TRANSPORT``: native, or grpcio). ``bare`` is grpcio's own server with the
shortest handlers there are, to see what a transport costs beside it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import grpc
import uvloop
from grpc import aio
from measure import ServerProcess

from polaris_bridge.adapters._shared.grpc_port import grpc_port
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import Call, Methods

TRANSPORT = os.environ.get("TRANSPORT", "native")
UNARY = ("/v1.PolarisGRPC/Heartbeat", "/v1.PolarisGRPC/RegisterInstance", "/Request/request")
STREAMS = ("/v1.PolarisGRPC/Discover", "/v1.PolarisHeartbeatGRPC/BatchHeartbeat")


class Constant:
    """A stream that answers each message with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def on_message(self, _message: bytes) -> bytes:
        return self._answer

    def on_end(self) -> None:
        return None

    def on_close(self) -> None:
        return None


def floor_server(size: int, *, bare: bool = False) -> ServerProcess:
    """Such a server in a process of its own, answering with ``size`` bytes."""
    return ServerProcess([sys.executable, __file__, str(size), "bare" if bare else "ours"])


async def _ours(answer: bytes) -> tuple[int, Any]:
    def constant(_message: bytes, call: Call) -> bytes:
        call.metadata("x-polaris-token")
        return answer

    methods = Methods()
    for path in UNARY:
        methods.unary(path, constant)
    for path in STREAMS:
        methods.stream(path, lambda _call: Constant(answer))
    settings = GrpcSettings(name="floor", host="127.0.0.1", port=0, transport=TRANSPORT)
    listener = grpc_port(settings, methods, allow=None, pool=None)
    await listener.start()
    return listener.port, listener


async def _bare(answer: bytes) -> tuple[int, Any]:
    async def unary(_message: bytes, _context: Any) -> bytes:
        return answer

    async def stream(_messages: Any, context: Any) -> None:
        while await context.read() is not aio.EOF:
            await context.write(answer)

    class Table(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            if details.method in UNARY:
                return grpc.unary_unary_rpc_method_handler(unary)
            return grpc.stream_stream_rpc_method_handler(stream)

    server = aio.server(options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((Table(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    return port, server


async def _serve(size: int, kind: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    port, server = await (_bare if kind == "bare" else _ours)(b"x" * size)
    print(f"ready {port}", flush=True)
    await stop.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), sys.argv[2]))
