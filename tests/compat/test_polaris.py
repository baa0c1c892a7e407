"""Every native recording, replayed against our server and explained difference by difference."""

from __future__ import annotations

import pytest

from . import rules_polaris
from .recording import recordings
from .rules import RuleBook
from .server import spawned_polaris
from .suite import RECORDINGS, Suite

NAMES = [path.stem for path in recordings(RECORDINGS / "polaris")]


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(
        "polaris",
        rules_polaris.PLAN,
        rules_polaris.READING,
        RuleBook(rules_polaris.RULES),
        spawned_polaris,
        tmp_path_factory.mktemp("polaris"),
    )


@pytest.mark.parametrize("name", NAMES)
def test_answers_as_recorded(suite: Suite, name: str) -> None:
    report = suite.report(name)
    assert report.exchanges > 0
    assert not report.failures, str(report)


def test_every_rule_is_needed(suite: Suite) -> None:
    assert suite.unused() == []
