"""CPU of the server per native operation: heartbeats, registrations, Discover; and what the first answer after a change costs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bridge import fine_cpu_seconds
from grpc_floor import TRANSPORT, floor_server
from grpc_load import GrpcFigure, Measured, Task, measure_grpc
from polaris_fleet import (
    BATCH,
    DISCOVER,
    HEARTBEAT,
    REGISTER,
    SUCCESS,
    UNCHANGED,
    NativeFleet,
    Server,
    answer,
    filled,
)
from report import Row

BEATING = NativeFleet("beating", 1000, beats=True, subnet=1)
HUNDRED = NativeFleet("hundred", 100, subnet=2)
THOUSAND = NativeFleet("thousand", 1000, subnet=3)
CHANGING = NativeFleet("changing", 1000, subnet=4)
_VERSIONS = 20


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``runs`` of ``seconds`` each after ``warm_up_s``."""

    seconds: float = 5
    runs: int = 3
    warm_up_s: float = 2


@dataclass(frozen=True)
class Case:
    """One operation, and what our own share of it may cost."""

    what: str
    target: float | None
    task: Task
    unchanged_of: NativeFleet | None = None
    """Discover with the revision that the server gave last."""
    newcomers: bool = False
    """Every message is used once."""


def _cases(effort: Effort) -> list[Case]:
    again = [CHANGING.registration(n, f"2.0.{turn}") for turn in range(_VERSIONS) for n in range(CHANGING.size)]
    fresh = NativeFleet("newcomers", round(effort.seconds * effort.runs * 300), subnet=5)
    return [
        Case("Heartbeat", 50, Task("unary", HEARTBEAT, BEATING.heartbeats(), SUCCESS)),
        Case("BatchHeartbeat of 100", 500, Task("stream", BATCH, BEATING.batches(100))),
        Case("Discover 1,000, unchanged", 30, Task("stream", DISCOVER, (), UNCHANGED), unchanged_of=THOUSAND),
        Case("Discover 100, changed, encoded", 40, Task("stream", DISCOVER, [HUNDRED.question()], SUCCESS)),
        Case("Discover 1,000, changed, encoded", 150, Task("stream", DISCOVER, [THOUSAND.question()], SUCCESS)),
        Case("RegisterInstance again, changed", 200, Task("unary", REGISTER, again, SUCCESS)),
        Case(
            "RegisterInstance, new instances",
            200,
            Task("unary", REGISTER, [fresh.registration(n) for n in range(fresh.size)], SUCCESS),
            newcomers=True,
        ),
    ]


def rows(effort: Effort) -> Iterator[Row]:
    """Operations under load, 32 at a time over four connections. Targets are those of our own share."""
    yield from _transport(effort)
    with filled(BEATING, HUNDRED, THOUSAND, CHANGING) as servers:
        for case in _cases(effort):
            yield _row(case, servers, effort)
        if len(servers) > 1:
            fresh = NativeFleet("newcomers", round(effort.seconds * effort.runs * 300), subnet=5)
            fresh.clear(servers[1].address)


def _transport(effort: Effort) -> Iterator[Row]:
    """What a transport costs: our listener, and as the floor grpcio's bare server."""
    for what, task in (
        (f"transport {TRANSPORT}: a unary call, 200 bytes", Task("unary", HEARTBEAT, [b"y" * 200])),
        (f"transport {TRANSPORT}: a message of a stream, 200 bytes", Task("stream", DISCOVER, [b"y" * 200])),
        (f"transport {TRANSPORT}: a stream opened, one message", Task("unary", DISCOVER, [b"y" * 200])),
    ):
        with floor_server(200, bare=True) as bare, floor_server(200) as ours:
            servers = [Server(f"127.0.0.1:{process.port}", process.pid) for process in (ours, bare)]
            mine, floor = _measured([(server, task) for server in servers], effort)
        yield Row(what, "CPU us", mine.cpu_us, None, floor.cpu_us, None, mine.spread, f"{mine.per_second:,.0f}/s")


def _measured(places: list[tuple[Server, Task]], effort: Effort, newcomers: bool = False) -> list[GrpcFigure]:
    measured = [
        Measured(server.pid, server.address, task, 0 if newcomers else effort.warm_up_s + server.warm_up_s)
        for server, task in places
    ]
    return measure_grpc(measured, seconds=effort.seconds, runs=effort.runs, shrink=newcomers)


def _of(case: Case, server: Server) -> Task:
    if case.unchanged_of is None:
        return case.task
    revision = answer(server.address, case.unchanged_of.question()).service.revision.value
    return replace(case.task, messages=[case.unchanged_of.question(revision)])


def _row(case: Case, servers: list[Server], effort: Effort) -> Row:
    tasks = [(server, _of(case, server)) for server in servers]
    sample = replace(tasks[0][1], messages=tasks[0][1].messages[:1], workers=1, options=())
    size = sample.run(servers[0].address, 0.2)
    with floor_server(round(size.bytes / max(1, size.operations))) as bare:
        echo = (Server(f"127.0.0.1:{bare.port}", bare.pid), replace(tasks[0][1], expect=b""))
        mine, floor, *theirs = _measured([tasks[0], echo, *tasks[1:]], effort, case.newcomers)
    notes = [f"{mine.per_second:,.0f}/s, answers of {mine.size:,} bytes"]
    for who, figure in (("", mine), ("floor ", floor), *(("peer ", figure) for figure in theirs)):
        if figure.failed:
            notes.append(f"{who}REFUSED {figure.failed}: {figure.error[:80]}")
    if theirs and servers[1].pid is None:
        notes.append(f"peer {theirs[0].per_second:,.0f}/s")
    peer = theirs[0].cpu_us if theirs and servers[1].pid else None
    return Row(
        case.what, "CPU us", mine.cpu_us, None, floor.cpu_us, peer, mine.spread, ", ".join(notes), share=case.target
    )


# ---------------------------------------------------------------------- the cost of one change, paid once


def once_rows(cycles: int) -> Iterator[Row]:
    """CPU of the first Discover after one change in 1,000: a change and a read, less the change alone, less an echo."""
    with filled(THOUSAND) as servers:
        found = [_once(server, cycles) for server in servers if server.pid]
        if not found:
            return
        size = len(answer(servers[0].address, THOUSAND.question()).SerializeToString())
    with floor_server(size) as bare:
        echo = _once(Server(f"127.0.0.1:{bare.port}", bare.pid), cycles, check=False)
    peer = found[1] if len(found) > 1 else None
    note = f"answers of {size:,} bytes; floor: an echo of so much"
    yield Row("once after 1 change in 1,000: Discover", "CPU us", found[0], None, echo, peer, None, note, share=1000)


def _once(server: Server, cycles: int, *, check: bool = True) -> float:
    versions = iter(range(1_000_000))

    def spent(reading: bool) -> float:
        messages = []
        for _ in range(cycles):
            turn = next(versions)
            written = THOUSAND.registration(turn * 37 % THOUSAND.size, f"3.{reading:d}.{turn}")
            messages += [written, THOUSAND.question(), f"3.{reading:d}.{turn}".encode() if check else b""]
        options = (f"-stream={DISCOVER}",) if reading else ()
        task = Task("visible", REGISTER, messages, connections=2, options=options)
        before = fine_cpu_seconds(server.pid)
        done = task.run(server.address)
        if done.failed:
            raise RuntimeError(f"{done.failed} of {cycles} changes were not seen: {done.error}")
        return (fine_cpu_seconds(server.pid) - before) * 1e6 / cycles

    spent(True)
    return spent(True) - spent(False)
