"""Every call of the Eureka port × who makes it, from the port's own table of routes: a new route without a path here fails."""

from __future__ import annotations

from typing import Final

import httpx
from test_eureka_door import MAIN, SETS, Port

from polaris_bridge import testing
from polaris_bridge.adapters.eureka.server import _ROUTES
from polaris_bridge.runtime.auth.first_start import SEEDED

PATHS: Final = {
    "apps": "/apps",
    "delta": "/apps/delta",
    "app": "/apps/ORDERS",
    "instance": "/apps/ORDERS/h:ORDERS",
    "instance-status": "/apps/ORDERS/h:ORDERS/status?value=UP",
    "instance-metadata": "/apps/ORDERS/h:ORDERS/metadata?a=b",
    "any-instance": "/instances/h:ORDERS",
    "vip": "/vips/orders",
    "svip": "/svips/orders",
    "batch": "/peerreplication/batch",
    "asg": "/asg/x/status?value=ENABLED",
    "status": "/status",
    "page": "/../",
    "lastn": "/../lastn",
}

READS: Final = ["Discover", "DiscoverInstances", "DiscoverServices", "DescribeInstances", "DescribeServices"]

NOBODY, KNOWN, READER, WRITER = "nobody", "known", "reader", "writer"


def calls() -> list[tuple[str, str, str]]:
    """Method, path and kind (read or write) of every call that has a handler."""
    return [
        (method, PATHS[resource], "read" if method == "GET" else "write")
        for resource, (methods, _) in _ROUTES.items()
        for method in methods.split(",")
        if method != "OPTIONS"
    ]


async def allow(port: Port, name: str, principals: dict[str, list[dict[str, str]]], functions: list[str]) -> None:
    policy = {
        "name": name, "action": "ALLOW", "principals": principals, "functions": functions,
        "resources": {"namespaces": [{"id": "*"}], "services": [{"id": "*"}]},
    }  # fmt: skip
    assert (await port.console("POST", "/core/v1/auth/strategy", policy))["code"] == 200000


async def callers(port: Port) -> dict[str, tuple[tuple[str, str] | None, str]]:
    """Credentials by name, and what they are good for."""
    ids = {name: await port.user(name) for name in ("without", "reader", "writer", "member", "disabled")}
    group = {"name": "team", "relation": {"users": [{"id": ids["member"]}]}}
    made = await port.console("POST", "/core/v1/usergroup", group)
    await allow(port, "reads", {"users": [{"id": ids["reader"]}]}, READS)
    await allow(port, "all", {"users": [{"id": ids["writer"]}, {"id": ids["disabled"]}]}, ["*"])
    await allow(port, "team", {"groups": [{"id": made["userGroup"]["id"]}]}, ["*"])
    await port.console("PUT", "/core/v1/user/token/status", {"id": ids["disabled"], "token_enable": False})
    return {
        "none": (None, NOBODY),
        "wrong password": (("writer", "guess"), NOBODY),
        "unknown name": (("stranger", "secret-1"), NOBODY),
        "wrong token": (("x", "AAAA" * 20), NOBODY),
        "disabled": (("disabled", "secret-1"), NOBODY),
        "without rights": (("without", "secret-1"), KNOWN),
        "reader": (("reader", "secret-1"), READER),
        "writer": (("writer", "secret-1"), WRITER),
        "group member": (("member", "secret-1"), WRITER),
        "main": (MAIN, WRITER),
        "main by token": (("anything", SEEDED.token), WRITER),
    }


def refusal(kind: str, rank: str) -> int:
    """The status that says no; 0 when the call is let through."""
    if rank == NOBODY:
        return 401
    return 0 if rank == WRITER or (rank == READER and kind == "read") else 403


def test_every_route_has_a_path() -> None:
    assert PATHS.keys() == _ROUTES.keys(), "say in PATHS where the new call stands"


async def test_who_may_call_what() -> None:
    wrong = []
    async with testing.server(sets=SETS) as running, httpx.AsyncClient(timeout=30) as client:
        port = Port(running, client)
        assert await port.register("ORDERS", MAIN) == 204
        who = await callers(port)
        for method, path, kind in calls():
            for name, (credentials, rank) in who.items():
                assert await port.register("ORDERS", MAIN) == 204, "what a call before took away"
                status = (await port.ask(method, path, credentials)).status_code
                said = status if status in (401, 403, 429) else 0
                if said != refusal(kind, rank):
                    wrong.append(f"{method} {path} by {name}: {status}, not {refusal(kind, rank) or 'let through'}")
    assert wrong == []
