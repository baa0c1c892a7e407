"""HTTP v3 naming: the clients' API, the administration and the console. Answers of Nacos 3.x.

The console's paths are those of its own port (8080, 3.x); here they are beneath the context path as well.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters.nacos.service.clients import Client, Published, Subscribed
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Host, Refused
from polaris_bridge.adapters.nacos.wire.params import check, naming_objection
from polaris_bridge.adapters.nacos.wire.service_info import host

from . import instances, reading, services
from .answers import Answer, Reply, Sliced, failure, result, summary
from .call import HttpCall, Route, Routes
from .forms import asked, filtered, form, page
from .instances import encoded
from .operators import CLIENTS, SWITCHES, operated
from .routes_v2 import at, clients

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.catalog import Row
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

# ---------------------------------------------------------------------- instances


def register(service: NacosService, call: HttpCall) -> Answer:
    """POST instance of clients; with ``heartBeat=true`` it is a heartbeat, whose answer for an unknown one is a success of
    HTTP with code 21003."""
    if not call.params.boolean("heartBeat", False):
        return instances.register(service, call)
    reading.checked(call, with_metadata=False)
    params = call.params
    known = service.registering.renew(call.scope, params.required("ip"), params.integer("port"), call.caller)
    call.heartbeat = "ok" if known else "unknown"
    if known:
        return result("ok")
    return failure(200, codes.INSTANCE_NOT_FOUND, summary(codes.INSTANCE_NOT_FOUND), None)


def client_list(service: NacosService, call: HttpCall) -> Reply:
    """GET instance/list of clients: the instances of one cluster, or of those in a comma list."""
    clusters = call.params.text("clusterName", DEFAULT_CLUSTER)
    reading.checked_list(call, clusters)
    reader, healthy_only = instances.reader_of(service, call), call.params.boolean("healthyOnly", False)
    return instances.listed(service, call, clusters, healthy_only, "v3", reader)


def admin_list(service: NacosService, call: HttpCall) -> Answer:
    """GET instance/list of operators: all instances of one cluster, the disabled included."""
    cluster = call.params.text("clusterName", DEFAULT_CLUSTER)
    reading.checked(call, with_metadata=False)
    try:
        found = service.catalog.instances(call.scope, cluster)
    except Refused as error:
        raise Refused(error.status, codes.SERVER_ERROR, error.text) from None
    if call.params.boolean("healthyOnly", False):
        found = [h for h in found if h.healthy]
    return result(encoded(found))


def detail(service: NacosService, call: HttpCall) -> Answer:
    """GET instance: also one that is disabled."""
    reading.checked(call, with_metadata=False)
    params = call.params
    ip, port, cluster = params.required("ip"), params.integer("port"), reading.cluster(params)
    return result(host(instances.one(service, call, ip, port, cluster)))


def console_list(service: NacosService, call: HttpCall) -> Answer:
    """GET instance/list of the console: a page."""
    cluster = call.params.text("clusterName")
    reading.checked(call, with_metadata=False)
    found = service.catalog.hosts(call.scope)
    wanted = [h for h in found if cluster in ("", h.cluster)]
    asked_for = page(call)
    return result(
        b'{"totalCount":%d,"pageNumber":%d,"pagesAvailable":%d,"pageItems":%b}'
        % (
            len(wanted),
            asked_for.number,
            asked_for.of(wanted).pages_available,
            encoded(wanted[asked_for.span]),
        )
    )


# ---------------------------------------------------------------------- services


def listed(service: NacosService, call: HttpCall) -> Reply:
    """GET service/list: a page of numbers, or with ``withInstances`` of the services themselves."""
    params, space = call.params, call.scope.namespace_id
    group, name = params.text("groupNameParam"), params.text("serviceNameParam")
    check(naming_objection(space, name, group))
    asked_for = page(call)
    with_instances = params.boolean("withInstances", False)
    filled = params.boolean("ignoreEmptyService", params.boolean("hasIpCount", False)) and not with_instances

    def work() -> Generator[None, None, Answer]:
        sees = service.admission.sees(call.caller)
        found = yield from service.catalog.matching(space, group, name, filled=filled, sees=sees)
        shown = found[asked_for.span]
        items: list[Any] = []
        if with_instances:
            for scope in shown:
                items.append(_with_instances(service, scope))
                yield
        else:
            rows = yield from service.catalog.rows(shown)
            items += map(_row, rows)
        return result(asked_for.holding(len(found), items))

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


def _with_instances(service: NacosService, scope: Scope) -> dict[str, Any]:
    found = service.services.find(scope)
    return {
        "namespaceId": None,
        "serviceName": scope.name,
        "groupName": scope.group,
        "clusterMap": _clusters(service.catalog.hosts(scope)),
        "metadata": found.metadata if found is not None else {},
        "protectThreshold": 0.0,
        "selector": None,
        "ephemeral": None,
    }


def _clusters(hosts: Iterable[Host]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for h in hosts:
        known = found.setdefault(
            h.cluster,
            {
                "clusterName": None,
                "healthChecker": None,
                "healthyCheckPort": 80,
                "useInstancePortForCheck": True,
                "metadata": None,
                "hosts": [],
            },
        )
        known["hosts"].append(services.address(h))
    return found


def subscribers(service: NacosService, call: HttpCall) -> Answer:
    """GET service/subscribers: a page."""
    scope = call.scope
    check(naming_objection(scope.namespace_id, scope.name, scope.group))
    found = [
        {
            "namespaceId": scope.namespace_id,
            "groupName": scope.group,
            "serviceName": scope.name,
            "ip": s.ip,
            "port": s.port,
            "agent": s.agent,
            "appName": s.app or "unknown",
        }
        for s in service.subscribers.of(scope)
    ]
    return result(page(call).of(found))


# ---------------------------------------------------------------------- clients


def client(service: NacosService, call: HttpCall) -> Answer:
    """GET client"""
    return result(_client(service.clients.one(asked(call, "clientId"))))


def _client(found: Client) -> dict[str, Any]:
    return {
        "clientId": found.id,
        "ephemeral": found.ephemeral,
        "lastUpdatedTime": found.updated_ms,
        "clientType": "connection" if found.connected else "ipPort",
        "connectType": "GRPC" if found.connected else None,
        "appName": found.app if found.connected else None,
        "version": found.version if found.connected else None,
        "clientIp": found.ip,
        "clientPort": found.port,
    }


def _publisher(found: Published, id: str | None) -> dict[str, Any]:
    return {"clientId": id, "ip": found.ip, "port": found.port, "clusterName": found.cluster}


def _subscriber(found: Subscribed, id: str | None) -> dict[str, Any]:
    return {"clientId": id, "appName": found.app, "agent": found.agent, "address": found.address}


def _service(found: Published | Subscribed, publisher: Any, subscriber: Any) -> dict[str, Any]:
    return {
        "namespaceId": found.namespace_id,
        "groupName": found.group,
        "serviceName": found.name,
        "publisherInfo": publisher,
        "subscriberInfo": subscriber,
    }


def published(service: NacosService, call: HttpCall) -> Answer:
    """GET client/publish/list"""
    found = service.clients.published(asked(call, "clientId"))
    return result([_service(p, _publisher(p, None), None) for p in found])


def subscribed(service: NacosService, call: HttpCall) -> Answer:
    """GET client/subscribe/list"""
    found = service.clients.subscribed(asked(call, "clientId"))
    return result([_service(s, None, _subscriber(s, None)) for s in found])


def publishers(service: NacosService, call: HttpCall) -> Answer:
    """GET client/service/publisher/list"""
    ip, port = at(call)
    found = service.clients.publishers(service.key(call.scope), ip, port)
    return result([_publisher(p, p.client_id) for p in found])


def subscribing(service: NacosService, call: HttpCall) -> Answer:
    """GET client/service/subscriber/list"""
    ip, port = at(call)
    found = service.clients.subscribed_to(call.scope, ip, port)
    return result([_subscriber(s, s.client_id) for s in found])


# ---------------------------------------------------------------------- routes

_CLIENT_API: Final = "/v3/client/ns/instance"
_ADMIN: Final = "/v3/admin/ns"
_CONSOLE: Final = "/v3/console/ns"

_METRICS: Final = services.metrics(machine=False)
_DETAIL: Final = services.detail("namespaceId", services.cluster_v3)


def _services(base: str) -> Routes:
    """Services, as the administration and the console have them."""
    return {
        ("POST", f"{base}/service"): Route(services.create, "w", form, 3),
        ("PUT", f"{base}/service"): Route(services.update, "w", form, 3),
        ("DELETE", f"{base}/service"): Route(services.delete, "w", form, 3),
        ("GET", f"{base}/service"): Route(_DETAIL, "r", form, 3),
        ("GET", f"{base}/service/list"): Route(listed, "r", filtered, 3),
        ("GET", f"{base}/service/subscribers"): Route(subscribers, "r", form, 3),
        ("GET", f"{base}/service/selector/types"): Route(services.selector_types, "", generation=3),
    }


ROUTES: Final[Routes] = {
    ("POST", _CLIENT_API): Route(register, "w", form, 3),
    ("DELETE", _CLIENT_API): Route(instances.deregister, "w", form, 3),
    ("GET", f"{_CLIENT_API}/list"): Route(client_list, "r", form, 3, discovers=True),
    ("POST", f"{_ADMIN}/instance"): Route(instances.register, "w", form, 3),
    ("DELETE", f"{_ADMIN}/instance"): Route(instances.deregister, "w", form, 3),
    ("PUT", f"{_ADMIN}/instance"): Route(instances.update, "w", form, 3),
    ("GET", f"{_ADMIN}/instance"): Route(detail, "r", form, 3),
    ("GET", f"{_ADMIN}/instance/list"): Route(admin_list, "r", form, 3, discovers=True),
    ("PUT", f"{_ADMIN}/instance/partial"): Route(instances.partial, "w", form, 3),
    ("PUT", f"{_ADMIN}/instance/metadata/batch"): Route(instances.metadata_batch, "w", form, 3),
    ("DELETE", f"{_ADMIN}/instance/metadata/batch"): Route(instances.metadata_batch_delete, "w", form, 3),
    **_services(_ADMIN),
    ("PUT", f"{_ADMIN}/cluster"): Route(services.set_cluster, "w", form, 3),
    ("PUT", f"{_ADMIN}/health/instance"): Route(services.set_health, "w", generation=3),
    ("GET", f"{_ADMIN}/health/checkers"): Route(services.checkers, "", generation=3),
    ("GET", f"{_ADMIN}/ops/switches"): Route(services.switches, "", generation=3),
    ("PUT", f"{_ADMIN}/ops/switches"): operated(SWITCHES, services.set_switch, 3),
    ("GET", f"{_ADMIN}/ops/metrics"): Route(_METRICS, "", generation=3),
    ("GET", f"{_ADMIN}/client"): operated(CLIENTS, client, 3),
    ("GET", f"{_ADMIN}/client/list"): operated(CLIENTS, clients, 3),
    ("GET", f"{_ADMIN}/client/publish/list"): operated(CLIENTS, published, 3),
    ("GET", f"{_ADMIN}/client/subscribe/list"): operated(CLIENTS, subscribed, 3),
    ("GET", f"{_ADMIN}/client/service/publisher/list"): operated(CLIENTS, publishers, 3, names=form),
    ("GET", f"{_ADMIN}/client/service/subscriber/list"): operated(CLIENTS, subscribing, 3, names=form),
    ("GET", f"{_ADMIN}/client/distro"): operated(CLIENTS, services.responsible, 3),
    ("PUT", f"{_CONSOLE}/instance"): Route(instances.update, "w", form, 3),
    ("GET", f"{_CONSOLE}/instance/list"): Route(console_list, "r", form, 3),
    **_services(_CONSOLE),
    ("PUT", f"{_CONSOLE}/service/cluster"): Route(services.set_cluster, "w", form, 3),
}
