"""Recorded conversations of gRPC and Envoy with a small reference server, replayed against ours.

The registry is brought to the state that each recorded response tells of; then our response has to come, and say the same of
every service. What differs on purpose, and where ``compare`` allows it:

* clusters: beside those of the recorded services there are ``PassthroughCluster``, the limiter and the Envoy's own;
* the Envoy's listener: the recorded one listened on a port of the test's, ours is polaris-server's 15001;
* assignments, state of the world: the reference server repeats all of them, ours sends those that changed;
* routes: ``name:port`` is a domain here, so a port that a service has no more changes the table, which is sent besides;
* timeouts, filters, domains, policies: of clusters and listeners the names are compared, of routes where they lead.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.testing import Running, server

from .recording import recordings
from .story_xds import OUTBOUND, Asked, Endpoints, Sent, Story, endpoints_of, nonce_of, read_sent, stories
from .suite import RECORDINGS

PATHS = {path.stem: path for path in recordings(RECORDINGS / "xds")}
WAIT_S = 10.0


class Replay:
    """One stream against our server."""

    def __init__(self, running: Running, story: Story, channel: grpc.aio.Channel) -> None:
        self._running = running
        self._story = story
        self._stub: Any = channel.stream_stream(story.method, request_serializer=bytes, response_deserializer=bytes)()
        self._nonces: dict[str, list[str]] = {}
        self._versions: dict[str, list[str]] = {}
        self._waiting: dict[str, list[bytes]] = {}
        self._registry = grpc.aio.insecure_channel(running.grpc)
        self.standing: dict[str, Endpoints] = {}
        self.versions: dict[tuple[str, str, frozenset[Any]], str] = {}

    async def run(self) -> None:
        for service, endpoints in self._story.services().items():
            await self._stand(service, endpoints)
        for step in self._story.steps:
            if isinstance(step, Asked):
                await self._ask(step)
            else:
                await self._expect(step)
        self._stub.cancel()
        await self._registry.close()

    async def _stand(self, service: str, endpoints: Endpoints) -> None:
        """Bring a service to its addresses; one without any exists too."""
        before = self.standing.get(service)
        gone = (before or frozenset()) - endpoints
        if before is None and not endpoints:
            await self._call("RegisterInstance", service, "127.0.0.1", 1)
            gone = frozenset({("127.0.0.1", 1)})
        for host, port in sorted(endpoints - (before or frozenset())):
            await self._call("RegisterInstance", service, host, port)
        for host, port in sorted(gone):
            await self._call("DeregisterInstance", service, host, port)
        self.standing[service] = endpoints

    async def _call(self, method: str, service: str, host: str, port: int) -> None:
        instance = v1.Instance()
        instance.namespace.value, instance.service.value = "default", service
        instance.host.value, instance.port.value, instance.weight.value = host, port, 100
        place = instance.location
        place.region.value, place.zone.value, place.campus.value = "r", "z", "c"
        ask: Any = self._registry.unary_unary(
            f"/v1.PolarisGRPC/{method}", request_serializer=bytes, response_deserializer=v1.Response.FromString
        )
        answer = await ask(instance.SerializeToString())
        assert answer.code.value == 200000, answer

    async def _ask(self, step: Asked) -> None:
        message = step.message
        if step.number:
            message.response_nonce = self._nonces[step.type_url][step.number - 1]
            if not self._story.delta and message.version_info:
                message.version_info = self._versions[step.type_url][step.number - 1]
        await self._stub.write(message.SerializeToString())

    async def _expect(self, step: Sent) -> None:
        for name, endpoints in step.endpoints.items():
            service = name.rpartition("|")[2]
            if self.standing[service] != endpoints:
                await self._stand(service, endpoints)
        data = await self._read(step.type_url)
        live = read_sent(data, self._story.delta)
        self._nonces.setdefault(step.type_url, []).append(nonce_of(data, self._story.delta))
        self._versions.setdefault(step.type_url, []).append(live.version)
        compare(step, live, {f"{OUTBOUND}default|{name}": each for name, each in self.standing.items()})
        if step.type_url == types.ASSIGNMENT and self._story.delta:
            return  # a version of each resource, which ``compare`` has no name for
        if step.type_url == types.ASSIGNMENT and len(live.resources) == 1:
            [(name, assignment)] = live.resources.items()
            content = endpoints_of(assignment)
            assert self.versions.setdefault((step.type_url, name, content), live.version) == live.version

    async def _read(self, type_url: str) -> bytes:
        waiting = self._waiting.setdefault(type_url, [])
        while not waiting:
            data = await asyncio.wait_for(self._stub.read(), WAIT_S)
            assert data is not grpc.aio.EOF, await self._stub.details()
            self._waiting.setdefault(read_sent(data, self._story.delta).type_url, []).append(data)
        return waiting.pop(0)

    def unread(self) -> set[str]:
        """Types of responses that no recorded one stands for."""
        return {type_url for type_url, waiting in self._waiting.items() if waiting}


def compare(recorded: Sent, live: Sent, standing: dict[str, Endpoints]) -> None:
    """Whether ours says the same."""
    assert live.type_url == recorded.type_url
    assert live.removed == recorded.removed
    if recorded.type_url == types.ASSIGNMENT:
        assert live.resources, "nothing changed"
        assert set(live.resources) <= set(recorded.resources)
        for name, assignment in live.resources.items():
            assert endpoints_of(assignment) == standing[name] == recorded.endpoints[name]
            for locality in assignment.endpoints:
                place = locality.locality
                assert (place.region, place.zone, place.sub_zone) == ("r", "z", "c")
                assert locality.load_balancing_weight.value > 0
    elif recorded.type_url == types.CLUSTER:
        assert set(recorded.resources) <= set(live.resources)
        assert not any(name.startswith(OUTBOUND) for name in set(live.resources) - set(recorded.resources))
    elif recorded.type_url == types.LISTENER and "OUTBOUND_26015" in recorded.resources:
        assert {"OUTBOUND_15001", "OUTBOUND_26015"} & set(live.resources)
    else:
        assert set(live.resources) == set(recorded.resources)
    if recorded.type_url == types.ROUTES:
        for name, table in recorded.resources.items():
            assert targets(table) <= targets(live.resources[name])


def targets(table: Any) -> set[str]:
    """The clusters that a table of routes sends calls to."""
    return {route.route.cluster for host in table.virtual_hosts for route in host.routes if route.route.cluster}


@pytest.mark.parametrize("name", PATHS)
def test_a_response_that_says_something_else_fails(name: str) -> None:
    [story] = stories(PATHS[name])
    sent = [step for step in story.steps if isinstance(step, Sent)]
    for step in sent:
        compare(step, step, step.endpoints)
    for step in sent:
        altered = Sent(step.type_url, step.version, dict(list(step.resources.items())[1:]), (*step.removed, "x"))
        with pytest.raises(AssertionError):
            compare(step, altered, step.endpoints)
    full = next(step for step in sent if any(step.endpoints.values()))
    with pytest.raises(AssertionError):
        compare(full, full, dict.fromkeys(full.endpoints, frozenset()))


@pytest.mark.parametrize("transport", ["native", "grpcio"])
@pytest.mark.parametrize("name", PATHS)
async def test_says_what_was_recorded(name: str, transport: str) -> None:
    [story] = stories(PATHS[name])
    async with (
        server(sets=[f"apiservers.xds-v3.option.transport={transport}"]) as running,
        grpc.aio.insecure_channel(running.xds, options=[("grpc.max_receive_message_length", 64 << 20)]) as channel,
    ):
        replay = Replay(running, story, channel)
        await replay.run()
        assert replay.unread() <= {types.ROUTES}
