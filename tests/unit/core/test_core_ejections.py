"""Ejections: what everybody sees of an address that nobody should call, and what ends one."""

from __future__ import annotations

import logging

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
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


STEPS = ("come", "come", "come", "go", "eject", "eject", "readmit", "hold", "hold", "answer", "fail", "restart")


class Machine(RuleBasedStateMachine):
    """Registrations come and go, at once or behind a slow store, while addresses are ejected and readmitted."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.standing: dict[int, set[str]] = {}
        """By port, what is registered as readers see it."""
        self.ejected: set[int] = set()
        self.pending: list[tuple[bool, int, str]] = []
        self.uncertain: set[int] = set()
        logging.disable(logging.CRITICAL)

    def teardown(self) -> None:
        logging.disable(logging.NOTSET)

    def apply(self, standing: dict[int, set[str]], come: bool, port: int, key: str) -> None:
        here = standing.setdefault(port, set())
        (here.add if come else here.discard)(key)

    def become(self) -> None:
        """Everything that waited is true."""
        for come, port, key in self.pending:
            self.apply(self.standing, come, port, key)
            if not self.standing[port]:
                self.ejected.discard(port)
        self.pending.clear()

    def command(self, come: bool, port: int, key: str) -> None:
        r = doc(STANDING, f"{key}{port}", port=port, metadata={"n": str(len(self.pending))})
        if come:
            self.world.registry.register(r, CALLER)
        elif self.world.registry.deregister(r.id, CALLER) is None:
            return
        self.world.settle()
        self.pending.append((come, port, key))
        if not self.world.store.hold:
            self.become()

    @rule(what=st.sampled_from(STEPS), port=st.integers(1, 3), key=st.sampled_from("ab"))
    def step(self, what: str, port: int, key: str) -> None:
        """One rule for all: the library would leave some of several out of most runs."""
        match what:
            case "come" | "go":
                self.command(what == "come", port, key)
            case "eject" | "readmit":
                self.eject(port, what == "eject")
            case "hold":
                self.world.store.hold = True
            case "answer" | "fail":
                self.answer(what == "fail")
            case _:
                self.restart()

    def eject(self, port: int, on: bool) -> None:
        if self.standing.get(port):
            (self.ejected.add if on else self.ejected.discard)(port)
            meanwhile = {at: set(keys) for at, keys in self.standing.items()}
            for op in self.pending:
                self.apply(meanwhile, *op)
                if not meanwhile.get(port):  # who registers after that may or may not be the one that was ejected
                    self.uncertain.add(port)
        put(self.world, BY_RULE if on else None, AddressKey("10.0.0.1", port))

    def answer(self, fails: bool) -> None:
        self.world.store.hold = False
        if fails and self.world.store.asked:
            self.world.fail_all()
            self.pending.clear()
        self.world.answer_all()
        self.become()

    def restart(self) -> None:
        self.world.store.hold = False
        self.world.answer_all()
        self.become()
        self.world.restart()
        self.ejected.clear()
        self.uncertain.clear()

    @invariant()
    def it_is_as_expected(self) -> None:
        addresses = self.world.registry.snapshot(ORDERS).addresses
        assert {p.port for p in addresses} == {port for port, keys in self.standing.items() if keys}
        found = {p.port for p, address in addresses.items() if address.ejection is not None}
        for port in self.uncertain:
            (self.ejected.add if port in found else self.ejected.discard)(port)
        if not self.pending:
            self.uncertain.clear()
        assert found == self.ejected == {p.port for p in self.world.registry.ejections.of(ORDERS)}


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
