"""xDS over TLS: where credentials are asked for, a client's certificate is as good as a token."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest
from test_grpc_tls import Authority

from polaris_bridge.adapters.xds.server.grpc import AGGREGATED
from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.testing import server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("the openssl command is needed to make certificates")
    return Authority(tmp_path_factory.mktemp("tls"))


async def asked(address: str, credentials: grpc.ChannelCredentials) -> str:
    """The type of the answer to a first request."""
    target = address.replace("127.0.0.1", "localhost")
    async with grpc.aio.secure_channel(target, credentials) as channel:
        call: Any = channel.stream_stream(
            AGGREGATED + "StreamAggregatedResources", request_serializer=bytes, response_deserializer=bytes
        )()
        await call.write(messages.discovery.DiscoveryRequest(type_url=types.CLUSTER).SerializeToString())
        answer = messages.discovery.DiscoveryResponse.FromString(await call.read())
        return str(answer.type_url)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_certificate_is_as_good_as_a_token(authority: Authority, tmp_path: Path, transport: str) -> None:
    made = authority.use(tmp_path, "one")
    option = "apiservers.xds-v3.option"
    plain = [f"{option}.tls.certFile={made.cert_file}", f"{option}.tls.keyFile={made.key_file}", f"{option}.auth=true"]
    sets = [*plain, f"{option}.transport={transport}", f"{option}.tls.trustedCAFile={authority.folder / 'ca.pem'}"]
    async with server(sets=sets) as running:
        assert await asked(running.xds, authority.trusting("client")) == types.CLUSTER
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked(running.xds, authority.trusting())
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    async with server(sets=[*plain, f"{option}.transport={transport}"]) as running:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked(running.xds, authority.trusting("client"))
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
