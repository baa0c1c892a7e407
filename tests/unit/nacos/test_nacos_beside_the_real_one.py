"""What a real Nacos 2.5.1 said to the same calls: names that are no names, spaces, booleans, and what is not there."""

from __future__ import annotations

import pytest
from http_bottle import NS, HttpBottle

from polaris_bridge.adapters.nacos.server.routes_v2 import ROUTES as V2
from polaris_bridge.adapters.nacos.wire import json_in
from polaris_bridge.adapters.nacos.wire.params import Params
from polaris_bridge.adapters.nacos.wire.payload import Malformed

V2_NS = "/nacos/v2/ns"
ONE = {"serviceName": "orders", "ip": "10.0.0.1", "port": "80"}
FORMAT = "Param 'serviceName' is illegal, it should be format as 'groupName@@serviceName'"
NO_GROUP = "Param 'serviceName' is illegal, groupName can't be empty"


@pytest.fixture
def bottle() -> HttpBottle:
    return HttpBottle(more=V2)


@pytest.mark.parametrize(
    ("name", "group", "text"), [("x@@", "", FORMAT), ("@@x", "", NO_GROUP), ("x", "@@g", NO_GROUP)]
)
def test_half_a_name_is_none(bottle: HttpBottle, name: str, group: str, text: str) -> None:
    asked = {**ONE, "serviceName": name, "groupName": group}
    for method, path in (("POST", "instance"), ("GET", "instance/list"), ("GET", "service")):
        first = bottle.ask(method, f"{NS}/{path}", asked)
        assert (first.status, first.json["message"]) == (400, f"Service name filter error,caused: {text};")
        second = bottle.ask(method, f"{V2_NS}/{path}", asked)
        assert (second.status, second.json["code"], second.json["data"]) == (400, 20002, text)
    assert bottle.ask("GET", f"{NS}/service/list", {"pageNo": 1, "pageSize": 9}).json["count"] == 0


def test_a_group_with_a_separator_makes_the_name_illegal(bottle: HttpBottle) -> None:
    answer = bottle.ask("POST", f"{NS}/instance", {**ONE, "groupName": "a@@b"})
    strange = "Param 'serviceName' is illegal, illegal characters should not appear in the param.\r\n"
    assert (answer.status, answer.text) == (400, strange)


@pytest.mark.parametrize(
    ("name", "called"), [("groupName", "group"), ("namespaceId", "namespaceId/tenant"), ("clusterName", "cluster")]
)
@pytest.mark.parametrize("space", [NS, V2_NS])
def test_spaces_belong_to_a_value(bottle: HttpBottle, space: str, name: str, called: str) -> None:
    text = f"Param '{called}' is illegal, illegal characters should not appear in the param.\r\n"
    answer = bottle.ask("POST", f"{space}/instance", {**ONE, name: " a"})
    assert (answer.status, answer.text) == (400, text)
    blank = bottle.ask("POST", f"{space}/instance", {**ONE, name: " "})
    assert blank.status == 200
    listed = bottle.ask("GET", f"{space}/instance/list", {"serviceName": "orders", name: " a"})
    assert (listed.status, listed.text) == (400, text) or name == "clusterName"


def test_ports_in_words_of_the_rule(bottle: HttpBottle) -> None:
    text = "Param 'port' is illegal, the value should be between 0 and 65535.\r\n"
    grouped = {**ONE, "serviceName": "DEFAULT_GROUP@@orders"}
    for port in (" 80 ", "x", "1.5", "99999999999", "-1"):
        assert bottle.ask("POST", f"{NS}/instance", {**ONE, "port": port}).text == text
        for space in (NS, V2_NS):
            assert bottle.ask("PUT", f"{space}/instance/beat", {**grouped, "port": port}).text == text
        for path in ("publisher", "subscriber"):
            answer = bottle.ask("GET", f"{V2_NS}/client/service/{path}/list", {**ONE, "port": port})
            assert (answer.status, answer.text) == (400, text)
    absent = bottle.ask("GET", f"{V2_NS}/instance", {**ONE, "port": ""})
    assert absent.json["data"].endswith("'port' for method parameter type Integer is present but converted to null")


@pytest.mark.parametrize(
    ("value", "first", "later"),
    [("1", False, True), ("y", True, None), ("on", True, True), ("0", False, False), ("NO", False, False),
     ("True", True, True), ("nope", False, None)],
)  # fmt: skip
def test_booleans_of_the_generations(bottle: HttpBottle, value: str, first: bool, later: bool | None) -> None:
    assert Params({"b": value}, 1).boolean("b", not first) is first
    answer = bottle.ask("POST", f"{V2_NS}/instance", {**ONE, "enabled": value})
    assert answer.status == (400 if later is None else 200)
    assert bool(bottle.list("orders")["hosts"]) is bool(later)


@pytest.mark.parametrize(
    ("method", "path", "given", "missing"),
    [
        ("POST", "service", {}, "serviceName"),
        ("DELETE", "service", {}, "serviceName"),
        ("GET", "service", {}, "serviceName"),
        ("GET", "catalog/instances", {"serviceName": "s", "pageNo": "1", "pageSize": "1"}, "clusterName"),
        ("GET", "operator/distro/client", {"ip": "1"}, "port"),
    ],
)
def test_absent_parameters(bottle: HttpBottle, method: str, path: str, given: dict[str, object], missing: str) -> None:
    answer = bottle.ask(method, f"{NS}/{path}", given)
    assert (answer.status, answer.text) == (400, f"Parameter '{missing}' is missing")
    empty = bottle.ask("PUT", f"{NS}/cluster", {})
    assert empty.text == "Param 'clusterName' is required."


def test_what_nobody_answers(bottle: HttpBottle) -> None:
    for method, path in (("GET", NS), ("POST", f"{NS}/service/names"), ("GET", f"{NS}/raft/leader")):
        answer = bottle.ask(method, path)
        assert (answer.status, answer.headers["content-type"]) == (501, "application/json")
        assert (answer.json["message"], answer.json["path"]) == (f"no such api:{method}:{path}", path)


def test_operators_have_two_paths_and_one_word_for_true(bottle: HttpBottle) -> None:
    switches = bottle.ask("GET", f"{NS}/ops/switches")
    assert switches.body == bottle.ask("GET", f"{NS}/operator/switches").body
    for value, short in (("TRUE", True), ("yes", False), ("false", False)):
        found = bottle.ask("GET", f"{NS}/ops/metrics", {"onlyStatus": value}).json
        assert (set(found) == {"status"}) is short


def test_a_heartbeat_that_is_no_json(bottle: HttpBottle) -> None:
    for space in (NS, V2_NS):
        answer = bottle.ask("PUT", f"{space}/instance/beat", {"serviceName": "DEFAULT_GROUP@@s", "beat": "{"})
        assert (answer.status, answer.json["error"]) == (500, "Internal Server Error")
        assert answer.json["path"] == f"{space}/instance/beat"


@pytest.mark.parametrize("weight", ["NaN", "Infinity", "-Infinity"])
def test_a_weight_over_grpc_is_a_number(weight: str) -> None:
    with pytest.raises(Malformed):
        json_in.instances(f'[{{"ip":"h","port":1,"weight":"{weight}"}}]')


@pytest.mark.parametrize("space", [NS, V2_NS])
def test_a_batch_of_metadata_is_for_those_it_names(bottle: HttpBottle, space: str) -> None:
    bottle.register(80)
    batch = {"serviceName": "DEFAULT_GROUP@@orders" if space == NS else "orders", "metadata": "a=1"}
    for unreadable in ("{bad", "{}", "[null]"):
        assert bottle.ask("PUT", f"{space}/instance/metadata/batch", {**batch, "instances": unreadable}).status == 400
    assert bottle.hosts()[0]["metadata"] == {}, "what cannot be read does not mean everybody"
    answer = bottle.ask("PUT", f"{space}/instance/metadata/batch", {**batch, "consistencyType": "persist"})
    assert answer.status == 200
    assert bottle.hosts()[0]["metadata"] == {"a": "1"}, "a service has one kind, whatever the call calls it"
