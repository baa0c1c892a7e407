"""The limiter: reports of clients over gRPC, decisions in this process, memory.

A report of one counter is what SDKs send for each window every 30 to 50 ms. It fails
when an answer is wrong.
"""

from __future__ import annotations

import json
import queue
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
from bridge import Bridge
from grpc_floor import TRANSPORT, floor_server
from grpc_load import GrpcFigure, Measured, Task, measure_grpc
from polaris_fleet import BATCH, HEARTBEAT
from report import Row

from polaris_bridge.adapters.polaris.server.grpc_rls import SHOULD
from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.adapters.polaris.wire import rls
from polaris_bridge.core.limiting.counters import Client
from polaris_bridge.core.limiting.deciding import Gates
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import Allowance, LimiterTerms, Quota

SERVICE: Final = "/polaris.metric.v2.RateLimitGRPCV2/Service"
SUCCESS: Final = bytes.fromhex("08c09a0c")
"""Code 200000 in an answer."""
STREAMS: Final = 32
AGAIN: Final = 256
"""A stream begins anew after so many reports: the load takes its messages in turns, and a stream's first has to be an INIT."""
COUNTERS: Final = 640
HOUR: Final = {"duration": 3600, "maxAmount": 4_000_000_000}
ONE_US: Final = 40
"""25,000 reports a second and core."""
OF_TWENTY_US: Final = 10
"""100,000 counters a second and core, 20 in a message."""
MANY: Final = 100_000
MEMORY_MB: Final = 100
DECISION_US: Final = 3
SHOULD_US: Final = 60
"""Our own share of a ShouldRateLimit."""
OPEN: Final = "auth.strategy.option.consoleOpen=false"
"""Rules are written without an account."""
T0: Final = 1_700_000_000_000


@dataclass(frozen=True)
class Effort:
    """How long to measure: ``runs`` of ``seconds`` each after ``warm_up_s``."""

    seconds: float = 5
    runs: int = 3
    warm_up_s: float = 2


class Begun:
    """A client that stays: its counters are there while it is."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        stream = self._channel.stream_stream(SERVICE, request_serializer=bytes, response_deserializer=bytes)
        self._answers = stream(iter(self._sent.get, None))

    def batch(self, service: str, count: int) -> list[int]:
        """Keys of new counters."""
        target = {"namespace": "default", "service": service, "labels_list": [label(n) for n in range(count)]}
        batch = {"clientId": "stays", "request": [{"target": target, "totals": [HOUR]}]}
        self._sent.put(wire.RateLimitRequest(cmd=2, rateLimitBatchInitRequest=batch).SerializeToString())
        (result,) = wire.RateLimitResponse.FromString(next(self._answers)).rateLimitBatchInitResponse.result
        if result.code != 200000:
            raise RuntimeError(f"BATCH_INIT was answered {result.code}")
        return [one.counters[0].counterKey for one in result.counters]

    def close(self) -> None:
        """Its counters may go."""
        self._sent.put(None)
        self._channel.close()


def label(n: int) -> str:
    """A method and a caller, as SDKs write them."""
    return f"/orders|CALLER_SERVICE:default:caller-{n:06}|HEADER:user:{n:08}"


def reports(keys: list[int], each: int) -> list[bytes]:
    """What the streams send in turns: each an INIT, then reports of ``each`` counters."""
    now = int(time.time() * 1000)
    target = {"namespace": "default", "service": "load", "labels": label(0)}
    messages: list[bytes] = []
    for n in range(STREAMS):
        init: Any = {"target": target, "clientId": f"load-{n}", "totals": [HOUR]}
        messages.append(wire.RateLimitRequest(rateLimitInitRequest=init).SerializeToString())
    for n in range(STREAMS * AGAIN):
        uses = [{"counterKey": keys[(n * each + m) % len(keys)], "used": 1 + m % 3} for m in range(each)]
        report: Any = {"clientKey": 1, "timestamp": now, "quotaUses": uses}
        messages.append(wire.RateLimitRequest(cmd=1, rateLimitReportRequest=report).SerializeToString())
    return messages


def over_grpc(effort: Effort) -> Iterator[Row]:
    """Reports over 4 connections, 32 streams, one under way on each."""
    option = f"apiservers.service-limiter.option.transport={TRANSPORT}"
    with Bridge(options=(option,)) as bridge:
        begun = Begun(bridge.limiter)
        keys = begun.batch("load", COUNTERS)
        for each, target in ((1, ONE_US), (20, OF_TWENTY_US)):
            task = Task("stream", SERVICE, reports(keys, each), SUCCESS, workers=STREAMS)
            with floor_server(12 + 14 * each) as bare:
                places = [
                    Measured(bridge.pid, bridge.limiter, task, effort.warm_up_s),
                    Measured(bare.pid, f"127.0.0.1:{bare.port}", replace(task, path=BATCH, expect=b""), 0.5),
                ]
                mine, floor = measure_grpc(places, seconds=effort.seconds, runs=effort.runs)
            if mine.failed:
                raise RuntimeError(f"{mine.failed} reports failed: {mine.error}")
            yield _report_row(each, target, mine, floor)
        begun.batch("warm", 1000)
        bridge.stall_ms()
        before = bridge.rss
        for part in range(MANY // 1000):
            begun.batch(f"memory-{part}", 1000)
        grown, note = (
            bridge.rss - before,
            f"longest stall {bridge.stall_ms():.0f} ms while they were begun, 1,000 in a message",
        )
        yield Row(f"{MANY:,} counters", "MB", grown / 1e6, MEMORY_MB, note=note)
        begun.close()


def should(effort: Effort) -> Iterator[Row]:
    """Envoys ask: two entries, one of 20 rules is about the call and has room."""
    option = f"apiservers.service-limiter.option.transport={TRANSPORT}"
    with Bridge(options=(option, OPEN)) as bridge:
        amounts = [{"maxAmount": 4_000_000_000, "validDuration": "3600s"}]
        rules = [
            {"name": f"r{n}", "namespace": "default", "service": "load", "type": "GLOBAL", "amounts": amounts,
             "method": {"type": "EXACT", "value": f"/orders/{n}"}} for n in range(20)
        ]  # fmt: skip
        header = {"Content-Type": "application/json"}
        url = f"{bridge.front}/naming/v1/ratelimits"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(rules).encode(), header)):
            pass
        entries: Any = [{"key": ":path", "value": "/orders/19"}, {"key": "header.user", "value": "u1"}]
        asked = rls.RateLimitRequest(domain="load.default", descriptors=[{"entries": entries}]).SerializeToString()
        with grpc.insecure_channel(bridge.limiter) as channel:
            answered = channel.unary_unary(SHOULD, request_serializer=bytes, response_deserializer=bytes)(asked)
        if rls.RateLimitResponse.FromString(answered).overall_code != rls.RateLimitResponse.OK:
            raise RuntimeError("a call with room was refused")
        task = Task("unary", SHOULD, [asked], bytes.fromhex("0801"), workers=STREAMS)
        with floor_server(len(answered)) as bare:
            places = [
                Measured(bridge.pid, bridge.limiter, task, effort.warm_up_s),
                Measured(bare.pid, f"127.0.0.1:{bare.port}", replace(task, path=HEARTBEAT, expect=b""), 0.5),
            ]
            mine, floor = measure_grpc(places, seconds=effort.seconds, runs=effort.runs)
    if mine.failed:
        raise RuntimeError(f"{mine.failed} questions failed: {mine.error}")
    yield Row(
        f"transport {TRANSPORT}: ShouldRateLimit", "CPU us", mine.cpu_us, None, floor.cpu_us, spread=mine.spread,
        note=f"{mine.per_second:,.0f}/s measured", share=SHOULD_US,
    )  # fmt: skip


def _report_row(each: int, target: float, mine: GrpcFigure, floor: GrpcFigure) -> Row:
    what = f"transport {TRANSPORT}: a report of 1 counter" if each == 1 else f"each counter of a report of {each}"
    rate = 1e6 * each / mine.cpu_us
    note = f"{rate:,.0f} counters/s and core, {mine.per_second:,.0f} reports/s measured, median {mine.p50_us / 1000:.1f} ms"
    return Row(what, "CPU us", mine.cpu_us / each, target, floor.cpu_us / each, spread=mine.spread, note=note)


def in_process(turns: int) -> Iterator[Row]:
    """What the core alone costs."""
    gates, allowances = Gates(), (Allowance(1000, 1000),)
    yield Row(
        "decision, mostly yes", "CPU us", _each(turns, lambda n: gates.take("a", allowances, 1, T0 + n)), DECISION_US
    )
    yield Row("decision, mostly no", "CPU us", _each(turns, lambda n: gates.take("b", allowances, 1, T0)), DECISION_US)
    limiter: Limiter[str] = Limiter(LimiterTerms(), lambda *_: None)
    client = limiter.enter(None, "a", "seat")
    assert isinstance(client, Client)
    counters = limiter.begin(client, ("default", "orders", "|"), [Quota(1, 1 << 31)], 0, T0)
    assert isinstance(counters, list)
    key = counters[0].key
    cost = _each(turns, lambda n: limiter.report(client, key, 1, 0, T0 + n, T0 + n))
    yield Row("report, counted", "CPU us", cost, DECISION_US)


def _each(turns: int, call: Any) -> float:
    """Microseconds of one call; the best of five, since others use the caches too."""
    best = float("inf")
    for _ in range(5):
        begin = time.process_time()
        for n in range(turns):
            call(n)
        best = min(best, time.process_time() - begin)
    return best * 1e6 / turns
