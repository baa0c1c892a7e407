"""PolarisConfigGRPC over bytes and the same calls over HTTP: who is admitted, what is closed, shapes of answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bottle import CALLER, Bottle
from config_native import KEY, draft, question, release
from http_world import UniqueIds, World
from test_grpc_methods import Call, Door

from polaris_bridge.adapters._shared.exchange import Request, Response, abandoning
from polaris_bridge.adapters.polaris.server.grpc_config import SERVICE, methods
from polaris_bridge.adapters.polaris.server.http import NativeHttp
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.settings import CLIENT_PARTS, CONFIG, GroupSettings, PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.ports import Authority, OpenDoor, Resource
from polaris_bridge.transport.rpc import RpcError, Status

METHODS: dict[str, tuple[Any, str]] = {
    "CreateConfigFile": (draft("a: 1"), "CreateConfigFile"),
    "UpdateConfigFile": (draft("a: 2"), "UpdateConfigFile"),
    "PublishConfigFile": (release(), "PublishConfigFile"),
    "UpsertAndPublishConfigFile": (
        v1.ConfigFilePublishInfo(namespace={"value": "default"}, group={"value": "g"}, file_name={"value": "a.yaml"}),
        "UpsertAndReleaseConfigFile",
    ),
    "GetConfigFile": (question(), "DiscoverConfigFile"),
    "WatchConfigFiles": (v1.ClientWatchConfigFileRequest(watch_files=[question()]), "WatchConfigFile"),
    "GetConfigFileMetadataList": (
        v1.ConfigFileGroupRequest(config_file_group={"namespace": {"value": "default"}, "name": {"value": "g"}}),
        "DiscoverConfigFileNames",
    ),
}
DISCOVERS = {1: "DiscoverConfigFile", 2: "DiscoverConfigFileNames", 3: "DiscoverConfigGroups"}
SHAPES: dict[str, Any] = {"GetConfigFileMetadataList": v1.ConfigClientListResponse}


class Observed:
    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []

    def observe(self, operation: str, status: int, _seconds: float, /) -> None:
        self.calls.append((operation, status))

    def discovered(self, namespace: str, service: str, /) -> None: ...


class Port(Bottle):
    """A listener's table, and clients of it."""

    def __init__(
        self,
        authority: Authority | None = None,
        groups: frozenset[str] = CLIENT_PARTS,
        settings: PolarisSettings | None = None,
    ) -> None:
        super().__init__()
        self.service = PolarisService(
            self.registry,
            authority or OpenDoor(),
            settings or PolarisSettings(),
            ids=UniqueIds(),
            pairs={},
            locate=lambda _host: None,
        )
        self.observed = Observed()
        self.table = methods(self.service, GroupSettings(client=groups), self.observed)

    def call(self, method: str, message: Any = None, *, data: bytes | None = None, **metadata: str) -> Any:
        """The answer, decoded; None when none came yet."""
        asked = METHODS[method][0] if message is None else message
        call: Any = Call(SERVICE + method, **metadata)
        reply = dict(self.table.unaries())[SERVICE + method](asked.SerializeToString() if data is None else data, call)
        return self._decoded(reply, SHAPES.get(method, v1.ConfigClientResponse))

    def ask(self, message: v1.ConfigDiscoverRequest, **metadata: str) -> Any:
        call: Any = Call(SERVICE + "Discover", **metadata)
        stream = dict(self.table.streams())[SERVICE + "Discover"](call)
        return self._decoded(stream.on_message(message.SerializeToString()), v1.ConfigDiscoverResponse)

    def _decoded(self, reply: Any, kind: Any) -> Any:
        found = [reply] if isinstance(reply, bytes) else []
        if not isinstance(reply, bytes):
            reply.then(found.append)
        self.queue.settle()
        return kind.FromString(found[0]) if found else None


def test_the_table_is_the_service_of_the_specification() -> None:
    there = {path for path, _ in (*Port().table.unaries(), *Port().table.streams())}
    assert there == {SERVICE + name for name in (*METHODS, "Discover")}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_admitted_and_observed(method: str) -> None:
    door = Door()
    port = Port(door)
    port.call(method, x_polaris_token="good")
    assert door.asked == [("alice", METHODS[method][1], Resource("config_group", "default", "g"))]
    ((operation, status),) = port.observed.calls
    assert operation == METHODS[method][1]
    assert status in (200, 400)


@pytest.mark.parametrize("method", METHODS)
def test_a_refusal(method: str) -> None:
    port = Port(Door())
    answer = port.call(method, x_polaris_token="bad")
    assert (answer.code.value, answer.info.value) == (401001, "access is not approved")
    assert port.observed.calls == [(METHODS[method][1], 401)]
    assert port.store.writes == 0


def test_files_of_several_groups_are_several_questions() -> None:
    door = Door()
    files = [question(), question(KEY._replace(group="h")), question(KEY._replace(name="b"))]
    Port(door).call("WatchConfigFiles", v1.ClientWatchConfigFileRequest(watch_files=files), x_polaris_token="good")
    assert [resource.name for _, _, resource in door.asked] == ["g", "h"]


@pytest.mark.parametrize("type", DISCOVERS)
def test_the_stream_is_admitted_by_what_is_asked(type: int) -> None:
    door = Door()
    port = Port(door)
    file = question() if type != 3 else v1.ClientConfigFileInfo(namespace={"value": "default"})
    asked = v1.ConfigDiscoverRequest(type=type, config_file=file)
    port.ask(asked, x_polaris_token="good")
    resource = Resource("config_group", "default", "g") if type != 3 else Resource("namespace", "default", "default")
    assert door.asked == [("alice", DISCOVERS[type], resource)]
    door.forbidden.add(DISCOVERS[type])
    answer = port.ask(asked, x_polaris_token="good")
    assert (answer.code, answer.info, answer.type) == (401001, "access is not approved", type)


@pytest.mark.parametrize(
    "port",
    [lambda: Port(groups=CLIENT_PARTS - {CONFIG}), lambda: Port(settings=PolarisSettings(config_open=False))],
    ids=["group closed", "module closed"],
)
def test_what_is_closed(port: Any) -> None:
    closed = port()
    for method in METHODS:
        answer = closed.call(method)
        assert (answer.code.value, answer.info.value) == (400401, "client api is not open")
    answer = closed.ask(v1.ConfigDiscoverRequest(type=1, config_file=question()))
    assert (answer.code, answer.info) == (400401, "client api is not open")
    assert closed.store.writes == 0


@pytest.mark.parametrize("method", METHODS)
def test_bytes_that_are_no_message(method: str) -> None:
    with pytest.raises(RpcError) as caught:
        Port().call(method, data=b"\xff\xff")
    assert caught.value.code == Status.INTERNAL


def test_bytes_that_are_no_question() -> None:
    call: Any = Call(SERVICE + "Discover")
    stream = dict(Port().table.streams())[SERVICE + "Discover"](call)
    with pytest.raises(RpcError):
        stream.on_message(b"\xff\xff")


def test_a_write_answers_when_it_is_durable() -> None:
    port = Port()
    call: Any = Call(SERVICE + "CreateConfigFile")
    reply: Any = dict(port.table.unaries())[SERVICE + "CreateConfigFile"](draft("a: 1").SerializeToString(), call)
    found: list[bytes] = []
    reply.then(found.append)
    assert not found
    port.queue.settle()
    assert v1.ConfigClientResponse.FromString(found[0]).code.value == 200000


# ---------------------------------------------------------------------- over HTTP


def seeded() -> World:
    world = World()
    clients = world.service.config
    world.answer(clients.create(draft("a: 1", tags={"k": "v"}), CALLER))
    world.answer(clients.publish(release(name="r1"), CALLER))
    return world


def body(response: Response) -> Any:
    content = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    return json.loads(content)


FILE = "namespace=default&group=g&fileName=a.yaml"


def test_get_over_http() -> None:
    response = seeded().send("GET", f"/config/v1/GetConfigFile?{FILE}&version=0")
    assert response.status == 200
    assert body(response) == {
        "code": 200000,
        "info": "execute success",
        "configFile": {
            "namespace": "default", "group": "g", "fileName": "a.yaml", "content": "a: 1", "version": "1",
            "md5": "270f9e65a80226eccd82c99cdd0dd2fb", "tags": [{"key": "k", "value": "v"}], "encrypted": False,
            "publicKey": None, "name": None, "release_time": None,
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "status", "expected"),
    [
        ("", 400, 400000),
        (f"{FILE}&version=1", 200, 200000),
        (f"{FILE}&version=2", 200, 200001),
        (f"{FILE}&version=x", 200, 200000),
        (f"{FILE}&version=-1", 200, 200000),
        (f"{FILE}&version=99999999999999999999", 200, 200001),
        (f"{FILE}&version=٣", 200, 200000),
        (f"{FILE}&tags=broken&tags=a=b=c&tags==", 200, 200000),
        ("namespace=default&group=g&fileName=absent", 400, 400202),
    ],
)
def test_questions_in_a_url(query: str, status: int, expected: int) -> None:
    response = seeded().send("GET", f"/config/v1/GetConfigFile?{query}")
    assert (response.status, body(response)["code"]) == (status, expected)


def test_watch_over_http() -> None:
    world = seeded()
    asked = {"watch_files": [{"namespace": "default", "group": "g", "file_name": "a.yaml", "version": "0"}]}
    found = body(world.send("POST", "/config/v1/WatchConfigFile", asked))
    assert (found["code"], found["configFile"]["name"], found["configFile"]["version"]) == (200000, "r1", "1")
    assert found["configFile"]["content"] is None


def test_who_hangs_up_over_http_is_let_go() -> None:
    world = seeded()
    asked = {"watch_files": [{"namespace": "default", "group": "g", "fileName": "a.yaml", "version": 1}]}
    headers = ((b"content-type", b"application/json"), (b"origin", b"http://a.example"))
    reply = world.http.handle(
        Request("POST", "/config/v1/WatchConfigFile", "", headers, json.dumps(asked).encode(), "10.9.9.9")
    )
    assert not isinstance(reply, Response)
    reply.then(lambda _response: pytest.fail("nobody waits"))
    assert len(world.service.config.watching.waiting) == 1
    abandon = abandoning(reply)
    assert abandon is not None
    abandon()
    assert not world.service.config.watching.waiting


def test_lists_over_http() -> None:
    world = seeded()
    group = {"config_file_group": {"namespace": "default", "name": "g"}}
    found = body(world.send("POST", "/config/v1/GetConfigFileMetadataList", group))
    assert [info["fileName"] for info in found["config_file_infos"]] == ["a.yaml"]
    again = world.send("POST", "/config/v1/GetConfigFileMetadataList", {**group, "revision": found["revision"]})
    assert (again.status, body(again)["code"]) == (200, 200001)
    question = {"type": "CONFIG_FILE", "config_file": {"namespace": "default", "group": "g", "file_name": "a.yaml"}}
    discovered = body(world.send("POST", "/config/v1/ConfigDiscover", question))
    assert (discovered["code"], discovered["type"], discovered["revision"]) == (200000, "CONFIG_FILE", "1")
    assert discovered["config_file"]["content"] == "a: 1"
    assert world.send("POST", "/config/v1/ConfigDiscover", {}).status == 400


@pytest.mark.parametrize("path", ["WatchConfigFile", "GetConfigFileMetadataList", "ConfigDiscover"])
def test_bodies_that_are_no_json(path: str) -> None:
    response = seeded().send("POST", f"/config/v1/{path}", b"{")
    assert (response.status, body(response)["code"]) == (400, 400001)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"GetConfigFile?{FILE}"), ("POST", "WatchConfigFile"), ("POST", "GetConfigFileMetadataList"),
     ("POST", "ConfigDiscover")],
)  # fmt: skip
def test_refusals_over_http(method: str, path: str) -> None:
    world = World(authority=Door())
    asked: object = None if method == "GET" else {}
    response = world.send(method, f"/config/v1/{path}", asked, {"X-Polaris-Token": "bad", "Accept-Language": "zh"})
    assert (response.status, body(response)["code"]) == (401, 401001)


def test_closed_over_http() -> None:
    world = World(groups=GroupSettings(client=CLIENT_PARTS - {CONFIG}))
    assert world.send("GET", f"/config/v1/GetConfigFile?{FILE}").status == 404
    service = Port(settings=PolarisSettings(config_open=False)).service
    http = NativeHttp(service.routes(), service.admission)
    reply = http.handle(Request("GET", "/config/v1/GetConfigFile", FILE, (), b"", "10.9.9.9"))
    assert isinstance(reply, Response)
    assert reply.status == 404
