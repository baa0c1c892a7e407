"""Loads on a gRPC server from another core, by the Go program in ``grpcload``, and the figures made of them."""

from __future__ import annotations

import json
import shutil
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bridge import fine_cpu_seconds
from measure import LOAD_CORE

SOURCE = Path(__file__).resolve().parent / "grpcload"
PROGRAM = SOURCE.parents[1] / "build" / "grpcload"


@cache
def program() -> Path:
    """The load's program, compiled when it is missing or older than its source."""
    newest = max(file.stat().st_mtime for file in SOURCE.iterdir())
    if not PROGRAM.exists() or PROGRAM.stat().st_mtime < newest:
        if shutil.which("go") is None:
            raise RuntimeError(
                "this benchmark loads gRPC servers by a Go program: install Go (apt-get install golang-go)"
            )
        subprocess.run(["go", "build", "-o", str(PROGRAM), "."], cwd=SOURCE, check=True)
    return PROGRAM


@dataclass(frozen=True)
class Done:
    """What a load achieved."""

    operations: int
    failed: int
    duration_us: int
    p50_us: float
    p99_us: float
    max_us: float
    bytes: int
    """Of all answers."""
    again: int
    """How often a reader had to ask again until it saw what was written."""
    error: str
    """The first one."""
    pushes: int = 0
    """Lists that were pushed."""
    all_p50_us: float = 0
    """Until everybody was told of a registration: median."""
    all_max_us: float = 0
    write_p50_us: float = 0
    """Until the registration itself was answered."""
    late_us: float = 0
    """How long after the last answer the last list was pushed."""


@dataclass(frozen=True)
class Task:
    """What to repeat. Messages are taken in turns; ``expect`` is what every answer contains."""

    mode: str
    """``unary``, ``stream``, ``open``, ``idle``, ``visible``, ``subscribed``, ``push``, ``storm``, ``watch``: see the program."""
    path: str
    messages: Sequence[bytes]
    expect: bytes = b""
    connections: int = 4
    workers: int = 32
    options: tuple[str, ...] = ()

    @contextmanager
    def command(self, address: str, seconds: float = 0) -> Iterator[list[str]]:
        """The command line; its file of messages goes with the context."""
        with tempfile.NamedTemporaryFile() as file:
            for message in self.messages:
                file.write(struct.pack(">I", len(message)) + message)
            file.flush()
            named = {
                "address": address, "mode": self.mode, "path": self.path, "bodies": file.name, "seconds": seconds,
                "connections": self.connections, "workers": self.workers, "expect": self.expect.hex(),
            }  # fmt: skip
            flags = [f"-{name}={value}" for name, value in named.items()]
            yield ["taskset", "-c", str(LOAD_CORE), str(program()), *flags, *self.options]

    def run(self, address: str, seconds: float = 0) -> Done:
        """Do it, and wait for the end."""
        with self.command(address, seconds) as command:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the load failed: {done.stderr.strip()[-500:]}")
        return Done(**json.loads(done.stdout.rstrip().rpartition("\n")[2]))


def send_all(address: str, path: str, messages: Sequence[bytes], expect: bytes) -> None:
    """Every message once, 32 at a time. RuntimeError when an answer is not what it has to be."""
    done = Task("unary", path, messages, expect, options=("-once",)).run(address)
    if done.failed:
        raise RuntimeError(f"{done.failed} of {len(messages)} calls of {path} failed: {done.error}")


@dataclass(frozen=True)
class GrpcFigure:
    """Median of several runs."""

    cpu_us: float
    """Server CPU microseconds per operation; 0 when its process is not known."""
    per_second: float
    p50_us: float
    spread: float
    failed: int
    error: str
    size: int
    """Bytes of an answer."""


@dataclass(frozen=True)
class Measured:
    """A server under measurement and what it is asked to do."""

    pid: int | None
    address: str
    task: Task
    warm_up_s: float


def measure_grpc(servers: Sequence[Measured], *, seconds: float, runs: int, shrink: bool = False) -> list[GrpcFigure]:
    """Server CPU per operation: medians of ``runs`` runs of ``seconds`` each, in turns, so that what else the machine does
    meets all alike. ``shrink``: messages are used up by a run."""
    results: list[list[tuple[float, Done]]] = [[] for _ in servers]
    for server in servers:
        if server.warm_up_s > 0:
            server.task.run(server.address, server.warm_up_s)
    for n in range(runs):
        for server, found in zip(servers, results, strict=True):
            task = _share(server.task, n, runs) if shrink else server.task
            before = fine_cpu_seconds(server.pid) if server.pid else 0.0
            done = task.run(server.address, seconds)
            spent = fine_cpu_seconds(server.pid) - before if server.pid else 0.0
            found.append((spent * 1e6 / max(1, done.operations), done))
    return [_figure(found) for found in results]


def _share(task: Task, n: int, runs: int) -> Task:
    size = len(task.messages) // runs
    return replace(task, messages=task.messages[n * size : (n + 1) * size], options=("-once",))


def _figure(results: Sequence[tuple[float, Done]]) -> GrpcFigure:
    cpu = [cpu_us for cpu_us, _ in results]
    middle = statistics.median(cpu)
    dones = [done for _, done in results]
    return GrpcFigure(
        middle,
        _median(dones, lambda done: done.operations * 1e6 / max(1, done.duration_us)),
        _median(dones, lambda done: done.p50_us),
        (max(cpu) - min(cpu)) / middle if middle else 0.0,
        sum(done.failed for done in dones),
        next((done.error for done in dones if done.error), ""),
        round(_median(dones, lambda done: done.bytes / max(1, done.operations))),
    )


def _median(dones: Iterable[Done], number: Callable[[Done], float]) -> float:
    return statistics.median(map(number, dones))
