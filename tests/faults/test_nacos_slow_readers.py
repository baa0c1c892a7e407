"""A Nacos subscriber that does not read: others are not held up, it costs little, and it catches up or is ended for a reason."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from child import Child
from nacos_light import Client, Http, hosts, leave, median, until

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
CHANGES = 1000
PER_SECOND = 500
MEMBERS = 100
PAD = {"pad": "x" * 900}
"""Makes the list 120 KB long, so that a few of them are more than the kernel holds for a socket."""
ALLOWED_GROWTH = 24_000_000
"""Bytes; what one client may be owed, and what allocators keep. All lists together would be 120 MB and more."""
SILENT_S = 35.0
"""20 s of silence, 3 s until somebody looks, 5 s for an answer, and room."""


@pytest.fixture(params=["native"] if FACTOR == 1 else ["native", "grpcio"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


@pytest.fixture
def child(transport: str, tmp_path: Path) -> Iterator[Child]:
    """A server on it."""
    started = Child(tmp_path / "server", f"apiservers.service-nacos.option.transport={transport}")
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    await leave()


def resident(child: Child) -> int:
    """Bytes."""
    fields = Path(f"/proc/{child.process.pid}/statm").read_text("ascii").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


async def filled(child: Child) -> Http:
    """With a service that has a long list; a connection to change it by."""
    http = await Http.connected(child.nacos)
    said = json.dumps(PAD | {"preserved.ip.delete.timeout": "600000", "preserved.heart.beat.timeout": "500000"})
    for n in range(MEMBERS):
        answer = await http.ask("POST", "/v1/ns/instance", serviceName="busy", ip="10.0.0.1", port=n + 1, metadata=said)
        assert answer == (200, b"ok")
    return http


class Reader:
    """A subscriber, and how long it took until it was told of changes: their number is the port of an instance."""

    def __init__(self) -> None:
        self.newest = 0
        self.delays: list[float] = []
        self.sent: dict[int, float] = {}

    def pushed(self, body: bytes) -> None:
        now = time.monotonic()
        newest = max((port for _, port in hosts(json.loads(body)["serviceInfo"])), default=0)
        if newest > self.newest and newest in self.sent:
            self.delays.append(now - self.sent[newest])
        self.newest = max(self.newest, newest)


@pytest.mark.timeout(120)
async def test_who_does_not_read_holds_up_nobody_and_catches_up(child: Child) -> None:
    http = await filled(child)
    port = child.nacos + 1000
    reader, slow = Reader(), Reader()
    await (await Client.arrived(port, reader.pushed)).subscribe("busy")
    stopped = await Client.arrived(port, slow.pushed, receive_buffer=4096)
    await stopped.subscribe("busy")
    stopped.transport.pause_reading()
    before = largest = resident(child)
    answers: list[float] = []
    began = time.monotonic()
    publisher = await Client.arrived(port)
    for n in range(CHANGES):
        number = 10_000 + n
        sent = reader.sent[number] = time.monotonic()
        await publisher.register("busy", "10.0.0.2", number)
        answers.append(time.monotonic() - sent)
        if n % 50 == 0:
            largest = max(largest, resident(child))
        await asyncio.sleep(max(0.0, began + (n + 1) / PER_SECOND - time.monotonic()))
    took = time.monotonic() - began
    last = 10_000 + CHANGES - 1
    await until(lambda: reader.newest == last, 5, "who reads has the last list")
    assert not stopped.over.done()
    largest = max(largest, resident(child))
    assert slow.newest < last
    stopped.transport.resume_reading()
    await until(lambda: slow.newest == last, 15, "who reads again gets the newest list")
    print(
        f"{CHANGES} changes in {took:.1f} s, answered after {median(answers) * 1e3:.1f} ms, told after "
        f"{median(reader.delays) * 1e3:.1f} ms (longest {max(reader.delays) * 1e3:.0f}); {(largest - before) / 1e6:+.1f} MB"
    )
    assert largest - before < ALLOWED_GROWTH
    assert median(reader.delays) < 0.5
    http.close()


@pytest.mark.skipif(FACTOR == 1, reason="takes half a minute of silence; make soak")
@pytest.mark.timeout(120)
async def test_who_never_reads_again_is_ended_and_the_log_says_why(child: Child, transport: str) -> None:
    http = await filled(child)
    port = child.nacos + 1000
    stopped = await Client.arrived(port, receive_buffer=4096)
    await stopped.subscribe("busy")
    await stopped.register("other", "10.0.0.9", 9)
    stopped.transport.pause_reading()
    reader = await Client.arrived(port)
    assert hosts(await reader.subscribe("other")) == [("10.0.0.9", 9)]
    began = time.monotonic()
    n = 0
    while time.monotonic() - began < SILENT_S and b'"hosts":[]' not in (reader.lists or [b""])[-1]:
        n += 1
        await http.ask(
            "PUT", "/v1/ns/instance", serviceName="busy", ip="10.0.0.1", port=1, metadata=json.dumps({"n": n})
        )
        await asyncio.sleep(0.05)
    print(f"ended after {time.monotonic() - began:.0f} s and {n} changes")
    assert b'"hosts":[]' in reader.lists[-1], "what it published is gone with it"
    assert not reader.over.done()
    if transport == "grpcio":
        return  # the kernel ends it, after the 20 s that grpcio gives unacknowledged bytes
    log = child.output + "".join(file.read_text() for file in child.folder.rglob("*.log"))
    assert f"connection {stopped.id} of" in log
    assert "is ended: silent" in log
