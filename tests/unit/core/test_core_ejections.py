"""Ejections: what everybody sees of an address that nobody should call, and what ends one."""

from __future__ import annotations

import pytest
from msgspec import structs
from world import BEATING, CALLER, CHECKED, LASTING, LEASED, ORDERS, PLACE, STANDING, Ear, World, doc

from polaris_bridge.core.events import TURN_HEALTHY, TURN_UNHEALTHY
from polaris_bridge.core.model import AddressKey, Ejection, ServiceKey

BY_RULE = Ejection("r1", "no 500", "5 errors in a row")
ELSEWHERE = AddressKey("10.0.0.9", 1)


def put(world: World, ejection: Ejection | None, place: AddressKey = PLACE) -> None:
    world.registry.ejections.put(ORDERS, {place: ejection})
    world.settle()


def told(*sources: str) -> World:
    world = World()
    for source in sources:
        world.register(doc(source))
    return world


class TestViews:
    @pytest.mark.parametrize("reader", [LEASED, BEATING, "x"])
    def test_everybody_sees_it_as_lost_and_down(self, reader: str) -> None:
        world = told(LEASED, BEATING)
        before = world.says(reader)
        put(world, BY_RULE)
        assert [s.ejection for s in world.view(reader)] == [BY_RULE]
        assert world.says(reader) == [said.replace(" up", " down lost") for said in before]
        put(world, None)
        assert world.says(reader) == before

    def test_what_is_withdrawn_stays_so(self) -> None:
        world = told(LASTING)
        world.switch("console")
        put(world, BY_RULE)
        assert world.says("x") == [f"{LASTING}/k1 out_of_service lost"]
        world.switch("console", on=False)
        assert world.says("x") == [f"{LASTING}/k1 down lost"]

    def test_the_hash_of_the_content_knows(self) -> None:
        world = told(STANDING)
        before = world.registry.snapshot(ORDERS).content_hash
        put(world, BY_RULE)
        assert world.registry.snapshot(ORDERS).content_hash != before
        put(world, None)
        assert world.registry.snapshot(ORDERS).content_hash == before


class TestPublication:
    def test_watchers_wake_and_the_revision_moves_once_for_all_of_a_service(self) -> None:
        world = told(STANDING)
        world.register(doc(STANDING, "k2", host=ELSEWHERE.host, port=ELSEWHERE.port))
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        before = world.registry.revision
        world.registry.ejections.put(ORDERS, {PLACE: BY_RULE, ELSEWHERE: BY_RULE})
        world.settle()
        assert ear.fired == 1
        assert world.registry.revision > before
        assert set(world.registry.ejections.of(ORDERS)) == {PLACE, ELSEWHERE}

    def test_the_same_again_is_no_change(self) -> None:
        world = told(STANDING)
        put(world, BY_RULE)
        before = world.registry.revision
        put(world, structs.replace(BY_RULE))
        assert world.registry.revision == before

    def test_nothing_is_stored(self) -> None:
        world = told(STANDING)
        written = len(world.store.appends)
        put(world, BY_RULE)
        assert len(world.store.appends) == written
        world.restart()
        assert world.says("x") == [f"{STANDING}/k1 up"]

    def test_what_is_not_there_is_not_ejected(self) -> None:
        world = told(STANDING)
        put(world, BY_RULE, ELSEWHERE)
        world.registry.ejections.put(named("nobody"), {PLACE: BY_RULE})
        assert world.registry.ejections.of(ORDERS) == {}

    def test_it_is_told_as_events_and_recorded(self) -> None:
        world = told(STANDING)
        events: list[str] = []
        records: list[tuple[str, str, str]] = []
        world.registry.events.append(lambda event: events.append(event.kind))
        world.registry.operations.append(lambda r: records.append((r.operation, r.name, r.detail)))
        put(world, BY_RULE)
        put(world, None)
        assert events == [TURN_UNHEALTHY, TURN_HEALTHY]
        detail = "r1 no 500: 5 errors in a row"
        assert records == [("eject", "10.0.0.1:8080", detail), ("readmit", "10.0.0.1:8080", detail)]


class TestPendingCommands:
    def test_one_that_waits_for_the_store_does_not_undo_it(self) -> None:
        world = told(STANDING)
        with world.slow_store():
            world.registry.amend(doc(STANDING).id, lambda r: structs.replace(r, weight=7), CALLER, "amend")
            world.settle()
            put(world, BY_RULE)
            assert world.says("x") == [f"{STANDING}/k1 down lost"]
        assert world.says("x") == [f"{STANDING}/k1 down lost"]
        assert world.view("x")[0].registration.weight == 7

    def test_nor_does_one_that_fails(self) -> None:
        world = told(STANDING)
        world.store.hold = True
        world.registry.amend(doc(STANDING).id, lambda r: structs.replace(r, weight=7), CALLER, "amend")
        world.settle()
        put(world, BY_RULE)
        world.fail_all()
        assert world.says("x") == [f"{STANDING}/k1 down lost"]
        assert world.view("x")[0].registration.weight == 100

    def test_a_pending_end_is_an_end(self) -> None:
        world = told(STANDING)
        with world.slow_store():
            world.registry.deregister(doc(STANDING).id, CALLER)
            world.settle()
            put(world, BY_RULE)
        assert world.says("x") == []
        world.register(doc(STANDING))
        assert world.says("x") == [f"{STANDING}/k1 up"]


class TestEnds:
    def test_registering_again_does_not_end_it(self) -> None:
        world = told(STANDING)
        put(world, BY_RULE)
        world.register(doc(STANDING, weight=3))
        world.register(doc(LEASED))
        assert world.says("x") == [f"{LEASED}/k1 down lost"]

    def test_nor_does_a_check_or_a_heartbeat(self) -> None:
        world = told(CHECKED, LASTING)
        put(world, BY_RULE)
        world.renew(doc(LASTING).id)
        world.registry.set_check(doc(CHECKED).id, "web", "passing")
        world.settle()
        assert world.registry.ejections.of(ORDERS) == {PLACE: BY_RULE}

    def test_the_last_registration_takes_it_along(self) -> None:
        world = told(STANDING)
        put(world, BY_RULE)
        world.switch("console", lingers=True)
        world.deregister(doc(STANDING).id)
        world.register(doc(STANDING))
        assert world.registry.ejections.of(ORDERS) == {}

    def test_expiry_too(self) -> None:
        world = told(BEATING)
        put(world, BY_RULE)
        world.pass_time(40)
        world.register(doc(BEATING))
        assert world.says("x") == [f"{BEATING}/k1 up"]


def named(name: str) -> ServiceKey:
    """A service of the same namespace."""
    return ORDERS._replace(name=name)
