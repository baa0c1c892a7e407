"""Echo servers to compare: this project's transport and grpcio's, behind the same table of methods.

A message of eight octets that starts with ``push`` pushes so many bytes to every open stream, once all of them are there; the
time that took and the longest stall of the loop are printed at the end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import sys
import time
from typing import Any

import uvloop
from measure import StallProbe

from polaris_bridge.adapters._shared.grpc_listener import GrpcListener
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.listener import NativeListener
from polaris_bridge.transport.rpc import Call, Methods

UNARY = "/bench.Echo/Unary"
STREAM = "/bench.Echo/Stream"
PUSH = "/bench.Echo/Push"
"""Pushes as many bytes as its request says (4 octets, big endian) to every stream; the answer is what it cost (JSON)."""


class Echo:
    """A stream that answers what it is told."""

    def __init__(self, call: Call, streams: set[Echo]) -> None:
        self.call = call
        self._streams = streams
        streams.add(self)

    def on_message(self, message: bytes) -> bytes:
        return message

    def on_end(self) -> None:
        return None

    def on_close(self) -> None:
        self._streams.discard(self)


class Pushed:
    """An answer that comes when the loop has come round often enough for everything to be written."""

    def __init__(self, streams: set[Echo], size: int) -> None:
        self._streams = streams
        self._size = size

    def then(self, reply: Any) -> None:
        self._task = asyncio.get_running_loop().create_task(self._push(reply))

    async def _push(self, reply: Any) -> None:
        await asyncio.sleep(0.1)
        probe = StallProbe(0.005)
        probe.start()
        began = time.process_time()
        message = b"p" * self._size
        for stream in list(self._streams):
            stream.call.send(message)
        await asyncio.sleep(1)
        spent = time.process_time() - began
        reply(json.dumps({"cpu_s": spent, "stall_ms": probe.longest_ms, "streams": len(self._streams)}).encode())


def table() -> Methods:
    """What both serve."""
    streams: set[Echo] = set()
    methods = Methods()
    methods.unary(UNARY, lambda message, _call: message)
    methods.unary(PUSH, lambda message, _call: Pushed(streams, struct.unpack(">I", message)[0]))
    methods.stream(STREAM, lambda call: Echo(call, streams))
    return methods


async def serve(kind: str) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener: Any
    if kind == "native":
        sock = socket.create_server(("127.0.0.1", 0), backlog=2048)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener = NativeListener("bench", table())
        listener.start([sock])
    else:
        listener = GrpcListener(GrpcSettings(name="bench", host="127.0.0.1", port=0), table())
        await listener.start()
    print(f"ready {listener.port}", flush=True)
    await stop.wait()
    await listener.stop(0)


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
