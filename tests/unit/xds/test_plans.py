"""Whatever rules say: what is made of them is legal, whole, and always the same."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.xds.translate.checks import defects
from polaris_bridge.adapters.xds.translate.clusters import Care, envoy_cluster, grpc_cluster
from polaris_bridge.adapters.xds.translate.hosts import host_json
from polaris_bridge.adapters.xds.translate.names import outbound
from polaris_bridge.adapters.xds.translate.routes import envoy_route, grpc_route, searching
from polaris_bridge.adapters.xds.translate.rules.breaking import outlier_detection, thresholds
from polaris_bridge.adapters.xds.translate.rules.labels import ENVOY, GRPC, Dialect
from polaris_bridge.adapters.xds.translate.rules.limits import limits_of
from polaris_bridge.adapters.xds.translate.rules.routing import ANYTHING, Asking, Plan, plan_of
from polaris_bridge.adapters.xds.translate.rules.subsets import Chooser
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.encoding import encoded
from polaris_bridge.core.breaking.model import INSTANCE, LEVELS, BadCode, BreakerRule, InARow, Part, Slow
from polaris_bridge.core.breaking.model import Share as ShareOfErrors
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import (
    ALL,
    NONE,
    OPERATORS,
    PARAMETER,
    TEXT,
    VARIABLE,
    Condition,
    Group,
    Labelled,
    Lane,
    LaneGroup,
    Route,
    Rules,
    Source,
)

SERVICE = ServiceKey("default", "shop")
FRONT = ServiceKey("default", "front")
PATTERNS = LinearSearch()
quickly = settings(max_examples=60, deadline=None)

words = st.sampled_from(["", "*", "a", "b", "a,b", "1~9", "9~1", "^a|b$", "(", "a.*", "\\d+", "/x", "ß", "a\nb", "[a-"])
requests = ["$path", "$method", "$caller_ip", "$header.X-A", "$header.", "$query.q", "$query.", "$cookie.c"]
others = ["$caller_service.d", "$caller_metadata.m", "custom", "*", "$header.a\0b"]
parts = st.sampled_from([*requests, *others])
names = st.sampled_from(["*", "default", "front", "shop", "other"])


def conditions(keys: st.SearchStrategy[str], most: int = 3) -> st.SearchStrategy[tuple[Condition, ...]]:
    one = st.builds(
        Condition, keys, words, st.sampled_from([*OPERATORS, "42"]), st.sampled_from([TEXT, TEXT, PARAMETER, VARIABLE])
    )
    return st.lists(one, max_size=most).map(tuple)


labels = st.sampled_from(["version", "env", "lane"])
sources = st.builds(Source, names, names, conditions(parts))
groups = st.builds(
    Group,
    st.just("g"),
    conditions(labels, 2),
    st.integers(0, 2),
    st.sampled_from([0, 1, 100, 2**32 - 1]),
    st.booleans(),
    names,
    names,
    st.sampled_from(["", "", "", "elsewhere"]),
)
routes = st.builds(
    Route,
    st.just("rule"),
    st.just("name"),
    st.lists(sources, max_size=2).map(tuple),
    st.lists(groups, max_size=3).map(tuple),
)
lanes = st.builds(
    Lane,
    st.sampled_from(["gray", "blue"]),
    labels,
    words,
    conditions(parts, 2),
    st.booleans(),
    st.booleans(),
    percent=st.integers(0, 100),
    warm_ms=st.sampled_from([0, 1000]),
)
lane_groups = st.builds(
    LaneGroup,
    st.just("lanes"),
    st.just("release"),
    st.lists(sources, max_size=2).map(tuple),
    st.lists(st.sampled_from([SERVICE, ServiceKey("", ""), FRONT]), max_size=2).map(tuple),
    st.lists(lanes, max_size=2).map(tuple),
)
labelled = st.none() | st.builds(
    Labelled, st.just("l"), st.dictionaries(labels, words, max_size=2), st.sampled_from([ALL, NONE])
)
all_rules = st.builds(
    Rules,
    st.lists(routes, max_size=3).map(tuple),
    st.just(()),
    st.none(),
    labelled,
    st.lists(lane_groups, max_size=2).map(tuple),
)
instances = st.lists(st.dictionaries(labels, st.sampled_from(["a", "b", "5"])), max_size=4)


def planned(rules: Rules, there: list[dict[str, str]], dialect: Dialect, everyone: bool, failover: str) -> Plan:
    chooser = Chooser(PATTERNS)
    asking = Asking(
        SERVICE,
        FRONT,
        dialect,
        lambda pick: any(chooser.chosen(pick, each) for each in there),
        PATTERNS,
        failover,
        everyone,
    )
    return plan_of(rules, asking)


@quickly
@given(all_rules, instances, st.sampled_from([ENVOY, GRPC]), st.booleans(), st.sampled_from([ALL, NONE]))
def test_every_plan_becomes_legal_routes(
    rules: Rules, there: list[dict[str, str]], dialect: Dialect, everyone: bool, failover: str
) -> None:
    plan = planned(rules, there, dialect, everyone, failover)
    assert plan == planned(rules, there, dialect, everyone, failover)
    assert plan.ways[-1].match == ANYTHING, "no call is left without a way"
    for way in plan.ways:
        assert sum(share.weight for share in way.shares) >= (1 if way.shares else 0)
    route = envoy_route if dialect is ENVOY else grpc_route
    host = host_json("h", ["*"], [route(SERVICE, way) for way in plan.ways])
    assert list(defects(types.VIRTUAL_HOST, host)) == []
    assert encoded(types.VIRTUAL_HOST, host) == encoded(types.VIRTUAL_HOST, json.loads(json.dumps(host)))
    if dialect is GRPC:
        for way in host["routes"]:
            assert "query_parameters" not in way["match"]
            assert not any(each["name"].startswith(":") for each in way["match"].get("headers", ()))
    clusters = {outbound(SERVICE, share.subset.id) for way in plan.ways for share in way.shares}
    subsets = [share.subset for way in plan.ways for share in way.shares]
    whole = envoy_cluster(outbound(SERVICE), SERVICE, subsets, "none")
    assert list(defects(types.CLUSTER, whole)) == []
    assert len(clusters) == len({share.subset for way in plan.ways for share in way.shares})


@quickly
@given(all_rules, instances)
def test_parts_of_anybodys_plan_are_parts_of_everybodys(rules: Rules, there: list[dict[str, str]]) -> None:
    mine = {share.subset for way in planned(rules, there, ENVOY, False, ALL).ways for share in way.shares}
    all_of_them = {share.subset for way in planned(rules, there, ENVOY, True, ALL).ways for share in way.shares}
    assert mine <= all_of_them


limit_rules = st.lists(
    st.builds(
        LimitRule,
        st.uuids().map(str),
        st.just("limit"),
        st.lists(st.builds(Allowance, st.integers(0, 2**32 - 1), st.integers(1, 10**8)), min_size=1, max_size=2).map(
            tuple
        ),
        conditions(parts),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        at_once=st.sampled_from([0, 0, 0, 5]),
    ),
    max_size=4,
)


@quickly
@given(limit_rules, st.booleans())
def test_every_limit_becomes_a_legal_filter(rules: list[LimitRule], limiter: bool) -> None:
    limits = limits_of(SERVICE, rules, PATTERNS, limiter=limiter)
    route: dict[str, Any] = {
        "match": {"prefix": "/"},
        "route": {"cluster": "c", "rate_limits": list(limits.rate_limits)},
    }
    if limits.local is not None:
        route["typed_per_filter_config"] = {"f": limits.local}
        whole = [json.dumps(each["entries"]) for each in limits.local["descriptors"]]
        assert len(whole) == len(set(whole)), "no two buckets for the same"
        assert all(each["token_bucket"]["max_tokens"] > 0 for each in limits.local["descriptors"])
    host = host_json("h", ["*"], [route])
    assert list(defects(types.VIRTUAL_HOST, host)) == []
    encoded(types.VIRTUAL_HOST, host)
    assert all(len(each["actions"]) > 0 for each in limits.rate_limits)
    assert limiter or not any("stage" in each for each in limits.rate_limits)


errors = st.builds(BadCode, st.builds(Condition, st.just(""), words, st.sampled_from(OPERATORS))) | st.builds(
    Slow, st.integers(0, 10**6)
)
triggers = st.builds(InARow, st.integers(0, 100)) | st.builds(
    ShareOfErrors, st.integers(1, 10**8), st.integers(0, 100), st.integers(0, 10**6), st.integers(0, 9)
)
breaker_rules = st.lists(
    st.builds(
        BreakerRule,
        st.uuids().map(str),
        st.just("b"),
        st.just("1"),
        st.sampled_from([*LEVELS, INSTANCE]),
        st.sampled_from([SERVICE, ServiceKey("*", "*")]),
        st.sampled_from([ServiceKey("*", "*"), FRONT]),
        st.lists(
            st.builds(Part, st.lists(triggers, max_size=3).map(tuple), st.lists(errors, max_size=2).map(tuple)),
            max_size=2,
        ).map(tuple),
        st.integers(0, 2),
        st.integers(0, 10**8),
        st.integers(1, 3),
        st.integers(0, 100),
    ),
    max_size=3,
)
WHOLE_OUTLIER = {
    "interval", "base_ejection_time", "max_ejection_time", "max_ejection_percent", "enforcing_success_rate",
    "enforcing_failure_percentage", "failure_percentage_threshold", "failure_percentage_minimum_hosts",
    "failure_percentage_request_volume",
}  # fmt: skip


@quickly
@given(breaker_rules, st.integers(0, 2**40))
def test_every_breaker_becomes_a_legal_cluster(rules: list[BreakerRule], at_once: int) -> None:
    for dialect in (ENVOY, GRPC):
        found = outlier_detection(SERVICE, rules, dialect, {})
        care = Care(found, thresholds(at_once))
        cluster = grpc_cluster("c", care) if dialect is GRPC else envoy_cluster("c", SERVICE, (), "permissive", care)
        assert list(defects(types.CLUSTER, cluster)) == []
        encoded(types.CLUSTER, cluster)
        if dialect is GRPC and found is not None:
            assert set(found) == WHOLE_OUTLIER, "grpc-js-xds 1.14 takes what is missing for nothing at all"


@given(
    st.sampled_from(["a", "^a", "a$", "^a$", "a|b", "^a|b$", ".*a", "a.*", "x\\$", "x\\.*"]),
    st.text("abx$. ", max_size=6),
)
def test_a_pattern_that_is_searched_for_matches_whole_texts(pattern: str, text: str) -> None:
    import re

    whole = PATTERNS.compile(f"^(?:{searching(pattern)})$")
    assert (whole(text) is not None) == (re.search(pattern, text) is not None)
