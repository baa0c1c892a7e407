"""Routing asked over HTTP: what is answered, to whom, and what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from bottle import CALLER
from guarded import Guarded
from http_world import World, document
from hypothesis import given, settings
from hypothesis import strategies as st
from native import Native
from routing_table import argument, group, match, rule, source, sub

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.service.discovery import Later
from polaris_bridge.adapters.polaris.translate.routing_targets import targets_of
from polaris_bridge.adapters.polaris.translate.shown import LAST_HEARTBEAT, instances
from polaris_bridge.adapters.polaris.wire import routing_asked
from polaris_bridge.adapters.polaris.wire.routing_asked import Malformed, Question
from polaris_bridge.core.model import Checks, Location, ServiceKey

EXPLAIN, PICK = "/naming/v1/routing/explain", "/naming/v1/instances/pick"
OK, NO_SERVICE, NO_INSTANCE, NO_NAME, UNREAD = 200000, 400202, 400303, 400120, 400001
SHOP = {"namespace": "default", "service": "shop"}


def told(world: World, *rules: Any) -> World:
    """Instances of two versions, a registered caller, and rules."""
    versions = [{"port": port, "metadata": {"version": f"v{port}"}} for port in (1, 2)]
    shop = [SHOP | {"host": "10.0.0.1", "location": {"region": "r", "zone": f"z{v['port']}"}} | v for v in versions]
    cart = {"namespace": "default", "service": "cart", "host": "10.0.0.9", "port": 9, "metadata": {"tier": "gold"}}
    given = cart | {"location": {"region": "r", "zone": "z2", "campus": "c"}}
    assert (
        world.code("POST", "/naming/v1/services", [{"name": n, "namespace": "default"} for n in ("shop", "cart")]) == OK
    )
    assert world.code("POST", "/naming/v1/instances", [*shop, given]) == OK
    if rules:
        ready = json.loads(json.dumps(rules).replace("{callee}", "shop").replace("{caller}", "cart"))
        assert world.code("POST", "/naming/v2/routings", ready) == OK
    return world


def ports(answer: Any) -> list[int]:
    assert answer["code"] == OK, answer
    return sorted(one["port"] for each in answer["groups"] for one in each["instances"])


BY_USER = rule(sub([source(argument("user", match("gold")))], group({"version": "v2"}, name="gold")))


def test_an_explanation_says_where_a_call_goes_and_why() -> None:
    world = told(World(), BY_USER)
    answer = world.call("POST", EXPLAIN, SHOP | {"headers": {"user": "gold"}})
    assert ports(answer) == [2]
    [chosen] = answer["groups"]
    assert (chosen["name"], chosen["size"], chosen["weight"], chosen["priority"]) == ("r.s.gold", 1, 100, 0)
    assert answer["rule"] == world.call("GET", "/naming/v2/routings")["data"][0]["id"]
    assert [step["step"] for step in answer["steps"]] == ["instances", "rules", "rules", "health"]
    assert [step["left"] for step in answer["steps"]] == [2, 2, 1, 1]
    other = world.call("POST", EXPLAIN, SHOP | {"headers": {"other": "1"}})
    assert ports(other) == [1, 2]
    assert "the call does not tell $header.user" in str(other["steps"])


FOR_CART = rule(sub([source(service="{caller}", namespace="default")], group({"version": "v2"}, name="gold")))


def test_an_explanation_says_what_a_look_up_gives() -> None:
    world = told(World(), FOR_CART)
    asked = f"{EXPLAIN}?service=shop&callerProtocol=eureka&callerAddress="
    found = world.call("GET", f"{asked}10.0.0.9")["lookUp"]
    assert found["caller"] == "default/cart, by what 10.0.0.9 registered"
    assert found["kind"] == {"namespace": "default", "service": "cart"}
    assert found["instances"] == [{"host": "10.0.0.1", "port": 2, "weight": 100}]
    assert (found["routed"], found["whole"], found["weighted"], found["size"]) == (True, False, False, 1)
    assert found["steps"][-1]["step"] == "health"
    stranger = world.call("GET", f"{asked}10.9.9.9")["lookUp"]
    assert stranger["caller"] == "10.9.9.9 registered nothing"
    assert (stranger["kind"], stranger["whole"], stranger["size"]) == ({}, True, 2)
    named = world.call("POST", EXPLAIN, SHOP | {"caller": {"service": "cart"}})["lookUp"]
    assert [one["port"] for one in named["instances"]] == [2]


def test_what_a_look_up_does_not_know_is_said() -> None:
    world = told(World(), BY_USER)
    answer = world.call("POST", EXPLAIN, SHOP | {"headers": {"user": "gold"}, "caller": {"host": "10.0.0.9"}})
    assert ports(answer) == [2]
    assert answer["lookUp"]["whole"]
    assert "the call does not tell $header.user" in str(answer["lookUp"]["steps"])


def test_the_same_is_asked_by_a_url() -> None:
    world = told(World(), BY_USER)
    assert ports(world.call("GET", f"{EXPLAIN}?service=shop&header=user:gold")) == [2]
    assert ports(world.call("GET", f"{EXPLAIN}?namespace=default&service=shop&header=user:x&callerService=cart")) == [
        1,
        2,
    ]
    for query in ("service=shop&unknown=1", "service=shop&header=user", "service=shop&callerPort=x"):
        assert world.code("GET", f"{EXPLAIN}?{query}") == UNREAD


@pytest.mark.parametrize(
    ("type", "key", "call"),
    [
        ("HEADER", "k", {"headers": {"k": "x"}}),
        ("QUERY", "k", {"query": {"k": "x"}}),
        ("COOKIE", "k", {"cookies": {"k": "x"}}),
        ("METHOD", "", {"method": "x"}),
        ("PATH", "", {"path": "x"}),
        ("CALLER_IP", "", {"callerIp": "x"}),
        ("CALLER_IP", "", {"caller": {"host": "x"}}),
        ("CUSTOM", "k", {"caller": {"labels": {"k": "x"}}}),
        ("CUSTOM", "k", {"caller": {"metadata": {"k": "x"}}}),
        ("CALLER_METADATA", "k", {"caller": {"metadata": {"k": "x"}}}),
    ],
)
def test_every_part_of_a_call_counts_under_its_name(type: str, key: str, call: Any) -> None:
    world = told(World(), rule(sub([source(argument(key, match("x"), type))], group({"version": "v1"}))))
    assert ports(world.call("POST", EXPLAIN, SHOP | call)) == [1]
    assert ports(world.call("POST", EXPLAIN, SHOP | {"headers": {"z": "x"}})) == [1, 2]


def test_a_caller_is_known_by_what_it_registered() -> None:
    gold = source(argument("tier", match("gold"), "CALLER_METADATA"))
    world = told(World(), rule(sub([gold], group({"version": "v2"}))))
    registered = {"caller": {"service": "cart", "host": "10.0.0.9"}}
    assert ports(world.call("POST", EXPLAIN, SHOP | registered)) == [2]
    assert ports(world.call("POST", EXPLAIN, SHOP | {"caller": {"service": "cart", "host": "10.0.0.8"}})) == [1, 2]
    assert ports(
        world.call("POST", EXPLAIN, SHOP | {"caller": {"service": "cart", "host": "10.0.0.9", "port": 8}})
    ) == [1, 2]
    said_otherwise = {"caller": {"service": "cart", "host": "10.0.0.9", "metadata": {"tier": "iron"}}}
    assert ports(world.call("POST", EXPLAIN, SHOP | said_otherwise)) == [1, 2]


def test_a_caller_is_near_where_it_registered() -> None:
    world = told(World())
    near = {"name": "shop", "namespace": "default", "metadata": {"internal-enable-nearby": "true"}}
    assert world.code("PUT", "/naming/v1/services", [near]) == OK
    registered = {"caller": {"service": "cart", "host": "10.0.0.9"}}
    assert ports(world.call("POST", EXPLAIN, SHOP | registered)) == [2]
    assert ports(world.call("POST", EXPLAIN, SHOP | {"caller": {"location": {"region": "r", "zone": "z1"}}})) == [1]
    assert ports(world.call("POST", EXPLAIN, SHOP)) == [1, 2]


def test_a_pattern_for_other_engines_is_kept_and_named() -> None:
    ahead = rule(sub([source(argument("k", match("^a(?=b)", "REGEX")))], group({"version": "v1"})))
    answer = told(World(), ahead).call("POST", EXPLAIN, SHOP | {"headers": {"k": "ab"}})
    assert ports(answer) == [1, 2]
    [unread] = answer["notEvaluated"]
    assert unread["where"] == "r.s.sources[0].$header.k"
    assert "(?=" in unread["why"]


def test_a_lane_group_counts() -> None:
    world = told(World())
    lane = {"port": 3, "metadata": {"lane": "blue"}}
    assert world.code("POST", "/naming/v1/instances", [SHOP | {"host": "10.0.0.1"} | lane]) == OK
    selector = {"@type": "type.googleapis.com/v1.ServiceSelector", "namespace": "default", "service": "cart"}
    wanted = argument("user", match("blue"))
    lanes = {
        "name": "team", "entries": [{"type": "polarismesh.cn/service", "selector": selector}],
        "destinations": [{"namespace": "default", "service": "shop", "name": "d"}],
        "rules": [{"name": "blue", "default_label_value": "blue", "enable": True, "match_mode": "PERMISSIVE",
                   "traffic_match_rule": {"arguments": [wanted], "match_mode": "AND"}}],
    }  # fmt: skip
    answer = world.call("POST", "/naming/v1/lane/groups", [lanes])
    assert answer["code"] == OK, answer
    blue = world.call("POST", EXPLAIN, SHOP | {"caller": {"service": "cart"}, "headers": {"user": "blue"}})
    assert (ports(blue), blue["lane"]) == ([3], "team/blue")
    passed_on = {"headers": {"service-lane": "team/blue"}}
    assert ports(world.call("POST", EXPLAIN, SHOP | passed_on)) == [3]
    assert ports(world.call("POST", EXPLAIN, SHOP | {"lane": "blue"})) == [3]
    assert ports(world.call("POST", EXPLAIN, SHOP | {"caller": {"service": "cart"}})) == [1, 2]


def test_one_instance_is_picked() -> None:
    world = told(World(), BY_USER)
    answer = world.call("POST", PICK, SHOP | {"headers": {"user": "gold"}})
    assert (answer["code"], answer["instance"]["port"], answer["group"]) == (OK, 2, "r.s.gold")
    assert answer["policy"] == "weightedRandom"
    turns = [world.call("POST", PICK, SHOP | {"policy": "roundRobin"})["instance"]["port"] for _ in range(4)]
    assert turns in ([1, 2, 1, 2], [2, 1, 2, 1])
    for policy in ("ringHash", "maglev"):
        asked = SHOP | {"policy": policy, "key": "user-1"}
        assert len({world.call("POST", PICK, asked)["instance"]["port"] for _ in range(5)}) == 1
    assert world.call("POST", PICK, SHOP | {"policy": "leastRequest"})["code"] == OK


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        (PICK, {"service": "nobody"}, NO_SERVICE),
        (EXPLAIN, {"service": "nobody"}, NO_SERVICE),
        (PICK, {}, NO_NAME),
        (PICK, SHOP | {"policy": "first"}, UNREAD),
        (PICK, SHOP | {"metadata": {"version": "v9"}}, NO_INSTANCE),
        (PICK, SHOP | {"unknown": 1}, UNREAD),
        (PICK, SHOP | {"caller": {"port": "x"}}, UNREAD),
        (PICK, b"", UNREAD),
        (PICK, b"[]", UNREAD),
        (PICK, b'{"service":"\xff"}', UNREAD),
    ],
)
def test_what_cannot_be_answered_is_refused(path: str, body: Any, code: int) -> None:
    world = told(World())
    reply = world.send("POST", path, body)
    assert (document(reply)["code"], reply.status) == (code, code // 1000)


def test_nobody_left_is_said_with_the_reason() -> None:
    world = told(World())
    answer = world.call("POST", PICK, SHOP | {"metadata": {"version": "v9"}})
    assert answer["info"].endswith("no instance has version=v9")
    explained = world.call("POST", EXPLAIN, SHOP | {"metadata": {"version": "v9"}})
    assert (explained["code"], explained["groups"], explained["why"]) == (OK, [], "no instance has version=v9")


def test_rules_and_instances_count_as_soon_as_they_are_written() -> None:
    world = told(World())
    asked = SHOP | {"headers": {"user": "gold"}}
    assert world.call("POST", PICK, asked | {"metadata": {"version": "v1"}})["instance"]["port"] == 1
    ready = json.loads(json.dumps([BY_USER]).replace("{callee}", "shop"))
    assert world.code("POST", "/naming/v2/routings", ready) == OK
    assert world.call("POST", PICK, asked)["instance"]["port"] == 2
    [written] = world.call("GET", "/naming/v2/routings")["data"]
    assert world.code("PUT", "/naming/v2/routings/enable", [{"id": written["id"], "enable": False}]) == OK
    assert ports(world.call("POST", EXPLAIN, asked)) == [1, 2]
    assert world.code("POST", "/naming/v1/instances/delete", [SHOP | {"host": "10.0.0.1", "port": 1}]) == OK
    assert ports(world.call("POST", EXPLAIN, asked)) == [2]


def test_an_alias_is_its_service() -> None:
    world = told(World(), BY_USER)
    alias = {"service": "shop", "namespace": "default", "alias": "store", "alias_namespace": "default"}
    assert world.code("POST", "/naming/v1/service/alias", alias) == OK
    assert ports(world.call("POST", EXPLAIN, {"service": "store", "headers": {"user": "gold"}})) == [2]


def test_many_instances_are_read_in_slices() -> None:
    world = told(World(), BY_USER)
    many = [SHOP | {"host": f"10.1.{n >> 8}.{n & 255}", "port": 80, "metadata": {"version": "v2"}} for n in range(600)]
    for at in range(0, len(many), 100):
        assert world.code("POST", "/naming/v1/instances", many[at : at + 100]) == OK
    asked = json.dumps(SHOP | {"headers": {"user": "gold"}}).encode()
    routing = world.service.routing
    replies = [routing.explain(asked, CALLER), routing.pick(asked, CALLER)]
    assert all(isinstance(reply, Later) for reply in replies)
    answer = world.call("POST", EXPLAIN, SHOP | {"headers": {"user": "gold"}})
    assert (answer["groups"][0]["size"], len(answer["groups"][0]["instances"])) == (601, 100)
    assert not isinstance(routing.explain(asked, CALLER), Later), "all of it is read"
    gone = SHOP | {"host": "10.1.0.0", "port": 80}
    assert world.code("POST", "/naming/v1/instances/delete", [gone]) == OK
    assert not isinstance(routing.explain(asked, CALLER), Later), "one that changed is read at once"
    assert world.call("POST", EXPLAIN, SHOP | {"headers": {"user": "gold"}})["groups"][0]["size"] == 600


# -------------------------------------------------------------------------------------------------- who may ask


def test_who_may_not_discover_may_not_ask() -> None:
    world = Guarded()
    assert world.code_of("POST", "/naming/v1/services", [{"name": "shop", "namespace": "default"}]) == OK
    assert world.code_of("POST", "/naming/v1/instances", [SHOP | {"host": "10.0.0.1", "port": 1}]) == OK
    user = world.user("reader")
    asked: tuple[tuple[str, str, Any], ...] = (
        ("POST", EXPLAIN, SHOP),
        ("POST", PICK, SHOP),
        ("GET", f"{EXPLAIN}?service=shop", None),
    )
    for method, path, body in asked:
        assert world.code_of(method, path, body, "nonsense") == 401001
        assert world.code_of(method, path, body, user.token) == 401001
        assert world.code_of(method, path, body) == OK
    shop = world.ask("GET", "/naming/v1/services?name=shop")["services"][0]["id"]
    world.policy(
        "shops",
        principals={"users": [{"id": user.id}]},
        resources={"services": [{"id": shop}]},
        functions=["Discover*"],
    )
    for method, path, body in asked:
        assert world.code_of(method, path, body, user.token) == OK
    registered = SHOP | {"caller": {"service": "cart", "host": "10.0.0.9"}}
    assert world.code_of("POST", EXPLAIN, registered, user.token) == 401001, "it would read what cart registered"
    assert world.code_of("POST", "/naming/v1/services", [{"name": "cart", "namespace": "default"}]) == OK
    cart = {"namespace": "default", "service": "cart", "host": "10.0.0.9", "port": 9}
    assert world.code_of("POST", "/naming/v1/instances", [cart]) == OK
    by_address = f"{EXPLAIN}?service=shop&callerAddress="
    assert world.code_of("GET", f"{by_address}10.0.0.9", None, user.token) == 401001, "it would name it"
    assert world.code_of("GET", f"{by_address}10.0.0.8", None, user.token) == OK


# -------------------------------------------------------------------------------------------------- questions

texts = st.text(max_size=5)
maps = st.dictionaries(texts, texts, max_size=2)


@given(st.binary(max_size=60))
def test_no_bytes_are_too_strange(body: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(routing_asked.read(body), Question)


@given(maps, maps, texts, texts)
@settings(max_examples=50)
def test_a_question_is_what_was_written(headers: dict[str, str], labels: dict[str, str], lane: str, key: str) -> None:
    question = Question("ns", "shop", routing_asked.Asker(labels=labels), headers=headers, lane=lane, key=key)
    assert routing_asked.read(msgspec.json.encode(question)) == question


def test_half_a_surrogate_pair_does_not_stop_an_answer() -> None:
    picked = routing_asked.Picked(1, "\ud800", "", "", "", "", routing_asked.Shown("", "", 1, 1, True, {"\udfff": "x"}))
    assert json.loads(routing_asked.encode(picked))["info"] == "?"


@pytest.mark.parametrize("pattern", ["a{1001}", "(?=a)", r"(a)\1", "(", "a" * 1001, "\ud800"])
def test_patterns_that_no_linear_engine_has_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        LinearSearch().compile(pattern)


def test_an_unkind_pattern_takes_no_longer_than_others() -> None:
    find = LinearSearch().compile("(a*)*$")
    assert find("a" * 100_000 + "b") == ""
    assert find("\ud800") is None


# -------------------------------------------------------------------------------------------------- instances


@pytest.mark.parametrize("source_of", ["nacos", "eureka"])
def test_labels_are_the_metadata_that_discover_answers(source_of: str) -> None:
    native = Native()
    native.register(metadata={"a": "1", "internal-x": "2"}, version="v1", protocol="grpc",
                    location={"region": {"value": "r"}}, weight=7)  # fmt: skip
    native.register(host="10.0.0.2", location={}, isolate=True)
    native.register(host="10.0.0.3", healthy=False)
    native.foreign(source_of, "k9", host="10.0.0.4", metadata={"b": "1", "internal-y": "3"}, version="v2",
                   location=Location("r", "z", "c"))  # fmt: skip
    native.foreign(source_of, "k8", host="10.0.0.5", liveness=Checks({"c": "critical"}), reported="down")
    native.foreign("consul", "k7", host="10.0.0.1")
    pairs = {source_of: lambda r: {"more": r.host}}
    addresses = native.registry.snapshot(ServiceKey("default", "orders")).addresses.values()
    assert len(addresses) == 5
    for address in addresses:
        shown = [message for _, message in instances(address, pairs, discovered=True)]
        found = targets_of(address, pairs)
        assert len(shown) == len(found) > 0
        for message, target in zip(shown, found, strict=True):
            metadata = {key: value for key, value in message.metadata.items() if key != LAST_HEARTBEAT}
            assert (target.id, target.host, target.port) == (message.id.value, message.host.value, message.port.value)
            assert (target.weight, target.healthy, target.isolated) == (
                message.weight.value, message.healthy.value, message.isolate.value,
            )  # fmt: skip
            assert target.labels == metadata


def test_what_was_decided_is_told() -> None:
    world = told(World(), BY_USER)
    assert world.call("POST", EXPLAIN, SHOP)["decided"] == [], "explaining decides nothing"
    asked = SHOP | {"headers": {"user": "gold"}, "caller": {"namespace": "default", "service": "cart"}}
    for _ in range(3):
        assert world.call("POST", PICK, asked)["code"] == OK
    world.call("POST", PICK, SHOP)
    answer = world.call("POST", EXPLAIN, SHOP | {"headers": {"user": "gold"}})
    by_rule = answer["rule"]
    assert by_rule
    assert answer["decided"] == [{"rule": by_rule, "decisions": 3}, {"rule": "", "decisions": 1}]
    newest, before = answer["last"][:2]
    at = world.clock.now_ms
    assert newest == {"at": at, "how": "pick", "caller": "", "rule": "", "targets": 2, "why": ""}
    assert (before["caller"], before["rule"], before["targets"]) == ("default/cart", by_rule, 1)
    for _ in range(20):
        world.call("POST", PICK, asked)
    assert len(world.call("POST", EXPLAIN, SHOP)["last"]) == 16
