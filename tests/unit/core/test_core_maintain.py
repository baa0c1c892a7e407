"""Maintain jobs: they remove what is due, and nothing that is wanted."""

from __future__ import annotations

import pytest
from world import BEATING, CALLER, LASTING, LEASED, NAMESPACE, ORDERS, STANDING, Ear, World, doc

from polaris_bridge.core.maintain import (
    PER_RUN,
    CleanDeletedInstances,
    DeleteEmptyAutoCreatedService,
    DeleteUnHealthyInstance,
    Job,
)
from polaris_bridge.core.model import ServiceKey, ServiceRecord


@pytest.fixture
def world() -> World:
    return World()


def run(world: World, job: Job) -> int:
    done = job.run(world.registry)
    world.settle()
    return done


def standing(world: World) -> list[str]:
    return sorted(r.source for a in world.registry.snapshot(ORDERS).addresses.values() for r in a.registrations)


class TestUnhealthy:
    def test_only_those_silent_for_long_enough(self, world: World) -> None:
        job = DeleteUnHealthyInstance(60_000)
        world.register(doc(LASTING))
        world.register(doc(LASTING, "k2", port=2))
        world.register(doc(STANDING))
        world.keep(30, doc(LASTING, "k2").id)
        assert run(world, job) == 0
        world.keep(50, doc(LASTING, "k2").id)
        assert standing(world) == [LASTING, LASTING, STANDING]
        assert run(world, job) == 1
        assert standing(world) == [LASTING, STANDING]
        assert run(world, job) == 0
        world.restart()
        assert standing(world) == [LASTING, STANDING]

    def test_who_was_heard_of_begins_anew(self, world: World) -> None:
        world.register(doc(LASTING))
        world.pass_time(70)
        world.renew(doc(LASTING).id)
        world.pass_time(30)
        assert run(world, DeleteUnHealthyInstance(60_000)) == 0

    def test_no_copies_for_these_go_with_their_origin(self, world: World) -> None:
        world.register(doc(LASTING, copied_from="elsewhere"))
        world.pass_time(200)
        assert run(world, DeleteUnHealthyInstance(60_000)) == 0

    def test_not_what_self_protection_holds(self, world: World) -> None:
        for i in range(10):
            world.register(doc(LEASED, f"k{i}", port=i + 1))
        world.pass_time(200)
        assert run(world, DeleteUnHealthyInstance(60_000)) == 0

    def test_so_many_at_a_time(self, world: World) -> None:
        with world.registry.transaction():
            for i in range(PER_RUN + 10):
                world.registry.register(doc(LASTING, f"k{i}", port=i + 1), CALLER)
        world.settle()
        world.pass_time(80)
        job = DeleteUnHealthyInstance(60_000)
        assert [run(world, job) for _ in range(3)] == [PER_RUN, 10, 0]


class TestEmptyServices:
    def test_made_on_the_way_and_empty_for_long_enough(self, world: World) -> None:
        job = DeleteEmptyAutoCreatedService(60_000)
        world.register(doc(BEATING))
        world.registry.put_service(ServiceRecord(NAMESPACE, "wanted"), CALLER)
        world.settle()
        world.deregister(doc(BEATING).id)
        assert run(world, job) == 0
        world.pass_time(59)
        assert run(world, job) == 0
        world.pass_time(2)
        assert run(world, job) == 1
        assert [s.key.name for s in world.registry.services()] == ["wanted"]

    def test_not_one_that_is_used_again(self, world: World) -> None:
        job = DeleteEmptyAutoCreatedService(60_000)
        world.register(doc(STANDING))
        world.deregister(doc(STANDING).id)
        run(world, job)
        world.register(doc(STANDING))
        world.pass_time(70)
        assert run(world, job) == 0
        world.deregister(doc(STANDING).id)
        assert run(world, job) == 0, "empty only since just now"

    def test_not_one_that_is_being_registered_at(self, world: World) -> None:
        job = DeleteEmptyAutoCreatedService(60_000)
        world.register(doc(STANDING))
        world.deregister(doc(STANDING).id)
        run(world, job)
        world.pass_time(70)
        with world.slow_store():
            world.register(doc(STANDING))
            run(world, job)
        assert standing(world) == [STANDING]
        assert world.registry.snapshot(ORDERS).record is not None


class TestDeleted:
    def test_tombstones_leave_the_store(self, world: World) -> None:
        job = CleanDeletedInstances(60_000)
        world.register(doc(STANDING))
        world.register(doc(STANDING, "k2", port=2))
        world.deregister(doc(STANDING).id)
        run(world, job)
        assert sum(row.value is None for row in world.store.rows.values()) == 1
        world.pass_time(61)
        run(world, job)
        assert sum(row.value is None for row in world.store.rows.values()) == 0
        world.restart()
        assert standing(world) == [STANDING]

    def test_and_names_nobody_uses_leave_memory(self, world: World) -> None:
        world.register(doc(STANDING))
        revision = world.registry.snapshot(ORDERS).revision
        world.deregister(doc(STANDING).id)
        world.registry.delete_service(ORDERS, CALLER)
        world.settle()
        assert run(world, CleanDeletedInstances(0)) == 1
        assert list(world.registry) == []
        assert world.registry.snapshot(ORDERS).revision > revision, "who saw it full does not take it for unchanged"
        ear = Ear(world.registry, ServiceKey(NAMESPACE, "orders"))
        ear.arm()
        world.register(doc(STANDING))
        assert ear.fired == 1
