"""Commit, then publish: batches, failures, the queue, transactions, revisions across crashes."""

from __future__ import annotations

import pytest
from msgspec import structs
from world import BEATING, CALLER, CONNECTED, LEASED, NAMESPACE, ORDERS, PLACE, Ear, Fate, World, doc

from polaris_bridge.core.batches import SETTLED, BatchTerms
from polaris_bridge.core.errors import Busy, Conflict, NotFound, Unavailable
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.ledger import REVISION_BLOCK
from polaris_bridge.core.model import (
    CRITICAL,
    UP,
    AddressKey,
    Caller,
    Checks,
    NamespaceRecord,
    RegistrationKey,
    ServiceKey,
    ServiceRecord,
    Switch,
)
from polaris_bridge.core.ports import TABLES
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.core.terms import Terms


def world_with(**batch: object) -> World:
    return World(Terms(batch=BatchTerms(**batch), protection=ProtectionTerms(enabled=False)))  # type: ignore[arg-type]


@pytest.fixture
def world() -> World:
    return world_with()


def ask(world: World, n: int, source: str = LEASED) -> Fate:
    """A registration that nothing has settled yet."""
    return Fate(world.registry.register(doc(source, f"k{n}", port=n + 1), CALLER).commit)


def standing(world: World) -> list[int]:
    return sorted(place.port for place in world.registry.snapshot(ORDERS).addresses)


class TestGroupCommit:
    def test_many_commands_one_write(self, world: World) -> None:
        fates = [ask(world, n) for n in range(50)]
        assert [f.result for f in fates] == [None] * 50
        world.settle()
        assert [f.result for f in fates] == ["ok"] * 50
        assert len(world.store.appends) == 1

    def test_an_idle_writer_begins_at_once_and_the_rest_waits_together(self, world: World) -> None:
        world.store.hold = True
        first = ask(world, 0)
        world.settle()
        later = [ask(world, n) for n in range(1, 20)]
        world.settle()
        assert len(world.store.asked) == 1
        world.store.answer()
        assert first.result == "ok"
        world.settle()
        assert len(world.store.asked) == 1
        world.store.answer()
        assert {f.result for f in later} == {"ok"}

    def test_a_batch_is_bounded(self) -> None:
        world = world_with(max_batch_count=8)
        for n in range(20):
            ask(world, n)
        world.settle()
        sizes = [sum(row.table == "registration" for row in rows) for rows in world.store.appends]
        assert sizes == [8, 8, 4]

    def test_nothing_is_seen_before_it_is_durable_and_then_all_of_it(self, world: World) -> None:
        seen: list[int] = []
        with world.slow_store():
            for n in range(3):
                ask(world, n)
            assert standing(world) == []
            assert world.registry.registration(doc(LEASED, "k0").id) is None
            assert world.registry.newest(doc(LEASED, "k0").id) is not None
            world.registry.observe(lambda published: seen.append(len(world.registry.snapshot(ORDERS).addresses)))
        assert seen == [3]

    def test_the_caller_is_told_after_readers_can_see_it(self, world: World) -> None:
        found: list[list[int]] = []
        done = world.registry.register(doc(LEASED), CALLER)
        done.commit.then(lambda error: found.append(standing(world)))
        world.settle()
        assert found == [[8080]]
        done.commit.then(lambda error: found.append([]))
        assert found[-1] == [], "who asks later is told at once"

    def test_later_commands_build_on_uncommitted_ones(self, world: World) -> None:
        with world.slow_store():
            assert ask(world, 0).result is None
            again = world.registry.register(doc(LEASED, "k0", port=1, metadata={"x": "1"}), CALLER)
            assert again.before is not None
            world.settle()
            amended = world.registry.amend(
                again.now.id, lambda r: structs.replace(r, metadata={**r.metadata, "y": "2"}), CALLER, "m"
            )
            assert amended is not None
            gone = world.registry.deregister(again.now.id, CALLER)
            assert gone is not None
            assert world.registry.deregister(again.now.id, CALLER) is None
            last = world.registry.register(doc(LEASED, "k0", port=5), CALLER)
            assert last.before is None
        assert standing(world) == [5]

    @pytest.mark.parametrize("what", ["deregister", "amend", "switch", "delete"])
    def test_what_changes_nothing_is_not_written(self, world: World, what: str) -> None:
        world.register(doc(LEASED))
        before = len(world.store.appends), world.registry.revision
        nobody = RegistrationKey("z", NAMESPACE, "nobody")
        match what:
            case "deregister":
                assert world.deregister(nobody) is None
            case "amend":
                assert world.amend(nobody, reported="down") is None
            case "switch":
                assert world.switch("z", on=False) is SETTLED
                assert world.switch("z", place=AddressKey("10.9.9.9", 1)) is None
            case "delete":
                assert world.registry.delete_address(ORDERS, AddressKey("10.9.9.9", 1), CALLER) is None
        assert (len(world.store.appends), world.registry.revision) == before
        assert world.registry.ledger.waiting == 0


class TestFailure:
    def test_a_failed_batch_was_never_there(self, world: World) -> None:
        world.register(doc(LEASED))
        before = world.registry.snapshot(ORDERS)
        world.store.fail = 1
        fate = ask(world, 2)
        world.settle()
        assert fate.result == "Unavailable"
        assert world.registry.snapshot(ORDERS) is before
        assert world.registry.newest(doc(LEASED, "k2").id) is None
        assert world.registry.ledger.waiting == 0
        assert isinstance(world.registry.ledger.last_failure, Exception)

    def test_it_takes_all_later_ones_with_it(self) -> None:
        world = world_with(max_batch_count=2)
        world.store.hold = True
        fates = [ask(world, n) for n in range(7)]
        world.fail_all()
        assert [f.result for f in fates] == ["Unavailable"] * 7
        assert standing(world) == []
        assert not world.store.asked
        assert world.store.rows == {}

    def test_and_what_comes_after_works(self) -> None:
        world = world_with(max_batch_count=2)
        world.store.hold = True
        for n in range(7):
            ask(world, n)
        world.fail_all()
        world.store.hold = False
        fate = ask(world, 9)
        world.settle()
        assert fate.result == "ok"
        assert standing(world) == [10]
        assert world.registry.ledger.last_failure is None
        assert world.registry.ledger.failures == 1

    def test_the_next_try_inside_the_answer(self, world: World) -> None:
        results: list[str] = []

        def again(error: Exception | None) -> None:
            results.append(type(error).__name__)
            ask(world, 3)

        world.store.fail = 1
        world.registry.register(doc(LEASED), CALLER).commit.then(again)
        world.settle()
        assert results == ["Unavailable"]
        assert standing(world) == [4]

    def test_of_a_deregistration(self, world: World) -> None:
        world.register(doc(BEATING))
        world.store.fail = 1
        fate = Fate(world.deregister(doc(BEATING).id).commit)  # type: ignore[union-attr]
        assert fate.result == "Unavailable"
        assert world.says("x") == ["b/k1 up"]
        world.pass_time(17)
        assert world.says("x") == ["b/k1 up lost"], "its lease still runs"

    def test_of_a_switch_and_an_operators_delete(self, world: World) -> None:
        world.register(doc(LEASED))
        world.store.fail = 1
        world.switch("z")
        assert world.says("x") == ["a/k1 up"]
        world.store.fail = 1
        world.registry.delete_address(ORDERS, PLACE, CALLER)
        world.settle()
        assert world.says("x") == ["a/k1 up"]

    def test_of_the_first_registration_of_a_name(self, world: World) -> None:
        world.store.fail = 1
        world.register(doc(LEASED, service="New"), exact=True)
        assert world.registry.services() == []
        assert world.registry.namespaces() == []
        assert world.registry.spelling(NAMESPACE, "NEW") == ("new", False)

    def test_reads_go_on(self, world: World) -> None:
        world.register(doc(LEASED))
        world.store.fail = 10
        for n in range(5):
            ask(world, n)
            world.settle()
            assert world.says("x") == ["a/k1 up"]
            assert world.renew(doc(LEASED).id) is not None


class TestWhatNobodyAskedFor:
    def test_is_published_at_once_and_stored_behind(self, world: World) -> None:
        world.registry.open_session("s1")
        world.register(doc(CONNECTED))
        with world.slow_store():
            world.registry.close_session("s1")
            assert world.says("x") == []
            world.settle()
            assert [row.value for row in world.store.asked[0][0]] == [None]
        assert world.restart().snapshot(ORDERS).addresses == {}

    def test_is_written_again_after_a_failure_without_anybody_asking(self, world: World) -> None:
        world.register(doc(LEASED))
        world.store.fail = 1
        world.pass_time(95)
        assert world.says("x") == []
        world.restart()
        assert world.says("x") == []

    def test_survives_the_failure_of_a_write_that_waits(self, world: World) -> None:
        """Expiry while somebody else's change of the same service is at the store and fails."""
        world.register(doc(BEATING))
        world.pass_time(29)
        world.store.hold = True
        fate = ask(world, 1)
        world.pass_time(3)
        assert standing(world) == []
        world.store.fail = 1
        world.store.answer()
        world.store.hold = False
        world.answer_all()
        assert fate.result == "Unavailable"
        assert standing(world) == []
        world.pass_time(1)
        world.restart()
        assert standing(world) == []

    def test_and_its_success(self, world: World) -> None:
        world.register(doc(BEATING))
        world.pass_time(29)
        with world.slow_store():
            ask(world, 1)
            world.pass_time(3)
        assert standing(world) == [2]
        world.restart()
        assert standing(world) == [2]

    def test_a_registration_that_comes_back_wins_over_its_tombstone(self, world: World) -> None:
        world.register(doc(BEATING))
        world.store.fail = 1
        world.pass_time(30.9)
        world.store.fail = 1
        world.pass_time(1)
        assert standing(world) == []
        world.store.fail = 0
        world.register(doc(BEATING))
        world.restart()
        assert standing(world) == [8080]

    def test_the_newest_of_several_unstored_changes_counts(self, world: World) -> None:
        """Lost is at the store, heard of again waits behind it, the store refuses the first."""
        world.register(doc(BEATING))
        world.store.hold = True
        world.pass_time(17)
        world.renew(doc(BEATING).id)
        world.store.hold = False
        world.store.fail = 1
        world.answer_all()
        world.pass_time(1)
        world.restart()
        assert world.says("x") == ["b/k1 up"]

    @pytest.mark.parametrize("sent", [True, False])
    def test_a_switch_that_waits_while_its_address_empties(self, world: World, sent: bool) -> None:
        world.register(doc(LEASED))
        world.pass_time(80)
        with world.slow_store():
            if not sent:
                ask(world, 5, "e")
                world.settle()
            world.switch(LEASED, "k1")
            world.pass_time(12)
            assert PLACE not in world.registry.snapshot(ORDERS).addresses
        world.pass_time(1)
        assert PLACE not in world.registry.snapshot(ORDERS).addresses
        world.restart()
        assert PLACE not in world.registry.snapshot(ORDERS).addresses

    def test_switches_that_end_while_somebody_registers_there(self, world: World) -> None:
        """Their minute is over while the registration that keeps them is written."""
        world.registry.open_session("s1")
        world.register(doc(CONNECTED))
        world.switch("z")
        world.registry.close_session("s1")
        world.pass_time(58)
        with world.slow_store():
            world.register(doc("e"))
            world.pass_time(5)
        assert world.says("e") == ["e/k1 out_of_service"]
        world.restart()
        assert world.says("e") == ["e/k1 out_of_service"]

    def test_a_check_fails_for_too_long_while_a_write_on_it_waits(self, world: World) -> None:
        world.register(doc("f", liveness=Checks({"web": CRITICAL}, deregister_ms=60_000)))
        world.pass_time(58)
        with world.slow_store():
            world.amend(doc("f").id, metadata={"x": "1"})
            world.pass_time(5)
            assert world.says("x") == ["f/k1 down"]
        world.pass_time(2)
        assert world.says("x") == []
        world.restart()
        assert world.says("x") == []

    def test_a_switch_set_again_while_its_address_empties(self, world: World) -> None:
        world.register(doc(LEASED))
        world.switch(LEASED, "k1", word="down")
        world.pass_time(80)
        with world.slow_store():
            ask(world, 5, "e")
            world.settle()
            world.switch(LEASED, "k1", word="starting")
            world.pass_time(12)
        world.restart()
        assert PLACE not in world.registry.snapshot(ORDERS).addresses


class TestQueue:
    def test_full_is_busy_and_changes_nothing(self) -> None:
        world = world_with(queue_size=3)
        world.store.hold = True
        fates = [ask(world, n) for n in range(3)]
        with pytest.raises(Busy):
            ask(world, 3)
        with pytest.raises(Busy):
            world.registry.put_namespace(NamespaceRecord("n"), CALLER)
        world.store.hold = False
        world.answer_all()
        assert {f.result for f in fates} == {"ok"}
        assert standing(world) == [1, 2, 3]
        assert ask(world, 3).result is None
        world.settle()
        assert standing(world) == [1, 2, 3, 4]

    def test_leaving_has_a_queue_of_its_own(self) -> None:
        terms = Terms(batch=BatchTerms(queue_size=3), deregistration=BatchTerms(queue_size=1))
        world = World(terms)
        for n in range(3):
            ask(world, n)
        world.settle()
        world.store.hold = True
        for n in range(3, 6):
            ask(world, n)
        assert world.registry.deregister(doc(LEASED, "k0").id, CALLER) is not None, "who wants to leave is let go"
        with pytest.raises(Busy):
            world.registry.deregister(doc(LEASED, "k1").id, CALLER)
        with pytest.raises(Busy):
            world.registry.delete_address(ORDERS, AddressKey("10.0.0.1", 3), CALLER)
        world.store.hold = False
        world.answer_all()
        assert standing(world) == [2, 3, 4, 5, 6]

    def test_renewals_and_expiry_need_no_place_in_it(self) -> None:
        world = world_with(queue_size=1)
        world.register(doc(BEATING))
        world.store.hold = True
        ask(world, 7)
        assert world.renew(doc(BEATING).id) is not None
        world.pass_time(17)
        assert world.says("x") == ["b/k1 up lost"]

    def test_what_no_writer_took_in_time_fails(self) -> None:
        world = world_with(max_batch_count=1, task_life_s=30.0)
        world.store.hold = True
        fates = [ask(world, n) for n in range(3)]
        world.pass_time(29)
        assert [f.result for f in fates] == [None, None, None]
        world.pass_time(3)
        assert [f.result for f in fates] == [None, "TooLate", "TooLate"], "the one at the store may yet succeed"
        world.store.hold = False
        world.answer_all()
        assert fates[0].result == "ok"
        assert standing(world) == [1]

    def test_unless_it_may_wait_for_ever(self) -> None:
        world = world_with(max_batch_count=1, drop_expired=False)
        world.store.hold = True
        fates = [ask(world, n) for n in range(2)]
        world.pass_time(300)
        assert [f.result for f in fates] == [None, None]

    def test_the_defaults_are_those_of_the_documents(self) -> None:
        assert BatchTerms() == BatchTerms(10240, 128, True, 30.0)


class TestTransactions:
    def test_all_in_one_write(self, world: World) -> None:
        with world.registry.transaction() as commit:
            ask(world, 0)
            ask(world, 1)
            world.registry.put_service(ServiceRecord(NAMESPACE, "other"), CALLER)
        fate = Fate(commit)
        world.settle()
        assert fate.result == "ok"
        assert len(world.store.appends) == 1
        assert standing(world) == [1, 2]

    def test_is_never_split(self) -> None:
        world = world_with(max_batch_count=2)
        ask(world, 100)
        with world.registry.transaction():
            for n in range(10):
                ask(world, n)
        world.settle()
        assert len(world.store.appends) == 1

    def test_or_nothing(self, world: World) -> None:
        records: list[OperationRecord] = []
        world.registry.operations.append(records.append)
        world.register(doc(LEASED))
        world.register(doc(BEATING, "b", port=2))
        world.switch("z", place=AddressKey("10.0.0.1", 2))
        records.clear()
        before = dict(world.registry.snapshot(ORDERS).addresses)
        leased, writes = world.registry.leased(), len(world.store.appends)
        with pytest.raises(Conflict), world.registry.transaction():  # noqa: PT012
            ask(world, 50)
            world.registry.register(doc(LEASED, host="10.0.0.8"), CALLER)
            world.registry.register(doc(LEASED, host="10.0.0.7"), CALLER)
            world.registry.register(doc(LEASED, "new", service="new"), CALLER)
            world.registry.deregister(doc(BEATING, "b").id, CALLER)
            world.registry.switch(ORDERS, AddressKey("10.0.0.7", 8080), Switch("y", "", "down"), CALLER)
            world.registry.put_namespace(NamespaceRecord("n"), CALLER)
            raise Conflict("no")
        assert world.registry.newest(doc(LEASED).id) is before[PLACE].registrations[0]
        assert world.registry.newest(doc(LEASED, "k50").id) is None
        world.settle()
        assert world.registry.snapshot(ORDERS).addresses == before
        assert (world.registry.leased(), len(world.store.appends)) == (leased, writes)
        assert records == []
        assert world.registry.services() == [world.registry.snapshot(ORDERS)]
        assert [n.name for n in world.registry.namespaces()] == [NAMESPACE]
        world.register(doc(LEASED, "k9", port=9))
        assert [r.detail.split()[0] for r in records] == ["a/k9"]
        world.restart()
        assert world.registry.snapshot(ORDERS).addresses.keys() == {*before, AddressKey("10.0.0.1", 9)}

    def test_undone_beside_others_of_its_batch(self, world: World) -> None:
        kept = ask(world, 0)
        with pytest.raises(KeyError), world.registry.transaction():  # noqa: PT012
            ask(world, 1)
            raise KeyError
        also = ask(world, 2)
        world.settle()
        assert (kept.result, also.result) == ("ok", "ok")
        assert standing(world) == [1, 3]

    def test_a_refused_command_undoes_only_itself(self) -> None:
        world = World(Terms(auto_create_service=False))
        with pytest.raises(NotFound):
            world.register(doc(LEASED))
        assert world.registry.namespaces() == [], "the namespace made on the way is undone too"
        world.registry.put_service(ServiceRecord(NAMESPACE, "orders"), CALLER)
        world.register(doc(LEASED))
        assert world.says("x") == ["a/k1 up"]

    def test_the_lease_of_an_undone_registration(self, world: World) -> None:
        world.register(doc(LEASED))
        with pytest.raises(KeyError), world.registry.transaction():  # noqa: PT012
            world.registry.register(doc(LEASED, liveness=doc(BEATING).liveness), CALLER)
            raise KeyError
        world.pass_time(80)
        assert world.says("x") == ["a/k1 up"]


class TestRevisions:
    def test_every_publication_has_a_greater_one(self, world: World) -> None:
        seen: list[int] = []
        world.registry.observe(lambda published: seen.append(published.revision))
        for n in range(5):
            world.register(doc(BEATING, f"k{n}", port=n + 1))
        world.pass_time(40)
        assert len(seen) >= 7
        assert seen == sorted(set(seen))
        assert world.registry.revision == seen[-1]

    def test_a_write_overtaken_by_an_expiry_gets_a_new_one(self, world: World) -> None:
        world.register(doc(BEATING))
        snapshots: list[ServiceSnapshot] = []
        with world.slow_store():
            ask(world, 1)
            world.pass_time(17)
            snapshots.append(world.registry.snapshot(ORDERS))
        snapshots.append(world.registry.snapshot(ORDERS))
        assert snapshots[1].revision > snapshots[0].revision

    @pytest.mark.parametrize("unstored", [False, True])
    def test_none_is_repeated_or_smaller_after_a_crash(self, world: World, unstored: bool) -> None:
        world.register(doc(LEASED))
        world.register(doc(BEATING, "b", port=2))
        world.register(doc(LEASED, "gone", port=3))
        world.deregister(doc(LEASED, "gone").id)
        if unstored:
            world.store.hold = True
            world.pass_time(40)
        scopes = (ORDERS, NAMESPACE, None, ServiceKey(NAMESPACE, "never"), "nowhere")
        before = {scope: world.registry.revision_of(scope) for scope in scopes}
        handed = world.registry.ledger.next_revision()
        world.restart()
        assert all(world.registry.revision_of(scope) >= before[scope] for scope in scopes)
        assert world.registry.ledger.next_revision() > handed
        assert world.registry.revision < 2**53

    def test_who_waits_over_a_restart_with_an_old_revision_hears_of_what_comes(self, world: World) -> None:
        world.register(doc(LEASED))
        since = world.registry.revision
        world.restart()
        ear = Ear(world.registry, ORDERS, again=True)
        ear.arm(since)
        world.pass_time(1)
        world.register(doc(LEASED, "k2", port=2))
        world.pass_time(1)
        assert ear.seen[-1] == world.registry.snapshot(ORDERS).revision

    def test_the_next_block_is_reserved_in_time_without_waiting(self, world: World) -> None:
        ledger = world.registry.ledger
        world.store.refuse_reservations = True
        for _ in range(5):
            for _ in range(REVISION_BLOCK // 2 + 10):
                ledger.next_revision()
            world.register(doc(LEASED))
        assert world.store.reserved >= ledger.next_revision()

    def test_a_store_that_takes_no_reservation_makes_writes_fail(self, world: World) -> None:
        ledger = world.registry.ledger
        world.store.refuse_reservations = True
        with pytest.raises(Unavailable):  # noqa: PT012
            for _ in range(REVISION_BLOCK + 1):
                ledger.next_revision()
        with pytest.raises(Unavailable):
            world.register(doc(LEASED))
        world.store.refuse_reservations = False
        world.register(doc(LEASED))
        assert world.says("x") == ["a/k1 up"]

    def test_rows_carry_them_and_deletions_stay_as_tombstones(self, world: World) -> None:
        world.register(doc(LEASED))
        world.deregister(doc(LEASED).id)
        row = world.store.rows[("registration", LEASED, NAMESPACE, "k1")]
        assert row.value is None
        assert row.revision == world.registry.snapshot(ORDERS).revision
        assert row.changed_ms == world.clock.now_ms
        world.registry.purge(world.clock.now_ms + 1, TABLES)
        assert ("registration", LEASED, NAMESPACE, "k1") not in world.store.rows

    def test_epochs(self, world: World) -> None:
        assert (world.registry.epoch, world.registry.node) == (1, "node-1")
        world.restart()
        assert world.registry.epoch == 2


class TestOperationRecords:
    def test_who_did_what_through_which_protocol_with_what_result(self, world: World) -> None:
        records: list[OperationRecord] = []
        world.registry.operations.append(records.append)
        world.registry.register(doc(LEASED), Caller("wire", "10.0.0.1", "alice"))
        assert records == [], "not before it is durable"
        world.settle()
        assert [(r.operation, r.resource, r.name, r.namespace, r.result) for r in records] == [
            ("register", "instance", "orders", NAMESPACE, "ok")
        ]
        assert (records[0].caller.principal, records[0].caller.protocol) == ("alice", "wire")
        assert "a/k1 10.0.0.1:8080" in records[0].detail

    def test_every_write_has_one(self, world: World) -> None:
        records: list[OperationRecord] = []
        world.registry.operations.append(records.append)
        world.registry.put_namespace(NamespaceRecord("n"), CALLER)
        world.registry.put_namespace(NamespaceRecord("n", "again"), CALLER)
        world.registry.put_service(ServiceRecord("n", "s"), CALLER)
        world.register(doc(LEASED))
        world.amend(doc(LEASED).id, reported="down")
        world.switch("z")
        world.switch("z", on=False)
        world.switch("z", word=UP)
        world.deregister(doc(LEASED).id)
        world.register(doc(BEATING, "b"))
        world.registry.delete_address(ORDERS, PLACE, CALLER)
        world.registry.delete_service(ServiceKey("n", "s"), CALLER)
        world.settle()
        world.registry.delete_namespace("n", CALLER)
        world.settle()
        world.register(doc(BEATING, "b"))
        world.pass_time(32)
        assert [f"{r.resource} {r.operation}" for r in records] == [
            "namespace create", "namespace update", "service create", "instance register", "instance amend",
            "switch isolate", "switch restore", "switch restore", "instance deregister", "instance register",
            "instance delete", "service delete", "namespace delete", "instance register", "instance expire",
        ]  # fmt: skip
        assert {r.result for r in records} == {"ok"}

    def test_a_failure_is_told_as_such(self, world: World) -> None:
        records: list[OperationRecord] = []
        world.registry.operations.append(records.append)
        world.store.fail = 1
        world.register(doc(LEASED))
        assert [r.result for r in records] == ["Unavailable"]


class TestNamespacesAndServices:
    def test_made_on_the_way_and_marked_so(self, world: World) -> None:
        world.registry.register(doc(LEASED), Caller("wire", principal="alice"))
        world.settle()
        record = world.registry.snapshot(ORDERS).record
        assert record is not None
        assert (record.auto_created, record.owners, record.guessed) == (True, "alice", False)
        assert [(n.name, n.auto_created) for n in world.registry.namespaces()] == [(NAMESPACE, True)]

    def test_not_where_it_is_forbidden(self) -> None:
        world = World(Terms(auto_create_namespace=False))
        with pytest.raises(NotFound, match="namespace"):
            world.register(doc(LEASED))
        with pytest.raises(NotFound, match="namespace"):
            world.registry.put_service(ServiceRecord(NAMESPACE, "s"), CALLER)
        world.registry.put_namespace(NamespaceRecord(NAMESPACE), CALLER)
        world.register(doc(LEASED))
        assert world.says("x") == ["a/k1 up"]

    def test_nothing_registers_at_an_alias(self, world: World) -> None:
        world.registry.put_service(ServiceRecord(NAMESPACE, "orders", reference=ServiceKey("o", "s")), CALLER)
        with pytest.raises(Conflict):
            world.register(doc(LEASED))
        world.settle()
        assert world.says("x") == []

    def test_what_is_in_use_cannot_be_deleted(self, world: World) -> None:
        world.register(doc(LEASED))
        with pytest.raises(Conflict):
            world.registry.delete_service(ORDERS, CALLER)
        with pytest.raises(Conflict):
            world.registry.delete_namespace(NAMESPACE, CALLER)
        world.deregister(doc(LEASED).id)
        assert world.registry.delete_service(ORDERS, CALLER) is not None
        assert world.registry.delete_service(ORDERS, CALLER) is None
        assert world.registry.delete_namespace(NAMESPACE, CALLER) is not None
        world.settle()
        assert world.registry.services() == []
        assert world.registry.namespaces() == []
        assert world.registry.delete_namespace(NAMESPACE, CALLER) is None

    def test_creation_time_stays(self, world: World) -> None:
        world.register(doc(LEASED))
        made = world.clock.now_ms
        world.pass_time(5)
        record = world.registry.snapshot(ORDERS).record
        assert record is not None
        world.registry.put_service(structs.replace(record, comment="x"), CALLER)
        r = world.register(doc(LEASED, metadata={"x": "1"})).now
        now = world.registry.snapshot(ORDERS).record
        assert now is not None
        assert (now.created_ms, now.updated_ms, now.comment) == (made, world.clock.now_ms, "x")
        assert (r.created_ms, r.updated_ms) == (made, world.clock.now_ms)

    def test_the_empty_and_unwatched_can_be_forgotten(self, world: World) -> None:
        world.register(doc(LEASED))
        before = world.registry.revision_of(ORDERS)
        world.deregister(doc(LEASED).id)
        assert world.registry.forget_absent() == 0, "its record stays"
        world.registry.delete_service(ORDERS, CALLER)
        world.settle()
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        assert world.registry.forget_absent() == 0, "somebody waits for it"
        ear.watcher.cancel()
        with world.slow_store():
            world.register(doc(LEASED))
            assert world.registry.forget_absent() == 0, "somebody is registering"
        assert world.says("x") == ["a/k1 up"]
        world.deregister(doc(LEASED).id)
        world.registry.delete_service(ORDERS, CALLER)
        world.settle()
        assert world.registry.forget_absent() == 1
        assert world.registry.revision_of(ORDERS) >= before
        world.register(doc(LEASED))
        assert world.registry.spelling(NAMESPACE, "ORDERS") == ("orders", True)
