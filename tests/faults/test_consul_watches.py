"""Every blocking read of Consul's API over a real connection: it waits while others change 200 things a second, wakes by the
change that it should, and by no other."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from child import Child

PER_SECOND = 200
NOISE_S = 3.0
WAKES_S = 3.0
"""From the change's answer to the reader's."""
WAIT_S = 60
Json = Any
Write = Callable[["Http"], Awaitable[None]]


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    started = Child(tmp_path / "server")
    yield started
    started.end(signal.SIGKILL)
    assert "Traceback" not in started.output


class Http:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connected(cls, port: int) -> Http:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, target: str, body: Json = None) -> tuple[int, dict[str, str], bytes]:
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: consul\r\nContent-Length: {len(sent)}\r\n\r\n"
        self._writer.write(head.encode() + sent)
        first, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(first.split()[1]), headers, await self._reader.readexactly(int(headers["content-length"]))

    async def put(self, target: str, body: Json = None) -> bytes:
        status, _, answer = await self.ask("PUT", f"/v1/{target}", body)
        assert status == 200, (target, status, answer)
        return answer

    def close(self) -> None:
        self._writer.transport.abort()


class Reader:
    """One blocking read, asked again and again from where it was."""

    def __init__(self, name: str, http: Http) -> None:
        self.name = name
        self._http = http
        self._mark = ""
        self.answer: asyncio.Task[tuple[int, dict[str, str], bytes]] | None = None

    async def read(self) -> None:
        """What is there now."""
        self._keep(await self._http.ask("GET", f"/v1/{self.name}"))

    def wait(self) -> None:
        """Ask for what is newer."""
        sign = "&" if "?" in self.name else "?"
        target = f"/v1/{self.name}{sign}{self._mark}&wait={WAIT_S}s"
        self.answer = asyncio.create_task(self._http.ask("GET", target))

    @property
    def woken(self) -> bool:
        assert self.answer is not None
        return self.answer.done()

    def take(self) -> None:
        """The answer is newer than what was asked with."""
        assert self.answer is not None
        before = self._mark
        self._keep(self.answer.result())
        assert self._mark != before, (self.name, self._mark)
        kind, _, mark = self._mark.partition("=")
        if kind == "index":
            assert int(mark) > int(before.partition("=")[2]), self.name

    def _keep(self, answer: tuple[int, dict[str, str], bytes]) -> None:
        status, headers, body = answer
        assert status in (200, 404), (self.name, answer)
        if self.name.startswith("agent/service/"):
            self._mark = f"hash={headers['x-consul-contenthash']}"
        else:
            self._mark = f"index={int(headers['x-consul-index'])}"
            assert headers["x-consul-knownleader"] == "true"
        self.body = body


HEALTH, CHECKS, STATE = "health/service/web", "health/checks/web", "health/state/any"
INSTANCES, SERVICES, NODES = "catalog/service/web", "catalog/services", "catalog/nodes"
NODE, NODE_SERVICES, NODE_CHECKS = "catalog/node/n1", "catalog/node-services/n1", "health/node/n1"
KEY, TREE, NAMES, MISSING = "kv/live/a", "kv/live/?recurse", "kv/live/?keys", "kv/absent/b"
SESSIONS, NODE_SESSIONS, EVENTS, QUERIES = "session/list", "session/node/n1", "event/list?name=deploy", "query"
AGENT, PASSING, TAGGED = "agent/service/web-1", "health/service/web?passing", "health/service/web?tag=v1"
OTHER, CONFIG = "health/service/other", "config/service-defaults"
READS = (
    *(HEALTH, CHECKS, STATE, INSTANCES, SERVICES, NODES, NODE, NODE_SERVICES, NODE_CHECKS, KEY, TREE, NAMES, MISSING),
    *(SESSIONS, NODE_SESSIONS, EVENTS, QUERIES, AGENT, PASSING, TAGGED, OTHER, CONFIG),
)
OF_WEB = {HEALTH, INSTANCES, PASSING, TAGGED}
OF_ALL_SERVICES = {SERVICES, STATE}
"""They follow every service; noise of the second kind wakes them by right."""


def web(number: int, tag: str, status: str = "passing") -> Json:
    check = {"TTL": "600s", "Status": status}
    return {"Name": "web", "ID": f"web-{number}", "Port": 8000 + number, "Tags": [tag], "Check": check}


def on_node(name: str, **more: Json) -> Json:
    return {"Node": name, "Address": "10.9.9.9", **more}


def write(method: str, target: str, body: Json = None) -> Write:
    async def perform(http: Http) -> None:
        status, _, answer = await http.ask(method, f"/v1/{target}", body)
        assert status == 200, (target, status, answer)

    return perform


CHANGES: tuple[tuple[str, Write, set[str], set[str]], ...] = (
    ("a key", write("PUT", "kv/live/a", b"2"), {KEY, TREE, NAMES}, set()),
    ("a key beside it", write("PUT", "kv/live/b", b"1"), {TREE, NAMES}, set()),
    ("a key that was missing", write("PUT", "kv/absent/b", b"1"), {MISSING}, set()),
    ("a key is deleted", write("DELETE", "kv/live/b"), {TREE, NAMES}, set()),
    (
        "a check's status",
        write("PUT", "agent/check/warn/service:web-1"),
        {HEALTH, CHECKS, STATE, PASSING, TAGGED},
        set(),
    ),
    (
        "an instance comes",
        write("PUT", "agent/service/register", web(2, "v2")),
        {*OF_WEB, CHECKS, STATE},
        {SERVICES},
    ),
    ("its tag", write("PUT", "agent/service/register", web(2, "v3")), OF_WEB, {SERVICES, CHECKS, STATE}),
    (
        "the registration of one",
        write("PUT", "agent/service/register", web(1, "v9")),
        {*OF_WEB, AGENT},
        {SERVICES, CHECKS, STATE},
    ),
    ("an instance goes", write("PUT", "agent/service/deregister/web-2"), {*OF_WEB, CHECKS, STATE}, {SERVICES}),
    (
        "maintenance",
        write("PUT", "agent/service/maintenance/web-1?enable=true"),
        {HEALTH, CHECKS, STATE, PASSING, TAGGED},
        set(),
    ),
    ("a node comes", write("PUT", "catalog/register", on_node("n2")), {NODES}, {STATE, SERVICES}),
    (
        "a node's metadata",
        write("PUT", "catalog/register", on_node("n1", NodeMeta={"a": "b"})),
        {NODES, NODE, NODE_SERVICES},
        {NODE_CHECKS, STATE, OTHER, SERVICES},
    ),
    (
        "a node's service",
        write("PUT", "catalog/register", on_node("n1", Service={"Service": "more"}, SkipNodeUpdate=True)),
        {NODE, NODE_SERVICES, SERVICES},
        {STATE, NODES, NODE_CHECKS},
    ),
    (
        "a node's check",
        write(
            "PUT", "catalog/register", on_node("n1", Check={"Name": "disk", "Status": "warning"}, SkipNodeUpdate=True)
        ),
        {NODE_CHECKS, STATE, OTHER},
        {NODE, NODE_SERVICES, SERVICES},
    ),
    (
        "a session",
        write("PUT", "session/create", {"Node": "n1", "NodeChecks": []}),
        {SESSIONS, NODE_SESSIONS},
        set(),
    ),
    ("another's session", write("PUT", "session/create"), {SESSIONS}, {NODE_SESSIONS}),
    ("an event", write("PUT", "event/fire/deploy"), {EVENTS}, set()),
    ("another event", write("PUT", "event/fire/other"), set(), {EVENTS}),
    ("a query", write("POST", "query", {"Name": "q", "Service": {"Service": "web"}}), {QUERIES}, set()),
    (
        "a config entry",
        write("PUT", "config", {"Kind": "service-defaults", "Name": "web", "Protocol": "http"}),
        {CONFIG},
        {QUERIES},
    ),
    ("the same key again", write("PUT", "kv/live/a", b"2"), set(), set()),
    ("the same node again", write("PUT", "catalog/register", on_node("n2")), set(), set()),
)
"""What changes, whom it must wake, and whom else it may (the list of services moves with nodes here, which is legal)."""


async def keys(http: Http, turn: int) -> None:
    """Noise of which no reader knows: other keys, outputs of checks, the same registration again."""
    kind = turn % 4
    if kind == 0:
        await http.put("agent/service/register", {"Name": "still", "Check": {"TTL": "600s", "Status": "passing"}})
    elif kind == 1:
        await http.put(f"agent/check/pass/service:web-1?note=turn-{turn}")
    else:
        await http.put(f"kv/elsewhere/{turn % 50}", str(turn).encode())


async def services(http: Http, turn: int) -> None:
    """Noise of another service on the same node: instances come, change and go."""
    number, kind = turn // 3 % 20, turn % 3
    if kind == 2:
        await http.put(f"agent/service/deregister/noise-{number}")
    else:
        check = {"TTL": "600s", "Status": "passing"}
        await http.put(
            "agent/service/register",
            {"Name": "noise", "ID": f"noise-{number}", "Port": 1 + turn % 60000, "Check": check},
        )


class Noise:
    """``PER_SECOND`` changes, from its own connection, until told to stop."""

    def __init__(self, http: Http, change: Callable[[Http, int], Awaitable[None]]) -> None:
        self.made = 0
        self._http, self._change = http, change
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        began = time.monotonic()
        while True:
            await self._change(self._http, self.made)
            self.made += 1
            await asyncio.sleep(max(0.0, began + self.made / PER_SECOND - time.monotonic()))

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._http.close()


@pytest.fixture
async def readers(child: Child) -> AsyncIterator[list[Reader]]:
    """All of them, waiting."""
    http = await Http.connected(child.consul)
    await http.put("agent/service/register", web(1, "v1"))
    await http.put("agent/service/register", {"Name": "still", "Check": {"TTL": "600s", "Status": "passing"}})
    await http.put("catalog/register", on_node("n1", Service={"Service": "other"}))
    await http.put("kv/live/a", b"1")
    for turn in range(8):
        await keys(http, turn)
    http.close()
    found = [Reader(name, await Http.connected(child.consul)) for name in READS]
    for reader in found:
        await reader.read()
        reader.wait()
    yield found
    for reader in found:
        assert reader.answer is not None
        reader.answer.cancel()
        await asyncio.gather(reader.answer, return_exceptions=True)
        reader._http.close()


async def until(condition: Callable[[], object], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def woken(readers: list[Reader]) -> set[str]:
    return {reader.name for reader in readers if reader.woken}


async def test_nobody_wakes_by_what_he_does_not_read(child: Child, readers: list[Reader]) -> None:
    """First noise that nobody reads; then that of another service, which those who follow all of them do read."""
    noise = Noise(await Http.connected(child.consul), keys)
    assert not await until(lambda: woken(readers), NOISE_S), woken(readers)
    await noise.stop()
    assert noise.made > NOISE_S * PER_SECOND / 4
    noise = Noise(await Http.connected(child.consul), services)
    allowed = OF_ALL_SERVICES
    assert not await until(lambda: woken(readers) - allowed, NOISE_S), woken(readers) - allowed
    await noise.stop()
    assert woken(readers) == allowed
    assert noise.made > NOISE_S * PER_SECOND / 4


async def test_each_change_wakes_those_who_read_it(child: Child, readers: list[Reader]) -> None:
    """While others go on changing other keys."""
    by_name = {reader.name: reader for reader in readers}
    http = await Http.connected(child.consul)
    noise = Noise(await Http.connected(child.consul), keys_alone)
    wrong = {}
    for what, perform, must, may in CHANGES:
        await perform(http)
        await until(lambda must=must: must <= woken(readers), WAKES_S)
        await until(lambda must=must, may=may: woken(readers) - must - may, 0.2)
        found = woken(readers)
        if not must <= found <= must | may:
            wrong[what] = {"asleep": sorted(must - found), "woken": sorted(found - must - may)}
        for name in found:
            by_name[name].take()
            by_name[name].wait()
    await noise.stop()
    http.close()
    assert not wrong, json.dumps(wrong, indent=1)


async def keys_alone(http: Http, turn: int) -> None:
    """Noise that is left when the checks of the other readers are to be left alone."""
    await http.put(f"kv/elsewhere/{turn % 50}", str(turn).encode())


async def test_time_passes(child: Child) -> None:
    """The wait ends: the same index and the same answer, not before its time and not long after."""
    http = await Http.connected(child.consul)
    await http.put("kv/live/a", b"1")
    for name in (KEY, HEALTH, SERVICES, MISSING):
        status, headers, body = await http.ask("GET", f"/v1/{name}")
        index = headers["x-consul-index"]
        began = time.monotonic()
        sign = "&" if "?" in name else "?"
        again = await http.ask("GET", f"/v1/{name}{sign}index={index}&wait=500ms")
        took = time.monotonic() - began
        assert 0.5 <= took < 1.5, (name, took)
        assert (again[0], again[1]["x-consul-index"], again[2]) == (status, index, body)
    http.close()
