"""The checker ``heartbeatRedis`` with real Redis: what is written, whose hearing counts, and what its absence changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..server import Server
from ..waiting import until
from .processes import Redis, cluster, join, running

TTL_S = 1
LOST_WITHIN_S = 8
"""Three times the ttl, and what a busy machine needs."""
PLACE = {"service": "orders", "namespace": "default", "host": "10.0.0.1", "port": 8080}

Start = Callable[..., "Registry"]


class Registry:
    """Our server, over its HTTP API."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._url = f"http://127.0.0.1:{server.http_port}"

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.post(self._url + path, json=body, timeout=5).json()
        return answer

    def register(self) -> str:
        """One instance with heartbeats; its id."""
        health = {"enable_health_check": True, "health_check": {"type": "HEARTBEAT", "heartbeat": {"ttl": TTL_S}}}
        answer = self._post("/v1/RegisterInstance", {**PLACE, **health})
        assert answer["code"] == 200000
        id: str = answer["instance"]["id"]
        return id

    def beat(self) -> int:
        code: int = self._post("/v1/Heartbeat", PLACE)["code"]
        return code

    def leave(self) -> None:
        assert self._post("/v1/DeregisterInstance", PLACE)["code"] == 200000

    def healthy(self) -> bool:
        request = {"type": "INSTANCE", "service": {"name": "orders", "namespace": "default"}}
        (instance,) = self._post("/v1/Discover", request)["instances"]
        healthy: bool = instance["healthy"]
        return healthy


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def begin(**option: Any) -> Registry:
        text = ", ".join(
            f"{name}: {value!r}" if isinstance(value, str) else f"{name}: {value}" for name, value in option.items()
        )
        setting = f"healthcheck.checkers=[{{name: heartbeatRedis, option: {{{text}}}}}]"
        server = Server(tmp_path, "service-grpc", (setting,))
        servers.append(server)
        server.start()
        return Registry(server)

    yield begin
    for server in servers:
        server.close()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    process = Redis(tmp_path)
    with running(process):
        yield process


def test_what_is_written(redis: Redis, start: Start) -> None:
    registry = start(kvAddr=redis.address)
    id = registry.register()
    with redis.client() as client:
        first = until(lambda: client.get(f"hb_{id}"), 5, "the registration counts as a beat")
        seconds, _, rest = first.partition(":")
        server, _, count = rest.rpartition("|")
        assert abs(int(seconds) - time.time()) < 5
        assert client.smembers("servers") == {server}
        assert count == "1"
        assert registry.beat() == 200000
        until(lambda: client.get(f"hb_{id}").endswith("|2"), 5, "beats are counted")
        registry.leave()
        until(lambda: client.get(f"hb_{id}") is None, 5, "a deregistration removes the key")
        registry.server.end(signal.SIGTERM)
        assert client.smembers("servers") == set()


def test_the_older_form(redis: Redis, start: Start) -> None:
    registry = start(kvAddr=redis.address, compatible=True, DB=3)
    id = registry.register()
    with redis.client(db=3) as client:
        value = until(lambda: client.get(id), 5, "the key is the id itself")
    assert value.startswith("1:")
    assert value.endswith("|1")


def test_another_nodes_hearing_keeps_an_instance_alive(redis: Redis, start: Start) -> None:
    registry = start(kvAddr=redis.address)
    id = registry.register()
    with redis.client() as client:
        until_s = time.monotonic() + LOST_WITHIN_S
        while time.monotonic() < until_s:
            client.set(f"hb_{id}", f"{int(time.time())}:10.0.0.9|7")
            assert registry.healthy()
            time.sleep(0.25)  # the pace of the other node's beats
    until(lambda: not registry.healthy(), LOST_WITHIN_S, "nobody hears of it any more")
    assert registry.beat() == 200000
    assert registry.healthy()


def test_without_redis_nobody_is_lost_and_afterwards_everybody_has_a_whole_lease(redis: Redis, start: Start) -> None:
    registry = start(kvAddr=redis.address)
    registry.register()
    redis.kill()
    end = time.monotonic() + LOST_WITHIN_S
    while time.monotonic() < end:
        assert registry.healthy()
        time.sleep(0.25)
    assert registry.beat() == 200000
    redis.start()
    back = time.monotonic()
    until(lambda: not registry.healthy(), 3 * LOST_WITHIN_S, "it has been silent since")
    assert time.monotonic() - back >= 2 * TTL_S
    assert registry.beat() == 200000
    assert registry.healthy()


def test_passwords_and_users(tmp_path: Path, start: Start) -> None:
    process = Redis(
        tmp_path, "user default off", "user pb on >secret ~* &* +@all", secret={"username": "pb", "password": "secret"}
    )
    with running(process):
        registry = start(kvAddr=process.address, kvUser="pb", kvPasswd="secret")
        id = registry.register()
        with process.client() as client:
            until(lambda: client.get(f"hb_{id}"), 5, "it may write")


def test_sentinel_leads_to_the_primary(tmp_path: Path, start: Start) -> None:
    primary = Redis(tmp_path)
    with running(primary):
        sentinel = Redis(tmp_path, f"sentinel monitor mymaster 127.0.0.1 {primary.port} 1", sentinel=True)
        with running(sentinel):
            registry = start(deployMode="sentinel", masterName="mymaster", addrs=[sentinel.address])
            id = registry.register()
            with primary.client() as client:
                until(lambda: client.get(f"hb_{id}"), 5, "it is written to the primary")


def test_a_cluster(tmp_path: Path, start: Start) -> None:
    nodes = cluster(tmp_path)
    with running(*nodes):
        join(nodes)
        registry = start(deployMode="cluster", addrs=[node.address for node in nodes])
        id = registry.register()

        def found() -> bool:
            return any(f"hb_{id}" in node.stored() for node in nodes)

        until(found, 5, "it is written to the node of its slot")
        until(lambda: not registry.healthy(), LOST_WITHIN_S, "silence is noticed")


def test_a_redis_that_is_not_there_is_a_reason_not_to_start(tmp_path: Path) -> None:
    setting = "healthcheck.checkers=[{name: heartbeatRedis, option: {kvAddr: '127.0.0.1:1'}}]"
    command = [sys.executable, "-m", "polaris_bridge", "serve", "--data", str(tmp_path), "--listen", "127.0.0.1"]
    command += ["--set", "apiservers.*.option.listenPort=0", "--set", "apiservers.service-consul.option.dnsPort=0"]
    command += ["--set", setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "cannot start: heartbeats are to be kept in Redis at 127.0.0.1:1" in done.stderr
    assert "use heartbeatMemory" in done.stderr
