"""Every native recording, replayed against our server and explained difference by difference."""

from __future__ import annotations

from functools import partial

import pytest

from . import rules_polaris
from .recording import recordings
from .rules import RuleBook
from .server import spawned_polaris
from .suite import RECORDINGS, Suite

NAMES = [path.stem for path in recordings(RECORDINGS / "polaris")]


TRANSPORTS = ("native", "grpcio")


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    return {transport: _suite(transport, tmp_path_factory) for transport in TRANSPORTS}


def _suite(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(
        "polaris",
        rules_polaris.PLAN,
        rules_polaris.READING,
        RuleBook(rules_polaris.RULES),
        partial(spawned_polaris, transport),
        tmp_path_factory.mktemp("polaris"),
    )


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("name", NAMES)
def test_answers_as_recorded(suites: dict[str, Suite], name: str, transport: str) -> None:
    report = suites[transport].report(name)
    assert report.exchanges > 0
    assert not report.failures, str(report)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_rule_is_needed(suites: dict[str, Suite], transport: str) -> None:
    assert suites[transport].unused() == []
