"""Our server among other Eureka servers: it begins with what they know, and they learn what its clients do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from registries import Clock

from polaris_bridge import testing
from polaris_bridge.adapters.eureka.wire import ReplicationAnswer, ReplicationItem, decode_answers, decode_batch
from polaris_bridge.adapters.eureka.wire.replication import encode_answers, encode_batch
from polaris_bridge.migration.peers import LIFE_S, MOST_TASKS, Peer, address_of
from polaris_bridge.testing import Running

INFO = {
    "instanceId": "i1",
    "hostName": "h",
    "app": "ORDERS",
    "ipAddr": "10.0.0.1",
    "vipAddress": "orders",
    "status": "UP",
    "port": {"$": 80, "@enabled": "true"},
    "dataCenterInfo": {"@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo", "name": "MyOwn"},
    "metadata": {"zone": "z1"},
}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as made:
        yield made


async def register(client: httpx.AsyncClient, url: str, id: str = "i1", **more: Any) -> None:
    answer = await client.post(f"{url}/apps/ORDERS", json={"instance": {**INFO, "instanceId": id, **more}})
    assert answer.status_code == 204


async def instance(client: httpx.AsyncClient, url: str, id: str = "i1") -> Any:
    """An instance as a server has it; None when it has none."""
    answer = await client.get(f"{url}/apps/ORDERS/{id}", headers={"Accept": "application/json"})
    return answer.json()["instance"] if answer.status_code == 200 else None


async def becomes(look: Callable[[], Any], right: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(20):
        found = await look()
        while not right(found):
            await asyncio.sleep(0.02)
            found = await look()


def peered(other: Running) -> list[str]:
    return [f"apiservers.service-eureka.option.peersToReplicate=['{other.eureka.removeprefix('http://')}']"]


async def test_it_begins_with_what_its_peer_knows(client: httpx.AsyncClient, elsewhere: Running) -> None:
    for n in range(300):
        await register(client, elsewhere.eureka, f"i{n}", ipAddr=f"10.0.{n // 250}.{n % 250}")
    await client.put(f"{elsewhere.eureka}/apps/ORDERS/i0/status", params={"value": "OUT_OF_SERVICE"})
    async with testing.server(sets=peered(elsewhere)) as running:
        answers = [
            await client.get(f"{url}/apps", headers={"Accept": "application/json"})
            for url in (running.eureka, elsewhere.eureka)
        ]
        ours, theirs = (answer.json()["applications"] for answer in answers)
        assert len(ours["application"][0]["instance"]) == 300
        assert ours["apps__hashcode"] == theirs["apps__hashcode"] == "OUT_OF_SERVICE_1_UP_299_"


async def test_what_clients_do_is_passed_on_and_nothing_comes_back(
    client: httpx.AsyncClient, elsewhere: Running
) -> None:
    async with testing.server(sets=peered(elsewhere)) as running:
        here, there = running.eureka, elsewhere.eureka

        async def look() -> Any:
            return await instance(client, there)

        await register(client, here)
        await becomes(look, lambda i: i is not None)
        assert (await look())["metadata"] == {"zone": "z1"}
        await client.put(f"{here}/apps/ORDERS/i1/status", params={"value": "OUT_OF_SERVICE"})
        await becomes(look, lambda i: i["status"] == "OUT_OF_SERVICE")
        await client.delete(f"{here}/apps/ORDERS/i1/status", params={"value": "UP"})
        await becomes(look, lambda i: i["status"] == "UP")
        await client.delete(f"{there}/apps/ORDERS/i1")  # it loses it: the next heartbeat here brings it back
        assert (await client.put(f"{here}/apps/ORDERS/i1")).status_code == 200
        await becomes(look, lambda i: i is not None)
        await client.delete(f"{here}/apps/ORDERS/i1")
        await becomes(look, lambda i: i is None)
        (peers,) = running.server._peers
        (peer,) = peers.all
        sent = peer.sent
        headers = {"x-netflix-discovery-replication": "true"}
        answer = await client.post(f"{here}/apps/ORDERS", json={"instance": INFO}, headers=headers)
        assert answer.status_code == 204
        await client.put(f"{here}/apps/ORDERS/i1", headers=headers)
        await register(client, here, "i2")
        await becomes(lambda: instance(client, there, "i2"), lambda i: i is not None)
        assert peer.sent == sent + 1


async def test_a_peer_that_is_away_stops_nobody_and_learns_later(
    client: httpx.AsyncClient, unused_tcp_port: int
) -> None:
    sets = [f"apiservers.service-eureka.option.peersToReplicate=['127.0.0.1:{unused_tcp_port}']"]
    async with testing.server(sets=sets) as running:
        await register(client, running.eureka)
        (peers,) = running.server._peers
        (peer,) = peers.all
        async with asyncio.timeout(20):
            for _ in iter(lambda: bool(peer.error), True):
                await asyncio.sleep(0.02)
        port = [f"apiservers.service-eureka.option.listenPort={unused_tcp_port}"]
        async with testing.server(sets=port) as other:
            await becomes(lambda: instance(client, other.eureka), lambda i: i is not None)


class Nobody:
    """A place where nothing stands."""

    def register(self, *_: object) -> None:
        return None

    def stored(self, *_: object) -> None:
        return None


async def test_the_latest_of_equal_tasks_wins_and_a_full_queue_loses_heartbeats_first() -> None:
    peer = Peer("127.0.0.1:1", "default", Nobody(), Clock())
    peer.put(ReplicationItem("A", "1", "Register", status="UP"))
    for n in range(MOST_TASKS - 1):
        peer.put(ReplicationItem("A", str(n), "Heartbeat"))
    peer.put(ReplicationItem("A", "1", "Register", status="DOWN"))
    assert len(peer) == MOST_TASKS
    peer.put(ReplicationItem("A", "2", "Cancel"))
    assert len(peer) == 2
    taken = peer._take()
    assert [(t.item.action, t.item.status) for t in taken] == [("Register", "DOWN"), ("Cancel", None)]
    await peer.close()


async def test_old_tasks_are_dropped() -> None:
    clock = Clock()
    peer = Peer("127.0.0.1:1", "default", Nobody(), clock)
    peer.put(ReplicationItem("A", "1", "Heartbeat"))
    clock.now_s += LIFE_S
    assert peer._take() == []
    assert peer.dropped == 1
    await peer.close()


@pytest.mark.parametrize(
    ("text", "url", "auth"),
    [
        ("10.0.0.1:8761", "http://10.0.0.1:8761/eureka", None),
        ("http://a:1/eureka/v2/", "http://a:1/eureka/v2", None),
        ("https://u:p%40@a/eureka", "https://a/eureka", ("u", "p@")),
    ],
)
def test_addresses(text: str, url: str, auth: tuple[str, str] | None) -> None:
    assert address_of(text) == (url, auth)


@pytest.mark.parametrize("text", ["", "ftp://a", "a:b", "http://", "a:0", "a:99999"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError):
        address_of(text)


def test_batches_and_answers_are_read_as_they_were_written() -> None:
    items = [ReplicationItem("A", "1", "Heartbeat", 5, "UP", "UNKNOWN"), ReplicationItem("A", "2", "Cancel")]
    assert decode_batch(encode_batch(items)).items == items
    answers = [ReplicationAnswer(200), ReplicationAnswer(404)]
    assert decode_answers(encode_answers(answers)) == answers
