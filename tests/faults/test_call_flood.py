"""A flood of calls from one address is cut, on every port, and all others are served as if there were none."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from child import Child, document

FLOODER = ("127.0.0.2", 0)
"""Any address of the loopback network reaches the server, which sees it as another client."""
LIMIT = "{open: true, global: {bucket: 50, rate: 50}, resource-cache-amount: 64}"
JSON = {"Content-Type": "application/json"}
SECONDS = 4.0


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    made = Child(
        tmp_path / "server",
        "auth.strategy.option.consoleOpen=false",
        f"plugin.ratelimit.option={{enable: true, ip-limit: {LIMIT}}}",
    )
    yield made
    made.end(signal.SIGKILL)
    assert "Traceback" not in made.output


class Flood:
    """One connection that asks again and again as fast as it is answered."""

    def __init__(self, port: int, target: str, stop: threading.Event) -> None:
        self.statuses: Counter[int] = Counter()
        self._port, self._target, self._stop = port, target, stop
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10, source_address=FLOODER)
        while not self._stop.is_set():
            connection.request("GET", self._target)
            answer = connection.getresponse()
            answer.read()
            self.statuses[answer.status] += 1
        connection.close()


def named(port: int, source: tuple[str, int]) -> int:
    """The response code of one question over DNS."""
    question = b"\x12\x34\x01\x00\x00\x01" + bytes(6) + b"\x03web\x07service\x06consul\0\x00\x01\x00\x01"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.bind(source)
        sock.sendto(question, ("127.0.0.1", port))
        return sock.recv(4096)[3] & 15


def test_a_flood_is_cut_and_others_are_served(child: Child) -> None:
    stop = threading.Event()
    began = time.monotonic()
    floods = [
        Flood(child.port, "/eureka/apps", stop),
        Flood(child.front, "/naming/v1/services", stop),
        Flood(child.consul, "/v1/catalog/services", stop),
        Flood(child.nacos, "/nacos/v1/ns/service/list?pageNo=1&pageSize=10", stop),
    ]
    served: Counter[int] = Counter()
    slowest = 0.0
    calm = http.client.HTTPConnection("127.0.0.1", child.port, timeout=10)
    try:
        count = 0
        while time.monotonic() - began < SECONDS:
            body = json.dumps({"instance": document(f"i{count}")})
            asked = time.monotonic()
            calm.request("POST", "/eureka/apps/APP", body, JSON)
            answer = calm.getresponse()
            answer.read()
            slowest = max(slowest, time.monotonic() - asked)
            served[answer.status] += 1
            count += 1
            stop.wait(0.05)
        over_dns = Counter(named(child.dns, FLOODER) for _ in range(40))
        calm_dns = Counter(named(child.dns, ("127.0.0.1", 0)) for _ in range(5))
    finally:
        stop.set()
        for flood in floods:
            flood.thread.join(15)
        calm.close()
    took_s = time.monotonic() - began
    assert set(served) == {204}
    assert served[204] >= 20
    assert slowest < 1.5, "who is no flooder waits for nobody"
    passed = sum(flood.statuses[200] for flood in floods)
    refused = sum(flood.statuses[429] + flood.statuses[503] for flood in floods)
    assert passed <= 50 + 50 * took_s + 1, "all ports together are one bucket"
    assert refused > 5 * passed
    assert all(set(flood.statuses) <= {200, 429, 503} for flood in floods)
    assert over_dns[5] > 0
    assert calm_dns[5] == 0
    counted = {name: value for name, value in child.metrics().items() if "calls_limited_total" in name}
    assert sum(counted.values()) >= refused


def test_many_addresses_are_not_remembered_without_end(child: Child) -> None:
    """More addresses than buckets are kept: each is served, and nobody's calls fail for want of a bucket."""
    for number in range(200):
        connection = http.client.HTTPConnection(
            "127.0.0.1", child.port, timeout=10, source_address=(f"127.0.1.{number + 1}", 0)
        )
        connection.request("GET", "/eureka/apps")
        assert connection.getresponse().status == 200
        connection.close()
