"""How long the event loop is busy with one thing, while many instances change and are read.

Two witnesses: the server's own probe (``/metrics``), and a second connection that renews all the time and notes its slowest
answer. The second one is an upper bound: the load's own process shares its core.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge import Bridge, favour
from fleet import DIRTY_MS, REGISTER_HEADERS, Fleet
from measure import LOAD_CORE
from plain_http import Connection
from report import Row

_CHANGES_PER_S = 10
_PROBE_PAUSE_S = 0.002
_READ_PAUSE_S = 0.2
_PLAIN = {"Accept": "application/json"}
_GZIP = {**_PLAIN, "Accept-Encoding": "gzip"}
DELTA_S = 185
"""A little more than a delta keeps changes."""
_TARGETS_MS = {10_000: 20.0, 100_000: 50.0}


def rows(sizes: Sequence[int], seconds: float, wait_s: float = DELTA_S) -> Iterator[Row]:
    """All rows of this part. ``wait_s``: until the delta has forgotten how everything registered."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for size in sizes:
            with Bridge(Path(folder) / str(size)) as server:
                yield from _young(server, size, seconds)
        time.sleep(wait_s)
        for size in sizes:
            with Bridge(Path(folder) / str(size)) as server:
                yield from _steady(server, size, seconds)


def _young(server: Bridge, size: int, seconds: float) -> Iterator[Row]:
    """While everything registers, and just after: the delta of the last three minutes holds every instance."""
    with Connection(server.eureka) as connection:
        Fleet(size).seed(connection)
    yield _row(size, "all register, batches of 250", server.stall_ms(), None)
    favour(server.pid)
    latencies = _loaded(server, Fleet(size), seconds)
    yield _row(size, "10 changes/s, reads, all in the delta", server.stall_ms(), None, latencies)


def _steady(server: Bridge, size: int, seconds: float) -> Iterator[Row]:
    """On a server that has them all from its store, as it runs most of its life."""
    favour(server.pid)
    server.stall_ms()  # its start is not meant
    with Connection(server.eureka) as connection:
        for headers in (_GZIP, _PLAIN):
            connection.call("GET", "/eureka/apps", headers, keep=False)
    target = _TARGETS_MS.get(size)
    yield _row(size, "first full read, gzip JSON then plain", server.stall_ms(), target)
    latencies = _loaded(server, Fleet(size), seconds)
    yield _row(size, "10 changes/s, apps and delta read", server.stall_ms(), target, latencies)


def _row(size: int, what: str, stall_ms: float, target: float | None, latencies: Sequence[float] = ()) -> Row:
    note = ""
    if latencies:
        ranked = sorted(latencies)
        late = ranked[len(ranked) * 99 // 100]
        note = f"renewals meanwhile: 99 % {late:.1f} ms, slowest {ranked[-1]:.1f} of {len(ranked):,}"
    return Row(f"longest stall, {size:,}: {what}", "ms", stall_ms, target, note=note)


def _loaded(server: Bridge, fleet: Fleet, seconds: float) -> list[float]:
    """Latencies in milliseconds of renewals while others change and read."""
    end = time.monotonic() + seconds
    stopped = threading.Event()
    readers = [
        threading.Thread(target=_reader, args=(server.eureka, path, stopped))
        for path in ("/eureka/apps", "/eureka/apps/delta")
    ]
    changer = threading.Thread(target=_changer, args=(server.eureka, fleet, stopped))
    for thread in (*readers, changer):
        thread.start()
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, __file__, server.eureka, str(fleet.size), str(seconds)]
    try:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    finally:
        time.sleep(max(0.0, end - time.monotonic()))
        stopped.set()
        for thread in (*readers, changer):
            thread.join()
    return [float(line) for line in done.stdout.split()]


def _reader(url: str, path: str, stopped: threading.Event) -> None:
    with Connection(url) as connection:
        while not stopped.wait(_READ_PAUSE_S):
            connection.call("GET", path, _GZIP, keep=False)


def _changer(url: str, fleet: Fleet, stopped: threading.Event) -> None:
    """Ten changes a second: nine applications' instances register again with another document, then one leaves."""
    with Connection(url) as connection:
        n = 0
        while not stopped.wait(1 / _CHANGES_PER_S):
            n += 1
            instance = fleet[(n * 7919) % fleet.size]
            path = f"/eureka/apps/{instance.app}"
            if n % 10:
                body = instance.body(DIRTY_MS + n).replace("3.14.2", f"3.14.{n}").encode()
                connection.call("POST", path, REGISTER_HEADERS, body)
            else:
                connection.call("DELETE", f"{path}/{instance.id}")


def _probe(url: str, size: int, seconds: float) -> None:
    fleet = Fleet(size)
    end = time.monotonic() + seconds
    n = 0
    with Connection(url) as connection:
        while time.monotonic() < end:
            n += 1
            instance = fleet[(n * 31) % size]
            began = time.perf_counter()
            connection.call("PUT", f"/eureka/apps/{instance.app}/{instance.id}?status=UP")
            print(f"{(time.perf_counter() - began) * 1000:.2f}")
            time.sleep(_PROBE_PAUSE_S)


if __name__ == "__main__":
    _probe(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
