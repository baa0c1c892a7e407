"""Snapshots: immutable, and with a hash that is equal exactly when what readers can see is."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct
from world import BEATING, CALLER, CHECKED, CONNECTED, LEASED, NAMESPACE, ORDERS, PLACE, World, doc

from polaris_bridge.core.model import CRITICAL, PASSING, Checks, Location, Port, Registration, ServiceKey, Session
from polaris_bridge.core.snapshot import absent


class Ext(Struct, frozen=True):
    """Attributes of a made-up protocol."""

    vip: str = ""


def with_documents(*documents: Registration) -> World:
    world = World()
    for r in documents:
        world.register(r)
        world.clock.move(0.1)
    return world


def hash_of(*documents: Registration) -> str:
    return with_documents(*documents).registry.snapshot(ORDERS).content_hash


CHANGES: list[dict[str, Any]] = [
    {"host": "10.0.0.2"}, {"port": 81}, {"vpc": "v"}, {"reported": "down"}, {"protocol": "http"}, {"version": "2"},
    {"weight": 50}, {"priority": 1}, {"logic_set": "s"}, {"ports": (Port("admin", 81),)}, {"metadata": {"x": "1"}},
    {"tags": ("t",)}, {"location": Location("r", "z")}, {"cluster": "c"}, {"ephemeral": False},
    {"copied_from": "elsewhere"}, {"ext": Ext("v")}, {"key": "k2"}, {"source": "z"},
]  # fmt: skip


class TestHash:
    def test_its_form(self) -> None:
        assert len(hash_of(doc(LEASED))) == 40
        assert int(hash_of(doc(LEASED)), 16)

    @pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
    def test_every_field_of_a_document_counts(self, change: dict[str, Any]) -> None:
        fields = {"source": LEASED, "key": "k1"} | change
        source, key = fields.pop("source"), fields.pop("key")
        changed = doc(source, key, **{"liveness": doc(LEASED).liveness} | fields)
        assert hash_of(changed) != hash_of(doc(LEASED))
        assert hash_of(changed) == hash_of(changed)

    def test_order_of_keys_and_of_addresses_does_not(self) -> None:
        one = [doc(LEASED, metadata={"a": "1", "b": "2"}), doc(LEASED, "k2", port=1)]
        two = [doc(LEASED, "k2", port=1), doc(LEASED, metadata={"b": "2", "a": "1"})]
        assert hash_of(*one) == hash_of(*two)

    def test_times_do_not(self) -> None:
        world = with_documents(doc(LEASED))
        before = world.registry.snapshot(ORDERS)
        world.pass_time(10)
        world.register(doc(LEASED))
        after = world.registry.snapshot(ORDERS)
        assert after.revision > before.revision
        assert after.content_hash == before.content_hash

    def test_losing_and_coming_back(self) -> None:
        world = with_documents(doc(BEATING))
        before = world.registry.snapshot(ORDERS).content_hash
        world.pass_time(17)
        lost = world.registry.snapshot(ORDERS).content_hash
        world.renew(doc(BEATING).id)
        assert lost != before
        assert world.registry.snapshot(ORDERS).content_hash == before

    def test_who_changed_last_counts_because_others_are_shown_that_one(self) -> None:
        a, b = doc(LEASED), doc("e", "e1")
        world = with_documents(a, b)
        before = world.registry.snapshot(ORDERS).content_hash
        assert world.says("x") == ["e/e1 up"]
        world.register(doc(LEASED, metadata={"x": "1"}))
        world.register(a)
        assert world.says("x") == ["a/k1 up"]
        assert world.registry.snapshot(ORDERS).content_hash != before

    def test_ids_of_one_protocol_in_any_order_are_the_same_to_everybody(self) -> None:
        assert hash_of(doc(LEASED, "k1"), doc(LEASED, "k2")) == hash_of(doc(LEASED, "k2"), doc(LEASED, "k1"))

    def test_the_connection_that_holds_it_is_not_visible(self) -> None:
        world = World()
        for session in ("s1", "s2"):
            world.registry.open_session(session)
        world.register(doc(CONNECTED, liveness=Session("s1")))
        before = world.registry.snapshot(ORDERS).content_hash
        world.register(doc(CONNECTED, liveness=Session("s2")))
        assert world.registry.snapshot(ORDERS).content_hash == before

    def test_a_check_that_failed_and_recovered(self) -> None:
        world = with_documents(doc(CHECKED, liveness=Checks({"web": PASSING})))
        before = world.registry.snapshot(ORDERS).content_hash
        world.registry.set_check(doc(CHECKED).id, "web", CRITICAL)
        failing = world.registry.snapshot(ORDERS).content_hash
        world.pass_time(5)
        world.registry.set_check(doc(CHECKED).id, "web", PASSING)
        world.registry.set_check(doc(CHECKED).id, "web", CRITICAL)
        assert failing != before
        assert world.registry.snapshot(ORDERS).content_hash == failing, "since when it fails is not visible"

    def test_switches(self) -> None:
        one, two = with_documents(doc(LEASED)), with_documents(doc(LEASED))
        plain = one.registry.snapshot(ORDERS).content_hash
        for world, order in ((one, ("y", "z")), (two, ("z", "y"))):
            for source in order:
                world.switch(source)
        switched = one.registry.snapshot(ORDERS).content_hash
        assert switched != plain
        assert two.registry.snapshot(ORDERS).content_hash == switched, "in whatever order they were set"
        for source in ("y", "z"):
            one.switch(source, on=False)
        assert one.registry.snapshot(ORDERS).content_hash == plain

    def test_a_restart_changes_nothing(self) -> None:
        world = with_documents(doc(LEASED, ext=Ext("v")), doc(BEATING, "b"), doc("e", "e1", port=2))
        world.switch("z")
        world.switch("y")
        world.pass_time(17)
        before = world.registry.snapshot(ORDERS).content_hash
        world.restart()
        assert world.registry.snapshot(ORDERS).content_hash == before

    def test_attributes_of_the_service(self) -> None:
        world = with_documents(doc(LEASED))
        before = world.registry.snapshot(ORDERS)
        from msgspec import structs

        assert before.record is not None
        world.registry.put_service(structs.replace(before.record, comment="x"), CALLER)
        world.settle()
        assert world.registry.snapshot(ORDERS).content_hash != before.content_hash
        world.registry.put_service(structs.replace(before.record, comment=""), CALLER)
        world.settle()
        assert world.registry.snapshot(ORDERS).content_hash == before.content_hash


class TestImmutable:
    def test_who_holds_one_sees_it_unchanged(self) -> None:
        world = with_documents(doc(LEASED), doc(BEATING, "b"))
        held = world.registry.snapshot(ORDERS)
        facts = dict(held.addresses)
        address = held.addresses[PLACE]
        world.register(doc(LEASED, metadata={"x": "1"}))
        world.switch("z")
        world.pass_time(32)
        world.deregister(doc(LEASED).id)
        assert held.addresses == facts
        assert held.addresses[PLACE] is address
        assert len(address.registrations) == 2

    def test_also_while_writes_wait_and_fail(self) -> None:
        world = with_documents(doc(LEASED), doc(BEATING, "b"))
        held = world.registry.snapshot(ORDERS)
        facts = dict(held.addresses)
        world.store.hold = True
        world.register(doc(LEASED, metadata={"x": "1"}))
        world.deregister(doc(BEATING, "b").id)
        assert held.addresses == facts
        world.fail_all()
        assert held.addresses == facts

    def test_what_never_was_is_empty_and_has_a_revision(self) -> None:
        world = World()
        nothing = world.registry.snapshot(ServiceKey(NAMESPACE, "nothing"))
        assert (nothing.record, nothing.addresses) == (None, {})
        assert nothing.revision == world.registry.revision_of(nothing.key)
        assert absent(ORDERS, 7).content_hash == nothing.content_hash
        assert "nothing" in repr(nothing)
