"""Counts what is registered, for metrics. Reads immutable snapshots only, so it may run beside the event loop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from polaris_bridge.adapters.polaris.service.breaking.breaking import CircuitBreaking
from polaris_bridge.adapters.xds.service.plane import Plane
from polaris_bridge.core.health import HealthEngine
from polaris_bridge.core.model import DOWN, UP, Address, Checks, Registration
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.views import shown

from .metrics.census import BreakingCount, Census, ServiceCount, SourceCount, XdsCount

CONFIG_LISTENER = "config-grpc"
"""The one listener that carries nothing but configuration."""
_NOBODY = ""
"""A reader without registrations of its own: sees each address as most protocols do."""


def census(
    registry: Registry,
    connections: Mapping[str, int],
    redis: tuple[int, int, int] | None = None,
    health: HealthEngine | None = None,
) -> Census:
    """Everything registered now. ``connections``: listener -> open connections. ``redis``: see ``Census``."""
    services, sources = [], []
    for snapshot in registry.services():
        online = abnormal = isolated = 0
        by_source: dict[str, list[int]] = {}
        for address in list(snapshot.addresses.values()):
            state = _state(address)
            online += state == 0
            abnormal += state == 1
            isolated += state == 2
            for r in address.registrations:
                counts = by_source.setdefault(r.source, [0, 0, 0])
                counts[2 if r.reported != UP else 0 if _well(r) else 1] += 1
        namespace, name = snapshot.key
        services.append(ServiceCount(namespace, name, online, abnormal, isolated))
        sources += [SourceCount(namespace, name, source, *counts) for source, counts in by_source.items()]
    sdk_clients = len(registry.documents.all("client"))
    return Census(
        revision=registry.revision,
        services=services,
        sources=sources,
        watchers={**registry.watches.counts(), **registry.config.watches.counts(), **registry.kv.watches.counts()},
        protected={namespace: p.active for namespace, p in list(registry.protections().items())},
        held={namespace: p.held for namespace, p in list(registry.protections().items())},
        probes={} if health is None else dict(health.counters.probes),
        checks={} if health is None else {"all": len(health), "running": health.running, "waiting": health.waiting},
        connections=connections,
        writes_waiting=registry.ledger.waiting,
        discovery_connections=sum(n for listener, n in connections.items() if listener != CONFIG_LISTENER),
        config_connections=connections.get(CONFIG_LISTENER, 0),
        config_groups=registry.config.reading.counts(),
        config_holders=len(registry.config.holders),
        clients=sdk_clients,
        sdk_clients=sdk_clients,
        redis=redis,
    )


def _state(address: Address) -> int:
    """0 online, 1 abnormal, 2 isolated, 3 nothing there."""
    found = shown(address, _NOBODY)
    if not found:
        return 3
    if any(s.word != UP and not (s.word == DOWN and s.registration.reported == UP) for s in found):
        return 2  # what is down by its checks alone has not withdrawn
    return 0 if found[0].live and not any(_failing(s.registration) for s in found) else 1


def _failing(r: Registration) -> bool:
    return isinstance(r.liveness, Checks) and r.liveness.critical


def _well(r: Registration) -> bool:
    return r.live and not _failing(r)


def breaking_count(breaking: CircuitBreaking) -> BreakingCount:
    """Circuit breaking as it is now."""
    ejected: Counter[str] = Counter()
    for service, count in list(breaking.ejector.ejected.items()):
        ejected[service.namespace] += count
    counters, probes, detector = breaking.counters, breaking.probes, breaking.detector
    checks = {}
    if probes is not None and detector is not None:
        checks = {"all": len(detector), "running": probes.running, "waiting": probes.waiting}
        checks["left_out"] = detector.left_out
    return BreakingCount(
        ejected,
        breaking.breakers.states(),
        dict(breaking.breakers.turned),
        {"told": counters.told, "malformed": counters.malformed, "too_many": counters.too_many},
        breaking.ejector.held_back,
        {} if probes is None else dict(probes.counters.probes),
        checks,
    )


def xds_count(plane: Plane) -> XdsCount:
    """Streams of xDS as they are now, and what went over them."""
    telling = plane.telling
    streams: Counter[tuple[str, str]] = Counter()
    for stream in list(telling.streams):
        if stream.node is not None:
            streams[stream.node.kind, "delta" if stream.delta else "state"] += 1
    counts = telling.counts
    return XdsCount(
        streams,
        dict(counts.pushes),
        dict(counts.refused),
        dict(plane.problems.counts),
        dict(counts.dropped),
        telling.oversized,
    )
