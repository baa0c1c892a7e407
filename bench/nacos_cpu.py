"""CPU of the server per Nacos operation: beats, registrations and lists over HTTP; registrations, queries and subscriptions
over gRPC."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from bridge import fine_cpu_seconds
from floor import floor_server as http_floor
from grpc_floor import TRANSPORT, floor_server
from grpc_load import GrpcFigure, Measured, Task, measure_grpc
from measure import Figure, HttpLoad, measure_http
from nacos_fleet import HTTP_HEADERS, REQUEST, NacosFleet, Server, filled, greeted
from plain_http import Connection
from report import Row

TEN = NacosFleet("ten", 10, subnet=1)
THOUSAND = NacosFleet("thousand", 1000, subnet=2)
BEATING = NacosFleet("beating", 1000, subnet=3)
CHANGING = NacosFleet("changing", 1000, subnet=4)
NEWCOMERS = NacosFleet("newcomers", 0, subnet=5)
WORKERS = 32
_SERVICES = 10 * WORKERS
"""Of those that are registered over gRPC: each call is about another one, and always by the same connection."""
_VERSIONS = 20
_WARM_UP = 5
_PER_SERVICE = 100
"""New instances in one service."""


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``runs`` of ``seconds`` each after ``warm_up_s``."""

    seconds: float = 5
    runs: int = 3
    warm_up_s: float = 2


def rows(effort: Effort) -> Iterator[Row]:
    """All operations under load."""
    with filled(TEN, THOUSAND, BEATING, CHANGING) as servers:
        for case in _http_cases():
            yield http_row(case, servers, effort)
        for call in _grpc_cases():
            yield grpc_row(call, servers, effort)


# ---------------------------------------------------------------------- HTTP


@dataclass(frozen=True)
class HttpCase:
    """One operation over HTTP. ``sample``: method, target and form of one such call, whose answer holds ``expect``."""

    what: str
    target: float | None
    load: HttpLoad
    sample: tuple[str, str, str]
    expect: bytes
    grows: bool = False
    """The server holds more and more meanwhile: measured briefly, without warm-up."""
    headers: Mapping[str, str] = field(default_factory=lambda: HTTP_HEADERS)
    """Of the sample."""


def _requests(method: str, targets: list[str], bodies: list[str] | None = None) -> HttpLoad:
    """Requests made beforehand, in turns."""
    headers = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in HTTP_HEADERS.items())
    paths = ",\n".join(json.dumps(target) for target in targets)
    forms = ",\n".join(json.dumps(body) for body in bodies or ())
    body = "forms[i]" if bodies else "nil"
    return HttpLoad(
        lua=f"""{headers}
local paths, forms, made, n = {{ {paths} }}, {{ {forms} }}, {{}}, 0
function init()
  for i = 1, #paths do made[i] = wrk.format("{method}", paths[i], nil, {body}) end
end
function request() n = n % #made + 1; return made[n] end
"""
    )


def _again() -> HttpLoad:
    """Registrations of the same instances, each time with another version."""
    return _numbered(CHANGING.registration(7, "@VERSION@"), CHANGING.host(7), CHANGING.size, grows=False)


def _new() -> HttpLoad:
    """Registrations of instances that never were."""
    return _numbered(NEWCOMERS.registration(7), NEWCOMERS.host(7), 1 << 24, grows=True)


def _numbered(sample: str, host: str, size: int, *, grows: bool) -> HttpLoad:
    """One registration for each number: its address and (``grows``) its service come of it."""
    headers = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in HTTP_HEADERS.items())
    subnet = host.rsplit(".", 2)[0]
    template = sample.replace(host, "@HOST@")
    if grows:
        template = template.replace(NEWCOMERS.service, "@SERVICE@")
    return HttpLoad(
        lua=f"""{headers}
local template, n, turn = {json.dumps(template)}, -1, os.time()
function request()
  n = n + 1
  local i = n % {size}
  if i == 0 then turn = turn + 1 end
  local values = {{
    HOST = string.format("{subnet}.%d.%d", math.floor(i / 256) % 256, i % 256), VERSION = "2.0." .. turn,
    SERVICE = string.format("{NEWCOMERS.service}-%d-%d", turn, math.floor(i / {_PER_SERVICE})),
  }}
  return wrk.format("POST", (string.gsub(template, "@(%u+)@", values)), nil, nil)
end
"""
    )


def _http_cases() -> list[HttpCase]:
    beats = [BEATING.beat(n) for n in range(BEATING.size)]
    forms = [BEATING.beat_body(n) for n in range(BEATING.size)]
    written = ("POST", CHANGING.registration(0), "")

    def listed(what: str, target: float, fleet: NacosFleet) -> HttpCase:
        load = HttpLoad(path=fleet.listing, headers=HTTP_HEADERS)
        return HttpCase(what, target, load, ("GET", fleet.listing, ""), fleet.host(fleet.size - 1).encode())

    return [
        HttpCase("HTTP beat, light", 60, _requests("PUT", beats), ("PUT", beats[0], ""), b'"code":10200'),
        HttpCase(
            "HTTP beat with its document", None, _requests("PUT", beats, forms), ("PUT", beats[0], forms[0]), b"10200"
        ),
        listed("HTTP list of 10, cached", 80, TEN),
        listed("HTTP list of 1,000, cached, plain", 500, THOUSAND),
        HttpCase("HTTP register again, changed", 250, _again(), written, b"ok"),
        HttpCase("HTTP register, new instances", 250, _new(), written, b"ok", grows=True),
    ]


def _http_figure(base: str, pid: int | None, case: HttpCase, effort: Effort, warm_up_s: float = 0) -> Figure:
    seconds, warm_up = effort.seconds, effort.warm_up_s + warm_up_s
    if case.grows:
        seconds, warm_up = min(seconds, 2), 0
    return measure_http(pid or os.getpid(), base, case.load, seconds=seconds, runs=effort.runs, warm_up_s=warm_up)


def _size(server: Server, case: HttpCase) -> int:
    """Of an answer. RuntimeError when it is not what it has to be."""
    method, target, form = case.sample
    with Connection(server.base) as connection:
        answer = connection.call(method, target, case.headers, form.encode())
    if answer.status != 200 or case.expect not in answer.body:
        raise RuntimeError(f"{case.what} got {answer.status} {answer.body[:200]!r}")
    return answer.size


def http_row(case: HttpCase, servers: list[Server], effort: Effort) -> Row:
    """One operation on our server, on a bare one, and on the peer."""
    ours, *peers = servers
    size = _size(ours, case)
    with http_floor(200, size) as bare:
        floor = _http_figure(f"http://127.0.0.1:{bare.port}", bare.pid, case, effort)
    mine = _http_figure(ours.base, ours.pid, case, effort)
    theirs = [_http_figure(peer.base, peer.pid, case, effort, peer.warm_up_s) for peer in peers]
    notes = [f"{mine.per_second:,.0f}/s, answers of {size:,} bytes"]
    for who, figure in (("", mine), *(("peer ", figure) for figure in theirs)):
        if figure.bad_status + figure.socket_errors:
            notes.append(f"{who}REFUSED {figure.bad_status + figure.socket_errors}")
    peer = theirs[0].cpu_us if theirs and peers[0].pid else None
    if theirs and not peers[0].pid:
        notes.append(f"peer {theirs[0].per_second:,.0f}/s")
    return Row(case.what, "CPU us", mine.cpu_us, case.target, floor.cpu_us, peer, mine.spread, ", ".join(notes))


# ---------------------------------------------------------------------- the cost of one change, paid once


def once_rows(cycles: int) -> Iterator[Row]:
    """CPU of the first list of 1,000 after one of them changed: a change and a read, less the change alone."""
    with filled(THOUSAND) as servers:
        found = [_once(server, cycles) for server in servers if server.pid]
    (cpu_ms, wall_ms), *theirs = found
    peer = theirs[0][0] if theirs else None
    note = f"answered after {wall_ms:.1f} ms"
    yield Row("once after 1 change in 1,000: HTTP list", "CPU ms", cpu_ms, peer=peer, note=note)


def _once(server: Server, cycles: int) -> tuple[float, float]:
    with Connection(server.base) as connection:
        alone, _ = _cycles(server, connection, cycles, read=False)
        both, wall_ms = _cycles(server, connection, cycles, read=True)
    return (both - alone) * 1000, wall_ms


def _cycles(server: Server, connection: Connection, count: int, *, read: bool) -> tuple[float, float]:
    """CPU seconds of a cycle of one change and perhaps one read, and the read's median wall milliseconds."""
    walls: list[float] = []
    before = 0.0
    for n in range(-_WARM_UP, count):
        if n == 0:
            before, walls = fine_cpu_seconds(server.pid or 0), []
        version = f"3.{read:d}.{n}"
        written = connection.call("POST", THOUSAND.registration(n * 37 % THOUSAND.size, version), HTTP_HEADERS)
        if written.body != b"ok":
            raise RuntimeError(f"a registration got {written.status} {written.body[:200]!r}")
        if read:
            began = time.perf_counter()
            answer = connection.call("GET", THOUSAND.listing, HTTP_HEADERS)
            walls.append((time.perf_counter() - began) * 1000)
            if server.bridge and version.encode() not in answer.body:
                raise RuntimeError("a registration was not in the first list after its answer")
    return (fine_cpu_seconds(server.pid or 0) - before) / count, statistics.median(walls) if walls else 0.0


# ---------------------------------------------------------------------- gRPC


@dataclass(frozen=True)
class GrpcCase:
    """One operation over gRPC, and what our own share of it may cost."""

    what: str
    target: float | None
    messages: list[bytes]


def _grpc_cases() -> list[GrpcCase]:
    services = [NacosFleet(f"by-stream-{n:03d}", 1, subnet=6) for n in range(_SERVICES)]
    again = [fleet.register(n, f"1.0.{turn}") for turn in range(_VERSIONS) for n, fleet in enumerate(services)]
    turns = [
        fleet.subscribe(on)
        for start in range(0, _SERVICES, WORKERS)
        for on in (True, False)
        for fleet in services[start : start + WORKERS]
    ]
    return [
        GrpcCase("gRPC register again, changed", 200, again),
        GrpcCase("gRPC query of 10", 60, [TEN.query()]),
        GrpcCase("gRPC query of 1,000", None, [THOUSAND.query()]),
        GrpcCase("gRPC subscribe and unsubscribe, in turns", 100, turns),
        GrpcCase("gRPC subscribe again, 10", None, [TEN.subscribe()]),
    ]


def grpc_row(case: GrpcCase, servers: list[Server], effort: Effort) -> Row:
    """The same over gRPC, where the bare server echoes."""
    task = greeted("unary", case.messages, workers=WORKERS)
    # the floor answers anything: no set-up, and so no stream beside the calls
    plain = Task("unary", REQUEST, case.messages, workers=WORKERS)
    sample = replace(task, workers=1, connections=1).run(servers[0].grpc, 0.2)
    with floor_server(round(sample.bytes / max(1, sample.operations))) as bare:
        places = [
            Measured(servers[0].pid, servers[0].grpc, task, effort.warm_up_s),
            Measured(bare.pid, f"127.0.0.1:{bare.port}", plain, effort.warm_up_s),
            *(Measured(peer.pid, peer.grpc, task, effort.warm_up_s + peer.warm_up_s) for peer in servers[1:]),
        ]
        mine, floor, *theirs = measure_grpc(places, seconds=effort.seconds, runs=effort.runs)
    notes = [f"{mine.per_second:,.0f}/s, answers of {mine.size:,} bytes, {TRANSPORT}"]
    notes += [text for who, figure in (("", mine), ("floor ", floor)) if (text := _refused(who, figure))]
    notes += [text for figure in theirs if (text := _refused("peer ", figure))]
    peer = theirs[0].cpu_us if theirs and servers[1].pid else None
    if theirs and not servers[1].pid:
        notes.append(f"peer {theirs[0].per_second:,.0f}/s")
    return Row(
        case.what, "CPU us", mine.cpu_us, None, floor.cpu_us, peer, mine.spread, ", ".join(notes), share=case.target
    )


def _refused(who: str, figure: GrpcFigure) -> str:
    return f"{who}REFUSED {figure.failed}: {figure.error[:80]}" if figure.failed else ""
