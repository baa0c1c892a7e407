"""Watch: nobody misses a change, nobody is told twice, nobody is told for nothing."""

from __future__ import annotations

import pytest
from world import CALLER, LEASED, NAMESPACE, ORDERS, Ear, World, doc

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.watching import MIN_INTERVAL_S, Scope

OTHER = ServiceKey(NAMESPACE, "billing")


@pytest.fixture
def world() -> World:
    world = World()
    world.register(doc(LEASED))
    return world


def change(world: World, n: int = 0, **where: str) -> None:
    world.register(doc(LEASED, f"n{n}", port=9000 + n, **where))


class TestScopes:
    @pytest.mark.parametrize(
        ("scope", "fired"),
        [(ORDERS, 1), (NAMESPACE, 1), (None, 1), (OTHER, 0), ("elsewhere", 0), (ServiceKey("elsewhere", "orders"), 0)],
    )
    def test_a_change_wakes_whose_scope_holds_it(self, world: World, scope: Scope, fired: int) -> None:
        ear = Ear(world.registry, scope)
        ear.arm()
        change(world)
        assert ear.fired == fired
        assert len(world.registry.watches) == 1 - fired

    def test_what_does_not_exist_yet_can_be_watched(self, world: World) -> None:
        ear = Ear(world.registry, OTHER)
        ear.arm(world.registry.snapshot(OTHER).revision)
        world.settle()
        assert ear.fired == 0
        change(world, service="billing")
        assert ear.fired == 1

    def test_attributes_of_a_service_are_changes(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        record = world.registry.snapshot(ORDERS).record
        assert record is not None
        world.registry.put_service(record, CALLER)
        world.settle()
        assert ear.fired == 1

    def test_a_failed_write_wakes_nobody(self, world: World) -> None:
        ear = Ear(world.registry, None)
        ear.arm()
        world.store.fail = 1
        change(world)
        world.pass_time(1)
        assert ear.fired == 0

    def test_nor_does_one_that_is_not_durable_yet(self, world: World) -> None:
        ear = Ear(world.registry, None)
        ear.arm()
        with world.slow_store():
            change(world)
            assert ear.fired == 0
        assert ear.fired == 1


class TestArming:
    def test_with_an_old_revision_fires_soon_but_not_inside_arm(self, world: World) -> None:
        since = world.registry.snapshot(ORDERS).revision
        change(world)
        ear = Ear(world.registry, ORDERS)
        ear.arm(since)
        assert ear.fired == 0
        world.settle()
        assert ear.fired == 1

    def test_with_the_newest_revision_waits(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm(world.registry.snapshot(ORDERS).revision)
        world.pass_time(5)
        assert ear.fired == 0

    def test_fires_once_and_is_gone(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        for n in range(3):
            change(world, n)
            world.pass_time(1)
        assert ear.fired == 1
        assert len(world.registry.watches) == 0

    def test_twice_is_once(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        ear.arm()
        change(world)
        world.pass_time(1)
        assert ear.fired == 1

    def test_again_inside_the_firing(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS, again=True)
        ear.arm()
        for n in range(5):
            change(world, n)
            world.pass_time(1)
        assert ear.fired == 5
        assert ear.seen == sorted(set(ear.seen))

    def test_again_inside_the_firing_with_a_stale_revision(self, world: World) -> None:
        """A reader that armed with what it had read before the change is told at once that there is more."""
        old = world.registry.snapshot(ORDERS).revision
        fired = []

        def fire() -> None:
            fired.append(world.registry.snapshot(ORDERS).revision)
            if len(fired) < 3:
                watcher.arm(old)

        watcher = world.registry.watches.watcher((ORDERS,), fire, min_interval_s=0)
        watcher.arm(old)
        change(world)
        assert len(fired) == 3

    def test_a_change_before_the_soon_of_arming_is_told_once(self, world: World) -> None:
        since = world.registry.snapshot(ORDERS).revision
        change(world, 1)
        ear = Ear(world.registry, ORDERS, again=True)
        world.registry.register(doc(LEASED, "n2", port=9002), CALLER)
        ear.arm(since)
        world.settle()
        world.pass_time(1)
        assert ear.seen[-1] == world.registry.snapshot(ORDERS).revision
        assert ear.seen == sorted(set(ear.seen))

    @pytest.mark.parametrize("min_interval_s", [0.0, MIN_INTERVAL_S])
    @pytest.mark.parametrize("scopes", [(ORDERS, OTHER), (ORDERS, NAMESPACE), (ORDERS, None), (NAMESPACE, None)])
    def test_several_scopes_in_one_publication(
        self, world: World, scopes: tuple[Scope, ...], min_interval_s: float
    ) -> None:
        ear = Ear(world.registry, *scopes, again=True, min_interval_s=min_interval_s)
        ear.arm()
        with world.registry.transaction():
            world.registry.register(doc(LEASED, "n1", port=9001), CALLER)
            world.registry.register(doc(LEASED, "n2", port=9002, service="billing"), CALLER)
        world.settle()
        world.pass_time(1)
        assert ear.fired == 1

    def test_after_something_was_published_past_a_waiting_write(self, world: World) -> None:
        """The write was computed first and published last: who read in between must hear of it."""
        world.register(doc("b", "silent", port=7000, service="billing"))
        with world.slow_store():
            change(world)
            world.pass_time(17)
            seen = {scope: world.registry.revision_of(scope) for scope in (ORDERS, NAMESPACE, None)}
        ears = {scope: Ear(world.registry, scope) for scope in seen}
        for scope, ear in ears.items():
            ear.arm(seen[scope])
        world.settle()
        assert [ear.fired for ear in ears.values()] == [1, 1, 1]


class TestCancelling:
    def test_never_fires_again(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        ear.watcher.cancel()
        change(world)
        world.pass_time(1)
        assert ear.fired == 0
        assert len(world.registry.watches) == 0

    def test_between_arming_and_the_soon(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS)
        ear.arm(0)
        ear.watcher.cancel()
        world.pass_time(1)
        assert ear.fired == 0

    def test_of_others_inside_a_firing(self, world: World) -> None:
        ears = [Ear(world.registry, ORDERS) for _ in range(3)]
        told = []

        def fire() -> None:
            told.append(1)
            for ear in ears:
                ear.watcher.cancel()

        first = world.registry.watches.watcher((ORDERS,), fire)
        first.arm(world.registry.revision)
        for ear in ears:
            ear.arm()
        change(world)
        world.pass_time(1)
        assert told == [1]
        assert [ear.fired for ear in ears] == [0, 0, 0]

    def test_of_itself_inside_its_firing(self, world: World) -> None:
        fired = []

        def fire() -> None:
            fired.append(1)
            watcher.cancel()
            watcher.arm(0)

        watcher = world.registry.watches.watcher((ORDERS,), fire)
        watcher.arm(world.registry.revision)
        change(world)
        world.pass_time(1)
        assert fired == [1]

    def test_while_it_waits_for_its_interval(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS, again=True)
        ear.arm()
        change(world, 1)
        change(world, 2)
        assert ear.fired == 1
        ear.watcher.cancel()
        world.pass_time(1)
        assert ear.fired == 1


class TestInterval:
    def test_the_first_at_once_later_ones_merged(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS, again=True)
        ear.arm()
        for n in range(10):
            change(world, n)
        assert ear.fired == 1, "the first change at once"
        world.clock.move(MIN_INTERVAL_S - 0.001)
        world.settle()
        assert ear.fired == 1
        world.clock.move(0.002)
        world.settle()
        assert ear.fired == 2, "nine changes are one"
        assert ear.seen[-1] == world.registry.snapshot(ORDERS).revision
        world.pass_time(1)
        assert ear.fired == 2

    def test_after_a_pause_the_next_is_told_at_once_again(self, world: World) -> None:
        ear = Ear(world.registry, ORDERS, again=True, min_interval_s=2.0)
        ear.arm()
        change(world, 1)
        world.pass_time(3)
        change(world, 2)
        assert ear.fired == 2

    def test_each_watcher_has_its_own(self, world: World) -> None:
        quick = Ear(world.registry, ORDERS, again=True, min_interval_s=0)
        slow = Ear(world.registry, ORDERS, again=True, min_interval_s=10)
        quick.arm()
        slow.arm()
        for n in range(4):
            change(world, n)
            world.pass_time(1)
        assert (quick.fired, slow.fired) == (4, 1)
        world.pass_time(10)
        assert (quick.fired, slow.fired) == (4, 2)
        assert quick.seen[-1] == slow.seen[-1]


class TestCrowds:
    def test_ten_thousand_watchers_of_one_service(self, world: World) -> None:
        ears = [Ear(world.registry, ORDERS) for _ in range(10_000)]
        bystanders = [Ear(world.registry, OTHER) for _ in range(100)]
        for ear in ears + bystanders:
            ear.arm()
        assert len(world.registry.watches) == 10_100
        change(world)
        assert all(ear.fired == 1 for ear in ears)
        assert all(ear.fired == 0 for ear in bystanders)
        assert len(world.registry.watches) == 100
        snapshot = world.registry.snapshot(ORDERS)
        assert {ear.seen[0] for ear in ears} == {snapshot.revision}

    def test_who_wakes_reads_the_newest(self, world: World) -> None:
        """Publish, then notify: whatever a watcher reads inside its firing is already the new state."""
        found = []
        watcher = world.registry.watches.watcher(
            (ORDERS,), lambda: found.append(world.registry.registration(doc(LEASED, "n7").id))
        )
        watcher.arm(world.registry.revision)
        change(world, 7)
        assert found[0] is not None

    def test_derived_state_is_in_step_when_watchers_run(self, world: World) -> None:
        order: list[str] = []
        watcher = world.registry.watches.watcher((None,), lambda: order.append("watcher"))
        watcher.arm(world.registry.revision)
        world.registry.observe(lambda published: order.append("observer"))
        world.registry.events.append(lambda event: order.append("event"))
        done = world.registry.register(doc(LEASED, "n1", port=9001), CALLER)
        done.commit.then(lambda error: order.append("caller"))
        world.settle()
        assert order.index("observer") < order.index("watcher") < order.index("caller")

    def test_a_failing_sink_keeps_nobody_from_being_told(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        def broken(what: object) -> None:
            raise OSError("disk full")

        ear = Ear(world.registry, ORDERS)
        ear.arm()
        world.registry.events.append(broken)
        world.registry.observe(broken)
        world.registry.operations.append(broken)
        done = world.registry.register(doc(LEASED, "n1", port=9001), CALLER)
        told: list[object] = []
        done.commit.then(broken)
        done.commit.then(told.append)
        world.settle()
        assert ear.fired == 1
        assert told == [None]
        assert "disk full" in caplog.text

    def test_shutdown_wakes_everybody_at_once(self, world: World) -> None:
        ears = [Ear(world.registry, scope) for scope in (ORDERS, OTHER, NAMESPACE, None)]
        busy = Ear(world.registry, ORDERS, again=True, min_interval_s=100)
        busy.arm()
        change(world)
        for ear in ears:
            ear.arm()
        world.registry.release_watchers()
        assert [ear.fired for ear in ears] == [1, 1, 1, 1]
        assert busy.fired >= 2
