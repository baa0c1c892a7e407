"""Self-protection: when deletion is held back, for how long, and what readers see meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from world import BEATING, CALLER, LASTING, LEASED, ORDERS, World, doc

from polaris_bridge.core.model import AddressKey, Lease, RegistrationKey
from polaris_bridge.core.protection import Protection, ProtectionTerms
from polaris_bridge.core.terms import Terms


def crowd(count: int, silent: int, source: str = LEASED, **terms: Any) -> World:
    """A namespace of so many leased, of which the first ones fall silent."""
    world = World(Terms(protection=ProtectionTerms(**terms)))
    for i in range(count):
        world.register(doc(source, f"k{i}", port=i + 1))
    assert silent <= count
    return world


def ids(first: int, last: int, source: str = LEASED) -> list[RegistrationKey]:
    return [doc(source, f"k{i}").id for i in range(first, last)]


def place(i: int) -> AddressKey:
    return AddressKey("10.0.0.1", i + 1)


def standing(world: World) -> int:
    return len(world.registry.snapshot(ORDERS).addresses)


def state(world: World) -> Protection:
    return world.registry.protections()["default"]


class TestThreshold:
    @pytest.mark.parametrize(
        ("count", "silent", "held"),
        [
            (1, 1, False), (5, 5, False), (6, 6, True), (10, 5, False), (10, 6, True), (40, 6, False), (40, 7, True),
            (100, 15, False), (100, 16, True),
        ],
    )  # fmt: skip
    def test_more_than_five_and_more_than_fifteen_percent(self, count: int, silent: int, held: bool) -> None:
        world = crowd(count, silent)
        world.keep(93, *ids(silent, count))
        assert standing(world) == (count if held else count - silent)
        assert state(world).active is held
        assert state(world).held == (silent if held else 0)
        assert state(world).episodes == int(held)

    @pytest.mark.parametrize(
        ("percent", "minimum", "silent", "held"),
        [(50.0, 0, 10, False), (50.0, 0, 11, True), (0.0, 2, 2, False), (0.0, 2, 3, True)],
    )
    def test_settable(self, percent: float, minimum: int, silent: int, held: bool) -> None:
        world = crowd(20, silent, percent=percent, minimum=minimum)
        world.keep(93, *ids(silent, 20))
        assert state(world).active is held

    def test_off_by_one_key(self) -> None:
        world = crowd(50, 50, enabled=False)
        world.pass_time(93)
        assert standing(world) == 0
        world.pass_time(200)
        assert not state(world)._recent, "nothing is remembered that nobody will ask for"

    def test_one_after_the_other_within_a_lease_length_counts_together(self) -> None:
        world = World()
        for i in range(10):
            world.register(doc(LEASED, f"k{i}", port=i + 1))
            world.pass_time(3)
        world.pass_time(90)
        assert standing(world) == 5, "five may go, then it is too many"
        assert state(world).held == 5

    def test_one_after_the_other_far_apart_is_ordinary_life(self) -> None:
        world = crowd(8, 8)
        for gone in range(8):
            world.keep(100, *ids(gone + 1, 8))
            assert standing(world) == 7 - gone
        assert state(world).episodes == 0

    def test_a_long_lease_does_not_make_others_count_longer(self) -> None:
        world = World()
        world.register(doc(LEASED, "long", port=99, liveness=Lease(1000, 3_600_000, 3_600_000)))
        world.pass_time(3602, step_s=2)
        for i in range(8):
            world.register(doc(BEATING, f"k{i}", port=i + 1))
            world.pass_time(40)
            assert standing(world) == 0
        assert state(world).episodes == 0

    def test_intervals_are_the_leases_own(self) -> None:
        """Leases of 30 s: who ran out 31 s ago is not counted any more."""
        world = World()
        for i in range(10):
            world.register(doc(BEATING, f"k{i}", port=i + 1))
        world.keep(33, *ids(5, 10, BEATING))
        assert standing(world) == 5
        world.keep(35, *ids(5, 10, BEATING))
        world.pass_time(33)
        assert standing(world) == 0
        assert state(world).episodes == 0

    def test_namespaces_are_apart(self) -> None:
        world = crowd(6, 6)
        for i in range(3):
            world.register(doc(LEASED, f"k{i}", namespace="other", port=i + 1))
        world.pass_time(93)
        assert standing(world) == 6
        assert list(world.registry.services("other")[0].addresses) == []

    def test_what_is_never_deleted_does_not_count(self) -> None:
        world = crowd(6, 6, source=LASTING)
        for i in range(6, 12):
            world.register(doc(LEASED, f"k{i}", port=i + 1))
        assert state(world).leased == 6

    def test_what_must_not_be_protected_goes(self) -> None:
        world = World()
        for i in range(10):
            world.register(doc(LEASED, f"k{i}", port=i + 1, liveness=Lease(30_000, 90_000, 90_000, protectable=i < 8)))
        world.pass_time(93)
        assert standing(world) == 8
        assert world.registry.counters.expired == {LEASED: 2}


class TestWhileItHolds:
    def test_own_readers_see_the_reported_word_and_others_a_lost_one(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        assert world.says(LEASED, place=place(0)) == ["a/k0 up"]
        assert world.says("x", place=place(0)) == ["a/k0 up lost"]

    def test_where_somebody_else_is_live_others_see_that_one(self) -> None:
        world = crowd(10, 10)
        world.register(doc("e", "other", port=1))
        world.pass_time(93)
        assert world.says(LEASED, place=place(0)) == ["a/k0 up"]
        assert world.says("x", place=place(0)) == ["e/other up"]

    def test_what_was_unhealthy_before_stays_so_for_everybody(self) -> None:
        world = crowd(10, 10, source=BEATING)
        world.pass_time(17)
        assert world.says(BEATING, place=place(0)) == ["b/k0 up lost"]
        world.pass_time(17)
        assert state(world).held == 10
        assert world.says(BEATING, place=place(0)) == ["b/k0 up lost"]
        assert world.says("x", place=place(0)) == ["b/k0 up lost"]

    def test_a_straggler_is_held_with_the_others(self) -> None:
        world = crowd(10, 10)
        world.keep(10, *ids(9, 10))
        world.pass_time(93)
        assert state(world).held == 10
        assert standing(world) == 10
        assert state(world).episodes == 1

    def test_deregistration_is_never_held(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        world.deregister(doc(LEASED, "k0").id)
        assert world.says(LEASED, place=place(0)) == []
        assert (standing(world), state(world).held) == (9, 9)

    def test_an_operators_delete_neither(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        assert world.registry.delete_address(ORDERS, place(3), CALLER) is not None
        world.settle()
        assert (standing(world), state(world).held) == (9, 9)

    @pytest.mark.parametrize("how", ["renew", "register"])
    def test_who_is_heard_of_is_back(self, how: str) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        if how == "renew":
            world.renew(doc(LEASED, "k0").id)
        else:
            world.register(doc(LEASED, "k0", port=1))
        assert world.says("x", place=place(0)) == ["a/k0 up"]
        assert state(world).held == 9
        world.keep(89, *ids(1, 10))
        assert world.says("x", place=place(0)) == ["a/k0 up"]

    def test_a_failed_registration_brings_nobody_back_but_a_renewal_does(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        world.store.fail = 1
        world.register(doc(LEASED, "k0", port=1, metadata={"x": "1"}))
        world.renew(doc(LEASED, "k0").id)
        assert world.says("x", place=place(0)) == ["a/k0 up"]

    def test_it_is_not_stored(self) -> None:
        world = crowd(10, 10)
        writes = len(world.store.appends)
        world.pass_time(93)
        assert len(world.store.appends) == writes
        world.restart()
        assert world.says("x", place=place(0)) == ["a/k0 up"]
        assert not world.registry.protections()["default"].active


class TestItsEnd:
    def test_enough_came_back(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        for id in ids(5, 10):
            world.renew(id)
        world.pass_time(1)
        assert not state(world).active
        assert standing(world) == 5
        assert world.registry.counters.expired == {LEASED: 5}

    def test_all_came_back(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        for id in ids(0, 10):
            world.renew(id)
        world.pass_time(1)
        assert not state(world).active
        assert standing(world) == 10

    @pytest.mark.parametrize("max_hold_s", [900.0, 60.0])
    def test_at_most_so_long(self, max_hold_s: float) -> None:
        world = crowd(10, 10, max_hold_s=max_hold_s)
        world.pass_time(92)
        assert state(world).active
        world.pass_time(max_hold_s - 3)
        assert standing(world) == 10
        world.pass_time(5)
        assert standing(world) == 0
        assert not state(world).active

    def test_fifteen_minutes_unless_said_otherwise(self) -> None:
        assert ProtectionTerms() == ProtectionTerms(True, 15.0, 5, 900.0)

    def test_a_second_time_is_as_good_as_the_first(self) -> None:
        world = crowd(10, 10)
        world.pass_time(93)
        world.keep(1000, *ids(0, 10))
        world.pass_time(93)
        assert standing(world) == 10
        assert state(world).episodes == 2

    def test_released_while_a_write_waits(self) -> None:
        world = crowd(10, 10, max_hold_s=60.0)
        world.pass_time(93)
        with world.slow_store():
            world.amend(doc(LEASED, "k3").id, metadata={"x": "1"})
            world.pass_time(29)
        with world.slow_store():
            world.amend(doc(LEASED, "k3").id, metadata={"x": "2"})
            world.pass_time(29)
            world.clock.move(1)
        world.pass_time(200)
        assert standing(world) == 0
        assert world.registry.leased() == 0
        assert world.registry.counters.expired == {LEASED: 10}

    def test_a_stall_is_no_reason_to_begin(self) -> None:
        world = crowd(10, 10)
        world.stall(600)
        assert not state(world).active
        assert standing(world) == 10
