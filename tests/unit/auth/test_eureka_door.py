"""The Eureka port with credentials: one account works everywhere, and a right on a service holds there too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from polaris_bridge import testing
from polaris_bridge.runtime.auth.first_start import SEEDED
from polaris_bridge.runtime.auth.tries import PER_NAME

SETS = (
    "apiservers.service-eureka.option.auth=true",
    "auth.user.option.seedDefaultAdmin=true",
    "auth.strategy.option.consoleOpen=true",
    "auth.strategy.option.clientOpen=true",
)
JSON = {"Accept": "application/json"}
MAIN = ("polaris", "polaris")


class Port:
    """A running server with credentials demanded."""

    def __init__(self, running: testing.Running, client: httpx.AsyncClient) -> None:
        self.running = running
        self.client = client

    async def ask(self, method: str, path: str, who: tuple[str, str] | None, body: Any = None) -> httpx.Response:
        return await self.client.request(method, self.running.eureka + path, auth=who, json=body, headers=JSON)

    async def console(self, method: str, path: str, body: Any = None, token: str = SEEDED.token) -> Any:
        answer = await self.client.request(
            method, self.running.front + path, json=body, headers={"X-Polaris-Token": token}
        )
        return answer.json()

    async def register(self, app: str, who: tuple[str, str] | None) -> int:
        document = {
            "instance": {
                "instanceId": f"h:{app}", "hostName": "h", "app": app, "ipAddr": "10.0.0.1", "status": "UP",
                "port": {"$": 80, "@enabled": "true"}, "vipAddress": app.lower(),
                "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
            }
        }  # fmt: skip
        return (await self.ask("POST", f"/apps/{app}", who, document)).status_code

    async def apps(self, who: tuple[str, str], path: str = "/apps") -> set[str]:
        answer = await self.ask("GET", path, who)
        assert answer.status_code == 200
        return {app["name"] for app in answer.json()["applications"]["application"]}

    async def user(self, name: str) -> str:
        made = await self.console("POST", "/core/v1/users", [{"name": name, "password": "secret-1", "source": "t"}])
        id: str = made["responses"][0]["user"]["id"]
        return id


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    async with testing.server(sets=SETS) as running, httpx.AsyncClient(timeout=30) as client:
        yield Port(running, client)


async def test_a_name_with_its_password_or_any_name_with_a_token(port: Port) -> None:
    for who in (MAIN, ("anything", SEEDED.token), ("", SEEDED.token)):
        assert await port.register("ORDERS", who) == 204
        assert (await port.ask("PUT", "/apps/ORDERS/h:ORDERS", who)).status_code == 200
        assert await port.apps(who) == {"ORDERS"}


@pytest.mark.parametrize(
    "who", [None, ("polaris", "wrong"), ("nobody", "polaris"), ("polaris", ""), ("x", "AAAA" * 20)]
)
async def test_who_proves_nothing_is_asked_for_credentials(port: Port, who: tuple[str, str] | None) -> None:
    for _ in range(2):
        answer = await port.ask("GET", "/apps", who)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="eureka"')
    assert await port.register("ORDERS", who) == 401


async def test_a_right_on_a_service_holds_here_too(port: Port) -> None:
    ann = ("ann", "secret-1")
    id = await port.user("ann")
    for app in ("ORDERS", "PAYMENTS"):
        assert await port.register(app, MAIN) == 204
    assert (await port.ask("GET", "/apps", ann)).status_code == 403
    found = await port.console("GET", "/naming/v1/services?name=orders")
    policy = {
        "name": "p", "action": "ALLOW", "principals": {"users": [{"id": id}]},
        "functions": ["DiscoverInstances", "RegisterInstance"],
        "resources": {"services": [{"id": found["services"][0]["id"]}]},
    }  # fmt: skip
    assert (await port.console("POST", "/core/v1/auth/strategy", policy))["code"] == 200000
    assert await port.apps(ann) == await port.apps(ann, "/apps/delta") == {"ORDERS"}
    assert await port.apps(MAIN) == {"ORDERS", "PAYMENTS"}
    assert (await port.ask("GET", "/apps/ORDERS", ann)).status_code == 200
    assert (await port.ask("GET", "/apps/PAYMENTS", ann)).status_code == 403
    assert await port.apps(ann, "/vips/payments") == set()
    assert (await port.ask("GET", "/instances/h:PAYMENTS", ann)).status_code == 404
    assert await port.register("ORDERS", ann) == 204
    assert await port.register("PAYMENTS", ann) == 403
    assert await port.register("NEW", ann) == 403
    assert await port.register("PAYMENTS", MAIN) == 204, "a change that ann does not see"
    assert await port.apps(ann) == {"ORDERS"}


async def test_the_latest_changes_are_those_of_what_one_may_see(port: Port) -> None:
    ann, everything = ("ann", "secret-1"), {"namespaces": [{"id": "*"}], "services": [{"id": "*"}]}
    principals = {"users": [{"id": await port.user("ann")}]}
    for app in ("ORDERS", "PAYMENTS"):
        assert await port.register(app, MAIN) == 204
    found = await port.console("GET", "/naming/v1/services?name=payments")
    denied = {"services": [{"id": found["services"][0]["id"]}]}
    for name, action, resources in (("sees", "ALLOW", everything), ("but", "DENY", denied)):
        policy = {"name": name, "action": action, "principals": principals, "functions": ["*"], "resources": resources}
        assert (await port.console("POST", "/core/v1/auth/strategy", policy))["code"] == 200000
    page = (await port.ask("GET", "/../lastn", MAIN)).text
    assert "ORDERS(" in page
    assert "PAYMENTS(" in page
    page = (await port.ask("GET", "/../lastn", ann)).text
    assert "ORDERS(" in page
    assert "PAYMENTS(" not in page
    assert await port.apps(ann) == {"ORDERS"}


async def test_a_changed_password_ends_the_old_one_at_once(port: Port) -> None:
    ann, id = ("ann", "secret-1"), await port.user("ann")
    assert (await port.ask("GET", "/apps", ann)).status_code == 403, "known, without a right"
    await port.console("PUT", "/core/v1/user/password", {"id": id, "new_password": "secret-2"})
    assert (await port.ask("GET", "/apps", ann)).status_code == 401
    assert (await port.ask("GET", "/apps", ("ann", "secret-2"))).status_code == 403


async def test_a_disabled_account_is_out(port: Port) -> None:
    ann, id = ("ann", "secret-1"), await port.user("ann")
    assert (await port.ask("GET", "/apps", ann)).status_code == 403
    await port.console("PUT", "/core/v1/user/token/status", {"id": id, "token_enable": False})
    assert (await port.ask("GET", "/apps", ann)).status_code == 401


async def test_guessing_is_limited(port: Port) -> None:
    statuses = [(await port.ask("GET", "/apps", ("polaris", f"guess-{n}"))).status_code for n in range(PER_NAME + 1)]
    assert statuses == [401] * PER_NAME + [429]
    assert (await port.ask("GET", "/apps", ("anything", SEEDED.token))).status_code == 200
