"""What Consul's clients were told stays true: the server killed under load, stopped for longer than TTLs, without a disk, with a
wall clock that jumps."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child
from consul_light import Http, leave, until
from wall_clock import WallClock

FACTOR = int(os.environ.get("SOAK_FACTOR", "1"))
ENOUGH = 1000 * min(FACTOR, 10)
"""Writes before a kill."""
HOUR = 3600

Start = Callable[..., Child]


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


# ---------------------------------------------------------------- killed


def value(n: int) -> bytes:
    """That shows whether it is whole."""
    body = f"{n};".encode() * (1 + n * 7 % 200)
    return body + hashlib.md5(body).hexdigest().encode()


def registration(n: int) -> dict[str, Any]:
    return {
        "ID": f"w-{n}", "Name": f"killed-{n % 7}", "Port": 1000 + n % 60000, "Address": f"10.7.{n >> 8}.{n & 255}",
        "Tags": [f"t{n}"], "Meta": {"n": str(n)}, "Checks": [{"CheckID": f"c-{n}", "TTL": "1h", "Status": "passing"}],
    }  # fmt: skip


def operations(n: int) -> list[dict[str, Any]]:
    """Two keys and a service: all or none."""
    encoded = base64.b64encode(value(n)).decode()
    service = {"ID": f"x-{n}", "Service": "in-txn", "Port": 80, "Meta": {"n": str(n)}}
    return [
        {"KV": {"Verb": "set", "Key": f"txn/{n}/a", "Value": encoded}},
        {"Service": {"Verb": "set", "Node": "of-txn", "Service": service}},
        {"KV": {"Verb": "set", "Key": f"txn/{n}/b", "Value": encoded, "Flags": n}},
    ]


class Load:
    """Clients that write without end, and note what they were promised."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.said: dict[str, set[int]] = {kind: set() for kind in ("service", "key", "txn", "lock")}
        self.promised: dict[str, set[int]] = {kind: set() for kind in self.said}
        self.refused: list[object] = []
        self._number = 0

    def __len__(self) -> int:
        return sum(map(len, self.promised.values()))

    async def run(self, kind: str) -> None:
        """One after another until the connection breaks."""
        http = await Http.connected(self.port)
        session = (await http.put("/v1/session/create", {"TTL": "3600s"})).json["ID"] if kind == "lock" else ""
        try:
            while True:
                self._number += 1
                n = self._number
                self.said[kind].add(n)
                target, body = {
                    "service": ("/v1/agent/service/register", registration(n)),
                    "key": (f"/v1/kv/killed/{n}?flags={n}", value(n)),
                    "txn": ("/v1/txn", operations(n)),
                    "lock": (f"/v1/kv/locked/{n}?acquire={session}", value(n)),
                }[kind]
                answer = await http.put(target, body)
                if answer.status == 200:
                    self.promised[kind].add(n)
                else:
                    self.refused.append(answer)
                await asyncio.sleep(0.005)
        except (OSError, EOFError):
            http.close()


async def test_kill_9_under_writes_loses_nothing_that_was_promised_and_breaks_nothing(start: Start) -> None:
    child = start()
    setup = await Http.connected(child.consul)
    await setup.done("/v1/catalog/register", {"Node": "of-txn", "Address": "10.8.0.1"})
    load = Load(child.consul)
    clients = [asyncio.ensure_future(load.run(kind)) for kind in load.said for _ in range(4)]
    await until(lambda: len(load) >= ENOUGH, 60, "load")
    index = (await setup.get("/v1/kv/killed/?keys")).index
    child.send(signal.SIGKILL)
    await asyncio.gather(*clients)
    child.process.wait()
    child = start()
    http = await Http.connected(child.consul)
    found: dict[str, set[int]] = {}
    services = (await http.get("/v1/agent/services")).json
    checks = (await http.get("/v1/agent/checks")).json
    found["service"] = set()
    for service in services.values():
        n = int(service["Meta"]["n"])
        wanted = registration(n)
        assert {name: service[name] for name in ("ID", "Port", "Address", "Tags", "Meta")} == {
            name: wanted[name] for name in ("ID", "Port", "Address", "Tags", "Meta")
        }
        assert (checks[f"c-{n}"]["ServiceID"], checks[f"c-{n}"]["Status"]) == (f"w-{n}", "passing")
        found["service"].add(n)
    assert len(checks) == len(services), "no check without its service"
    entries = (await http.get("/v1/kv/?recurse")).json
    kept = {entry["Key"]: entry for entry in entries}
    for entry in entries:
        n = int(entry["Key"].split("/")[1])
        assert base64.b64decode(entry["Value"]) == value(n), "half a value"
    found["key"] = {int(key.split("/")[1]) for key in kept if key.startswith("killed/")}
    assert all(kept[f"killed/{n}"]["Flags"] == n for n in found["key"])
    found["lock"] = {int(key.split("/")[1]) for key in kept if key.startswith("locked/")}
    sessions = {session["ID"] for session in (await http.get("/v1/session/list")).json}
    assert all(kept[f"locked/{n}"]["Session"] in sessions for n in found["lock"]), "a lock and its session"
    shown = {int(s["ServiceMeta"]["n"]) for s in (await http.get("/v1/catalog/service/in-txn")).json}
    found["txn"] = {int(key.split("/")[1]) for key in kept if key.startswith("txn/") and key.endswith("/a")}
    assert found["txn"] == {int(key.split("/")[1]) for key in kept if key.startswith("txn/") and key.endswith("/b")}
    assert found["txn"] == shown, "half a transaction"
    assert load.refused == []
    for kind, numbers in found.items():
        assert load.promised[kind] <= numbers <= load.said[kind], kind
        assert len(numbers - load.promised[kind]) <= 4, f"{kind}: at most what was under way"
    assert (await http.get("/v1/kv/killed/?keys")).index >= index, "no index goes back"


# ---------------------------------------------------------------- stopped for a while


@pytest.mark.timeout(120)
async def test_a_stopped_process_fails_no_check_and_ends_no_session(start: Start) -> None:
    """Checks that live 2 s, stopped for longer; with ``SOAK_FACTOR`` also a session, whose least TTL is 10 s and which lives
    for twice that."""
    child = start()
    stop_s = 3.0 if FACTOR == 1 else 25.0
    http = await Http.connected(child.consul)
    for n in range(5):
        check = {"TTL": "2s", "Status": "passing"}
        await http.done("/v1/agent/service/register", {"ID": f"s{n}", "Name": "stopped", "Port": n + 1, "Check": check})
    session = (await http.put("/v1/session/create", {"TTL": "10s"})).json["ID"]
    assert (await http.put(f"/v1/kv/held?acquire={session}", b"x")).body == b"true"
    waiting = await Http.connected(child.consul)
    since = (await http.get("/v1/health/service/stopped?passing")).index
    waiting.send("GET", f"/v1/health/service/stopped?passing&wait=600s&index={since}")
    child.send(signal.SIGSTOP)
    await asyncio.sleep(stop_s)  # longer than they live: this is what is tested
    child.send(signal.SIGCONT)
    assert len((await http.get("/v1/health/service/stopped?passing")).json) == 5
    for n in range(5):
        await http.done(f"/v1/agent/check/pass/service:s{n}")
    assert (await http.get("/v1/kv/held")).json[0]["Session"] == session
    assert len((await http.put(f"/v1/session/renew/{session}")).json) == 1
    assert (await http.get("/v1/health/service/stopped?passing")).index == since, "nothing has happened"
    answer = await waiting.answer()
    assert len(answer.json) < 5, "silence counts again"
    assert answer.index > since


# ---------------------------------------------------------------- without a disk


async def test_a_full_disk_is_an_error_and_changes_nothing(start: Start) -> None:
    child = start()
    http, waiting = await Http.connected(child.consul), await Http.connected(child.consul)
    await http.done("/v1/agent/service/register", {"Name": "full", "Port": 1, "Check": {"TTL": "1h"}})
    await http.done("/v1/kv/full", b"before")
    session = (await http.put("/v1/session/create", {"TTL": "3600s"})).json["ID"]
    service, keys = "/v1/health/service/full", "/v1/kv/full?recurse"
    since = {target: (await http.get(target)).index for target in (service, keys)}
    waiting.send("GET", f"{service}?wait=600s&index={since[service]}")
    big = b"x" * 100_000
    with child.full_disk():
        for target, body in (
            ("/v1/agent/service/register", {"Name": "full", "Port": 2, "Meta": {"pad": "x" * 500}}),
            ("/v1/agent/service/register", {"ID": "other", "Name": "full", "Port": 3}),
            ("/v1/agent/service/deregister/full", b""),
            ("/v1/agent/service/maintenance/full?enable=true", b""),
            ("/v1/catalog/register", {"Node": "n", "Address": "10.0.0.9", "Service": {"Service": "full", "Port": 4}}),
            ("/v1/kv/full", big),
            ("/v1/kv/full?cas=0", big),
            ("/v1/kv/full-2", big),
            (f"/v1/kv/full?acquire={session}", big),
            ("/v1/session/create", {"TTL": "10s"}),
            (f"/v1/session/destroy/{session}", b""),
            ("/v1/txn", operations(1)[:1]),
        ):
            answer = await http.put(target, body)
            if target.endswith("cas=0"):
                assert answer.body == b"false", "refused before it is written"
                continue
            assert answer.status == 500, (target, answer)
            assert b"No cluster leader" in answer.body, (target, answer)
        assert (await http.ask("DELETE", "/v1/kv/full")).status == 500
        assert (await http.put("/v1/agent/check/pass/service:full")).status in (200, 500)
        found = (await http.get(service)).json
        assert [i["Service"]["Port"] for i in found] == [1], "nobody saw any of it"
        assert [e["Key"] for e in (await http.get(keys)).json] == ["full"]
        assert (await http.get("/v1/kv/full?raw")).body == b"before"
        assert (await http.get(keys)).index == since[keys]
        assert [s["ID"] for s in (await http.get("/v1/session/list")).json] == [session]
    await http.done("/v1/kv/full", b"after")
    await http.done("/v1/agent/service/register", {"Name": "full", "Port": 5})
    answer = await waiting.answer()
    assert [i["Service"]["Port"] for i in answer.json] in ([1], [5]), "a check that passed, or what was registered"
    assert answer.index > since[service]
    child.end(signal.SIGKILL)
    child = start()
    http = await Http.connected(child.consul)
    assert [i["Service"]["Port"] for i in (await http.get(service)).json] == [5]
    assert (await http.get("/v1/kv/full?raw")).body == b"after"


# ---------------------------------------------------------------- a wall clock that jumps


@pytest.mark.timeout(120)
async def test_a_wall_clock_that_jumps_fails_no_check_and_ends_no_session(start: Start, tmp_path: Path) -> None:
    """Checks live 2 s and are heard of; one falls silent after each jump and is missed 2 s later, not an hour."""
    clock = WallClock(tmp_path / "clock")
    child = start(env=clock.env)
    http = await Http.connected(child.consul)
    check = {"TTL": "2s", "Status": "passing"}
    for n in range(3):
        await http.done("/v1/agent/service/register", {"ID": f"s{n}", "Name": "moved", "Port": n + 1, "Check": check})
    session = (await http.put("/v1/session/create", {"TTL": "10s", "LockDelay": "1s"})).json["ID"]
    assert (await http.put(f"/v1/kv/held?acquire={session}", b"x")).body == b"true"
    for silent, moved in (("s1", HOUR), ("s2", -HOUR)):
        clock.move(moved)
        began = time.monotonic()
        passing = {"s0", "s1", "s2"}
        while silent in passing:
            await http.done("/v1/agent/check/pass/service:s0")
            found = (await http.get("/v1/health/service/moved?passing")).json
            passing = {i["Service"]["ID"] for i in found}
            assert "s0" in passing
            assert time.monotonic() - began < 8, "silence is noticed whatever the wall clock says"
            if silent == "s1":
                await http.done("/v1/agent/check/pass/service:s2")
            await asyncio.sleep(0.05)
        assert time.monotonic() - began > 1.0
        assert (await http.get("/v1/kv/held")).json[0]["Session"] == session
        assert len((await http.put(f"/v1/session/renew/{session}")).json) == 1
    assert (await http.put(f"/v1/session/destroy/{session}")).body == b"true"
    other = (await http.put("/v1/session/create", {"TTL": "10s"})).json["ID"]
    began = time.monotonic()
    while (await http.put(f"/v1/kv/held?acquire={other}", b"y")).body != b"true":
        assert time.monotonic() - began < 8, "the delay of a lock passes whatever the wall clock says"
        await asyncio.sleep(0.05)
