"""The routing evaluator: what holds for any rules, and what the table against polaris-go has no case of."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.core.routing import model
from polaris_bridge.core.routing.compiled import compile_rules
from polaris_bridge.core.routing.evaluate import evaluate
from polaris_bridge.core.routing.index import Index
from polaris_bridge.core.routing.lanes import Moment
from polaris_bridge.core.routing.model import (
    Condition,
    Decision,
    Group,
    Labelled,
    Lane,
    LaneGroup,
    Nearby,
    Options,
    Route,
    Rules,
    Service,
    Source,
    Target,
    Traveller,
)
from polaris_bridge.core.routing.ready import ReadyRules
from polaris_bridge.core.routing.router import Router

SHOP, CART = ServiceKey("default", "shop"), ServiceKey("default", "cart")
NOW_MS = 1_700_000_000_000


class Regex:
    """Python's engine: these tests write kind patterns only."""

    def compile(self, pattern: str) -> Callable[[str], str | None]:
        try:
            found = re.compile(pattern)
        except re.error as error:
            raise ValueError(str(error)) from None

        def find(text: str) -> str | None:
            part = found.search(text)
            return None if part is None else part[0]

        return find


def target(id: str, **fields: Any) -> Target:
    return Target(id, "10.0.0.1", 80, **fields)


def decide(
    targets: tuple[Target, ...],
    rules: Rules = model.NO_RULES,
    who: Traveller | None = None,
    *,
    caller: Rules | None = None,
    options: Options | None = None,
    chance: Callable[[int], int] = lambda _below: 0,
    now_ms: int = NOW_MS,
    **service: Any,
) -> Decision:
    chosen = options or Options()
    return evaluate(
        Index(Service(SHOP, targets, **service)),
        compile_rules(rules, Regex(), chosen),
        None if caller is None else compile_rules(caller, Regex(), chosen),
        who or Traveller(),
        chosen,
        Regex(),
        Moment(now_ms, chance),
        explain=True,
    )


def ids(decision: Decision) -> list[str]:
    return sorted(each.id for each in decision.targets)


# -------------------------------------------------------------------------------------------------- any rules

KEYS, VALUES = ("version", "lane", "canary", "env"), ("", "*", "a", "b", "1", "1~5", "a,b", "^a", "[")
places = st.builds(Location, *[st.sampled_from(("", "x", "y"))] * 3)
labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(("a", "b", "1", "")), max_size=3)
conditions = st.builds(
    Condition,
    st.sampled_from(KEYS),
    st.sampled_from(VALUES),
    st.sampled_from((*model.OPERATORS, "other")),
    st.sampled_from((model.TEXT, model.PARAMETER, model.VARIABLE)),
)
many = st.lists(conditions, max_size=2).map(tuple)
sources = st.builds(Source, st.sampled_from(("*", "default")), st.sampled_from(("*", "cart")), many)
groups = st.builds(
    Group,
    st.just("g"),
    many,
    st.integers(0, 3),
    st.sampled_from((0, 1, 100, 65535)),
    st.booleans(),
    st.just("*"),
    st.just("*"),
)
routes = st.builds(
    Route,
    st.just("r"),
    st.just("r.s"),
    st.lists(sources, max_size=2).map(tuple),
    st.lists(groups, max_size=4).map(tuple),
)
lanes = st.builds(
    Lane, st.sampled_from(("l1", "l2")), st.just("lane"), st.sampled_from(("a", "b")), many, st.booleans()
)
lane_groups = st.builds(
    LaneGroup,
    st.just("i"),
    st.just("team"),
    st.lists(sources, max_size=1).map(tuple),
    st.just((SHOP,)),
    st.lists(lanes, max_size=2).map(tuple),
)
some_routes = st.lists(routes, max_size=4).map(tuple)
rulesets = st.builds(
    Rules,
    some_routes,
    some_routes,
    st.none() | st.builds(Nearby, st.just("n"), st.integers(0, 3), st.just(0)),
    st.none(),
    st.lists(lane_groups, max_size=1).map(tuple),
)
instances = st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.booleans(), labels, places), max_size=8).map(
    lambda found: tuple(
        target(f"i{n}", weight=w, healthy=h, isolated=o, labels=ls, location=p)
        for n, (w, h, o, ls, p) in enumerate(found)
    )
)
travellers = st.builds(
    Traveller,
    st.sampled_from((None, CART)),
    labels,
    places,
    st.just({}),
    st.dictionaries(st.sampled_from(("a", "1")), st.sampled_from(("a", "1"))),
    st.sampled_from(("", "a")),
    st.sampled_from(("", "team/l1", "a")),
)


@given(instances, rulesets, rulesets, travellers, st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_decision_is_whole_for_any_rules(
    targets: tuple[Target, ...], callee: Rules, caller: Rules, who: Traveller, canary: bool, nearby: bool
) -> None:
    decision = decide(targets, callee, who, caller=caller, canary=canary, nearby=nearby)
    usable = {each.id for each in targets if each.weight > 0 and not each.isolated}
    shares = [share for tier in decision.tiers for share in tier.shares]
    for share in shares:
        assert share.targets
        assert share.weight > 0
        assert {each.id for each in share.targets} <= usable
        assert len({each.healthy for each in share.targets}) == 1, "healthy ones, or all of those that are sick"
    assert [tier.priority for tier in decision.tiers] == sorted({tier.priority for tier in decision.tiers})
    assert bool(decision.why) is not bool(decision.tiers)
    assert decision.steps
    if usable and not (callee.lanes or caller.lanes):
        assert decision.tiers, "nobody is left without anybody unless a rule says so"


@given(instances, rulesets, travellers)
@settings(max_examples=60, deadline=None)
def test_equal_callers_are_answered_from_what_is_kept(
    targets: tuple[Target, ...], callee: Rules, who: Traveller
) -> None:
    world = Kept(targets, callee)
    first = world.router.decide(SHOP, who)
    assert world.router.decide(SHOP, who) is first
    assert first.tiers == world.router.explain(SHOP, who).tiers
    other = Traveller(
        who.service, {**who.labels, "nobody-looks-at-it": "1"}, who.location, {}, who.variables, who.canary, who.stained
    )
    if who.labels:
        assert world.router.decide(SHOP, other) is first


class Kept:
    """A router over values that a test changes."""

    def __init__(self, targets: tuple[Target, ...], rules: Rules) -> None:
        self.targets, self.rules = targets, rules
        self.at, self.ruled, self.mark, self.reads = 1, 1, 1, 0
        self.router = Router(self, ReadyRules(Book(self), Regex()), self, lambda _below: 0)

    def wall_ms(self) -> int:
        return NOW_MS

    def monotonic(self) -> float:
        return 0.0

    def revision(self, _key: ServiceKey) -> object:
        return self.at

    def read(self, key: ServiceKey) -> Service:
        return Service(key, self.targets)


class Book:
    kinds: frozenset[str] = frozenset()

    def __init__(self, world: Kept) -> None:
        self._world = world

    def revision(self) -> int:
        return self._world.ruled

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        world = self._world

        def read() -> Rules:
            world.reads += service == SHOP
            return world.rules if service == SHOP else model.NO_RULES

        return world.mark, read


def to(value: str, **more: Any) -> Group:
    return Group("g", (Condition("version", value),), **more)


V1, V2 = target("1", labels={"version": "v1"}), target("2", labels={"version": "v2"})


def test_rules_are_read_again_only_when_those_of_the_service_changed() -> None:
    world = Kept((V1, V2), Rules((Route("r", "r.s", (), (to("v1"),)),)))
    decide = world.router.decide
    first = decide(SHOP, Traveller())
    assert [t.id for t in first.targets] == ["1"]
    world.ruled += 1  # a rule of somebody else
    assert decide(SHOP, Traveller()) is first
    assert world.reads == 1
    world.rules, world.mark = Rules((Route("r", "r.s", (), (to("v2"),)),)), 2
    assert decide(SHOP, Traveller()) is first, "nothing moved that says so"
    world.ruled += 1
    assert [t.id for t in decide(SHOP, Traveller()).targets] == ["2"]
    world.targets, world.at = (V1, V2, target("3", labels={"version": "v2"})), 2
    assert [t.id for t in decide(SHOP, Traveller()).targets] == ["2", "3"]


# -------------------------------------------------------------------------------------------------- what is said


def test_what_a_call_does_not_tell_is_named() -> None:
    wanted = Source("*", "*", (Condition("$header.user", "x"),))
    rules = Rules((Route("rule-1", "r.s", (wanted,), (to("v1"),)),))
    decision = decide((V1, V2), rules, Traveller(CART, {"other": "1"}))
    step = next(step for step in decision.steps if step.rule == "rule-1")
    assert "the call does not tell $header.user" in step.text
    assert ids(decision) == ["1", "2"]
    assert decide((V1, V2), rules, Traveller(CART, {"$header.user": "y"})).steps[-3].text == "r.s: not from its sources"


def test_a_pattern_that_cannot_be_evaluated_is_named_and_never_matches() -> None:
    bad = Source("*", "*", (Condition("k", "(", model.REGEX),))
    rules = Rules((Route("rule-1", "r.s", (bad,), (to("v1"),)), Route("rule-2", "q.s", (), (to("v2"),))))
    compiled = compile_rules(rules, Regex(), Options())
    assert [(each.rule, each.where) for each in compiled.unread] == [("rule-1", "r.s.sources[0].k")]
    decision = decide((V1, V2), rules, Traveller(CART, {"k": "("}))
    assert (decision.rule, ids(decision)) == ("rule-2", ["2"])


def test_an_operator_from_the_future_is_named_too() -> None:
    rules = Rules((Route("r", "r.s", (), (Group("g", (Condition("version", "v1", "9"),)),)),))
    assert "'9'" in compile_rules(rules, Regex(), Options()).unread[0].why


# -------------------------------------------------------------------------------------------------- wished labels


@pytest.mark.parametrize(
    ("failover", "instead", "expected"),
    [
        (model.NONE, {}, []),
        (model.ALL, {}, ["1", "2", "3"]),
        (model.OTHERS, {"version": "v1"}, ["2", "3"]),
        (model.OTHERS, {}, ["1", "2", "3"]),
        (model.OTHER_KEYS, {}, ["3"]),
        (model.OTHER_KEYS, {"env": ""}, ["1", "2"]),
        (model.LABELLED, {"version": "v2"}, ["2"]),
        (model.LABELLED, {}, []),
    ],
)
def test_nobody_has_the_wished_labels(failover: str, instead: dict[str, str], expected: list[str]) -> None:
    third = target("3", labels={"env": "x"})
    rules = Rules(labelled=Labelled("m", {}, failover, instead))
    assert ids(decide((V1, V2, third), rules, Traveller(wanted={"version": "v9"}))) == expected


def test_a_rule_wishes_for_who_wishes_nothing() -> None:
    rules = Rules(labelled=Labelled("m", {"version": "v2"}))
    assert ids(decide((V1, V2), rules)) == ["2"]
    assert ids(decide((V1, V2), rules, Traveller(wanted={"version": "v1"}))) == ["1"]


# -------------------------------------------------------------------------------------------------- nearness


def test_a_strict_rule_wants_to_know_where_the_caller_is() -> None:
    here = target("1", location=Location("r", "z", "c"))
    strict, lenient = (Rules(nearby=Nearby("n", strict=strict)) for strict in (True, False))
    assert decide((here,), strict).why == "nobody knows where the caller is, and the rule is strict"
    assert ids(decide((here,), lenient)) == ["1"]
    assert ids(decide((here,), strict, Traveller(location=Location("r", "z", "")))) == ["1"]


# -------------------------------------------------------------------------------------------------- lanes

BLUE, GREEN = target("blue", labels={"lane": "blue"}), target("green", labels={"lane": "green"})
BASE = target("base")
EVERY = (BLUE, GREEN, BASE)
GATEWAY = ServiceKey("default", "gateway")
OF_BLUE = (Condition("user", "blue"),)


def team(*lanes: Lane, services: tuple[ServiceKey, ...] = (SHOP,)) -> Rules:
    return Rules(lanes=(LaneGroup("g1", "team", (Source("default", "gateway"),), services, lanes),))


def lane(name: str = "blue", **fields: Any) -> Lane:
    return Lane(name, **{"value": name, "conditions": (Condition("user", name),), **fields})


def enters(**labels: str) -> Traveller:
    return Traveller(GATEWAY, labels)


@pytest.mark.parametrize(
    ("lanes", "who", "expected", "stain"),
    [
        ((lane(),), enters(user="blue"), ["blue"], "team/blue"),
        ((lane(),), enters(user="red"), ["base"], ""),
        ((lane(),), enters(other="x"), ["base"], ""),
        ((lane(),), Traveller(CART, {"user": "blue"}), ["base"], ""),
        ((lane(),), Traveller(CART, {}, stained="team/blue"), ["blue"], "team/blue"),
        ((lane(),), Traveller(CART, {}, stained="blue"), ["blue"], "blue"),
        ((lane(),), Traveller(CART, {}, stained="team/pink"), ["base"], ""),
        ((lane(conditions=()),), enters(user="blue"), ["base"], ""),
        ((lane("gone"),), enters(user="gone"), ["base"], "team/gone"),
        ((lane("gone", strict=True),), enters(user="gone"), [], "team/gone"),
        ((lane(), lane("green", priority=1)), enters(user="green"), ["green"], "team/green"),
        ((lane(priority=2), lane("green", conditions=OF_BLUE, priority=1)), enters(user="blue"), ["green"], "team/green"),
        ((lane(conditions=(Condition("user", "blue"), Condition("b", "1"))),), enters(user="blue"), ["base"], ""),
        ((lane(conditions=(Condition("user", "blue"), Condition("b", "1")), any_of=True),), enters(b="1"), ["blue"], "team/blue"),
        ((lane(conditions=(Condition("user", "x"), Condition("b", "1")), any_of=True),), enters(c="1"), ["base"], ""),
        ((lane(key="swim"),), enters(user="blue"), ["base", "blue", "green"], "team/blue"),
    ],
)  # fmt: skip
def test_a_lane_takes_the_calls_that_are_its_own(
    lanes: tuple[Lane, ...], who: Traveller, expected: list[str], stain: str
) -> None:
    decision = decide(EVERY, team(*lanes), who)
    assert (ids(decision), decision.stain) == (expected, stain)


def test_a_lane_that_does_not_go_through_the_service_is_the_base_line() -> None:
    assert ids(decide(EVERY, team(lane(), services=(CART,)), enters(user="blue"))) == ["base"]


def test_without_a_group_of_lanes_a_label_is_a_label() -> None:
    assert ids(decide(EVERY)) == ["base", "blue", "green"]
    assert ids(decide(EVERY, team(), enters(user="blue"))) == ["base"], "with one there is a base line, whoever calls"


def test_a_lane_whose_instances_are_sick_is_left() -> None:
    sick = target("blue", labels={"lane": "blue"}, healthy=False)
    assert ids(decide((sick, BASE), team(lane()), enters(user="blue"))) == ["base"]
    assert decide((sick, BASE), team(lane(strict=True)), enters(user="blue")).why


def test_the_callers_groups_count_and_go_before_others_of_their_name() -> None:
    assert ids(decide(EVERY, who=enters(user="blue"), caller=team(lane()))) == ["blue"]
    theirs = team(lane("green", conditions=(Condition("user", "blue"),)))
    assert ids(decide(EVERY, theirs, enters(user="blue"), caller=team(lane()))) == ["blue"]


@pytest.mark.parametrize(
    ("percent", "drawn", "taken"), [(30, 29, True), (30, 30, False), (0, 0, False), (100, 99, True)]
)
def test_a_lane_may_take_a_share_of_its_calls(percent: int, drawn: int, taken: bool) -> None:
    decision = decide(EVERY, team(lane(percent=percent)), enters(user="blue"), chance=lambda _below: drawn)
    assert ids(decision) == (["blue"] if taken else ["base"])


@pytest.mark.parametrize(
    ("age_s", "curvature", "drawn", "taken"),
    [
        (0, 1, 0, False),
        (30, 1, 499_999, True),
        (30, 1, 500_000, False),
        (30, 2, 250_000, False),
        (60, 1, 999_999, True),
    ],
)
def test_a_lane_may_warm_up(age_s: int, curvature: int, drawn: int, taken: bool) -> None:
    warm = lane(warm_ms=60_000, since_ms=NOW_MS - age_s * 1000, curvature=curvature)
    decision = decide(EVERY, team(warm), enters(user="blue"), chance=lambda _below: drawn)
    assert ids(decision) == (["blue"] if taken else ["base"])


def test_a_lane_and_a_rule_both_narrow() -> None:
    both = target("both", labels={"lane": "blue", "version": "v1"})
    rules = Rules((Route("r", "r.s", (), (to("v1"),)),), lanes=team(lane()).lanes)
    assert ids(decide((*EVERY, both, V1), rules, enters(user="blue"))) == ["both"]
    assert ids(decide((*EVERY, both, V1), rules, enters(user="x"))) == ["1"]
