"""Conditions that mean nothing are refused when a rule is written, with the place; those for other engines are kept."""

from __future__ import annotations

from typing import Any

import pytest
from http_world import World
from routing_table import argument, group, match, nearby, rule, source, sub

OK, REFUSED = 200000, 400103
ROUTINGS, LANES = "/naming/v2/routings", "/naming/v1/lane/groups"


def with_source(value: dict[str, Any]) -> dict[str, Any]:
    return rule(sub([source(), source(argument("j", match("x")), argument("k", value))], group({"version": "v1"})))


def with_group(value: dict[str, Any]) -> dict[str, Any]:
    return rule(sub([source()], group({"version": "v1", "colour": value})))


def written(item: dict[str, Any], path: str = ROUTINGS) -> tuple[int, str]:
    world = World()
    answer = world.call("POST", path, [item])
    there = world.call("GET", path)["amount"]
    assert there == (answer["code"] == OK), "kept, or nothing of it"
    return answer["code"], answer["responses"][0]["info"]


SOURCE_AT = "routing_config.rules[0].sources[1].arguments[1].value"
GROUP_AT = "routing_config.rules[0].destinations[0].labels[colour]"


@pytest.mark.parametrize("pattern", ["(", "[a", "*a", "a)", "a\\", "(a"])
def test_a_pattern_that_is_none_is_refused_with_its_place(pattern: str) -> None:
    code, info = written(with_source(match(pattern, "REGEX")))
    assert (code, SOURCE_AT in info) == (REFUSED, True)
    code, info = written(with_group(match(pattern, "REGEX")))
    assert (code, GROUP_AT in info) == (REFUSED, True)


@pytest.mark.parametrize(
    "pattern", ["a(?=b)", r"(a)\1", "(?<!x)y", "a*+", "*", "", "a{1001}", "[[:word:]]", "x" * 1001]
)
def test_a_pattern_for_other_engines_is_kept(pattern: str) -> None:
    assert written(with_source(match(pattern, "REGEX")))[0] == OK
    assert written(with_group(match(pattern, "REGEX")))[0] == OK


@pytest.mark.parametrize(
    "value", [match("(", "EXACT"), match("(", "REGEX", "VARIABLE"), match("(", "REGEX", "PARAMETER")]
)
def test_what_is_no_pattern_of_the_rule_is_not_read_as_one(value: dict[str, Any]) -> None:
    assert written(with_source(value))[0] == OK
    assert written(nearby())[0] == OK


@pytest.mark.parametrize(
    ("field", "said"), [("type", "type has no value 9"), ("value_type", "value_type has no value 9")]
)
def test_an_operator_that_nobody_knows_is_refused(field: str, said: str) -> None:
    code, info = written(with_source({"value": "x", field: 9}))
    assert code == REFUSED
    assert info.endswith(f"{SOURCE_AT}: {said}")


def test_lanes_are_looked_at_too() -> None:
    wanted = argument("user", match("(", "REGEX"))
    lane = {"name": "blue", "enable": True, "traffic_match_rule": {"arguments": [wanted]}}
    code, info = written({"name": "team", "rules": [lane]}, LANES)
    assert (code, "rules[0].traffic_match_rule.arguments[0].value: missing )" in info) == (REFUSED, True)
    wanted["value"] = match("^a", "REGEX")
    assert written({"name": "team", "rules": [lane]}, LANES)[0] == OK


def test_an_update_is_looked_at_as_well() -> None:
    world = World()
    created = world.call("POST", ROUTINGS, [with_source(match("x"))])
    id = created["responses"][0]["data"]["id"]
    assert world.code("PUT", ROUTINGS, [with_source(match("[", "REGEX")) | {"id": id}]) == REFUSED
    assert '"value":"x"' in str(world.call("GET", ROUTINGS)["data"]).replace("'", '"').replace(": ", ":")


@pytest.mark.parametrize(
    ("member", "place"),
    [
        ({"method": match("(", "REGEX")}, "method"),
        ({"arguments": [{"type": "HEADER", "key": "user", "value": match("(", "REGEX")}]}, "arguments[0].value"),
        ({"labels": {"user": match("(", "REGEX")}}, "labels[user]"),
    ],
)
def test_rate_limits_are_looked_at_too(member: dict[str, Any], place: str) -> None:
    amounts = [{"maxAmount": 1, "validDuration": "1s"}]
    limit = {"name": "few", "namespace": "default", "service": "shop", "amounts": amounts}
    code, info = written(limit | member, "/naming/v1/ratelimits")
    assert (code, f"{place}: missing )" in info) == (REFUSED, True)
    assert written(limit | {"method": match("^a", "REGEX")}, "/naming/v1/ratelimits")[0] == OK
