"""Persistent instances of a running server: real connections and requests decide what its readers see."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import httpx
import pytest

from polaris_bridge.adapters.nacos.service import checks
from polaris_bridge.testing import server

WITHIN_S = 20


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything happens a hundred times faster than it does for people."""
    monkeypatch.setattr(checks, "FIRST_MS", (20, 70))
    monkeypatch.setattr(checks, "INTERVAL_MS", 30)


class Nacos:
    """Calls of the v1 API."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._url = url

    async def call(self, method: str, path: str, **params: Any) -> httpx.Response:
        return await self._client.request(method, f"{self._url}/nacos/v1/ns{path}", params=params)

    async def ok(self, method: str, path: str, **params: Any) -> None:
        answer = await self.call(method, path, **params)
        assert (answer.status_code, answer.text) == (200, "ok")

    async def register(self, port: int, **more: Any) -> None:
        await self.ok("POST", "/instance", serviceName="orders", ip="127.0.0.1", port=port, ephemeral="false", **more)

    async def define(self, checker: dict[str, Any], port: int = 80, own_port: str = "true") -> None:
        described = {"checkPort": port, "useInstancePort4Check": own_port, "healthChecker": json.dumps(checker)}
        await self.ok("PUT", "/cluster", serviceName="orders", clusterName="DEFAULT", **described)

    async def healthy(self) -> dict[int, bool]:
        listed = (await self.call("GET", "/instance/list", serviceName="orders")).json()
        return {host["port"]: host["healthy"] for host in listed["hosts"]}

    async def until(self, port: int, healthy: bool) -> None:
        deadline = time.monotonic() + WITHIN_S
        while (await self.healthy())[port] is not healthy:
            assert time.monotonic() < deadline, f"{port} did not turn {healthy}"
            await asyncio.sleep(0.01)


@pytest.fixture
async def nacos() -> AsyncIterator[Nacos]:
    async with server() as running, httpx.AsyncClient() as client:
        yield Nacos(client, f"http://{running.nacos}")


@asynccontextmanager
async def answering(status: list[int], asked: list[bytes]) -> AsyncIterator[int]:
    """An HTTP server whose status the test says; its port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 %d As told\r\nContent-Length: 0\r\n\r\n" % status[0])
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # somebody who only wanted to know whether there is a server
        finally:
            writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


@pytest.fixture
def closed_port() -> Any:
    """One that refuses."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_who_accepts_connections_is_healthy_and_who_does_not_is_not(nacos: Nacos, closed_port: int) -> None:
    async with answering([200], []) as open_port:
        await nacos.register(open_port, healthy="false")
        await nacos.register(closed_port)
        assert await nacos.healthy() == {open_port: False, closed_port: True}
        await nacos.until(open_port, True)
        await nacos.until(closed_port, False)
    assert len(await nacos.healthy()) == 2, "kept while unhealthy"


async def test_the_port_of_the_cluster_decides_for_all(nacos: Nacos, closed_port: int) -> None:
    async with answering([200], []) as open_port:
        await nacos.register(1)
        await nacos.until(1, False)
        await nacos.define({"type": "TCP"}, open_port, "false")
        await nacos.until(1, True)
        await nacos.define({"type": "TCP"}, closed_port, "false")
        await nacos.until(1, False)


async def test_an_http_status_decides(nacos: Nacos) -> None:
    status, asked = [200], []
    async with answering(status, asked) as port:
        await nacos.register(port)
        await nacos.define({"type": "HTTP", "path": "/health", "headers": "X-A:1", "expectedResponseCode": 200})
        status[0] = 500
        await nacos.until(port, False)
        status[0] = 200
        await nacos.until(port, True)
    assert any(head.startswith(b"GET /health HTTP/1.1\r\n") and b"\r\nX-A: 1\r\n" in head for head in asked)


async def test_a_persons_word_counts_where_nobody_asks(nacos: Nacos, closed_port: int) -> None:
    await nacos.register(closed_port)
    said = {"serviceName": "orders", "ip": "127.0.0.1", "port": closed_port, "clusterName": "DEFAULT"}
    refused = await nacos.call("PUT", "/health/instance", **said, healthy="false")
    assert refused.status_code == 400
    assert "health check is still working, service: DEFAULT_GROUP@@orders, cluster: DEFAULT" in refused.text
    await nacos.until(closed_port, False)
    await nacos.define({"type": "NONE"})
    await nacos.ok("PUT", "/health/instance", **said, healthy="true")
    assert await nacos.healthy() == {closed_port: True}


async def test_an_operator_ends_all_asking(nacos: Nacos, closed_port: int) -> None:
    await nacos.ok("PUT", "/operator/switches", entry="check", value="false")
    await nacos.register(closed_port)
    async with answering([200], asked := []) as port:
        await nacos.register(port)
        await nacos.define({"type": "HTTP"})
        await nacos.ok("PUT", "/operator/switches", entry="check", value="true")
        await nacos.until(closed_port, False)
        assert asked
