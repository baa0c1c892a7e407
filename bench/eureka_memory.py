"""CPU from start to ready, and resident memory: empty, with many instances, and after everything was read in both formats.

Memory of an instance is the growth of resident size divided by instances. It is taken twice: in the process that took the
registrations (what writing left behind in the allocator is in it), and in a process that loaded them from the store.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from bridge import Bridge
from fleet import Fleet
from plain_http import Connection
from report import Row

MB = 1e6
_SETTLE_S = 2.5
"""After a load: the tick, the maintain jobs and the log writer have had their turn."""

_READS = (
    {"Accept": "application/json"},
    {"Accept": "application/json", "Accept-Encoding": "gzip"},
    {"Accept": "application/xml"},
    {"Accept": "application/xml", "Accept-Encoding": "gzip"},
)


def rows(sizes: Sequence[int], starts: int = 3) -> Iterator[Row]:
    """All rows of this part, with so many instances each; starts are the median of several."""
    empty = yield from _empty(starts)
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            yield from _written(size, Path(folder), empty)
            yield from _loaded(size, Path(folder), empty, starts)


def _empty(starts: int) -> Generator[Row, None, int]:
    cpu, sizes, walls = [], [], []
    for _ in range(starts):
        with Bridge() as server:
            time.sleep(_SETTLE_S)
            cpu.append(server.start_cpu_s)
            sizes.append(server.rss)
            walls.append(server.start_wall_s)
    yield Row(
        "start to ready, empty store", "CPU s", statistics.median(cpu), 1.5, note=f"{statistics.median(walls):.2f} s"
    )
    yield Row("memory, empty", "MB", statistics.median(sizes) / MB, 90)
    return round(statistics.median(sizes))


def _written(size: int, folder: Path, empty: int) -> Iterator[Row]:
    fleet = Fleet(size)
    with Bridge(folder) as server:
        with Connection(server.eureka) as connection:
            began = time.monotonic()
            fleet.seed(connection)
            took = time.monotonic() - began
        time.sleep(_SETTLE_S)
        note = f"{size / took:,.0f} registrations/s in batches; {server.rss / MB:.0f} MB"
        yield _per_instance(f"memory per instance, {size:,} just written, unread", server, size, empty, 3, note)
        yield from _read(f"{size:,} written", server, size, empty)


def _loaded(size: int, folder: Path, empty: int, starts: int) -> Iterator[Row]:
    cpu, walls = [], []
    for n in range(starts):
        with Bridge(folder) as server:
            cpu.append(server.start_cpu_s)
            walls.append(server.start_wall_s)
            if n < starts - 1:
                continue
            target = 5 if size >= 100_000 else None
            note = f"{statistics.median(walls):.2f} s"
            yield Row(f"start to ready, {size:,} in the store", "CPU s", statistics.median(cpu), target, note=note)
            time.sleep(_SETTLE_S)
            note = f"{server.rss / MB:.0f} MB"
            yield _per_instance(f"memory per instance, {size:,} loaded, unread", server, size, empty, 3, note)
            yield from _read(f"{size:,} loaded", server, size, empty)


def _read(what: str, server: Bridge, size: int, empty: int) -> Iterator[Row]:
    sizes = []
    with Connection(server.eureka) as connection:
        for headers in _READS:
            answer = connection.call("GET", "/eureka/apps", headers, keep=False)
            if answer.status != 200:
                raise RuntimeError(f"GET apps got {answer.status}")
            sizes.append(f"{answer.size / MB:.1f}")
    time.sleep(_SETTLE_S)
    note = f"answers {' '.join(sizes)} MB; {server.rss / MB:.0f} MB"
    yield _per_instance(f"memory per instance, {what}, all read 4 ways", server, size, empty, 6, note)


def _per_instance(what: str, server: Bridge, size: int, empty: int, target: float, note: str) -> Row:
    return Row(what, "kB", (server.rss - empty) / size / 1000, target, note=note)
