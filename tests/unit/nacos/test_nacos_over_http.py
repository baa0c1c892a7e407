"""The Nacos HTTP port over real connections: both paths answer alike, no input hurts it, and 1.x clients are pushed to."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.testing import Running, server

FORM = "application/x-www-form-urlencoded"
JAVA = {"User-Agent": "Nacos-Java-Client:v1.4.8"}
_TIMES = re.compile(rb'"(lastRefTime|timestamp|lastRefreshTime|cpu|load|mem)":("[^"]*"|[-0-9.e]+)')

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Answer = tuple[int, list[tuple[str, str]], bytes]


@pytest.fixture
async def running(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Running]:
    """A server; whatever it logs as an error, or with a traceback, is a failure."""
    caplog.set_level(logging.WARNING)
    async with server() as found:
        yield found
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info] == []


async def connect(running: Running) -> Stream:
    return await asyncio.open_connection("127.0.0.1", int(running.nacos.split(":")[1]))


def listener(running: Running) -> HttpListener:
    port = int(running.nacos.split(":")[1])
    return next(x for x in running.server.listeners if isinstance(x, HttpListener) and x.port == port)


def request(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{k}: {v}" for k, v in headers.items())]
    if body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def exchange(stream: Stream, method: str, raw: bytes) -> Answer:
    reader, writer = stream
    writer.write(raw)
    async with asyncio.timeout(8):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(k.lower(), v) for k, _, v in (line.partition(": ") for line in head[1:] if line)]
        length = int(dict(headers).get("content-length", "0"))
        body = b"" if method == "HEAD" else await reader.readexactly(length)
    stable = sorted((k, v) for k, v in headers if k not in ("date", "content-length"))
    return int(head[0].split(" ")[1]), stable, _TIMES.sub(rb'"\1":0', body)


NAMES = st.sampled_from([
    "orders", "DEFAULT_GROUP@@orders", "G@@orders", "@@x", "a b", "", "%zz", "中", "a__b", "G__s",
])  # fmt: skip
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "serviceName": NAMES,
        "ip": st.sampled_from(["10.0.0.1", "10.0.0.2", "::1", "host", "a b", ""]),
        "port": st.sampled_from(["80", "81", "0", "-1", "x", "70000", ""]),
        "groupName": st.sampled_from(["G", "", "a b"]),
        "namespaceId": st.sampled_from(["public", "", "n1", "a.b"]),
        "clusterName": st.sampled_from(["A", "None", "a_b", "a.b", ""]),
        "clusters": st.sampled_from(["A", "A,B", ""]),
        "weight": st.sampled_from(["1", "0", "2.5", "-1", "nan", "x"]),
        "enabled": st.sampled_from(["true", "False", "x"]),
        "enable": st.sampled_from(["false"]),
        "healthy": st.sampled_from(["false", "True"]),
        "healthyOnly": st.sampled_from(["true", "False"]),
        "ephemeral": st.sampled_from(["true", "false"]),
        "metadata": st.sampled_from(["a=1", '{"a":"1"}', "{", "k=" + "v" * 2000, '{"a":1}']),
        "beat": st.sampled_from(
            ['{"ip":"10.0.0.1","port":80}', '{"ip":"10.0.0.9","port":9,"metadata":{"a":"b"}}', "{", "[]"]
        ),
        "instances": st.sampled_from(['[{"ip":"10.0.0.1","port":80}]', "[", ""]),
        "consistencyType": st.sampled_from(["ephemeral", "persist", "x"]),
        "udpPort": st.sampled_from(["0", "9", "x", "99999"]),
        "key": NAMES,
        "accessToken": st.sampled_from(["", "x.y.z"]),
    },
)
PATHS = st.sampled_from([
    *["/nacos/v1/ns/instance"] * 4, *["/nacos/v1/ns/instance/list"] * 2, *["/nacos/v1/ns/instance/beat"] * 2,
    "/nacos/v1/ns/instance/metadata/batch", "/nacos/v1/ns/instance/statuses", "/nacos/v1/ns/instance/statuses/K",
    "/nacos/v1/ns/instance/", "/nacos/v1/ns/instanceX", "/nacos/v2/ns/instance", "/nacos/v2/ns/instance/list",
    "/nacos/v3/client/ns/instance", "/nacos/v3/client/ns/instance/list", "/nacos/v1/ns/service", "/nacos/v1/ns/service/list",
    "/nacos", "/nacos/", "/", "/nacos/%zz", "/nacos/v1/ns/%00", "/nacos/v1/ns/raft/leader", "/nacos/v1/console/server/stat",
])  # fmt: skip
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "Accept": st.sampled_from(["*/*", "text/html, image/gif, */*; q=0.2", "application/json", "\xe4"]),
        "User-Agent": st.sampled_from(["Nacos-Java-Client:v1.4.8", "\xe4"]),
        "Content-Type": st.sampled_from([FORM, FORM + ";charset=UTF-8", "application/json", "multipart/form-data"]),
        "Authorization": st.sampled_from(["Bearer x", "Basic YTpi"]),
        "accessToken": st.sampled_from(["x"]),
    },
)
METHODS = st.sampled_from(["GET", "GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])


def encoded(params: dict[str, str]) -> str:
    return "&".join(f"{name}={quote(value, safe='%')}" for name, value in params.items())


async def test_hot_and_cold_answer_alike() -> None:
    """Two servers, one with the hot path off, live through the same requests."""
    async with server() as hot, server() as cold:
        listener(cold)._state.hot = lambda _method, _target: None
        both = [await connect(hot), await connect(cold)]

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        @given(METHODS, PATHS, PARAMS, PARAMS, HEADERS)
        def alike(method: str, path: str, query: dict[str, str], form: dict[str, str], headers: dict[str, str]) -> None:
            body = encoded(form).encode() if method in ("PUT", "POST", "PATCH", "DELETE") else b""
            raw = request(method, f"{path}?{encoded(query)}", headers, body)
            future = asyncio.run_coroutine_threadsafe(_both(both, method, raw), loop)
            first, second = future.result(20)
            assert first == second

        async def _both(streams: list[Stream], method: str, raw: bytes) -> list[Answer]:
            return [await exchange(stream, method, raw) for stream in streams]

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(alike)
        assert listener(hot).counters().errors == listener(cold).counters().errors == 0
        for _, writer in both:
            writer.transport.abort()


class _Receiver(asyncio.DatagramProtocol):
    """A 1.x client's side of the push: it acknowledges."""

    def __init__(self) -> None:
        self.lists: asyncio.Queue[Any] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        found = json.loads(data)
        ack = {"type": "push-ack", "lastRefTime": str(found["lastRefTime"]), "data": ""}
        assert self.transport is not None
        self.transport.sendto(json.dumps(ack).encode(), addr)
        self.lists.put_nowait(json.loads(found["data"]))


async def test_a_1x_client_lives_with_a_running_server(running: Running) -> None:
    loop = asyncio.get_running_loop()
    transport, receiver = await loop.create_datagram_endpoint(_Receiver, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    stream = await connect(running)

    async def call(method: str, path: str, **params: object) -> Answer:
        query = encoded({name: str(value) for name, value in params.items()})
        return await exchange(stream, method, request(method, f"/nacos/v1/ns/{path}?{query}", JAVA))

    async with asyncio.timeout(20):
        status, _, body = await call("GET", "instance/list", serviceName="s", udpPort=port, clientIP="127.0.0.1")
        assert (status, json.loads(body)["hosts"]) == (200, [])
        place = {"serviceName": "s", "ip": "10.0.0.1", "port": 80}
        assert (await call("POST", "instance", **place))[::2] == (200, b"ok")
        while not (pushed := await receiver.lists.get())["hosts"]:
            pass  # the first push, of the state at the subscription
        assert [(host["ip"], host["port"]) for host in pushed["hosts"]] == [("10.0.0.1", 80)]
        assert json.loads((await call("PUT", "instance/beat", **place))[2])["code"] == 10200
        assert (await call("DELETE", "instance", **place))[::2] == (200, b"ok")
        while (pushed := await receiver.lists.get())["hosts"]:
            pass
    transport.close()
    stream[1].close()
    await stream[1].wait_closed()


async def test_bodies_may_be_large_and_headers_odd(running: Running) -> None:
    stream = await connect(running)
    big = b"metadata=" + b"x" * 3_000_000
    raw = request("POST", "/nacos/v1/ns/instance?serviceName=s&ip=1.1.1.1&port=1", {"Content-Type": FORM}, big)
    status, _, body = await exchange(stream, "POST", raw)
    assert (status, body[:27]) == (400, b"Param 'Metadata' is illegal"), "it is not read"
    head = await exchange(stream, "HEAD", request("HEAD", "/nacos/v1/ns/instance/list?serviceName=s", {}))
    assert head[0] == 200
    stream[1].close()
    await stream[1].wait_closed()
