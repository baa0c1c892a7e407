"""Batches of peers, their answers and their compression."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ElementTree
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.eureka.wire import (
    InstanceInfo,
    Malformed,
    ReplicationAnswer,
    ReplicationItem,
    decode_batch,
    encode_answers,
    gunzip,
    hash_code,
)


def batch(**item: Any) -> bytes:
    return orjson.dumps({"replicationList": [item]})


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"appName": "A", "id": "i", "action": "Cancel"}, ReplicationItem("A", "i", "Cancel")),
        ({"appName": "A", "id": "i"}, ReplicationItem("A", "i", None)),
        ({"appName": None, "id": 5, "action": None}, ReplicationItem(None, "5", None)),
        (
            {"appName": "A", "id": "i", "action": "Heartbeat", "lastDirtyTimestamp": "7", "status": "UP", "x": [1]},
            ReplicationItem("A", "i", "Heartbeat", 7, "UP"),
        ),
        (
            {"appName": "A", "id": "i", "action": "StatusUpdate", "status": "ODD", "overriddenStatus": "DOWN"},
            ReplicationItem("A", "i", "StatusUpdate", None, "ODD", "DOWN"),
        ),
        (
            {"appName": "A", "id": "i", "action": "Register", "instanceInfo": {"app": "a", "hostName": 1}},
            ReplicationItem("A", "i", "Register", instance=InstanceInfo(app="A", host_name="1")),
        ),
        (
            {"appName": "A", "id": "i", "action": "Register", "instanceInfo": None},
            ReplicationItem("A", "i", "Register"),
        ),
    ],
)
def test_items(item: dict[str, Any], expected: ReplicationItem) -> None:
    assert decode_batch(batch(**item)).items == [expected]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"replicationList":null}',
        b'{"replicationList":5}',
        b'{"replicationList":[5]}',
        b'{"replicationList":[null]}',
        batch(action="Explode"),
        batch(action={}),
        batch(id=[]),
        batch(lastDirtyTimestamp={}),
        batch(instanceInfo=5),
        batch(instanceInfo={"hostName": "h"}),
        b'{"replicationList":' + b"[" * 100_000,
        b'{"replicationList":[{"id":"\xff"}]}',
    ],
    ids=lambda body: repr(body[:50]),
)
def test_malformed_batches(body: bytes) -> None:
    with pytest.raises(Malformed):
        decode_batch(body)


def test_answers_in_xml() -> None:
    info = InstanceInfo(app="A", host_name="h", metadata={"k": "<instance>"})
    body = encode_answers([ReplicationAnswer(200), ReplicationAnswer(409, info)], "xml")
    root = ElementTree.fromstring(body)
    assert root.tag == "com.netflix.eureka.cluster.protocol.ReplicationListResponse"
    assert [item.findtext("statusCode") for item in root.find("responseList") or ()] == ["200", "409"]
    entity = root.find(".//responseEntity")
    assert entity is not None
    assert entity.findtext("hostName") == "h"
    assert entity.findtext("metadata/k") == "<instance>"


def test_answers_in_json() -> None:
    info = InstanceInfo(app="A", host_name="h")
    answers = orjson.loads(encode_answers([ReplicationAnswer(404), ReplicationAnswer(409, info)]))["responseList"]
    assert answers[0] == {"statusCode": 404}
    assert answers[1]["responseEntity"]["hostName"] == "h"


def test_gunzip() -> None:
    plain = b"x" * 1000
    packed = gzip.compress(plain)
    assert gunzip(packed, 1000) == plain
    for body, limit in [
        (packed, 999),
        (packed[:-1], 1000),
        (packed + b"x", 1000),
        (packed + packed, 2000),
        (plain, 1000),
        (b"", 1000),
    ]:
        with pytest.raises(Malformed):
            gunzip(body, limit)


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(b"\x00" * 50_000_000)
    assert len(bomb) < 100_000
    with pytest.raises(Malformed, match="more than 1000 bytes"):
        gunzip(bomb, 1000)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_gunzip_refuses_or_returns_the_whole(plain: bytes, limit: int) -> None:
    try:
        assert gunzip(gzip.compress(plain), limit) == plain
    except Malformed:
        assert len(plain) > limit


@pytest.mark.parametrize(
    ("counts", "expected"),
    [({}, ""), ({"UP": 0}, ""), ({"UP": 12, "DOWN": 1, "STARTING": 0}, "DOWN_1_UP_12_"), ({"UP": 2}, "UP_2_")],
)
def test_hash_code(counts: dict[str, int], expected: str) -> None:
    assert hash_code(counts) == expected
