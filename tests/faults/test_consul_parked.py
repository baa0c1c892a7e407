"""Ten thousand blocking queries that wait, hang up all at once or do not read: nothing of them is left, others are served."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from child import Child
from consul_light import Http, leave, until
from nacos_light import allow_files

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
PARKED = 2000 if FACTOR == 1 else 10_000
PER_QUERY = 40_000
"""Bytes of resident size that one may cost: it is double what it costs in peace."""
LEFT = 15_000_000
"""Bytes that allocators may keep of the second time as many came and went."""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """A server. It never shows a traceback."""
    allow_files(PARKED + 1000)
    started = Child(tmp_path / "server")
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


def connections(child: Child) -> float:
    """That are open at the Consul port."""
    found = child.metrics().items()
    return sum(n for name, n in found if name.startswith("polaris_bridge_connections{") and "service-consul" in name)


def blocking(target: str, since: int) -> bytes:
    return f"GET {target}?index={since}&wait=600s HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def parked(child: Child, requests: list[bytes]) -> list[socket.socket]:
    """A connection for each, from addresses of this machine, with its request under way."""
    made = []
    for n, request in enumerate(requests):
        sock = socket.create_connection(("127.0.0.1", child.consul), 30, (f"127.1.{n >> 8}.{n & 255}", 0))
        sock.sendall(request)
        made.append(sock)
    return made


def answered(sockets: list[socket.socket]) -> int:
    """How many have something to read."""
    poll = select.poll()
    for sock in sockets:
        poll.register(sock, select.POLLIN)
    return len(poll.poll(0))


def hang_up(sockets: list[socket.socket]) -> None:
    """All at once, without a word."""
    for sock in sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()


async def various(http: Http) -> list[bytes]:
    """Blocking queries of many kinds, each with what its client has seen."""
    targets = [f"/v1/health/service/parked-{n}" for n in range(20)] + ["/v1/kv/parked", "/v1/kv/parked?recurse"]
    targets += ["/v1/health/service/nobody", "/v1/catalog/service/parked-1", "/v1/agent/service/p1"]
    requests = []
    for target in targets:
        answer = await http.get(target)
        seen = (
            f"hash={answer.headers['x-consul-contenthash']}" if "agent" in target else f"index={answer.index}&wait=600s"
        )
        requests.append(f"GET {target}{'&' if '?' in target else '?'}{seen} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return requests


@pytest.mark.timeout(240)
async def test_thousands_that_wait_and_hang_up_leave_nothing(child: Child) -> None:
    http = await Http.connected(child.consul)
    for n in range(20):
        await http.done("/v1/agent/service/register", {"ID": f"p{n}", "Name": f"parked-{n}", "Port": n + 1})
    await http.done("/v1/kv/parked", b"x")
    before = resident(child)
    sizes = []
    for _ in range(2):
        requests = await various(http)
        there = parked(child, [requests[n % len(requests)] for n in range(PARKED)])
        await until(lambda: connections(child) >= PARKED, 60, "all are there")
        await http.done("/v1/kv/elsewhere", os.urandom(8))
        assert answered(there) == 0, "a query did not wait"
        sizes.append(resident(child))
        hang_up(there)
        await until(lambda: connections(child) < 10, 60, "all are gone")
        sizes.append(resident(child))
        for port in (9, 2):
            began = time.monotonic()
            await http.done("/v1/agent/service/register", {"ID": "p1", "Name": "parked-1", "Port": port})
            assert time.monotonic() - began < 2
    first, after_first, _, after_second = sizes
    print(
        f"{PARKED} parked: {(first - before) / PARKED:.0f} bytes each; left {(after_second - after_first) / 1e6:+.1f} MB"
    )
    assert first - before < PARKED * PER_QUERY
    assert after_second - after_first < LEFT


@pytest.mark.timeout(240)
async def test_all_who_wait_for_one_service_are_told_and_others_served_meanwhile(child: Child) -> None:
    http = await Http.connected(child.consul)
    await http.done("/v1/agent/service/register", {"Name": "told", "Port": 1})
    await http.done("/v1/kv/beside", b"x")
    since = (await http.get("/v1/health/service/told")).index
    there = parked(child, [blocking("/v1/health/service/told", since)] * PARKED)
    await until(lambda: connections(child) >= PARKED, 60, "all are there")
    beside = await Http.connected(child.consul)
    await http.done("/v1/agent/service/register", {"Name": "told", "Port": 2})
    waits = []
    while answered(there) < PARKED:
        began = time.monotonic()
        assert (await beside.get("/v1/kv/beside?raw")).body == b"x"
        waits.append(time.monotonic() - began)
        assert sum(waits) < 60
    print(f"others waited {max(waits, default=0) * 1e3:.0f} ms at most while {PARKED} were told")
    assert all(b'"Port":2' in sock.recv(65536) for sock in there)
    hang_up(there)


@pytest.mark.timeout(120)
async def test_who_does_not_read_holds_up_nobody_and_costs_little(child: Child) -> None:
    """Lists of 1 MB, asked for again and again by clients that read nothing."""
    http = await Http.connected(child.consul)
    pad = {f"k{n}": "x" * 500 for n in range(20)}
    for n in range(100):
        await http.done("/v1/agent/service/register", {"ID": f"s{n}", "Name": "slow", "Port": n + 1, "Meta": pad})
    assert len((await http.get("/v1/health/service/slow")).body) > 1_000_000
    before = resident(child)
    stuck = []
    for _ in range(50):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", child.consul))
        sock.setblocking(False)
        sock.send(b"GET /v1/health/service/slow HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        stuck.append(sock)
    waits = []
    for n in range(100):
        began = time.monotonic()
        await http.done("/v1/agent/service/register", {"ID": "s1", "Name": "slow", "Port": 1000 + n, "Meta": pad})
        waits.append(time.monotonic() - began)
    grown = resident(child) - before
    print(f"50 clients that do not read: {grown / 1e6:+.1f} MB, others waited {max(waits) * 1e3:.0f} ms at most")
    assert grown < 200_000_000, "less than 5,000 lists of 1 MB"
    assert max(waits) < 2
    hang_up(stuck)
    await until(lambda: connections(child) < 10, 30, "all are gone")
