"""The gRPC port with real sockets, on both transports: connections that end in every way, and pushes that go over the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_world import hosts, named

from polaris_bridge import testing
from polaris_bridge.adapters.nacos.service.nacos import NacosService
from polaris_bridge.adapters.nacos.wire.payload import Payload, decode, encode

WAIT_S = 10
ACK = b'{"resultCode":200,"errorCode":0,"requestId":"%b","success":true}'


class Client:
    """A client with a connection of its own."""

    def __init__(self, port: int) -> None:
        self.channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        )
        self._request = self.channel.unary_unary("/Request/request")
        self._open = self.channel.stream_stream("/BiRequestStream/requestBiStream")
        self.stream: Any = None

    async def ask(self, type: str, body: dict[str, Any] | None = None) -> Payload:
        async with asyncio.timeout(WAIT_S):
            return decode(await self._request(encode(type, json.dumps(body or {}).encode())))

    async def connect(self) -> str:
        id: str = json.loads((await self.ask("ServerCheckRequest")).body)["connectionId"]
        self.stream = self._open()
        await self.stream.write(encode("ConnectionSetupRequest", b'{"clientVersion":"test","abilityTable":{}}'))
        assert (await self.read()).type == "SetupAckRequest"
        return id

    async def read(self) -> Payload:
        async with asyncio.timeout(WAIT_S):
            return decode(await self.stream.read())

    async def pushed(self) -> list[int]:
        """Ports of the next list that is pushed; it is acknowledged."""
        payload = await self.read()
        body = json.loads(payload.body)
        assert payload.type == "NotifySubscriberRequest"
        await self.stream.write(encode("NotifySubscriberResponse", ACK % body["requestId"].encode()))
        return hosts(body)

    async def until(self, ports: list[int]) -> None:
        """Read what is pushed until it is this."""
        while await self.pushed() != ports:
            pass

    async def register(self, port: int) -> None:
        instance = {"ip": "10.0.0.1", "port": port}
        answer = await self.ask("InstanceRequest", named("orders") | {"type": "registerInstance", "instance": instance})
        assert answer.type == "InstanceResponse"

    async def subscribe(self) -> list[int]:
        body = named("orders") | {"subscribe": True, "clusters": ""}
        return hosts(json.loads((await self.ask("SubscribeServiceRequest", body)).body))


class Port:
    """The server, and its clients."""

    def __init__(self, running: testing.Running) -> None:
        self.running = running
        self.port = int(running.nacos.rpartition(":")[2]) + 1000
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = Client(self.port)
        self.clients.append(client)
        await client.connect()
        return client

    @property
    def service(self) -> NacosService:
        found = [face.service for face in self.running.server.faces if hasattr(face, "service")]
        (service,) = [each for each in found if isinstance(each, NacosService)]
        return service


@pytest.fixture(params=["native", "grpcio"])
async def port(request: pytest.FixtureRequest) -> AsyncIterator[Port]:
    async with testing.server(sets=[f"apiservers.service-nacos.option.transport={request.param}"]) as running:
        port = Port(running)
        yield port
        for client in port.clients:
            await client.channel.close()


@pytest.mark.parametrize("end", ["stream cancelled", "half closed", "channel closed"])
async def test_the_end_of_a_client_is_told_to_others(port: Port, end: str) -> None:
    client, reader = await port.client(), await port.client()
    await client.register(8080)
    assert await reader.subscribe() == [8080]
    if end == "stream cancelled":
        client.stream.cancel()
    elif end == "half closed":
        await client.stream.done_writing()
    else:
        await client.channel.close()
    await reader.until([])


async def test_changes_are_pushed_and_acknowledged(port: Port) -> None:
    client, reader = await port.client(), await port.client()
    assert await reader.subscribe() == []
    for number in (1, 2, 3):
        await client.register(number)
        await reader.until([number])
    async with asyncio.timeout(WAIT_S):
        while port.service.requests.waiting:
            await reader.ask("HealthCheckRequest")


async def test_a_connection_is_known_by_its_socket(port: Port) -> None:
    client = Client(port.port)
    port.clients.append(client)
    id = await client.connect()
    assert json.loads((await client.ask("ServerCheckRequest")).body)["connectionId"] == id
    assert (await client.ask("HealthCheckRequest")).type == "HealthCheckResponse"
    stranger = Client(port.port)
    port.clients.append(stranger)
    assert (await stranger.ask("HealthCheckRequest")).type == "ErrorResponse"


async def test_a_connection_that_is_ended_here_is_completed(port: Port) -> None:
    client = await port.client()
    (connection,) = port.service.connections
    port.service.connections.end(connection, "test")
    async with asyncio.timeout(WAIT_S):
        assert await client.stream.read() is grpc.aio.EOF
        assert await client.stream.code() is grpc.StatusCode.OK
    assert len(port.service.connections) == 0


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_the_server_says_goodbye_and_keeps_what_was_registered(transport: str, tmp_path: Any) -> None:
    sets = [f"apiservers.service-nacos.option.transport={transport}"]
    async with testing.server(data=tmp_path, sets=sets) as running:
        port = Port(running)
        client = await port.client()
        await client.register(8080)
    assert (await client.read()).type == "ConnectResetRequest"
    await client.channel.close()
    async with testing.server(data=tmp_path, sets=sets) as running:
        port = Port(running)
        reader = await port.client()
        assert await reader.subscribe() == [8080]
        await reader.channel.close()
