"""SDKs over gRPC with ``clientOpen``: tokens in the metadata and in messages, refreshed and switched off under open streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import httpx
import pytest

from polaris_bridge import testing
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.runtime.auth.first_start import SEEDED

OK, REFUSED, DISABLED, REPLACED = 200000, 401001, 401003, 401004
NAMING = "/v1.PolarisGRPC/"
SEED = "auth.user.option.seedDefaultAdmin=true"
OPEN = ("auth.strategy.option.clientOpen=true", SEED)
STRICT = ("auth.strategy.option.clientStrict=true", *OPEN)
PLACE: dict[str, Any] = {
    "service": {"value": "orders"}, "namespace": {"value": "shop"}, "host": {"value": "10.0.0.1"}, "port": {"value": 80},
}  # fmt: skip


class Client:
    """An SDK on the wire."""

    def __init__(self, running: testing.Running) -> None:
        self.running = running
        self.channel = grpc.aio.insecure_channel(running.grpc)

    async def register(self, token: str = "", **fields: Any) -> int:
        call = self.channel.unary_unary(
            NAMING + "RegisterInstance", v1.Instance.SerializeToString, v1.Response.FromString
        )
        answer: v1.Response = await call(v1.Instance(**PLACE, **fields), metadata=_metadata(token))
        return answer.code.value

    async def beat(self, token: str = "") -> int:
        call = self.channel.unary_unary(NAMING + "Heartbeat", v1.Instance.SerializeToString, v1.Response.FromString)
        answer: v1.Response = await call(v1.Instance(**PLACE), metadata=_metadata(token))
        return answer.code.value

    def discover(self, token: str = "") -> Any:
        call = self.channel.stream_stream(
            NAMING + "Discover", v1.DiscoverRequest.SerializeToString, v1.DiscoverResponse.FromString
        )
        return call(metadata=_metadata(token))


def _metadata(token: str) -> list[tuple[str, str]]:
    return [("x-polaris-token", token)] if token else []


INSTANCES = v1.DiscoverRequest(
    type=v1.DiscoverRequest.INSTANCE, service={"name": {"value": "orders"}, "namespace": {"value": "shop"}}
)


async def asked(stream: Any) -> int:
    await stream.write(INSTANCES)
    answer = await stream.read()
    assert answer.type == v1.DiscoverResponse.INSTANCE
    code: int = answer.code.value
    return code


@pytest.fixture
async def client(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    async with testing.server(sets=request.param) as running:
        found = Client(running)
        yield found
        await found.channel.close()


@pytest.mark.parametrize("client", [OPEN, STRICT], indirect=True)
async def test_tokens_open_the_door(client: Client) -> None:
    for wrong in ("", "garbage", "A" * 5000):
        assert await client.register(wrong) == REFUSED
        assert await client.beat(wrong) == REFUSED
    assert (
        await client.register(
            SEEDED.token, enable_health_check={"value": True}, health_check={"heartbeat": {"ttl": {"value": 5}}}
        )
        == OK
    )
    assert await client.beat(SEEDED.token) == OK
    assert await client.register("garbage", service_token={"value": SEEDED.token}) == OK, (
        "one in the message counts instead"
    )
    for token, code in (("", REFUSED), (SEEDED.token, OK)):
        stream = client.discover(token)
        assert await asked(stream) == code
        stream.cancel()


@pytest.mark.parametrize("client", [(SEED,)], indirect=True)
async def test_nobody_is_asked_when_the_door_is_open(client: Client) -> None:
    for token in ("", "garbage", SEEDED.token):
        assert await client.register(token) == OK


@pytest.mark.parametrize("client", [STRICT], indirect=True)
async def test_a_right_that_ends_ends_at_the_next_message(client: Client) -> None:
    async with httpx.AsyncClient(base_url=client.running.front) as http:

        async def told(method: str, path: str, body: Any) -> Any:
            answer = (await http.request(method, path, json=body, headers={"X-Polaris-Token": SEEDED.token})).json()
            assert answer["code"] == OK, answer
            return answer

        user = {"name": "ann", "password": "secret-1", "source": "t"}
        id = (await told("POST", "/core/v1/users", [user]))["responses"][0]["user"]["id"]
        token = (await told("GET", f"/core/v1/user/token?id={id}", None))["user"]["auth_token"]
        assert await client.register(token) == REFUSED
        assert await client.register(SEEDED.token) == OK
        grants = {"namespaces": [{"id": "shop"}]}
        policy = {"name": "p", "action": "ALLOW", "principals": {"users": [{"id": id}]}, "resources": grants}
        await told("POST", "/core/v1/auth/strategy", policy)
        stream = client.discover(token)
        assert await asked(stream) == OK
        await told("PUT", "/core/v1/user/token/status", {"id": id, "token_enable": False})
        assert await asked(stream) == DISABLED
        await told("PUT", "/core/v1/user/token/status", {"id": id, "token_enable": True})
        assert await asked(stream) == OK
        await told("PUT", "/core/v1/user/token/refresh", {"id": id})
        assert await asked(stream) == REPLACED
        await told("POST", "/core/v1/users/delete", [{"id": id}])
        assert await asked(stream) == REFUSED
        stream.cancel()
