"""What every benchmark here measures with: CPU time of a server process, a load from another core, medians, tables.

CPU µs per operation = (user + system time of the server process, all its threads) / operations answered meanwhile.
The server is pinned to one core and the load to another, so that the number hardly depends on how fast the load is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE = CORES[0]
LOAD_CORE = CORES[-1]


def cpu_seconds(pid: int) -> float:
    """User + system time of a process so far, all threads, living and ended ones."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_bytes(pid: int) -> int:
    """Resident size of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * _PAGE


def pin(core: int, pid: int = 0) -> None:
    """Bind a process (0 = this one) and the threads it starts later to one core."""
    os.sched_setaffinity(pid, {core})


class StallProbe:
    """Longest time the event loop did not come round, in milliseconds. Costs a callback every ``interval_s``."""

    def __init__(self, interval_s: float = 0.01) -> None:
        self._interval_s = interval_s
        self.longest_ms = 0.0

    def start(self) -> None:
        """Begin measuring in the running loop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._interval_s
        loop.call_at(due, self._beat, loop, due)

    def _beat(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self.longest_ms = max(self.longest_ms, (loop.time() - due) * 1000)
        self.start()


class ServerProcess:
    """A server in a process of its own, pinned to ``SERVER_CORE``. Its first line of output starting with ``ready`` tells
    the port (``ready 8761``); its output after SIGTERM is kept in ``farewell``. Use as a context manager."""

    def __init__(
        self, command: Sequence[str], *, env: dict[str, str] | None = None, ready_within_s: float = 60
    ) -> None:
        self._process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CORE), *command],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.pid = self._process.pid
        self.farewell = ""
        self.port = self._await_ready(time.monotonic() + ready_within_s)

    def _await_ready(self, deadline: float) -> int:
        assert self._process.stdout is not None
        while time.monotonic() < deadline:
            line = self._process.stdout.readline()
            if found := re.match(r"ready (\d+)", line):
                return int(found[1])
            if not line:
                break
        self.stop()
        raise RuntimeError(f"server did not get ready: {self._process.args}")

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 15 s."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self.farewell = self._process.communicate(timeout=15)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.farewell = self._process.communicate()[0]

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@dataclass(frozen=True)
class HttpLoad:
    """One kind of request to repeat. ``lua`` (for wrk) overrides the rest: a script that may vary its requests."""

    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    lua: str = ""

    def script(self) -> str:
        """The wrk script: the request, and a summary wrk prints as one JSON line."""
        lines = [
            f"wrk.method = {json.dumps(self.method)}",
            f"wrk.path = {json.dumps(self.path)}",
            *(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in self.headers.items()),
        ]
        if self.body:
            lines.append(f"wrk.body = {json.dumps(self.body)}")
        return "\n".join((*lines, self.lua, _SUMMARY))


_SUMMARY = """
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"socket_errors":%d,"bad_status":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
"""


@dataclass(frozen=True)
class Load:
    """What a load achieved."""

    requests: int
    duration_us: int
    p50_us: int
    p99_us: int
    socket_errors: int
    bad_status: int
    """Answers with a status of 400 or more."""


def run_load(url: str, load: HttpLoad, seconds: float, connections: int = 32) -> Load:
    """Repeat a request over kept-alive connections from ``LOAD_CORE``: by wrk when it is installed, else by Python."""
    if shutil.which("wrk"):
        return _run_wrk(url, load, seconds, connections)
    if load.lua:
        raise RuntimeError("this benchmark varies its requests by a Lua script: install wrk (apt-get install wrk)")
    arguments = json.dumps([url, load.method, load.path, load.headers, load.body, seconds, connections])
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, __file__, arguments]
    return Load(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _run_wrk(url: str, load: HttpLoad, seconds: float, connections: int) -> Load:
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(load.script())
        script.flush()
        command = ["taskset", "-c", str(LOAD_CORE), "wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        done = subprocess.run([*command, "-s", script.name, url], check=True, capture_output=True, text=True)
    return Load(**json.loads(done.stdout.rstrip().rpartition("\n")[2]))


async def _python_load(
    url: str, method: str, path: str, headers: dict[str, str], body: str, seconds: float, connections: int
) -> Load:
    where = urlsplit(url)
    fields = {"Host": where.netloc, **headers, **({"Content-Length": str(len(body.encode()))} if body else {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    request = f"{method} {path} HTTP/1.1\r\n{lines}\r\n{body}".encode()
    end = time.monotonic() + seconds
    latencies: list[float] = []
    bad = 0

    async def one_connection() -> None:
        nonlocal bad
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        while (began := time.monotonic()) < end:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if length and method != "HEAD":
                await reader.readexactly(int(length[1]))
            latencies.append(time.monotonic() - began)
            bad += head[9:10] >= b"4"
        writer.close()

    began = time.monotonic()
    results = await asyncio.gather(*(one_connection() for _ in range(connections)), return_exceptions=True)
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    failed = sum(isinstance(result, BaseException) for result in results)
    took = round((time.monotonic() - began) * 1e6)
    return Load(len(latencies), took, round(cuts[49] * 1e6), round(cuts[98] * 1e6), failed, bad)


@dataclass(frozen=True)
class Figure:
    """Median of several runs."""

    cpu_us: float
    """Server CPU microseconds per request."""
    per_second: float
    p50_us: float
    p99_us: float
    spread: float
    """(largest - smallest) / median of ``cpu_us``."""
    bad_status: int
    socket_errors: int


def measure_http(
    pid: int,
    url: str,
    load: HttpLoad,
    *,
    seconds: float = 5,
    runs: int = 3,
    connections: int = 32,
    warm_up_s: float = 1,
) -> Figure:
    """Server CPU per request: median of ``runs`` runs of ``seconds`` each after a warm-up."""
    if warm_up_s > 0:
        run_load(url, load, warm_up_s, connections)
    results: list[tuple[float, Load]] = []
    for _ in range(runs):
        before = cpu_seconds(pid)
        done = run_load(url, load, seconds, connections)
        results.append(((cpu_seconds(pid) - before) * 1e6 / max(1, done.requests), done))
    cpu = [cpu_us for cpu_us, _ in results]
    middle = statistics.median(cpu)
    return Figure(
        middle,
        median_of(results, lambda result: result[1].requests * 1e6 / result[1].duration_us),
        median_of(results, lambda result: result[1].p50_us),
        median_of(results, lambda result: result[1].p99_us),
        (max(cpu) - min(cpu)) / middle if middle else 0.0,
        sum(done.bad_status for _, done in results),
        sum(done.socket_errors for _, done in results),
    )


def median_of(items: Iterable[T], number: Callable[[T], float]) -> float:
    """Median of a number taken from each item."""
    return statistics.median(map(number, items))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Plain text table; floats with one decimal; numbers to the right."""
    cells = [[f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in (list(columns), *cells)) for i in range(len(columns))]

    def line(parts: Sequence[str]) -> str:
        return "  ".join(
            part.ljust(width) if i == 0 else part.rjust(width)
            for i, (part, width) in enumerate(zip(parts, widths, strict=True))
        ).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join((title, line(columns), rule, *map(line, cells)))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_python_load(*json.loads(sys.argv[1]))).__dict__))
