"""The maintain API: over HTTP against a whole server, and what it does to instances against a registry alone."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import re
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest
from bottle import CALLER, Bottle

from polaris_bridge import testing
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.maintain.instances import Upkeep
from polaris_bridge.adapters.polaris.service.maintain.plain import BadBody, member, read, shown, time_text
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.service.routes import EVERYBODY, Later, Text
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, Lease, Registration
from polaris_bridge.core.ports import Authority, OpenDoor, Resource
from polaris_bridge.runtime.config import load
from polaris_bridge.runtime.server import Server

LIMITED = "apiservers.*.option.connLimit.openConnLimit=true"
PPROF = "apiservers.api-http.option.enablePprof=true"


class Operator:
    """Somebody with a console."""

    def __init__(self, running: testing.Running, client: httpx.AsyncClient) -> None:
        self.running = running
        self.client = client

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """The JSON of an answer, or its text when it is none."""
        data = body if isinstance(body, str | bytes | None) else json.dumps(body)
        answer = await self.client.request(method, path, content=data, headers={"content-type": "application/json"})
        assert answer.status_code == status, answer.text
        kind = answer.headers["content-type"]
        return answer.json() if kind == "application/json" or answer.text.startswith("{") else answer.text

    async def get(self, path: str, status: int = 200) -> Any:
        return await self.ask("GET", path, status=status)


@pytest.fixture
async def operator(request: pytest.FixtureRequest) -> AsyncIterator[Operator]:
    sets: Sequence[str] = getattr(request, "param", ())
    async with testing.server(sets=sets) as running, httpx.AsyncClient(base_url=running.front) as client:
        yield Operator(running, client)


with_limits = pytest.mark.parametrize("operator", [[LIMITED]], indirect=True)
with_pprof = pytest.mark.parametrize("operator", [[PPROF]], indirect=True)


# ---------------------------------------------------------------------- connections


async def test_without_limits_no_protocol_is_known(operator: Operator) -> None:
    """As recorded: GET /maintain/v1/apiserver/conn?protocol=grpc of polaris-server as shipped."""
    for path in ("/maintain/v1/apiserver/conn", "/maintain/v1/apiserver/conn/stats"):
        assert await operator.get(f"{path}?protocol=grpc", 400) == "not found the protocol"
        assert await operator.get(path, 400) == "missing param protocol"


@with_limits
async def test_connections_are_counted_and_told(operator: Operator) -> None:
    for protocol in ("http", "api-http"):
        assert await operator.get(f"/maintain/v1/apiserver/conn?protocol={protocol}") == {
            "Protocol": protocol,
            "Total": 1,
            "Host": {"127.0.0.1": 1},
        }
    assert (await operator.get("/maintain/v1/apiserver/conn?protocol=http&host=10.0.0.1"))["Host"] == {"10.0.0.1": 0}
    assert (await operator.get("/maintain/v1/apiserver/conn?protocol=grpc"))["Total"] == 0
    stats = await operator.get("/maintain/v1/apiserver/conn/stats?protocol=http")
    assert list(stats) == ["Protocol", "ActiveConnTotal", "StatsTotal", "StatsSize", "Stats"]
    (one,) = stats["Stats"]
    assert (one["Host"], one["Amount"], stats["StatsSize"]) == ("127.0.0.1", 1, 1)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", one["Actives"][0])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", one["LastAccess"])
    stats = await operator.get("/maintain/v1/apiserver/conn/stats?protocol=http&amount=2")
    assert (stats["StatsTotal"], stats["StatsSize"], stats["Stats"]) == (1, 0, [])


async def test_connections_are_closed_by_address_and_port(operator: Operator) -> None:
    eureka = operator.running.eureka

    def held() -> int:
        return int(operator.running.server.listeners[0].counters().connections_open)

    async with httpx.AsyncClient() as other:
        await other.get(f"{eureka}/apps")
        assert held() == 1
        path = "/maintain/v1/apiserver/conn/close"
        for wanted in (
            [{"protocol": "grpc", "host": "127.0.0.1"}],
            [{"protocol": "eureka", "host": "127.0.0.1", "port": 1}],
        ):
            assert await operator.ask("POST", path, wanted) == ""
        assert held() == 1
        assert await operator.ask("POST", path, [{"Protocol": "eureka", "Host": "127.0.0.1"}]) == ""
        await operator.get("/readyz")  # connections end in the turn after the answer
        assert held() == 0
        assert await operator.ask("POST", path, [{"Host": "127.0.0.1"}], 400) == "missing protocol"
        assert await operator.ask("POST", path, [{"Protocol": "http"}], 400) == "missing host"
    for bad in ("", "{}", "[1]", '[{"Port": "x", "Protocol": "http", "Host": "h"}]', "[" * 5000):
        await operator.ask("POST", path, bad, 400)


# ---------------------------------------------------------------------- the process


async def test_levels_of_log_scopes_are_told_and_changed(operator: Operator) -> None:
    path = "/maintain/v1/log/outputlevel"
    names = ("polaris_bridge.naming", "polaris_bridge.core")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        assert await operator.ask("PUT", path, {"scope": "naming", "level": "error"}) == "ok"
        assert {"Name": "naming", "Level": "error"} in await operator.get(path)
        assert [logging.getLogger(name).level for name in names] == [logging.ERROR] * 2
        assert await operator.ask("PUT", path, {"scope": "naming", "level": "none"}) == "ok"
        levels = {entry["Name"]: entry["Level"] for entry in await operator.get(path)}
        assert levels["naming"] == "none"
        assert {"default", "auth", "HistoryLogger", "discoverEventLocal"} < set(levels)
        assert await operator.ask("PUT", path, {"scope": "nobody", "level": "info"}, 400) == "invalid scope name"
        assert await operator.ask("PUT", path, {"scope": "naming", "level": "loud"}, 400) == "invalid log level"
        assert await operator.ask("PUT", path, {"scope": 1}, 400) == "scope: expected a text"
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


async def test_memory_is_given_back(operator: Operator) -> None:
    class Knot:
        pass

    knot: Any = Knot()
    knot.itself = knot
    gone = weakref.ref(knot)
    gc.disable()
    try:
        del knot
        assert await operator.ask("POST", "/maintain/v1/memory/free") == ""
    finally:
        gc.enable()
    assert gone() is None


async def test_one_node_leads_and_leads_again(operator: Operator) -> None:
    (leader,) = await operator.get("/maintain/v1/leaders")
    assert list(leader) == ["ElectKey", "Host", "Ctime", "CreateTime", "Mtime", "ModifyTime", "Valid"]
    assert (leader["ElectKey"], leader["Host"], leader["Valid"]) == ("MaintainJob", "127.0.0.1", True)
    path = "/maintain/v1/leaders/release"
    assert await operator.ask("POST", path, {"electKey": "MaintainJob"}) == "ok"
    assert len(await operator.get("/maintain/v1/leaders")) == 1
    assert await operator.ask("POST", path, {"electKey": "x"}, 400) == "LeaderElection(x) not started"


async def test_functions_are_those_of_the_original(operator: Operator) -> None:
    groups = {group["name"]: group["functions"] for group in await operator.get("/maintain/v1/server/functions")}
    assert list(groups)[:3] == ["Client", "Namespace", "Service"]
    assert len(groups) == 16
    assert groups["LaneRule"] == [
        "CreateLaneGroups",
        "DeleteLaneGroups",
        "EnableLaneGroups",
        "UpdateLaneGroups",
        "DescribeLaneGroups",
    ]
    assert sum(map(len, groups.values())) == len({name for names in groups.values() for name in names}) == 120


# ---------------------------------------------------------------------- locations and targets


async def test_without_a_cmdb_nothing_is_known(operator: Operator) -> None:
    answer = await operator.client.get("/maintain/v1/cmdb/info")
    assert (answer.content, answer.headers["content-type"]) == (b"[]", "application/json"), "as recorded"


async def test_targets_are_clients_and_nodes(operator: Operator) -> None:
    server = operator.running.server
    grpc = next(each.port for each in server.listeners if each.settings.name == "service-grpc")
    own = instance_id("Polaris", "polaris.checker", "127.0.0.1", grpc)
    answer = await operator.client.get("/maintain/v1/report/clients")
    recorded = """{
 "Code": 200000,
 "Response": [
  {
   "targets": [
    "127.0.0.1:%d"
   ],
   "labels": {
    "__meta_polaris_client_id": "%s",
    "__metrics_path__": "/metrics",
    "__scheme__": "http"
   }
  }
 ]
}"""
    assert answer.text == recorded % (server.front_port, own)
    stat = {"target": "prometheus", "port": 9090, "path": "/m", "protocol": "http"}
    await operator.ask("POST", "/v1/ReportClient", {"host": "10.0.0.9", "type": "SDK", "id": "c1", "stat": [stat]})
    found = await operator.get("/prometheus/v1/clients")
    assert found[0] == {
        "targets": ["10.0.0.9:9090"],
        "labels": {"__meta_polaris_client_id": "c1", "__metrics_path__": "/m", "__scheme__": "http"},
    }
    assert [target["targets"] for target in found] == [["10.0.0.9:9090"], [f"127.0.0.1:{server.front_port}"]]
    assert (await operator.get("/core/v1/clients"))["Response"] == found
    assert [c["id"] for c in (await operator.get("/naming/v1/clients"))["clients"]] == ["c1"]


# ---------------------------------------------------------------------- profiles


async def test_profiles_are_not_there_by_default(operator: Operator) -> None:
    for path in ("/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/cmdline"):
        await operator.get(path, 404)
    assert "enablePprof" in await operator.ask("POST", "/maintain/v1/pprof/enable", {"enable": True}, 400)


@with_pprof
async def test_profiles_show_where_time_goes(operator: Operator) -> None:
    made: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    assert operator.running.server.host.profile(0.1, made.set_result)
    assert "already" in await operator.get("/debug/pprof/profile?seconds=0.05", 409)
    assert await made
    profile = await operator.get("/debug/pprof/profile?seconds=0.05")
    lines = profile.splitlines()
    assert all(re.fullmatch(r"\S+ \d+", line) for line in lines)
    assert any(line.startswith("MainThread;") for line in lines)
    for seconds in ("0", "-1", "x", "1e9", "nan"):
        assert "seconds" in await operator.get(f"/debug/pprof/profile?seconds={seconds}", 400)


@with_pprof
async def test_stacks_and_the_command_line(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    stacks = await operator.get("/debug/pprof/goroutine")
    assert "thread MainThread\n" in stacks
    assert "task " in stacks
    monkeypatch.setattr("sys.orig_argv", ["python", "--set", "plugin.cmdb.option.token=abc", "--set", "a.b=c"])
    told = (await operator.get("/debug/pprof/cmdline")).split("\0")
    assert told == ["python", "--set", "plugin.cmdb.option.token=***", "--set", "a.b=c"]


@with_pprof
async def test_switched_off_they_say_nothing(operator: Operator) -> None:
    assert await operator.ask("POST", "/maintain/v1/pprof/enable", {"enable": False}) == "ok"
    for path in ("/debug/pprof/", "/debug/pprof/profile", "/debug/pprof/goroutine", "/debug/pprof/cmdline"):
        assert await operator.get(path) == ""
    assert await operator.ask("POST", "/maintain/v1/pprof/enable", {"enable": True}) == "ok"
    assert "profile" in await operator.get("/debug/pprof/")
    assert (
        await operator.ask("POST", "/maintain/v1/pprof/enable", {"enable": 1}, 400) == "enable: expected true or false"
    )


class Warden(OpenDoor):
    """Lets nobody do anything, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        self.asked.add(operation)
        return False


async def test_every_call_passes_the_auth_seam(tmp_path: Any) -> None:
    warden: Authority = Warden()
    sets = [
        "apiservers.*.option.listenPort=0",
        "apiservers.service-consul.option.dnsPort=0",
        "store={name: memoryStore}",
        PPROF,
    ]
    loaded = load(None, sets=sets, data_dir=tmp_path, listen="127.0.0.1")
    server = Server(loaded.config, authority=warden)
    try:
        await server.start()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.front_port}") as client:
            service = PolarisService(
                server.registry, warden, PolarisSettings(), ids=Numbers(), pairs={}, locate=lambda _h: None,
                host=server.host,
            )  # fmt: skip
            assert service.maintain is not None
            maintain = service.maintain
            for route in (*maintain.routes(pprof=True), *service.contracts.routes(), *service.clients.routes()):
                if route.door == EVERYBODY:
                    assert (await client.get(route.path)).status_code == 200, route
                    continue
                body = None if route.method == "GET" else b"[{}]" if route.takes == "list" else b"{}"
                answer = await client.request(route.method, route.path, content=body)
                assert answer.status_code == 401, route
                assert answer.json()["code"] == 401001
                assert route.operation in warden.asked  # type: ignore[attr-defined]
    finally:
        await server.stop()


class Numbers:
    """Numbers in place of chance."""

    def unique(self) -> str:
        return "0" * 32


# ---------------------------------------------------------------------- instances


class Registered:
    """A registry whose instances are looked after."""

    def __init__(self, settings: PolarisSettings | None = None) -> None:
        self.bottle = Bottle()
        registry = self.bottle.registry
        settings = settings or PolarisSettings()
        index = InstanceIndex(registry)
        self.registering = Registering(registry, settings, index)
        self.upkeep = Upkeep(registry, settings, index, {})

    def register(self, **fields: Any) -> None:
        self.bottle.answer(self.registering.register(instance(**fields), CALLER))

    def heartbeat(self, **query: str) -> v1.Response:
        return self.upkeep.last_heartbeat({name: [value] for name, value in query.items()}, CALLER)

    def batch_clean(self, body: bytes) -> Text:
        result = self.upkeep.batch_clean(body, CALLER)
        if isinstance(result, Text):
            return result
        later: Later = result
        found: list[Text] = []
        later.then(found.append)
        self.bottle.queue.settle()
        assert len(found) == 1
        return found[0]


def instance(port: int = 80, **fields: Any) -> v1.Instance:
    names = {"service": "shop", "namespace": "default", "host": "10.0.0.1"}
    beats = {"health_check": v1.HealthCheck(type=1, heartbeat={"ttl": {"value": 5}})}
    return v1.Instance(
        port={"value": port}, **{name: {"value": value} for name, value in names.items()}, **{**beats, **fields}
    )


PLACE = {"service": "shop", "namespace": "default", "host": "10.0.0.1", "port": "80"}
ID = instance_id("default", "shop", "10.0.0.1", 80)


def test_when_an_instance_was_last_heard_of() -> None:
    server = Registered()
    server.register()
    server.bottle.pass_time(4)
    server.registering.heartbeat(instance(), CALLER)
    heard_ms = server.bottle.clock.now_ms
    server.bottle.pass_time(3)
    for query in (PLACE, {"id": ID}):
        answer = server.heartbeat(**query)
        assert answer.code.value == 200000
        found = answer.instance
        assert (found.id.value, found.service.value, found.port.value) == (ID, "shop", 80)
        assert found.health_check.heartbeat.ttl.value == 5
        assert dict(found.metadata) == {
            "last-heartbeat-timestamp": str(heard_ms // 1000),
            "last-heartbeat-time": local_time(heard_ms),
            "system-time": local_time(server.bottle.clock.now_ms),
        }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"id": "unknown"}, 400202),
        ({**PLACE, "port": "81"}, 400202),
        ({**PLACE, "service": ""}, 400120),
        ({**PLACE, "namespace": ""}, 400110),
        ({**PLACE, "host": ""}, 400131),
        ({}, 400120),
    ],
)
def test_whom_nobody_heard_of(query: dict[str, str], code: int) -> None:
    server = Registered()
    server.register()
    assert server.heartbeat(**query).code.value == code


def test_without_heartbeats_there_is_no_last_one() -> None:
    server = Registered()
    server.bottle.answer(server.registering.register(instance(health_check=None), CALLER))
    assert server.heartbeat(id=ID).code.value == 400143
    closed = Registered(PolarisSettings(health_check=False))
    assert closed.heartbeat(id=ID).code.value == 400140


def test_another_protocols_instance_is_found_by_the_id_that_is_shown() -> None:
    server = Registered()
    r = Registration(
        "other", "default", "SHOP/i1", "shop", "10.0.0.1", 80, liveness=Lease(30_000, 90_000, 90_000), ext=None
    )
    server.bottle.registry.register(r, Caller("other"))
    server.bottle.queue.settle()
    assert server.heartbeat(id=ID).instance.health_check.heartbeat.ttl.value == 30


def test_what_is_left_of_instances_is_cleaned_after_a_while() -> None:
    server = Registered()
    for port in range(5):
        server.register(port=8000 + port)
        server.bottle.answer(server.registering.deregister(instance(8000 + port), CALLER))
    server.register()
    assert server.batch_clean(b'{"batch_size": 10}').body == b'{\n "rows_affected": 0\n}', "too young"
    server.bottle.pass_time(601)
    before = server.bottle.store.tombstones()
    assert server.batch_clean(b'{"batch_size": 2}').body == b'{\n "rows_affected": 2\n}'
    assert server.batch_clean(b"{}").body == b'{\n "rows_affected": 0\n}'
    assert server.batch_clean(b'{"BATCH_SIZE": 10}').body == b'{\n "rows_affected": 3\n}'
    assert server.bottle.store.tombstones() == before - 5
    server.bottle.restart()
    assert len(server.bottle.registry.services("default")[0].addresses) == 1, "who lives is not touched"
    for body in (
        b"",
        b"[]",
        b'{"batch_size": "2"}',
        b'{"batch_size": -1}',
        b'{"batch_size": true}',
        b'{"batch_size": 1e9}',
    ):
        assert server.batch_clean(body).status == 400


def test_one_that_is_gone_is_cleaned_and_one_that_is_there_is_not() -> None:
    server = Registered()
    server.register()
    server.register(port=81)
    server.bottle.answer(server.registering.deregister(instance(81), CALLER))
    server.bottle.pass_time(601)
    for port in (80, 81):
        answer = server.upkeep.clean(instance(port), CALLER)
        assert (answer.code.value, answer.instance) == (200000, instance(port))
    assert server.bottle.store.tombstones() == 0
    assert server.heartbeat(id=ID).code.value == 200000
    assert server.upkeep.clean(v1.Instance(id={"value": ""}), CALLER).code.value == 400130
    assert server.upkeep.clean(v1.Instance(), CALLER).code.value == 400120


# ---------------------------------------------------------------------- plain JSON


def test_json_is_written_as_go_writes_it() -> None:
    text = shown({"a": "<b> & \u2028", "c": [], "d": {}, "e": ["ü"]}).body.decode()
    assert text == '{\n "a": "\\u003cb\\u003e \\u0026 \\u2028",\n "c": [],\n "d": {},\n "e": [\n  "ü"\n ]\n}'
    assert re.fullmatch(r"2023-11-1\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", time_text(1_700_000_000_999))


def test_members_are_found_whatever_their_case() -> None:
    assert member({"eLeCtKeY": "x"}, "electKey", str, "") == "x"
    assert member({"other": 1}, "electKey", str, "-") == "-"
    for value in ([], "x", {"n": "1"}, {"n": 1.5}, {"n": True}):
        with pytest.raises(BadBody):
            member(value, "n", int, 0)
    for body in (b"", b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(BadBody):
            read(body)
