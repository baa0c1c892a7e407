"""Requests over gRPC: their order, their answers, and what is refused in whose words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grpc_world import GROUP, START_MS, Call, World, named
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.server.grpc_naming import KINDS
from polaris_bridge.adapters.nacos.wire.payload import decode, encode
from polaris_bridge.transport.rpc import RpcError, Status


@pytest.fixture
def world() -> World:
    return World()


def test_server_check_needs_no_set_up_and_gives_the_connections_id(world: World) -> None:
    client = world.client("10.1.2.3", setup=False, port=5555)
    answer = client.raw(encode("ServerCheckRequest", b"{}"))
    assert answer is not None
    assert answer.type == "ServerCheckResponse"
    assert answer.body == (
        b'{"resultCode":200,"errorCode":0,"connectionId":"%d_10.1.2.3_5555","supportAbilityNegotiation":true,'
        b'"success":true}' % START_MS
    )
    world.clock.move(1)
    again = client.ask("ServerCheckRequest")[1]["connectionId"]
    assert again == f"{START_MS}_10.1.2.3_5555", "the id is bound to the connection"


def test_until_the_set_up_everything_else_is_refused(world: World) -> None:
    client = world.client(setup=False)
    refusal = {"resultCode": 500, "errorCode": 301, "message": "Connection is unregistered.", "success": False}
    assert client.ask("HealthCheckRequest") == ("ErrorResponse", refusal)
    client.ask("ServerCheckRequest")
    assert client.ask("HealthCheckRequest") == ("ErrorResponse", refusal)
    client.open()
    assert client.ask("InstanceRequest", b"no json") == ("ErrorResponse", refusal), "the body is looked at last"
    client.set_up(abilities=None)
    assert client.ask("HealthCheckRequest") == (
        "HealthCheckResponse", {"resultCode": 200, "errorCode": 0, "success": True},
    )  # fmt: skip


def test_abilities_are_told_to_those_who_speak_of_them(world: World) -> None:
    new, old = world.client(abilities={}), world.client()
    assert new.stream is not None
    assert old.stream is not None
    assert [decode(data).type for data in new.stream.sent] == ["SetupAckRequest"]
    assert json.loads(decode(new.stream.sent[0]).body)["abilityTable"] == {
        "supportPersistentInstanceByGrpc": True, "fuzzyWatch": True, "lock": True,
    }  # fmt: skip
    assert old.stream.sent == []


@pytest.mark.parametrize(
    ("type", "result", "code", "message"),
    [
        ("NoSuchRequest", 500, 302, "RequestHandler Not Found"),
        ("", 500, 302, "RequestHandler Not Found"),
        ("PushAckRequest", 500, 302, "RequestHandler Not Found"),
        ("QueryMcpServerRequest", 500, 302, "RequestHandler Not Found"),
        ("DistroDataRequest", 500, 502, " invoke DistroDataRequest from sdk is forbidden"),
    ],
)
@pytest.mark.parametrize("setup", [True, False])
def test_who_answers_is_asked_before_the_connection(
    world: World, type: str, result: int, code: int, message: str, setup: bool
) -> None:
    client = world.client(setup=setup)
    refusal = {"resultCode": result, "errorCode": code, "message": message, "success": False}
    assert client.ask(type) == ("ErrorResponse", refusal)


@pytest.mark.parametrize("body", [b"", b"nope", b"[]", b'{"instance":3}', b"\xff\xfe"])
def test_a_body_that_cannot_be_read(world: World, body: bytes) -> None:
    client = world.client()
    message = "errCode: 101, errMsg: Nacos deserialize failed.  "
    assert client.ask("InstanceRequest", body) == (
        "ErrorResponse", {"resultCode": 500, "errorCode": 502, "message": message, "success": False},
    )  # fmt: skip


def test_bytes_that_are_no_payload_end_the_call(world: World) -> None:
    client = world.client()
    with pytest.raises(RpcError, match="INTERNAL"):
        client.raw(b"\x12\xff")


def test_register_and_deregister_in_the_words_of_the_real_server(world: World) -> None:
    client = world.client()
    body = named("orders") | {"type": "registerInstance", "instance": {"ip": "10.0.0.7", "port": 8080}}
    client.raw(encode("InstanceRequest", json.dumps(body).encode()))
    world.settle()
    assert decode(client.later[0]).body == b'{"resultCode":200,"errorCode":0,"type":"registerInstance","success":true}'
    assert client.ports() == [8080]
    assert client.deregister(port=9) == (
        "InstanceResponse",
        {"resultCode": 200, "errorCode": 0, "type": "deregisterInstance", "success": True},
    )
    assert client.ports() == [], "it ends what the connection published, whatever is named"
    assert client.deregister("unknown")[1]["success"]


def test_a_connection_has_one_instance_a_service_or_one_set(world: World) -> None:
    client, other = world.client("10.0.0.1"), world.client("10.0.0.2")
    client.register(port=1)
    client.register(port=2)
    other.register(port=3)
    assert client.ports() == [2, 3]
    batch = named("orders") | {
        "type": "batchRegisterInstance",
        "instances": [{"ip": "10.0.0.1", "port": port} for port in (5, 6)],
    }
    answer = client.ask("BatchInstanceRequest", batch)
    assert answer == (
        "BatchInstanceResponse",
        {"resultCode": 200, "errorCode": 0, "type": "batchRegisterInstance", "success": True},
    )
    assert client.ports() == [3, 5, 6]
    client.ask("BatchInstanceRequest", batch | {"instances": batch["instances"][:1]})
    assert client.ports() == [3, 5]
    client.register(port=7)
    assert client.ports() == [3, 7]


def test_an_answer_waits_until_the_write_is_durable(world: World) -> None:
    client = world.client()
    world.store.hold = True
    client.register(settle=False)
    world.settle()
    assert client.later == []
    world.store.answer()
    world.settle()
    assert [decode(data).type for data in client.later] == ["InstanceResponse"]


def test_a_store_that_fails_is_an_error_and_nothing_was_seen(world: World) -> None:
    client = world.client()
    world.store.broken = True
    type, body = client.register()
    assert (type, body["resultCode"], body["errorCode"], body["success"]) == ("ErrorResponse", 500, 500, False)
    world.store.broken = False
    assert client.ports() == []


def test_persistent_instances_outlive_the_connection(world: World) -> None:
    client, other = world.client(), world.client()
    assert client.register(ephemeral=False)[0] == "InstanceResponse"
    client.link.cut()
    world.settle()
    assert other.ports() == [8080]
    type, body = other.register()
    message = (
        "errCode: 400, errMsg: Current service DEFAULT_GROUP@@orders is persistent service, "
        "can't register ephemeral instance. "
    )
    assert (type, body) == (
        "ErrorResponse", {"resultCode": 400, "errorCode": 400, "message": message, "success": False},
    )  # fmt: skip
    other.deregister(ip="10.0.0.7", ephemeral=False)
    assert other.ports() == []


def test_an_instance_request_is_ephemeral_whatever_it_says(world: World) -> None:
    client = world.client()
    body = named("orders") | {
        "type": "registerInstance",
        "instance": {"ip": "10.0.0.7", "port": 8080, "ephemeral": False},
    }
    assert client.ask("InstanceRequest", body)[0] == "InstanceResponse"
    client.link.cut()
    world.pass_time(1)
    assert world.client().ports() == []


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"type": "nope"}, 400, "Unsupported request type nope"),
        ({"instance": None}, 400, "Instance can not be null."),
        ({"groupName": " "}, 500, "Param 'groupName' is illegal, groupName is blank"),
        ({"serviceName": ""}, 500, "Param 'serviceName' is illegal, serviceName is blank"),
        (
            {"instance": {"ip": "10.0.0.7", "port": 1, "clusterName": "a_b"}},
            400,
            "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: a_b)",
        ),
    ],
)
def test_what_a_handler_objects_to(world: World, change: dict[str, object], code: int, message: str) -> None:
    client = world.client()
    body = named("orders") | {"type": "registerInstance", "instance": {"ip": "10.0.0.7", "port": 1}} | change
    assert client.ask("InstanceRequest", body) == (
        "ErrorResponse", {"resultCode": code, "errorCode": code, "message": message, "success": False},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"instance": {"ip": "10.0.0.7", "port": 65536}},
            "Param 'port' is illegal, the value should be between 0 and 65535.",
        ),
        ({"serviceName": "a@@b"}, "Param 'serviceName' is illegal, illegal characters should not appear in the param."),
        (
            {"namespace": "n" * 65},
            "Param 'namespaceId/tenant' is illegal, the param length should not exceed 64.",
        ),
        (
            {"instance": {"ip": "10.0.0.7", "port": 1, "metadata": {"k": "v" * 1024}}},
            "Param 'Metadata' is illegal, the param length should not exceed 1024.",
        ),
    ],
)
def test_what_the_parameter_check_objects_to_is_said_in_the_answers_own_type(
    world: World, change: dict[str, object], text: str
) -> None:
    client = world.client()
    body = named("orders") | {"type": "registerInstance", "instance": {"ip": "10.0.0.7", "port": 1}} | change
    assert client.ask("InstanceRequest", body) == (
        "InstanceResponse",
        {"resultCode": 500, "errorCode": 400, "message": f"Param check invalid:{text}", "success": False},
    )


def test_weights_are_not_checked(world: World) -> None:
    client = world.client()
    for weight in (20000.0, -3.0, 0.001):
        assert client.register(weight=weight)[0] == "InstanceResponse"


def test_lists(world: World) -> None:
    client = world.client()
    for name in ("b", "a", "c"):
        world.client().register(name)
    body = {"namespace": "", "groupName": GROUP, "pageNo": 1, "pageSize": 2}
    assert client.ask("ServiceListRequest", body) == (
        "ServiceListResponse",
        {"resultCode": 200, "errorCode": 0, "count": 3, "serviceNames": ["a", "b"], "success": True},
    )
    empty = client.ask("ServiceListRequest", body | {"groupName": "other"})[1]
    assert (empty["count"], empty["serviceNames"]) == (0, [])


def test_a_query_echoes_clusters_and_has_the_plain_name(world: World) -> None:
    client = world.client()
    client.register(clusterName="A")
    type, body = client.ask("ServiceQueryRequest", named("orders") | {"cluster": "A,B", "healthyOnly": True})
    info = body["serviceInfo"]
    assert type == "QueryServiceResponse"
    assert (info["name"], info["groupName"], info["clusters"]) == ("orders", GROUP, "A,B")
    assert info["hosts"][0]["instanceId"] == "10.0.0.7#8080#A#DEFAULT_GROUP@@orders"


def test_namespaces_of_all_spellings(world: World) -> None:
    client = world.client()
    client.register()
    for namespace in ("", "public"):
        body = named("orders", namespace=namespace) | {"cluster": "", "healthyOnly": False}
        assert len(client.ask("ServiceQueryRequest", body)[1]["serviceInfo"]["hosts"]) == 1
    body = named("orders", namespace="dev") | {"cluster": "", "healthyOnly": False}
    assert client.ask("ServiceQueryRequest", body)[1]["serviceInfo"]["hosts"] == []


def test_every_call_is_counted(world: World) -> None:
    client = world.client()
    client.register()
    client.register(clusterName="a_b")
    client.ask("Nope")
    assert world.observed == [
        ("ServerCheckRequest", 200), ("InstanceRequest", 200), ("InstanceRequest", 400), ("unknown", 302),
    ]  # fmt: skip


def test_what_comes_on_a_stream_without_reason_is_passed_over(world: World) -> None:
    client = world.client()
    assert client.stream is not None
    for type, body in (
        ("NotifySubscriberResponse", b"nope"),
        ("NotifySubscriberResponse", b'{"requestId":"99","resultCode":200}'),
        ("HealthCheckRequest", b"{}"),
        ("ConnectionSetupRequest", b"nope"),
        ("ConnectionSetupRequest", b"{}"),
    ):
        client.say(type, body)
    assert client.stream.sent == []
    assert client.ask("HealthCheckRequest")[0] == "HealthCheckResponse"
    handler = client.stream.handler
    assert handler is not None
    with pytest.raises(RpcError):
        handler.on_message(b"\x12\xff")


def test_answers_before_the_set_up_are_nobodys(world: World) -> None:
    client = world.client(setup=False)
    client.open()
    client.say("NotifySubscriberResponse", {"requestId": "1"})
    assert len(world.service.connections) == 0


def test_a_second_stream_changes_nothing(world: World) -> None:
    client = world.client()
    first = client.stream
    client.register()
    second = Call(client.link, "/BiRequestStream/requestBiStream")
    second.handler = world.open(second)
    client.link.streams.append(second)
    second.handler.on_message(encode("ConnectionSetupRequest", b"{}"))
    second.over()
    assert client.ports() == [8080]
    assert first is not None
    first.over()
    assert client.ask("HealthCheckRequest")[0] == "ErrorResponse"


def test_a_stream_that_ends_may_be_opened_again(world: World) -> None:
    client = world.client()
    client.register()
    assert client.stream is not None
    client.stream.over()
    client.open()
    client.set_up(abilities=None)
    world.pass_time(1)
    assert client.ports() == []
    client.register(port=5)
    assert client.ports() == [5]


def test_locks(world: World) -> None:

    def lock(operation: str, expires_ms: int = -1, kind: str = "NACOS_LOCK", key: str = "k") -> tuple[str, Any]:
        body = {
            "lockInstance": {"key": key, "expiredTime": expires_ms, "lockType": kind, "params": {}},
            "lockOperationEnum": operation,
        }
        return world.client().ask("LockOperationRequest", body)

    def result(operation: str, **options: Any) -> bool:
        type, body = lock(operation, **options)
        assert type == "LockOperationResponse"
        return bool(body["result"])

    assert result("ACQUIRE")
    assert not result("ACQUIRE")
    assert result("ACQUIRE", key="other")
    assert result("RELEASE"), "whoever knows the key"
    assert not result("RELEASE")
    assert result("ACQUIRE")
    world.pass_time(29)
    assert not result("ACQUIRE")
    world.pass_time(2)
    assert result("ACQUIRE", expires_ms=10**12), "30 s when nothing was said"
    world.pass_time(30 * 60 - 1)
    assert not result("ACQUIRE", expires_ms=5)
    world.pass_time(2)
    assert result("ACQUIRE", expires_ms=5), "30 minutes at most"
    for bad in (lock("ACQUIRE", kind="X"), lock("ACQUIRE", key=""), lock("NOPE")):
        assert bad[0] == "ErrorResponse"


def test_a_lock_is_not_taken_twice_by_one_connection(world: World) -> None:
    client = world.client()
    body = {"lockInstance": {"key": "k", "lockType": "NACOS_LOCK"}, "lockOperationEnum": "ACQUIRE"}
    assert [client.ask("LockOperationRequest", body)[1]["result"] for _ in range(2)] == [True, False]


WORDS = st.sampled_from(
    ["", "public", "DEFAULT_GROUP", "orders", "registerInstance", "a@@b", "\u4e2d", "WATCH", "*>>*>>*"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
INSTANCES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("ip", "port", "weight", "metadata", "clusterName", "ephemeral", "instanceId"), VALUES),
)
MEMBERS = (
    "namespace", "serviceName", "groupName", "type", "cluster", "clusters", "subscribe", "healthyOnly", "pageNo", "pageSize",
    "groupKeyPattern", "receivedGroupKeys", "watchType", "initializing", "lockInstance", "lockOperationEnum",
)  # fmt: skip
BODIES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(MEMBERS, WORDS | VALUES)
    | {"instance": INSTANCES | VALUES, "instances": st.lists(INSTANCES, max_size=3) | VALUES},
)


@given(st.sampled_from(sorted(KINDS)), BODIES)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_any_request_has_an_answer(type: str, body: dict[str, Any]) -> None:
    world = World()
    answer, said = world.client().ask(type, json.dumps(body).encode())
    assert answer in (KINDS[type].answer, "ErrorResponse")
    assert said["success"] is (said["resultCode"] == 200)
    assert (answer == "ErrorResponse") <= (said["success"] is False)


@given(st.binary(max_size=200))
def test_any_bytes_have_an_answer_or_end_the_call(data: bytes) -> None:
    client = World().client()
    assert client.stream is not None
    handler = client.stream.handler
    assert handler is not None
    for call in (client.raw, handler.on_message):
        codes = []
        try:
            call(data)
        except RpcError as error:
            codes.append(error.code)
        assert codes in ([], [Status.INTERNAL])


def test_long_answers_are_read_too(world: World) -> None:
    reader = world.client()
    reader.subscribe()
    world.client().register()
    (push,) = reader.pushes(answer=False)
    reader.say("NotifySubscriberResponse", {"message": "x" * 2000, "resultCode": 200, "requestId": push["requestId"]})
    assert world.service.requests.waiting == 0
