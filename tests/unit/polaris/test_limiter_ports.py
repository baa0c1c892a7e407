"""The limiter as clients find it: a service of the server's own, two ports, one set of counters."""

from __future__ import annotations

from typing import Any

import grpc
import httpx
import pytest

from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.runtime.config.bootstrap import OwnService, PolarisService
from polaris_bridge.runtime.selfregistration import Listening, with_limiter
from polaris_bridge.testing import Running, server

SERVICE = "/polaris.metric.v2.RateLimitGRPCV2/Service"
TARGET = {"namespace": "default", "service": "orders", "labels": "|"}
SECTION = PolarisService(services=[OwnService(name="polaris.checker", protocols=["service-grpc"])])
NATIVE, ALONE = Listening("service-grpc", "0.0.0.0", 8091), Listening("service-limiter", "0.0.0.0", 8101)


@pytest.mark.parametrize(("listeners", "announced"), [([NATIVE, ALONE], "service-limiter"), ([NATIVE], "service-grpc")])
def test_the_limiter_is_announced_where_it_listens(listeners: list[Listening], announced: str) -> None:
    *others, limiter = with_limiter(SECTION, listeners, True).services
    assert others == SECTION.services
    assert (limiter.name, limiter.protocols) == ("polaris.limiter", [announced])


def test_it_is_not_announced_twice_nor_when_nobody_counts() -> None:
    own = PolarisService(services=[OwnService(name="polaris.limiter", protocols=["service-grpc"])])
    assert with_limiter(own, [NATIVE, ALONE], True) is own
    assert with_limiter(SECTION, [NATIVE, ALONE], False) is SECTION
    assert with_limiter(SECTION, [Listening("service-eureka", "0.0.0.0", 8761)], True) is SECTION


class Stream:
    """A client on a stream, over grpcio."""

    def __init__(self, channel: grpc.aio.Channel, id: str) -> None:
        self._call: Any = channel.stream_stream(SERVICE, request_serializer=bytes, response_deserializer=bytes)()
        self._id = id

    async def read(self) -> Any:
        return wire.RateLimitResponse.FromString(await self._call.read())

    async def init(self, amount: int) -> Any:
        totals = [{"duration": 60, "maxAmount": amount}]
        request = {"target": TARGET, "clientId": self._id, "totals": totals}
        await self._call.write(wire.RateLimitRequest(rateLimitInitRequest=request).SerializeToString())
        return (await self.read()).rateLimitInitResponse

    async def use(self, key: int, used: int, at: int) -> Any:
        report = {"clientKey": 1, "timestamp": at, "quotaUses": [{"counterKey": key, "used": used}]}
        await self._call.write(wire.RateLimitRequest(cmd=1, rateLimitReportRequest=report).SerializeToString())
        return (await self.read()).rateLimitReportResponse

    async def ended(self) -> grpc.StatusCode:
        assert await self._call.read() is grpc.aio.EOF
        code: grpc.StatusCode = await self._call.code()
        return code


async def get(front: str, path: str) -> str:
    """What the main HTTP port answers."""
    async with httpx.AsyncClient(base_url=front, timeout=10) as client:
        return (await client.get(path)).text


async def discovered(running: Running, service: str) -> list[Any]:
    """What an SDK that looks for a service is told."""
    request = v1.DiscoverRequest(type=v1.DiscoverRequest.INSTANCE)
    request.service.name.value, request.service.namespace.value = service, "Polaris"
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.stream_stream(
            "/v1.PolarisGRPC/Discover", request_serializer=bytes, response_deserializer=v1.DiscoverResponse.FromString
        )(iter([request.SerializeToString()]))
        return list((await call.read()).instances)


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_both_ports_count_together_and_sdks_find_the_limiter(transport: str) -> None:
    sets = [f"apiservers.{name}.option.transport={transport}" for name in ("service-grpc", "service-limiter")]
    async with server(sets=sets) as running:
        (instance,) = await discovered(running, "polaris.limiter")
        assert f"{instance.host.value}:{instance.port.value}" == running.limiter
        assert (instance.protocol.value, instance.metadata["protocol"]) == ("grpc", "grpc")
        assert (instance.healthy.value, instance.isolate.value) == (True, False)
        async with (
            grpc.aio.insecure_channel(running.grpc) as native,
            grpc.aio.insecure_channel(running.limiter) as alone,
        ):
            a, b = Stream(native, "a"), Stream(alone, "b")
            began = await a.init(10)
            key, now = began.counters[0].counterKey, began.timestamp
            assert (await b.init(10)).counters[0].clientCount == 2
            assert (await a.use(key, 4, now)).quotaLefts[0].left == 6
            assert (await b.use(key, 6, now)).quotaLefts[0].left == 0
            pushed = await a.read()
            assert (pushed.cmd, pushed.rateLimitReportResponse.quotaLefts[0].left) == (wire.ACQUIRE, 0)
            metrics = (await get(running.front, "/metrics")).splitlines()
            assert 'polaris_bridge_limiter{kind="clients"} 2.0' in metrics
            assert 'polaris_bridge_limiter_requests_total{result="passed"} 10.0' in metrics
            assert (await b.use(key + (1 << 24), 1, now)).code == 400214
            assert await b.ended() is grpc.StatusCode.OK


async def test_without_a_limiter_nobody_counts_and_nobody_is_announced() -> None:
    async with server(sets=["limiter.open=false"]) as running:
        assert await discovered(running, "polaris.limiter") == []
        async with grpc.aio.insecure_channel(running.grpc) as channel:
            ask = channel.unary_unary("/polaris.metric.v2.RateLimitGRPCV2/TimeAdjust")
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await ask(b"")
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
