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


SELECTOR = "type.googleapis.com/v1.ServiceSelector"
PARTS = {"labels": {"stage": {"type": "REGEX", "value": "("}}}
BYTES = {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "//8="}


@pytest.mark.parametrize(
    ("selector", "gray", "said"),
    [
        ({"@type": SELECTOR, "service": "shop"}, {"percentage": {"percent": 100}}, ""),
        ({"@type": SELECTOR} | PARTS, {}, "entries[0].selector.labels[stage]: missing )"),
        (BYTES, {}, "entries[0].selector: cannot be decoded"),
        ({}, {"percentage": {"percent": 101}}, "rules[0].traffic_gray.percentage.percent: expected 0 to 100, not 101"),
        ({}, {"percentage": {"percent": -1}}, "rules[0].traffic_gray.percentage.percent: "),
        ({}, {"mode": "WARMUP", "warmup": {"interval_second": -1}}, "rules[0].traffic_gray.warmup.interval_second: "),
    ],
)
def test_entries_and_shares_of_lanes(selector: dict[str, Any], gray: dict[str, Any], said: str) -> None:
    entry = {"type": "polarismesh.cn/service", "selector": selector or {"@type": SELECTOR}}
    group = {"name": "team", "entries": [entry], "rules": [{"name": "blue", "traffic_gray": gray}]}
    code, info = written(group, LANES)
    assert (code, said in info) == (REFUSED if said else OK, True)


def test_weights_of_one_priority_fit_into_32_bits() -> None:
    most = {"weight": 2**32 - 1}
    one, other = group({"version": "v1"}), group({"version": "v2"})
    code, info = written(rule(sub([source()], one | most, other | {"weight": 1})))
    assert (code, "routing_config.rules[0].destinations: weights" in info) == (REFUSED, True)
    assert written(rule(sub([source()], one | most, other | {"weight": 1, "priority": 1})))[0] == OK


def test_kinds_of_values_that_nobody_knows_are_refused() -> None:
    wanted = argument("k", match("x")) | {"type": 77}
    code, info = written(rule(sub([source(wanted)], group({"version": "v1"}))))
    assert (code, "routing_config.rules[0].sources[0].arguments[0].type has no value 77" in info) == (REFUSED, True)
    level = nearby()
    level["routing_config"] |= {"match_level": 77}
    assert "routing_config.match_level has no value 77" in written(level)[1]


def test_lists_of_who_may_call_are_looked_at_too() -> None:
    lists = [{"api": {"path": match("(", "REGEX")}}]
    refused = {"name": "few", "namespace": "default", "service": "shop", "blockAllowConfig": lists}
    code, info = written(refused, "/naming/v1/blockallow/rules")
    assert (code, "blockAllowConfig[0].api.path: missing )" in info) == (REFUSED, True)


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
    twice = {"name": "few", "namespace": "default", "service": "shop", "amounts": amounts * 2}
    assert "amounts[1].validDuration" in written(twice, "/naming/v1/ratelimits")[1]
    limit = {"name": "few", "namespace": "default", "service": "shop", "amounts": amounts}
    code, info = written(limit | member, "/naming/v1/ratelimits")
    assert (code, f"{place}: missing )" in info) == (REFUSED, True)
    assert written(limit | {"method": match("^a", "REGEX")}, "/naming/v1/ratelimits")[0] == OK


# ------------------------------------------------------------------------------------- breakers and probes

BREAKERS, DETECTORS = "/naming/v1/circuitbreaker/rules", "/naming/v1/faultdetectors"


def breaker(**members: Any) -> dict[str, Any]:
    destination = {"service": "shop", "namespace": "default"}
    return {"name": "b", "level": "INSTANCE", "ruleMatcher": {"destination": destination}} | members


def detector(**members: Any) -> dict[str, Any]:
    return {"name": "d", "protocol": "HTTP", "targetService": {"service": "shop", "namespace": "default"}} | members


CODE = {"inputType": "RET_CODE", "condition": {"type": "REGEX", "value": "^5"}}
LATE = {"inputType": "DELAY", "condition": {"value": "200"}}
RATE = {"triggerType": "ERROR_RATE", "errorPercent": 100, "interval": 1}


def block(**members: Any) -> dict[str, Any]:
    return {"name": "b", "error_conditions": [CODE, LATE], "trigger_conditions": [RATE]} | members


@pytest.mark.parametrize(
    "rule",
    [
        breaker(),
        breaker(errorConditions=[CODE, LATE], triggerCondition=[RATE], max_ejection_percent=100),
        breaker(block_configs=[block()]),
        breaker(block_configs=[block(api={"path": {"type": "REGEX", "value": "(?=a)"}})]),
    ],
)
def test_breakers_that_mean_something_are_kept(rule: dict[str, Any]) -> None:
    assert written(rule, BREAKERS)[0] == OK


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (breaker(max_ejection_percent=101), "max_ejection_percent: expected at most 100, not 101"),
        (breaker(errorConditions=[CODE, CODE | {"condition": {"type": "REGEX", "value": "("}}]),
         "error_conditions[1].condition: "),
        (breaker(errorConditions=[LATE | {"condition": {"value": "-5"}}]),
         "error_conditions[0].condition.value: expected milliseconds, not '-5'"),
        (breaker(errorConditions=[{"inputType": "DELAY"}]), "expected milliseconds, not ''"),
        (breaker(errorConditions=[CODE | {"inputType": 9}]), "error_conditions[0].input_type has no value 9"),
        (breaker(triggerCondition=[RATE | {"errorPercent": 200}]), "trigger_condition[0].error_percent: expected at most 100"),
        (breaker(triggerCondition=[{"triggerType": 7}]), "trigger_condition[0].trigger_type has no value 7"),
        (breaker(block_configs=[block(), block(trigger_conditions=[RATE | {"errorPercent": 101}])]),
         "block_configs[1].trigger_conditions[0].error_percent: expected at most 100"),
        (breaker(block_configs=[block(api={"path": {"type": "REGEX", "value": "["}})]), "block_configs[0].api.path: "),
        (breaker(ruleMatcher={"destination": {"service": "shop", "namespace": "default",
                                              "method": {"type": "REGEX", "value": "*"}}}), ""),
    ],
)  # fmt: skip
def test_breakers_that_mean_nothing_are_refused_with_the_place(rule: dict[str, Any], said: str) -> None:
    code, info = written(rule, BREAKERS)
    assert code == (REFUSED if said else OK)
    assert said in info


def test_amounts_below_nothing_are_no_message() -> None:
    answer = World().call("POST", BREAKERS, [breaker(triggerCondition=[RATE | {"errorCount": -1}])])
    assert answer["code"] == 400001
    assert "errorCount" in answer["info"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (detector(), ""),
        (detector(port=70000), "port: expected at most 65535, not 70000"),
        (detector(httpConfig={"method": "GET /"}), "http_config.method: 'GET /' is no method"),
        (detector(httpConfig={"url": "/a b"}), "http_config.url: "),
        (detector(httpConfig={"url": "/a\r\nX: 1"}), "http_config.url: "),
        (detector(httpConfig={"headers": [{"key": "a", "value": "b"}, {"key": "x y", "value": ""}]}),
         "http_config.headers[1]: cannot be sent"),
        (detector(httpConfig={"headers": [{"key": "a", "value": "b\r\nc"}]}), "http_config.headers[0]: "),
        (detector(targetService={"service": "shop", "namespace": "default",
                                 "api": {"path": {"type": "REGEX", "value": "("}}}), "target_service.api.path: "),
    ],
)  # fmt: skip
def test_probes_that_cannot_be_made_are_refused_with_the_place(rule: dict[str, Any], said: str) -> None:
    code, info = written(rule, DETECTORS)
    assert code == (REFUSED if said else OK)
    assert said in info
