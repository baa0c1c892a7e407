"""HTTP v2 naming: ``/nacos/v2/ns``. Answers of Nacos 2.5.1: the envelope, its codes and texts."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.clients import Client, Published, Subscribed
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Refused
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection

from . import instances, reading, services
from .answers import Answer, Reply, Sliced, json, ok, result
from .call import HttpCall, Route, Routes, by_namespace
from .forms import asked, form, grouped, parameters
from .instances import encoded
from .operators import CLIENTS, SWITCHES, operated

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

# ---------------------------------------------------------------------- instances


def patch(service: NacosService, call: HttpCall) -> Answer:
    """PATCH instance: an override of everything; the answer is bare."""
    params = call.params
    pairs = reading.checked(call)
    ip, port, cluster = asked(call, "ip"), int_of(call, "port"), params.text("cluster", DEFAULT_CLUSTER)
    asked(call, "weight", "Double")
    asked(call, "enabled", "Boolean")
    asked(call, "metadata")
    instances.one(service, call, ip, port, cluster)
    commit = service.overrides.patch(
        call.scope,
        ip,
        port,
        cluster,
        weight=reading.weight(params) if params.text("weight") else None,
        enabled=params.boolean("enabled", True) if params.text("enabled") else None,
        metadata=pairs if params.text("metadata") else None,
        caller=call.caller,
    )
    return ok(commit)


def int_of(call: HttpCall, name: str) -> int:
    """A whole number that must be there."""
    if not asked(call, name, "Integer").strip():
        text = f"Required request parameter '{name}' for method parameter type Integer is present but converted to null"
        raise Refused(400, codes.PARAMETER_MISSING, text)
    return call.params.integer(name, 0)


def detail(service: NacosService, call: HttpCall) -> Answer:
    """GET instance: also one that is disabled."""
    params = call.params
    reading.checked(call, with_metadata=False)
    ip, port = asked(call, "ip"), int_of(call, "port")
    cluster = params.text("clusterName", DEFAULT_CLUSTER)
    host = instances.one(service, call, ip, port, cluster)
    return result(
        {
            "serviceName": call.scope.grouped,
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
    """GET instance/list; with ``ip`` and ``port`` it is a subscription to pushes over UDP too."""
    params, scope = call.params, call.scope
    clusters = params.text("clusterName")
    reading.checked_list(call, clusters)
    ip, port = params.text("ip"), params.integer("port", 0)
    reader = instances.reader_of(service, call)
    if ip and port > 0:
        service.udp.renew(scope, clusters, ip, port, call.caller.agent, params.text("app"), reader)
    return instances.listed(service, call, clusters, params.boolean("healthyOnly", False), "v1", reader)


def beat(service: NacosService, call: HttpCall) -> Answer:
    """PUT instance/beat: the answer is that of v1, bare."""
    params, scope = call.params, call.scope
    body = reading.beat(params)
    cluster = params.text("clusterName", DEFAULT_CLUSTER)
    if body is None:
        ip, port = params.text("ip"), reading.port(params)
    else:
        ip, port, cluster = body.ip, body.port, body.cluster or cluster
    check(naming_objection(scope.namespace_id, scope.name, scope.group, cluster=cluster, ip=ip, port=port))
    heard = service.registering.beat(scope, ip, port, cluster, body, call.caller)
    known = heard.code == codes.BEAT_OK
    call.heartbeat = "ok" if known else "unknown"
    switches = service.operator.switches
    interval_ms = switches.client_beat_interval if heard.interval_ms == 5000 else heard.interval_ms
    light = heard.light and switches.light_beat_enabled
    return json({"clientBeatInterval": interval_ms, "code": heard.code, "lightBeatEnabled": light}, commit=heard.commit)


def catalog(service: NacosService, call: HttpCall) -> Answer:
    """GET catalog/instances: one page of a service's instances, the disabled included. Pages are cut after the filters."""
    params = call.params
    reading.checked(call, with_metadata=False)
    page_no, page_size = int_of(call, "pageNo"), int_of(call, "pageSize")
    found = service.catalog.hosts(call.scope)
    for name in ("healthyOnly", "enabledOnly"):
        if params.text(name):
            wanted = params.boolean(name, False)
            found = [h for h in found if (h.healthy if name == "healthyOnly" else h.enabled) is wanted]
    start = max(0, (page_no - 1) * page_size)
    shown = found[start : start + max(0, page_size)]
    listed = b'"instances":%b,' % encoded(shown) if shown else b""
    return result(b'{%b"count":%d}' % (listed, len(found)))


# ---------------------------------------------------------------------- clients


def clients(service: NacosService, _call: HttpCall) -> Reply:
    """GET client/list: ids."""

    def work() -> Generator[None, None, Answer]:
        found = yield from service.clients.ids()
        return result(found)

    return Sliced(work())


def client(service: NacosService, call: HttpCall) -> Answer:
    """GET client"""
    return result(_client(service.clients.one(asked(call, "clientId"))))


def _client(found: Client) -> dict[str, object]:
    shown: dict[str, object] = {
        "clientId": found.id,
        "ephemeral": found.ephemeral,
        "lastUpdatedTime": found.updated_ms,
        "clientType": "connection" if found.connected else "ipPort",
    }
    if found.connected:
        shown |= {"connectType": "GRPC", "appName": found.app, "version": found.version}
    return shown | {"clientIp": found.ip, "clientPort": str(found.port)}


def _place(found: Published) -> dict[str, object]:
    return {"ip": found.ip, "port": found.port, "cluster": found.cluster}


def _service(found: Published | Subscribed) -> dict[str, object]:
    return {"namespace": found.namespace_id, "group": found.group, "serviceName": found.name}


def published(service: NacosService, call: HttpCall) -> Answer:
    """GET client/publish/list"""
    found = service.clients.published(asked(call, "clientId"))
    return result([{**_service(p), "registeredInstance": _place(p)} for p in found])


def subscribed(service: NacosService, call: HttpCall) -> Answer:
    """GET client/subscribe/list"""
    found = service.clients.subscribed(asked(call, "clientId"))
    return result(
        [{**_service(s), "subscriberInfo": {"app": s.app, "agent": s.agent, "addr": s.address}} for s in found]
    )


def at(call: HttpCall) -> tuple[str, int | None]:
    """``ip`` and ``port`` of a filter."""
    return call.params.text("ip"), call.params.integer("port", 0) if call.params.text("port") else None


def publishers(service: NacosService, call: HttpCall) -> Answer:
    """GET client/service/publisher/list. Without ``ip`` and ``port`` all, as in v3 (2.5.1 then lists none)."""
    reading.checked(call, with_metadata=False)
    ip, port = at(call)
    found = service.clients.publishers(service.key(call.scope), ip, port)
    return result([{**_place(p), "clientId": p.client_id} for p in found])


def subscribers(service: NacosService, call: HttpCall) -> Answer:
    """GET client/service/subscriber/list"""
    reading.checked(call, with_metadata=False)
    ip, port = at(call)
    found = service.clients.subscribed_to(call.scope, ip, port)
    return result([{"clientId": s.client_id, "ip": s.ip, "port": s.port} for s in found])


_INSTANCE: Final = "/v2/ns/instance"
_SERVICE: Final = "/v2/ns/service"
_CLIENT: Final = "/v2/ns/client"
_METRICS: Final = services.metrics(machine=True)

ROUTES: Final[Routes] = {
    ("POST", _INSTANCE): Route(instances.register, "w", form, 2),
    ("DELETE", _INSTANCE): Route(instances.deregister, "w", form, 2),
    ("PUT", _INSTANCE): Route(instances.update, "w", form, 2),
    ("PATCH", _INSTANCE): Route(patch, "w", grouped, 2),
    ("GET", _INSTANCE): Route(detail, "r", parameters, 2),
    ("GET", f"{_INSTANCE}/list"): Route(listing, "r", parameters, 2, discovers=True),
    ("PUT", f"{_INSTANCE}/beat"): Route(beat, "w", grouped, 2),
    ("PUT", f"{_INSTANCE}/metadata/batch"): Route(instances.metadata_batch, "w", form, 2),
    ("DELETE", f"{_INSTANCE}/metadata/batch"): Route(instances.metadata_batch_delete, "w", form, 2),
    ("POST", _SERVICE): Route(services.create, "w", form, 2),
    ("PUT", _SERVICE): Route(services.update, "w", form, 2),
    ("DELETE", _SERVICE): Route(services.delete, "w", parameters, 2),
    ("GET", _SERVICE): Route(services.detail("namespace", services.cluster_v2), "r", parameters, 2),
    ("GET", f"{_SERVICE}/list"): Route(services.names, "r", by_namespace, 2),
    ("GET", "/v2/ns/catalog/instances"): Route(catalog, "r", parameters, 2),
    ("PUT", "/v2/ns/health"): Route(services.set_health, "w", generation=2),
    ("PUT", "/v2/ns/health/instance"): Route(services.set_health, "w", generation=2),
    ("GET", f"{_CLIENT}/list"): operated(CLIENTS, clients, 2),
    ("GET", _CLIENT): operated(CLIENTS, client, 2),
    ("GET", f"{_CLIENT}/publish/list"): operated(CLIENTS, published, 2),
    ("GET", f"{_CLIENT}/subscribe/list"): operated(CLIENTS, subscribed, 2),
    ("GET", f"{_CLIENT}/service/publisher/list"): operated(CLIENTS, publishers, 2, names=parameters),
    ("GET", f"{_CLIENT}/service/subscriber/list"): operated(CLIENTS, subscribers, 2, names=parameters),
    **{
        place: route
        for operator in ("/v2/ns/operator", "/v2/ns/ops")
        for place, route in {
            ("GET", f"{operator}/switches"): Route(services.switches, "", generation=2),
            ("PUT", f"{operator}/switches"): operated(SWITCHES, services.set_switch, 2),
            ("GET", f"{operator}/metrics"): Route(_METRICS, "", generation=2),
        }.items()
    },
}
