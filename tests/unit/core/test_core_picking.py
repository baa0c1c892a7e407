"""One instance of a decision: shares by weight, and what each policy promises."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.core.routing.model import Decision, Share, Target, Tier
from polaris_bridge.core.routing.picking import (
    LEAST_REQUEST,
    MAGLEV,
    POLICIES,
    RING_HASH,
    ROUND_ROBIN,
    WEIGHTED_RANDOM,
    Picker,
)

weights = st.lists(st.integers(1, 1000), min_size=1, max_size=6)


def targets(*weights: int) -> tuple[Target, ...]:
    return tuple(Target(f"i{at}", "10.0.0.1", at, weight) for at, weight in enumerate(weights))


def one_share(*weights: int) -> Decision:
    return Decision((Tier(0, (Share("g", 100, targets(*weights)),)),))


def every_draw(decision: Decision, policy: str, below: int) -> Counter[str]:
    """Who is picked when the first draw takes each of its values once."""
    found: Counter[str] = Counter()
    for drawn in range(below):
        picked = Picker(lambda limit, drawn=drawn: min(drawn, limit - 1)).pick(decision, policy)  # type: ignore[misc]
        assert picked is not None
        found[picked[1].id] += 1
    return found


@given(weights)
def test_chance_is_in_proportion_to_weights(given: list[int]) -> None:
    found = every_draw(one_share(*given), WEIGHTED_RANDOM, sum(given))
    assert found == Counter({f"i{at}": weight for at, weight in enumerate(given)})


@given(weights)
def test_shares_are_in_proportion_to_weights(given: list[int]) -> None:
    shares = tuple(Share(f"g{at}", weight, (Target(f"i{at}"),)) for at, weight in enumerate(given))
    found = every_draw(Decision((Tier(0, shares),)), WEIGHTED_RANDOM, sum(given))
    assert found == Counter({f"i{at}": weight for at, weight in enumerate(given)})


@given(weights)
@settings(deadline=None)
def test_turns_are_in_proportion_and_spread(given: list[int]) -> None:
    given = [weight % 20 + 1 for weight in given]
    picker, decision = Picker(lambda _below: 0), one_share(*given)
    total = sum(given)
    for _ in range(2):
        found: Counter[str] = Counter()
        for turn in range(1, total + 1):
            picked = picker.pick(decision, ROUND_ROBIN, "shop")
            assert picked is not None
            found[picked[1].id] += 1
            due = given[0] * turn / total
            assert abs(found["i0"] - due) < len(given), "never far from what is due"
        assert found == Counter({f"i{at}": weight for at, weight in enumerate(given)})


@pytest.mark.parametrize("policy", [RING_HASH, MAGLEV])
def test_a_key_stays_when_others_come_and_go(policy: str) -> None:
    picker = Picker(lambda _below: 0)
    keys = [f"user-{n}" for n in range(2000)]

    def places(decision: Decision) -> dict[str, str]:
        found = {}
        for key in keys:
            picked = picker.pick(decision, policy, key=key)
            assert picked is not None
            found[key] = picked[1].id
        return found

    ten = one_share(*[100] * 10)
    before, nine = places(ten), one_share(*[100] * 9)
    assert before == places(ten)
    after = places(nine)
    moved = sum(before[key] != after[key] for key in keys if before[key] != "i9")
    assert moved <= 300, "those of the one that went away move, and few others"
    counts = Counter(before.values())
    assert len(counts) == 10
    assert max(counts.values()) < 2.2 * min(counts.values())


@pytest.mark.parametrize(("policy", "slack"), [(RING_HASH, 0.5), (MAGLEV, 0.12)])
def test_hashed_shares_follow_weights(policy: str, slack: float) -> None:
    picker, decision = Picker(lambda _below: 0), one_share(100, 300, 65535)
    found: Counter[str] = Counter()
    for n in range(20_000):
        picked = picker.pick(decision, policy, key=str(n))
        assert picked is not None
        found[picked[1].id] += 1
    assert found["i2"] > 19_000
    heavier = one_share(100, 300)
    found = Counter(
        picked[1].id for n in range(4000) if (picked := picker.pick(heavier, policy, key=str(n))) is not None
    )
    assert abs(found["i1"] / found["i0"] - 3) < 3 * slack


@pytest.mark.parametrize("policy", [RING_HASH, MAGLEV])
@pytest.mark.parametrize("count", [1, 50, 51, 201, 1000, 2000, 5000])
def test_any_number_of_instances_can_be_hashed(policy: str, count: int) -> None:
    picker, decision = Picker(lambda _below: 0), one_share(*[1 + n % 7 for n in range(count)])
    assert picker.pick(decision, policy, key="x") == picker.pick(decision, policy, key="x")


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_picks_of_the_best_tier(policy: str) -> None:
    picker = Picker(random.Random(7).randrange)
    best, other = Tier(0, (Share("a", 1, targets(1, 2)),)), Tier(1, (Share("b", 1, (Target("far"),)),))
    for _ in range(50):
        picked = picker.pick(Decision((best, other)), policy, "shop", "key")
        assert picked is not None
        assert picked[1].id in {"i0", "i1"}
    assert picker.pick(Decision((), why="nobody"), policy) is None


def test_of_two_drawn_the_heavier_one_is_given() -> None:
    draws = iter((0, 1))
    picked = Picker(lambda _below: next(draws)).pick(one_share(1, 9), LEAST_REQUEST)
    assert picked is not None
    assert picked[1].id == "i1"


def test_turns_of_services_are_counted_apart() -> None:
    picker, decision = Picker(lambda _below: 0), one_share(1, 1)
    first = [picker.pick(decision, ROUND_ROBIN, "a"), picker.pick(decision, ROUND_ROBIN, "b")]
    assert first[0] == first[1]
    assert picker.pick(decision, ROUND_ROBIN, "a") != first[0]


def test_turns_of_many_services_are_not_forgotten() -> None:
    picker, decision = Picker(lambda _below: 0), one_share(1, 1)
    first = [picker.pick(decision, ROUND_ROBIN, n) for n in range(1000)]
    assert all(picker.pick(decision, ROUND_ROBIN, n) != first[n] for n in range(1000))


def test_what_is_kept_of_groups_is_bounded_and_right() -> None:
    picker = Picker(lambda below: below - 1)
    decisions = [one_share(1, n + 1) for n in range(600)]
    for _ in range(2):
        for decision in decisions:
            picked = picker.pick(decision, WEIGHTED_RANDOM)
            assert picked is not None
            assert picked[1] is decision.tiers[0].shares[0].targets[-1]
