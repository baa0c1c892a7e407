"""Every call of the Nacos HTTP port × who asks: made from the table of routes, so a new route without a row here fails."""

from __future__ import annotations

from typing import Final

import pytest
from guarded_nacos import GuardedNacos, body, document

from polaris_bridge.adapters.nacos.server.routes import ROUTES
from polaris_bridge.core.model import SYSTEM, NamespaceRecord, ServiceRecord

OPEN: Final = {
    "/": "GET", "": "GET", "/index.html": "GET", "/serverlist": "GET",
    "/v1/ns/service/selector/types": "GET", "/v1/ns/health/checkers": "GET", "/v1/ns/health/server": "GET POST PUT DELETE",
    "/v1/ns/operator/switches": "GET", "/v1/ns/operator/metrics": "GET",
    "/v1/ns/operator/push/state": "GET", "/v1/ns/operator/distro/client": "GET",
    "/v1/ns/ops/switches": "GET", "/v1/ns/ops/metrics": "GET", "/v1/ns/ops/push/state": "GET",
    "/v1/ns/ops/distro/client": "GET",
    "/v2/ns/operator/switches": "GET", "/v2/ns/operator/metrics": "GET", "/v2/ns/ops/switches": "GET",
    "/v2/ns/ops/metrics": "GET", "/v3/admin/ns/service/selector/types": "GET", "/v3/admin/ns/health/checkers": "GET",
    "/v3/admin/ns/ops/switches": "GET", "/v3/admin/ns/ops/metrics": "GET", "/v3/console/ns/service/selector/types": "GET",
    "/v1/cs/health": "GET",
    "/v1/console/health/liveness": "GET", "/v1/console/health/readiness": "GET", "/v1/console/server/state": "GET",
    "/v1/console/server/announcement": "GET", "/v1/console/server/guide": "GET", "/v1/console/namespaces": "GET",
    "/v2/console/health/liveness": "GET", "/v2/console/health/readiness": "GET", "/v2/console/namespace/list": "GET",
    "/v3/admin/core/state": "GET", "/v3/admin/core/state/liveness": "GET", "/v3/admin/core/state/readiness": "GET",
    "/v3/console/health/liveness": "GET", "/v3/console/health/readiness": "GET", "/v3/console/server/state": "GET",
    "/v3/console/server/announcement": "GET", "/v3/console/server/guide": "GET",
    "/v1/auth/login": "POST", "/v1/auth/users/login": "POST", "/v3/auth/user/login": "POST",
    "/v1/auth/admin": "POST", "/v1/auth/users/admin": "POST", "/v3/auth/user/admin": "POST",
}  # fmt: skip
"""Calls that everybody may make: what the login page, probes and clients ask before they can log in."""
EVERYWHERE: Final = ("/ns/client", "/core/cluster", "/core/loader", "/core/ops/id")
"""In paths of calls that show clients and services of every namespace, or the server itself."""
GIVEN: Final = {
    "serviceName": "G@@s", "ip": "10.0.0.1", "port": "80", "key": "public##G@@s", "clientId": "x", "namespaceId": "public",
    "pageNo": "1", "pageSize": "9", "search": "blur", "username": "somebody", "newPassword": "x", "role": "r",
    "resource": "x", "action": "r", "customNamespaceId": "made", "namespace": "made", "namespaceName": "made",
    "namespaceShowName": "made", "entry": "checkTimes", "value": "3", "instances": "[]", "metadata": "{}", "healthy": "true",
    "clusterName": "DEFAULT", "checkPort": "80", "useInstancePort4Check": "true", "healthChecker": '{"type":"TCP"}',
    "connectionId": "x",
}  # fmt: skip

CASES: Final = [pytest.param(method, path, id=f"{method} {path}") for method, path in ROUTES]


@pytest.fixture(scope="module")
def world() -> GuardedNacos:
    """``reader`` and ``writer`` have permissions on the namespace public, ``nobody`` has none."""
    made = GuardedNacos()
    for space in ("default", "dev"):
        made.registry.put_namespace(NamespaceRecord(space), SYSTEM)
    token = made.login("root")
    for name, action in (("reader", "r"), ("writer", "w"), ("nobody", "")):
        made.user(name)
        if action:
            made.ask("POST", "/v1/auth/roles", role=name, username=name, accessToken=token)
            given = {"role": name, "resource": ":*:*", "action": action}
            made.ask("POST", "/v1/auth/permissions", accessToken=token, **given)
    return made


def _what(world: GuardedNacos, method: str, path: str, token: str = "") -> str:
    """``in``, or why not."""
    password = {"password": "x"} if token else {}
    response = world.ask(method, path, {"accessToken": token} if token else None, **GIVEN, **password)
    assert response.status != 429, "nobody guesses passwords here"
    return str(document(response)["message"]) if response.status == 403 and b"{" in body(response).encode() else "in"


@pytest.mark.parametrize(("method", "path"), CASES)
def test_call(world: GuardedNacos, method: str, path: str) -> None:
    route = ROUTES[method, path]
    if method in OPEN.get(path, "").split():
        assert _what(world, method, path) == "in"
        assert route.rights == ""
        return
    world.registry.put_service(ServiceRecord("default", "G__s"), SYSTEM)  # or whoever registers first would own it
    assert _what(world, method, path) == "user not found!"
    assert _what(world, method, path, "a.b") == "token invalid!"
    expected = {"nobody": "authorization failed!", "reader": "", "writer": "", "root": "in", "polaris": "in"}
    if route.rights:
        expected["reader"] = "in" if route.rights == "r" else "authorization failed!"
        expected["writer"] = "in" if route.rights == "w" else "authorization failed!"
    elif method != "GET" or any(
        part in path for part in EVERYWHERE
    ):  # what consoles do: permissions of Nacos never reach so far
        expected["reader"] = expected["writer"] = "authorization failed!"
    if path.startswith(("/v1/auth", "/v3/auth")) and method == "GET":
        del expected["nobody"]  # everybody sees what concerns itself
    for who, result in expected.items():
        if result:
            assert _what(world, method, path, world.login(who)) == result, who


def test_the_rows_are_of_routes() -> None:
    assert {path for path in OPEN if path != "/"} <= {path for _, path in ROUTES}
