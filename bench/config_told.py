"""How soon and at what price those who wait for a file are told of its publication: over gRPC and by long poll."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bridge import favour, fine_cpu_seconds
from config_fleet import GREETING, HTTP_HEADERS, File, files, listen, poll, publish_all, told_of
from grpc_load import Done, Task
from long_polls import LongPolls
from nacos_fleet import REQUEST, SUCCESS, Server, filled
from nacos_push import Held
from plain_http import Connection
from poll_floor import poll_floor
from prober import Prober, Waited
from report import Row

_WARM_UP = 2
_SETTLE_S = 2.0
_DUMP_S = 0.3
"""The real server tells of a publication, and answers with it, only once it wrote it into files."""
_SMALL = File("com.acme.prober.yaml")
_PAUSE_S = 0.7
"""Between two publications that many are told of."""
_TRIES = 3
"""Rounds with a prober."""


# ---------------------------------------------------------------------- gRPC


def grpc_rows(rounds: int, many: int, many_rounds: int, native: bool) -> Iterator[Row]:
    """A publication over gRPC, and those who listen to its file on connections of their own."""
    with filled() as servers:
        for server in servers:
            publish_all(server.base, [_SMALL])
        found = [_pushed(server, 1, rounds)[0] for server in servers]
        ours, *theirs = found
        note = f"99 % {ours.p99_us / 1000:.1f} ms, publish answered after {ours.write_p50_us / 1000:.1f} ms"
        peer = theirs[0].p50_us / 1000 if theirs else None
        yield Row("gRPC: publish, then one listener is told", "ms", ours.p50_us / 1000, 10, peer=peer, note=note)
        results = [_pushed(server, many, many_rounds) for server in servers]
        (done, cpu_us), *others = results
        note = f"slowest of {many_rounds} {done.all_max_us / 1000:.0f} ms"
        peer = others[0][0].all_p50_us / 1000 if others else None
        what = f"gRPC: publish, until all {many:,} are told"
        yield Row(what, "ms", done.all_p50_us / 1000, 250 if native else 700, peer=peer, note=note)
        peer = others[0][1] if others and servers[1].pid else None
        note = "its acknowledgement and its share of the publication included"
        yield Row("gRPC: one of them told", "CPU us", cpu_us, 80 if native else 350, peer=peer, note=note)
        waited = _pushed_beside(servers[0], many)
        note = f"median {waited.median_ms:.1f} ms, {waited.calls} reads over HTTP during {_TRIES} publications"
        yield Row("gRPC: longest that another client waits meanwhile", "ms", waited.longest_ms, 20, note=note)


def _task(server: Server, label: str, listeners: int, rounds: int, pause: str) -> Task:
    wanted = files(label, rounds + _WARM_UP)
    publish_all(server.base, wanted)
    messages = [*GREETING, listen(wanted)]
    for file in wanted:  # each once, so that its name tells the round
        messages += [file.publication(1), file.data_id.encode()]
    options = (f"-pause={pause}", "-pushed=ConfigChangeNotifyRequest")
    return Task("push", REQUEST, messages, SUCCESS, connections=listeners + 1, options=options)


def _pushed(server: Server, listeners: int, rounds: int) -> tuple[Done, float]:
    """What was achieved, and CPU microseconds for each listener told."""
    task = _task(
        server, f"grpc-{listeners}", listeners, rounds, "50ms" if listeners == 1 else f"{_PAUSE_S * 1000:.0f}ms"
    )
    if server.bridge:
        favour(server.bridge.pid)
    with Held(task, server) as load:
        before = fine_cpu_seconds(server.pid) if server.pid else 0.0
        began = time.monotonic()
        done = load.go()
        took = time.monotonic() - began
        spent = fine_cpu_seconds(server.pid) - before if server.pid else 0.0
    idle = _idle_share(server, listeners) * took
    return done, max(0.0, spent - idle) * 1e6 / max(1, done.operations)


def _pushed_beside(server: Server, listeners: int) -> Waited:
    """What another client waits for its reads meanwhile."""
    task = _task(server, "beside", listeners, _TRIES, f"{_PAUSE_S * 1000:.0f}ms")
    with Held(task, server) as load, ThreadPoolExecutor(1) as pool:
        with _prober(server) as prober:
            done = pool.submit(load.go)
            time.sleep(_TRIES * _PAUSE_S)  # and not while all of them hang up
        done.result()
    return prober.waited


def _idle_share(server: Server, listeners: int) -> float:
    """What the server does anyway, as a share of a core, with so many quiet listeners."""
    if not server.pid:
        return 0.0
    request = listen([_SMALL])
    task = Task("subscribed", REQUEST, [*GREETING, request], SUCCESS, connections=listeners)
    with Held(task, server):
        time.sleep(_SETTLE_S)
        before = fine_cpu_seconds(server.pid)
        time.sleep(_SETTLE_S)
        return (fine_cpu_seconds(server.pid) - before) / _SETTLE_S


# ---------------------------------------------------------------------- long polls


@dataclass(frozen=True)
class Polled:
    """Medians over the rounds."""

    first_ms: float
    last_ms: float
    slowest_ms: float
    cpu_us: float
    """For each poll answered, the publication's share included; what asking again costs is not."""
    again_us: float
    """For each poll that asks again, and then waits."""


def poll_rows(rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """A publication over HTTP, and long polls as of the Java client 1.4 that wait for its file."""
    with filled() as servers, poll_floor(told_of(File("com.acme.polled-service-0000.yaml"))) as bare:
        for server in servers:
            publish_all(server.base, [_SMALL])
            if server.bridge:
                favour(server.bridge.pid)
        floor = Server(f"http://127.0.0.1:{bare.port}", bare.pid)
        ours, low = [_polled(server, 1, rounds) for server in (servers[0], floor)]
        theirs = [_polled(server, 1, rounds, _DUMP_S) for server in servers[1:]]
        peer = theirs[0].last_ms if theirs else None
        note = f"slowest of {rounds} {ours.slowest_ms:.1f} ms"
        yield Row("long poll: publish, then one listener is told", "ms", ours.last_ms, 10, low.last_ms, peer, note=note)
        ours, low = [_polled(server, many, many_rounds) for server in (servers[0], floor)]
        theirs = [_polled(server, many, many_rounds, _DUMP_S) for server in servers[1:]]
        peer = theirs[0].last_ms if theirs else None
        note = f"first {ours.first_ms:.1f} ms, slowest of {many_rounds} {ours.slowest_ms:.0f} ms"
        what = f"long poll: publish, until all {many:,} are told"
        yield Row(what, "ms", ours.last_ms, 400, low.last_ms, peer, note=note)
        peer = theirs[0].cpu_us if theirs and servers[1].pid else None
        yield Row("long poll: one of them told", "CPU us", ours.cpu_us, 200, low.cpu_us, peer)
        peer = theirs[0].again_us if theirs and servers[1].pid else None
        yield Row("long poll: asking again", "CPU us", ours.again_us, None, low.again_us, peer)
        told, asked = _polled_beside(servers[0], many)
        note = f"median {told.median_ms:.1f} ms; while all ask again at once: {asked.longest_ms:.0f} ms"
        yield Row("long poll: longest that another client waits meanwhile", "ms", told.longest_ms, 20, note=note)


def _polled_beside(server: Server, listeners: int) -> tuple[Waited, Waited]:
    """What another client waits for its reads while all are told of a publication, and while all of them ask again."""
    (file,) = files("beside-polled", 1)
    told, asked = list[Waited](), list[Waited]()
    with LongPolls(server.base, listeners) as polls, Connection(server.base) as connection:
        file.publish(connection)
        for n in range(_TRIES):
            request = poll(polls.host, [file.item(n)])
            with _prober(server) as prober:
                polls.send(lambda _, request=request: request)
                _quiet(server, 0.3)
            asked.append(prober.waited)
            with _prober(server) as prober:
                time.sleep(0.1)
                file.publish(connection, n + 1)
                polls.answers(20, told_of(file))
            told.append(prober.waited)
    return max(told, key=lambda waited: waited.longest_ms), max(asked, key=lambda waited: waited.longest_ms)


def _prober(server: Server) -> Prober:
    return Prober(server.base, _SMALL.target, HTTP_HEADERS)


def _polled(server: Server, listeners: int, rounds: int, dump_s: float = 0) -> Polled:
    """``dump_s``: how long a server takes until what it acknowledged is there."""
    (file,) = files("polled", 1)
    first, last, cpu, again = [list[float]() for _ in range(4)]
    with LongPolls(server.base, listeners) as polls, Connection(server.base) as connection:
        for n in range(-_WARM_UP, rounds):
            version = n + _WARM_UP
            file.publish(connection, version)
            time.sleep(dump_s)
            request = poll(polls.host, [file.item(version)])
            before = _cpu(server)
            polls.send(lambda _, request=request: request)
            _quiet(server, 0.2 if listeners > 1 else 0.02)
            asked = _cpu(server)
            if polls.early():
                raise RuntimeError("a poll did not wait")
            asked_again = (asked - before) * 1e6 / listeners
            began, before = time.perf_counter(), _cpu(server)
            file.publish(connection, version + 1)
            times = polls.answers(20, told_of(file))
            _quiet(server, 0.1 if listeners > 1 else 0.01)
            if n >= 0:
                first.append((times[0] - began) * 1000)
                last.append((times[-1] - began) * 1000)
                cpu.append((_cpu(server) - before) * 1e6 / listeners)
                again.append(asked_again)
    middle = statistics.median
    return Polled(middle(first), middle(last), max(last), middle(cpu), middle(again))


def _cpu(server: Server) -> float:
    return fine_cpu_seconds(server.pid) if server.pid else 0.0


def _quiet(server: Server, still_s: float) -> None:
    """Until a server has done next to nothing for so long."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = _cpu(server)
        time.sleep(still_s)
        if not server.pid or _cpu(server) - before < 0.1 * still_s:
            return
