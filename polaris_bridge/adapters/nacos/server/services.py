"""What HTTP v2 and v3 do with services, clusters, health and switches: functions that both generations' routes use.

Answers of Nacos 2.5.1 and 3.x.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from polaris_bridge.adapters.nacos.service.services import Cluster, Service
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, DEFAULT_GROUP, Host, Refused
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection

from . import reading
from .answers import Answer, Reply, Sliced, result
from .call import HttpCall
from .forms import asked
from .routes_v1_services import CHECKERS, metric_numbers, selector_object, threshold

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

Json = dict[str, Any]


def create(service: NacosService, call: HttpCall) -> Answer:
    """POST service: a persistent one unless ``ephemeral`` says otherwise."""
    params = call.params
    pairs = reading.checked(call)
    share, selector = threshold(params, 0.0), reading.selector(params)
    ephemeral = params.boolean("ephemeral", False)
    return result("ok", service.services.create(call.scope, share, pairs, selector, ephemeral, call.caller))


def update(service: NacosService, call: HttpCall) -> Answer:
    """PUT service"""
    params = call.params
    pairs = reading.checked(call)
    share, selector = threshold(params, 0.0), reading.selector(params)
    return result("ok", service.services.update(call.scope, share, pairs, selector, call.caller))


def delete(service: NacosService, call: HttpCall) -> Answer:
    """DELETE service"""
    reading.checked(call, with_metadata=False)
    return result("ok", service.services.delete(call.scope, call.caller))


def names(service: NacosService, call: HttpCall) -> Answer | Sliced:
    """GET service/list of v2: the plain names of one group."""
    params = call.params
    group = params.text("groupName", DEFAULT_GROUP)
    check(naming_objection(call.scope.namespace_id, group=group))
    page_no, page_size = params.integer("pageNo", 1), min(500, params.integer("pageSize", 20))
    space, sees = call.scope.namespace_id, service.admission.sees(call.caller)
    if sees is None:
        count, found = service.services.list(space, group, page_no, page_size)
        return result({"count": count, "services": found})

    def work() -> Generator[None, None, Answer]:
        count, found = yield from service.catalog.page(space, group, page_no, page_size, sees)
        return result({"count": count, "services": found})

    return Sliced(work())


def detail(namespace: str, cluster: Callable[[Cluster], Json]) -> Callable[[NacosService, HttpCall], Answer]:
    """GET service. ``namespace``: the member that names it; ``cluster``: what is said of each cluster with instances."""

    def run(service: NacosService, call: HttpCall) -> Answer:
        reading.checked(call, with_metadata=False)
        scope = call.scope
        found = service.services.find(scope)
        if found is None:
            text = f"service not found, namespace: {scope.namespace_id}, serviceName: {scope.grouped}"
            raise Refused(400, codes.SERVICE_NOT_EXIST, text)
        clusters = {c.name: cluster(c) for c in service.catalog.clusters(scope, found)}
        return result({namespace: found.namespace_id, **described(found, clusters)})

    return run


def described(found: Service, clusters: Json) -> Json:
    """A service as operators get it, its namespace apart."""
    return {
        "serviceName": found.name,
        "groupName": found.group,
        "clusterMap": clusters,
        "metadata": found.metadata,
        "protectThreshold": found.threshold,
        "selector": selector_object(found.selector),
        "ephemeral": found.ephemeral,
    }


def cluster_v2(c: Cluster) -> Json:
    """A cluster in v2."""
    return {"clusterName": c.name, "healthChecker": c.checker, "metadata": c.metadata, "hosts": None}


def cluster_v3(c: Cluster) -> Json:
    """A cluster in v3."""
    return {
        "clusterName": c.name,
        "healthChecker": c.checker,
        "healthyCheckPort": c.check_port,
        "useInstancePortForCheck": c.use_instance_port,
        "metadata": c.metadata,
        "hosts": None,
    }


def set_cluster(service: NacosService, call: HttpCall) -> Answer:
    """PUT cluster"""
    params = call.params
    pairs = reading.checked(call)
    cluster = params.required("clusterName")
    port = params.integer("checkPort")
    params.required("useInstancePort4Check", "Boolean")
    own_port = params.boolean("useInstancePort4Check", True)
    checker = reading.json_object(params.required("healthChecker"), "healthChecker")
    commit = service.services.set_cluster(call.scope, cluster, port, own_port, checker, pairs, call.caller)
    return result("ok", commit)


def set_health(service: NacosService, call: HttpCall) -> Answer:
    """PUT health/instance: a person's word for an instance that nothing else judges."""
    params = call.params
    params.required("healthy", "Boolean")
    params.required("serviceName")
    reading.checked(call, with_metadata=False)
    ip, port = params.required("ip"), params.integer("port")
    cluster = params.text("clusterName", DEFAULT_CLUSTER)
    service.checks.set_health(call.scope, ip, port, cluster, params.boolean("healthy", False))
    return result("ok")


def checkers(_service: NacosService, _call: HttpCall) -> Answer:
    """GET health/checkers"""
    return result({name: {"type": name, **members} for name, members in CHECKERS.items()})


def selector_types(_service: NacosService, _call: HttpCall) -> Answer:
    """GET service/selector/types"""
    return result(["label", "none"])


def switches(service: NacosService, _call: HttpCall) -> Answer:
    """GET switches"""
    return result(service.operator.switches)


def set_switch(service: NacosService, call: HttpCall) -> Answer:
    """PUT switches. What the real server calls an illegal argument it says as a server error here."""
    params = call.params
    entry, value = params.required("entry"), params.required("value")
    try:
        commit = service.operator.set(entry, value, params.boolean("debug", False), call.caller)
    except Refused as error:
        raise Refused(500, codes.SERVER_ERROR, error.text) from None
    return result("ok", commit)


_MACHINE = ("cpu", "load", "mem")


def metrics(
    *, machine: bool, hushed: tuple[str, ...] = ("responsibleInstanceCount",)
) -> Callable[[NacosService, HttpCall], Reply]:
    """GET metrics: the status, with ``onlyStatus=false`` numbers too. ``machine``: those of the machine among them."""
    hidden = hushed if machine else (*hushed, *_MACHINE)

    def run(service: NacosService, call: HttpCall) -> Reply:
        status = service.operator.status
        if call.params.boolean("onlyStatus", True):
            return result({"status": status})

        def work() -> Generator[None, None, Answer]:
            numbers = yield from metric_numbers(service)
            return result({"status": status, **{k: v for k, v in numbers.items() if k not in hidden}})

        return Sliced(work())

    return run


def responsible(service: NacosService, call: HttpCall) -> Answer:
    """GET client/distro: which server answers for a client; there is one."""
    asked(call, "ip")
    asked(call, "port")
    return result({"responsibleServer": service.nodes.place.address})


def address(host: Host) -> Json:
    """An instance in the details of services."""
    return {
        "ip": host.ip,
        "port": host.port,
        "weight": host.weight,
        "healthy": host.healthy,
        "enabled": host.enabled,
        "ephemeral": host.ephemeral,
        "clusterName": host.cluster,
        "serviceName": host.service_name,
        "metadata": host.metadata,
        "instanceHeartBeatInterval": host.beat_interval_ms,
        "instanceHeartBeatTimeOut": host.beat_timeout_ms,
        "ipDeleteTimeout": host.delete_timeout_ms,
    }
