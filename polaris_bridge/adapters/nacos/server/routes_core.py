"""HTTP v2 and v3 beside naming: health and state of the server, its cluster of one, its connections.

Answers of Nacos 2.5.1 (v2) and 3.x (v3); what v2 says in an older envelope, or bare, it says so here. Calls that would change a
real server's cluster, its Raft group or its log levels are not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from polaris_bridge.adapters.nacos.service.connections import Connection
from polaris_bridge.adapters.nacos.service.operator import machine
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import Refused

from .answers import Answer, encode, json, rest_result, result, text
from .call import NOTHING, Generation, HttpCall, Route, Routes
from .forms import asked
from .operators import CLOSE, CONNECTIONS, NODES, Run, operated

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService
    from polaris_bridge.adapters.nacos.service.scope import Scope

_STATES: Final = ("STARTING", "UP", "SUSPICIOUS", "DOWN", "ISOLATION")
_MARGIN: Final = 1.1
"""How many more connections than the average a server of a cluster may have."""


def nothing(_call: HttpCall) -> Scope:
    """Calls that are about no service."""
    return NOTHING


# ---------------------------------------------------------------------- health and state


def healthy(_service: NacosService, _call: HttpCall) -> Answer:
    """Liveness and readiness: who can answer has read its store and is ready."""
    return result("ok")


def state(service: NacosService, _call: HttpCall) -> Answer:
    """GET core/state of v3"""
    return result(service.nodes.state())


def state_bare(service: NacosService, _call: HttpCall) -> Answer:
    """GET console/server/state of v3: without the envelope, as consoles read it."""
    return json(service.nodes.state())


def no_text(_service: NacosService, _call: HttpCall) -> Answer:
    """Announcements and guides of the console: there are none."""
    return result(None)


def no_text_v1(_service: NacosService, _call: HttpCall) -> Answer:
    """The same in v1."""
    return rest_result(None)


# ---------------------------------------------------------------------- the cluster


def node(service: NacosService, _call: HttpCall) -> Answer:
    """GET cluster/node/self"""
    return result(service.nodes.self())


def nodes(service: NacosService, call: HttpCall) -> Answer:
    """GET cluster/node/list, by the beginning of the address and by state."""
    wanted = call.params.text("state").upper()
    if wanted and wanted not in _STATES:
        raise Refused(400, codes.STATE, f"Illegal state: {call.params.text('state')}")
    return result(service.nodes.all(call.params.text("address"), wanted))


def console_nodes(service: NacosService, call: HttpCall) -> Answer:
    """GET cluster/nodes of the v3 console"""
    return result(service.nodes.all(call.params.text("keyword")))


def simple_nodes(service: NacosService, _call: HttpCall) -> Answer:
    """GET cluster/simple/nodes of v1: addresses alone."""
    return rest_result([member.address for member in service.nodes.all()])


def node_health(service: NacosService, _call: HttpCall) -> Answer:
    """GET cluster/node/self/health"""
    return result(service.nodes.self().state)


# ---------------------------------------------------------------------- ids


def ids_v2(_service: NacosService, _call: HttpCall) -> Answer:
    """GET ops/ids: generators of numbers that a real server's configuration centre has; there are none here."""
    return rest_result([])


def ids_v1(_service: NacosService, _call: HttpCall) -> Answer:
    """GET ops/idInfo"""
    return rest_result({})


def ids(_service: NacosService, _call: HttpCall) -> Answer:
    """The same in v3."""
    return result([])


# ---------------------------------------------------------------------- connections


def _connection(c: Connection, service: NacosService) -> dict[str, Any]:
    clock = service.registry.clock
    active_ms = clock.wall_ms() - round((clock.monotonic() - c.active) * 1000)
    labels = dict(c.labels)
    return {
        "traced": False,
        "abilityTable": None,
        "metaInfo": {
            "connectType": "GRPC",
            "clientIp": c.host,
            "remoteIp": c.host,
            "remotePort": c.port,
            "localPort": service.nodes.place.port + 1000,
            "version": c.version,
            "connectionId": c.id,
            "createTime": c.made_ms,
            "lastActiveTime": active_ms,
            "appName": c.app,
            "namespaceId": c.tenant,
            "labels": labels,
            "sdkSource": labels.get("source", "sdk") == "sdk",
            "clusterSource": labels.get("source") == "cluster",
        },
        "connected": True,
        "labels": labels,
    }


def _connections(service: NacosService) -> dict[str, Any]:
    return {c.id: _connection(c, service) for c in service.connections}


def connections_v2(service: NacosService, _call: HttpCall) -> Answer:
    """GET loader/current: bare."""
    return json(_connections(service))


def connections(service: NacosService, _call: HttpCall) -> Answer:
    """The same in v3."""
    return result(_connections(service))


def _where(call: HttpCall) -> tuple[str, str]:
    """Where clients are sent: ``redirectAddress``, host and port; empty: wherever they like."""
    host, colon, port = call.params.text("redirectAddress").rpartition(":")
    return (host, port) if colon and port.isdecimal() else ("", "")


def _reload_one(service: NacosService, call: HttpCall) -> None:
    found = service.connections.get(asked(call, "connectionId"))
    if found is not None:
        service.connections.reset(found, *_where(call))


def _reload_count(service: NacosService, call: HttpCall) -> None:
    asked(call, "count", "Integer")
    most = max(0, call.params.integer("count", 0))
    for found in list(service.connections)[most:]:
        service.connections.reset(found, *_where(call))


def reload_one_v2(service: NacosService, call: HttpCall) -> Answer:
    """loader/reloadClient: one client is sent away; an unknown one is fine too."""
    _reload_one(service, call)
    return text("success")


def reload_one(service: NacosService, call: HttpCall) -> Answer:
    """The same in v3."""
    _reload_one(service, call)
    return result(None)


def reload_count_v2(service: NacosService, call: HttpCall) -> Answer:
    """loader/reloadCurrent: so many clients stay, the newest others are sent away."""
    _reload_count(service, call)
    return text("success")


def reload_count(service: NacosService, call: HttpCall) -> Answer:
    """The same in v3."""
    _reload_count(service, call)
    return result(None)


def balanced_v2(_service: NacosService, _call: HttpCall) -> Answer:
    """loader/smartReloadCluster: of one server's clients none has to move."""
    return text("Ok")


def balanced(_service: NacosService, _call: HttpCall) -> Answer:
    """The same in v3."""
    return result(None)


def _numbers(service: NacosService) -> dict[str, str]:
    count, now = len(service.connections), machine()
    return {"conCount": str(count), "sdkConCount": str(count), "load": str(now.load), "cpu": str(now.cpu)}


def _metrics(count: int, detail: dict[str, Any]) -> dict[str, Any]:
    return {
        "detail": [detail],
        "memberCount": 1,
        "metricsCount": 1,
        "completed": True,
        "max": count,
        "min": count,
        "avg": count,
        "threshold": count * _MARGIN,
        "total": count,
    }


def metrics_v2(service: NacosService, _call: HttpCall) -> Answer:
    """loader/cluster: how many connections each server has; bare."""
    detail = {"address": service.nodes.place.address, "metric": _numbers(service)}
    return json(_metrics(len(service.connections), detail))


def metrics(service: NacosService, _call: HttpCall) -> Answer:
    """The same in v3."""
    count = len(service.connections)
    counts = {"sdkConCount": count, "conCount": count}
    found = _metrics(count, {"address": service.nodes.place.address, **_numbers(service), **counts})
    return result(encode({**found, "threshold": str(found["threshold"])}))


# ---------------------------------------------------------------------- routes


def _open(run: Run, generation: Generation) -> Route:
    return Route(run, "", nothing, generation)


_V2: Final = "/v2/core"
_V3: Final = "/v3/admin/core"

ROUTES: Final[Routes] = {
    ("GET", "/v1/core/cluster/simple/nodes"): operated(NODES, simple_nodes, 1),
    ("GET", "/v1/core/ops/idInfo"): operated(NODES, ids_v1, 1),
    ("GET", "/v1/console/server/announcement"): _open(no_text_v1, 1),
    ("GET", "/v1/console/server/guide"): _open(no_text_v1, 1),
    ("GET", "/v2/console/health/liveness"): _open(healthy, 2),
    ("GET", "/v2/console/health/readiness"): _open(healthy, 2),
    ("GET", f"{_V2}/cluster/node/self"): operated(NODES, node, 2),
    ("GET", f"{_V2}/cluster/node/list"): operated(NODES, nodes, 2),
    ("GET", f"{_V2}/cluster/node/self/health"): operated(NODES, node_health, 2),
    ("GET", f"{_V2}/ops/ids"): operated(NODES, ids_v2, 2),
    ("GET", f"{_V2}/loader/current"): operated(CONNECTIONS, connections_v2, 2),
    ("GET", f"{_V2}/loader/cluster"): operated(CONNECTIONS, metrics_v2, 2),
    ("GET", f"{_V2}/loader/reloadCurrent"): operated(CLOSE, reload_count_v2, 2),
    ("GET", f"{_V2}/loader/reloadClient"): operated(CLOSE, reload_one_v2, 2),
    ("GET", f"{_V2}/loader/smartReloadCluster"): operated(CLOSE, balanced_v2, 2),
    ("GET", f"{_V3}/state"): _open(state, 3),
    ("GET", f"{_V3}/state/liveness"): _open(healthy, 3),
    ("GET", f"{_V3}/state/readiness"): _open(healthy, 3),
    ("GET", f"{_V3}/cluster/node/self"): operated(NODES, node, 3),
    ("GET", f"{_V3}/cluster/node/list"): operated(NODES, nodes, 3),
    ("GET", f"{_V3}/cluster/node/self/health"): operated(NODES, node_health, 3),
    ("GET", f"{_V3}/ops/ids"): operated(NODES, ids, 3),
    ("GET", f"{_V3}/loader/current"): operated(CONNECTIONS, connections, 3),
    ("GET", f"{_V3}/loader/cluster"): operated(CONNECTIONS, metrics, 3),
    ("POST", f"{_V3}/loader/reloadCurrent"): operated(CLOSE, reload_count, 3),
    ("POST", f"{_V3}/loader/reloadClient"): operated(CLOSE, reload_one, 3),
    ("POST", f"{_V3}/loader/smartReloadCluster"): operated(CLOSE, balanced, 3),
    ("GET", "/v3/console/health/liveness"): _open(healthy, 3),
    ("GET", "/v3/console/health/readiness"): _open(healthy, 3),
    ("GET", "/v3/console/server/state"): _open(state_bare, 3),
    ("GET", "/v3/console/server/announcement"): _open(no_text, 3),
    ("GET", "/v3/console/server/guide"): _open(no_text, 3),
    ("GET", "/v3/console/core/cluster/nodes"): operated(NODES, console_nodes, 3),
}
