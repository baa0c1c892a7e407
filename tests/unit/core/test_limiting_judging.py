"""Decisions by rules: which rules are about a call, all or none, never more than allowed, nearly all of what is."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.core.limiting import judging
from polaris_bridge.core.limiting.judging import Asked, Judge
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import EXACT, IN, NOT_EQUALS, NOT_IN, RANGE, REGEX, Condition

SHOP = ServiceKey("default", "shop")
NOW = 1_700_000_000_000
PATH = "$path"


class Book:
    """Rules by hand."""

    def __init__(self) -> None:
        self.rules: dict[ServiceKey, tuple[LimitRule, ...]] = {}
        self.changes = 0
        self.reads = 0

    def put(self, *rules: LimitRule, service: ServiceKey = SHOP) -> None:
        self.rules[service] = rules
        self.changes += 1

    def revision(self) -> int:
        return self.changes

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], tuple[LimitRule, ...]]]:
        rules = self.rules.get(service, ())

        def read() -> tuple[LimitRule, ...]:
            self.reads += 1
            return rules

        return tuple((rule.id, rule.allowances) for rule in rules), read


class Patterns:
    """Regular expressions of the standard library, for patterns that the tests choose."""

    def compile(self, pattern: str) -> Callable[[str], str | None]:
        import re

        if "(?" in pattern:
            raise ValueError("no look-around")
        found = re.compile(pattern)
        return lambda text: (m := found.search(text)) and m[0]


class World:
    def __init__(self, *rules: LimitRule, instances: int = 1) -> None:
        self.book = Book()
        self.book.put(*rules)
        self.instances = instances
        self.judge = Judge(self.book, Patterns(), lambda _service: self.instances)

    def ask(self, now_ms: int = NOW, tokens: int = 1, caller: str = "", **labels: str) -> Any:
        given = {PATH if key == "path" else key: value for key, value in labels.items()}
        return self.judge.decide(Asked(SHOP, given, caller, tokens), now_ms)

    def allowed(self, calls: int, **more: Any) -> int:
        return sum(self.ask(**more).allowed for _ in range(calls))


def rule(id: str = "r1", amount: int = 3, ms: int = 1000, *conditions: Condition, **more: Any) -> LimitRule:
    return LimitRule(id, f"name of {id}", (Allowance(amount, ms),), conditions, **more)


def on_path(value: str, operator: str = EXACT) -> Condition:
    return Condition(PATH, value, operator)


def test_without_rules_every_call_goes_ahead():
    w = World()
    verdict = w.ask(path="/a")
    assert (verdict.allowed, verdict.rule) == (True, None)
    assert w.judge.rules(ServiceKey("default", "nobody")) is None


def test_a_limit_is_kept_and_comes_back():
    w = World(rule())
    assert [w.ask().remaining for _ in range(3)] == [2, 1, 0]
    refused = w.ask()
    assert (refused.allowed, refused.remaining, refused.rule.rule.name) == (False, 0, "name of r1")
    assert 1000 <= refused.reset_ms <= 1020
    assert not w.ask(NOW + refused.reset_ms - 20).allowed
    assert w.ask(NOW + refused.reset_ms).allowed
    ready = w.judge.rules(SHOP).rules[0]  # type: ignore[union-attr]
    assert (ready.allowed, ready.refused) == (4, 2)


MATCHES = [
    (on_path("/a"), ["/a"], ["/b", ""]),
    (on_path("/a", NOT_EQUALS), ["/b"], ["/a"]),
    (on_path("/a,/b", IN), ["/a", "/b"], ["/c", "/a,/b"]),
    (on_path("/a,/b", NOT_IN), ["/c"], ["/a", "/b"]),
    (on_path("^/a.*$", REGEX), ["/a", "/abc"], ["/b"]),
    (on_path("x*", REGEX), ["xx"], ["/b", ""]),  # an empty match is none, as for polaris-go
    (on_path("3~7", RANGE), ["3", "7"], ["2", "8", "x"]),
    (on_path("*"), ["anything", ""], []),
]


@pytest.mark.parametrize(("condition", "those", "others"), MATCHES)
def test_which_calls_a_rule_is_about(condition, those, others):
    w = World(rule("r1", 0, 1000, condition))
    assert [w.ask(path=value).allowed for value in those] == [False] * len(those)
    assert all(w.ask(path=value).allowed for value in others)
    assert w.ask().allowed  # a label that is not there matches nothing, not even "*"


def test_all_conditions_must_hold():
    w = World(rule("r1", 0, 1000, on_path("/a"), Condition("user", "u1")))
    assert w.ask(path="/a").allowed
    assert w.ask(path="/a", user="u2").allowed
    assert not w.ask(path="/a", user="u1").allowed


def test_each_value_counts_for_itself_unless_the_rule_says_otherwise():
    apart = World(rule("r1", 1, 1000, on_path("^/", REGEX)))
    assert [apart.ask(path=path).allowed for path in ("/a", "/b", "/a")] == [True, True, False]
    together = World(rule("r1", 1, 1000, on_path("^/", REGEX), together=True))
    assert [together.ask(path=path).allowed for path in ("/a", "/b")] == [True, False]


def test_a_call_takes_from_all_rules_or_from_none():
    w = World(rule("wide", 10), rule("narrow", 2, 1000, on_path("/a")))
    assert w.allowed(5, path="/a") == 2
    assert w.allowed(20, path="/b") == 8  # the refused ones took nothing of the wide rule
    told = {each.rule.rule.id: each.rule for each in w.judge.tell(Asked(SHOP, {PATH: "/a"}), NOW)}
    assert (told["narrow"].allowed, told["narrow"].refused) == (2, 3)
    assert (told["wide"].allowed, told["wide"].refused) == (10, 12)


def test_of_several_amounts_all_must_have_quota():
    w = World(LimitRule("r1", "r1", (Allowance(2, 1000), Allowance(3, 60_000))))
    assert w.allowed(5) == 2
    assert w.allowed(5, now_ms=NOW + 1500) == 1
    verdict = w.ask(NOW + 5000)
    assert (verdict.allowed, verdict.allowance) == (False, Allowance(3, 60_000))


def test_tokens():
    w = World(rule("r1", 10))
    assert w.ask(tokens=7).remaining == 3
    assert not w.ask(tokens=4).allowed
    assert w.ask(tokens=0).remaining == 3
    assert w.ask(tokens=3).allowed
    assert not w.ask(tokens=11, now_ms=NOW + 60_000).allowed


def test_where_callers_count_alone():
    w = World(rule("r1", 1, 1000, alone=True))
    assert [w.ask(caller=c).allowed for c in ("a", "a", "b")] == [True, False, True]


def test_amounts_of_one_instance():
    w = World(rule("r1", 2, 1000, each=True), instances=3)
    assert w.allowed(10) == 6
    w.instances = 4
    assert w.allowed(10) == 2  # what was used stays used
    w.instances = 0
    assert w.allowed(10, now_ms=NOW + 5000) == 2


def test_a_changed_rule_keeps_what_was_used_and_counted():
    w = World(rule("r1", 5))
    assert w.allowed(9) == 5
    w.book.put(rule("r1", 7))
    assert w.allowed(9) == 2
    ready = w.judge.rules(SHOP).rules[0]  # type: ignore[union-attr]
    assert (ready.allowed, ready.refused) == (7, 11)
    w.book.put()
    assert w.ask().allowed
    assert w.judge.rules(SHOP) is None


def test_rules_are_made_ready_once_for_each_change():
    w = World(rule("r1", 5))
    for _ in range(50):
        w.ask()
    assert w.book.reads == 1
    w.book.put(rule("other"), service=ServiceKey("default", "other"))
    w.ask()
    assert w.book.reads == 1
    w.book.put(rule("r1", 6))
    w.ask()
    assert w.book.reads == 2


def test_what_cannot_be_evaluated_is_named_and_limits_nothing():
    w = World(
        rule("r1", 0, 1000, on_path("(?=a)", REGEX)),
        LimitRule("r2", "r2", (), defect="it limits how many calls run at a time"),
        rule("r3", 0, 1000, Condition(PATH, "x", "17")),
    )
    assert w.ask(path="a").allowed
    told = [each.rule.defect for each in w.judge.tell(Asked(SHOP, {PATH: "a"}), NOW)]
    assert told == [
        "$path: no look-around",
        "it limits how many calls run at a time",
        "$path: the operator '17' is not known",
    ]


def test_telling_takes_nothing():
    w = World(rule("r1", 2, 1000, on_path("/a")), rule("r2", 1, 1000, on_path("/b")))
    for _ in range(5):
        first, second = w.judge.tell(Asked(SHOP, {PATH: "/a"}), NOW)
    assert (first.verdict.allowed, first.verdict.remaining, first.unmet) == (True, 1, "")  # type: ignore[union-attr]
    assert (second.verdict, second.unmet) == (None, PATH)
    assert len(w.judge.gates) == 0
    assert w.allowed(3, path="/a") == 2
    first, _ = w.judge.tell(Asked(SHOP, {PATH: "/a"}), NOW)
    assert not first.verdict.allowed  # type: ignore[union-attr]


def test_a_value_that_somebody_compared_already():
    w = World(rule("r1", 1, 1000, on_path("^/a.*", REGEX)))
    asked = Asked(SHOP, {PATH: "^/a.*"})
    assert w.judge.decide(asked, NOW).rule is None
    compared = Asked(SHOP, {PATH: "^/a.*"}, texts=frozenset({PATH}))
    assert [w.judge.decide(compared, NOW).allowed for _ in range(2)] == [True, False]


def test_several_descriptions_of_one_call():
    w = World(rule("wide", 4), rule("a", 10, 1000, Condition("x", "a")), rule("b", 1, 1000, Condition("x", "b")))
    both = [Asked(SHOP, {"x": "a"}), Asked(SHOP, {"x": "b"})]
    first = w.judge.decide_all(both, NOW)
    assert [verdict.allowed for verdict in first] == [True, True]
    second = w.judge.decide_all(both, NOW)
    assert [verdict.allowed for verdict in second] == [True, False]
    assert w.ask().remaining == 2  # the wide rule counted the first once, and the second not at all
    assert w.ask(x="a").remaining == 1


def test_descriptions_that_need_different_amounts():
    w = World(rule("a", 10, 1000, Condition("x", "a")), rule("b", 3, 1000, Condition("x", "b")))
    many = [Asked(SHOP, {"x": "a"}, tokens=5), Asked(SHOP, {"x": "b"}, tokens=2)]
    assert [v.remaining for v in w.judge.decide_all(many, NOW)] == [5, 1]
    assert [v.allowed for v in w.judge.decide_all(many, NOW)] == [True, False]
    assert w.ask(x="a").remaining == 4  # nothing was taken of the larger one


def test_counters_do_not_grow_without_end(monkeypatch):
    monkeypatch.setattr(judging, "MOST_COUNTERS", 5)
    w = World(rule("r1", 2, 1000, on_path("^/", REGEX)))
    first = [w.ask(path=f"/{n}").allowed for n in range(5)]
    rest = [w.ask(path=f"/more{n}").allowed for n in range(20)]
    assert first == [True] * 5
    assert sum(rest) == 2  # all that came when there was no room count together
    assert len(w.judge.gates) == 6
    later = NOW + 3_600_000
    while w.judge.sweep(later):
        pass
    assert len(w.judge.gates) == 0
    assert w.ask(later, path="/more1").allowed


@given(
    st.integers(1, 40),
    st.sampled_from([1000, 3000, 60_000]),
    st.lists(st.tuples(st.integers(0, 900), st.integers(1, 12)), min_size=1, max_size=60),
)
def test_never_more_than_the_limit_in_any_window(amount, duration_ms, steps):
    w = World(rule("r1", amount, duration_ms))
    now_ms, times = NOW, []
    for wait_ms, calls in steps:
        now_ms += wait_ms
        times += [now_ms] * w.allowed(calls, now_ms=now_ms)
    for at, start in enumerate(times):
        assert bisect_right(times, start + duration_ms - 1) - at <= amount


@pytest.mark.parametrize("amount", [1, 10, 100, 1000])
def test_nearly_all_of_what_is_allowed_is_given(amount):
    """Over a hundred windows of steady pressure at least 98 % of the limit go through."""
    w = World(rule("r1", amount))
    given = 0
    for step in range(100 * 200):
        given += w.ask(NOW + step * 5, tokens=max(1, amount // 100)).allowed * max(1, amount // 100)
    assert 0.98 * 100 * amount <= given <= 101 * amount
