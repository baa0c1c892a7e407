"""CPU of the server per operation: renewals, registrations, reads of 1,000 instances, and a fleet's mixture of them."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bridge import fine_cpu_seconds
from eureka_loads import FLEET, GZIP, JSON, NEWCOMERS, XML, Case, cases
from fleet import REGISTER_HEADERS
from floor import floor_server
from measure import Figure, measure_http
from places import Place, clear, peer_place, seeded
from plain_http import Connection
from report import Row


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``runs`` of ``seconds`` each after ``warm_up_s``."""

    seconds: float = 5
    runs: int = 3
    warm_up_s: float = 2


def rows(effort: Effort) -> Iterator[Row]:
    """Operations under load, 32 connections."""
    peer = peer_place()
    with seeded(FLEET, peer) as ours:

        def size(path: str, headers: dict[str, str]) -> int:
            with Connection(ours.base) as connection:
                return connection.call("GET", f"{ours.prefix}{path}", headers, keep=False).size

        for case in cases(size):
            yield _row(case, ours, peer, effort)
        if peer is not None:
            clear(peer, NEWCOMERS)


def once_rows(cycles: int) -> Iterator[Row]:
    """What the first read after one change costs."""
    peer = peer_place()
    with seeded(FLEET, peer) as ours:
        theirs = {what: cpu for what, cpu, _, _ in _once(peer, cycles)} if peer and peer.pid else {}
        for what, cpu_ms, wall_ms, target in _once(ours, cycles):
            note = f"answered after {wall_ms:.1f} ms"
            yield Row(f"once after 1 change: {what}", "CPU ms", cpu_ms, target, peer=theirs.get(what), note=note)


# ---------------------------------------------------------------------- under load


def _measured(place: Place, case: Case, effort: Effort) -> Figure:
    seconds, warm_up_s = effort.seconds, effort.warm_up_s + place.warm_up_s
    if case.grows:
        seconds, warm_up_s = min(seconds, place.growth_s), 0
    load = case.load(place.prefix)
    return measure_http(
        place.pid or os.getpid(), place.base, load, seconds=seconds, runs=effort.runs, warm_up_s=warm_up_s
    )


def _row(case: Case, ours: Place, peer: Place | None, effort: Effort) -> Row:
    with floor_server(case.status, case.size) as bare:
        floor = _measured(Place(f"http://127.0.0.1:{bare.port}", "/eureka", bare.pid), case, effort)
    if floor.bad_status + floor.socket_errors:
        raise RuntimeError("the bare server refused requests: its figures would mean nothing")
    mine = _measured(ours, case, effort)
    theirs = _measured(peer, case, effort) if peer else None
    failed = mine.bad_status + mine.socket_errors
    notes = [case.note] if case.note else []
    notes.append(f"{mine.per_second:,.0f}/s")
    if failed:
        notes.append(f"{failed} REFUSED")
    if theirs is not None and theirs.bad_status + theirs.socket_errors:
        notes.append(f"peer refused {theirs.bad_status + theirs.socket_errors}")
    if theirs is not None and peer is not None and peer.pid is None:
        notes.append(f"peer {theirs.per_second:,.0f}/s")
    return Row(
        case.what,
        "CPU us",
        mine.cpu_us,
        case.target,
        floor.cpu_us,
        theirs.cpu_us if theirs is not None and peer is not None and peer.pid else None,
        mine.spread,
        ", ".join(notes),
    )


# ---------------------------------------------------------------------- the cost of one change, paid once

_READS = {
    "GET apps of 1,000, gzip JSON": ("/apps", {**JSON, **GZIP}, 6.0),
    "GET apps of 1,000, plain JSON": ("/apps", JSON, 6.0),
    "GET apps of 1,000, gzip XML": ("/apps", {**XML, **GZIP}, None),
    "GET apps of 1,000, plain XML": ("/apps", XML, None),
    "GET apps/delta of 1,000 changes, gzip JSON": ("/apps/delta", {**JSON, **GZIP}, None),
}
_WARM_UP = 5


def _once(place: Place, cycles: int) -> list[tuple[str, float, float, float | None]]:
    """CPU and wall milliseconds of the first read after one change, the change itself taken away; and its target."""
    found = []
    with Connection(place.base) as connection:
        alone, _ = _cycles(place, connection, cycles, None, {})
        for what, (path, headers, target) in _READS.items():
            both, wall_ms = _cycles(place, connection, cycles, path, headers)
            found.append((what, (both - alone) * 1000, wall_ms, target))
    return found


def _cycles(
    place: Place, connection: Connection, count: int, path: str | None, headers: dict[str, str]
) -> tuple[float, float]:
    """CPU seconds of a cycle of one change and (with ``path``) one read, and the read's median wall milliseconds."""
    walls: list[float] = []
    before = 0.0
    for n in range(-_WARM_UP, count):
        if n == 0:
            before, walls = _cpu(place), []
        instance = FLEET[(n * 37) % FLEET.size]
        body = instance.body(time.time_ns() // 1_000_000).encode()
        answer = connection.call("POST", f"{place.prefix}/apps/{instance.app}", REGISTER_HEADERS, body)
        if answer.status != 204:
            raise RuntimeError(f"a registration got {answer.status}")
        if path is not None:
            began = time.perf_counter()
            connection.call("GET", f"{place.prefix}{path}", headers, keep=False)
            walls.append((time.perf_counter() - began) * 1000)
    return (_cpu(place) - before) / count, statistics.median(walls) if walls else 0.0


def _cpu(place: Place) -> float:
    return fine_cpu_seconds(place.pid) if place.pid else 0.0
