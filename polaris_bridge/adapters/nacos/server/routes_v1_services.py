"""HTTP v1 naming beside instances: services, catalog, clusters, health and the operator's calls. Answers of Nacos 2.5.1."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import to_builtins

from polaris_bridge.adapters.nacos.service.catalog import Row, page
from polaris_bridge.adapters.nacos.service.operator import machine
from polaris_bridge.adapters.nacos.wire import codes, service_info
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, DEFAULT_GROUP, Host, Refused
from polaris_bridge.adapters.nacos.wire.params import Params, check, naming_objection

from . import reading
from .answers import Answer, Reply, Sliced, json, ok, rest_result
from .call import HttpCall, Route, Routes, by_namespace, by_service
from .operators import SWITCHES, operated

if TYPE_CHECKING:
    from collections.abc import Generator

    from polaris_bridge.adapters.nacos.service.nacos import NacosService
    from polaris_bridge.adapters.nacos.service.scope import Scope
    from polaris_bridge.adapters.nacos.service.services import Cluster, Service

_LABEL: Final = re.compile(r"CONSUMER\.label\.([^\s=&]+)")
_DEFAULT_PORT: Final = 80
_MOST: Final = 1_000
"""Services on one page of the catalog."""


def _needs_service(call: HttpCall) -> Scope:
    call.params.required("serviceName")
    return call.named()


def _names_service(call: HttpCall) -> Scope:
    _given(call, "serviceName")
    return _needs_service(call)


def _given(call: HttpCall, *names: str) -> None:
    """Parameters that must be there; their absence is objected to in words of its own."""
    for name in names:
        if name not in call.params:
            raise Refused(400, codes.PARAMETER_MISSING, f"Parameter '{name}' is missing")


def _cluster_and_service(call: HttpCall) -> Scope:
    call.params.required("clusterName")
    return _needs_service(call)


def threshold(params: Params, default: float | None = None) -> float:
    """``protectThreshold``, 0 to 1. Without a default it must be there."""
    if default is None:
        params.required("protectThreshold", "Float")
    found = params.number("protectThreshold", default or 0.0)
    if not 0.0 <= found <= 1.0:
        text = "Param 'protectThreshold' is illegal, the value should be between 0 and 1."
        raise Refused(400, codes.SERVICE_METADATA, text)
    return found


def selector_object(selector: dict[str, Any]) -> dict[str, Any]:
    """A selector as it is shown."""
    kind = selector.get("type", "none")
    if kind == "none":
        return {"type": "none", "contextType": "NONE"}
    expression = selector.get("expression", "")
    labels = sorted(set(_LABEL.findall(expression)))
    shown = {"type": kind, "labels": labels, "contextType": "CMDB"}
    return {**shown, "expression": expression} if expression else shown


def create(service: NacosService, call: HttpCall) -> Reply:
    """POST service: a persistent one, for v1 cannot say otherwise."""
    pairs = reading.checked(call)
    params = call.params
    share, selector = threshold(params, 0.0), reading.selector(params)
    return ok(service.services.create(call.scope, share, pairs, selector, False, call.caller))


def update(service: NacosService, call: HttpCall) -> Reply:
    """PUT service"""
    pairs = reading.checked(call)
    share, selector = threshold(call.params), reading.selector(call.params)
    return ok(service.services.update(call.scope, share, pairs, selector, call.caller))


def delete(service: NacosService, call: HttpCall) -> Reply:
    """DELETE service"""
    reading.checked(call)
    return ok(service.services.delete(call.scope, call.caller))


def detail(service: NacosService, call: HttpCall) -> Reply:
    """GET service"""
    reading.checked(call)
    scope = call.scope
    found = service.services.find(scope)
    if found is None:
        text = f"service not found, namespace: {scope.namespace_id}, serviceName: {scope.grouped}"
        raise Refused(400, codes.SERVICE_NOT_EXIST, text)
    clusters = service.catalog.clusters(scope, found)
    return json(
        {
            "namespaceId": found.namespace_id,
            "groupName": found.group,
            "name": found.name,
            "protectThreshold": found.threshold,
            "metadata": found.metadata,
            "selector": selector_object(found.selector),
            "clusters": [{"name": c.name, "healthChecker": c.checker, "metadata": c.metadata} for c in clusters],
        }
    )


def names(service: NacosService, call: HttpCall) -> Reply:
    """GET service/list: the plain names of one group."""
    params = call.params
    params.required("pageNo")
    params.required("pageSize")
    page_no, page_size = _number(params, "pageNo", 0), _number(params, "pageSize", 0)
    group = params.text("groupName", DEFAULT_GROUP)
    check(naming_objection(call.scope.namespace_id, group=group))
    space, sees = call.scope.namespace_id, service.admission.sees(call.caller)
    if sees is None:
        count, found = service.services.list(space, group, page_no, page_size)
        return json({"count": count, "doms": found})

    def work() -> Generator[None, None, Answer]:
        count, found = yield from service.catalog.page(space, group, page_no, page_size, sees)
        return json({"count": count, "doms": found})

    return Sliced(work())


def search(service: NacosService, call: HttpCall) -> Reply:
    """service/names: the grouped names of a namespace, or of all of them."""
    asked, part = call.params.text("namespaceId"), call.params.text("expr")
    check(naming_objection(call.params.raw("namespaceId")))
    sees = service.admission.sees(call.caller)

    def work() -> Generator[None, None, Answer]:
        found: dict[str, list[str]] = {}
        count = 0
        spaces = [asked] if asked else [service.spaces.id(record.name) for record in service.registry.namespaces()]
        for space in spaces:
            here = yield from service.catalog.matching(space, "", "", sees=sees)
            named = [scope.grouped for scope in here if part in scope.grouped]
            if asked or named:
                found[space] = named
            count += len(named)
        return json({"META-INF/services": found, "count": count})

    return Sliced(work())


def subscribers(service: NacosService, call: HttpCall) -> Reply:
    """GET service/subscribers"""
    params, scope = call.params, call.scope
    check(naming_objection(scope.namespace_id, scope.name, scope.group))
    found = service.subscribers.of(scope)
    page_no, page_size = _number(params, "pageNo", 1), _number(params, "pageSize", 1000)
    start = max(0, (page_no - 1) * page_size)
    shown = [
        {
            "addrStr": f"{s.ip}:{s.port}",
            "agent": s.agent,
            "app": s.app,
            "ip": s.ip,
            "port": s.port,
            "namespaceId": scope.namespace_id,
            "serviceName": scope.grouped,
            "cluster": s.cluster,
        }
        for s in found[start : start + max(0, page_size)]
    ]
    return json({"subscribers": shown, "count": len(found)})


def selector_types(_service: NacosService, _call: HttpCall) -> Reply:
    """GET service/selector/types"""
    return rest_result(["label", "none"])


# ---------------------------------------------------------------------- catalog


def catalog_services(service: NacosService, call: HttpCall) -> Reply:
    """GET catalog/services: numbers of services, or with ``withInstances`` the services themselves."""
    params = call.params
    space = call.scope.namespace_id
    name = params.text("serviceNameParam") or params.text("keyword")
    group = params.text("groupNameParam")
    check(naming_objection(space, name, group))
    filled = params.boolean("hasIpCount", False)
    page_no = _number(params, "pageNo", 1)
    page_size = min(_number(params, "pageSize", 20), _MOST)

    def work() -> Generator[None, None, Answer]:
        with_instances = params.boolean("withInstances", False)
        sees = service.admission.sees(call.caller)
        found = yield from service.catalog.matching(space, group, name, filled=filled and not with_instances, sees=sees)
        shown = page(found, page_no, page_size)[:_MOST]
        if not with_instances:
            rows = yield from service.catalog.rows(shown)
            return json({"count": len(found), "serviceList": list(map(_row, rows))})
        details = []
        for scope in shown:
            details.append(_with_instances(service, scope))
            yield
        return json(details)

    return Sliced(work())


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.scope.name,
        "groupName": row.scope.group,
        "clusterCount": row.clusters,
        "ipCount": row.instances,
        "healthyInstanceCount": row.healthy,
        "triggerFlag": "true" if row.protected else "false",
    }


_NOT_SAID: Final = {"clusterName": None, "healthChecker": None, "metadata": None}
"""Members of a cluster that this list has and does not fill."""


def _with_instances(service: NacosService, scope: Scope) -> dict[str, Any]:
    clusters: dict[str, Any] = {}
    for host in service.catalog.hosts(scope):
        clusters.setdefault(host.cluster, {**_NOT_SAID, "hosts": []})["hosts"].append(_address(host))
    found = service.services.find(scope)
    return {
        "namespace": None,
        "serviceName": scope.name,
        "groupName": scope.group,
        "clusterMap": clusters,
        "metadata": found.metadata if found is not None else {},
        "protectThreshold": 0.0,
        "selector": None,
        "ephemeral": None,
    }


def _address(host: Host) -> dict[str, Any]:
    return {
        "valid": host.healthy,
        "metadata": host.metadata,
        "port": host.port,
        "ip": host.ip,
        "weight": host.weight,
        "enabled": host.enabled,
    }


def catalog_service(service: NacosService, call: HttpCall) -> Reply:
    """GET catalog/service"""
    reading.checked(call)
    found = service.catalog.service(call.scope)
    clusters = service.catalog.clusters(call.scope, found)
    return json({"service": _service(found), "clusters": [_cluster(call.scope, c) for c in clusters]})


def _service(found: Service) -> dict[str, Any]:
    return {
        "name": found.name,
        "groupName": found.group,
        "protectThreshold": found.threshold,
        "selector": selector_object(found.selector),
        "metadata": found.metadata,
    }


def _cluster(scope: Scope, found: Cluster) -> dict[str, Any]:
    return {
        "serviceName": scope.grouped,
        "name": found.name,
        "healthChecker": found.checker,
        "defaultPort": _DEFAULT_PORT,
        "defaultCheckPort": found.check_port,
        "useIPPort4Check": found.use_instance_port,
        "metadata": found.metadata,
    }


def catalog_instances(service: NacosService, call: HttpCall) -> Reply:
    """catalog/instances: one page of a cluster's instances, the disabled included."""
    params = call.params
    _given(call, "clusterName", "pageNo", "pageSize")
    reading.checked(call, with_metadata=False)
    cluster = params.required("clusterName")
    page_no, page_size = params.integer("pageNo"), params.integer("pageSize")
    hosts = service.catalog.instances(call.scope, cluster)
    start = max(0, (page_no - 1) * page_size)
    shown = b",".join(map(service_info.host, hosts[start : max(0, page_no * page_size)]))
    return json(b'{"list":[%b],"count":%d}' % (shown, len(hosts)))


# ---------------------------------------------------------------------- clusters and health


def set_cluster(service: NacosService, call: HttpCall) -> Reply:
    """PUT cluster"""
    params = call.params
    pairs = reading.checked(call)
    cluster = params.required("clusterName")
    port = params.integer("checkPort")
    params.required("useInstancePort4Check")
    own_port = params.boolean("useInstancePort4Check", True)
    checker = reading.json_object(params.required("healthChecker"), "healthChecker")
    return ok(service.services.set_cluster(call.scope, cluster, port, own_port, checker, pairs, call.caller))


def set_health(service: NacosService, call: HttpCall) -> Reply:
    """PUT health/instance: a person's word for an instance that nothing else judges."""
    params = call.params
    if not params.first(("healthy", "valid")):
        raise Refused(400, codes.HEALTHY_MISSING, "Param 'healthy' is required.")
    healthy = params.boolean("healthy", params.boolean("valid", False))
    params.required("serviceName")
    reading.checked(call, with_metadata=False)
    cluster = params.text("clusterName", DEFAULT_CLUSTER)
    service.checks.set_health(call.scope, params.required("ip"), params.integer("port"), cluster, healthy)
    return ok()


def health_server(service: NacosService, _call: HttpCall) -> Reply:
    """health/server"""
    count, port = service.services.count(), service.place.port
    return json({"msg": f"Hello! I am Nacos-Naming and healthy! total services: {count}, local port:{port}"})


CHECKERS: Final[dict[str, dict[str, Any]]] = {
    "TCP": {},
    "HTTP": {"path": "", "headers": "", "expectedResponseCode": 200},
    "MYSQL": {"user": None, "pwd": None, "cmd": None},
    "NONE": {},
}
"""The health checkers that a cluster may have, with what they are told."""


def checkers(_service: NacosService, _call: HttpCall) -> Reply:
    """GET health/checkers"""
    return json(CHECKERS)


# ---------------------------------------------------------------------- operator


def switches(service: NacosService, _call: HttpCall) -> Reply:
    """GET operator/switches"""
    return json(service.operator.switches)


def set_switch(service: NacosService, call: HttpCall) -> Reply:
    """PUT operator/switches"""
    params = call.params
    _given(call, "entry", "value")
    entry = params.required("entry")
    return ok(service.operator.set(entry, params.text("value"), params.boolean("debug", False), call.caller))


def metrics(service: NacosService, call: HttpCall) -> Reply:
    """GET operator/metrics: the status, with ``onlyStatus=false`` numbers too."""
    status = service.operator.status
    if call.params.text("onlyStatus", "true").lower() == "true":
        return json({"status": status})

    def work() -> Generator[None, None, Answer]:
        numbers = yield from metric_numbers(service)
        return json({"status": status, **numbers})

    return Sliced(work())


def metric_numbers(service: NacosService) -> Generator[None, None, dict[str, Any]]:
    """The numbers of ``metrics``. Yields where it may be interrupted."""
    counts = yield from service.clients.counts()
    instances = 0
    for at, snapshot in enumerate(service.registry.services(), 1):
        instances += len(snapshot.addresses)
        if at % 1000 == 0:
            yield
    return {
        "serviceCount": service.services.count(),
        "instanceCount": instances,
        "subscribeCount": service.subscribers.count(),
        "responsibleInstanceCount": instances,
        "clientCount": counts.all,
        "connectionBasedClientCount": counts.connections,
        "ephemeralIpPortClientCount": counts.ephemeral,
        "persistentIpPortClientCount": counts.persistent,
        "responsibleClientCount": counts.all,
        **to_builtins(machine()),
    }


def push_state(service: NacosService, call: HttpCall) -> Reply:
    """operator/push/state: how many pushes over UDP were acknowledged."""
    total, failed = service.udp.pushed, service.udp.failed
    ratio = (total - failed) / total if total else 0
    found: dict[str, Any] = {"succeed": total - failed, "total": total, "ratio": ratio}
    if call.params.boolean("detail", False):
        found["detail"] = {"avgPushCost": -1, "maxPushCost": -1}
    return json({**found, "reset": False})


def responsible(service: NacosService, call: HttpCall) -> Reply:
    """GET operator/distro/client: which server answers for a client; always the one that is asked."""
    _given(call, "ip", "port")
    return json({"responsibleServer": call.request.header(b"host") or ""})


def _number(params: Params, name: str, default: int) -> int:
    """A number that counts as 0 when it is none, as the real server reads pages."""
    try:
        return params.integer(name, default)
    except Refused:
        return 0


ROUTES: Final[Routes] = {
    ("POST", "/v1/ns/service"): Route(create, "w", _names_service),
    ("PUT", "/v1/ns/service"): Route(update, "w", _needs_service),
    ("DELETE", "/v1/ns/service"): Route(delete, "w", _names_service),
    ("GET", "/v1/ns/service"): Route(detail, "r", _names_service),
    ("GET", "/v1/ns/service/list"): Route(names, "r", by_namespace),
    ("GET", "/v1/ns/service/names"): Route(search, "r", by_namespace),
    ("GET", "/v1/ns/service/subscribers"): Route(subscribers, "r", _needs_service),
    ("GET", "/v1/ns/service/selector/types"): Route(selector_types, ""),
    ("GET", "/v1/ns/catalog/services"): Route(catalog_services, "r", by_namespace),
    ("GET", "/v1/ns/catalog/service"): Route(catalog_service, "r", _needs_service),
    ("GET", "/v1/ns/catalog/instances"): Route(catalog_instances, "r", _names_service),
    ("PUT", "/v1/ns/cluster"): Route(set_cluster, "w", _cluster_and_service),
    ("PUT", "/v1/ns/health"): Route(set_health, "w", by_service),
    ("PUT", "/v1/ns/health/instance"): Route(set_health, "w", by_service),
    ("GET", "/v1/ns/health/checkers"): Route(checkers, ""),
    ("GET", "/v1/ns/health/server"): Route(health_server, ""),
    **{
        place: route
        for operator in ("/v1/ns/operator", "/v1/ns/ops")
        for place, route in {
            ("GET", f"{operator}/switches"): Route(switches, ""),
            ("PUT", f"{operator}/switches"): operated(SWITCHES, set_switch, 1),
            ("GET", f"{operator}/metrics"): Route(metrics, ""),
            ("GET", f"{operator}/push/state"): Route(push_state, ""),
            ("GET", f"{operator}/distro/client"): Route(responsible, ""),
        }.items()
    },
}
