"""Lists of rules as a console asks for them, and the table of calls."""

from __future__ import annotations

from typing import Any

import pytest
from ruled import (
    ALL,
    BY_NAME,
    EXAMPLES,
    Ruled,
    block_allow,
    breaker,
    detector,
    injection,
    limit,
    nearby_rule,
    route_rule,
    text,
)

from polaris_bridge.adapters.polaris.service.rules import kinds
from polaris_bridge.adapters.polaris.service.rules.console import routes
from polaris_bridge.adapters.polaris.service.rules.fields import text as field_text
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import encode

# ---------------------------------------------------------------------- lists


def names(ruled: Ruled, kind: Any, **query: str) -> list[str]:
    return [field_text(rule, "name") for rule in ruled.listed(kind, **query)]


@pytest.fixture
def routings() -> Ruled:
    ruled = Ruled()
    for rule in (
        route_rule("one", "default/shop", "default/web", priority=2),
        route_rule("two", "default/stock", "*/*", enable=False, priority=1),
        route_rule("three", "other/shop", "other/web", priority=0),
        nearby_rule("near"),
    ):
        ruled.bottle.clock.now_ms += 1000
        ruled.create(kinds.ROUTING, rule)
    return ruled


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["near", "three", "two", "one"]),
        ({"order_field": "mtime", "order_type": "asc"}, ["one", "two", "three", "near"]),
        ({"order_field": "name"}, ["near", "one", "three", "two"]),
        ({"order_field": "name", "order_type": "desc"}, ["two", "three", "one", "near"]),
        ({"order_field": "nonsense"}, ["near", "three", "two", "one"]),
        ({"offset": "1", "limit": "2"}, ["three", "two"]),
        ({"offset": "9"}, []),
        ({"limit": "0"}, []),
        ({"name": "one"}, ["one"]),
        ({"name": "o"}, []),
        ({"name": "o*"}, ["one"]),
        ({"name": "*o"}, ["two"]),
        ({"name": "*o*"}, ["two", "one"]),
        ({"name": "*"}, ["near", "three", "two", "one"]),
        ({"name": ""}, ["near", "three", "two", "one"]),
        ({"enable": "false"}, ["two"]),
        ({"enable": "1", "name": "one"}, ["one"]),
        ({"id": "nobody"}, []),
        ({"service": "shop"}, ["near", "three", "one"]),
        ({"service": "shop", "namespace": "other"}, ["three"]),
        ({"namespace": "default"}, ["near", "two", "one"]),
        ({"service": "web"}, ["three", "one"]),
        ({"source_service": "web", "source_namespace": "default"}, ["one"]),
        ({"source_service": "w*"}, ["three", "one"]),
        ({"destination_service": "shop", "destination_namespace": "default"}, ["near", "one"]),
        ({"source_namespace": "other", "destination_service": "shop"}, ["three"]),
    ],
)
def test_route_rules_are_found(routings: Ruled, query: dict[str, str], found: list[str]) -> None:
    assert names(routings, kinds.ROUTING, **query) == found


def test_the_amount_is_of_all_that_were_found_the_size_of_the_page(routings: Ruled) -> None:
    answer = routings.call("GET", "/naming/v2/routings", limit="3")
    assert (answer.amount.value, answer.size.value, len(answer.data)) == (4, 3, 3)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        *((kind.path, {"nonsense": "1"}) for kind in kinds.KINDS),
        *((kind.path, {"limit": "many"}) for kind in kinds.KINDS),
        *((kind.path, {"offset": "-1"}) for kind in kinds.KINDS),
        ("/naming/v2/routings", {"enable": "perhaps"}),
        ("/naming/v1/ratelimits", {"disable": "perhaps"}),
    ],
)
def test_a_list_that_cannot_be_asked_for_is_400103(path: str, query: dict[str, str]) -> None:
    ruled = Ruled()
    for name in ALL:
        ruled.create(BY_NAME[name], EXAMPLES[name]())
    answer = ruled.call("GET", path, **query)
    assert (answer.code.value, answer.amount.value) == (v1.InvalidParameter, 0)
    assert answer.info.value.startswith("invalid parameter: ")


def test_breakers_are_found() -> None:
    ruled = Ruled()
    wide = breaker("wide", "*/*", level=v1.METHOD, enable=False, description="all of them")
    wide.rule_matcher.source.service = "web"
    wide.rule_matcher.destination.method.value.value = "/pay"
    ruled.create(kinds.CIRCUIT_BREAKER, breaker("narrow", "default/shop"), wide)
    find = lambda **query: set(names(ruled, kinds.CIRCUIT_BREAKER, **query))  # noqa: E731
    assert find(brief="true") == find(name="w") == {"narrow", "wide"}
    assert find(name="nar") == find(level="1") == find(enable="true") == find(dstService="shop") == {"narrow"}
    assert find(level="1,2") == find(service="shop") == find(serviceNamespace="default") == {"narrow", "wide"}
    assert find(srcService="web") == find(dstMethod="pay") == find(description="all") == {"wide"}
    assert find(level="3") == set()
    assert find(namespace="default") == {"narrow", "wide"}


def test_limits_are_found() -> None:
    ruled = Ruled()
    by_user = limit("by-user", disable=v1.BoolValue(value=True))
    by_user.method.value.value = "/pay"
    by_user.arguments.add(type=v1.MatchArgument.HEADER, key="user", value=v1.MatchString(value=text("bob")))
    ruled.create(kinds.RATE_LIMIT, limit("plain"), by_user)
    find = lambda **query: names(ruled, kinds.RATE_LIMIT, **query)  # noqa: E731
    assert find(name="user") == find(disable="true") == find(method="pay") == find(labels="bob") == ["by-user"]
    assert find(disable="0") == ["plain"]
    assert set(find(service="shop", namespace="default")) == {"plain", "by-user"}
    assert find(service="other") == []


def test_detectors_and_the_rules_of_one_service_are_found() -> None:
    ruled = Ruled()
    ruled.create(kinds.FAULT_DETECT, detector("one"), detector("two", "other/stock"))
    assert names(ruled, kinds.FAULT_DETECT, service="shop", serviceNamespace="default") == ["one"]
    assert names(ruled, kinds.FAULT_DETECT, dstService="sto") == ["two"]
    ruled.create(kinds.BLOCK_ALLOW, block_allow("ba"))
    assert names(ruled, kinds.BLOCK_ALLOW, service="sh*") == ["ba"]
    assert names(ruled, kinds.BLOCK_ALLOW, service="x") == []
    ruled.create(kinds.FAULT_INJECTION, injection(enabled=v1.BoolValue(value=True)))
    assert len(ruled.listed(kinds.FAULT_INJECTION, enabled="true")) == 1
    assert len(ruled.listed(kinds.FAULT_INJECTION, enabled="false")) == 0


# ---------------------------------------------------------------------- the table of calls


def test_every_kind_has_its_five_calls_and_no_two_calls_are_the_same() -> None:
    table = routes(Ruled().rules)
    places = [(route.method, route.path) for route in table]
    assert len(set(places)) == len(places)
    assert len({route.operation for route in table}) == len(table)
    for kind in kinds.KINDS:
        expected = [("POST", ""), ("POST", "/delete"), ("PUT", ""), ("GET", "")]
        expected += [("PUT", "/enable")] if kind.switch is not None else []
        for method, suffix in expected:
            assert (method, kind.path + suffix) in places
    assert ("PUT", "/naming/v1/faultdetectors/enable") not in places


def test_rules_of_the_first_form_are_answered_400000() -> None:
    ruled = Ruled()
    for method, path in ruled.routes:
        if path.startswith(("/naming/v1/routings", "/naming/v1/circuitbreakers")):
            answer = ruled.call(method, path, "[{}]") if method != "GET" else ruled.call(method, path)
            assert answer.code.value == v1.BadRequest, path
            encode(answer)


def test_a_rule_is_written_as_json_and_read_back() -> None:
    ruled = Ruled()
    body = """[{"name": "near", "enable": true, "routing_policy": "NearbyPolicy", "routing_config":
        {"service": "shop", "namespace": "default", "match_level": "ZONE", "strict_nearby": true}}]"""
    assert ruled.call("POST", "/naming/v2/routings", body).code.value == v1.ExecuteSuccess
    answer = encode(ruled.call("GET", "/naming/v2/routings", name="near")).decode()
    for part in ('"@type": "type.googleapis.com/v1.NearbyRoutingConfig"', '"strict_nearby": true', '"ZONE"'):
        assert part in answer
