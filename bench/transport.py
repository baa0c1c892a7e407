"""What a gRPC call costs by itself: this project's transport beside grpcio, and a minimal grpc-go server when Go is there.

CPU of the server per operation, 200-byte echo, load from another core; memory of idle streams; pushes of 20 KB to all of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bridge import fine_cpu_seconds
from grpc_load import Measured, Task, measure_grpc
from measure import ServerProcess, rss_bytes, table
from transport_echo import PUSH, STREAM, UNARY

HERE = Path(__file__).resolve().parent
GO_SOURCE = HERE / "grpcecho"
GO_PROGRAM = HERE.parent / "build" / "grpcecho"
MESSAGE = b"m" * 200
PUSHED = 20_000
CASES = (
    ("unary, 32 calls over 4 connections", 15.0, Task("unary", UNARY, (MESSAGE,))),
    ("unary, 64 calls over 64 connections", 30.0, Task("unary", UNARY, (MESSAGE,), connections=64, workers=64)),
    ("unary, one call at a time", None, Task("unary", UNARY, (MESSAGE,), connections=1, workers=1)),
    ("stream message, 32 streams over 4", 8.0, Task("stream", STREAM, (MESSAGE,))),
)


def servers(stack: ExitStack) -> dict[str, ServerProcess]:
    """All there are, each in a process of its own."""
    found = {
        name: stack.enter_context(ServerProcess([sys.executable, str(HERE / "transport_echo.py"), name]))
        for name in ("native", "grpcio")
    }
    if shutil.which("go"):
        subprocess.run(["go", "build", "-o", str(GO_PROGRAM), "."], cwd=GO_SOURCE, check=True)
        found["grpc-go"] = stack.enter_context(ServerProcess([str(GO_PROGRAM)], env={"GOMAXPROCS": "1"}))
    return found


def calls(seconds: float, runs: int) -> str:
    """CPU per call and per message."""
    rows = []
    with ExitStack() as stack:
        running = servers(stack)
        for what, target, task in CASES:
            measured = [
                Measured(server.pid, f"127.0.0.1:{server.port}", task, warm_up_s=1) for server in running.values()
            ]
            figures = measure_grpc(measured, seconds=seconds, runs=runs)
            failed = sum(figure.failed for figure in figures)
            spread = f"{figures[0].spread:.0%}"
            rows.append((what, target or "-", *(figure.cpu_us for figure in figures), spread, failed))
    names = [f"{name} us" for name in running]
    return table("CPU of the server per operation", ("", "target", *names, "spread of native", "failed"), rows)


@contextmanager
def idle(address: str, count: int) -> Iterator[float]:
    """So many streams, each on a connection of its own, held open; gives how long a stream took to open (milliseconds)."""
    task = Task("idle", STREAM, (MESSAGE,), connections=count, workers=count)
    with task.command(address) as command:
        load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert load.stdout is not None
        try:
            if load.stdout.readline().strip() != "ready":
                raise RuntimeError("the idle streams did not open")
            yield 0.0
        finally:
            load.communicate("")


def streams(count: int) -> str:
    """What an idle stream holds, what opening one costs, and pushing to all of them."""
    rows = []
    for name in ("native", "grpcio"):
        with ServerProcess([sys.executable, str(HERE / "transport_echo.py"), name]) as server:
            address = f"127.0.0.1:{server.port}"
            with idle(address, 50):
                pass
            size, spent = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
            with idle(address, count):
                opened = (fine_cpu_seconds(server.pid) - spent) * 1e6 / count
                held = (rss_bytes(server.pid) - size) / count / 1024
                pushes = [push(address) for _ in range(3)]
            best = sorted(pushes, key=lambda pushed: pushed["cpu_s"])[1]
            rows.append((name, held, opened, best["cpu_s"] * 1e6 / best["streams"], best["stall_ms"]))
    columns = ("", "KiB each", "us to open", f"us per push of {PUSHED} B", "longest stall ms")
    return table(f"{count} idle streams on as many connections", columns, rows)


def push(address: str) -> dict[str, float]:
    """Have the server push to all streams."""
    import grpc

    with grpc.insecure_channel(address) as channel:
        answer: bytes = channel.unary_unary(PUSH)(struct.pack(">I", PUSHED), timeout=60)
    found: dict[str, float] = json.loads(answer)
    return found


def main() -> None:
    """The program."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=5)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--streams", type=int, default=1000)
    chosen = options.parse_args()
    print(calls(chosen.seconds, chosen.runs))
    print()
    print(streams(chosen.streams))


if __name__ == "__main__":
    main()
