"""Every Eureka recording, replayed against our server (or the one in COMPAT_EUREKA) and explained difference by difference."""

from __future__ import annotations

import os

import pytest

from . import rules_eureka
from .recording import recordings
from .rules import RuleBook
from .server import given_target, spawned_eureka
from .suite import RECORDINGS, Suite, given

VARIABLE = "COMPAT_EUREKA"
NAMES = [path.stem for path in recordings(RECORDINGS / "eureka")]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    target = given_target(VARIABLE, rules_eureka.BASE)
    return Suite(
        "eureka",
        rules_eureka.PLAN,
        rules_eureka.READING,
        RuleBook(rules_eureka.RULES, rules_eureka.INVARIANTS),
        spawned_eureka if target is None else given(target),
        tmp_path_factory.mktemp("eureka"),
    )


@pytest.mark.parametrize("name", NAMES)
def test_answers_as_recorded(suite: Suite, name: str) -> None:
    report = suite.report(name)
    assert report.exchanges > 0
    assert not report.failures, str(report)


def test_every_rule_is_needed(suite: Suite) -> None:
    if os.environ.get(VARIABLE):
        pytest.skip(f"{VARIABLE} names another server: the rules describe how ours differs")
    assert suite.unused() == []
