"""HTTP beside naming: health of the server, its state, the cluster of one, the list of servers, the front page.

v1 paths and answers as on Nacos 2.5.1; the front page is our own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .answers import HTML, PLAIN, Answer, Reply, json, rest_result, text
from .call import NOTHING, HttpCall, Route, Routes
from .operators import NODES, operated

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService
    from polaris_bridge.adapters.nacos.service.scope import Scope

_HOST: Final = re.compile(r"[0-9A-Za-z.\-_]{1,255}(?::\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::\d{1,5})?", re.ASCII)

_PAGE: Final = b"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>polaris-bridge</title></head>
<body>
<h1>polaris-bridge</h1>
<p>This port answers Nacos clients under <code>/nacos</code>. It has no console: the server's own console API is on the port
of the <code>api-http</code> entry of its configuration, 8090 unless it says otherwise.</p>
</body>
</html>
"""


def front(_service: NacosService, _call: HttpCall) -> Reply:
    """GET /nacos/"""
    return Answer(_PAGE, HTML)


def healthy(_service: NacosService, _call: HttpCall) -> Reply:
    """console/health/liveness and readiness: who can answer has read its store and is ready."""
    return text("OK")


def state(service: NacosService, _call: HttpCall) -> Reply:
    """GET console/server/state"""
    return json(service.nodes.state())


def nodes(service: NacosService, call: HttpCall) -> Reply:
    """GET core/cluster/nodes"""
    keyword = call.params.text("keyword")
    return rest_result(service.nodes.all(keyword))


def node(service: NacosService, _call: HttpCall) -> Reply:
    """GET core/cluster/self"""
    return rest_result(service.nodes.self())


def node_health(service: NacosService, _call: HttpCall) -> Reply:
    """GET core/cluster/health"""
    return rest_result(service.nodes.self().state)


def server_list(service: NacosService, call: HttpCall) -> Reply:
    """GET serverlist: this server by the name under which the client knows it."""
    host = call.request.header(b"host") or ""
    if not _HOST.fullmatch(host):
        host = service.nodes.place.address
    return Answer(f"{host}\n".encode(), PLAIN)


def nothing(_call: HttpCall) -> Scope:
    """Calls that are about no service."""
    return NOTHING


ROUTES: Final[Routes] = {
    ("GET", ""): Route(front, "", nothing),
    ("GET", "/index.html"): Route(front, "", nothing),
    ("GET", "/v1/console/health/liveness"): Route(healthy, "", nothing),
    ("GET", "/v1/console/health/readiness"): Route(healthy, "", nothing),
    ("GET", "/v1/console/server/state"): Route(state, "", nothing),
    ("GET", "/v1/core/cluster/nodes"): operated(NODES, nodes, 1),
    ("GET", "/v1/core/cluster/self"): operated(NODES, node, 1),
    ("GET", "/v1/core/cluster/health"): operated(NODES, node_health, 1),
    ("GET", "/serverlist"): Route(server_list, "", nothing),
}
