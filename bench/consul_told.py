"""How soon and at what price blocking queries return, what one that waits holds, and that nobody else is woken."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from bridge import favour, fine_cpu_seconds
from consul_fleet import HEADERS, ConsulFleet, blocking, filled, index
from long_polls import LongPolls
from measure import rss_bytes
from nacos_fleet import Server
from plain_http import Connection
from poll_floor import poll_floor
from prober import Prober
from report import Row

TOLD = ConsulFleet("told", 10, subnet=7)
WATCHED = [ConsulFleet(f"watched-{n:02d}", 3, subnet=10 + n) for n in range(50)]
"""Services of which each has its own clients."""
_WARM_UP = 2
_SETTLE_S = 2.0


# ---------------------------------------------------------------------- latency


@dataclass(frozen=True)
class Told:
    """Medians over the rounds."""

    first_ms: float
    last_ms: float
    slowest_ms: float
    cpu_us: float
    """For each query that returned, the registration's share included; what asking again costs is not."""
    again_us: float
    """For each query that asks again, and then waits."""


def told_rows(rounds: int, many: int, many_rounds: int) -> Iterator[Row]:
    """A registration, and blocking queries of its service on connections of their own."""
    with filled(TOLD) as servers, poll_floor(b"x" * 14_000) as bare:
        _favour(servers)
        floor = Server(f"http://127.0.0.1:{bare.port}", bare.pid)
        low = _told(floor, 1, rounds, expect=False)
        ours, *theirs = [_told(server, 1, rounds) for server in servers]
        peer = theirs[0].last_ms if theirs else None
        note = f"slowest of {rounds} {ours.slowest_ms:.1f} ms"
        yield Row("register, then one blocking query returns", "ms", ours.last_ms, 5, low.last_ms, peer, note=note)
        low = _told(floor, many, many_rounds, expect=False)
        ours, *theirs = [_told(server, many, many_rounds) for server in servers]
        peer = theirs[0].last_ms if theirs else None
        note = f"first {ours.first_ms:.1f} ms, slowest of {many_rounds} {ours.slowest_ms:.0f} ms"
        yield Row(f"register, until all {many:,} of it return", "ms", ours.last_ms, None, low.last_ms, peer, note=note)
        peer = theirs[0].cpu_us if theirs and servers[1].pid else None
        yield Row("one of them returns", "CPU us", ours.cpu_us, None, low.cpu_us, peer)
        peer = theirs[0].again_us if theirs and servers[1].pid else None
        yield Row("one of them asks again and waits", "CPU us", ours.again_us, None, low.again_us, peer)


def _told(server: Server, watchers: int, rounds: int, *, expect: bool = True) -> Told:
    """``expect``: whether the answers have to hold the change."""
    first, last, cpu, again = [list[float]() for _ in range(4)]
    with LongPolls(server.base, watchers) as polls, Connection(server.base) as connection:
        for n in range(-_WARM_UP, rounds):
            request = blocking(polls.host, TOLD.listing, index(connection, TOLD.listing))
            before = _cpu(server)
            polls.send(lambda _, request=request: request)
            _quiet(server, 0.2 if watchers > 1 else 0.02)
            again_us = (_cpu(server) - before) * 1e6 / watchers
            if polls.early():
                raise RuntimeError("a query did not wait")
            version = f"told.{watchers}.{n}"
            began, before = time.perf_counter(), _cpu(server)
            TOLD.register(connection, 0, version)
            times = polls.answers(20, version.encode() if expect else b"")
            _quiet(server, 0.1 if watchers > 1 else 0.01)
            if n >= 0:
                first.append((times[0] - began) * 1000)
                last.append((times[-1] - began) * 1000)
                cpu.append((_cpu(server) - before) * 1e6 / watchers)
                again.append(again_us)
    middle = statistics.median
    return Told(middle(first), middle(last), max(last), middle(cpu), middle(again))


# ---------------------------------------------------------------------- those who wait


@dataclass(frozen=True)
class Parked:
    """Many that wait for different services."""

    kb: float
    """Each."""
    ask_us: float
    change_us: float
    """CPU of a registration that answers the clients of one service, without them."""
    returned_ms: float


def parked_rows(count: int, rounds: int) -> Iterator[Row]:
    """``count`` blocking queries of fifty services; then one of these changes, again and again."""
    with poll_floor(b"x") as bare:
        lowest = _held(Server(f"http://127.0.0.1:{bare.port}", bare.pid), count)
    with filled(*WATCHED) as servers:
        _favour(servers)
        found = [_parked(server, count, rounds) for server in servers]
    ours, *theirs = found
    peer = theirs[0].kb if theirs and servers[1].pid else None
    note = f"to ask: {ours.ask_us:,.0f} CPU us"
    yield Row(f"blocking query that waits, of {count:,}", "KB", ours.kb, 20, lowest, peer, note=note)
    each = count // len(WATCHED)
    peer = theirs[0].returned_ms if theirs else None
    note = f"{rounds} times, the other {count - each:,} stayed asleep each time"
    yield Row(f"register, until its own {each} return", "ms", ours.returned_ms, None, None, peer, note=note)
    peer = theirs[0].change_us if theirs and servers[1].pid else None
    yield Row(f"a change that nobody of {count:,} waits for", "CPU us", ours.change_us, None, None, peer)


def _held(server: Server, count: int) -> float:
    """KB of a bare connection with a request under way."""
    with LongPolls(server.base, min(count, 100)) as few:
        few.send(lambda _: blocking(few.host, TOLD.listing, 1))
        time.sleep(_SETTLE_S)
    before = rss_bytes(server.pid or 0)
    with LongPolls(server.base, count) as polls:
        polls.send(lambda _: blocking(polls.host, TOLD.listing, 1))
        time.sleep(_SETTLE_S)
        return (rss_bytes(server.pid or 0) - before) / count / 1000


def _parked(server: Server, count: int, rounds: int) -> Parked:
    each = count // len(WATCHED)
    with Connection(server.base) as connection:
        seen = [index(connection, fleet.listing) for fleet in WATCHED]
        with LongPolls(server.base, min(count, 100)) as few:
            few.send(lambda n: blocking(few.host, WATCHED[n % len(WATCHED)].listing, seen[n % len(WATCHED)]))
            time.sleep(_SETTLE_S)
        time.sleep(_SETTLE_S)
        size = rss_bytes(server.pid) if server.pid else 0
        before = _cpu(server)
        with ExitStack() as held:
            own = held.enter_context(LongPolls(server.base, each))
            others = held.enter_context(LongPolls(server.base, count - each))
            own.send(lambda _: blocking(own.host, WATCHED[0].listing, seen[0]))
            others.send(lambda n: _other(others.host, seen, n))
            _quiet(server, 0.5)
            asked_us = (_cpu(server) - before) * 1e6 / count
            time.sleep(_SETTLE_S)
            if own.early() or others.early():
                raise RuntimeError("a query did not wait")
            kb = (rss_bytes(server.pid) - size) / count / 1000 if server.pid else 0.0
            returned = [_returned(server, connection, own, others, n) for n in range(rounds)]
            change_us = _changed(server, connection, rounds)
            if others.early():
                raise RuntimeError("a change of a service that nobody waits for answered a query")
    return Parked(kb, asked_us, change_us, statistics.median(returned))


def _other(host: str, seen: list[int], n: int) -> bytes:
    place = 1 + n % (len(WATCHED) - 1)
    return blocking(host, WATCHED[place].listing, seen[place])


def _returned(server: Server, connection: Connection, own: LongPolls, others: LongPolls, n: int) -> float:
    """Milliseconds until the clients of one service have their answers; they ask again. Nobody else may have one."""
    version = f"parked.{n}"
    began = time.perf_counter()
    WATCHED[0].register(connection, 0, version)
    times = own.answers(20, version.encode() if server.bridge else b"")
    _quiet(server, 0.05)
    if others.early():
        raise RuntimeError("a change of one service answered the query of another")
    since = index(connection, WATCHED[0].listing)
    own.send(lambda _: blocking(own.host, WATCHED[0].listing, since))
    _quiet(server, 0.05)
    return (times[-1] - began) * 1000


def _changed(server: Server, connection: Connection, rounds: int) -> float:
    """CPU microseconds of a registration in a service without clients."""
    alone = ConsulFleet("alone", 1, subnet=9)
    alone.register(connection, 0)
    _quiet(server, 0.2)
    before = _cpu(server)
    for n in range(rounds * 10):
        alone.register(connection, 0, f"alone.{n}")
    spent = (_cpu(server) - before) * 1e6 / (rounds * 10)
    connection.call("PUT", f"/v1/agent/service/deregister/{alone.id(0)}", HEADERS)
    return spent


# ---------------------------------------------------------------------- one more client meanwhile


def beside_rows(many: int) -> Iterator[Row]:
    """What another client waits for its reads of a key while all who wait for a service return, and while they ask again."""
    with filled(TOLD) as servers:
        (ours, *_) = servers
        _favour(servers)
        with LongPolls(ours.base, many) as polls, Connection(ours.base) as connection:
            connection.call("PUT", "/v1/kv/bench/beside", HEADERS, b"x")
            request = blocking(polls.host, TOLD.listing, index(connection, TOLD.listing))
            with _prober(ours) as asking:
                polls.send(lambda _: request)
                _quiet(ours, 0.3)
            with _prober(ours) as telling:
                time.sleep(0.1)
                TOLD.register(connection, 0, "beside")
                polls.answers(20, b"beside")
        note = f"median {telling.waited.median_ms:.1f} ms; while all ask in the same moment: {asking.waited.longest_ms:.0f} ms"
        what = f"longest that another client waits while {many:,} return"
        yield Row(what, "ms", telling.waited.longest_ms, note=note)


def _prober(server: Server) -> Prober:
    return Prober(server.base, "/v1/kv/bench/beside", HEADERS)


def _favour(servers: list[Server]) -> None:
    for server in servers:
        if server.bridge:
            favour(server.bridge.pid)


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
