"""Locks: one holder, its time, and what its end means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import Clock

from polaris_bridge.core.errors import Busy
from polaris_bridge.core.locks import NEVER, Lock, LockKey, Locks

KEY = LockKey("test", "a")
OTHER = LockKey("test", "b")


class Held:
    """Locks with a clock, and who was told."""

    def __init__(self, most: int = 100) -> None:
        self.clock = Clock()
        self.locks = Locks(self.clock, most)
        self.ended: list[tuple[str, str]] = []
        self.locks.ended.append(lambda lock: self.ended.append((lock.key.name, lock.owner)))

    def pass_time(self, seconds: int) -> list[Lock]:
        gone = []
        for _ in range(seconds):
            self.clock.move(1)
            gone += self.locks.tick()
        return gone


@pytest.fixture
def held() -> Held:
    return Held()


def test_one_holds_it_until_it_lets_go(held: Held) -> None:
    locks = held.locks
    lock = locks.acquire(KEY, "one")
    assert lock is not None
    assert lock.until == NEVER
    assert locks.acquire(KEY, "two") is None
    assert locks.acquire(KEY, "one") is None, "not re-entrant"
    assert locks.holder(KEY) == lock
    assert not locks.release(KEY, "two")
    assert locks.release(KEY, "one")
    assert not locks.release(KEY, "one")
    assert locks.holder(KEY) is None
    assert held.ended == [("a", "one")]
    assert locks.acquire(KEY, "two") is not None


def test_anybody_may_let_go_where_nobody_is_asked(held: Held) -> None:
    held.locks.acquire(KEY, "one")
    assert held.locks.release(KEY)
    assert not held.locks.release(KEY)


def test_time_runs_out_at_once_and_is_told_by_the_tick(held: Held) -> None:
    locks = held.locks
    locks.acquire(KEY, "one", 1.5)
    held.clock.move(1.4)
    assert locks.holder(KEY) is not None
    held.clock.move(0.1)
    assert locks.holder(KEY) is None
    assert locks.of("one") == []
    assert not locks.release(KEY)
    assert held.ended == []
    assert [lock.key for lock in locks.tick()] == [KEY]
    assert held.ended == [("a", "one")]


def test_the_next_one_need_not_wait_for_the_tick(held: Held) -> None:
    locks = held.locks
    first = locks.acquire(KEY, "one", 1)
    held.clock.move(1)
    second = locks.acquire(KEY, "two", 1)
    assert first is not None
    assert second is not None
    assert second.turn > first.turn
    assert held.ended == [("a", "one")]
    assert held.pass_time(2) == [second]


def test_renewal_begins_the_time_anew(held: Held) -> None:
    locks = held.locks
    first = locks.acquire(KEY, "one", 3)
    assert first is not None
    for _ in range(5):
        held.pass_time(2)
        renewed = locks.renew(KEY, "one", 3)
        assert renewed is not None
        assert renewed.turn == first.turn
    assert locks.renew(KEY, "two", 3) is None
    assert [lock.key for lock in held.pass_time(4)] == [KEY]
    assert locks.renew(KEY, "one", 3) is None


def test_an_owner_may_take_it_again_if_it_says_so(held: Held) -> None:
    first = held.locks.acquire(KEY, "one", 3)
    held.pass_time(2)
    again = held.locks.acquire(KEY, "one", 3, again=True)
    assert first is not None
    assert again is not None
    assert again.turn == first.turn
    assert again.until > first.until
    assert held.locks.acquire(KEY, "two", 3, again=True) is None


def test_the_end_of_an_owner_frees_all_it_holds(held: Held) -> None:
    locks = held.locks
    locks.acquire(KEY, "one")
    locks.acquire(OTHER, "one", 10)
    locks.acquire(LockKey("other kind", "a"), "two")
    assert {lock.key for lock in locks.of("one")} == {KEY, OTHER}
    assert {lock.key for lock in locks.release_all("one")} == {KEY, OTHER}
    assert locks.release_all("one") == []
    assert len(locks) == 1
    assert held.pass_time(20) == []


def test_standing_still_is_nobodys_fault(held: Held) -> None:
    held.locks.acquire(KEY, "one", 5)
    held.clock.move(60)
    assert held.locks.holder(KEY) is not None
    assert held.pass_time(3) == []
    assert len(held.pass_time(3)) == 1


def test_there_is_a_limit() -> None:
    held = Held(most=2)
    held.locks.acquire(KEY, "one", 1)
    held.locks.acquire(OTHER, "one")
    with pytest.raises(Busy):
        held.locks.acquire(LockKey("test", "c"), "two")
    held.clock.move(1)
    assert held.locks.acquire(LockKey("test", "c"), "two") is not None


def test_a_listener_that_fails_does_not_keep_others_from_being_told(held: Held) -> None:
    def fail(_lock: Lock) -> None:
        raise ValueError

    held.locks.ended.insert(0, fail)
    held.locks.acquire(KEY, "one")
    held.locks.release(KEY)
    assert held.ended == [("a", "one")]


def test_many_renewals_leave_nothing_behind(held: Held) -> None:
    held.locks.acquire(KEY, "one", 3)
    for _ in range(10_000):
        held.locks.renew(KEY, "one", 3)
    assert len(held.locks._ends) < 200


COMMANDS = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "release", "all", "pass"]),
        st.sampled_from("abc"),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([None, 1, 2, 5]),
    ),
    max_size=60,
)


@given(COMMANDS)
def test_it_behaves_like_the_simplest_table(commands: list[tuple[str, str, str, int | None]]) -> None:
    held = Held()
    table: dict[str, tuple[str, float]] = {}
    now = held.clock.now_s
    for command, name, owner, ttl in commands:
        table = {k: v for k, v in table.items() if v[1] > now}
        key = LockKey("test", name)
        until = NEVER if ttl is None else now + ttl
        mine = table.get(name, ("", 0.0))[0] == owner
        if command == "acquire":
            assert (held.locks.acquire(key, owner, ttl) is not None) == (name not in table)
            table.setdefault(name, (owner, until))
        elif command == "renew":
            assert (held.locks.renew(key, owner, ttl) is not None) == mine
            if mine:
                table[name] = (owner, until)
        elif command == "release":
            assert held.locks.release(key, owner) == mine
            if mine:
                del table[name]
        elif command == "all":
            held.locks.release_all(owner)
            table = {k: v for k, v in table.items() if v[0] != owner}
        else:
            held.pass_time(ttl or 3)
            now = held.clock.now_s
        for each in "abc":
            holder = held.locks.holder(LockKey("test", each))
            expected = table.get(each)
            alive = expected is not None and expected[1] > now
            assert (holder is not None) == alive
            assert not alive or (holder is not None and expected is not None and holder.owner == expected[0])
