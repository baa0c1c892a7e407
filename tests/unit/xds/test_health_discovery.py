"""Health discovery: an Envoy's own instances are registered, kept alive, critical, deregistered by what it reports."""

from __future__ import annotations

import json
from typing import Any

import grpc
import pytest

from polaris_bridge.adapters.xds.server.health import METHOD
from polaris_bridge.adapters.xds.service.health import DRAINING, HEALTHY, TIMEOUT, UNHEALTHY
from polaris_bridge.adapters.xds.translate.health import offers_of
from polaris_bridge.adapters.xds.translate.nodes import node_of
from polaris_bridge.adapters.xds.wire import messages
from polaris_bridge.adapters.xds.wire.node import read_node
from polaris_bridge.core.model import Checks, Lease, Registration, ServiceKey
from polaris_bridge.testing import Running, server

SERVICES = [
    {"name": "orders", "ports": {"TCP": [8080, 8081]}, "health_check_path": "/ok", "health_check_ttl": 5},
    {"name": "stock", "ports": {"http": [9000]}, "health_check_port": 9001},
]


def node(services: Any = SERVICES, id: str = "sidecar~prod/pod-1~10.0.0.1") -> Any:
    found = messages.base.Node(id=id, user_agent_name="envoy")
    written = services if isinstance(services, str) else json.dumps(services)
    found.metadata.update({"sidecar.polarismesh.cn/registerServices": written, "version": "v1"})
    found.locality.region = "south"
    return found


def asks(of: Any) -> bytes:
    request = messages.hds.HealthCheckRequestOrEndpointHealthResponse()
    request.health_check_request.node.CopyFrom(of)
    data: bytes = request.SerializeToString()
    return data


def reports(**statuses: int) -> bytes:
    """Cluster (port and service) -> status."""
    request = messages.hds.HealthCheckRequestOrEndpointHealthResponse()
    for cluster, status in statuses.items():
        port, _, service = cluster.removeprefix("p").partition("_")
        found = request.endpoint_health_response.cluster_endpoints_health.add(cluster_name=f"INBOUND|{port}|{service}")
        found.locality_endpoints_health.add().endpoints_health.add(health_status=status)
    data: bytes = request.SerializeToString()
    return data


def instances(running: Running, service: str) -> dict[int, Registration]:
    addresses = running.server.registry.snapshot(ServiceKey("prod", service)).addresses.values()
    return {r.port: r for address in addresses for r in address.registrations}


class Envoy:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call: Any = channel.stream_stream(METHOD, request_serializer=bytes, response_deserializer=bytes)()

    async def register(self, of: Any) -> Any:
        await self._call.write(asks(of))
        return messages.hds.HealthCheckSpecifier.FromString(await self._call.read())

    async def report(self, **statuses: int) -> None:
        """Say it, and wait until it was heard: what follows on the stream is answered."""
        await self._call.write(reports(**statuses))

    async def refused(self, data: bytes) -> tuple[grpc.StatusCode, str]:
        await self._call.write(data)
        with pytest.raises(grpc.aio.AioRpcError):
            await self._call.read()
        return await self._call.code(), await self._call.details()


async def test_the_life_of_an_envoys_instances() -> None:
    async with server() as running, grpc.aio.insecure_channel(running.xds) as channel:
        envoy = Envoy(channel)
        told = await envoy.register(node())
        assert [each.cluster_name for each in told.cluster_health_checks] == [
            "INBOUND|8080|orders", "INBOUND|8081|orders", "INBOUND|9000|stock",
        ]  # fmt: skip
        assert told.cluster_health_checks[0].health_checks[0].http_health_check.path == "/ok"
        assert told.cluster_health_checks[2].health_checks[0].HasField("tcp_health_check")
        assert {
            check.no_traffic_interval.seconds for each in told.cluster_health_checks for check in each.health_checks
        } == {5}
        checked = told.cluster_health_checks[2].locality_endpoints[0].endpoints[0]
        assert checked.address.socket_address.port_value == 9000
        assert checked.health_check_config.port_value == 9001
        assert told.interval.seconds == 5
        one = instances(running, "orders")[8080]
        assert (one.host, one.protocol, one.metadata, one.location.region) == (
            "10.0.0.1",
            "tcp",
            {"version": "v1"},
            "south",
        )
        assert one.liveness == Lease(5_000, 15_000, 600_000, protectable=False)

        await envoy.report(p8080_orders=UNHEALTHY, p8081_orders=DRAINING, p9000_stock=HEALTHY, p1_nobody=TIMEOUT)
        await envoy.register(node("[]"))  # an answer: what was said before was heard
        found = instances(running, "orders")
        assert set(found) == {8080}
        assert isinstance(found[8080].liveness, Checks)
        assert found[8080].liveness.critical
        assert isinstance(instances(running, "stock")[9000].liveness, Lease)


async def test_a_healthy_report_revives_what_failed_or_was_lost() -> None:
    async with server() as running, grpc.aio.insecure_channel(running.xds) as channel:
        envoy = Envoy(channel)
        await envoy.register(node())
        await envoy.report(p8080_orders=TIMEOUT, p8081_orders=DRAINING)
        await envoy.report(p8080_orders=HEALTHY, p8081_orders=HEALTHY)
        other = Envoy(channel)
        await other.register(node("", id="sidecar~prod/other~10.0.0.9"))
        await envoy.register(node())
        found = instances(running, "orders")
        assert set(found) == {8080, 8081}
        assert all(isinstance(each.liveness, Lease) for each in found.values())


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (reports(p8080_orders=1), grpc.StatusCode.NOT_FOUND),
        (asks(node("{")), grpc.StatusCode.INVALID_ARGUMENT),
        (asks(node([{"name": "a", "ports": {"TCP": [70000]}}])), grpc.StatusCode.INVALID_ARGUMENT),
        (asks(node(id="pod")), grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x0a\xff", grpc.StatusCode.INTERNAL),
    ],
)
async def test_what_is_refused(data: bytes, code: grpc.StatusCode) -> None:
    async with server() as running, grpc.aio.insecure_channel(running.xds) as channel:
        assert (await Envoy(channel).refused(data))[0] == code
        assert not instances(running, "orders")


async def test_services_that_may_not_be_made_are_unavailable() -> None:
    async with server(sets=["naming.autoCreate=false"]) as running, grpc.aio.insecure_channel(running.xds) as channel:
        assert (await Envoy(channel).refused(asks(node())))[0] == grpc.StatusCode.UNAVAILABLE


def test_a_node_without_services_offers_nothing() -> None:
    assert offers_of(node_of(read_node(node("").SerializeToString()))) == ()
    assert offers_of(node_of(read_node(node([{"name": "a"}]).SerializeToString()))) == ()
