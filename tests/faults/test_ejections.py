"""A provider that goes bad, and gets well again, as readers of every protocol see it: one server, its own probes, real ports."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
import pytest

from polaris_bridge.testing import Running, server

WITHIN_S: Final = 20.0
NACOS, CONSUL, EUREKA, NATIVE = EVERYBODY = ("127.0.0.11", "127.0.0.12", "127.0.0.13", "127.0.0.14")
"""Addresses of the instances, by the protocol that registers each."""
MY_OWN: Final = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"
SHOP: Final = {"service": "shop", "namespace": "default"}
RULES, DETECTORS = "/naming/v1/circuitbreaker/rules", "/naming/v1/faultdetectors"
REPORT: Final = "/naming/v1/circuitbreaker/report"


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition that readers who only poll can see."""
    async with asyncio.timeout(WITHIN_S):
        while not await true():  # noqa: ASYNC110  # nobody tells them
            await asyncio.sleep(0.05)


class Provider:
    """Instances on several addresses of this machine and one port; each answers what the test says."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.port = 0
        self.asked = 0
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for host in EVERYBODY:
            found = await asyncio.start_server(self._answer, host, self.port)
            self._servers.append(found)
            self.port = found.sockets[0].getsockname()[1]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not await reader.read(4096):
            writer.close()
            return
        self.asked += 1
        status = b"500 Broken" if writer.get_extra_info("sockname")[0] in self.bad else b"200 OK"
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    def stop(self) -> None:
        for each in self._servers:
            each.close()


class Readers:
    """Clients of every protocol: who is healthy, as each of them sees it."""

    def __init__(self, running: Running, http: httpx.AsyncClient) -> None:
        self.running = running
        self.http = http

    async def get(self, url: str, **params: Any) -> Any:
        found = await self.http.get(url, params=params, headers={"Accept": "application/json"})
        assert found.status_code == 200, found.text
        return found.json()

    async def native(self) -> set[str]:
        answer = await self.get(f"{self.running.front}/naming/v1/instances", **SHOP)
        return {i["host"] for i in answer["instances"] if i["healthy"] and not i["isolate"]}

    async def nacos(self) -> set[str]:
        answer = await self.get(f"http://{self.running.nacos}/nacos/v1/ns/instance/list", serviceName="shop")
        assert len(answer["hosts"]) == 4, "unhealthy ones are listed"
        return {i["ip"] for i in answer["hosts"] if i["healthy"] and i["enabled"]}

    async def eureka(self) -> set[str]:
        answer = await self.get(f"{self.running.eureka}/apps/SHOP")
        return {i["ipAddr"] for i in answer["application"]["instance"] if i["status"] == "UP"}

    async def consul(self) -> set[str]:
        answer = await self.get(f"http://{self.running.consul}/v1/health/service/shop", passing="1")
        return {i["Service"]["Address"] or i["Node"]["Address"] for i in answer}

    async def dns(self) -> set[str]:
        host, _, port = self.running.dns.rpartition(":")
        name = b"".join(bytes([len(part)]) + part for part in (b"shop", b"service", b"consul")) + b"\0"
        question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + name + struct.pack(">2H", 1, 1)
        reader, writer = await asyncio.open_connection(host, int(port))  # over UDP three addresses are the most
        writer.write(struct.pack(">H", len(question)) + question)
        (size,) = struct.unpack(">H", await reader.readexactly(2))
        answer = await reader.readexactly(size)
        writer.close()
        count = struct.unpack(">6H", answer[:12])[3]
        records = answer[len(question) :]
        return {socket.inet_ntoa(records[at * 16 + 12 : at * 16 + 16]) for at in range(count)}

    async def all(self) -> dict[str, set[str]]:
        names = ("native", "nacos", "eureka", "consul", "dns")
        return {name: await getattr(self, name)() for name in names}

    async def wait_for(self, *hosts: str) -> None:
        """Until everybody sees exactly these as healthy."""
        seen: dict[str, set[str]] = {}
        async with asyncio.timeout(WITHIN_S):
            while True:
                seen = await self.all()
                if all(found == set(hosts) for found in seen.values()):
                    return
                await asyncio.sleep(0.05)  # readers that only poll

    async def post(self, path: str, body: Any) -> Any:
        answer = (await self.http.post(f"{self.running.front}{path}", json=body)).json()
        assert answer["code"] == 200000, answer
        return answer


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """The instances themselves."""
    provider = Provider()
    await provider.start()
    try:
        yield provider
    finally:
        provider.stop()


@asynccontextmanager
async def world() -> AsyncIterator[tuple[Readers, Provider]]:
    """One instance of a service registered through each protocol."""
    async with (
        providing() as provider,
        server(sets=["circuitBreaker.maxEjectionPercent=75"]) as running,
        httpx.AsyncClient() as http,
    ):
        readers = Readers(running, http)
        place = {"serviceName": "shop", "ip": NACOS, "port": str(provider.port), "ephemeral": "false"}
        found = await http.post(f"http://{running.nacos}/nacos/v1/ns/instance", params=place)
        assert found.text == "ok"
        service = {"Name": "shop", "ID": "shop-1", "Address": CONSUL, "Port": provider.port}
        found = await http.put(f"http://{running.consul}/v1/agent/service/register", json=service)
        assert found.status_code == 200
        port = {"$": provider.port, "@enabled": "true"}
        said = {"hostName": EUREKA, "ipAddr": EUREKA, "app": "SHOP", "status": "UP", "port": port, "vipAddress": "shop",
                "instanceId": "shop-2", "dataCenterInfo": {"@class": MY_OWN, "name": "MyOwn"}}  # fmt: skip
        found = await http.post(f"{running.eureka}/apps/SHOP", json={"instance": said})
        assert found.status_code == 204, found.text
        await readers.post("/naming/v1/instances", [SHOP | {"host": NATIVE, "port": provider.port}])
        yield readers, provider


def breaker(**members: Any) -> dict[str, Any]:
    anybody = {"service": "*", "namespace": "*"}
    return {
        "name": "no 500", "enable": True, "level": "INSTANCE", "ruleMatcher": {"source": anybody, "destination": SHOP},
        "errorConditions": [{"inputType": "RET_CODE", "condition": {"type": "REGEX", "value": "^5"}}],
        "triggerCondition": [{"triggerType": "CONSECUTIVE_ERROR", "errorCount": 2}],
        "recoverCondition": {"sleepWindow": 1, "consecutiveSuccess": 1},
        "faultDetectConfig": {"enable": True},
    } | members  # fmt: skip


SLOWLY: Final = {"sleepWindow": 3, "consecutiveSuccess": 1}
DETECTOR: Final = {
    "name": "ask", "targetService": SHOP, "protocol": "HTTP", "interval": 1, "timeout": 1000,
    "httpConfig": {"method": "GET", "url": "/health"},
}  # fmt: skip


@pytest.mark.timeout(120)
async def test_who_goes_bad_is_seen_unhealthy_by_everybody_until_it_is_well_again() -> None:
    async with world() as (readers, provider):
        await readers.wait_for(*EVERYBODY)
        await readers.post(RULES, [breaker()])
        await readers.post(DETECTORS, [DETECTOR])
        provider.bad = {CONSUL}
        await readers.wait_for(NACOS, EUREKA, NATIVE)
        shop = f"http://{readers.running.consul}/v1/health/service/shop"
        [own] = [i for i in await readers.get(shop) if i["Service"]["ID"] == "shop-1"]
        assert ("Circuit breaker", "critical") in {(c["Name"], c["Status"]) for c in own["Checks"]}
        assert any("rule no 500: probes: 2 errors in a row" in c["Output"] for c in own["Checks"])
        provider.bad = {CONSUL, NACOS, EUREKA}
        await readers.wait_for(NATIVE)
        provider.bad = set()
        await readers.wait_for(*EVERYBODY)
        explained = await readers.get(f"{readers.running.front}/naming/v1/circuitbreaker/explain", service="shop")
        assert {(probe["host"], probe["port"]) for probe in explained["probes"]} == {
            (host, provider.port) for host in EVERYBODY
        }
        assert {turn["after"] for turn in explained["turns"]} == {"open", "half-open", "closed"}


@pytest.mark.timeout(120)
async def test_the_last_one_that_works_stays_and_a_rule_that_goes_takes_ejections_along() -> None:
    async with world() as (readers, provider):
        [written] = (await readers.post(RULES, [breaker()]))["responses"]
        await readers.post(DETECTORS, [DETECTOR])
        provider.bad = set(EVERYBODY)

        async def alone() -> bool:
            return len(await readers.native()) == 1

        await until(alone)
        enough = provider.asked + 12

        async def asked_again() -> bool:
            assert await alone()
            return provider.asked >= enough

        await until(asked_again)
        await readers.post(f"{RULES}/delete", [{"id": written["data"]["id"]}])
        await readers.wait_for(*EVERYBODY)


@pytest.mark.timeout(120)
async def test_two_callers_eject_and_one_does_not() -> None:
    async with world() as (readers, provider):
        await readers.post(RULES, [breaker(faultDetectConfig={"enable": False}, recoverCondition=SLOWLY)])
        told = {"service": "shop", "results": [{"host": CONSUL, "port": provider.port, "code": "503", "count": 9}]}
        url = f"{readers.running.front}{REPORT}"
        for _ in range(3):
            assert (await readers.http.post(url, json=told)).json()["states"] == []
        assert (await readers.all())["consul"] == set(EVERYBODY)
        transport = httpx.AsyncHTTPTransport(local_address="127.0.0.99")
        async with httpx.AsyncClient(transport=transport) as other:
            [state] = (await other.post(url, json=told)).json()["states"]
        assert (state["state"], state["host"]) == ("open", CONSUL)
        await readers.wait_for(NACOS, EUREKA, NATIVE)
        await readers.wait_for(*EVERYBODY)
