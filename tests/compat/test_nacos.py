"""Every Nacos recording, replayed against our server and explained difference by difference."""

from __future__ import annotations

from functools import partial

import pytest

from . import rules_nacos
from .recording import recordings
from .rules import RuleBook
from .server import spawned_nacos
from .suite import RECORDINGS, Suite

NAMES = [path.stem for path in recordings(RECORDINGS / "nacos")]
OVER_GRPC = [name for name in NAMES if name.endswith(".grpc")]


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Suite]:
    return {transport: _suite(transport, tmp_path_factory) for transport in ("native", "grpcio")}


def _suite(transport: str, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(
        "nacos",
        rules_nacos.PLAN,
        rules_nacos.READING,
        RuleBook(rules_nacos.RULES),
        partial(spawned_nacos, transport),
        tmp_path_factory.mktemp("nacos"),
    )


@pytest.mark.parametrize(
    ("transport", "name"), [*(("native", name) for name in NAMES), *(("grpcio", name) for name in OVER_GRPC)]
)
def test_answers_as_recorded(suites: dict[str, Suite], name: str, transport: str) -> None:
    report = suites[transport].report(name)
    assert report.exchanges > 0
    assert not report.failures, str(report)


def test_every_rule_is_needed(suites: dict[str, Suite]) -> None:
    assert suites["native"].unused() == []
