"""Sliding windows and the decisions made with them, against a list of everything that was ever used."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.core.limiting.deciding import Gates
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.windows import Window

T0 = 1_700_000_000_000
STEPS = st.lists(st.tuples(st.integers(0, 700), st.integers(0, 9)), max_size=60)


@given(STEPS, st.integers(1, 10), st.sampled_from([1000, 3000, 700]))
def test_a_loose_window_holds_exactly_what_its_slots_hold(
    steps: list[tuple[int, int]], slots: int, duration: int
) -> None:
    window, now, log = Window(duration, slots), T0, []
    for step, amount in steps:
        now += step
        window.add(now, amount)
        log.append((now // window.slot_ms, amount))
        current = now // window.slot_ms
        assert window.total == sum(n for slot, n in log if slot > current - slots)
        assert window.span_ms >= duration


@given(STEPS, st.lists(st.integers(-1500, 1500), max_size=60))
def test_late_and_early_use_counts_in_its_slot_or_not_at_all(steps: list[tuple[int, int]], off: list[int]) -> None:
    window, now = Window(1000, 10), T0
    held: dict[int, int] = {}
    for (step, amount), apart in zip(steps, off, strict=False):
        now += step
        slot, current = window.add_at(now, now + apart, amount), now // 100
        at = (now + apart) // 100
        expected = None if at <= current - 10 or at >= current + 10 else min(at, current)
        assert slot == expected
        if slot is not None:
            held[slot] = held.get(slot, 0) + amount
        assert window.total == sum(n for s, n in held.items() if s > current - 10)
        assert all(window.in_slot(s) == held.get(s, 0) for s in range(current - 9, current + 1))


def test_a_clock_set_back_a_little_stands_still_and_far_back_starts_anew() -> None:
    window = Window(1000, 10)
    window.add(T0, 5)
    assert window.roll(T0 - 300) == 5
    window.add(T0 - 300, 2)
    assert window.roll(T0 + 999) == 7
    assert window.roll(T0 + 1000) == 0
    window.add(T0 + 1000, 4)
    assert window.roll(T0 - 60_000) == 0
    window.add(T0 - 60_000, 3)
    assert window.roll(T0 - 60_000 + 999) == 3


@given(STEPS, st.integers(0, 20))
def test_what_is_forgotten_is_told_in_advance_to_the_millisecond(steps: list[tuple[int, int]], total: int) -> None:
    window, now = Window(1000, 10, strict=True), T0
    for step, amount in steps:
        now += step
        window.add(now, amount)
    wait = window.until_at_most(now, total)
    if wait:
        assert window.roll(now + wait - 1) > total
    assert window.roll(now + wait) <= total


def test_what_others_know_raises_a_slot_and_never_lowers_it() -> None:
    window = Window(1000, 10)
    slot = window.add(T0, 5)
    window.raise_to(slot, 3)
    assert window.total == 5
    window.raise_to(slot, 9)
    window.raise_to(slot - 9, 1)
    assert window.total == 10
    window.raise_to(slot - 10, 7)
    window.raise_to(slot + 1, 7)
    assert window.total == 10
    assert window.roll(T0 + 100) == 9


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 250), st.integers(1, 5)), max_size=120),
    st.lists(st.tuples(st.integers(1, 12), st.sampled_from([100, 1000, 2500])), min_size=1, max_size=3),
)
def test_no_stretch_of_time_ever_holds_more_than_is_allowed(
    steps: list[tuple[int, int]], given_: list[tuple[int, int]]
) -> None:
    gates, allowances = Gates(), tuple(Allowance(*one) for one in given_)
    now, passed = T0, []
    for step, tokens in steps:
        now += step
        decision = gates.take("key", allowances, tokens, now)
        if decision.allowed:
            passed.append((now, tokens))
            for amount, duration in given_:
                assert sum(n for at, n in passed if at > now - duration) <= amount
        elif tokens <= min(amount for amount, _ in given_):
            nearest = given_[decision.nearest]
            assert decision.reset_ms > 0
            assert sum(n for at, n in passed if at > now - nearest[1] * 1.01 - 1) + tokens > nearest[0]


def test_nearly_all_of_what_is_allowed_gets_through() -> None:
    gates, allowances, passed = Gates(), (Allowance(100, 1000),), 0
    for now in range(T0, T0 + 60_000):
        passed += gates.take("key", allowances, 1, now).allowed
    assert 0.98 * 6000 <= passed <= 6100


def test_all_keys_or_none_and_a_look_costs_nothing() -> None:
    gates = Gates()
    few, many = (Allowance(1, 1000),), (Allowance(10, 1000),)
    wanted = [("many", many, None), ("few", few, None)]
    assert [d.allowed for d in gates.take_all(wanted, 1, T0)] == [True, True]
    assert [d.allowed for d in gates.take_all(wanted, 1, T0)] == [True, False]
    assert gates.take("many", many, 0, T0).remaining == 9
    assert gates.take("few", few, 0, T0) == gates.take("few", few, 0, T0)
    with pytest.raises(ValueError, match="allowance"):
        gates.take("nothing", (), 1, T0)


def test_other_amounts_keep_what_was_used() -> None:
    gates = Gates()
    assert gates.take("key", (Allowance(5, 1000),), 4, T0).remaining == 1
    assert gates.take("key", (Allowance(10, 1000), Allowance(3, 5000)), 3, T0).allowed
    assert not gates.take("key", (Allowance(10, 1000), Allowance(3, 5000)), 1, T0).allowed
    refused = gates.take("key", (Allowance(2, 1000),), 1, T0)
    assert (refused.allowed, refused.remaining) == (False, 0)


def test_keys_that_nobody_asks_for_are_let_go() -> None:
    gates = Gates(idle_ms=1000)
    for n in range(10):
        gates.take(n, (Allowance(1, 2000),), 1, T0)
    assert sum(gates.sweep(T0 + 3000, most=4) for _ in range(3)) == 0
    gates.take(3, (Allowance(1, 2000),), 0, T0 + 3000)
    assert sum(gates.sweep(T0 + 3001, most=4) for _ in range(4)) == 9
    assert len(gates) == 1


def test_a_larger_amount_fits_where_a_small_one_was() -> None:
    gates = Gates()
    assert gates.take("key", (Allowance(5, 1000),), 5, T0).allowed
    assert gates.take("key", (Allowance(3_000_000_000, 1000),), 2_999_999_995, T0).allowed
    assert not gates.take("key", (Allowance(3_000_000_000, 1000),), 1, T0).allowed


def test_slots_hold_more_than_clients_can_say_at_once() -> None:
    window = Window(1000, 10)
    for n in range(1, 5):
        window.add(T0, 2**32 - 1)
        assert window.total == n * (2**32 - 1)
    window.raise_to(T0 // 100, 2**40)
    assert window.total == window.in_slot(T0 // 100) == 2**40
