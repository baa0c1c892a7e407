"""How soon a registration is seen: by the next read, and by watchers of the core (in a process of their own: ``--watch``)."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import uvloop
from bridge import Bridge
from fleet import REGISTER_HEADERS, Fleet
from measure import SERVER_CORE
from plain_http import Connection
from report import Row

from polaris_bridge import testing
from polaris_bridge.core.model import Caller, Lease, Registration
from polaris_bridge.core.registry import Registry

_JSON = {"Accept": "application/json"}
_CALLER = Caller("bench")
_PAUSE_S = 0.06
"""Between two changes: longer than watchers are told at most once for."""


def rows(rounds: int) -> Iterator[Row]:
    """All rows of this part."""
    yield from _next_read(rounds)
    yield from _watchers(rounds)


# ---------------------------------------------------------------------- the next read


def _next_read(rounds: int) -> Iterator[Row]:
    """Register, then read on another connection as soon as the answer is there: every read must show it."""
    fleet = Fleet(rounds, label="fresh")
    registered: list[float] = []
    round_trips: list[float] = []
    missed = 0
    with Bridge() as server, Connection(server.eureka) as writer, Connection(server.eureka) as reader:
        Fleet(1000).seed(writer)
        for instance in fleet:
            paths = (
                "/eureka/apps",
                "/eureka/apps/delta",
                f"/eureka/apps/{instance.app}",
                f"/eureka/instances/{instance.id}",
            )
            path = paths[instance.n % len(paths)]
            began = time.perf_counter()
            status = writer.call(
                "POST", f"/eureka/apps/{instance.app}", REGISTER_HEADERS, instance.body().encode()
            ).status
            answered = time.perf_counter()
            seen = reader.call("GET", path, _JSON).body
            round_trips.append((time.perf_counter() - began) * 1000)
            registered.append((answered - began) * 1000)
            if status != 204:
                raise RuntimeError(f"a registration got {status}")
            missed += instance.id.encode() not in seen
            time.sleep(0.005)
    if missed:
        raise RuntimeError(f"{missed} of {rounds} registrations were not in the read after their answer")
    note = f"{rounds} of {rounds} seen by apps, delta, app or by-id"
    yield Row("register, answered when stored, one client", "ms", statistics.median(registered), spread=None)
    yield Row("register + next read shows it", "ms", statistics.median(round_trips), note=note)


# ---------------------------------------------------------------------- watchers of the core


def _watchers(rounds: int) -> Iterator[Row]:
    command = ["taskset", "-c", str(SERVER_CORE), sys.executable, __file__, "--watch", str(rounds)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.rstrip().rpartition("\n")[2])
    one, many = found["one"], found["many"]
    worst = f"worst {max(one):.1f} ms of {rounds}"
    yield Row("registered -> core watcher told, median", "ms", statistics.median(one), 5, note=f"SQLite store; {worst}")
    note = f"worst {max(many):.1f} ms; each told once per change: {'yes' if found['once'] else 'NO'}"
    yield Row("registered -> 1,000 core watchers all told", "ms", statistics.median(many), 50, note=note)


class _Ear:
    """A watcher that arms itself again, and notes when it was told."""

    def __init__(self, registry: Registry, r: Registration) -> None:
        self._registry = registry
        self._key = r.service_key
        self.told = 0
        self.at = 0.0
        self._watcher = registry.watches.watcher((self._key,), self._fire)
        self._watcher.arm(registry.revision_of(self._key))

    def _fire(self) -> None:
        self.told += 1
        self.at = time.perf_counter()
        self._watcher.arm(self._registry.revision_of(self._key))

    def cancel(self) -> None:
        """End it."""
        self._watcher.cancel()


def _registration(n: int) -> Registration:
    return Registration(
        source="bench",
        namespace="default",
        key=f"bench/{n}",
        service="watched",
        host=f"10.9.{n >> 8}.{n & 255}",
        port=8080,
        liveness=Lease(30_000, 90_000, 90_000),
        metadata={"version": "1"},
    )


async def _told(registry: Registry, count: int, rounds: int) -> tuple[list[float], bool]:
    """Milliseconds from each of ``rounds`` registrations until the last of ``count`` watchers was told."""
    first = _registration(0)
    ears = [_Ear(registry, first) for _ in range(count)]
    took = []
    once = True
    for n in range(rounds):
        await asyncio.sleep(_PAUSE_S)
        before = [ear.told for ear in ears]
        began = time.perf_counter()
        registry.register(_registration(n), _CALLER)
        deadline = began + 10
        while any(ear.told == b for ear, b in zip(ears, before, strict=True)):
            if time.perf_counter() > deadline:
                raise RuntimeError("a watcher was not told of a registration")
            await asyncio.sleep(0.002)
        took.append((max(ear.at for ear in ears) - began) * 1000)
        once = once and all(ear.told == b + 1 for ear, b in zip(ears, before, strict=True))
    for ear in ears:
        ear.cancel()
    return took, once


async def _watch(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with testing.server(data=Path(folder)) as running:
            registry = cast(Registry, running.registry)
            gc.collect()
            await _told(registry, 1, 5)
            one, _ = await _told(registry, 1, rounds)
            many, once = await _told(registry, 1000, rounds)
    print(json.dumps({"one": one, "many": many, "once": once}))


if __name__ == "__main__":
    uvloop.run(_watch(int(sys.argv[2])))
