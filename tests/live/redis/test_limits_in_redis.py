"""Limits that two nodes count in a real Redis: together, alone while it is away, and together again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from polaris_bridge.adapters.polaris.wire import limiter as wire

from ..server import Server
from ..waiting import until
from .processes import Redis, cluster, join, running

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

SERVICE = "/polaris.metric.v2.RateLimitGRPCV2/Service"
SHARED_WITHIN_S = 5
"""A flush of 50 ms, or a second after a failure, and what a busy machine needs."""
AMOUNT = 1_000_000


class Client:
    """A client that counts on one node, one report after the other."""

    def __init__(self, address: str, id: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._sent: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        stream = self._channel.stream_stream(SERVICE, request_serializer=bytes, response_deserializer=bytes)
        self._answers = stream(iter(self._sent.get, None), timeout=120)
        totals = [{"duration": 600, "maxAmount": AMOUNT}]
        target = {"namespace": "default", "service": "orders", "labels": "|"}
        began = self._say(rateLimitInitRequest={"target": target, "clientId": id, "totals": totals})
        self._key = began.rateLimitInitResponse.counters[0].counterKey
        self.slowest_s = 0.0

    def use(self, used: int = 0) -> int:
        """What all nodes used, as this one knows it now."""
        begin = time.perf_counter()
        uses = [{"counterKey": self._key, "used": used}]
        now = int(time.time() * 1000)
        answer = self._say(cmd=1, rateLimitReportRequest={"clientKey": 1, "timestamp": now, "quotaUses": uses})
        self.slowest_s = max(self.slowest_s, time.perf_counter() - begin)
        report = answer.rateLimitReportResponse
        assert report.code == 200000
        left: int = report.quotaLefts[0].left
        return AMOUNT - left

    def _say(self, **fields: Any) -> Any:
        self._sent.put(wire.RateLimitRequest(**fields).SerializeToString())
        return wire.RateLimitResponse.FromString(next(self._answers))

    def close(self) -> None:
        self._sent.put(None)
        self._channel.close()


Nodes = Callable[..., list[Client]]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Two servers that count in one place, and a client on each."""
    with ExitStack() as stack:

        def start(**redis: str) -> list[Client]:
            clients = []
            for number in (1, 2):
                folder = tmp_path / f"node-{number}"
                folder.mkdir()
                options = tuple(f"limiter.redis.{name}={value}" for name, value in redis.items())
                server = Server(folder, "service-limiter", (f"limiter.nodeId={number}", *options))
                stack.callback(server.close)
                server.start()
                client = Client(f"127.0.0.1:{server.port}", f"client-{number}")
                stack.callback(client.close)
                clients.append(client)
            return clients

        yield start


def agree(clients: list[Client], used: int) -> None:
    until(lambda: [client.use() for client in clients] == [used] * 2, SHARED_WITHIN_S, f"both know of {used}")


def test_what_one_node_counted_the_other_knows(nodes: Nodes, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    with running(redis):
        a, b = nodes(kvAddr=redis.address)
        assert a.use(30) >= 30
        b.use(12)
        agree([a, b], 42)
        (key,) = redis.stored()
        assert key == "{polaris-limiter}:default|orders|600|10||"
        with redis.client() as client:
            assert 0 < client.pttl(key) <= 600_000
            assert sum(map(int, client.hgetall(key).values())) == 42


def test_in_a_cluster_of_redis(nodes: Nodes, tmp_path: Path) -> None:
    members = cluster(tmp_path)
    with running(*members):
        join(members)
        a, b = nodes(deployMode="cluster", addrs=str([member.address for member in members]).replace("'", ""))
        a.use(7)
        b.use(5)
        agree([a, b], 12)


def test_redis_dies_and_comes_back_empty_under_load(nodes: Nodes, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    with running(redis):
        clients = nodes(kvAddr=redis.address)
        counted = [0, 0]
        over = threading.Event()
        failures: list[BaseException] = []

        def load(which: int) -> None:
            try:
                while not over.is_set():
                    counted[which] += 1
                    assert clients[which].use(1) >= counted[which], "a node knows at least what it counted itself"
            except BaseException as error:  # told by the test, which is another thread
                failures.append(error)

        threads = [threading.Thread(target=load, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()

        def counts(more: int) -> None:
            before = list(counted)
            until(
                lambda: failures or all(now >= was + more for now, was in zip(counted, before, strict=True)),
                30,
                f"{more} more",
            )

        counts(200)
        redis.kill()
        counts(200)
        alone = list(counted)
        redis.start()
        counts(200)
        until(lambda: bool(redis.stored()), SHARED_WITHIN_S, "counters are there again")
        over.set()
        for thread in threads:
            thread.join(30)
        assert not failures, failures
        assert max(client.slowest_s for client in clients) < 2, "nobody waits for Redis"
        # What one knew of the other before it came back empty is kept; what was counted after is shared again.
        until(
            lambda: all(client.use() >= sum(counted) - sum(alone) + min(alone) for client in clients),
            SHARED_WITHIN_S,
            "both know what was counted since",
        )
        assert all(client.use() <= 1.1 * sum(counted) for client in clients), "nothing is invented"


def test_without_redis_at_the_start_each_counts_alone_until_it_is_there(nodes: Nodes, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    a, b = nodes(kvAddr=redis.address)
    assert (a.use(3), b.use(4)) == (3, 4)
    with running(redis):
        agree([a, b], 7)
