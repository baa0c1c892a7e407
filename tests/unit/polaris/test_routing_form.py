"""Route rules in the older form: which routes a service is given, in which order, with which labels."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled import packed, route_rule

from polaris_bridge.adapters.polaris.translate.routing import (
    RULE_ID,
    RULE_PRIORITY,
    NotItsPolicy,
    canonical_config,
    config_of,
    label_key,
    legacy,
    subjects,
)
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey

SHOP = ServiceKey("default", "shop")


def names(routes: Any) -> list[str]:
    """The rules of routes, by the first part of their destinations' names."""
    return [route.destinations[0].name.value.split(".")[0] for route in routes]


def rule_of(config: Any, **fields: Any) -> Any:
    return v1.RouteRule(enable=True, routing_config=packed(config), **fields)


def test_a_callee_has_the_rule_inbound_a_caller_outbound() -> None:
    rule = route_rule("r", "default/shop", "default/web", id="one", priority=3)
    callee, _ = legacy([rule], SHOP)
    assert (names(callee.inbounds), names(callee.outbounds)) == (["r"], [])
    assert dict(callee.inbounds[0].extendInfo) == {RULE_ID: "one", RULE_PRIORITY: "0003"}
    caller, _ = legacy([rule], ServiceKey("default", "web"))
    assert (names(caller.inbounds), names(caller.outbounds)) == ([], ["r"])
    assert dict(caller.outbounds[0].extendInfo) == {RULE_ID: "one"}
    stranger, revisions = legacy([rule], ServiceKey("other", "shop"))
    assert (len(stranger.inbounds), len(stranger.outbounds)) == (0, 0)
    assert revisions == []


def test_a_service_that_calls_itself_has_it_both_ways() -> None:
    routing, revisions = legacy([route_rule("r", "default/shop", "default/shop", revision="v2-1")], SHOP)
    assert (names(routing.inbounds), names(routing.outbounds)) == (["r"], ["r"])
    assert revisions == ["v2-1"]


def test_every_sub_rule_counts_for_its_own_services() -> None:
    config = v1.RuleRoutingConfig()
    for callee in ("shop", "stock", "shop"):
        sub_rule = config.rules.add(name=callee)
        sub_rule.sources.add(namespace="*", service="*")
        sub_rule.destinations.add(namespace="default", service=callee, name="g")
    routing, _ = legacy([rule_of(config, name="r")], SHOP)
    assert [route.destinations[0].name.value for route in routing.inbounds] == ["r.shop.g", "r.shop.g"]
    routing, _ = legacy([rule_of(config, name="r")], ServiceKey("default", "stock"))
    assert [route.destinations[0].name.value for route in routing.inbounds] == ["r.stock.g"]


def test_wildcards() -> None:
    whole_namespace = route_rule("n", "default/*", "*/*")
    everywhere = route_rule("e", "*/*", "*/*")
    routing, _ = legacy([whole_namespace, everywhere], SHOP)
    assert names(routing.inbounds) == ["n"], "rules for everybody are kept but not sent"
    assert routing.inbounds[0].destinations[0].service.value == "*", "written as the rule has it"
    callers, _ = legacy([route_rule("c", "default/stock", "default/*")], SHOP)
    assert names(callers.outbounds) == ["c"]
    elsewhere, _ = legacy([whole_namespace], ServiceKey("other", "shop"))
    assert not elsewhere.inbounds


def test_routes_stand_in_the_order_of_priorities_named_services_first() -> None:
    rules = [
        route_rule("late", priority=9, id="1"),
        route_rule("wide", "default/*", priority=1, id="0"),
        route_rule("early-b", priority=1, id="3"),
        route_rule("early-a", priority=1, id="2"),
        route_rule("first", priority=0, id="4"),
        route_rule("off", priority=0, id="5", enable=False),
    ]
    for order in (rules, rules[::-1]):
        routing, _ = legacy(order, SHOP)
        assert names(routing.inbounds) == ["first", "early-a", "early-b", "wide", "late"]


def test_every_field_of_a_destination_is_sent_present() -> None:
    config = v1.RuleRoutingConfig()
    sub_rule = config.rules.add(name="s")
    value = v1.MatchString(type=v1.MatchString.IN, value={"value": "a,b"}, value_type=v1.MatchString.VARIABLE)
    group = sub_rule.destinations.add(
        namespace="default", service="shop", priority=4, weight=30, transfer="t", isolate=True, name="g"
    )
    group.labels["env"].CopyFrom(value)
    sub_rule.destinations.add(namespace="default", service="shop")
    routing, _ = legacy([rule_of(config, name="r")], SHOP)
    full, empty = routing.inbounds[0].destinations
    assert full.metadata["env"] == value
    assert (full.priority.value, full.weight.value, full.transfer.value, full.isolate.value) == (4, 30, "t", True)
    assert empty.name.value == "r.s."
    for field in ("priority", "weight", "transfer", "isolate", "name"):
        assert empty.HasField(field), "the real server leaves none of them out"
    assert not routing.inbounds[0].sources, "a rule for any call stays one"


LABELS = [
    (v1.SourceMatch.CUSTOM, "k", "k"),
    (v1.SourceMatch.METHOD, "ignored", "$method"),
    (v1.SourceMatch.HEADER, "k", "$header.k"),
    (v1.SourceMatch.QUERY, "k", "$query.k"),
    (v1.SourceMatch.CALLER_IP, "ignored", "$caller_ip"),
    (v1.SourceMatch.PATH, "ignored", "$path"),
    (v1.SourceMatch.COOKIE, "k", "$cookie.k"),
    (v1.SourceMatch.CALLER_METADATA, "k", None),
    (99, "k", None),
]


@pytest.mark.parametrize(("type", "key", "label"), LABELS)
def test_arguments_become_labels(type: int, key: str, label: str | None) -> None:
    assert label_key(v1.SourceMatch(type=type, key=key)) == label


def source(*types: int) -> Any:
    found = v1.SourceService(namespace="*", service="*")
    for type in types:
        found.arguments.add(type=type, key="k", value=v1.MatchString(value={"value": "x"}))
    return found


def test_a_condition_that_cannot_be_expressed_takes_its_source_with_it() -> None:
    caller_metadata, header = v1.SourceMatch.CALLER_METADATA, v1.SourceMatch.HEADER
    config = v1.RuleRoutingConfig()
    sub_rule = config.rules.add(name="s")
    sub_rule.destinations.add(namespace="default", service="shop")
    sub_rule.sources.extend([source(header), source(header, caller_metadata)])
    routing, revisions = legacy([rule_of(config, name="r", revision="v2-1")], SHOP)
    assert [list(s.metadata) for s in routing.inbounds[0].sources] == [["$header.k"]]
    assert revisions == ["v2-1"]
    del sub_rule.sources[0]
    routing, revisions = legacy([rule_of(config, name="r", revision="v2-1")], SHOP)
    assert not routing.inbounds, "a route without sources would match every call"
    assert revisions == []


def test_a_config_has_to_be_of_its_policy() -> None:
    with pytest.raises(NotItsPolicy):
        config_of(v1.RouteRule(routing_policy=9))
    with pytest.raises(NotItsPolicy):
        config_of(v1.RouteRule(routing_policy=v1.NearbyPolicy, routing_config=packed(v1.RuleRoutingConfig())))
    assert canonical_config(v1.RouteRule()).type_url == "type.googleapis.com/v1.RuleRoutingConfig"
    assert canonical_config(v1.RouteRule(routing_policy=v1.NearbyPolicy)).type_url.endswith("NearbyRoutingConfig")


def test_any_caller_is_nobody_to_be_told() -> None:
    def about(rule: Any) -> set[str]:
        return {"/".join(key) for key in subjects(config_of(rule))}

    assert about(route_rule(callee="default/shop", caller="*/*")) == {"default/shop"}
    assert about(route_rule(callee="default/shop", caller="default/*")) == {"default/shop", "default/*"}
    assert about(route_rule(callee="*/*", caller="default/web")) == {"*/*", "default/web"}
    assert about(route_rule(callee="default/", caller="*/*")) == set()


# ---------------------------------------------------------------------- any rules

places = st.tuples(st.sampled_from(["default", "other", "*"]), st.sampled_from(["shop", "web", "stock", "*"]))


@st.composite
def rules(draw: st.DrawFn) -> Any:
    config = v1.RuleRoutingConfig()
    for number in range(draw(st.integers(0, 3))):
        sub_rule = config.rules.add(name=f"s{number}")
        for namespace, service in draw(st.lists(places, max_size=3)):
            found = sub_rule.sources.add(namespace=namespace, service=service)
            for type in draw(st.lists(st.integers(0, 8), max_size=2)):
                found.arguments.add(type=type, key="k")
        for namespace, service in draw(st.lists(places, max_size=3)):
            sub_rule.destinations.add(namespace=namespace, service=service)
    number = draw(st.integers(0, 10**6))
    return rule_of(config, id=str(number), name="r", priority=draw(st.integers(0, 10)), revision=f"v2-{number}")


@settings(max_examples=150, deadline=None)
@given(st.lists(rules(), max_size=5, unique_by=lambda rule: rule.id), places.filter(lambda p: "*" not in p))
def test_routes_say_what_the_rules_say_and_no_more(given_rules: list[Any], place: tuple[str, str]) -> None:
    service = ServiceKey(*place)
    routing, revisions = legacy(given_rules, service)
    by_id = {rule.id: rule for rule in given_rules}
    priorities = [route.extendInfo[RULE_PRIORITY] for route in routing.inbounds]
    assert priorities == sorted(priorities)
    expected = {
        "in": sum(expressible(s) and named(s.destinations, service) for r in given_rules for s in config_of(r).rules),
        "out": sum(expressible(s) and named(s.sources, service) for r in given_rules for s in config_of(r).rules),
    }
    assert {"in": len(routing.inbounds), "out": len(routing.outbounds)} == expected
    for route in (*routing.inbounds, *routing.outbounds):
        assert route.extendInfo[RULE_ID] in by_id
        assert all("k" in label or label.startswith("$") for s in route.sources for label in s.metadata)
    used = {by_id[route.extendInfo[RULE_ID]].revision for route in (*routing.inbounds, *routing.outbounds)}
    assert sorted(revisions) == sorted(used)
    assert hashlib.sha1(routing.SerializeToString(deterministic=True)).digest() == (
        hashlib.sha1(legacy(given_rules[::-1], service)[0].SerializeToString(deterministic=True)).digest()
    ), "whatever order the rules were kept in"


def expressible(sub_rule: Any) -> bool:
    kept = [s for s in sub_rule.sources if all(a.type < v1.SourceMatch.CALLER_METADATA for a in s.arguments)]
    return bool(kept) or not sub_rule.sources


def named(found: Any, service: ServiceKey) -> bool:
    return any(p.namespace == service.namespace and p.service in (service.name, "*") for p in found)
