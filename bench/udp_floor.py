"""The floor under DNS figures: a socket on uvloop that answers each datagram with the same bytes, nothing else."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import uvloop
from measure import ServerProcess

_AT_ONCE = 64


def udp_floor(size: int) -> ServerProcess:
    """Such a server in a process of its own, answering with ``size`` bytes."""
    return ServerProcess([sys.executable, __file__, str(size)])


async def _serve(size: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    tail = b"x" * max(0, size - 2)

    def take() -> None:
        for _ in range(_AT_ONCE):
            try:
                data, address = sock.recvfrom(4096)
            except BlockingIOError:
                return
            sock.sendto(data[:2] + tail, address)  # the id, so that the load knows its answers

    loop.add_reader(sock.fileno(), take)
    print(f"ready {sock.getsockname()[1]}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
