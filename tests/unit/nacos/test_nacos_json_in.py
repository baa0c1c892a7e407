"""Requests as clients of all languages spell them, and parameters that hold JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.wire import json_in
from polaris_bridge.adapters.nacos.wire.json_in import Malformed
from polaris_bridge.adapters.nacos.wire.messages import Beat, Instance

TEXT = st.text(max_size=20)


def body(**members: Any) -> bytes:
    return json.dumps({"headers": {}, "namespace": "public", "serviceName": "s", "groupName": "g"} | members).encode()


JAVA = {
    "ip": "127.0.0.1", "port": 8080, "weight": 1.0, "healthy": True, "enabled": True, "ephemeral": True,
    "clusterName": "DEFAULT", "metadata": {"zone": "z1"}, "instanceHeartBeatInterval": 5000,
    "instanceHeartBeatTimeOut": 15000, "ipDeleteTimeout": 30000, "instanceIdGenerator": "simple",
}  # fmt: skip
PYTHON = {
    "instanceId": "", "ip": "127.0.0.1", "port": 8080, "weight": 1.0, "healthy": True, "enabled": True,
    "ephemeral": True, "clusterName": "DEFAULT", "serviceName": "", "metadata": {"zone": "z1"},
}  # fmt: skip
PLAIN = Instance("127.0.0.1", 8080, cluster="DEFAULT", metadata={"zone": "z1"})


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (JAVA, PLAIN),
        (PYTHON, Instance("127.0.0.1", 8080, cluster="DEFAULT", metadata={"zone": "z1"}, instance_id="")),
        ({"ip": "h", "port": 1}, Instance("h", 1)),
        ({"ip": "h", "port": 1, "clusterName": ""}, Instance("h", 1, cluster="")),
        ({"ip": "h", "port": 1, "clusterName": None, "metadata": None}, Instance("h", 1)),
        ({"ip": "h", "port": "1", "weight": "0.5", "healthy": "false"}, Instance("h", 1, 0.5, False)),
        ({"ip": "h", "port": 1, "weight": 3}, Instance("h", 1, 3.0)),
        ({"ip": None, "port": None, "weight": None, "enabled": None}, Instance("", 0, 0.0, enabled=False)),
        ({"ip": "null", "port": 1, "clusterName": "null"}, Instance("null", 1, cluster="null")),
        (
            {"ip": "h", "port": 1, "metadata": {"a": 1, "b": 1.5, "c": True, "d": None, "e": "null", "f": "7"}},
            Instance("h", 1, metadata={"a": "1", "b": "1.5", "c": "true", "e": "null", "f": "7"}),
        ),
    ],
)
def test_instances(sent: dict[str, Any], read: Instance) -> None:
    request = json_in.instance_request(body(type="registerInstance", instance=sent))
    assert request == json_in.InstanceRequest("public", "s", "g", "registerInstance", read)
    batch = json_in.batch_instance_request(body(type="batchRegisterInstance", instances=[sent, sent]))
    assert batch.instances == (read, read)


def test_absent_members_have_their_defaults() -> None:
    assert json_in.instance_request(b"{}") == json_in.InstanceRequest("", "", "", None, None)
    assert json_in.batch_instance_request(b'{"instances":null}').instances == ()
    assert json_in.service_query_request(b'{"cluster":null}') == json_in.ServiceQueryRequest("", "", "", "", False, 0)
    assert json_in.subscribe_service_request(b"{}") == json_in.SubscribeServiceRequest("", "", "", False, "")
    assert json_in.service_list_request(b"{}") == json_in.ServiceListRequest("", "", "", 0, 0, "")
    assert json_in.lock_request(b"{}") == json_in.LockRequest(None, None, "", "")


def test_setup_tells_no_abilities_from_none_given() -> None:
    assert json_in.setup_request(b'{"clientVersion":"v","labels":{"tls.enable":false}}') == json_in.SetupRequest(
        "v", "", {"tls.enable": "false"}, None
    )
    assert json_in.setup_request(b'{"abilityTable":{}}').abilities == {}
    assert json_in.setup_request(b'{"abilityTable":{"mcp":true,"x":null}}').abilities == {"mcp": True, "x": False}


def test_fuzzy_watches_are_initial_in_either_spelling() -> None:
    assert json_in.fuzzy_watch_request(b'{"isInitializing":true}').initializing
    assert json_in.fuzzy_watch_request(b'{"initializing":true,"isInitializing":false}').initializing
    request = json_in.fuzzy_watch_request(
        b'{"groupKeyPattern":"public>>*>>*","receivedGroupKeys":["a"],"watchType":"WATCH"}'
    )
    assert request == json_in.FuzzyWatchRequest("public>>*>>*", ("a",), "WATCH", False)


def test_locks() -> None:
    sent = b'{"lockInstance":{"key":"k","expiredTime":-1,"lockType":"NACOS_LOCK"},"lockOperationEnum":"ACQUIRE"}'
    assert json_in.lock_request(sent) == json_in.LockRequest("k", -1, "NACOS_LOCK", "ACQUIRE")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b'{"resultCode":200,"errorCode":0,"requestId":"80","success":true}', json_in.Ack("80", True)),
        (b'{"resultCode": 200, "errorCode": 0, "message": "", "requestId": "92"}', json_in.Ack("92", True)),
        (b'{"resultCode":500,"requestId":"1"}', json_in.Ack("1", False)),
        (b'{"requestId":"1","success":false,"exception":null}', json_in.Ack("1", False)),
        (b'{"requestId":null}', json_in.Ack("", True)),
    ],
)
def test_acks(sent: bytes, read: json_in.Ack) -> None:
    assert json_in.ack(sent) == read


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff{}", b"[" * 100_000])
def test_what_is_no_object_is_malformed(sent: bytes) -> None:
    for read in (
        json_in.instance_request, json_in.batch_instance_request, json_in.service_query_request, json_in.check,
        json_in.subscribe_service_request, json_in.service_list_request, json_in.setup_request, json_in.ack,
        json_in.fuzzy_watch_request, json_in.lock_request,
    ):  # fmt: skip
        with pytest.raises(Malformed):
            read(sent)


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_malformed(sent: bytes) -> None:
    try:
        json_in.instance_request(sent)
    except Malformed:
        return


@given(st.recursive(st.none() | st.booleans() | st.floats() | TEXT, lambda c: st.lists(c) | st.dictionaries(TEXT, c)))
def test_any_instance_is_read_or_malformed(value: Any) -> None:
    try:
        read = json_in.instance_request(body(instance=value)).instance
    except Malformed:
        return
    assert read is None or isinstance(read.port, int)


@given(st.builds(Instance, ip=TEXT, port=st.integers(0, 65535), weight=st.floats(0, 1e6), healthy=st.booleans(),
                 enabled=st.booleans(), ephemeral=st.booleans(), cluster=st.none() | TEXT,
                 metadata=st.dictionaries(TEXT, TEXT)))  # fmt: skip
def test_instances_come_through(instance: Instance) -> None:
    sent = {
        "ip": instance.ip, "port": instance.port, "weight": instance.weight, "healthy": instance.healthy,
        "enabled": instance.enabled, "ephemeral": instance.ephemeral, "clusterName": instance.cluster,
        "metadata": instance.metadata,
    }  # fmt: skip
    assert json_in.instance_request(body(instance=sent)).instance == instance


def test_beats() -> None:
    java = '{"period":5000,"ip":"127.0.0.1","port":7001,"weight":2.0,"serviceName":"g@@s","cluster":"C","metadata":{"a":"1"},"scheduled":false,"stopped":false}'  # noqa: E501
    assert json_in.beat(java) == Beat("127.0.0.1", 7001, "C", 2.0, {"a": "1"}, "g@@s")
    python = '{"serviceName": "g@@s", "ip": "127.0.0.1", "port": 7002, "weight": 1.0, "ephemeral": true}'
    assert json_in.beat(python) == Beat("127.0.0.1", 7002, None, 1.0, {}, "g@@s")
    with pytest.raises(Malformed):
        json_in.beat("{")


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ("null", {}),
        ('{"version": "1"}', {"version": "1"}),
        ('{"n":1,"b":false}', {"n": "1", "b": "false"}),
        ("k=v", {"k": "v"}),
        ("k=v,k2=v2", {"k": "v", "k2": "v2"}),
        ("k=v,,", {"k": "v"}),
        (",", {}),
        ("=v", {"": "v"}),
    ],
)
def test_metadata(sent: str, read: dict[str, str]) -> None:
    assert json_in.metadata(sent) == read


@pytest.mark.parametrize("sent", ["k", "k=", "k=v=w", "k=v,,k2=v", "{"])
def test_metadata_of_no_form(sent: str) -> None:
    with pytest.raises(Malformed, match="metadata format incorrect:"):
        json_in.metadata(sent)


def test_lists_of_instances_and_objects() -> None:
    assert json_in.instances('[{"ip":"h","port":1,"ephemeral":false}]') == (Instance("h", 1, ephemeral=False),)
    assert json_in.json_object('{"type":"TCP"}') == {"type": "TCP"}
    with pytest.raises(Malformed):
        json_in.json_object("[]")
