"""The ports of the configuration centre in a running server: both transports, hanging up, stopping, closing."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from config_native import KEY, draft, question, release

from polaris_bridge.adapters.polaris.build import ConfigFace
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.testing import Running, server

SERVICE = "/v1.PolarisConfigGRPC/"
WAIT_S = 10.0


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  # conditions of what is tested, not of this program
            await asyncio.sleep(0.002)


def waiting(run: Running) -> int:
    """Watches that are held."""
    face = next(face for face in run.server.faces if isinstance(face, ConfigFace))
    return len(face.service.config.watching.waiting)


def call(channel: Any, method: str, message: Any) -> Any:
    ask = channel.unary_unary(
        SERVICE + method,
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=v1.ConfigClientResponse.FromString,
    )
    return ask(message)


async def seeded(channel: Any) -> v1.ClientWatchConfigFileRequest:
    """A file is released; the watch of a client that has it."""
    assert (await call(channel, "CreateConfigFile", draft("a: 1"))).code.value == 200000
    assert (await call(channel, "PublishConfigFile", release())).code.value == 200000
    return v1.ClientWatchConfigFileRequest(watch_files=[question(version=1)])


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_watch_over_grpc(transport: str) -> None:
    async with (
        server(sets=[f"apiservers.config-grpc.option.transport={transport}"]) as run,
        grpc.aio.insecure_channel(run.config) as channel,
    ):
        watch = await seeded(channel)
        left, stays = (asyncio.ensure_future(call(channel, "WatchConfigFiles", watch)) for _ in range(2))
        await until(lambda: waiting(run) == 2)
        left.cancel()
        await until(lambda: waiting(run) == 1)
        md5 = (await call(channel, "GetConfigFile", question())).configFile.md5.value
        m = v1.ConfigFilePublishInfo(content={"value": "a: 2"}, md5={"value": md5})
        m.namespace.value, m.group.value, m.file_name.value = KEY
        assert (await call(channel, "UpsertAndPublishConfigFile", m)).code.value == 200000
        told = await asyncio.wait_for(stays, WAIT_S)
        assert (told.code.value, told.configFile.version.value) == (200000, 2)
        await until(lambda: waiting(run) == 0)


async def test_a_watch_over_http() -> None:
    async with server() as run, grpc.aio.insecure_channel(run.config) as channel:
        await seeded(channel)
        files = [{"namespace": KEY.namespace, "group": KEY.group, "fileName": KEY.name, "version": "1"}]
        body = json.dumps({"watch_files": files}).encode()
        host, port = run.front.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"POST /config/v1/WatchConfigFile HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        await until(lambda: waiting(run) == 1)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # gone, not merely silent
        writer.transport.abort()
        await until(lambda: waiting(run) == 0)


async def test_a_server_that_stops_answers_those_who_wait() -> None:
    async with asyncio.timeout(WAIT_S):
        async with server() as run:
            channel = grpc.aio.insecure_channel(run.config)
            watch = asyncio.ensure_future(call(channel, "WatchConfigFiles", await seeded(channel)))
            await until(lambda: waiting(run) == 1)
        assert (await watch).code.value == 200001
        await channel.close()


@pytest.mark.parametrize(
    "setting", ["config.open=false", "apiservers.config-grpc.api={client: {enable: false}}"], ids=["module", "group"]
)
async def test_closed(setting: str) -> None:
    async with server(sets=[setting]) as run, grpc.aio.insecure_channel(run.config) as channel:
        assert (await call(channel, "GetConfigFile", question())).code.value == 400401


async def test_the_port_of_discovery_has_no_configuration() -> None:
    async with server() as run, grpc.aio.insecure_channel(run.grpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel, "GetConfigFile", question())
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
