"""The check engine: when checks have their turn, how many run at once, and what it takes to change a registration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import structs
from world import CALLER, CHECKED, CONNECTED, NAMESPACE, World, doc

from polaris_bridge.core.health import Check, HealthEngine, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING, Checks, Registration, RegistrationKey, ServiceKey

NAME = "mine"
FIRST_MS = (2000, 7000)
INTERVAL_MS = 3000
TIMES = 3


def check(port: int = 80, **changes: object) -> Check:
    fields = {"first_ms": FIRST_MS, "interval_ms": INTERVAL_MS, "timeout_ms": 500, "rise": TIMES, "fall": TIMES}
    return Check("knock", "10.0.0.1", port, **(fields | changes))  # type: ignore[arg-type]


class Knocker:
    """A probe that answers what the test says, when the test says; ``at_once`` gives that answer from within ``begin``."""

    def __init__(self, limit: int) -> None:
        self.kinds = {"knock": limit, "call": 1}
        self.begun: list[Check] = []
        self.open: list[tuple[Check, Callable[[Outcome], None]]] = []
        self.cancelled: list[Check] = []
        self.at_once = ""

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        self.begun.append(check)
        if self.at_once:
            done(Outcome(self.at_once))
            return lambda: None
        entry = (check, done)
        self.open.append(entry)

        def cancel() -> None:
            self.open.remove(entry)
            self.cancelled.append(check)

        return cancel

    def answer(self, state: str, port: int | None = None) -> None:
        """Answer the oldest probe, or the one of this port."""
        entry = next(e for e in self.open if port is None or e[0].port == port)
        self.open.remove(entry)
        entry[1](Outcome(state))


class Surgery:
    """A world with an engine whose random number is 0 unless told otherwise."""

    def __init__(self, limit: int = 64, luck: float = 0.0) -> None:
        self.world = World()
        self.probe = Knocker(limit)
        self.luck = luck
        self.definitions: dict[str, Check] = {}
        self.engine = HealthEngine(self.world.registry, self.probe, lambda: self.luck)

    def checks_of(self, r: Registration) -> Mapping[str, Check]:
        return {NAME: self.definitions.get(r.key, check(r.port))}

    def follow(self) -> None:
        self.engine.follow(CHECKED, self.checks_of)

    def register(self, port: int = 80, state: str = PASSING, service: str = "orders") -> RegistrationKey:
        key = f"k{port}"
        self.world.register(doc(CHECKED, key, port=port, service=service, liveness=Checks({NAME: state})))
        return RegistrationKey(CHECKED, NAMESPACE, key)

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds, step_s=0.5)

    def state(self, key: RegistrationKey) -> str:
        r = self.world.registry.registration(key)
        assert r is not None
        assert isinstance(r.liveness, Checks)
        return r.liveness.states[NAME]


@pytest.fixture
def surgery() -> Surgery:
    found = Surgery()
    found.follow()
    found.engine.start()
    return found


class TestTurns:
    @pytest.mark.parametrize(("luck", "second"), [(0.0, 2.0), (0.5, 4.5), (0.999, 7.0)])
    def test_the_first_probe_comes_after_a_random_delay(self, surgery: Surgery, luck: float, second: float) -> None:
        surgery.luck = luck
        surgery.register()
        surgery.pass_time(second - 0.5)
        assert surgery.probe.begun == []
        surgery.pass_time(0.5)
        assert surgery.probe.begun == [check()]

    def test_the_next_one_comes_an_interval_after_the_answer(self, surgery: Surgery) -> None:
        surgery.register()
        surgery.pass_time(20)
        assert len(surgery.probe.begun) == 1, "never two probes of one check at once"
        surgery.probe.answer(PASSING)
        surgery.pass_time(2.5)
        assert len(surgery.probe.begun) == 1
        surgery.pass_time(0.5)
        assert len(surgery.probe.begun) == 2

    def test_none_before_the_start_and_none_after_the_stop(self) -> None:
        surgery = Surgery()
        surgery.follow()
        key = surgery.register()
        surgery.pass_time(30)
        assert surgery.probe.begun == []
        surgery.engine.start()
        surgery.pass_time(2)
        assert len(surgery.probe.open) == 1
        surgery.engine.stop()
        assert surgery.probe.cancelled == [check()]
        surgery.register(81)
        surgery.pass_time(30)
        assert len(surgery.probe.begun) == 1
        assert surgery.state(key) == PASSING

    def test_a_start_after_a_stop_begins_with_the_random_delay_again(self, surgery: Surgery) -> None:
        surgery.register()
        surgery.pass_time(1)
        surgery.engine.stop()
        surgery.engine.start()
        surgery.engine.start()
        surgery.pass_time(1.5)
        assert surgery.probe.begun == []
        surgery.pass_time(0.5)
        assert len(surgery.probe.begun) == 1

    def test_what_is_registered_already_is_followed_too(self) -> None:
        surgery = Surgery()
        surgery.register()
        surgery.engine.start()
        surgery.follow()
        assert len(surgery.engine) == 1
        surgery.pass_time(2)
        assert len(surgery.probe.begun) == 1

    def test_what_nobody_follows_or_performs_is_let_alone(self, surgery: Surgery) -> None:
        surgery.definitions["k80"] = Check("none")
        surgery.register()
        surgery.world.register(doc(CONNECTED))
        surgery.world.register(doc("g", liveness=Checks({NAME: PASSING})))
        assert len(surgery.engine) == 0
        surgery.pass_time(10)
        assert surgery.probe.begun == []

    def test_a_probe_that_answers_at_once_is_as_good(self, surgery: Surgery) -> None:
        surgery.probe.at_once = CRITICAL
        key = surgery.register()
        surgery.pass_time(2 + 2 * 3)
        assert surgery.state(key) == CRITICAL
        assert surgery.engine.running == 0


class TestEnd:
    def test_deregistered_is_asked_no_more(self, surgery: Surgery) -> None:
        key = surgery.register()
        surgery.pass_time(2)
        surgery.world.deregister(key)
        assert surgery.probe.cancelled == [check()]
        surgery.pass_time(30)
        assert len(surgery.probe.begun) == 1
        assert (len(surgery.engine), surgery.engine.running, surgery.engine.waiting) == (0, 0, 0)

    def test_deregistered_before_its_first_turn(self, surgery: Surgery) -> None:
        key = surgery.register()
        surgery.pass_time(1)
        surgery.world.deregister(key)
        surgery.pass_time(30)
        assert surgery.probe.begun == []

    def test_deregistered_while_it_waits_for_a_place(self) -> None:
        surgery = Surgery(limit=1)
        surgery.follow()
        surgery.engine.start()
        surgery.register(80)
        key = surgery.register(81)
        surgery.pass_time(3)
        assert surgery.engine.waiting == 1
        surgery.world.deregister(key)
        assert surgery.engine.waiting == 0
        surgery.probe.answer(PASSING)
        surgery.pass_time(10)
        assert {c.port for c in surgery.probe.begun} == {80}

    def test_another_liveness_ends_it(self, surgery: Surgery) -> None:
        key = surgery.register()
        surgery.world.amend(key, liveness=None)
        assert len(surgery.engine) == 0


class TestDefinitions:
    def test_a_change_begins_anew_with_what_is_to_be_asked_now(self, surgery: Surgery) -> None:
        surgery.register()
        surgery.pass_time(2)
        surgery.definitions["k80"] = check(8080)
        surgery.engine.review(ServiceKey(NAMESPACE, "orders"))
        assert surgery.probe.cancelled == [check()]
        surgery.pass_time(2)
        assert surgery.probe.begun[1:] == [check(8080)]

    def test_what_did_not_change_goes_on(self, surgery: Surgery) -> None:
        key = surgery.register()
        surgery.pass_time(2)
        surgery.world.amend(key, metadata={"a": "1"})
        surgery.engine.review_source(CHECKED)
        assert surgery.probe.cancelled == []
        surgery.probe.answer(PASSING)
        surgery.pass_time(3)
        assert len(surgery.probe.begun) == 2

    def test_a_check_that_is_no_more_ends(self, surgery: Surgery) -> None:
        surgery.register()
        surgery.definitions["k80"] = Check("none")
        surgery.engine.review_source(CHECKED)
        surgery.pass_time(10)
        assert surgery.probe.begun == []

    def test_secrets_are_not_printed(self) -> None:
        assert "hush" not in repr(Check("knock", "10.0.0.1", 80, user="u", password="hush"))


class TestResults:
    def give(self, surgery: Surgery, *states: str) -> None:
        for state in states:
            while not surgery.probe.open:
                surgery.pass_time(0.5)
            surgery.probe.answer(state)

    def test_three_in_a_row_turn_it_and_three_turn_it_back(self, surgery: Surgery) -> None:
        key = surgery.register()
        self.give(surgery, CRITICAL, CRITICAL)
        assert surgery.state(key) == PASSING
        self.give(surgery, CRITICAL)
        assert surgery.state(key) == CRITICAL
        self.give(surgery, PASSING, PASSING)
        assert surgery.state(key) == CRITICAL
        self.give(surgery, PASSING)
        assert surgery.state(key) == PASSING
        assert surgery.engine.counters.turns == {CRITICAL: 1, PASSING: 1}
        assert surgery.engine.counters.probes == {("knock", CRITICAL): 3, ("knock", PASSING): 3}

    def test_one_that_agrees_begins_the_row_anew(self, surgery: Surgery) -> None:
        key = surgery.register()
        self.give(surgery, CRITICAL, CRITICAL, PASSING, CRITICAL, CRITICAL)
        assert surgery.state(key) == PASSING
        self.give(surgery, CRITICAL)
        assert surgery.state(key) == CRITICAL

    def test_the_state_at_the_start_is_what_was_registered(self, surgery: Surgery) -> None:
        key = surgery.register(state=CRITICAL)
        self.give(surgery, CRITICAL, CRITICAL)
        assert surgery.state(key) == CRITICAL
        self.give(surgery, PASSING, PASSING, PASSING)
        assert surgery.state(key) == PASSING

    def test_a_warning_rises_as_a_pass_does(self, surgery: Surgery) -> None:
        surgery.definitions["k80"] = check(rise=1, fall=2)
        key = surgery.register(state=CRITICAL)
        self.give(surgery, WARNING)
        assert surgery.state(key) == WARNING
        self.give(surgery, CRITICAL, PASSING, CRITICAL)
        assert surgery.state(key) == PASSING
        self.give(surgery, CRITICAL)
        assert surgery.state(key) == CRITICAL

    def test_readers_see_it_as_soon_as_it_turns(self, surgery: Surgery) -> None:
        surgery.register()
        self.give(surgery, *[CRITICAL] * TIMES)
        assert surgery.world.says("x", place=doc(CHECKED, port=80).address) == [f"{CHECKED}/k80 down"]

    def test_a_registration_that_waits_for_the_store_is_not_lost(self, surgery: Surgery) -> None:
        key = surgery.register()
        self.give(surgery, CRITICAL, CRITICAL)
        while not surgery.probe.open:
            surgery.pass_time(0.5)
        with surgery.world.slow_store():
            surgery.world.amend(key, metadata={"a": "1"})
            surgery.probe.answer(CRITICAL)
        assert surgery.state(key) == CRITICAL
        r = surgery.world.registry.registration(key)
        assert r is not None
        assert r.metadata == {"a": "1"}


class TestPlaces:
    def test_never_more_at_once_than_allowed(self) -> None:
        surgery = Surgery(limit=3)
        surgery.follow()
        surgery.engine.start()
        for port in range(10):
            surgery.register(port)
        surgery.pass_time(3)
        assert (len(surgery.probe.open), surgery.engine.running, surgery.engine.waiting) == (3, 3, 7)
        for _ in range(7):
            surgery.probe.answer(PASSING)
            surgery.world.settle()
            assert len(surgery.probe.open) == 3
        assert {c.port for c in surgery.probe.begun} == set(range(10))

    def test_a_kind_that_is_slow_takes_no_place_of_another(self) -> None:
        surgery = Surgery(limit=2)
        for port in (1, 2, 3):
            surgery.definitions[f"k{port}"] = structs.replace(check(port), kind="call")
        surgery.follow()
        surgery.engine.start()
        for port in (1, 2, 3, 4, 5):
            surgery.register(port)
        surgery.pass_time(3)
        assert sorted(c.port for c, _ in surgery.probe.open) == [1, 4, 5]
        assert (surgery.engine.running, surgery.engine.waiting) == (3, 2)
        surgery.probe.answer(PASSING, 1)
        surgery.world.settle()
        assert sorted(c.port for c, _ in surgery.probe.open) == [2, 4, 5]

    def test_a_service_with_many_due_does_not_starve_one_with_few(self) -> None:
        surgery = Surgery(limit=1)
        surgery.follow()
        surgery.engine.start()
        for port in range(50):
            surgery.register(port, service="many")
        surgery.register(99, service="few")
        surgery.pass_time(3)
        for _ in range(2):
            surgery.probe.answer(PASSING)
            surgery.world.settle()
        assert 99 in {c.port for c in surgery.probe.begun}


class Storm(RuleBasedStateMachine):
    """Registrations, definitions, starts, stops, answers and time in any order."""

    LIMIT = 2
    PORTS = st.integers(1, 6)

    @initialize()
    def begin(self) -> None:
        self.surgery = Surgery(limit=self.LIMIT, luck=0.3)
        self.surgery.follow()
        self.surgery.engine.start()
        self.on = True
        self.rows: dict[RegistrationKey, list[str]] = {self.surgery.register(1): []}
        """Answers since the state last was confirmed or changed, by registration."""

    @rule(port=PORTS, state=st.sampled_from([PASSING, CRITICAL]), service=st.sampled_from(["orders", "stock"]))
    def register(self, port: int, state: str, service: str) -> None:
        key = RegistrationKey(CHECKED, NAMESPACE, f"k{port}")
        if self.surgery.world.registry.registration(key) is None:
            self.surgery.register(port, state, service)
            self.rows[key] = []

    @rule(port=PORTS)
    def deregister(self, port: int) -> None:
        key = RegistrationKey(CHECKED, NAMESPACE, f"k{port}")
        self.surgery.world.registry.deregister(key, CALLER)
        self.surgery.world.settle()
        self.rows.pop(key, None)

    @rule(port=PORTS, other=st.booleans())
    def define(self, port: int, other: bool) -> None:
        key = RegistrationKey(CHECKED, NAMESPACE, f"k{port}")
        known = self.surgery.definitions.get(key.key, check(port))
        self.surgery.definitions[key.key] = check(port, path="/other" if other else "/")
        if known != self.surgery.definitions[key.key] and key in self.rows:
            self.rows[key] = []
        self.surgery.engine.review_source(CHECKED)
        self.surgery.world.settle()

    @rule()
    def turn(self) -> None:
        self.on = not self.on
        (self.surgery.engine.start if self.on else self.surgery.engine.stop)()
        if self.on:
            self.rows = {key: [] for key in self.rows}
        self.surgery.world.settle()

    @rule(seconds=st.sampled_from([0.5, 2.0, 8.0]))
    def wait(self, seconds: float) -> None:
        self.surgery.pass_time(seconds)

    @precondition(lambda self: self.on and self.rows)
    @rule(port=PORTS, states=st.lists(st.sampled_from([CRITICAL, PASSING]), min_size=2, max_size=8))
    def answer(self, port: int, states: list[str]) -> None:
        probe = self.surgery.probe
        for state in states:
            while not probe.open:
                self.surgery.pass_time(0.5)
            asked = next((c.port for c, _ in probe.open if c.port == port), probe.open[0][0].port)
            key = RegistrationKey(CHECKED, NAMESPACE, f"k{asked}")
            before = self.surgery.state(key)
            probe.answer(state, asked)
            self.surgery.world.settle()
            self.bounded()
            row = self.rows[key] = [*self.rows[key], state] if state != before else []
            turned = len(row) >= TIMES
            assert self.surgery.state(key) == (state if turned else before)
            if turned:
                self.rows[key] = []

    @invariant()
    def bounded(self) -> None:
        open = self.surgery.probe.open
        assert len(open) == self.surgery.engine.running <= self.LIMIT
        assert len({c.port for c, _ in open}) == len(open), "two probes of one check"
        assert self.on or not open
        assert self.surgery.engine.waiting == 0 or len(open) == self.LIMIT
        assert len(self.surgery.engine) == len(self.rows)
        for c, _ in open:
            key = RegistrationKey(CHECKED, NAMESPACE, f"k{c.port}")
            assert c == self.surgery.definitions.get(key.key, check(c.port))
            assert self.surgery.world.registry.registration(key) is not None

    def teardown(self) -> None:
        """Nobody is forgotten: what is registered has its turn again and again."""
        if not hasattr(self, "surgery"):
            return
        self.surgery.engine.start()
        self.surgery.probe.begun.clear()
        for _ in range(60):
            self.surgery.pass_time(1)
            while self.surgery.probe.open:
                self.surgery.probe.answer(PASSING)
        for key in self.rows:
            turns = [c for c in self.surgery.probe.begun if f"k{c.port}" == key.key]
            assert len(turns) >= 5


TestStorm = Storm.TestCase
TestStorm.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
