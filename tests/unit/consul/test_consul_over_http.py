"""A real listener: a client that hangs up, a server that stops, the log as a stream, both ways to a handler."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from polaris_bridge.adapters.consul.build import ConsulFace
from polaris_bridge.testing import Running, server


class Connection:
    """One connection, raw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, method: str, target: str, body: object = None) -> None:
        raw = b"" if body is None else json.dumps(body).encode()
        self.writer.write(f"{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(raw)}\r\n\r\n".encode() + raw)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, _, value in pairs}

    async def answer(self) -> tuple[int, Any]:
        status, headers = await self.head()
        body = await self.reader.readexactly(int(headers["content-length"]))
        return status, json.loads(body) if headers.get("content-type") == "application/json" else body

    async def ask(self, method: str, target: str, body: object = None) -> tuple[int, Any]:
        await self.send(method, target, body)
        return await self.answer()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Go at once, without a farewell."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with server(sets=["apiservers.service-consul.option.nodeName=here"]) as found:
        yield found


async def connect(running: Running) -> Connection:
    host, port = running.consul.split(":")
    return Connection(*await asyncio.open_connection(host, int(port)))


def face(running: Running) -> ConsulFace:
    return next(each for each in running.server.faces if isinstance(each, ConsulFace))


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0)


async def test_a_service_comes_is_heard_of_and_goes(running: Running) -> None:
    client = await connect(running)
    assert await client.ask(
        "PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80, "Check": {"TTL": "10s"}}
    ) == (200, b"")
    assert await client.ask("PUT", "/v1/agent/check/pass/service%3Aweb?note=fine") == (200, b"")
    status, found = await client.ask("GET", "/v1/agent/checks")
    assert (status, found["service:web"]["Output"], found["service:web"]["Node"]) == (200, "fine", "here")
    assert await client.ask("PUT", "/v1/agent/service/deregister/web") == (200, b"")
    assert await client.ask("GET", "/v1/agent/services") == (200, {})
    client.close()


async def test_who_hangs_up_is_forgotten(running: Running) -> None:
    asking, waiting = await connect(running), await connect(running)
    await asking.ask("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
    _, found = await asking.ask("GET", "/v1/agent/service/web")
    http = face(running)._http
    await waiting.send("GET", f"/v1/agent/service/web?hash={found['ContentHash']}&wait=10m")
    await until(lambda: http.blocked)
    waiting.reset()
    await until(lambda: not http.blocked)
    asking.close()


async def test_a_server_that_stops_answers_who_waits() -> None:
    async with server() as running:
        client = await connect(running)
        await client.ask("PUT", "/v1/agent/service/register", {"Name": "web", "Port": 80})
        _, found = await client.ask("GET", "/v1/agent/service/web")
        await client.send("GET", f"/v1/agent/service/web?hash={found['ContentHash']}&wait=10m")
        await until(lambda: face(running)._http.blocked)
    async with asyncio.timeout(5):
        status, again = await client.answer()
    assert (status, again) == (200, found)
    client.close()


@pytest.mark.parametrize("as_json", [False, True])
async def test_the_log_as_a_stream(running: Running, as_json: bool) -> None:
    client = await connect(running)
    await client.send("GET", f"/v1/agent/monitor?loglevel=warn{'&logjson' if as_json else ''}")
    status, headers = await client.head()
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "content-length" not in headers
    log = logging.getLogger("polaris_bridge.test")
    await until(lambda: face(running)._http._monitor.following)
    log.info("too quiet")
    log.warning("loud and %s", "clear")
    async with asyncio.timeout(5):
        line = (await client.reader.readuntil(b"clear" + (b'"' if as_json else b"\n"))).decode()
    assert "too quiet" not in line
    assert ('"@level": "warn"' if as_json else "[WARN]  agent.test: loud and clear") in line
    client.reset()
    await until(lambda: not face(running)._http._monitor.following)


async def test_the_log_is_refused_like_anything_else(running: Running) -> None:
    client = await connect(running)
    assert await client.ask("GET", "/v1/agent/monitor?loglevel=loud") == (400, b"Unknown log level: loud")
    assert (await client.ask("PUT", "/v1/agent/monitor"))[0] == 405
    client.close()


async def test_a_stream_ends_when_the_server_stops() -> None:
    async with server() as running:
        client = await connect(running)
        await client.send("GET", "/v1/agent/monitor")
        assert (await client.head())[0] == 200
        await until(lambda: face(running)._http._monitor.following)
    async with asyncio.timeout(5):
        while await client.reader.read(4096):
            pass
    client.close()


async def test_two_listeners_show_one_store_under_their_own_datacenters() -> None:
    first = "{name: service-consul, option: {listenPort: 0, dnsPort: -1}}"
    second = "{name: service-consul, option: {listenPort: 0, dnsPort: -1, datacenter: dc2}}"
    config = f"apiservers=[{{name: api-http, option: {{listenPort: 0}}}}, {first}, {second}]"
    async with server(sets=[config]) as running:
        ports = [each.port for each in running.server.listeners]
        clients = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for port in ports]
        await clients[0].ask("PUT", "/v1/agent/service/register", {"Name": "web", "Check": {"TTL": "10s"}})
        await clients[1].ask("PUT", "/v1/agent/check/pass/service:web")
        found = [(await client.ask("GET", "/v1/agent/services"))[1]["web"]["Datacenter"] for client in clients]
        assert found == ["dc1", "dc2"]
        assert (await clients[0].ask("GET", "/v1/agent/checks"))[1]["service:web"]["Status"] == "passing"
        for client in clients:
            client.close()
