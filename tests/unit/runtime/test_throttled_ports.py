"""``plugin.ratelimit`` on every port of a whole server: each protocol's own words for "too many", and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import grpc
import httpx
import pytest
from grpc import aio

from polaris_bridge.adapters.consul.wire import dns
from polaris_bridge.adapters.nacos.server import limited as nacos_words
from polaris_bridge.adapters.nacos.wire.payload import decode, encode
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.runtime import server as wiring
from polaris_bridge.runtime.plugins.ratelimit import RateLimits
from polaris_bridge.testing import Running, server

ONE: str = "open: true, global: {bucket: 1, rate: 1}"
BY_ADDRESS = f"plugin.ratelimit.option={{enable: true, ip-limit: {{{ONE}}}}}"


class World:
    """A server whose buckets are refilled by hand."""

    running: Running

    def __init__(self) -> None:
        self.now_s = 100.0

    def refill(self) -> None:
        """Every bucket of one token is full."""
        self.now_s += 1.0


@asynccontextmanager
async def limited(monkeypatch: pytest.MonkeyPatch, *sets: str) -> AsyncIterator[World]:
    world = World()

    def limits(settings: Any, _monotonic: Any, refused: Callable[..., None]) -> RateLimits:
        return RateLimits(settings, lambda: world.now_s, refused)

    monkeypatch.setattr(wiring, "RateLimits", limits)
    monkeypatch.setattr(nacos_words, "HELD_S", 0.01)
    async with server(sets=sets) as world.running:
        yield world


async def unary(target: str, path: str, message: bytes) -> bytes:
    async with aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary(path)
        answer: bytes = await call(message)
        return answer


async def one_of_a_stream(target: str, path: str, *messages: bytes) -> list[bytes]:
    async with aio.insecure_channel(target) as channel:
        call: Any = channel.stream_stream(path)()
        answers = []
        for message in messages:
            await call.write(message)
            answers.append(await call.read())
        await call.done_writing()
        return answers


def asked(target: str, name: str = "web.service.consul.") -> tuple[str, int, bytes]:
    host, port = target.split(":")
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    return host, int(port), b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\0\x00\x01\x00\x01"


async def over_udp(target: str) -> bytes:
    host, port, message = asked(target)
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes] = loop.create_future()

    class Once(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            arrived.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Once, remote_addr=(host, port))
    try:
        transport.sendto(message)
        return await asyncio.wait_for(arrived, 5)
    finally:
        transport.close()


async def over_tcp(target: str) -> bytes:
    host, port, message = asked(target)
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(len(message).to_bytes(2, "big") + message)
        size = int.from_bytes(await asyncio.wait_for(reader.readexactly(2), 5), "big")
        return await asyncio.wait_for(reader.readexactly(size), 5)
    finally:
        writer.close()


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as made:
        yield made


@pytest.mark.parametrize("target", ["/apps", "/apps/nobody", "/status", "/lastn"])
async def test_eureka(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient, target: str) -> None:
    """Requests that are answered beneath the framework, and those that are not."""
    async with limited(monkeypatch, BY_ADDRESS) as w:
        first = await client.get(w.running.eureka + target)
        second = await client.get(w.running.eureka + target)
        w.refill()
        third = await client.get(w.running.eureka + target)
    assert first.status_code == third.status_code != 429
    assert (second.status_code, second.content) == (429, b"")


async def test_native_http(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    async with limited(monkeypatch, BY_ADDRESS) as w:
        url = f"{w.running.front}/naming/v1/services"
        assert (await client.get(url)).status_code == 200
        answer = await client.get(url, headers={"Request-Id": "r1"})
        assert (answer.status_code, answer.headers["X-Polaris-Code"]) == (429, "429002")
        said = answer.json()
        assert (said["code"], said["info"]) == (429002, "server limit the ip access")
        assert answer.headers["Request-Id"] == "r1"
        for path in ("/livez", "/readyz", "/metrics"):  # operators are not cut off by a flood
            assert (await client.get(w.running.front + path)).status_code == 200
        w.refill()
        assert (await client.get(url)).status_code == 200


async def test_native_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    place = v1.Instance(
        service={"value": "a"}, namespace={"value": "default"}, host={"value": "10.0.0.1"}, port={"value": 80}
    ).SerializeToString()
    async with limited(monkeypatch, BY_ADDRESS) as w:
        call = partial(unary, w.running.grpc)
        answers = [await call("/v1.PolarisGRPC/RegisterInstance", place) for _ in range(2)]
        found = [v1.Response.FromString(each) for each in answers]
        assert [each.code.value for each in found] == [200000, 429002]
        assert found[1].info.value == "server limit the ip access"
        for path in ("/v1.PolarisGRPC/Heartbeat", "/v1.PolarisGRPC/DeregisterInstance"):
            assert v1.Response.FromString(await call(path, place)).code.value == 429002
        assert await call("/v1.PolarisHeartbeatGRPC/BatchGetHeartbeat", b"") == b""
        w.refill()
        assert v1.Response.FromString(await call("/v1.PolarisGRPC/Heartbeat", place)).code.value == 200000


async def test_every_message_of_a_native_stream_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    request = v1.DiscoverRequest(type=v1.DiscoverRequest.NAMESPACES, service={}).SerializeToString()
    async with limited(monkeypatch, BY_ADDRESS) as w:
        answers = await one_of_a_stream(w.running.grpc, "/v1.PolarisGRPC/Discover", request, request)
        w.refill()
        config = v1.ConfigDiscoverRequest(type=v1.ConfigDiscoverRequest.CONFIG_FILE_GROUPS).SerializeToString()
        others = await one_of_a_stream(w.running.config, "/v1.PolarisConfigGRPC/Discover", config, config)
        limit = await unary(w.running.config, "/v1.PolarisConfigGRPC/GetConfigFile", b"")
    codes = [v1.DiscoverResponse.FromString(each).code.value for each in answers]
    assert codes == [200000, 429002]
    assert v1.ConfigDiscoverResponse.FromString(others[0]).code != 429002
    assert v1.ConfigDiscoverResponse.FromString(others[1]).code == 429002
    assert v1.ConfigClientResponse.FromString(limit).code.value == 429002


async def test_a_limit_of_a_route_is_everybodys(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    rules = "rules: [{name: r, limit: {open: true, bucket: 1, rate: 1}}]"
    names = (
        "GET:/naming/v1/services",
        "/v1.PolarisGRPC/Discover",
        "GET:/eureka/apps",
        "GET:/v1/agent/self",
        "/Request/request",
        "DNS",
    )
    apis = ", ".join(f"{{name: '{name}', rule: r}}" for name in names)
    limit = f"plugin.ratelimit.option={{enable: true, api-limit: {{open: true, {rules}, apis: [{apis}]}}}}"
    async with limited(monkeypatch, limit) as w:
        front = w.running.front
        assert (await client.get(f"{front}/naming/v1/services")).status_code == 200
        answer = await client.get(f"{front}/naming/v1/servi%63es/")  # it is the same, however it is written
        assert (answer.status_code, answer.json()["code"]) == (403, 403003)
        assert answer.json()["info"] == "server limit the api access"
        assert (await client.get(f"{front}/naming/v1/namespaces")).status_code == 200
        request = v1.DiscoverRequest(type=v1.DiscoverRequest.NAMESPACES).SerializeToString()
        answers = await one_of_a_stream(w.running.grpc, "/v1.PolarisGRPC/Discover", request, request)
        assert v1.DiscoverResponse.FromString(answers[1]).code.value == 403003
        eureka = [(await client.get(f"{w.running.eureka}/apps")).status_code for _ in range(2)]
        assert eureka == [200, 429]
        consul = [(await client.get(f"http://{w.running.consul}/v1/agent/self")).status_code for _ in range(2)]
        assert consul == [200, 429]
        assert (await over_udp(w.running.dns))[3] & 15 != dns.REFUSED
        assert (await over_tcp(w.running.dns))[3] & 15 == dns.REFUSED
        text = (await client.get(f"{front}/metrics")).text
    counted = {line for line in text.splitlines() if line.startswith("polaris_bridge_calls_limited_total")}
    assert counted == {
        f'polaris_bridge_calls_limited_total{{limit="api",protocol="{protocol}"}} {count}.0'
        for protocol, count in (("polaris", 2), ("eureka", 1), ("consul", 2))
    }


async def test_an_instance_that_comes_and_goes_too_often(
    monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient
) -> None:
    limit = f"plugin.ratelimit.option={{enable: true, instance-limit: {{{ONE}, white-list: [calm]}}}}"
    place = {"service": "a", "namespace": "default", "host": "10.0.0.1", "port": 80}
    async with limited(monkeypatch, limit) as w:
        url = f"{w.running.front}/naming/v1/instances"

        async def code(target: str, **members: Any) -> int:
            answer = await client.post(target, json=[place | members])
            found: int = answer.json()["responses"][0]["code"]
            return found

        assert await code(url, id="i1") == 200000
        assert await code(url, id="i1") == 429001
        assert await code(f"{url}/delete", id="i1") == 429001
        assert await code(url, id="i2", port=81) == 200000
        assert [await code(url, id="calm", port=82) for _ in range(3)] == [200000] * 3
        message = v1.Instance(**{k: {"value": v} for k, v in place.items()}, id={"value": "i1"}).SerializeToString()
        for path in ("/v1.PolarisGRPC/RegisterInstance", "/v1.PolarisGRPC/DeregisterInstance"):
            answer = v1.Response.FromString(await unary(w.running.grpc, path, message))
            assert (answer.code.value, answer.info.value) == (429001, "your instance has too many requests")
        listed = await client.get(f"{url}?service=a&namespace=default")
        assert listed.json()["amount"] == 3
        w.refill()
        assert await code(f"{url}/delete", id="i1") == 200000


async def test_nacos_http(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    async with limited(monkeypatch, BY_ADDRESS) as w:
        for path in ("/nacos/v1/ns/service/list?pageNo=1&pageSize=1", "/nacos/v2/core/cluster/node/self", "/nacos/x"):
            w.refill()
            url = f"http://{w.running.nacos}{path}"
            assert (await client.get(url)).status_code != 503
            answer = await client.get(url)
            assert answer.status_code == 503
            assert answer.text == "over limit of the client address\r\n"
            assert answer.headers["Cache-Control"] == "no-cache,no-store"


async def test_nacos_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    host, port = "127.0.0.1", 0
    async with limited(monkeypatch, BY_ADDRESS) as w:
        host, _, http = w.running.nacos.partition(":")
        port = int(http) + 1000
        call = partial(unary, f"{host}:{port}", "/Request/request")
        found = decode(await call(encode("ServerCheckRequest", b"{}")))
        assert found.type == "ServerCheckResponse"
        found = decode(await call(encode("ServiceQueryRequest", b"{}")))
        said = json.loads(found.body)
        assert found.type == "QueryServiceResponse"
        assert (said["resultCode"], said["errorCode"], said["success"]) == (500, 503, False)
        assert said["message"].startswith("Tps Flow restricted:")
        found = decode(await call(encode("ConfigQueryRequest", b"{}")))
        assert (found.type, json.loads(found.body)["errorCode"]) == ("ConfigQueryResponse", 503)
        found = decode(await call(encode("NobodyKnowsRequest", b"{}")))
        assert (found.type, json.loads(found.body)["errorCode"]) == ("ErrorResponse", 503)
        with pytest.raises(aio.AioRpcError) as caught:
            await call(b"\xff\xff")
        assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_consul_http(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    async with limited(monkeypatch, BY_ADDRESS) as w:
        url = f"http://{w.running.consul}/v1/catalog/services"
        assert (await client.get(url)).status_code == 200
        answer = await client.get(url)
        assert answer.status_code == 429
        assert answer.text == "rate limit exceeded, try again later or against a different server"
        assert (await client.put(f"http://{w.running.consul}/v1/kv/a", content=b"1")).status_code == 429
        w.refill()
        assert (await client.get(f"http://{w.running.consul}/v1/kv/a")).status_code == 404


@pytest.mark.parametrize("ask", [over_udp, over_tcp])
async def test_dns(monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], Any]) -> None:
    async with limited(monkeypatch, BY_ADDRESS) as w:
        first, second = await ask(w.running.dns), await ask(w.running.dns)
        w.refill()
        third = await ask(w.running.dns)
    assert first[3] & 15 == third[3] & 15 != dns.REFUSED
    assert second[3] & 15 == dns.REFUSED
    assert second[:2] == b"\x12\x34"
    assert len(second) <= len(first)


async def test_xds(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    """Streams count when they are opened: acknowledgements come as fast as the server tells of changes."""
    layer = b'{"type_url": "type.googleapis.com/envoy.service.runtime.v3.Runtime", "resource_names": ["base"]}'
    request = messages.discovery.DiscoveryRequest(type_url=types.RUNTIME, resource_names=["base"])
    states = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
    async with limited(monkeypatch, BY_ADDRESS) as w:
        asked = request.SerializeToString()
        [first] = await one_of_a_stream(w.running.xds, states, asked)
        assert first
        with pytest.raises(aio.AioRpcError) as caught:
            await one_of_a_stream(w.running.xds, states, asked)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        polled = await client.post(f"{w.running.front}/v3/discovery:runtime", content=layer)
        assert (polled.status_code, polled.text) == (429, "too many calls, try again later\n")
        w.refill()
        others = messages.discovery.DiscoveryRequest(type_url=types.LISTENER).SerializeToString()
        assert all(await one_of_a_stream(w.running.xds, states, asked, others))


async def test_migration(monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient) -> None:
    async with limited(monkeypatch, BY_ADDRESS) as w:
        url = f"{w.running.front}/migration/v1/registries"
        assert (await client.get(url)).status_code != 429
        answer = await client.get(url)
    assert (answer.status_code, answer.json()) == (429, {"error": "too many calls, try again later"})


async def test_off_by_default_nothing_stands_in_between() -> None:
    async with server() as running:
        assert running.server._throttle is None
        states = {
            type(listener._state).__name__ for listener in running.server.all_listeners if hasattr(listener, "_state")
        }
    assert states == {"ListenerState"}
