"""How soon and at what price subscribers are told: one, a thousand, and in a storm; what a connection with one subscription
holds; how long the event loop is busy with one thing."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from bridge import Bridge, favour, fine_cpu_seconds
from fleet import Fleet
from grpc_load import Done, Task
from measure import rss_bytes
from nacos_fleet import CARRIED, GREETING, REQUEST, SUCCESS, NacosFleet, Server, filled, greeted
from plain_http import Connection
from report import Row

PUSHED = NacosFleet("pushed", 10, subnet=7)
STORM = NacosFleet("storm", 0, subnet=8)
HELD = NacosFleet("held", 10, subnet=9)
_SETTLE_S = 3.0
_WARM_UP = 2
"""Rounds before those that are wanted."""
_PER_APP = 1000
_CHANGES_PER_S = 10
_STALL_MS = {10_000: 20.0, 100_000: 50.0}


class Held:
    """A load that waits for a word once everything is set up: ``go`` says it, and what it achieved comes of it."""

    def __init__(self, task: Task, server: Server) -> None:
        self._command = task.command(server.grpc)

    def __enter__(self) -> Held:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._process = subprocess.Popen(self._command.__enter__(), text=True, **pipes)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            assert self._process.stderr is not None
            raise RuntimeError(f"the load could not be set up: {self._process.stderr.read()[-500:]}")
        return self

    def go(self) -> Done:
        """Let it run to its end. RuntimeError when something failed."""
        out, complaints = self._process.communicate("\n", timeout=600)
        if self._process.returncode:
            raise RuntimeError(f"the load failed: {complaints.strip()[-500:]}")
        done = Done(**json.loads(out.rstrip().rpartition("\n")[2]))
        if done.failed:
            raise RuntimeError(f"{done.failed} failed: {done.error}")
        return done

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.communicate("\n", timeout=30)
        self._command.__exit__(None, None, None)


# ---------------------------------------------------------------------- latency


@dataclass(frozen=True)
class Pushed:
    """What one server did."""

    done: Done
    cpu_us: float
    """Of the server, for each subscriber told, registration and acknowledgement included."""


def push_rows(rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """From a registration to the subscribers, at low load."""
    with filled(PUSHED) as servers:
        yield from _latency(servers, 1, rounds)
        yield from _latency(servers, many, many_rounds)


def _latency(servers: list[Server], subscribers: int, rounds: int) -> Iterator[Row]:
    found = [_push(server, subscribers, rounds) for server in servers]
    ours, *theirs = [pushed.done for pushed in found]
    note = f"99 % {ours.p99_us / 1000:.1f} ms, registration answered after {ours.write_p50_us / 1000:.1f} ms"
    if theirs:
        note += f"; peer 99 % {theirs[0].p99_us / 1000:.0f} ms"
    peer = theirs[0].p50_us / 1000 if theirs else None
    who = "one subscriber" if subscribers == 1 else f"each of {subscribers:,} subscribers"
    yield Row(
        f"register, then {who} is told",
        "ms",
        ours.p50_us / 1000,
        10 if subscribers == 1 else None,
        peer=peer,
        note=note,
    )
    if subscribers == 1:
        return
    native = "transport=grpcio" not in "".join(CARRIED)
    each = ours.pushes / (rounds + _WARM_UP) / subscribers
    worst = f"slowest of {rounds} {ours.all_max_us / 1000:.0f} ms, {each:.2f} lists each"
    peer = theirs[0].all_p50_us / 1000 if theirs else None
    target = 150 if native else 500
    yield Row(
        f"register, until all {subscribers:,} are told", "ms", ours.all_p50_us / 1000, target, peer=peer, note=worst
    )
    spent = [pushed.cpu_us for pushed, server in zip(found, servers, strict=True) if server.pid]
    note = "the registration's share and acknowledgements included"
    peer = spent[1] if len(spent) > 1 else None
    yield Row("a subscriber told, one of many", "CPU us", spent[0], 80 if native else 350, peer=peer, note=note)


def _push(server: Server, subscribers: int, rounds: int) -> Pushed:
    messages = [*GREETING, PUSHED.subscribe()]
    for n in range(-_WARM_UP, rounds):
        version = f"push.{subscribers}.{n}"
        messages += [PUSHED.register(PUSHED.size, version), version.encode()]
    pause = "120ms" if subscribers == 1 else "700ms"
    task = Task("push", REQUEST, messages, SUCCESS, connections=subscribers + 1, options=(f"-pause={pause}",))
    if server.bridge:
        favour(server.bridge.pid)
    with Held(task, server) as load:
        before = fine_cpu_seconds(server.pid) if server.pid else 0.0
        began = time.monotonic()
        done = load.go()
        took = time.monotonic() - began
        spent = fine_cpu_seconds(server.pid) - before if server.pid else 0.0
    idle = _idle_share(server, subscribers) * took
    return Pushed(done, max(0.0, spent - idle) * 1e6 / max(1, done.operations))


def _idle_share(server: Server, subscribers: int) -> float:
    """What the server does anyway, as a share of a core, with so many quiet subscribers."""
    if not server.pid:
        return 0.0
    with Held(greeted("subscribed", [PUSHED.subscribe()], connections=subscribers), server):
        time.sleep(_SETTLE_S)
        before = fine_cpu_seconds(server.pid)
        time.sleep(_SETTLE_S)
        return (fine_cpu_seconds(server.pid) - before) / _SETTLE_S


# ---------------------------------------------------------------------- storms


def storm_rows(size: int) -> Iterator[Row]:
    """So many connections register at one service within a second; one subscriber counts the lists that it is sent."""
    with filled() as servers:
        found = [_storm(server, size) for server in servers]
    ours, *theirs = found
    note = f"the last one complete; registrations meanwhile: median {ours.p50_us / 1000:.1f}, 99 % {ours.p99_us / 1000:.1f} ms"
    peer = float(theirs[0].pushes) if theirs else None
    yield Row(
        f"{size:,} registrations in a second: lists to a subscriber", "", float(ours.pushes), 25, peer=peer, note=note
    )
    late = theirs[0].late_us / 1000 if theirs else None
    yield Row("the last list after the last registration's answer", "ms", ours.late_us / 1000, 100, peer=late)


def _storm(server: Server, size: int) -> Done:
    messages = [*GREETING, STORM.subscribe(), *(STORM.register(n) for n in range(size))]
    task = Task("storm", REQUEST, messages, SUCCESS, connections=size + 1)
    with Held(task, server) as load:
        return load.go()


# ---------------------------------------------------------------------- memory


def memory_rows(count: int) -> Iterator[Row]:
    """Connections with one subscription each."""
    with filled(HELD) as servers:
        found = [_held(server, count) for server in servers if server.pid]
    native = "transport=grpcio" not in "".join(CARRIED)
    (kb, cpu), *theirs = found
    peer_kb, peer_cpu = theirs[0] if theirs else (None, None)
    yield Row(f"connection with one subscription, of {count:,}", "KB", kb, 20 if native else 80, peer=peer_kb)
    yield Row("to set up a connection and subscribe", "CPU us", cpu, None, peer=peer_cpu)


def _held(server: Server, count: int) -> tuple[float, float]:
    """KB and CPU microseconds of one."""
    with Held(greeted("subscribed", [HELD.subscribe()], connections=50), server):
        pass
    time.sleep(_SETTLE_S)
    size, cpu = rss_bytes(server.pid), fine_cpu_seconds(server.pid)
    with Held(greeted("subscribed", [HELD.subscribe()], connections=count), server):
        opened = fine_cpu_seconds(server.pid) - cpu
        time.sleep(_SETTLE_S)
        grown = rss_bytes(server.pid) - size
    return grown / count / 1000, opened * 1e6 / count


# ---------------------------------------------------------------------- stalls


def stall_rows(sizes: Sequence[int], seconds: float) -> Iterator[Row]:
    """The longest stall of the event loop, by the server's own probe, with many instances that change and are read."""
    for size in sizes:
        fleet = Fleet(size, per_app=_PER_APP)
        with Bridge(options=CARRIED) as bridge:
            server = Server(f"http://{bridge.nacos}", bridge.pid, bridge)
            with Connection(bridge.eureka) as connection:
                fleet.seed(connection)
            favour(bridge.pid)
            services = [NacosFleet(fleet[n].name, _PER_APP, subnet=10) for n in range(0, size, _PER_APP)]
            queries = greeted("unary", [service.query() for service in services], connections=1, workers=1)
            target = _STALL_MS.get(size)
            bridge.stall_ms()
            queries.run(server.grpc, seconds / 2)
            yield Row(f"longest stall, {size:,}: first query of every service", "ms", bridge.stall_ms(), target)
            with _changes(server, services[0], seconds):
                subscription = greeted("subscribed", [services[0].subscribe()], connections=20)
                with Held(subscription, server):
                    bridge.stall_ms()
                    done = queries.run(server.grpc, seconds)
                    stall_ms = bridge.stall_ms()
            if done.failed:
                raise RuntimeError(f"{done.failed} reads failed: {done.error}")
            note = f"queries meanwhile: 99 % {done.p99_us / 1000:.1f} ms, slowest {done.max_us / 1000:.1f}"
            what = f"longest stall, {size:,}: {_CHANGES_PER_S} changes/s, 20 subscribers, all services read"
            yield Row(what, "ms", stall_ms, target, note=note)


@contextmanager
def _changes(server: Server, fleet: NacosFleet, seconds: float) -> Iterator[None]:
    """One client changes an instance ten times a second meanwhile."""
    count = round((seconds + 2 * _SETTLE_S) * _CHANGES_PER_S)
    messages = [*GREETING]
    for n in range(count):
        messages += [fleet.register(n % 10, f"5.0.{n}"), b"", b""]
    options = ("-greet", f"-pause={1000 // _CHANGES_PER_S}ms")
    task = Task("visible", REQUEST, messages, connections=1, options=options)
    changer = threading.Thread(target=task.run, args=(server.grpc,))
    changer.start()
    try:
        yield
    finally:
        changer.join()
