"""Limits that two nodes count in a real Redis: together, alone while it is away, and together again."""

from __future__ import annotations

import queue
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
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

    def __init__(self, server: Server, id: str) -> None:
        self.server = server
        address = f"127.0.0.1:{server.port}"
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
                client = Client(server, f"client-{number}")
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


def ask(server: Server, tokens: int) -> Any:
    """Asks one node whether a call may go ahead."""
    question = {"service": "orders", "tokens": tokens}
    answer = httpx.post(f"http://127.0.0.1:{server.http_port}/ratelimit/v1/check", json=question, timeout=10)
    assert answer.status_code in (200, 429), answer.text
    return answer.json()


def rules(server: Server, *amounts: dict[str, Any]) -> None:
    """A limit of all calls to the service."""
    base = f"http://127.0.0.1:{server.http_port}"
    login = httpx.post(f"{base}/core/v1/user/login", json={"name": "polaris", "password": "polaris"}, timeout=10)
    token = {"X-Polaris-Token": login.json()["loginResponse"]["token"]}
    rule = {"name": "all", "namespace": "default", "service": "orders", "type": "GLOBAL", "resource": "QPS"}
    made = httpx.post(f"{base}/naming/v1/ratelimits", json=[rule | {"amounts": amounts}], headers=token, timeout=10)
    assert made.status_code == 200, made.text


def test_who_asks_one_node_and_who_counts_on_another_use_one_number(nodes: Nodes, tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    with running(redis):
        a, b = nodes(kvAddr=redis.address)
        for client in (a, b):
            rules(client.server, {"maxAmount": AMOUNT, "validDuration": "600s"})
        assert ask(a.server, 30)["remaining"] == AMOUNT - 30
        agree([a, b], 30)
        b.use(12)
        until(lambda: ask(a.server, 0)["remaining"] == AMOUNT - 42, SHARED_WITHIN_S, "the first node knows of 42")
        assert ask(b.server, AMOUNT - 42 + 1)["allowed"] is False
        assert ask(b.server, AMOUNT - 42)["allowed"] is True
        until(lambda: not ask(a.server, 1)["allowed"], SHARED_WITHIN_S, "nothing is left on the first node")


def test_two_nodes_that_are_asked_keep_a_limit_together(nodes: Nodes, tmp_path: Path) -> None:
    """A limit of 1,000 a second with all that two callers can ask for: in every second no more than that, and what is asked for
    in a ``flushInterval`` of 50 ms, and as much again for a busy machine."""
    redis = Redis(tmp_path)
    with running(redis):
        clients = nodes(kvAddr=redis.address)
        for client in clients:
            rules(client.server, {"maxAmount": 1000, "validDuration": "1s"})
        passed: list[list[float]] = [[], []]
        offered: list[list[float]] = [[], []]
        over = time.monotonic() + 6

        def load(which: int) -> None:
            url = f"http://127.0.0.1:{clients[which].server.http_port}/ratelimit/v1/check"
            question = {"service": "orders", "tokens": 20}
            with httpx.Client(timeout=10) as http:
                while time.monotonic() < over:
                    allowed = http.post(url, json=question).json()["allowed"]
                    now = time.monotonic()
                    offered[which].append(now)
                    if allowed:
                        passed[which].append(now)

        threads = [threading.Thread(target=load, args=(which,)) for which in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        times = sorted([*passed[0], *passed[1]])
        asked = sorted([*offered[0], *offered[1]])
        begin, end = asked[0], asked[-1]
        assert 20 * len(asked) / (end - begin) > 2000, "too little was asked for to say anything"
        flush = 20 * max(count_within(asked, at, 0.1) for at in asked)
        worst = 20 * max(count_within(times, at, 0.9) for at in times)
        assert worst <= 1000 + flush
        assert 20 * len(times) >= 0.98 * 1000 * (end - begin)


def count_within(times: list[float], at: float, seconds: float) -> int:
    """How many lie in a stretch that begins then."""
    return bisect_right(times, at + seconds) - bisect_right(times, at) + 1


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
