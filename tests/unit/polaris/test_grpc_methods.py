"""The gRPC methods over bytes, without a transport: what is decoded, who is admitted, what a closed group answers."""

from __future__ import annotations

from typing import Any

import pytest
from native import BEATING, ID, OK, Native, instance, named

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.server.grpc import methods
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.settings import CLIENT_PARTS, DISCOVER, HEALTHCHECK, REGISTER, GroupSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Credential, Resource
from polaris_bridge.transport.rpc import Methods, RpcError, Status

GRPC, BEATS, CONTRACT = "/v1.PolarisGRPC/", "/v1.PolarisHeartbeatGRPC/", "/v1.PolarisServiceContractGRPC/"


class Call:
    """One call."""

    def __init__(self, path: str, **metadata: str) -> None:
        self.path = path
        self.peer = "10.9.9.9"
        self.backlog = 0
        self._metadata = {name.replace("_", "-"): value for name, value in metadata.items()}

    def metadata(self, name: str) -> str | None:
        return self._metadata.get(name)

    def send(self, message: bytes) -> None:
        raise AssertionError("nothing is pushed")

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        raise AssertionError("no stream is ended from here")


class Door:
    """An authority that knows one token, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Resource]] = []
        self.forbidden: set[str] = set()

    def authenticate(self, credential: Credential) -> str | None:
        return "alice" if credential.token == "good" else None

    def allow(self, principal: str, operation: str, resource: Resource) -> bool:
        self.asked.append((principal, operation, resource))
        return operation not in self.forbidden


class Echo:
    """Stands for the parts of other subjects; says who asked."""

    def __init__(self) -> None:
        self.callers: list[Caller] = []

    def discover(self, request: v1.DiscoverRequest, caller: Caller) -> bytes:
        self.callers.append(caller)
        return v1.DiscoverResponse(code={"value": OK}, type=request.type).SerializeToString()

    def report(self, message: Any, caller: Caller) -> Outcome:
        self.callers.append(caller)
        return Outcome(respond(OK))

    def get(self, message: Any, caller: Caller) -> v1.Response:
        self.callers.append(caller)
        return respond(v1.DataNoChange)


class Port:
    """A listener's table, and clients of it."""

    def __init__(self, groups: frozenset[str] = CLIENT_PARTS) -> None:
        self.native = Native()
        self.door = Door()
        self.echo = Echo()
        self.admission = Admission(self.door)
        self.observed: list[tuple[str, int]] = []
        self.reads: list[tuple[str, str]] = []
        self.table: Methods = methods(self, GroupSettings(client=groups), self)

    registering = property(lambda self: self.native.registering)
    heartbeats = property(lambda self: self.native.heartbeats)
    discovering = clients = contracts = property(lambda self: self.echo)

    def observe(self, operation: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.observed.append((operation, status))

    def discovered(self, namespace: str, service: str) -> None:
        self.reads.append((namespace, service))

    def raw(self, path: str, data: bytes, **metadata: str) -> bytes:
        found: list[bytes | RpcError] = []
        answer = dict(self.table.unaries())[path](data, Call(path, **metadata))
        if isinstance(answer, bytes):
            return answer
        answer.then(found.append)
        assert not found, "nothing is answered before it is stored"
        self.native.queue.settle()
        [given] = found
        assert isinstance(given, bytes)
        return given

    def ask(self, method: str, message: Any, **metadata: str) -> v1.Response:
        return v1.Response.FromString(self.raw(GRPC + method, message.SerializeToString(), **metadata))

    def stream(self, path: str, *data: bytes, **metadata: str) -> list[bytes]:
        handler = dict(self.table.streams())[path](Call(path, **metadata))
        answers = [handler.on_message(one) for one in data]
        assert not handler.on_end()
        handler.on_close()
        assert all(isinstance(a, bytes) for a in answers)
        return answers  # type: ignore[return-value]


@pytest.fixture
def port() -> Port:
    return Port()


def test_the_methods_are_those_of_the_protocol_files(port: Port) -> None:
    declared = {
        f"/v1.{service.name}/{method.name}"
        for service in v1.MESSAGES.pool.FindFileByName("polaris/grpcapi.proto").services_by_name.values()
        for method in service.methods
    }
    paths = {path for path, _ in (*port.table.unaries(), *port.table.streams())}
    assert declared - paths == {GRPC + "WatchClientEvents"}
    assert paths <= declared
    assert {path for path, _ in port.table.streams()} == {GRPC + "Discover", BEATS + "BatchHeartbeat"}
    unknown = port.table.unknown(GRPC + "WatchClientEvents")
    assert unknown.code is Status.UNIMPLEMENTED
    assert unknown.message == "unknown method WatchClientEvents for service v1.PolarisGRPC"


def test_a_life(port: Port) -> None:
    answer = port.ask("RegisterInstance", instance(health_check=BEATING))
    assert (answer.code.value, answer.instance.id.value) == (OK, ID)
    assert port.ask("Heartbeat", instance()).instance == instance()
    assert port.ask("DeregisterInstance", named(ID)).instance == named(ID)
    assert port.native.shown() == {}
    assert port.observed == [("RegisterInstance", 200), ("Heartbeat", 200), ("DeregisterInstance", 200)]


@pytest.mark.parametrize("count", [1, 3, 200])
def test_an_echo_is_what_building_it_would_give(port: Port, count: int) -> None:
    sent = instance(service="s" * count)
    sent.metadata.update({"k" * count: "v" * count})
    encoded = port.raw(GRPC + "Heartbeat", sent.SerializeToString())
    assert v1.Response.FromString(encoded) == respond(OK, instance=sent)
    assert v1.Response.FromString(port.raw(GRPC + "Heartbeat", b"")).code.value == 400120


def test_an_echo_of_a_message_with_fields_of_tomorrow(port: Port) -> None:
    tomorrow = instance().SerializeToString() + b"\xfa\x3f\x03abc"
    assert port.raw(GRPC + "Heartbeat", tomorrow).endswith(b"\xfa\x3f\x03abc")


def test_a_heartbeat_of_a_closed_module_is_not_echoed(port: Port) -> None:
    port.native.registering._settings = type(port.native.settings)(health_check=False)
    answer = port.ask("Heartbeat", instance())
    assert (answer.code.value, answer.HasField("instance")) == (400140, False)


def test_a_store_that_fails(port: Port) -> None:
    port.native.store.broken = True
    assert port.ask("RegisterInstance", instance()).code.value == 500001
    assert port.observed == [("RegisterInstance", 500)]


def test_async_regis_does_not_wait(port: Port) -> None:
    path = GRPC + "RegisterInstance"
    handler = dict(port.table.unaries())[path]
    data = instance().SerializeToString()
    assert isinstance(handler(data, Call(path, async_regis="")), bytes)
    assert not isinstance(handler(data, Call(path)), bytes)
    port.native.queue.settle()
    assert list(port.native.shown()) == [ID]


@pytest.mark.parametrize("garbage", [b"\x0a", b"\xff\xff\xff", b"\x12\x7f", b"\x00"])
def test_bytes_that_are_no_message(port: Port, garbage: bytes) -> None:
    for path, handler in port.table.unaries():
        with pytest.raises(RpcError) as unary:
            handler(garbage, Call(path))
        assert unary.value.code is Status.INTERNAL
        assert unary.value.message.startswith("grpc: error unmarshalling request: ")
    for path, open in port.table.streams():
        with pytest.raises(RpcError) as stream:
            open(Call(path)).on_message(garbage)
        assert stream.value.code is Status.INTERNAL


def test_text_that_is_no_text(port: Port) -> None:
    with pytest.raises(RpcError) as caught:
        port.raw(GRPC + "Heartbeat", b"\x0a\x04\x0a\x02\xff\xfe")
    assert caught.value.code is Status.INTERNAL


# ---------------------------------------------------------------- who may


def test_who_asks(port: Port) -> None:
    port.ask("ReportClient", v1.Client(), x_polaris_token="good", user_agent="polaris-go")
    assert port.echo.callers == [Caller("polaris", "10.9.9.9", "alice", agent="polaris-go")]
    port.ask("ReportClient", v1.Client(), x_polaris_token="")
    assert port.echo.callers[1] == Caller("polaris", "10.9.9.9")


def test_a_token_in_the_message_counts_before_the_header(port: Port) -> None:
    assert port.ask("Heartbeat", instance(service_token="bad"), x_polaris_token="good").code.value == 401001
    assert port.ask("Heartbeat", instance(service_token="good"), x_polaris_token="bad").code.value == OK
    assert port.ask("Heartbeat", instance(service_token=""), x_polaris_token="good").code.value == OK


def test_a_refusal_changes_nothing(port: Port) -> None:
    answer = port.ask("RegisterInstance", instance(), x_polaris_token="bad")
    assert (answer.code.value, answer.info.value) == (401001, "access is not approved")
    assert port.native.shown() == {}
    port.door.forbidden = {"DiscoverInstances"}
    request = v1.DiscoverRequest(type=1, service={"name": {"value": "a"}, "namespace": {"value": "n"}})
    [refused] = port.stream(GRPC + "Discover", request.SerializeToString())
    answer = v1.DiscoverResponse.FromString(refused)
    assert (answer.code.value, answer.type, answer.service) == (401001, 1, request.service)
    assert port.echo.callers == []
    assert port.observed[-1] == ("Discover", 401)


OPERATIONS: list[tuple[str, Any, str]] = [
    (GRPC + "RegisterInstance", instance(), "RegisterInstance"),
    (GRPC + "DeregisterInstance", instance(), "DeregisterInstance"),
    (GRPC + "Heartbeat", instance(), "Heartbeat"),
    (GRPC + "ReportClient", v1.Client(), "ReportClient"),
    (CONTRACT + "ReportServiceContract", v1.ServiceContract(), "ReportServiceContract"),
    (CONTRACT + "GetServiceContract", v1.ServiceContract(), "DiscoverServiceContract"),
    (BEATS + "BatchGetHeartbeat", v1.GetHeartbeatsRequest(), "Heartbeat"),
    (BEATS + "BatchDelHeartbeat", v1.DelHeartbeatsRequest(), "Heartbeat"),
]


@pytest.mark.parametrize(("path", "message", "operation"), OPERATIONS)
def test_every_call_passes_the_seam(port: Port, path: str, message: Any, operation: str) -> None:
    port.raw(path, message.SerializeToString(), x_polaris_token="good")
    assert [(who, what) for who, what, _ in port.door.asked] == [("alice", operation)]


@pytest.mark.parametrize(("type", "operation"), [
    (0, "Discover"), (1, "DiscoverInstances"), (3, "DiscoverRouterRule"), (4, "DiscoverRateLimitRule"),
    (5, "DiscoverCircuitBreakerRule"), (6, "DiscoverServices"), (13, "DiscoverFaultDetectRule"), (77, "Discover"),
    (100, "DiscoverLaneRule"), (102, "DiscoverRouterRule"), (103, "Discover"),
])  # fmt: skip
def test_every_message_of_a_stream_passes_the_seam(port: Port, type: int, operation: str) -> None:
    request = v1.DiscoverRequest(type=type, service={"name": {"value": "a"}, "namespace": {"value": "n"}})
    data = request.SerializeToString()
    port.stream(GRPC + "Discover", data, data, x_polaris_token="good")
    assert [(who, what, r.namespace, r.name) for who, what, r in port.door.asked] == [
        ("alice", operation, "n", "a")
    ] * 2
    assert port.reads == [("n", "a")] * 2
    assert port.observed == [("Discover", 200)] * 2


# ---------------------------------------------------------------- groups


CLOSED = respond(400401).SerializeToString()


@pytest.mark.parametrize(("open", "paths"), [
    (DISCOVER, {GRPC + "ReportClient", CONTRACT + "ReportServiceContract", CONTRACT + "GetServiceContract"}),
    (REGISTER, {GRPC + "RegisterInstance", GRPC + "DeregisterInstance"}),
    (HEALTHCHECK, {GRPC + "Heartbeat"}),
])  # fmt: skip
def test_a_closed_group(open: str, paths: set[str]) -> None:
    port = Port(frozenset({open}))
    batches = {BEATS + "BatchGetHeartbeat", BEATS + "BatchDelHeartbeat"}
    answered = {path for path, _ in port.table.unaries() if path not in batches and port.raw(path, b"") != CLOSED}
    assert answered == paths
    assert v1.Response.FromString(CLOSED).info.value == "client api is not open"
    [given] = port.stream(GRPC + "Discover", b"")
    assert (given == CLOSED) is (open != DISCOVER)


def test_closed_batches_are_answered_but_not_heard() -> None:
    port = Port(frozenset({REGISTER}))
    port.native.register(healthy=False, health_check=BEATING)
    beat = v1.HeartbeatsRequest(heartbeats=[{"instanceId": ID}]).SerializeToString()
    assert port.stream(BEATS + "BatchHeartbeat", beat, beat) == [b"", b""]
    port.native.queue.settle()
    assert port.native.health() == {ID: (False, False)}
    asked = v1.GetHeartbeatsRequest(instanceIds=[ID]).SerializeToString()
    assert port.raw(BEATS + "BatchGetHeartbeat", asked) == b""


def test_a_long_batch_takes_a_while() -> None:
    port = Port()
    names = [f"{i}" for i in range(2000)]
    asked = v1.GetHeartbeatsRequest(instanceIds=names).SerializeToString()
    answer = v1.GetHeartbeatsResponse.FromString(port.raw(BEATS + "BatchGetHeartbeat", asked))
    assert [r.instanceId for r in answer.records] == names
    beats = v1.HeartbeatsRequest(heartbeats=[{"instanceId": name} for name in names]).SerializeToString()
    found: list[Any] = []
    dict(port.table.streams())[BEATS + "BatchHeartbeat"](Call("")).on_message(beats).then(found.append)  # type: ignore[union-attr]
    port.native.queue.settle()
    assert found == [b""]


def test_a_stream_of_batches(port: Port) -> None:
    port.native.register(healthy=False, health_check=BEATING)
    beat = v1.HeartbeatsRequest(heartbeats=[{"instanceId": ID}, {"instanceId": "nobody"}]).SerializeToString()
    assert port.stream(BEATS + "BatchHeartbeat", beat, b"", beat) == [b""] * 3
    port.native.queue.settle()
    assert port.native.health() == {ID: (True, False)}
    [record] = v1.GetHeartbeatsResponse.FromString(
        port.raw(BEATS + "BatchGetHeartbeat", v1.GetHeartbeatsRequest(instanceIds=[ID]).SerializeToString())
    ).records
    assert record.exist
    assert port.observed[0] == ("BatchHeartbeat", 200)
