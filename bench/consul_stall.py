"""How long the event loop is busy with one thing while many instances change and are read, and what reads of everything cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bridge import Bridge, favour
from consul_fleet import HEADERS, ConsulFleet, blocking, index
from fleet import Fleet
from long_polls import LongPolls
from nacos_fleet import Server
from plain_http import Connection
from report import Row

_PER_APP = 1000
_CHANGES_PER_S = 10
_STALL_MS = {10_000: 20.0, 100_000: 50.0}
_WATCHERS = 20
_PAUSE_S = 0.03
_REST_S = 1.0
"""Between reads that keep the server busy: a process with real-time priority is stopped for 50 ms when it has taken 95 % of a
second, and that is not what is looked for."""
_OWN = ConsulFleet("changed", 100, subnet=9)


def rows(sizes: Sequence[int], seconds: float) -> Iterator[Row]:
    """All rows of this part. Instances come through the Eureka port; a service of Consul's own changes."""
    for size in sizes:
        fleet = Fleet(size, per_app=_PER_APP)
        with Bridge() as bridge:
            server = Server(f"http://{bridge.consul}", bridge.pid, bridge)
            with Connection(bridge.eureka) as connection:
                fleet.seed(connection)
            _OWN.seed(server.base)
            favour(bridge.pid)
            target = _STALL_MS.get(size)
            services = [f"/v1/health/service/{fleet[n].app}" for n in range(0, size, _PER_APP)]
            time.sleep(_REST_S)
            bridge.stall_ms()
            slowest = _read(server, services, _PAUSE_S)
            note = f"slowest {slowest:.1f} ms"
            yield Row(
                f"longest stall, {size:,}: first read of every service", "ms", bridge.stall_ms(), target, note=note
            )
            for what in ("/v1/catalog/services", "/v1/catalog/nodes", "/v1/health/state/any"):
                time.sleep(_REST_S)
                bridge.stall_ms()
                slowest = _read(server, [what])
                note = f"answered after {slowest:.0f} ms"
                yield Row(f"longest stall, {size:,}: first {what[4:]}", "ms", bridge.stall_ms(), target, note=note)
            with _changes(server), _watchers(server):
                bridge.stall_ms()
                end, slowest = time.monotonic() + seconds, 0.0
                while time.monotonic() < end:
                    slowest = max(slowest, _read(server, [*services, "/v1/catalog/services"]))
                stall_ms = bridge.stall_ms()
            what = f"longest stall, {size:,}: {_CHANGES_PER_S} changes/s, {_WATCHERS} watchers, all services read"
            yield Row(what, "ms", stall_ms, target, note=f"reads meanwhile: slowest {slowest:.1f} ms")


def _read(server: Server, targets: Sequence[str], pause_s: float = 0) -> float:
    """Read all, one after another; milliseconds of the slowest."""
    slowest = 0.0
    with Connection(server.base) as connection:
        for target in targets:
            began = time.perf_counter()
            answer = connection.call("GET", target, HEADERS, keep=False)
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(pause_s)
            if answer.status != 200 or answer.size < 10:
                raise RuntimeError(f"{target} got {answer.status} with {answer.size} bytes")
    return slowest * 1000


@contextmanager
def _changes(server: Server) -> Iterator[None]:
    """One client changes an instance ten times a second meanwhile."""
    stopped = threading.Event()

    def change() -> None:
        with Connection(server.base) as connection:
            n = 0
            while not stopped.wait(1 / _CHANGES_PER_S):
                n += 1
                _OWN.register(connection, n % _OWN.size, f"5.0.{n}")

    changer = threading.Thread(target=change)
    changer.start()
    try:
        yield
    finally:
        stopped.set()
        changer.join()


@contextmanager
def _watchers(server: Server) -> Iterator[None]:
    """Clients that wait for the service that changes, and ask again."""
    stopped = threading.Event()
    with ExitStack() as held:
        polls = held.enter_context(LongPolls(server.base, _WATCHERS))

        def watch() -> None:
            with Connection(server.base) as connection:
                while not stopped.is_set():
                    since = index(connection, _OWN.listing)
                    polls.send(lambda _, since=since: blocking(polls.host, _OWN.listing, since))
                    polls.answers(20)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            stopped.set()
            with Connection(server.base) as connection:  # so that nobody waits any more
                _OWN.register(connection, 0, f"end.{time.time_ns()}")
            watcher.join()
