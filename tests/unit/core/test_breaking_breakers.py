"""All breakers of a node: which rule judges a call, what ends a breaker, who is ejected, and which probes are made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import structs
from test_breaking_machine import ANYBODY, SHOP, a_rule
from world import CALLER, STANDING, World, doc

from polaris_bridge.core.breaking.breaker import PROBE
from polaris_bridge.core.breaking.breakers import Breakers, Standing
from polaris_bridge.core.breaking.detecting import Detector, DetectRule, calls_of, chosen
from polaris_bridge.core.breaking.ejecting import Candidate, Ejector, within_ceiling
from polaris_bridge.core.breaking.model import (
    CLOSED,
    HALF_OPEN,
    INSTANCE,
    INTERFACE,
    OPEN,
    SERVICE,
    BreakerRule,
    BreakingTerms,
    Calls,
    InARow,
    Interface,
    Part,
    Told,
)
from polaris_bridge.core.health import Check, HealthEngine, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING, AddressKey, ServiceKey
from polaris_bridge.core.pacing import Paced
from polaris_bridge.core.routing.model import EXACT, IN, Condition
from polaris_bridge.core.routing.ports import NoPatterns

CART = ServiceKey("default", "cart")
FAILED, WELL = Calls(failed=1), Calls(well=1)


def place(number: int) -> AddressKey:
    return AddressKey(f"10.0.0.{number}", 80)


class Book:
    """Rules, and probes, as a test says."""

    def __init__(self, *rules: BreakerRule) -> None:
        self.rules: tuple[BreakerRule, ...] = rules
        self.detects: tuple[DetectRule, ...] = ()
        self.changes = 0

    def revision(self) -> int:
        return self.changes

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], Iterable[BreakerRule]]]:
        found = tuple(r for r in self.rules if r.service in (service, ANYBODY))
        return tuple((r.id, r.revision) for r in found), lambda: found

    def put(self, *rules: BreakerRule) -> None:
        self.rules = rules
        self.changes += 1


class Detects:
    def __init__(self, book: Book) -> None:
        self._book = book

    def of(self, service: ServiceKey) -> Iterable[DetectRule]:
        return [rule for rule in self._book.detects if rule.service in (service, ANYBODY)]


class Wires:
    """A probe whose answers the test gives."""

    def __init__(self) -> None:
        self.begun: list[tuple[Check, Callable[[Outcome], None]]] = []
        self.cancelled = 0

    @property
    def kinds(self) -> Mapping[str, int]:
        return {"http": 1000, "tcp": 1000}

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        self.begun.append((check, done))

        def cancel() -> None:
            self.cancelled += 1

        return cancel


class Node:
    """Instances of a service, rules, breakers, and a clock."""

    def __init__(self, *rules: BreakerRule, instances: int = 4, **terms: Any) -> None:
        self.world = World()
        self.book = Book(*rules)
        wanted = BreakingTerms(**terms)
        self.ejector = Ejector(self.world.registry, wanted.percent)
        self.breakers = Breakers(self.book, NoPatterns(), self.world.clock, wanted, self.ejector.moved)
        self.ejector.follow(self.breakers)
        for number in range(instances):
            self.register(number)

    def register(self, number: int) -> None:
        self.world.register(doc(STANDING, f"k{number}", service="shop", host=place(number).host, port=80))

    def deregister(self, number: int) -> None:
        self.world.deregister(doc(STANDING, f"k{number}").id)
        self.wait(0.3)

    def tell(self, number: int | None = None, calls: Calls = FAILED, voices: str = "ab", **more: Any) -> list[Standing]:
        found: list[Standing] = []
        at = None if number is None else place(number)
        for voice in voices:
            found = self.breakers.tell(Told(voice, SHOP, calls, place=at, **more))
        self.world.settle()
        return found

    def wait(self, seconds: float) -> None:
        self.world.clock.move(seconds)
        self.breakers.tick()
        self.world.settle()

    @property
    def ejected(self) -> list[int]:
        return sorted(int(p.host.rsplit(".", 1)[1]) for p in self.world.registry.ejections.of(SHOP))


ONE_FAILS = a_rule(InARow(1), sleep_ms=30_000, successes=1)


class TestWhichRule:
    def judged(self, *rules: BreakerRule, **told: Any) -> list[tuple[str, str]]:
        return [(s.resource.level, s.breaker.ready.rule.id) for s in Node(*rules, instances=1).tell(**told)]

    def test_each_level_has_its_own(self) -> None:
        rules = [a_rule(InARow(1), id=level, level=level) for level in (SERVICE, INTERFACE, INSTANCE)]
        assert self.judged(*rules) == [(SERVICE, SERVICE)]
        told = {"number": 0, "path": "/a"}
        assert self.judged(*rules, **told) == [(level, level) for level in (SERVICE, INTERFACE, INSTANCE)]

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ({"priority": 1, "service": ANYBODY}, {"priority": 2}),
            ({"id": "z"}, {"service": ANYBODY}),
            ({"id": "z", "caller": CART}, {}),
            ({"id": "a"}, {"id": "b"}),
        ],
    )
    def test_the_first_that_fits(self, first: dict[str, Any], second: dict[str, Any]) -> None:
        a = a_rule(InARow(1), **{"level": SERVICE, "name": "first", **first})
        b = a_rule(InARow(1), **{"level": SERVICE, "name": "second", "id": "m", **second})
        for rules in ((a, b), (b, a)):
            [standing] = Node(*rules).tell(caller=CART)
            assert standing.breaker.ready.rule.name == "first"

    def test_a_rule_for_one_caller_is_not_about_others_nor_about_nobody(self) -> None:
        rule = a_rule(InARow(1), level=SERVICE, caller=CART)
        assert self.judged(rule, caller=CART) == [(SERVICE, "r1")]
        assert self.judged(rule, caller=SHOP) == []
        assert self.judged(rule) == []

    def test_interfaces_are_counted_one_by_one_where_a_part_is_about_them(self) -> None:
        parts = (
            Part((InARow(1),), interface=Interface(path=Condition("", "/a,/b", IN))),
            Part((InARow(2),), interface=Interface("http", "GET", Condition("", "/c", EXACT))),
        )
        node = Node(a_rule(level=INTERFACE, parts=parts), reporters=1)
        assert node.tell(path="/a")[0].breaker.state == OPEN
        assert node.tell(path="/b", calls=WELL)[0].breaker.state == CLOSED
        assert node.tell(path="/d") == []
        assert node.tell(path="/c", protocol="HTTP", method="get", voices="a")[0].breaker.state == CLOSED
        assert node.tell(path="/c", protocol="grpc", method="GET") == []

    def test_exact_interfaces_go_before_others(self) -> None:
        def about(id: str, operator: str) -> BreakerRule:
            part = Part((InARow(1),), interface=Interface(path=Condition("", "/a", operator)))
            return a_rule(level=INTERFACE, id=id, parts=(part,))

        assert self.judged(about("a", IN), about("b", EXACT), path="/a") == [(INTERFACE, "b")]

    def test_a_rule_that_is_not_about_the_service_is_not_looked_at(self) -> None:
        assert self.judged(a_rule(InARow(1), service=CART, level=SERVICE)) == []


class TestEjection:
    def test_two_callers_eject_for_everybody(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1, voices="a")
        assert node.ejected == []
        node.tell(1, voices="b")
        assert node.ejected == [1]
        [ejection] = node.world.registry.ejections.of(SHOP).values()
        assert (ejection.rule, ejection.name, ejection.why) == ("r1", "rule", "2 callers: 1 errors in a row")

    def test_it_ends_by_itself_to_be_tried(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.wait(29)
        assert node.ejected == [1]
        node.wait(1)
        assert node.ejected == []
        assert [s.breaker.state for s in node.breakers.of(SHOP)] == [HALF_OPEN]
        node.tell(1, WELL)
        assert [s.breaker.state for s in node.breakers.of(SHOP)] == [CLOSED]

    def test_and_comes_back_for_longer(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.wait(30)
        node.tell(1)
        assert node.ejected == [1]
        node.wait(59)
        assert node.ejected == [1]
        node.wait(1)
        assert node.ejected == []

    def test_never_more_than_the_ceiling_and_the_next_as_soon_as_there_is_room(self) -> None:
        node = Node(ONE_FAILS, percent=50)
        for number in (0, 1, 2, 3):
            node.tell(number)
            node.world.clock.move(1)
        assert node.ejected == [0, 1]
        assert node.ejector.held_back == 2
        for number in (4, 5):
            node.register(number)
        node.wait(0.3)
        assert node.ejected == [0, 1, 2]
        node.deregister(0)
        assert node.ejected == [1, 2]

    def test_a_rule_has_a_ceiling_of_its_own(self) -> None:
        node = Node(a_rule(InARow(1), percent=75))
        for number in range(4):
            node.tell(number)
        assert node.ejected == [0, 1, 2]

    def test_never_the_last_one(self) -> None:
        node = Node(a_rule(InARow(1), percent=100), instances=2)
        node.tell(0)
        node.tell(1)
        assert node.ejected == [0]
        node.deregister(1)
        assert node.ejected == [], "the other one is gone"

    def test_who_is_withdrawn_takes_no_room_and_is_no_alternative(self) -> None:
        node = Node(a_rule(InARow(1), percent=100), instances=2)
        node.world.switch("console", service=SHOP, place=place(1))
        node.tell(0)
        assert node.ejected == []
        node.world.switch("console", service=SHOP, place=place(1), on=False)
        node.wait(0.3)
        assert node.ejected == [0]

    def test_a_rule_for_one_caller_ejects_nobody(self) -> None:
        node = Node(a_rule(InARow(1), caller=CART))
        assert node.tell(1, caller=CART)[0].breaker.state == OPEN
        assert node.ejected == []

    @pytest.mark.parametrize("change", ["gone", "another"])
    def test_it_ends_with_its_rule(self, change: str) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.book.put(*(() if change == "gone" else (a_rule(InARow(2), revision="2"),)))
        node.breakers.review()
        node.world.settle()
        assert node.ejected == []
        assert len(node.breakers) == 0

    def test_but_not_with_another_one(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.book.put(ONE_FAILS, a_rule(InARow(1), id="r2", level=SERVICE))
        node.breakers.review()
        node.world.settle()
        assert node.ejected == [1]

    def test_it_ends_with_the_instance(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.deregister(1)
        assert len(node.breakers) == 0
        node.register(1)
        assert node.ejected == []

    def test_an_operator_ends_it(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        assert node.ejector.release(SHOP, place(1), CALLER)
        node.world.settle()
        assert node.ejected == []
        assert not node.ejector.release(SHOP, place(1), CALLER)
        node.tell(1, voices="a")
        assert node.ejected == []

    def test_turns_are_remembered_and_counted(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.wait(30)
        node.tell(1, WELL)
        assert [(t.before, t.after) for t in node.breakers.turns] == [
            (CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)]  # fmt: skip
        assert node.breakers.turned == {(INSTANCE, OPEN): 1, (INSTANCE, HALF_OPEN): 1, (INSTANCE, CLOSED): 1}
        assert node.breakers.states() == {}
        [ready] = node.breakers.rules(SHOP)
        assert (ready.calls, ready.errors, ready.opened) == (4, 2, 1)

    def test_a_call_after_the_sleep_finds_it_half_open_though_nobody_looked(self) -> None:
        node = Node(ONE_FAILS)
        node.tell(1)
        node.world.clock.move(31)
        node.tell(1)
        assert [(t.before, t.after) for t in node.breakers.turns] == [
            (CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, OPEN)]  # fmt: skip
        assert node.ejected == [1]

    def test_only_so_many_resources_are_kept(self) -> None:
        node = Node(a_rule(InARow(1), level=INTERFACE), resources=10)
        for number in range(50):
            node.tell(path=f"/{number}", calls=WELL)
        assert len(node.breakers) == 10

    def test_open_ones_are_kept_while_others_can_go(self) -> None:
        node = Node(ONE_FAILS, resources=2)
        node.tell(0)
        for number in (1, 2, 3):
            node.tell(number, WELL)
        assert node.ejected == [0]
        node.tell(3)
        node.tell(1)
        assert len(node.breakers) == 2
        assert len(node.ejected) == 2, "of three one had to go, and its instance is let in again"


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 100)), max_size=12), st.sets(st.integers(0, 9)))
def test_the_ceiling(wanted: list[tuple[int, int]], living: set[int]) -> None:
    wanted = list(dict(wanted).items())
    alive = {place(number) for number in living}
    found = within_ceiling([Candidate(place(number), percent) for number, percent in wanted], alive)
    assert set(found) <= alive
    assert len(found) < max(1, len(alive)) or not found
    if found:
        assert len(found) <= max(1, max(p for _, p in wanted) * len(alive) // 100)
    if len(alive) > 1 and any(number in living for number, _ in wanted):
        assert found, "one of two or more in any case"


# ---------------------------------------------------------------------------------------------------- probes

PROBED = a_rule(InARow(2), sleep_ms=30_000, successes=2, probed=True)
HTTP = DetectRule("d1", "ask", SHOP, Check("http", path="/health", first_ms=(0, 0), interval_ms=5000), "http")


class Probing(Node):
    """Probes are made, and the test answers them."""

    def __init__(self, *rules: BreakerRule, detects: tuple[DetectRule, ...] = (HTTP,), per_second: float = 0) -> None:
        super().__init__(*rules)
        self.book.detects = detects
        self.wires = Wires()
        world = self.world
        paced = Paced(self.wires, per_second, world.clock, world.runs) if per_second else self.wires
        self.engine = HealthEngine(world.registry, paced, lambda: 0.0)
        self.detector = Detector(world.registry, self.engine, Detects(self.book), self.breakers)
        self.engine.start()
        self.review()

    def review(self) -> None:
        self.breakers.review()
        self.detector.review()
        self.world.settle()

    def answer(self, bad: frozenset[int] = frozenset(), took_s: float = 0.0) -> list[int]:
        """Answer what was asked; which instances."""
        self.world.clock.move(took_s)
        asked, self.wires.begun = self.wires.begun, []
        for check, done in asked:
            number = int(check.host.rsplit(".", 1)[1])
            done(Outcome(CRITICAL if number in bad else PASSING, code="500" if number in bad else "200"))
        self.world.settle()
        return [int(check.host.rsplit(".", 1)[1]) for check, _ in asked]

    def round(self, *bad: int) -> list[int]:
        """An interval passes and everybody is asked."""
        self.wait(5)
        return self.answer(frozenset(bad))


class TestProbes:
    def test_every_instance_is_asked_once_an_interval(self) -> None:
        node = Probing(PROBED)
        assert node.answer() == [0, 1, 2, 3]
        assert node.round() == [0, 1, 2, 3]
        assert node.detector.of(SHOP) == [(place(n), "d1") for n in range(4)]

    def test_one_that_fails_is_ejected_and_comes_back_when_it_is_well(self) -> None:
        node = Probing(PROBED)
        node.answer()
        node.round(2)
        assert node.ejected == []
        node.round(2)
        assert node.ejected == [2]
        for _ in range(6):
            node.round()
        assert node.ejected == [2], "the first good one after the sleep"
        node.round()
        assert node.ejected == []

    def test_it_stays_out_for_longer_when_it_still_fails(self) -> None:
        node = Probing(PROBED)
        node.answer()
        for _ in range(9):
            node.round(2)
        [standing] = [s for s in node.breakers.of(SHOP) if s.resource.place == place(2)]
        assert standing.breaker.times == 1
        assert node.ejected == [2]

    @pytest.mark.parametrize(
        "rules",
        [
            (),
            (a_rule(InARow(2)),),
            (a_rule(InARow(2), probed=True, level=SERVICE),),
            (a_rule(InARow(2), probed=True, caller=CART),),
            (a_rule(InARow(2), priority=1), a_rule(InARow(2), id="r2", priority=2, probed=True)),
        ],
        ids=["no rule", "not by probes", "another level", "one caller", "another rule comes first"],
    )
    def test_nobody_is_asked_unless_it_counts(self, rules: tuple[BreakerRule, ...]) -> None:
        node = Probing(*rules)
        node.wait(60)
        assert node.wires.begun == []
        assert len(node.detector) == 0

    def test_nor_without_a_rule_that_says_how(self) -> None:
        node = Probing(PROBED, detects=())
        assert node.wires.begun == []

    def test_probes_follow_instances_and_rules(self) -> None:
        node = Probing(PROBED)
        node.answer()
        node.deregister(0)
        node.register(7)
        node.wait(0.3)
        assert node.answer() == [7]
        assert sorted(node.round()) == [1, 2, 3, 7]
        node.book.put()
        node.review()
        assert len(node.detector) == 0
        node.wait(60)
        assert node.wires.begun == []

    def test_one_under_way_is_cancelled(self) -> None:
        node = Probing(PROBED)
        assert len(node.wires.begun) == 4
        node.book.put()
        node.review()
        assert node.wires.cancelled == 4

    def test_without_probes_from_now_on_an_ejected_one_is_tried_by_callers(self) -> None:
        node = Probing(PROBED)
        node.answer()
        node.round(2)
        node.round(2)
        node.book.detects = ()
        node.review()
        node.wait(30)
        assert node.ejected == []

    def test_so_many_a_second_at_most(self) -> None:
        node = Probing(PROBED, per_second=2)
        begun = []
        for _ in range(4):
            begun.append(len(node.wires.begun))
            node.wait(0.5)
        assert begun == [1, 2, 3, 4]

    def test_how_long_it_took_is_measured_without_the_wait(self) -> None:
        world, wires, found = World(), Wires(), []
        paced = Paced(wires, 2, world.clock, world.runs)
        for _ in range(2):
            paced.begin(Check("http"), found.append)
        world.clock.move(0.5)
        world.settle()
        assert len(wires.begun) == 2
        world.clock.move(0.3)
        for _, done in wires.begun:
            done(Outcome(PASSING))
        assert [outcome.elapsed_ms for outcome in found] == [800, 300]

    def test_what_a_probe_counts_as(self) -> None:
        assert calls_of(Outcome(PASSING, elapsed_ms=7)) == Calls(1, 0, "0", 7)
        assert calls_of(Outcome(CRITICAL)) == Calls(0, 1, "-1", 0)
        assert calls_of(Outcome(CRITICAL, code="503")) == Calls(0, 1, "503", 0)

    def test_one_rule_a_protocol_those_that_name_the_service_first(self) -> None:
        anybody = DetectRule("d0", "any", ANYBODY, Check("http"), "http")
        tcp = DetectRule("d2", "tcp", ANYBODY, Check("tcp"), "tcp")
        assert [r.id for r in chosen([anybody, tcp, HTTP])] == ["d1", "d2"]

    def test_a_port_of_its_own_goes_before_the_instances(self) -> None:
        other = DetectRule("d1", "ask", SHOP, Check("http", port=9, first_ms=(0, 0)), "http")
        node = Probing(PROBED, detects=(other,))
        assert {check.port for check, _ in node.wires.begun} == {9}

    def test_a_voice_of_its_own(self) -> None:
        node = Probing(PROBED)
        node.answer(frozenset({1}))
        [standing] = [s for s in node.breakers.of(SHOP) if s.resource.place == place(1)]
        assert list(standing.breaker.voices) == [PROBE]
        node.tell(1, Calls(failed=2), voices="a")
        assert node.ejected == [1], "a caller, and a probe that failed"


STEPS = ("come", "come", "come", "go", "fail", "fail", "fail", "well", "probe", "withdraw", "rules", "release", "wait")


class Machine(RuleBasedStateMachine):
    """Instances come, go, fail, recover and are withdrawn, under rules that change: what is ejected follows from what is."""

    def __init__(self) -> None:
        super().__init__()
        self.node = Node(ONE_FAILS, instances=0, percent=40)
        self.here: set[int] = set()
        self.off: set[int] = set()
        self.version = 1

    @rule(what=st.sampled_from(STEPS), number=st.integers(0, 5), tenths=st.integers(1, 400))
    def step(self, what: str, number: int, tenths: int) -> None:
        node = self.node
        match what:
            case "come":
                node.register(number)
                self.here.add(number)
            case "go" if number in self.here:
                node.world.deregister(doc(STANDING, f"k{number}").id)
                self.here.discard(number)
                self.off.discard(number)
            case "fail" | "well" if number in self.here:
                node.tell(number, FAILED if what == "fail" else WELL)
            case "probe" if number in self.here:
                node.breakers.probed(SHOP, place(number), FAILED if tenths % 2 else WELL)
            case "withdraw" if number in self.here:
                node.world.switch("console", service=SHOP, place=place(number), on=number not in self.off)
                self.off ^= {number}
            case "rules":
                self.version += 1
                node.book.put(
                    *(structs.replace(ONE_FAILS, revision=str(self.version), probed=True) for _ in range(tenths % 2))
                )
                node.breakers.review()
            case "release" if number in self.here:
                node.ejector.release(SHOP, place(number), CALLER)
            case "wait":
                node.wait(tenths / 10)

    @invariant()
    def what_is_ejected_follows_from_what_is(self) -> None:
        node = self.node
        node.wait(0.3)
        callable_ = {place(number) for number in self.here - self.off}
        stopped = [each.resource.place for each in node.breakers.stopping(SHOP)]
        ejected = set(node.world.registry.ejections.of(SHOP))
        most = min(max(1, len(callable_) * 40 // 100), len(callable_) - 1)
        assert ejected <= callable_ & set(stopped)
        assert len(ejected) == max(0, min(most, len(callable_ & set(stopped)))), "as many as there is room for"
        assert not callable_ or callable_ - ejected, "somebody is left"
        assert node.ejector.ejected.get(SHOP, 0) == len(ejected)
        assert {each.resource.place for each in node.breakers.of(SHOP)} <= {place(number) for number in self.here}
        assert node.breakers._voices == sum(len(each.breaker.voices) for each in node.breakers.of(SHOP))


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
