"""Our router answers every case of the routing table as polaris-go did, or otherwise on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from http_world import World
from routing_table import Case, answers, cases, named

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.service.routing.sources import (
    SET_NAME,
    SET_SWITCH,
    ReadTargets,
    SeenServices,
    StoredRules,
)
from polaris_bridge.adapters.polaris.translate.routing_asked import traveller
from polaris_bridge.adapters.polaris.wire.routing_asked import Question
from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.core.routing.evaluate import evaluate
from polaris_bridge.core.routing.index import Index
from polaris_bridge.core.routing.lanes import Moment
from polaris_bridge.core.routing.model import EVERYWHERE, LEVELS, Nearby, Options
from polaris_bridge.core.routing.ready import ReadyRules
from polaris_bridge.core.routing.router import Router

CASES = cases()
LEVEL = {name: level for level, name in LEVELS.items()} | {"": EVERYWHERE}
AGREED_AT_LEAST = 200


@pytest.fixture(scope="module")
def world() -> World:
    """A server that was told every case."""
    world = World()
    told = [named(case, at) for at, case in enumerate(CASES)]
    for path, kind in (
        ("/naming/v1/services", "services"),
        ("/naming/v1/instances", "instances"),
        ("/naming/v2/routings", "rules"),
        ("/naming/v1/lane/groups", "lanes"),
    ):
        items = [item for each in told for item in each[kind]]
        for at in range(0, len(items), 100):
            assert world.code("POST", path, items[at : at + 100]) == 200000
    return world


def options_of(case: Case) -> Options:
    given = case.options
    sets = (SET_SWITCH, SET_NAME) if given.get("chain") == "set" else ("", "")
    return Options(
        recover_all=given.get("recoverAll", True),
        failover=given.get("failover", "all"),
        nearby=Nearby(match=LEVEL[given.get("match", "zone")], widest=LEVEL[given.get("widest", "")]),
        degrade_percent=given.get("percent", 100),
        set_switch=sets[0],
        set_name=sets[1],
    )


def question_of(asked: dict[str, Any], case: Case) -> Question:
    found = msgspec.convert(asked, Question)
    found.caller.variables = case.options.get("variables", {})
    return found


class Asked:
    """A case, ready to be decided."""

    def __init__(self, world: World, at: int) -> None:
        case = CASES[at]
        targets = ReadTargets(world.registry, {})
        self.services = SeenServices(world.registry, world.service.discovering.catalog, targets)
        self.rules = ReadyRules(StoredRules(world.registry), LinearSearch(), options_of(case))
        self.router = Router(self.services, self.rules, world.clock, never)
        question = question_of(named(case, at)["call"], case)
        located = Location(*case.options["location"]) if "location" in case.options else None
        self.who = traveller(question, None, located)
        self.key = ServiceKey("default", question.service)


def never(_below: int) -> int:
    return 0


def answered(world: World, at: int) -> list[tuple[int, ...]]:
    """The sets of ports that calls of a case may get."""
    asked = Asked(world, at)
    decision, explained = asked.router.decide(asked.key, asked.who), asked.router.explain(asked.key, asked.who)
    assert decision.tiers == explained.tiers
    assert bool(decision.tiers) is not bool(decision.why), "why there is nobody is said, and only then"
    shares = decision.tiers[0].shares if decision.tiers else ()
    return sorted({tuple(sorted(target.port for target in share.targets)) for share in shares}, key=str)


def flat(found: Iterable[Iterable[int]]) -> set[tuple[int, ...]]:
    """Nobody is nobody: polaris-go gives an error or an empty list."""
    return {tuple(each) for each in found} - {()}


@pytest.mark.parametrize("at", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_case_is_answered_as_by_polaris_go(world: World, at: int) -> None:
    case = CASES[at]
    theirs = flat(answers()[case.name])
    if case.differs:
        assert theirs != set(case.ours), "it does not differ"
    assert flat(answered(world, at)) == (set(case.ours) if case.differs else theirs)


@pytest.mark.parametrize("at", range(len(CASES)), ids=[case.name for case in CASES])
def test_a_list_has_the_groups_that_calls_go_to(world: World, at: int) -> None:
    """Whoever is sick stays in them; calls go to those that are not, or to all."""
    asked = Asked(world, at)
    ready, moment = asked.rules.of, Moment(world.clock.wall_ms(), never)
    caller = None if asked.who.service is None else ready(asked.who.service)
    index, options = Index(asked.services.read(asked.key)), asked.rules.options
    listed = evaluate(index, ready(asked.key), caller, asked.who, options, asked.rules.patterns, moment, listed=True)
    wanted: dict[int, list[tuple[str, int, set[str]]]] = {}
    for tier in listed.tiers:
        for share in tier.shares:
            usable = {target.id for target in share.targets if target.usable}
            well = {target.id for target in share.targets if target.usable and target.healthy}
            if well or options.recover_all:
                wanted.setdefault(tier.priority, []).append((share.name, share.weight, well or usable))
    decision = asked.router.decide(asked.key, asked.who)
    sent = {
        tier.priority: [(share.name, share.weight, {target.id for target in share.targets}) for share in tier.shares]
        for tier in decision.tiers
    }
    assert sent == wanted
    assert decision.rule == listed.rule


def test_the_table_is_whole() -> None:
    assert set(answers()) == {case.name for case in CASES}
    assert sum(not case.differs for case in CASES) >= AGREED_AT_LEAST
