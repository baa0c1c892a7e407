"""HTTP v1 naming: ``/nacos/v1/ns/instance``. Answers of Nacos 2.5.1, as 1.x clients read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, PUBLIC
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection

from . import instances, reading
from .answers import JSON, Answer, Reply, Sliced, json, ok
from .call import HttpCall, Route, Routes

if TYPE_CHECKING:
    from collections.abc import Generator

    from polaris_bridge.adapters.nacos.service.nacos import NacosService
    from polaris_bridge.adapters.nacos.service.scope import Scope
    from polaris_bridge.core.routing.classes import RoutingClass

_CONNECTOR: Final = "##"
"""Between namespace and service in the key of ``statuses``."""


def _needs_service(call: HttpCall) -> Scope:
    """``serviceName`` must be there; nothing else is looked at before."""
    call.params.required("serviceName")
    return call.named()


def register(service: NacosService, call: HttpCall) -> Reply:
    """POST instance"""
    found = instances.said(service, call)
    return ok(service.registering.register(call.scope, found, call.caller))


def deregister(service: NacosService, call: HttpCall) -> Reply:
    """DELETE instance: fine too when it is unknown."""
    found = instances.said(service, call)
    cluster = found.cluster or DEFAULT_CLUSTER
    return ok(service.registering.deregister(call.scope, found.ip, found.port, cluster, found.ephemeral, call.caller))


def update(service: NacosService, call: HttpCall) -> Reply:
    """PUT instance: an operator's override, whatever its client says from now on."""
    return ok(instances.override(service, call))


def patch(service: NacosService, call: HttpCall) -> Reply:
    """PATCH instance: an override of what is named, the rest stays."""
    return ok(instances.override_named(service, call))


def detail(service: NacosService, call: HttpCall) -> Reply:
    """GET instance: also one that is disabled."""
    params = call.params
    reading.checked(call, with_metadata=False)
    ip, port = params.required("ip"), params.integer("port")
    cluster = params.text("clusterName", DEFAULT_CLUSTER)
    host = instances.one(service, call, ip, port, cluster)
    return json(
        {
            "service": call.scope.grouped,
            "ip": ip,
            "port": port,
            "clusterName": cluster,
            "weight": host.weight,
            "healthy": host.healthy,
            "instanceId": host.instance_id,
            "metadata": host.metadata,
        }
    )


def listing(service: NacosService, call: HttpCall) -> Reply:
    """GET instance/list; with ``udpPort`` it is a subscription to pushes too."""
    params, scope = call.params, call.scope
    clusters = params.text("clusters")
    reading.checked_list(call, clusters)
    reader = instances.reader_of(service, call, "clientIP")
    udp_port = params.text("udpPort")
    if udp_port and udp_port != "0":
        service.udp.renew(
            scope,
            clusters,
            params.text("clientIP") or call.caller.address,
            params.integer("udpPort"),
            call.caller.agent,
            params.text("app"),
            reader,
        )
    healthy_only = params.boolean("healthyOnly", False)
    kind = None if reader is None else service.readers.kind(reader)
    discovery = service.discovery
    if discovery.long(scope, kind):
        return Sliced(_long(service, scope, clusters, healthy_only, kind))
    return Answer(discovery.info(scope, clusters, healthy_only, "v1", kind), JSON)


def _long(
    service: NacosService, scope: Scope, clusters: str, healthy_only: bool, kind: RoutingClass | None
) -> Generator[None, None, Answer]:
    yield from service.discovery.prepare(scope, kind)
    return Answer(service.discovery.info(scope, clusters, healthy_only, "v1", kind), JSON)


_BEAT: Final = b'{"clientBeatInterval":%d,"code":%d,"lightBeatEnabled":%b}'
_FINE: Final = Answer(_BEAT % (5000, codes.BEAT_OK, b"true"), JSON)


def beat(service: NacosService, call: HttpCall) -> Reply:
    """PUT instance/beat: of a known instance, or with a body that makes it known; else 20404."""
    params, scope = call.params, call.scope
    body = reading.beat(params)
    if body is None:
        cluster = params.text("clusterName", DEFAULT_CLUSTER)
        ip, port = params.text("ip"), reading.port(params)
    else:
        ip, port = body.ip, body.port
        cluster = body.cluster or params.text("clusterName", DEFAULT_CLUSTER)
    check(naming_objection(scope.namespace_id, scope.name, scope.group, cluster=cluster, ip=ip, port=port))
    heard = service.registering.beat(scope, ip, port, cluster, body, call.caller)
    call.heartbeat = "ok" if heard.code == codes.BEAT_OK else "unknown"
    switches = service.operator.switches
    light = heard.light and switches.light_beat_enabled
    interval_ms = heard.interval_ms
    if interval_ms == 5000:
        interval_ms = switches.client_beat_interval
        if interval_ms == 5000 and light and heard.code == codes.BEAT_OK and heard.commit.done:
            return _FINE
    return json(_BEAT % (interval_ms, heard.code, b"true" if light else b"false"), commit=heard.commit)


def metadata_batch(service: NacosService, call: HttpCall) -> Reply:
    """PUT instance/metadata/batch"""
    return _metadata_batch(service, call, remove=False)


def metadata_batch_delete(service: NacosService, call: HttpCall) -> Reply:
    """DELETE instance/metadata/batch"""
    return _metadata_batch(service, call, remove=True)


def _metadata_batch(service: NacosService, call: HttpCall, *, remove: bool) -> Reply:
    params, scope = call.params, call.scope
    targets = reading.targets(params)
    params.required("metadata")
    pairs = reading.metadata(params)
    check(naming_objection(scope.namespace_id, scope.name, scope.group, metadata=pairs))
    for target in targets:
        check(naming_objection(cluster=target.cluster, ip=target.ip, port=target.port))
    commit, updated = service.overrides.metadata_batch(scope, targets or None, pairs, remove, call.caller)
    return json({"updated": updated}, commit=commit)


def statuses(service: NacosService, call: HttpCall) -> Reply:
    """instance/statuses: every address with whether it is healthy."""
    reading.checked_list(call, "")
    hosts = service.discovery.all(call.scope)
    return json({"ips": [f"{host.ip}:{host.port}_{'true' if host.healthy else 'false'}" for host in hosts]})


def _by_key(call: HttpCall) -> Scope:
    key = call.params.required("key")
    space, connector, name = key.partition(_CONNECTOR)
    return call.scope_of(space, name) if connector else call.scope_of(PUBLIC, key)


ROUTES: Final[Routes] = {
    ("POST", "/v1/ns/instance"): Route(register, "w", _needs_service),
    ("DELETE", "/v1/ns/instance"): Route(deregister, "w", _needs_service),
    ("PUT", "/v1/ns/instance"): Route(update, "w", _needs_service),
    ("PATCH", "/v1/ns/instance"): Route(patch, "w", _needs_service),
    ("GET", "/v1/ns/instance"): Route(detail, "r", _needs_service),
    ("GET", "/v1/ns/instance/list"): Route(listing, "r", _needs_service, discovers=True),
    ("PUT", "/v1/ns/instance/beat"): Route(beat, "w", _needs_service),
    ("PUT", "/v1/ns/instance/metadata/batch"): Route(metadata_batch, "w", _needs_service),
    ("DELETE", "/v1/ns/instance/metadata/batch"): Route(metadata_batch_delete, "w", _needs_service),
    ("GET", "/v1/ns/instance/statuses"): Route(statuses, "r", _by_key),
}
