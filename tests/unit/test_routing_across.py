"""One rule of routing governs look-ups through every protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import dns.asyncquery
import dns.message
import dns.rdatatype
import httpx
import pytest

from polaris_bridge import testing

OLD, NEW = "10.0.0.1", "10.0.0.2"
SERVICE = {"namespace": "default", "service": "shop"}
SETS = [f"apiservers.{name}.option.routing=true" for name in ("service-eureka", "service-nacos", "service-consul")]


class World:
    """A server with a shop of two versions and one application on this machine, which is therefore known as the caller."""

    def __init__(self, running: testing.Running, http: httpx.AsyncClient) -> None:
        self._running = running
        self._http = http

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, f"{self._running.front}{path}", json=body)
        assert answer.json()["code"] == 200000, answer.text
        return answer.json()

    async def write(self, groups: list[dict[str, Any]], source: str = "cart") -> str:
        sub = {"name": "s", "sources": [{"namespace": "default", "service": source}], "destinations": groups}
        config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": [sub]}
        rule = {"name": "r", "namespace": "default", "enable": True, "routing_policy": "RulePolicy"}
        [answer] = (await self.call("POST", "/naming/v2/routings", [rule | {"routing_config": config}]))["responses"]
        return str(answer["data"]["id"])

    async def get(self, url: str) -> Any:
        return (await self._http.get(url, headers={"Accept": "application/json"})).json()

    async def eureka(self) -> dict[str, float]:
        found = await self.get(f"{self._running.eureka}/apps/SHOP")
        return {one["ipAddr"]: 1 for one in found["application"]["instance"]}

    async def nacos(self) -> dict[str, float]:
        found = await self.get(f"http://{self._running.nacos}/nacos/v1/ns/instance/list?serviceName=shop")
        return {one["ip"]: one["weight"] for one in found["hosts"]}

    async def consul(self) -> dict[str, float]:
        found = await self.get(f"http://{self._running.consul}/v1/health/service/shop")
        return {one["Service"]["Address"]: one["Service"]["Weights"]["Passing"] for one in found}

    async def names(self) -> dict[str, float]:
        host, _, port = self._running.dns.rpartition(":")
        asked = dns.message.make_query("shop.service.consul.", "SRV")
        answer = await dns.asyncquery.udp(asked, host, timeout=5, port=int(port))
        weights = {
            str(record.target): record.weight
            for found in answer.answer
            if found.rdtype == dns.rdatatype.SRV
            for record in found
        }
        places = {
            str(found.name): str(record)
            for found in answer.additional
            if found.rdtype == dns.rdatatype.A
            for record in found
        }
        return {places[target]: weight for target, weight in weights.items()}

    @property
    def readers(self) -> list[Callable[[], Awaitable[dict[str, float]]]]:
        return [self.eureka, self.nacos, self.consul, self.names]


def group(version: str, weight: int = 100) -> dict[str, Any]:
    return SERVICE | {"labels": {"version": {"value": version}}, "weight": weight, "name": version}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with testing.server(sets=SETS) as running, httpx.AsyncClient() as http:
        world = World(running, http)
        names = [{"namespace": "default", "name": name} for name in ("shop", "cart")]
        await world.call("POST", "/naming/v1/services", names)
        shops = [
            SERVICE | {"host": host, "port": 80, "metadata": {"version": v}} for host, v in ((OLD, "1"), (NEW, "2"))
        ]
        cart = {"namespace": "default", "service": "cart", "host": "127.0.0.1", "port": 9, "metadata": {}}
        await world.call("POST", "/naming/v1/instances", [*shops, cart])
        yield world


async def test_one_rule_is_for_everybody(world: World) -> None:
    for read in world.readers:
        assert set(await read()) == {OLD, NEW}
    rule = await world.write([group("2")])
    for read in world.readers:
        assert set(await read()) == {NEW}
    explained = await world.call("GET", "/naming/v1/routing/explain?service=shop&callerAddress=127.0.0.1")
    assert explained["lookUp"]["caller"] == "default/cart, by what 127.0.0.1 registered"
    assert [one["host"] for one in explained["lookUp"]["instances"]] == [NEW]
    await world.call("POST", "/naming/v2/routings/delete", [{"id": rule}])
    for read in world.readers:
        assert set(await read()) == {OLD, NEW}


async def test_a_rule_for_others_is_for_nobody_here(world: World) -> None:
    await world.write([group("2")], "web")
    for read in world.readers:
        assert set(await read()) == {OLD, NEW}


async def test_weights_follow_where_there_are_some(world: World) -> None:
    await world.write([group("1", 90), group("2", 10)])
    assert set(await world.eureka()) == {OLD, NEW}
    for read in (world.nacos, world.consul, world.names):
        found = await read()
        assert found[OLD] / found[NEW] == 9
