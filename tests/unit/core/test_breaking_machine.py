"""The state machine of a breaker: against what is written down about it, and against one that remembers everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from polaris_bridge.core.breaking.breaker import MOST_VOICES, PROBE, Breaker
from polaris_bridge.core.breaking.model import (
    CLOSED,
    HALF_OPEN,
    INSTANCE,
    OPEN,
    SERVICE,
    BadCode,
    BreakerRule,
    Calls,
    InARow,
    Part,
    Share,
    Slow,
    Told,
    Trigger,
)
from polaris_bridge.core.breaking.rules import ReadyRule
from polaris_bridge.core.breaking.voices import Voice
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import EXACT, IN, RANGE, REGEX, Condition
from polaris_bridge.core.routing.ports import NoPatterns

ANYBODY = ServiceKey("*", "*")
SHOP = ServiceKey("default", "shop")
START = 1_700_000_000_000


def a_rule(*triggers: Trigger, **more: Any) -> BreakerRule:
    fields: dict[str, Any] = {
        "id": "r1", "name": "rule", "revision": "1", "level": INSTANCE, "service": SHOP, "caller": ANYBODY,
        "parts": (Part(triggers),), "sleep_ms": 30_000, "successes": 3,
    } | more  # fmt: skip
    return BreakerRule(**fields)


class Wire:
    """A breaker, and a clock."""

    def __init__(self, rule: BreakerRule, needed: int = 1) -> None:
        self.now_ms = START
        self.breaker = Breaker(ReadyRule(rule, NoPatterns()), needed, START)

    def tell(self, voice: str = "a", well: int = 0, failed: int = 0, code: str | None = None, delay_ms: int = 0) -> str:
        self.breaker.tell(Told(voice, SHOP, Calls(well, failed, code, delay_ms)), self.now_ms)
        return self.breaker.state

    def wait(self, seconds: float) -> str:
        self.now_ms += round(seconds * 1000)
        self.breaker.pass_time(self.now_ms)
        return self.breaker.state


class TestErrorsInARow:
    def test_the_last_one_opens(self) -> None:
        wire = Wire(a_rule(InARow(3)))
        assert [wire.tell(failed=1) for _ in range(3)] == [CLOSED, CLOSED, OPEN]

    def test_a_good_call_begins_anew(self) -> None:
        wire = Wire(a_rule(InARow(3)))
        for _ in range(5):
            assert wire.tell(failed=2) == CLOSED
            assert wire.tell(well=1) == CLOSED

    def test_counts_without_an_order_are_no_row_unless_all_failed(self) -> None:
        wire = Wire(a_rule(InARow(3)))
        assert wire.tell(well=1, failed=9) == CLOSED
        assert wire.tell(failed=3) == OPEN

    def test_none_never_opens(self) -> None:
        assert Wire(a_rule(InARow(0))).tell(failed=1000) == CLOSED


class TestShareOfErrors:
    def test_enough_calls_and_enough_percent(self) -> None:
        wire = Wire(a_rule(Share(10_000, percent=50, calls=10)))
        assert wire.tell(failed=5) == CLOSED, "too few calls"
        assert wire.tell(well=5) == OPEN

    def test_just_below(self) -> None:
        wire = Wire(a_rule(Share(10_000, percent=50, calls=10)))
        assert wire.tell(well=6) == CLOSED
        assert wire.tell(failed=5) == CLOSED
        assert wire.tell(failed=1) == OPEN

    def test_what_is_older_than_the_interval_is_forgotten(self) -> None:
        wire = Wire(a_rule(Share(10_000, percent=50, calls=10)))
        wire.tell(failed=9)
        wire.wait(11)
        assert wire.tell(failed=1) == CLOSED

    def test_a_number_of_errors(self) -> None:
        wire = Wire(a_rule(Share(10_000, errors=4)))
        assert wire.tell(well=1000, failed=3) == CLOSED
        assert wire.tell(failed=1) == OPEN

    def test_no_error_never_opens(self) -> None:
        assert Wire(a_rule(Share(10_000, percent=0, calls=0))).tell(well=5) == CLOSED

    def test_a_clock_that_goes_back_a_little_stands_still(self) -> None:
        wire = Wire(a_rule(Share(10_000, errors=2)))
        wire.tell(failed=1)
        wire.now_ms -= 3000
        assert wire.tell(failed=1) == OPEN


class TestWhatAnErrorIs:
    CODES = (BadCode(Condition("", "500~599", RANGE)), BadCode(Condition("", "404,429", IN)), Slow(100))

    @pytest.mark.parametrize(
        ("code", "delay_ms", "error"),
        [("200", 0, False), ("500", 0, True), ("599", 0, True), ("600", 0, False), ("429", 0, True), ("200", 100, False),
         ("200", 101, True), ("-1", 0, True), ("", 0, False), ("x", 0, False)],
    )  # fmt: skip
    def test_codes_and_times(self, code: str, delay_ms: int, error: bool) -> None:
        rule = a_rule(parts=(Part((InARow(1),), self.CODES),))
        assert (Wire(rule).tell(well=1, code=code, delay_ms=delay_ms) == OPEN) is error

    def test_conditions_go_before_what_the_caller_took_it_for(self) -> None:
        rule = a_rule(parts=(Part((InARow(1),), (BadCode(Condition("", "500", EXACT)),)),))
        assert Wire(rule).tell(failed=1, code="200") == CLOSED
        assert Wire(rule).tell(failed=1) == OPEN, "counts have no code"

    def test_slow_calls_alone_look_at_no_code(self) -> None:
        rule = a_rule(parts=(Part((InARow(1),), (Slow(100),)),))
        assert Wire(rule).tell(failed=1, code="-1") == CLOSED

    def test_a_pattern_that_cannot_be_evaluated_is_never_met_and_named(self) -> None:
        ready = ReadyRule(a_rule(parts=(Part((InARow(1),), (BadCode(Condition("", "5..", REGEX)),)),)), NoPatterns())
        assert "not available" in ready.defect
        assert ready.parts[0].judged(Calls(1, code="500")) == (1, 0)


class TestRecovery:
    def test_after_the_sleep_calls_are_tried_and_enough_of_them_close(self) -> None:
        wire = Wire(a_rule(InARow(1)))
        wire.tell(failed=1)
        assert wire.breaker.stops
        assert wire.wait(29.9) == OPEN
        assert wire.wait(0.1) == HALF_OPEN
        assert not wire.breaker.stops
        assert [wire.tell(well=1) for _ in range(3)] == [HALF_OPEN, HALF_OPEN, CLOSED]

    def test_one_error_opens_again(self) -> None:
        wire = Wire(a_rule(InARow(5)))
        wire.tell(failed=5)
        wire.wait(30)
        assert wire.tell(well=2) == HALF_OPEN
        assert wire.tell(failed=1) == OPEN

    def test_what_is_told_while_it_is_open_counts_for_nothing(self) -> None:
        wire = Wire(a_rule(InARow(5)))
        wire.tell(failed=5)
        wire.tell(failed=100)
        wire.tell(well=100)
        assert wire.wait(30) == HALF_OPEN
        assert wire.tell(well=3) == CLOSED
        assert wire.tell(failed=4) == CLOSED

    def test_an_instance_that_fails_again_is_left_alone_for_longer_up_to_a_bound(self) -> None:
        wire = Wire(a_rule(InARow(1)))
        slept = []
        for _ in range(7):
            assert wire.tell(failed=1) == OPEN
            slept.append((wire.breaker.until_ms - wire.now_ms) // 1000)
            wire.wait(slept[-1])
        assert slept == [30, 60, 120, 240, 240, 240, 240]

    def test_not_longer_than_five_minutes_unless_the_rule_says_so(self) -> None:
        wire = Wire(a_rule(InARow(1), sleep_ms=200_000))
        wire.tell(failed=1)
        wire.wait(200)
        wire.tell(failed=1)
        assert wire.breaker.until_ms - wire.now_ms == 300_000

    def test_a_good_while_makes_up_for_it(self) -> None:
        wire = Wire(a_rule(InARow(1), successes=1))
        wire.tell(failed=1)
        wire.wait(30)
        wire.tell(well=1)
        wire.wait(30)
        wire.tell(failed=1)
        assert wire.breaker.until_ms - wire.now_ms == 30_000

    def test_services_sleep_as_long_every_time(self) -> None:
        wire = Wire(a_rule(InARow(1), level=SERVICE))
        for _ in range(3):
            wire.tell(failed=1)
            assert wire.breaker.until_ms - wire.now_ms == 30_000
            wire.wait(30)


class TestVoices:
    def test_one_alone_stops_nothing_however_much_it_tells(self) -> None:
        wire = Wire(a_rule(InARow(3), Share(10_000, percent=1)), needed=2)
        for _ in range(100):
            assert wire.tell("a", failed=1000) == CLOSED

    def test_nor_do_calls_of_one_add_to_those_of_another(self) -> None:
        wire = Wire(a_rule(InARow(10)), needed=2)
        wire.tell("a", failed=1000)
        assert wire.tell("b", failed=9) == CLOSED
        assert wire.tell("b", failed=1) == OPEN
        assert wire.breaker.why == "2 callers: 10 errors in a row"

    def test_an_objection_is_forgotten(self) -> None:
        wire = Wire(a_rule(InARow(1), sleep_ms=1000), needed=2)
        wire.tell("a", failed=1)
        wire.wait(10)
        assert wire.tell("b", failed=1) == CLOSED

    def test_or_taken_back(self) -> None:
        wire = Wire(a_rule(InARow(1)), needed=2)
        wire.tell("a", failed=1)
        wire.tell("a", well=1)
        assert wire.tell("b", failed=1) == CLOSED

    def test_a_probe_is_believed_alone(self) -> None:
        wire = Wire(a_rule(InARow(2)), needed=2)
        assert wire.tell(PROBE, failed=1) == CLOSED
        assert wire.tell(PROBE, failed=1) == OPEN
        assert wire.breaker.why == "probes: 2 errors in a row"

    def test_a_probe_that_failed_once_seconds_a_caller(self) -> None:
        wire = Wire(a_rule(InARow(2)), needed=2)
        wire.tell(PROBE, failed=1)
        assert wire.tell("a", failed=2) == OPEN

    def test_but_does_not_replace_it(self) -> None:
        wire = Wire(a_rule(InARow(2)), needed=2)
        wire.tell("a", failed=1)
        assert wire.tell(PROBE, failed=1) == CLOSED

    def test_where_probes_are_made_they_decide_who_comes_back(self) -> None:
        wire = Wire(a_rule(InARow(2)), needed=2)
        wire.tell(PROBE, failed=2)
        wire.wait(30)
        assert wire.breaker.stops
        assert wire.tell("a", well=100) == HALF_OPEN
        assert [wire.tell(PROBE, well=1) for _ in range(3)] == [HALF_OPEN, HALF_OPEN, CLOSED]

    def test_without_probes_from_now_on_callers_try(self) -> None:
        wire = Wire(a_rule(InARow(2)), needed=2)
        wire.tell(PROBE, failed=2)
        wire.wait(30)
        wire.breaker.unprobed()
        assert not wire.breaker.stops
        assert wire.tell("a", well=3) == CLOSED

    def test_one_cannot_keep_it_open_either(self) -> None:
        wire = Wire(a_rule(InARow(1)), needed=2)
        wire.tell("a", failed=1)
        wire.tell("b", failed=1)
        wire.wait(30)
        assert wire.tell("a", failed=9) == HALF_OPEN
        assert wire.tell("b", well=3) == CLOSED

    def test_there_are_so_many_at_most_and_the_probe_stays(self) -> None:
        wire = Wire(a_rule(InARow(1000)), needed=2)
        for i in range(100):
            wire.tell(f"v{i}", failed=1)
        assert list(wire.breaker.voices) == [f"v{i}" for i in range(MOST_VOICES)], "the others are not heard"
        wire.tell(PROBE, well=1)
        wire.wait(29)
        wire.tell("v0", failed=1)
        wire.wait(1)
        wire.tell("late", failed=1)
        assert "v1" not in wire.breaker.voices, "silent for the longest time, and long enough"
        assert {"v0", "late", PROBE} < set(wire.breaker.voices)


# ---------------------------------------------------------------------------------------------- one that remembers all


class Elephant:
    """The same, by remembering everything that was ever told and looking through it anew each time."""

    def __init__(self, triggers: tuple[Trigger, ...], sleep_ms: int, successes: int, needed: int) -> None:
        self.triggers, self.sleep_ms, self.successes, self.needed = triggers, sleep_ms, successes, needed
        self.state, self.opened, self.slept, self.closed, self.times = CLOSED, 0, 0, 0, 0
        self.story: list[tuple[int, str, int, int]] = []
        self.objections: dict[str, int] = {}
        self.heard: set[str] = set()
        self.stands = max(10_000, sleep_ms, *(t.interval_ms for t in triggers if isinstance(t, Share)), 0)

    def wait(self, now: int) -> None:
        if self.state == OPEN and now >= self.opened + self.slept:
            self.anew(HALF_OPEN)

    def anew(self, state: str) -> None:
        self.state, self.story, self.objections = state, [], {}

    def met(self, trigger: Trigger, voice: str, now: int) -> bool:
        mine = [(at, well, failed) for at, who, well, failed in self.story if who == voice]
        if isinstance(trigger, InARow):
            row = 0
            for _, well, failed in mine:
                row = 0 if well else row + failed
            return trigger.errors > 0 and row >= trigger.errors
        slot = -(-trigger.interval_ms // 10)
        inside = [(w, f) for at, w, f in mine if now // slot - at // slot < 10]
        calls, errors = sum(w + f for w, f in inside), sum(f for _, f in inside)
        return calls >= trigger.calls and errors >= max(1, trigger.errors) and errors * 100 >= trigger.percent * calls

    def last_failed(self, voice: str) -> bool:
        return next((failed > 0 for _, who, _, failed in reversed(self.story) if who == voice), False)

    def tell(self, voice: str, well: int, failed: int, now: int) -> None:
        self.wait(now)
        self.heard.add(voice)
        self.story.append((now, voice, well, failed))
        if self.state == CLOSED:
            if any(self.met(t, voice, now) for t in self.triggers):
                self.objections[voice] = now + self.stands
            else:
                self.objections.pop(voice, None)
            loud = [who for who, until in self.objections.items() if now < until]
            second = self.last_failed(PROBE)
            if PROBE in loud or (loud and len(loud) + second >= self.needed):
                self.open(now, again=now - self.closed < self.slept)
        elif self.state == HALF_OPEN:
            failing = [who for who in self.heard if self.last_failed(who)]
            row = 0
            for _, who, w, f in self.story:
                if who == voice:
                    row = 0 if f else row + w
            if failed and (PROBE in failing or len(failing) >= self.needed):
                self.open(now, again=True)
            elif row >= max(1, self.successes) and (PROBE not in self.heard or voice == PROBE):
                self.closed = now
                self.anew(CLOSED)

    def open(self, now: int, again: bool) -> None:
        self.times = self.times + 1 if again and self.slept else 0
        self.slept = min(self.sleep_ms * min(2**self.times, 8), max(self.sleep_ms, 300_000))
        self.state, self.opened = OPEN, now


TRIGGERS = st.one_of(
    st.builds(InARow, st.integers(0, 6)),
    st.builds(
        Share, st.integers(1, 20).map(lambda s: s * 1000), st.integers(0, 100), st.integers(0, 8), st.integers(0, 5)
    ),
)


@given(
    seconds=st.integers(1, 5),
    least=st.integers(2, 6),
    told=st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 1), st.integers(0, 2)), min_size=5, max_size=30),
)
def test_the_window_of_a_share(seconds: int, least: int, told: list[tuple[int, int, int]]) -> None:
    """Errors count for as long as ten tenths of the interval, the one under way included."""
    trigger = Share(seconds * 1000, errors=least)
    voice, story, now = Voice([[trigger]]), [], START
    for gap, well, failed in told:
        now += gap
        story.append((now, failed))
        voice.count([(well, failed)], now, 1)
        slot = seconds * 100
        assert voice.objects(now) == (sum(f for at, f in story if now // slot - at // slot < 10) >= least)


class Machine(RuleBasedStateMachine):
    """Any rule, any voices, any times."""

    @initialize(
        triggers=st.lists(TRIGGERS, min_size=1, max_size=3),
        sleep_s=st.integers(1, 400),
        successes=st.integers(0, 4),
        needed=st.integers(1, 3),
    )
    def begin(self, triggers: list[Trigger], sleep_s: int, successes: int, needed: int) -> None:
        made = a_rule(*triggers, sleep_ms=sleep_s * 1000, successes=successes)
        self.wire = Wire(made, needed)
        self.naive = Elephant(tuple(triggers), sleep_s * 1000, successes, needed)

    @rule(voice=st.sampled_from([PROBE, "a", "b", "c"]), well=st.integers(0, 4), failed=st.integers(0, 4))
    def tell(self, voice: str, well: int, failed: int) -> None:
        self.wire.tell(voice, well, failed)
        self.naive.tell(voice, well, failed, self.wire.now_ms)

    @rule(tenths=st.integers(1, 14), odd_ms=st.integers(-1, 1))
    def wait_for_some_of_an_interval(self, tenths: int, odd_ms: int) -> None:
        spans = [t.interval_ms for t in self.naive.triggers if isinstance(t, Share)]
        self.wait(max(1, tenths * (spans or [1000])[0] // 10 + odd_ms))

    @rule(ms=st.integers(1, 30_000))
    def wait(self, ms: int) -> None:
        self.wire.wait(ms / 1000)
        self.naive.wait(self.wire.now_ms)

    @rule()
    def wait_until_it_is_tried(self) -> None:
        if self.wire.breaker.state == OPEN:
            self.wire.wait((self.wire.breaker.until_ms - self.wire.now_ms) / 1000)
            self.naive.wait(self.wire.now_ms)
            assert self.wire.breaker.state == HALF_OPEN

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "wire"):
            assert self.wire.breaker.state == self.naive.state


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestMachine = Machine.TestCase
