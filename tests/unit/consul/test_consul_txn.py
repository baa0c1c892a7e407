"""Transactions: all or nothing, every verb, every complaint, and each kind of thing in one of them."""

from __future__ import annotations

import base64
import json

import pytest
from consul_bottle import Answer, ConsulBottle
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.consul.wire.refusals import Refused
from polaris_bridge.adapters.consul.wire.txn import CheckOp, KvOp, NodeOp, ServiceOp, operations
from polaris_bridge.core.config.model import FileKey


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def kv(verb: str, key: str = "k", value: bytes = b"", **fields: object) -> dict[str, object]:
    said = {"Verb": verb, "Key": key, "Value": base64.b64encode(value).decode(), **fields}
    return {"KV": said, "Node": None, "Service": None, "Check": None}


def run(bottle: ConsulBottle, *operations: dict[str, object]) -> Answer:
    return bottle.put("/v1/txn", list(operations))


def errors(answer: Answer) -> list[tuple[int, str]]:
    assert answer.status == 409, answer
    assert answer.json["Results"] is None
    assert answer.headers["content-type"] == "application/json"
    return [(each["OpIndex"], each["What"]) for each in answer.json["Errors"]]


# ---------------------------------------------------------------------- keys


def test_all_is_applied_and_told(bottle: ConsulBottle) -> None:
    answer = run(bottle, kv("set", "a", b"1", Flags=2**64 - 1), kv("get", "a"), kv("set", "b", b"2"), kv("delete", "a"))
    index = bottle.get("/v1/kv/b").index
    created = answer.json["Results"][0]["KV"]["CreateIndex"]
    entry = f'"LockIndex":0,"Key":"a","Flags":{2**64 - 1}'
    ends = f'"CreateIndex":{created},"ModifyIndex":{created}}}}}'
    assert answer.text == (
        f'{{"Results":[{{"KV":{{{entry},"Value":null,{ends},{{"KV":{{{entry},"Value":"MQ==",{ends},'
        f'{{"KV":{{"LockIndex":0,"Key":"b","Flags":0,"Value":null,"CreateIndex":{index},"ModifyIndex":{index}}}}}],'
        '"Errors":null}'
    )
    assert bottle.get("/v1/kv/?keys").json == ["b"]
    assert run(bottle, kv("delete", "none"), kv("delete-tree", "")).text == '{"Results":[],"Errors":null}'


def test_nothing_is_applied_when_one_fails_and_each_failure_is_told(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/k", b"v")
    index = bottle.get("/v1/kv/k").index
    waiting = bottle.begin("GET", f"/v1/kv/?recurse&index={index}&wait=60s")
    answer = run(
        bottle,
        kv("set", "a"),
        kv("cas", "k", b"x", Index=1),
        kv("set", "k", b"y"),
        kv("get", "none"),
        kv("check-not-exists", "a"),
    )
    assert errors(answer) == [
        (1, 'failed to set key "k", index is stale'),
        (3, 'key "none" doesn\'t exist'),
        (4, 'key "a" exists'),
    ]
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not waiting.answered
    assert bottle.get("/v1/kv/?keys").json == ["k"]
    assert bottle.get("/v1/kv/k").index == index


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (kv("cas", "k", Index=0), 'failed to set key "k", index is stale'),
        (kv("delete-cas", "k", Index=1), 'failed to delete key "k", index is stale'),
        (kv("lock", "k", Session="nobody"), 'invalid session "nobody"'),
        (kv("lock", "k"), "missing session"),
        (kv("unlock", "k"), "missing session"),
        (
            kv("unlock", "k", Session="x"),
            'failed to unlock key "k", lock isn\'t held, or is held by another session',
        ),
        (kv("get", "no"), 'key "no" doesn\'t exist'),
        (kv("check-index", "no", Index=1), 'failed to check index, key "no" doesn\'t exist'),
        (kv("check-index", "k", Index=1), 'failed index check for key "k", current modify index {index} != 1'),
        (kv("check-session", "no", Session="x"), 'failed to check session, key "no" doesn\'t exist'),
        (kv("check-session", "k", Session="x"), 'failed session check for key "k", current session "" != "x"'),
        (kv("check-not-exists", "k"), 'key "k" exists'),
        (kv("zap", "k"), "unknown KV operation: zap"),
        (kv("set", ""), "Must provide key"),
        ({"Node": {"Verb": "zap", "Node": {"Node": "n"}}}, "unknown node operation: zap"),
        ({"Node": {"Verb": "set", "Node": {}}}, "Must provide node"),
        ({"Node": {"Verb": "set", "Node": {"Node": "n", "ID": "x"}}}, "Bad node ID: uuid string is wrong length"),
        ({"Node": {"Verb": "get", "Node": {"Node": "n"}}}, 'node "n" doesn\'t exist'),
        (
            {"Node": {"Verb": "cas", "Node": {"Node": "n", "ModifyIndex": 4}}},
            'failed to set node "n", index is stale',
        ),
        ({"Service": {"Verb": "zap"}}, "unknown service operation: zap"),
        ({"Service": {"Verb": "set", "Node": "n", "Service": {"Service": "w"}}}, "Missing node registration"),
        (
            {"Service": {"Verb": "set", "Node": "here", "Service": {"ID": "w"}}},
            "Must provide service name (Service.Service) when service ID is provided",
        ),
        (
            {"Service": {"Verb": "set", "Node": "here", "Service": {"Service": "w", "Address": "0.0.0.0"}}},
            "Invalid service address",
        ),
        ({"Service": {"Verb": "get", "Node": "n", "Service": {"ID": "w"}}}, 'service "w" on node "n" doesn\'t exist'),
        (
            {"Service": {"Verb": "cas", "Node": "here", "Service": {"Service": "w", "ModifyIndex": 9}}},
            'failed to set service "w" on node "here", index is stale',
        ),
        ({"Check": {"Verb": "zap"}}, "unknown check operation: zap"),
        ({"Check": {"Verb": "get", "Check": {"Node": "n", "CheckID": "c"}}}, 'check "c" on node "n" doesn\'t exist'),
        ({"Check": {"Verb": "set", "Check": {"Node": "n", "CheckID": "c"}}}, "Missing node registration"),
        (
            {"Check": {"Verb": "set", "Check": {"Node": "here", "CheckID": "c", "ServiceID": "none"}}},
            "Missing service registration",
        ),
        (
            {"Check": {"Verb": "cas", "Check": {"Node": "here", "CheckID": "c", "ModifyIndex": 3}}},
            'failed to set check "c" on node "here", index is stale',
        ),
    ],
)
def test_what_each_operation_complains_of(bottle: ConsulBottle, operation: dict[str, object], what: str) -> None:
    bottle.put("/v1/kv/k", b"v")
    index = bottle.get("/v1/kv/k").index
    assert errors(run(bottle, operation)) == [(0, what.replace("{index}", str(index)))]
    if "unknown" not in what and "Must" not in what and "Bad" not in what and "Invalid" not in what:
        assert errors(run(bottle, kv("set", "other"), operation))[0][0] == 1
        assert bottle.get("/v1/kv/?keys").json == ["k"]


def test_locks_in_a_transaction(bottle: ConsulBottle) -> None:
    mine = bottle.put("/v1/session/create", {"LockDelay": "5s"}).json["ID"]
    yours = bottle.put("/v1/session/create").json["ID"]
    done = run(bottle, kv("lock", "k", b"v", Session=mine), kv("check-session", "k", Session=mine))
    assert [each["KV"]["Session"] for each in done.json["Results"]] == [mine, mine]
    assert errors(run(bottle, kv("lock", "k", Session=yours))) == [(0, 'failed to lock key "k", lock is already held')]
    bottle.put(f"/v1/session/destroy/{mine}")
    assert errors(run(bottle, kv("lock", "k", Session=yours))) == [(0, 'failed to lock key "k" due to lock delay')]
    bottle.move(6)
    run(bottle, kv("lock", "k", Session=yours))
    unlocked = run(bottle, kv("unlock", "k", b"bye", Session=yours)).json["Results"][0]["KV"]
    assert "Session" not in unlocked
    assert bottle.get("/v1/kv/k?raw").body == b"bye"


def test_reads_alone_bring_the_headers_of_reads(bottle: ConsulBottle) -> None:
    for key in ("t/a", "t/b"):
        bottle.put(f"/v1/kv/{key}", key.encode())
    answer = run(bottle, kv("get-tree", "t/"), kv("get-or-empty", "none", Flags=7), kv("check-not-exists", "none"))
    assert answer.status == 200
    assert answer.headers["x-consul-knownleader"] == "true"
    assert answer.headers["x-consul-lastcontact"] == "0"
    found = [(each["KV"]["Key"], each["KV"]["Value"]) for each in answer.json["Results"]]
    assert found == [("t/a", "dC9h"), ("t/b", "dC9i"), ("none", None)]
    assert answer.json["KnownLeader"] is True
    refused = bottle.put("/v1/txn?stale&consistent", [kv("get", "t/a")])
    assert refused.status == 400


def test_a_tree_in_a_transaction_is_the_newest(bottle: ConsulBottle) -> None:
    bottle.put("/v1/kv/t/a", b"")
    bottle.put("/v1/kv/config/g/old", b"")
    answer = run(
        bottle,
        kv("set", "t/b"),
        kv("set", "config/g/new", b"v"),
        kv("delete", "t/a"),
        kv("get-tree", "t"),
        kv("get-tree", "con"),
        kv("delete-tree", "config/"),
        kv("get-tree", "c"),
    )
    assert [each["KV"]["Key"] for each in answer.json["Results"][2:]] == ["t/b", "config/g/new", "config/g/old"]
    assert bottle.get("/v1/kv/?keys").json == ["t/b"]


def test_files_and_keys_in_one(bottle: ConsulBottle) -> None:
    assert run(bottle, kv("set", "config/g/f", b"1"), kv("set", "flag", b"on")).status == 200
    file = FileKey("default", "g", "f")
    found = bottle.registry.config.reading.resolve(file)
    assert found is not None
    assert found.content == b"1"
    errors(run(bottle, kv("set", "config/g/f", b"2"), kv("check-not-exists", "flag")))
    assert bottle.registry.config.reading.resolve(file) == found


# ---------------------------------------------------------------------- nodes, services, checks

NODE = {"Node": {"Verb": "set", "Node": {"Node": "n9", "Address": "1.2.3.4", "Meta": {"a": "b"}}}}
SERVICE = {
    "Service": {"Verb": "set", "Node": "n9", "Service": {"ID": "w1", "Service": "web", "Port": 80, "Tags": ["t"]}}
}
CHECK = {
    "Check": {
        "Verb": "set",
        "Check": {"Node": "n9", "CheckID": "c", "Name": "c", "Status": "passing", "Output": "fine", "ServiceID": "w1"},
    }
}


def test_a_node_with_a_service_and_its_check_at_once(bottle: ConsulBottle) -> None:
    answer = run(bottle, NODE, SERVICE, CHECK, kv("set", "done"))
    assert answer.status == 200, answer
    results = answer.json["Results"]
    assert [next(iter(each)) for each in results] == ["Node", "Service", "Check", "KV"]
    assert (results[0]["Node"]["Node"], results[0]["Node"]["Meta"]) == ("n9", {"a": "b"})
    assert (results[1]["Service"]["ID"], results[1]["Service"]["Tags"]) == ("w1", ["t"])
    assert (results[2]["Check"]["Status"], results[2]["Check"]["ServiceName"]) == ("passing", "web")
    shown = bottle.get("/v1/health/service/web?passing").json
    assert [each["Service"]["ID"] for each in shown] == ["w1"]
    got = run(
        bottle,
        {"Node": {"Verb": "get", "Node": {"Node": "N9"}}},
        {"Service": {"Verb": "get", "Node": "n9", "Service": {"ID": "w1"}}},
        {"Check": {"Verb": "get", "Check": {"Node": "n9", "CheckID": "c"}}},
    ).json["Results"]
    assert got[0]["Node"]["Address"] == "1.2.3.4"
    assert got[1]["Service"] == shown[0]["Service"] | {k: got[1]["Service"][k] for k in ("CreateIndex", "ModifyIndex")}
    assert got[2]["Check"]["Output"] == "fine"


def test_a_failure_leaves_no_half_of_them(bottle: ConsulBottle) -> None:
    errors(run(bottle, NODE, SERVICE, CHECK, kv("get", "none")))
    assert bottle.get("/v1/health/service/web").json == []
    assert [each["Node"] for each in bottle.get("/v1/catalog/nodes").json] == ["here"]


def test_a_check_changes_its_state_and_a_failing_transaction_does_not(bottle: ConsulBottle) -> None:
    run(bottle, NODE, SERVICE, CHECK)
    failing = json.loads(json.dumps(CHECK))
    failing["Check"]["Check"] |= {"Status": "critical", "Output": "broken"}
    errors(run(bottle, failing, kv("get", "none")))
    assert len(bottle.get("/v1/health/service/web?passing").json) == 1
    run(bottle, failing)
    assert bottle.get("/v1/health/service/web?passing").json == []
    checks = bottle.get("/v1/health/checks/web").json
    assert [(each["CheckID"], each["Status"], each["Output"]) for each in checks] == [("c", "critical", "broken")]
    on_node = {
        "Check": {"Verb": "set", "Check": {"Node": "n9", "CheckID": "disk", "Name": "disk", "Status": "warning"}}
    }
    run(bottle, on_node)
    assert "disk" in [each["CheckID"] for each in bottle.get("/v1/health/node/n9").json]
    run(bottle, {"Check": {"Verb": "delete", "Check": {"Node": "n9", "CheckID": "disk"}}})
    assert "disk" not in [each["CheckID"] for each in bottle.get("/v1/health/node/n9").json]


def test_comparing_and_deleting(bottle: ConsulBottle) -> None:
    run(bottle, NODE, SERVICE, CHECK)
    index = run(bottle, {"Service": {"Verb": "get", "Node": "n9", "Service": {"ID": "w1"}}}).json["Results"][0]
    inner = {"ID": "w1", "Service": "web", "Port": 81, "ModifyIndex": index["Service"]["ModifyIndex"]}
    assert run(bottle, {"Service": {"Verb": "cas", "Node": "n9", "Service": inner}}).status == 200
    assert errors(run(bottle, {"Service": {"Verb": "delete-cas", "Node": "n9", "Service": inner}})) == [
        (0, 'failed to delete service "w1" on node "n9", index is stale')
    ]
    run(bottle, {"Service": {"Verb": "delete", "Node": "n9", "Service": {"Service": "web", "ID": "w1"}}})
    assert bottle.get("/v1/health/service/web").json == []
    run(bottle, SERVICE)
    node = run(bottle, {"Node": {"Verb": "get", "Node": {"Node": "n9"}}}).json["Results"][0]["Node"]
    gone = {"Node": {"Verb": "delete-cas", "Node": {"Node": "n9", "ModifyIndex": node["ModifyIndex"]}}}
    assert run(bottle, gone).text == '{"Results":[],"Errors":null}'
    assert [each["Node"] for each in bottle.get("/v1/catalog/nodes").json] == ["here"]
    assert bottle.get("/v1/health/service/web").json == []
    assert run(bottle, gone).status == 200


# ---------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 400, "Failed to parse body: EOF"),
        (b"[", 400, "Failed to parse body: unexpected EOF"),
        (b'[{"KV":{"Verb":"set","Key":"k","Value":"a"}}]', 400, "Failed to parse body: illegal base64 data at input byte 0"),
        (b'[{"KV":{"Verb":"set","Key":"k","Value":"YWJ*"}}]', 400, "Failed to parse body: illegal base64 data at input byte 3"),
        (b'[{"Zap":{}}]', 400, 'Failed to parse body: json: unknown field "Zap"'),
        (json.dumps([kv("get")] * 129).encode(), 413, "Transaction contains too many operations (129 > 128)"),
        (
            b" " * 524_289,
            413,
            "Request body(524289 bytes) too large, max size: 524288 bytes. "
            "See https://www.consul.io/docs/agent/config/config-files#txn_max_req_len.",
        ),
    ],
)  # fmt: skip
def test_bad_bodies(bottle: ConsulBottle, body: bytes, status: int, text: str) -> None:
    answer = bottle.put("/v1/txn", body)
    assert (answer.status, answer.text) == (status, text)


def test_what_an_operation_may_say() -> None:
    found = operations(
        b'[{"KV":{"verb":"cas","key":"k","value":"djE=","flags":1,"index":2,"session":"s","Namespace":""}},null,{},'
        b'{"Node":{"Verb":"set","Node":{"ID":"i","Node":"n","Address":"a","Datacenter":"dc1","TaggedAddresses":{"lan":"l"},'
        b'"Meta":null,"ModifyIndex":3}}},'
        b'{"Service":{"Verb":"set","Node":"n","Service":{"ID":"i","Service":"s","Tags":["t"],"Port":1,"Address":"a",'
        b'"Weights":{"Passing":2,"Warning":3},"EnableTagOverride":true,"Meta":{"a":"b"},"Proxy":null,"Kind":""}}},'
        b'{"Check":{"Verb":"set","Check":{"Node":"n","CheckID":"c","Name":"n","Status":"passing","ServiceID":"s",'
        b'"Definition":{"Interval":"10s","HTTP":"http://x"},"ServiceTags":null}}}]'
    )
    assert found == [
        KvOp("cas", "k", b"v1", 1, 2, "s"),
        NodeOp("set", "n", "i", "a", {"lan": "l"}, None, 3),
        ServiceOp("set", "n", "i", "s", "", ("t",), "a", 1, {"a": "b"}, 2, 3, True),
        CheckOp("set", "n", "c", "n", "passing", service_id="s", definition=b'{"Interval":"10s","HTTP":"http://x"}'),
    ]
    assert operations(b"[]") == operations(b"null") == []


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.text(max_size=4) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["KV", "Node", "Service", "Check", "Verb", "Key", "Value", "Flags", "Definition", "Tags", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_json)
def test_no_body_is_more_than_refused(body: object) -> None:
    said = json.dumps([body]).encode()
    try:
        operations(said)
    except Refused:
        with pytest.raises(Refused, match="Failed to parse body: "):
            operations(said)
