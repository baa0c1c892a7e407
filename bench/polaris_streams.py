"""Open Discover streams: what a quiet one costs, and what clients cost that open a new one all the time, as polaris-go does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

from bridge import fine_cpu_seconds
from grpc_floor import floor_server
from grpc_load import Done, Task
from measure import rss_bytes
from polaris_cpu import HUNDRED
from polaris_fleet import DISCOVER, SUCCESS, Server, answer, filled
from report import Row

_SETTLE_S = 2.0
_EVERY_S = 1.5


def rows(idle: int, clients: int, seconds: float) -> Iterator[Row]:
    """All rows of this part."""
    with filled(HUNDRED) as servers:
        size = len(answer(servers[0].address, HUNDRED.question()).SerializeToString())
        with floor_server(size) as bare:
            floor = Server(f"127.0.0.1:{bare.port}", bare.pid)
            known = [server for server in (*servers, floor) if server.pid]
            quiet = [_idle(server, idle, seconds, check=server is not floor) for server in known]
            opened = [_opening(server, clients, seconds, check=server is not floor) for server in known]
    yield _quiet_row(f"idle Discover stream, of {idle:,}", "KB", [kb for kb, _, _ in quiet], 75)
    yield _quiet_row(f"to open a connection and a stream, of {idle:,}", "CPU us", [us for _, us, _ in quiet], None)
    yield _quiet_row(f"{idle:,} idle streams, CPU beyond none", "% of a core", [cpu for _, _, cpu in quiet], None)
    note = f"{opened[0][1].operations / seconds:,.0f}/s, median {opened[0][1].p50_us / 1000:.1f} ms"
    what = f"{clients} clients, a new stream every {_EVERY_S} s"
    yield _quiet_row(what, "% of a core", [share for share, _ in opened], None, note)


def _quiet_row(what: str, unit: str, found: list[float], target: float | None, note: str = "") -> Row:
    ours, *others = found
    return Row(what, unit, ours, target, others[-1], others[0] if len(others) > 1 else None, None, note)


def _busy(server: Server, seconds: float) -> float:
    """Share of a core, in percent."""
    before = fine_cpu_seconds(server.pid)
    time.sleep(seconds)
    return (fine_cpu_seconds(server.pid) - before) * 100 / seconds


def _idle(server: Server, count: int, seconds: float, *, check: bool) -> tuple[float, float, float]:
    """KB and CPU microseconds of one stream on a connection of its own, and percent of a core of all while nothing happens."""
    warm = Task("idle", DISCOVER, [HUNDRED.question()], SUCCESS if check else b"", connections=20)
    with _held(warm, server):
        pass
    time.sleep(_SETTLE_S)
    empty = _busy(server, seconds)
    size, cpu = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
    task = Task("idle", DISCOVER, [HUNDRED.question()], SUCCESS if check else b"", connections=count)
    with _held(task, server):
        opened = fine_cpu_seconds(server.pid) - cpu
        time.sleep(_SETTLE_S)
        grown = rss_bytes(server.pid) - size
        busy = _busy(server, seconds)
    return grown / count / 1000, opened * 1e6 / count, busy - empty


class _held:  # a context manager, used as a function
    """The streams of an ``idle`` task, while the context lasts."""

    def __init__(self, task: Task, server: Server) -> None:
        self._command = task.command(server.address)

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            self._command.__enter__(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "ready\n":
            raise RuntimeError("the streams could not be opened")

    def __exit__(self, *error: object) -> None:
        self._process.communicate("", timeout=30)
        self._command.__exit__(None, None, None)


def _opening(server: Server, clients: int, seconds: float, *, check: bool) -> tuple[float, Done]:
    """Percent of a core, and what the clients saw."""
    task = Task(
        "open", DISCOVER, [HUNDRED.question()], SUCCESS if check else b"",
        connections=clients, options=(f"-every={_EVERY_S}",),
    )  # fmt: skip
    task.run(server.address, _EVERY_S)
    empty = _busy(server, 1)
    span = max(seconds, 2 * _EVERY_S)
    before = fine_cpu_seconds(server.pid)
    began = time.monotonic()
    done = task.run(server.address, span)
    took = time.monotonic() - began
    spent = (fine_cpu_seconds(server.pid) - before) * 100 / took
    if done.failed:
        raise RuntimeError(f"{done.failed} streams failed: {done.error}")
    return spent - empty, done
