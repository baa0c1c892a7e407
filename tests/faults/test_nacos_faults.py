"""What Nacos clients were told stays true: the server killed under load, stopped for longer than leases, without a disk, with a
wall clock that jumps."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child
from nacos_light import Client, Http, Lost, hosts, leave, named, until
from wall_clock import WallClock

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
ENOUGH = 1000 * min(FACTOR, 10)
"""Registrations before a kill."""

Start = Callable[..., Child]


@pytest.fixture(params=["native", "grpcio"])
def transport(request: pytest.FixtureRequest) -> str:
    """Each of them."""
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts children in one folder; none outlives the test, and none of them ever shows a traceback."""
    children: list[Child] = []

    def begin(*sets: str, **options: Any) -> Child:
        children.append(Child(tmp_path / "server", *sets, **options))
        return children[-1]

    yield begin
    for child in children:
        child.end(signal.SIGKILL)
    if children:
        assert "Traceback" not in children[0].output


@pytest.fixture(autouse=True)
async def cut() -> AsyncIterator[None]:
    """No connection outlives its test."""
    yield
    await leave()


async def listed(port: int, service: str) -> list[dict[str, Any]]:
    """The instances of a list, asked for on a connection of its own."""
    http = await Http.connected(port)
    status, body = await http.ask("GET", "/v1/ns/instance/list", serviceName=service)
    http.close()
    assert status == 200, body
    found: list[dict[str, Any]] = json.loads(body)["hosts"]
    return found


# ---------------------------------------------------------------- killed


class Load:
    """Clients that register without end, and note what they were promised."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.said: dict[str, set[int]] = {"e": set(), "p": set(), "g": set(), "gp": set()}
        """Kind -> numbers that were sent."""
        self.promised: dict[str, set[int]] = {kind: set() for kind in self.said}
        """Those of them that were acknowledged."""
        self.refused: list[object] = []
        self._number = 0

    def __len__(self) -> int:
        return sum(map(len, self.promised.values()))

    def number(self, kind: str) -> int:
        self._number += 1
        self.said[kind].add(self._number)
        return self._number

    async def http(self, kind: str, pace_s: float) -> None:
        """One after another until the connection breaks: ephemeral ones (e) or persistent ones (p)."""
        client = await Http.connected(self.port)
        try:
            while True:
                n = self.number(kind)
                status, body = await client.ask(
                    "POST", "/v1/ns/instance", serviceName=f"killed-{kind}", ip=address(n), port=1000 + n % 60000,
                    weight=n / 8, ephemeral=str(kind == "e").lower(), metadata=json.dumps(metadata(n)),
                )  # fmt: skip
                if (status, body) == (200, b"ok"):
                    self.promised[kind].add(n)
                else:
                    self.refused.append((status, body))
                await asyncio.sleep(pace_s)
        except (OSError, EOFError):
            client.close()

    async def grpc(self, kind: str, pace_s: float) -> None:
        """The same over gRPC; each connection has one ephemeral instance of each service (g), or persistent ones (gp)."""
        client = await Client.arrived(self.port + 1000)
        try:
            while True:
                n = self.number(kind)
                service = f"killed-{kind}" if kind == "gp" else f"killed-{kind}-{n}"
                members = {"weight": n / 8, "metadata": metadata(n), "ephemeral": kind == "g"}
                await client.register(service, address(n), 1000 + n % 60000, **members)
                self.promised[kind].add(n)
                await asyncio.sleep(pace_s)
        except Lost:
            pass


def address(n: int) -> str:
    return f"10.7.{n >> 8}.{n & 255}"


def metadata(n: int) -> dict[str, str]:
    return {"n": str(n), "twin": str(n), "preserved.ip.delete.timeout": "60000"}


def whole(host: dict[str, Any]) -> int:
    """The number of an instance, all of which is there."""
    n = int(host["metadata"]["n"])
    assert host["metadata"] == metadata(n)
    assert (host["ip"], host["port"], host["weight"]) == (address(n), 1000 + n % 60000, n / 8)
    return n


async def test_kill_9_under_registrations_loses_nothing_that_was_promised(start: Start, transport: str) -> None:
    carried = f"apiservers.service-nacos.option.transport={transport}"
    child = start(carried)
    load = Load(child.nacos)
    began = time.monotonic()
    clients = [
        asyncio.ensure_future(run(kind, 0.01))
        for run, kind in ((load.http, "e"), (load.http, "p"), (load.grpc, "g"), (load.grpc, "gp"))
        for _ in range(4)
    ]
    await until(lambda: len(load) >= ENOUGH, 60, "load")
    rate = len(load) / (time.monotonic() - began)
    child.send(signal.SIGKILL)
    await asyncio.gather(*clients)
    child.process.wait()
    promised = len(load)
    child = start(carried, nacos=child.nacos)
    found: dict[str, set[int]] = {}
    for kind in ("e", "p", "gp"):
        found[kind] = {whole(host) for host in await listed(child.nacos, f"killed-{kind}")}
    reader = await Client.arrived(child.nacos + 1000)
    found["g"] = set()
    for n in load.said["g"]:
        info = await reader.subscribe(f"killed-g-{n}")
        found["g"] |= {whole(host) for host in info["hosts"]}
    print(
        f"{transport}: killed at {rate:.0f} registrations a second, {promised} promised, {sum(map(len, found.values()))} there"
    )
    assert load.refused == []
    for kind, numbers in found.items():
        assert load.promised[kind] <= numbers, kind
        assert numbers <= load.said[kind], kind
        assert len(numbers - load.promised[kind]) <= 4, f"{kind}: at most what was under way"


# ---------------------------------------------------------------- stopped for a while


@pytest.mark.timeout(120)
async def test_a_stopped_process_expires_nobody_who_beats_over_http(start: Start) -> None:
    """Instances that live 2 s; with ``SOAK_FACTOR`` also those of 30 s that nobody says anything of for 40 s."""
    child = start("naming.selfProtection.open=false")
    stop_s, times = (2.5, (500, 1000, 2000)) if FACTOR == 1 else (40.0, (5000, 15000, 30000))
    port = child.nacos
    http = await Http.connected(port)
    names = ("preserved.heart.beat.interval", "preserved.heart.beat.timeout", "preserved.ip.delete.timeout")
    said = json.dumps(dict(zip(names, map(str, times), strict=True)))
    for n in range(8):
        answer = await http.ask(
            "POST", "/v1/ns/instance", serviceName="stopped", ip=address(n), port=80, ephemeral="true", metadata=said
        )
        assert answer == (200, b"ok")
    reader = await Client.arrived(port + 1000)
    assert len((await reader.subscribe("stopped"))["hosts"]) == 8
    child.send(signal.SIGSTOP)
    await asyncio.sleep(stop_s)  # longer than they live: this is what is tested
    child.send(signal.SIGCONT)
    found = await listed(port, "stopped")
    assert len(found) == 8
    assert all(host["healthy"] for host in found)
    http = await Http.connected(port)
    for n in range(8):
        status, body = await http.ask(
            "PUT",
            "/v1/ns/instance/beat",
            serviceName="DEFAULT_GROUP@@stopped",
            ip=address(n),
            port=80,
            clusterName="DEFAULT",
        )
        assert (status, json.loads(body)["code"]) == (200, 10200)
    assert not [body for body in reader.lists if json.loads(body)["serviceInfo"]["hosts"] == []]
    assert not reader.over.done(), "the stream has outlasted it, too"
    if FACTOR == 1:
        await until(lambda: reader.lists and b'"hosts":[]' in reader.lists[-1], 10, "silence counts again")


# ---------------------------------------------------------------- without a disk


async def test_a_full_disk_is_an_error_and_no_empty_list(start: Start, transport: str) -> None:
    child = start(f"apiservers.service-nacos.option.transport={transport}")
    port = child.nacos
    http = await Http.connected(port)
    publisher, reader = await Client.arrived(port + 1000), await Client.arrived(port + 1000)
    await publisher.register("full", "10.0.0.1", 1)
    assert await http.ask("POST", "/v1/ns/instance", serviceName="full", ip="10.0.0.2", port=2) == (200, b"ok")
    assert await http.ask("POST", "/v1/ns/instance", serviceName="kept", ip="10.0.0.3", port=3, ephemeral="false") == (
        200,
        b"ok",
    )
    there = [("10.0.0.1", 1), ("10.0.0.2", 2)]
    assert hosts(await reader.subscribe("full")) == there
    await reader.subscribe("kept")
    await until(lambda: reader.lists, 5, "the list that every new subscriber gets")
    pad = {"pad": "x" * 900}
    with child.full_disk():
        for method, path, more in (
            ("POST", "/v1/ns/instance", {"serviceName": "full", "ip": "10.0.0.9", "port": 9}),
            ("DELETE", "/v1/ns/instance", {"serviceName": "full", "ip": "10.0.0.2", "port": 2}),
            ("POST", "/v2/ns/instance", {"serviceName": "kept", "ip": "10.0.0.9", "port": 9, "ephemeral": "false"}),
            ("DELETE", "/v1/ns/instance", {"serviceName": "kept", "ip": "10.0.0.3", "port": 3, "ephemeral": "false"}),
            ("POST", "/v3/client/ns/instance", {"serviceName": "full", "ip": "10.0.0.9", "port": 9}),
        ):
            status, body = await http.ask(method, path, **more, metadata=json.dumps(pad))
            assert status >= 500, (method, path, body)
        for type, service, what, ip in (
            ("InstanceRequest", "full", "registerInstance", "10.0.0.8"),
            ("InstanceRequest", "full", "deregisterInstance", "10.0.0.1"),
            ("PersistentInstanceRequest", "kept", "registerInstance", "10.0.0.8"),
            ("PersistentInstanceRequest", "kept", "deregisterInstance", "10.0.0.3"),
        ):
            instance = {"ip": ip, "port": int(ip[-1]), "metadata": pad, "ephemeral": type == "InstanceRequest"}
            answer = await publisher.ask(type, named(service) | {"type": what, "instance": instance})
            assert (answer["resultCode"], answer["success"]) == (500, False), (type, what, answer)
        beat = {"serviceName": "DEFAULT_GROUP@@full", "ip": "10.0.0.2", "port": 2, "clusterName": "DEFAULT"}
        status, body = await http.ask("PUT", "/v1/ns/instance/beat", **beat)
        assert (status, json.loads(body)["code"]) == (200, 10200)
        assert await reader.query("full") == there, "nobody saw any of it"
        assert await reader.query("kept") == [("10.0.0.3", 3)]

        leaver = await Client.arrived(port + 1000)
        assert hosts(await leaver.subscribe("full")) == there
        leaver.reset()
    assert await http.ask("POST", "/v1/ns/instance", serviceName="full", ip="10.0.0.7", port=7) == (200, b"ok")
    await until(lambda: b'"10.0.0.7"' in reader.lists[-1], 5, "writes work again")
    assert not [body for body in reader.lists if json.loads(body)["serviceInfo"]["hosts"] == []]
    child.end(signal.SIGKILL)
    child = start(nacos=port)
    assert sorted((h["ip"], h["port"]) for h in await listed(port, "full")) == [*there, ("10.0.0.7", 7)]
    assert [h["ip"] for h in await listed(port, "kept")] == ["10.0.0.3"]


# ---------------------------------------------------------------- a wall clock that jumps

HOUR = 3600


async def test_a_wall_clock_that_jumps_expires_nobody(start: Start, tmp_path: Path) -> None:
    """Instances live 2 s and beat; one falls silent after each jump and is missed 2 s later, not an hour."""
    clock = WallClock(tmp_path / "clock")
    child = start("naming.selfProtection.open=false", env=clock.env)
    port = child.nacos
    http = await Http.connected(port)
    said = json.dumps(
        {
            "preserved.heart.beat.interval": "500",
            "preserved.heart.beat.timeout": "1000",
            "preserved.ip.delete.timeout": "2000",
        }
    )
    publisher, reader = await Client.arrived(port + 1000), await Client.arrived(port + 1000)
    await publisher.register("moved", "10.0.0.1", 1)
    await reader.subscribe("moved")

    async def register(n: int) -> None:
        answer = await http.ask("POST", "/v1/ns/instance", serviceName="moved", ip=address(n), port=80, metadata=said)
        assert answer == (200, b"ok")

    async def beat(numbers: range) -> None:
        for n in numbers:
            _, body = await http.ask(
                "PUT",
                "/v1/ns/instance/beat",
                serviceName="DEFAULT_GROUP@@moved",
                ip=address(n),
                port=80,
                clusterName="DEFAULT",
            )
            assert json.loads(body)["code"] == 10200, n

    async def look() -> dict[str, bool]:
        status, body = await http.ask("GET", "/v1/ns/instance/list", serviceName="moved")
        assert status == 200
        info = json.loads(body)
        refs.append(info["lastRefTime"])
        return {host["ip"]: host["healthy"] for host in info["hosts"]}

    refs: list[int] = []
    beating = range(4)
    for n in beating:
        await register(n)
    for n, moved in enumerate((HOUR, -HOUR), 10):
        await register(n)  # the one that falls silent
        before = time.time() * 1000 - HOUR * 1000
        clock.move(moved)
        began = time.monotonic()
        found = await look()
        while address(n) in found:
            assert found == dict.fromkeys(found, True) | ({address(n): found[address(n)]})
            assert found.keys() == {"10.0.0.1", address(n), *map(address, beating)}
            assert time.monotonic() - began < 8, "silence is noticed whatever the wall clock says"
            await beat(beating)
            await asyncio.sleep(0.05)
            found = await look()
        assert time.monotonic() - began > 1.5
        assert refs[-1] > before
    assert refs == sorted(refs)
    assert refs[-1] > (time.time() + 0.9 * HOUR) * 1000, "the clock has moved"
    pushed = [json.loads(body)["serviceInfo"] for body in reader.lists]
    assert [info["lastRefTime"] for info in pushed] == sorted(info["lastRefTime"] for info in pushed)
    assert ("10.0.0.1", 1) in set.intersection(*(set(hosts(info)) for info in pushed))
    assert not publisher.over.done()
    late = await Client.arrived(port + 1000)
    assert len({late.id, publisher.id, reader.id}) == 3
