"""Spellings of names that a case-insensitive protocol knows only in capitals (mapping, 1.2)."""

from __future__ import annotations

import pytest
from world import BEATING, CALLER, LEASED, NAMESPACE, PLACE, AddressKey, Ear, Fate, World, doc

from polaris_bridge.core.model import ServiceKey, ServiceRecord


def key(name: str) -> ServiceKey:
    return ServiceKey(NAMESPACE, name)


def names(world: World) -> list[str]:
    return sorted(s.key.name for s in world.registry.services())


@pytest.fixture
def world() -> World:
    return World()


class TestSpelling:
    @pytest.mark.parametrize(
        ("hint", "spelt", "certain"),
        [
            ("UserService", "UserService", True), ("userservice", "userservice", True), ("", "userservice", False),
            ("user-service", "userservice", False), ("USERSERVICE", "USERSERVICE", True),
        ],
    )  # fmt: skip
    def test_by_the_protocols_own_second_spelling_or_lower_case(
        self, world: World, hint: str, spelt: str, certain: bool
    ) -> None:
        assert world.registry.spelling(NAMESPACE, "USERSERVICE", hint) == (spelt, certain)

    def test_the_oldest_exact_service_counts(self, world: World) -> None:
        world.register(doc(BEATING, "1", service="UserService"))
        world.clock.move(1)
        world.register(doc(BEATING, "2", service="userService"))
        assert world.registry.spelling(NAMESPACE, "USERSERVICE") == ("UserService", True)
        assert world.registry.spelling(NAMESPACE, "USERSERVICE", "USERService") == ("USERService", True)
        assert world.registry.spelling("elsewhere", "USERSERVICE") == ("userservice", False)

    def test_an_exact_one_counts_before_an_older_guess(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.clock.move(1)
        assert world.registry.spelling(NAMESPACE, "USERS") == ("users", False)
        world.registry.put_service(ServiceRecord(NAMESPACE, "Users"), CALLER)
        world.settle()
        assert world.registry.spelling(NAMESPACE, "USERS") == ("Users", True)

    def test_an_uncommitted_one_counts(self, world: World) -> None:
        with world.slow_store():
            world.register(doc(BEATING, service="Users"))
            assert world.registry.spelling(NAMESPACE, "USERS") == ("Users", True)

    def test_a_failed_one_does_not(self, world: World) -> None:
        world.store.fail = 1
        world.register(doc(BEATING, service="Users"))
        assert world.registry.spelling(NAMESPACE, "USERS") == ("users", False)

    def test_a_deleted_one_neither(self, world: World) -> None:
        world.register(doc(BEATING, service="Users"))
        world.deregister(doc(BEATING).id)
        world.registry.delete_service(key("Users"), CALLER)
        world.settle()
        assert world.registry.spelling(NAMESPACE, "USERS") == ("users", False)

    def test_all_of_one_name_oldest_first(self, world: World) -> None:
        for name in ("users", "Users", "USERS", "other"):
            world.register(doc(BEATING, name, service=name))
            world.clock.move(1)
        assert [k.name for k in world.registry.same_name(NAMESPACE, "uSERS")] == ["users", "Users", "USERS"]

    def test_after_a_restart(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.register(doc(BEATING, service="Other"))
        world.restart()
        assert world.registry.spelling(NAMESPACE, "USERS") == ("users", False)
        assert world.registry.spelling(NAMESPACE, "OTHER") == ("Other", True)
        world.register(doc(BEATING, "2", service="Users"))
        assert names(world) == ["Other", "Users"]


class TestTakingOver:
    def test_what_was_registered_under_a_guess_moves(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.register(doc(BEATING, "b", service="Users", port=9))
        assert names(world) == ["Users"]
        assert world.says("x", key("Users")) == ["a/k1 up"]
        assert world.says("x", key("Users"), AddressKey("10.0.0.1", 9)) == ["b/b up"]
        assert world.says("x", key("users")) == []

    def test_in_one_publication(self, world: World) -> None:
        """No reader sees it nowhere, or twice."""
        world.register(doc(LEASED, service="users"), exact=False)
        seen: list[tuple[int, int]] = []
        world.registry.observe(
            lambda published: seen.append(
                tuple(len(world.registry.snapshot(key(n)).addresses) for n in ("users", "Users"))  # type: ignore[arg-type]
            )
        )
        ears = [Ear(world.registry, key(n)) for n in ("users", "Users")]
        for ear in ears:
            ear.arm()
        world.register(doc(BEATING, "b", service="Users"))
        assert seen == [(0, 1)]
        assert [ear.fired for ear in ears] == [1, 1]

    def test_its_lease_seq_and_switches_go_along(self, world: World) -> None:
        first = world.register(doc(LEASED, service="users"), exact=False).now
        world.switch("z", service=key("users"))
        world.switch(LEASED, "k1", service=key("users"), word="starting")
        world.pass_time(60)
        world.register(doc(BEATING, "b", service="Users", port=9))
        moved = world.registry.registration(first.id)
        assert moved is not None
        assert (moved.seq, moved.created_ms) == (first.seq, first.created_ms)
        assert world.says("x", key("Users")) == ["a/k1 out_of_service"]
        assert len(world.registry.snapshot(key("Users")).addresses[PLACE].switches) == 2
        world.keep(32, doc(BEATING, "b").id)
        assert world.says("x", key("Users")) == [], "the lease was not begun anew"

    def test_a_restart_afterwards(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.switch("z", service=key("users"), lingers=True)
        world.register(doc(BEATING, "b", service="Users"))
        before = world.registry.snapshot(key("Users")).content_hash
        world.restart()
        assert names(world) == ["Users"]
        assert world.registry.snapshot(key("Users")).content_hash == before
        assert not world.registry.snapshot(key("users")).addresses

    def test_nothing_of_the_old_name_stays_behind(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.switch("z", service=key("users"), lingers=True)
        world.register(doc(LEASED, "gone", service="users", port=5), exact=False)
        world.switch("z", service=key("users"), lingers=True, place=AddressKey("10.0.0.1", 5))
        world.deregister(doc(LEASED, "gone").id)
        world.register(doc(BEATING, "b", service="Users"))
        assert names(world) == ["Users"]
        world.pass_time(100)
        assert names(world) == ["Users"]

    def test_not_over_an_exact_one(self, world: World) -> None:
        world.register(doc(BEATING, "1", service="users"))
        world.register(doc(BEATING, "2", service="Users"))
        assert names(world) == ["Users", "users"]

    def test_the_guess_turns_out_right(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.register(doc(BEATING, "b", service="users", port=9))
        record = world.registry.snapshot(key("users")).record
        assert record is not None
        assert not record.guessed
        assert len(world.registry.snapshot(key("users")).addresses) == 2
        world.register(doc(BEATING, "c", service="Users", port=9))
        assert names(world) == ["Users", "users"]

    def test_a_guess_does_not_take_over(self, world: World) -> None:
        world.register(doc(BEATING, "b", service="Users"))
        world.register(doc(LEASED, service="users"), exact=False)
        assert names(world) == ["Users", "users"]

    def test_by_a_service_made_by_hand(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.registry.put_service(ServiceRecord(NAMESPACE, "Users"), CALLER)
        world.settle()
        assert names(world) == ["Users"]
        assert world.says("x", key("Users")) == ["a/k1 up"]

    def test_undone_when_it_fails(self, world: World) -> None:
        world.register(doc(LEASED, service="users"), exact=False)
        world.store.fail = 1
        fate = Fate(world.register(doc(BEATING, "b", service="Users")).commit)
        assert fate.result == "Unavailable"
        assert names(world) == ["users"]
        assert world.says("x", key("users")) == ["a/k1 up"]
        assert world.registry.spelling(NAMESPACE, "USERS") == ("users", False)
        world.register(doc(BEATING, "b", service="Users"))
        assert names(world) == ["Users"]

    def test_while_the_guess_itself_is_not_durable_yet(self, world: World) -> None:
        with world.slow_store():
            world.register(doc(LEASED, service="users"), exact=False)
            world.register(doc(BEATING, "b", service="Users"))
        assert names(world) == ["Users"]
        assert world.says(LEASED, key("Users")) == ["a/k1 up"]
        world.restart()
        assert names(world) == ["Users"]
