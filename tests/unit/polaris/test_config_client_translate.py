"""Gray rules between messages and the core, and who a client is: examples, and a round trip of anything."""

from __future__ import annotations

import pytest
from config_native import ConfigWorld, label
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.polaris.translate.config import asker_of, labels_of, rule_of, tags_of
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.gray import applies, check
from polaris_bridge.core.config.model import EXACT, PRESENT, Asker, GrayRule, Match
from polaris_bridge.runtime.configcentre.patterns import LinearPatterns

M = v1.MatchString
PATTERNS = LinearPatterns()

MEANT: dict[str, tuple[v1.ClientLabel, dict[str, bool]]] = {
    "exact": (label("k", "a"), {"a": True, "ab": False, "": False}),
    "not equal": (label("k", "a", M.NOT_EQUALS), {"a": False, "b": True}),
    "in": (label("k", "a,b", M.IN), {"a": True, "b": True, "a,b": False, "c": False}),
    "not in": (label("k", "a,b", M.NOT_IN), {"a": False, "c": True}),
    "range": (label("k", "3~5", M.RANGE), {"3": True, "5": True, "6": False, "x": False}),
    "a part matches": (label("k", "b+", M.REGEX), {"abbc": True, "ac": False, "b\n": True}),
    "anchored": (label("k", "^a|b$", M.REGEX), {"ax": True, "xb": True, "xax": False}),
    "with flags": (label("k", "(?i)beta", M.REGEX), {"my-BETA-1": True, "bet": False}),
    "star": (label("k", "*"), {"": True, "x": True}),
    "empty": (label("k", "", M.REGEX), {"": True, "x": True}),
}


@pytest.mark.parametrize("case", MEANT)
def test_whom_a_label_means(case: str) -> None:
    condition, expected = MEANT[case]
    rule = rule_of([condition])
    check(rule, PATTERNS)
    assert {value: applies(rule, Asker({"k": value}), PATTERNS) for value in expected} == expected
    assert not applies(rule, Asker({"other": "x"}), PATTERNS)


@pytest.mark.parametrize("case", MEANT)
def test_a_rule_is_shown_as_it_was_said(case: str) -> None:
    condition, _ = MEANT[case]
    shown = labels_of(rule_of([condition]))
    assert shown == [label("k", "*") if case == "empty" else condition]


def test_nothing_but_addresses_is_a_list_of_addresses() -> None:
    assert rule_of([label("CLIENT_IP", "10.0.0.1")]) == GrayRule(ips=("10.0.0.1",))
    assert rule_of([label("CLIENT_IP", "10.0.0.1,10.0.0.2", M.IN)]) == GrayRule(ips=("10.0.0.1", "10.0.0.2"))
    assert labels_of(GrayRule(ips=("a", "b"))) == [label("CLIENT_IP", "a,b", M.IN)]
    assert labels_of(None) == []


@pytest.mark.parametrize(
    "labels",
    [
        [label("CLIENT_IP", "10.0.0.1", M.NOT_EQUALS)],
        [label("CLIENT_IP", "*")],
        [label("CLIENT_IP", "10.0.0.1"), label("env", "beta")],
    ],
)
def test_anything_richer_is_not_flattened(labels: list[v1.ClientLabel]) -> None:
    rule = rule_of(labels)
    assert not rule.ips
    assert len(rule.labels) == len(labels)


def test_a_rule_of_another_protocol_is_shown_as_labels() -> None:
    rule = GrayRule((Match("Vipserver-Tag", EXACT, ("t",)), Match("env", PRESENT)), ("10.0.0.1",))
    assert labels_of(rule) == [label("CLIENT_IP", "10.0.0.1", M.IN), label("Vipserver-Tag", "t"), label("env", "*")]


_TYPES = st.sampled_from([M.EXACT, M.REGEX, M.NOT_EQUALS, M.IN, M.NOT_IN, M.RANGE])
_LABELS = st.builds(label, st.text(), st.text(min_size=1).filter(lambda value: value != "*"), _TYPES)


@given(st.lists(_LABELS, min_size=2, max_size=4))
def test_any_rule_comes_back(labels: list[v1.ClientLabel]) -> None:
    assert labels_of(rule_of(labels)) == labels


def test_who_asks() -> None:
    assert asker_of({}, "10.0.0.1") == Asker({"CLIENT_IP": "10.0.0.1"}, "10.0.0.1")
    assert asker_of({"CLIENT_IP": "a", "k": "v"}, "b") == Asker({"CLIENT_IP": "a", "k": "v"}, "a")


def test_of_several_tags_with_one_key_the_last_counts() -> None:
    tags = [v1.ConfigFileTag(key={"value": "k"}, value={"value": value}) for value in "ab"]
    assert tags_of(tags) == {"k": "b"}


def test_an_unkind_pattern_does_not_hold_up_the_server() -> None:
    world = ConfigWorld()
    world.seed("full")
    world.update("gray")
    world.publish(release_type="gray", beta_labels=[label("k", "(a+)+$", M.REGEX)])
    assert world.get(tags={"k": "a" * 50_000 + "b"}).configFile.content.value == "full"
