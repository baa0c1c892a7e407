"""Leases: who is lost and deleted when, to the second."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import BEATING, CALLER, LASTING, LEASED, ORDERS, World, doc

from polaris_bridge.core.leases import LATE_S, SLOTS, TICK_S, Held, LeaseTime, Wheel
from polaris_bridge.core.liveness import LEASES_PER_STEP
from polaris_bridge.core.model import Lease
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.terms import Terms

PLAIN = Terms(protection=ProtectionTerms(enabled=False))
A = doc(LEASED).id
B = doc(BEATING).id


@pytest.fixture
def world() -> World:
    return World(PLAIN)


def held(renewed: float, unhealthy_s: float = 90, delete_s: float = 90, key: str = "k") -> Held:
    return Held("a", "n", key, renewed, unhealthy_s, delete_s, True)


class TestBounds:
    def test_nobody_is_deleted_before_the_lease_is_over(self, world: World) -> None:
        world.register(doc(LEASED))
        world.pass_time(89.9)
        assert world.says("x") == ["a/k1 up"]

    def test_everybody_is_deleted_within_two_seconds_after_it(self, world: World) -> None:
        world.register(doc(LEASED))
        world.pass_time(92)
        assert world.says("x") == []
        assert world.registry.counters.expired == {LEASED: 1}

    @pytest.mark.parametrize("offset", [0.0, 0.1, 0.5, 0.9, 0.999])
    def test_where_in_the_second_it_began_does_not_matter(self, world: World, offset: float) -> None:
        world.clock.move(offset)
        world.registry.tick()
        world.register(doc(LEASED))
        began = world.clock.now_s
        while world.says("x"):
            world.pass_time(0.25, step_s=0.25)
        assert 90 <= world.clock.now_s - began <= 92

    def test_a_renewal_begins_it_anew_and_doubles_nothing(self, world: World) -> None:
        world.register(doc(LEASED))
        world.pass_time(80)
        assert world.renew(A) is not None
        world.pass_time(89)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(3)
        assert world.says("x") == []

    def test_unhealthy_first_and_deleted_later(self, world: World) -> None:
        world.register(doc(BEATING))
        world.pass_time(14.9)
        assert world.says("x") == ["b/k1 up"]
        world.pass_time(2.1)
        assert world.says("x") == ["b/k1 up lost"]
        assert world.registry.counters.lost == {BEATING: 1}
        world.pass_time(12.9)
        assert world.says("x") == ["b/k1 up lost"]
        world.pass_time(2.1)
        assert world.says("x") == []

    def test_one_that_is_never_deleted_stays_and_comes_back(self, world: World) -> None:
        world.register(doc(LASTING))
        world.pass_time(17)
        assert world.says("x") == ["d/k1 up lost"]
        world.pass_time(3 * SLOTS)
        assert world.says("x") == ["d/k1 up lost"]
        world.renew(doc(LASTING).id)
        assert world.says("x") == ["d/k1 up"]
        world.pass_time(17)
        assert world.says("x") == ["d/k1 up lost"]

    def test_without_a_lease_it_stays_for_ever(self, world: World) -> None:
        world.register(doc("e"))
        world.pass_time(2000, step_s=2)
        assert world.says("x") == ["e/k1 up"]

    @pytest.mark.parametrize("seconds", [SLOTS - 1, SLOTS, SLOTS + 1, 3 * SLOTS + 7, 3600])
    def test_leases_longer_than_the_wheel(self, world: World, seconds: int) -> None:
        world.register(doc(LEASED, liveness=Lease(1000, seconds * 1000, seconds * 1000)))
        world.pass_time(seconds - 0.1, step_s=1.9)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(2.1, step_s=0.7)
        assert world.says("x") == []


class TestRenewing:
    def test_unknown(self, world: World) -> None:
        assert world.renew(A) is None
        world.register(doc(LEASED))
        assert world.renew(doc(LEASED, "other").id) is None
        assert world.renew(doc(BEATING).id) is None, "another protocol's heartbeat renews nothing"

    def test_brings_a_lost_one_back_under_a_new_revision(self, world: World) -> None:
        world.register(doc(BEATING))
        world.pass_time(17)
        before = world.registry.snapshot(ORDERS).revision
        found = world.renew(B)
        assert found is not None
        assert found.live
        assert world.says("x") == ["b/k1 up"]
        assert world.registry.snapshot(ORDERS).revision > before
        world.pass_time(17)
        assert world.says("x") == ["b/k1 up lost"]

    def test_changes_nothing_otherwise(self, world: World) -> None:
        world.register(doc(LEASED))
        before, writes = world.registry.snapshot(ORDERS), len(world.store.appends)
        world.pass_time(30)
        world.renew(A)
        assert world.registry.snapshot(ORDERS) is before
        assert len(world.store.appends) == writes

    def test_the_last_sign_of_life_can_be_told(self, world: World) -> None:
        r = world.register(doc(LEASED)).now
        world.pass_time(20)
        world.renew(A)
        heard = world.clock.now_ms
        world.pass_time(10)
        assert abs(world.registry.last_renewed_ms(r) - heard) <= 1
        standing = world.register(doc("e")).now
        assert world.registry.last_renewed_ms(standing) == standing.updated_ms

    def test_registering_again_renews(self, world: World) -> None:
        world.register(doc(LEASED))
        world.pass_time(80)
        world.register(doc(LEASED))
        world.pass_time(80)
        assert world.says("x") == ["a/k1 up"]

    def test_amending_renews_only_when_told(self, world: World) -> None:
        for key, renews in (("k1", True), ("k2", False)):
            world.register(doc(LEASED, key))
            world.pass_time(60)
            world.registry.amend(doc(LEASED, key).id, lambda r: r, CALLER, "m", renews=renews)
            world.settle()
            world.pass_time(60)
            assert world.says("x") == (["a/k1 up"] if renews else [])
            world.deregister(doc(LEASED, key).id)


class TestWhatIsPublishedCounts:
    def test_a_lease_ends_with_the_kind_of_liveness(self, world: World) -> None:
        world.register(doc(LEASED))
        world.register(doc(LEASED, liveness=None))
        world.pass_time(200)
        assert world.says("x") == ["a/k1 up"]
        assert world.registry.leased() == 0

    def test_and_begins_with_it(self, world: World) -> None:
        world.register(doc(LEASED, liveness=None))
        world.pass_time(200)
        world.register(doc(LEASED))
        world.pass_time(92)
        assert world.says("x") == []

    def test_new_terms(self, world: World) -> None:
        world.register(doc(LEASED))
        world.register(doc(LEASED, liveness=Lease(1000, 5000, 5000)))
        world.pass_time(7)
        assert world.says("x") == []

    def test_a_failed_registration_leaves_the_lease_as_it_was(self, world: World) -> None:
        world.register(doc(LEASED))
        world.store.fail = 1
        world.register(doc(LEASED, liveness=Lease(1000, 2000, 2000)))
        world.pass_time(80)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(12)
        assert world.says("x") == []

    def test_a_failed_registration_of_a_lost_one(self, world: World) -> None:
        world.register(doc(BEATING))
        world.pass_time(17)
        world.store.fail = 1
        world.register(doc(BEATING, metadata={"x": "1"}))
        assert world.says("x") == ["b/k1 up lost"]
        world.renew(B)
        assert world.says("x") == ["b/k1 up"]

    def test_a_failed_first_registration_leaves_no_lease(self, world: World) -> None:
        world.store.fail = 1
        world.register(doc(BEATING))
        world.pass_time(40)
        assert world.registry.leased() == 0
        assert world.registry.counters.expired == {}

    def test_heard_of_while_a_change_waits(self, world: World) -> None:
        world.register(doc(BEATING))
        world.pass_time(17)
        with world.slow_store():
            world.amend(B, metadata={"x": "1"})
            world.renew(B)
        world.renew(B)
        assert world.says("x") == ["b/k1 up"]

    def test_nobody_expires_while_a_write_on_it_waits(self, world: World) -> None:
        world.register(doc(LEASED))
        world.pass_time(85)
        with world.slow_store():
            world.amend(A, metadata={"x": "1"})
            world.pass_time(20)
            assert world.says("x") == ["a/k1 up"]
        assert world.view("x")[0].registration.metadata == {"x": "1"}
        world.pass_time(2)
        assert world.says("x") == []

    def test_a_move_keeps_the_lease(self, world: World) -> None:
        world.register(doc(LEASED))
        world.register(doc(LEASED, host="10.0.0.9"))
        assert world.registry.leased() == 1
        world.pass_time(92)
        assert world.registry.snapshot(ORDERS).addresses == {}
        assert world.registry.leased() == 0

    def test_deregistered_is_forgotten(self, world: World) -> None:
        world.register(doc(LEASED))
        world.deregister(A)
        assert world.registry.leased() == 0
        world.pass_time(92)
        assert world.registry.counters.expired == {}


class TestLateRuns:
    @pytest.mark.parametrize("stall_s", [3, 60, 3600, 7 * 86400])
    def test_a_stall_expires_nobody(self, world: World, stall_s: float) -> None:
        world.register(doc(LEASED))
        world.pass_time(60)
        world.stall(stall_s)
        world.pass_time(28)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(4)
        assert world.says("x") == []

    def test_many_stalls_add_up(self, world: World) -> None:
        world.register(doc(LEASED))
        for _ in range(20):
            world.stall(30)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(72)
        assert world.says("x") == []

    def test_who_renews_first_after_a_stall_loses_nothing_by_it(self, world: World) -> None:
        world.register(doc(LEASED))
        world.clock.move(1000)
        world.renew(A)
        world.registry.tick()
        world.pass_time(88)
        assert world.says("x") == ["a/k1 up"]
        world.pass_time(4)
        assert world.says("x") == []

    def test_a_jump_of_the_wall_clock_changes_nothing(self, world: World) -> None:
        world.register(doc(LEASED))
        world.clock.now_ms += 86_400_000
        world.pass_time(89)
        assert world.says("x") == ["a/k1 up"]
        world.clock.now_ms -= 2 * 86_400_000
        world.pass_time(3)
        assert world.says("x") == []

    def test_time_of_leases(self) -> None:
        time = LeaseTime(100.0)
        assert time.advance(101.0) == 101.0
        assert time.now(102.5) == 102.5
        assert time.advance(101.0 + LATE_S) == 101.0 + LATE_S
        assert time.advance(203.0) == pytest.approx(104.0)
        assert time.stalls == 1
        assert time.stalled == pytest.approx(99.0)
        assert time.now(203.5) == pytest.approx(104.5)

    @given(st.lists(st.floats(0.01, 500), max_size=60))
    @settings(max_examples=50, deadline=None)
    def test_it_never_jumps(self, steps: list[float]) -> None:
        time, clock, last = LeaseTime(0.0), 0.0, 0.0
        for i, step in enumerate(steps):
            clock += step
            now = time.advance(clock) if i % 2 else time.now(clock)
            assert last <= now + LATE_S - TICK_S + 1e-6
            assert now - last <= 2 * LATE_S + 1e-6
            last = now


class TestManyAtOnce:
    def test_a_step_looks_at_a_bounded_number(self, world: World) -> None:
        """Five thousand run out in one second: other work gets its turn in between, and all are gone at the end."""
        count = 2 * LEASES_PER_STEP + 1000
        with world.registry.transaction():
            for i in range(count):
                world.registry.register(doc(LEASED, f"k{i}", port=i + 1), CALLER)
        world.settle()
        world.clock.move(1)
        for _ in range(90):
            world.registry.tick()
            world.clock.move(1)
        left = []
        world.registry.tick()
        while world.runs._soon:
            left.append(len(world.registry.snapshot(ORDERS).addresses))
            world.runs._soon.popleft()()
        assert max(left) >= count - LEASES_PER_STEP
        assert len(set(left)) >= 2
        assert not world.registry.snapshot(ORDERS).addresses
        assert world.registry.counters.expired == {LEASED: count}


class TestWheel:
    def overdue(self, wheel: Wheel, now: float, limit: int = 1000) -> list[str]:
        wheel.collect(now)
        return [lease.key for lease in wheel.overdue(now, limit)]

    def test_only_what_ran_out(self) -> None:
        wheel = Wheel(0.0)
        wheel.add(held(0, key="early"))
        wheel.add(held(5, key="late"))
        assert self.overdue(wheel, 89.9) == []
        assert self.overdue(wheel, 91.0) == ["early"]
        assert self.overdue(wheel, 94.9) == []
        assert self.overdue(wheel, 96.0) == ["late"]

    def test_a_renewed_one_is_put_back(self) -> None:
        wheel = Wheel(0.0)
        lease = held(0)
        wheel.add(lease)
        lease.renewed = 50.0
        assert self.overdue(wheel, 100.0) == []
        assert self.overdue(wheel, 141.0) == ["k"]
        assert self.overdue(wheel, 1000.0) == []

    def test_a_limit_leaves_the_rest_for_later(self) -> None:
        wheel = Wheel(0.0)
        for i in range(10):
            wheel.add(held(0, key=str(i)))
        wheel.collect(92.0)
        assert len(list(wheel.overdue(92.0, 4))) == 4
        assert wheel.behind == 6
        assert len(list(wheel.overdue(92.0, 100))) == 6
        assert wheel.behind == 0

    def test_when_it_has_not_turned_for_more_than_a_round(self) -> None:
        wheel = Wheel(0.0)
        for i in range(0, 2 * SLOTS, 100):
            wheel.add(held(float(i), 1, 1, key=str(i)))
        assert len(self.overdue(wheel, 5.0 * SLOTS)) == len(range(0, 2 * SLOTS, 100))

    @given(st.lists(st.tuples(st.floats(0, 2000), st.floats(0.1, 2000)), max_size=30), st.floats(0.3, 1.9))
    @settings(max_examples=40, deadline=None)
    def test_each_once_and_in_time(self, leases: list[tuple[float, float]], step: float) -> None:
        wheel, now, found = Wheel(0.0), 0.0, {}
        begin = sorted(((at, s, str(i)) for i, (at, s) in enumerate(leases)), reverse=True)
        while now < 4100:
            while begin and begin[-1][0] <= now:
                at, length, key = begin.pop()
                wheel.add(held(at, length, length, key=key))
            for key in self.overdue(wheel, now):
                assert key not in found
                found[key] = now
            now += step
        for i, (at, length) in enumerate(leases):
            late = found[str(i)] - (at + length)
            assert 0 <= late <= 1 + 2 * step
