"""Turns the counts of one server into prometheus_client's families at the moment of a scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from polaris_bridge.core.config.reading import GroupCount

from . import names
from .census import BreakingCount, Census, ServiceCount, XdsCount
from .names import Name
from .tallies import DURATIONS_S, Distribution

if TYPE_CHECKING:
    from .exposition import Metrics

Values = Iterable[tuple[Sequence[str], float]]
_MS = 1_000


def registry_for(metrics: Metrics) -> CollectorRegistry:
    """A registry of this server's own: the process-wide one belongs to whoever embeds us."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_ServerCollector(metrics))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class _ServerCollector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not take a census."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """All families of one moment."""
        census = self._metrics.census()
        yield from _counted(self._metrics)
        yield from _present(self._metrics, census)
        if self._metrics.polaris_names:
            yield from _polaris(self._metrics, census)


def _counted(m: Metrics) -> Iterator[Metric]:
    yield _gauge(names.BUILD, [((m.version,), 1)])
    yield _counter(names.REQUESTS, m.calls.totals())
    yield _histogram(names.DURATION, m.calls.durations().items())
    yield _counter(names.EXPIRED, m.leases_expired.read())
    yield _counter(names.HEARTBEATS, m.heartbeats.read())
    yield _counter(names.REFUSED, m.refused.read())
    yield _counter(names.LIMITED, m.limited.read())
    yield _counter(names.LOG_DROPPED, [((), m.log_lines_dropped())])
    yield _histogram(names.PUSH, m.push.read())
    yield _histogram(names.PROPAGATION, m.propagation.read())
    yield _histogram(names.STORE, m.store.read())
    yield _gauge(names.LAG, [((), m.lag.last)])
    yield _gauge(names.STALL, [(("start",), m.lag.longest), (("scrape",), m.lag.take())])


def _present(m: Metrics, census: Census) -> Iterator[Metric]:
    yield _gauge(names.REVISION, [((), census.revision)])
    yield _gauge(names.WAITING, [((), census.writes_waiting)])
    yield _gauge(names.WATCHERS, census.watchers.items())
    yield _counter(names.PROBES, census.probes.items())
    yield _gauge(names.HEALTH, [((state,), n) for state, n in census.checks.items()])
    yield _gauge(names.CONNECTIONS, [((listener,), n) for listener, n in census.connections.items()])
    yield _gauge(names.PROTECTION, [((namespace,), on) for namespace, on in census.protected.items()])
    yield _gauge(names.PROTECTED, [((namespace,), count) for namespace, count in census.held.items()])
    yield _gauge(names.LIMITER, [((kind,), n) for kind, n in census.limiter.items()])
    yield _counter(names.LIMITER_REQUESTS, [((result,), n) for result, n in census.limited.items()])
    if census.limiter_redis is not None:
        up, failures = census.limiter_redis
        yield _gauge(names.LIMITER_SHARED, [((), up)])
        yield _counter(names.LIMITER_FAILURES, [((), failures)])
    if census.breaking is not None:
        yield from _breaking(census.breaking)
    if census.xds is not None:
        yield from _xds(census.xds)
    kinds, decisions = census.routing
    yield _gauge(names.ROUTING_KINDS, [((), kinds)])
    yield _counter(names.ROUTING_DECISIONS, [((), decisions)])
    yield from _config(census)
    yield from _migration(census)
    services: dict[tuple[str, str], int] = {}
    instances: dict[tuple[str, str, str], int] = {}
    for c in census.sources:
        services[(c.namespace, c.source)] = services.get((c.namespace, c.source), 0) + 1
        for state, n in (("healthy", c.healthy), ("unhealthy", c.unhealthy), ("isolated", c.isolated)):
            instances[(c.namespace, state, c.source)] = instances.get((c.namespace, state, c.source), 0) + n
    yield _gauge(names.SERVICES, services.items())
    yield _gauge(names.INSTANCES, instances.items())


def _breaking(count: BreakingCount) -> Iterator[Metric]:
    yield _gauge(names.EJECTED, [((namespace,), n) for namespace, n in count.ejected.items()])
    yield _gauge(names.BREAKERS, count.breakers.items())
    yield _counter(names.BREAKER_TURNS, count.turns.items())
    yield _counter(names.BREAKER_REPORTS, [((result,), n) for result, n in count.reports.items()])
    yield _counter(names.BREAKER_HELD, [((), count.held_back)])
    yield _counter(names.DETECTIONS, count.probes.items())
    yield _gauge(names.DETECTION_CHECKS, [((state,), n) for state, n in count.checks.items()])


def _xds(count: XdsCount) -> Iterator[Metric]:
    yield _gauge(names.XDS_STREAMS, count.streams.items())
    yield _counter(names.XDS_OVERSIZED, [((), count.oversized)])
    for name, found in (
        (names.XDS_RESPONSES, count.responses),
        (names.XDS_REFUSED, count.refused),
        (names.XDS_DROPPED, count.dropped),
        (names.XDS_PROBLEMS, count.problems),
    ):
        yield _counter(name, [((label,), n) for label, n in found.items()])


def _migration(census: Census) -> Iterator[Metric]:
    tasks = census.tasks
    yield _gauge(names.SYNC_LAG, [((t.task,), t.lag_s) for t in tasks])
    yield _gauge(names.SYNC_QUEUE, [((t.task,), t.queue) for t in tasks])
    yield _counter(names.SYNC_WRITES, [((t.task, action), n) for t in tasks for action, n in t.writes.items()])
    yield _counter(names.SYNC_ERRORS, [((t.task,), t.errors) for t in tasks])
    yield _gauge(names.SYNC_DIFFERENCES, [((t.task,), t.differences) for t in tasks])
    yield _gauge(names.SYNC_STALE, [((t.task,), t.stale) for t in tasks])
    yield _gauge(names.SYNC_HELD, [((t.task,), t.held) for t in tasks])
    yield _gauge(names.SYNC_COPIES, [((t.task,), t.copies) for t in tasks])
    yield _gauge(names.SYNC_STAGE, [((t.task, t.stage), t.services) for t in tasks])
    yield _gauge(names.AUDIT_CLEAN, [((t.task,), t.clean) for t in tasks])


def _config(census: Census) -> Iterator[Metric]:
    files: dict[tuple[str, str], int] = {}
    gray: dict[tuple[str], int] = {}
    for g in census.config_groups:
        for state, n in (("released", g.released), ("draft", g.files - g.released)):
            files[(g.namespace, state)] = files.get((g.namespace, state), 0) + n
        gray[(g.namespace,)] = gray.get((g.namespace,), 0) + g.gray
    yield _gauge(names.CONFIG_FILES, files.items())
    yield _gauge(names.CONFIG_GRAY, gray.items())
    yield _gauge(names.CONFIG_HOLDERS, [((), census.config_holders)])


def _polaris(m: Metrics, census: Census) -> Iterator[Metric]:
    own = (m.server,)
    for name, value in (
        (names.CLIENTS, census.clients),
        (names.SDK_CLIENTS, census.sdk_clients),
        (names.DISCOVERY_CONNS, census.discovery_connections),
        (names.CONFIG_CONNS, census.config_connections),
        (names.BATCH_UNFINISHED, census.writes_waiting),
        (names.REGIS_EXPIRED, sum(n for _, n in m.registrations_expired.read())),
    ):
        yield _gauge(name, [(own, value)])
    if census.redis is not None:
        columns = (names.REDIS_ALIVE, names.REDIS_READ, names.REDIS_WRITE)
        for name, number in zip(columns, census.redis, strict=True):
            yield _gauge(name, [(own, number)])
    yield _histogram(names.REGIS_COST, _with(own, m.registration.read()), _MS)
    yield _histogram(names.CACHE_COST, _with(own, m.publication.read()), _MS)
    yield from _polaris_services(census.services, own)
    yield from _polaris_instances(census.services, own, m.service_labels)
    yield from _polaris_config(census.config_groups, own, m.service_labels)
    window = [((call.operation, call.protocol, call.code, *own), call) for call in m.calls.window]
    yield _gauge(names.RQ_COUNT, [(key, call.calls) for key, call in window])
    yield _gauge(names.RQ_TIME, [(key, call.calls * call.average * _MS) for key, call in window])
    yield _gauge(names.RQ_MIN, [(key, call.least * _MS) for key, call in window])
    yield _gauge(names.RQ_MAX, [(key, call.most * _MS) for key, call in window])
    yield _gauge(names.RQ_AVG, [(key, call.average * _MS) for key, call in window])


def _polaris_services(services: Sequence[ServiceCount], own: tuple[str]) -> Iterator[Metric]:
    """A service is online with one online instance, abnormal with instances of which none is, offline without any."""
    rows: dict[str, list[int]] = {}
    for s in services:
        row = rows.setdefault(s.namespace, [0, 0, 0, 0])
        row[0] += 1
        row[1 if s.online else 2 if s.total else 3] += 1
    columns = (names.SERVICE_COUNT, names.SERVICE_ONLINE, names.SERVICE_ABNORMAL, names.SERVICE_OFFLINE)
    for column, name in enumerate(columns):
        yield _gauge(name, [((namespace, *own), row[column]) for namespace, row in rows.items()])


def _polaris_instances(services: Sequence[ServiceCount], own: tuple[str], limit: int) -> Iterator[Metric]:
    named = len(services) <= limit
    rows: dict[tuple[str, str], list[int]] = {}
    for s in services:
        row = rows.setdefault((s.namespace, s.service if named else ""), [0, 0, 0, 0])
        for column, n in enumerate((s.total, s.online, s.abnormal, s.isolated)):
            row[column] += n
    columns = (names.INSTANCE_COUNT, names.INSTANCE_ONLINE, names.INSTANCE_ABNORMAL, names.INSTANCE_ISOLATE)
    for column, name in enumerate(columns):
        yield _gauge(name, [((*key, *own), row[column]) for key, row in rows.items()])


def _polaris_config(groups: Sequence[GroupCount], own: tuple[str], limit: int) -> Iterator[Metric]:
    named = len(groups) <= limit
    namespaces: dict[str, int] = {}
    rows: dict[tuple[str, str], list[int]] = {}
    for g in groups:
        namespaces[g.namespace] = namespaces.get(g.namespace, 0) + 1
        row = rows.setdefault((g.namespace, g.group if named else ""), [0, 0])
        row[0] += g.files
        row[1] += g.released
    yield _gauge(names.CONFIG_GROUPS, [((namespace, *own), n) for namespace, n in namespaces.items()])
    for column, name in enumerate((names.CONFIG_FILE_COUNT, names.CONFIG_RELEASED)):
        yield _gauge(name, [((*key, *own), row[column]) for key, row in rows.items()])


def _with(
    own: tuple[str], rows: list[tuple[tuple[str, ...], Distribution]]
) -> list[tuple[tuple[str, ...], Distribution]]:
    return [((*labels, *own), row) for labels, row in rows]


def _gauge(name: Name, values: Values) -> Metric:
    family = GaugeMetricFamily(name.name, name.meaning, labels=name.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _counter(name: Name, values: Values) -> Metric:
    family = CounterMetricFamily(name.name, name.meaning, labels=name.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _histogram(name: Name, rows: Iterable[tuple[Sequence[str], Distribution]], scale: int = 1) -> Metric:
    """``scale`` is the number of the metric's units in a second."""
    family = HistogramMetricFamily(name.name, name.meaning, labels=name.labels)
    bounds = [str(float(f"{bound * scale:.12g}")) for bound in DURATIONS_S] + ["+Inf"]
    for labels, row in rows:
        family.add_metric(labels, list(zip(bounds, accumulate(row.counts), strict=True)), row.total * scale)
    return family
