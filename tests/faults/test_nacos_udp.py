"""UDP pushes of Nacos and those who abuse them: nobody who is silent, lies or floods keeps others from being told."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child
from nacos_light import Http, leave, until

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
AGENT = "Nacos-Java-Client:v1.4.8"
GRACE_S = 10.0
"""How long an acknowledgement is waited for, before the second try and after it."""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    """A server that never shows a traceback."""
    started = Child(tmp_path / "server")
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output


class Socket(asyncio.DatagramProtocol):
    """Where a client of 1.x is pushed to."""

    def __init__(self, *, polite: bool) -> None:
        self.polite = polite
        self.lists: list[dict[str, Any]] = []
        self.server: tuple[str, int] = ("", 0)
        self.transport: asyncio.DatagramTransport

    @classmethod
    async def opened(cls, *, polite: bool) -> Socket:
        """On a port of its own."""
        _, found = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: cls(polite=polite), local_addr=("127.0.0.1", 0)
        )
        SOCKETS.append(found)
        return found

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.transport.get_extra_info("sockname")[1])

    @property
    def ports(self) -> list[int]:
        """Of the instances in the newest list."""
        return [host["port"] for host in self.lists[-1]["hosts"]] if self.lists else []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        packet = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
        self.server = addr
        self.lists.append(json.loads(packet["data"]))
        if self.polite:
            self.acknowledge(packet["lastRefTime"])

    def acknowledge(self, ref: object) -> None:
        """A packet, by its number."""
        self.transport.sendto(
            json.dumps({"type": "push-ack", "lastRefTime": str(ref), "data": ""}).encode(), self.server
        )


SOCKETS: list[Socket] = []


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No socket outlives its test."""
    yield
    while SOCKETS:
        SOCKETS.pop().transport.abort()
    await leave()


class Caller:
    """Calls over HTTP, as a 1.x client makes them."""

    def __init__(self, http: Http) -> None:
        self._http = http

    @classmethod
    async def of(cls, child: Child) -> Caller:
        """With a connection of its own."""
        return cls(await Http.connected(child.nacos))

    async def register(self, port: int, service: str = "pushed", **more: str) -> None:
        """An instance."""
        place = {"serviceName": service, "ip": "10.0.0.1", "port": port}
        assert await self._http.ask("POST", "/v1/ns/instance", **place, **more) == (200, b"ok")

    async def subscribe(self, port: int, service: str = "pushed", ip: str = "127.0.0.1") -> None:
        """A list call that names a port for pushes."""
        status, _ = await self._http.ask(
            "GET", "/v1/ns/instance/list", headers={"User-Agent": AGENT}, serviceName=service, udpPort=port, clientIP=ip
        )
        assert status == 200

    async def pushing(self) -> dict[str, Any]:
        """Who subscribes."""
        status, body = await self._http.ask("GET", "/v1/ns/service/subscribers", serviceName="pushed", pageSize=1000)
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found


async def test_liars_and_floods_hold_up_nobody(child: Child) -> None:
    """Acknowledgements that are wrong, of others, endless or no JSON, thousands of them."""
    caller = await Caller.of(child)
    await caller.register(1)
    good, liar = await Socket.opened(polite=True), await Socket.opened(polite=False)
    for each in (good, liar):
        await caller.subscribe(each.port)
    await until(lambda: good.lists and liar.lists, 5, "the first list")
    began = time.monotonic()
    lies = (
        b"", b"\x00" * 9000, b"\x1f\x8b" + b"x" * 50, b"[" * 50_000, b'{"type":"push-ack"}',
        b'{"type":"push-ack","lastRefTime":[]}',
        b'{"type":"push-ack","lastRefTime":"' + b"9" * 60_000 + b'"}', b'{"type":"push-ack","lastRefTime":-1}',
        b'{"type":"push-ack","lastRefTime":1e999}', b'{"type":"\xff"}', b'{"type":"dom","data":"{}","lastRefTime":1}',
    )  # fmt: skip
    for n in range(3000):
        liar.transport.sendto(lies[n % len(lies)], liar.server)
        liar.acknowledge(n)
        if n % 100 == 0:
            await caller.register(100 + n)
    last = 100 + 2900
    await until(lambda: last in good.ports and last in liar.ports, 5, "both are told all the same")
    print(f"6,000 lies and 30 changes in {time.monotonic() - began:.2f} s")
    refs = [info["lastRefTime"] for info in good.lists]
    assert refs == sorted(refs)


async def test_who_is_not_there_holds_up_nobody(child: Child) -> None:
    """Ports that are closed, addresses that are not to be sent to, 500 of them."""
    caller = await Caller.of(child)
    await caller.register(1)
    for n in range(500):
        await caller.subscribe(20_000 + n, ip="127.0.0.1" if n % 2 else f"192.0.2.{n % 250}")
    for ip in ("255.255.255.255", "224.0.0.1", "0.0.0.0", "::1", "localhost", "x" * 200, "10.0.0.1:8080", ""):
        await caller.subscribe(30_000, ip=ip)
    good = await Socket.opened(polite=True)
    await caller.subscribe(good.port)
    for port in range(2, 12):
        await caller.register(port)
        began = time.monotonic()
        await until(lambda port=port: port in good.ports, 5, "it is told")
        assert time.monotonic() - began < 2


async def test_a_list_that_no_datagram_holds_is_not_pushed_and_one_that_does_again_is(child: Child) -> None:
    caller = await Caller.of(child)
    socket = await Socket.opened(polite=True)
    await caller.register(1, "large")
    await caller.subscribe(socket.port, "large")
    await until(lambda: socket.ports == [1], 5, "a small one")
    for port in range(2, 302):
        await caller.register(port, "large", metadata=json.dumps({"noise": os.urandom(450).hex()}))
    before = len(socket.lists)
    status, body = await caller._http.ask("GET", "/v1/ns/instance/list", serviceName="large")
    assert (status, len(json.loads(body)["hosts"])) == (200, 301), "who asks has all of it"
    assert max(len(info["hosts"]) for info in socket.lists) < 301
    for port in range(2, 302):
        await caller._http.ask("DELETE", "/v1/ns/instance", serviceName="large", ip="10.0.0.1", port=port)
    await until(lambda: len(socket.lists) > before and socket.ports == [1], 5, "it fits again")


@pytest.mark.skipif(FACTOR == 1, reason="waits twice for 10 s; make soak")
@pytest.mark.timeout(90)
async def test_who_never_acknowledges_is_told_twice_and_forgotten(child: Child) -> None:
    caller = await Caller.of(child)
    patient = {"preserved.heart.beat.timeout": "500000", "preserved.ip.delete.timeout": "600000"}
    await caller.register(1, metadata=json.dumps(patient))
    good, silent = await Socket.opened(polite=True), await Socket.opened(polite=False)
    for each in (good, silent):
        await caller.subscribe(each.port)
    await until(lambda: good.lists and silent.lists, 5, "the first list")
    began = time.monotonic()
    while time.monotonic() - began < 2 * GRACE_S + 3:
        await caller.subscribe(good.port)
        await asyncio.sleep(1)
    assert len(silent.lists) == 2
    assert len(good.lists) == 1
    shown = json.dumps(await caller.pushing())
    assert str(good.port) in shown
    assert str(silent.port) not in shown
    await caller.register(2)
    await until(lambda: good.ports == [1, 2], 5, "others are told")
    assert len(silent.lists) == 2
