"""The token service's counters: who shares what, when everybody is told, and what is let go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from polaris_bridge.core.limiting.counters import Client, Counter
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import Left, LimiterTerms, Quota, Refused

T0 = 1_700_000_000_000
PLACE = ("default", "orders", "GET|")


class World:
    """A limiter and what it said."""

    def __init__(self, **terms: Any) -> None:
        self.now = T0
        self.said: list[tuple[str, Left]] = []
        self.limiter: Limiter[str] = Limiter(
            LimiterTerms(**terms), lambda seat, _, left: self.said.append((seat, left))
        )

    def client(self, id: str, seat: str = "") -> Client[str]:
        found = self.limiter.enter(None, id, seat or f"seat-{id}")
        assert isinstance(found, Client)
        return found

    def begin(self, client: Client[str], *quotas: Quota, place: tuple[str, str, str] = PLACE) -> list[Counter[str]]:
        found = self.limiter.begin(client, place, quotas, 0, self.now)
        assert isinstance(found, list)
        return found

    def use(self, client: Client[str], counter: Counter[str], used: int, limited: int = 0, late_ms: int = 0) -> int:
        found = self.limiter.report(client, counter.key, used, limited, self.now - late_ms, self.now)
        assert found is counter
        return counter.left(self.now)


def test_clients_of_one_quota_share_it_and_are_told_once_when_nothing_is_left() -> None:
    world = World(slots=10)
    a, b, c = (world.client(id) for id in "abc")
    counter, second = world.begin(a, Quota(60, 10), Quota(1, 5))
    assert (a.key, b.key, c.key) == (1, 2, 3)
    assert (counter.key, second.key) == (0x1000001, 0x1000002)
    assert world.begin(b, Quota(60, 10)) == world.begin(c, Quota(60, 10)) == [counter]
    assert world.use(a, counter, 4) == 6
    assert world.use(b, counter, 7) == -1
    assert world.said == [("seat-a", Left(counter.key, -1, 3)), ("seat-c", Left(counter.key, -1, 3))]
    assert world.use(a, counter, 0, limited=3) == -1
    assert world.use(a, counter, 2) == -3
    assert len(world.said) == 2, "once each time that it comes about"
    world.now += 60_000
    assert world.use(a, counter, 1) == 9
    assert world.use(a, counter, 9) == 0
    assert len(world.said) == 4
    assert (counter.limited, world.limiter.limited_total, world.limiter.used_total) == (3, 3, 23)


def test_a_share_for_each_grows_and_shrinks_with_the_clients() -> None:
    world = World()
    a, b = world.client("a"), world.client("b")
    (counter,) = world.begin(a, Quota(60, 10, each=True))
    assert counter.left(T0) == 10
    world.begin(b, Quota(60, 10, each=True))
    assert counter.left(T0) == 20
    world.limiter.leave(b, "seat-b")
    assert counter.left(T0) == 10
    assert world.limiter.clients == 1


def test_the_newest_amount_counts_and_what_was_used_stays_used() -> None:
    world = World()
    a = world.client("a")
    (counter,) = world.begin(a, Quota(60, 10))
    world.use(a, counter, 4)
    assert world.begin(a, Quota(60, 5)) == [counter]
    assert counter.left(T0) == 1


def test_late_reports_count_while_the_window_has_their_time() -> None:
    world = World(slots=10)
    a = world.client("a")
    (counter,) = world.begin(a, Quota(1, 10))
    assert world.use(a, counter, 3, late_ms=899) == 7
    assert world.use(a, counter, 3, late_ms=120_000) == 7
    world.now += 200
    assert counter.left(world.now) == 10


def test_who_comes_back_on_another_stream_keeps_its_key_and_its_counters() -> None:
    world = World()
    a = world.client("a", "first")
    (counter,) = world.begin(a, Quota(60, 10))
    assert world.client("a", "second") is a
    world.limiter.leave(a, "first")
    assert counter.clients == (a,)
    b = world.client("b")
    world.begin(b, Quota(60, 10))
    world.use(b, counter, 10)
    assert [seat for seat, _ in world.said] == ["second"]
    world.limiter.leave(a, "second")
    assert counter.clients == (b,)
    assert world.client("a", "third").key == 3


def test_a_stream_has_one_client_and_there_is_room_for_so_many() -> None:
    world = World(max_clients=2, max_counters=2)
    a = world.client("a")
    assert world.limiter.enter(a, "b", "seat-a") is Refused.OTHER_CLIENT
    assert world.limiter.enter(a, "a", "seat-a") is a
    world.client("b")
    assert world.limiter.enter(None, "c", "seat-c") is Refused.TOO_MANY_CLIENTS
    assert world.limiter.enter(None, "a", "elsewhere") is a
    quotas = [Quota(n, 1) for n in (1, 2, 3)]
    assert world.limiter.begin(a, PLACE, quotas, 0, T0) is Refused.TOO_MANY_COUNTERS
    assert world.limiter.counters == 2


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (0x1000002, Refused.UNKNOWN_COUNTER),
        (0x2000001, Refused.FOREIGN_COUNTER),
        (0x1000000, Refused.FOREIGN_COUNTER),
        (0x1000065, Refused.FOREIGN_COUNTER),
        (0, Refused.FOREIGN_COUNTER),
    ],
)
def test_keys_that_are_nobodys(key: int, why: Refused) -> None:
    world = World(max_counters=100)
    a = world.client("a")
    world.begin(a, Quota(60, 10))
    assert world.limiter.report(a, key, 1, 0, T0, T0) is why


def test_counters_that_nobody_uses_are_let_go_and_their_keys_not_given_again() -> None:
    world = World(idle_ms=5000)
    a = world.client("a")
    (short,), (long,) = world.begin(a, Quota(1, 1)), world.begin(a, Quota(10, 1))
    world.now += 5000
    assert world.limiter.sweep(world.now) == 0
    world.now += 1
    assert world.limiter.sweep(world.now) == 1
    assert world.limiter.report(a, short.key, 1, 0, world.now, world.now) is Refused.UNKNOWN_COUNTER
    assert list(a.counters) == [long.key]
    assert world.begin(a, Quota(1, 1))[0].key == 0x1000003
    world.now -= 3_600_000
    assert world.limiter.sweep(world.now) == 0, "a clock set back lets nobody go"


@pytest.mark.parametrize("node", [0, 256])
def test_nodes_are_numbered_1_to_255(node: int) -> None:
    with pytest.raises(ValueError, match="1 to 255"):
        World(node=node)


AMOUNTS = st.integers(0, 8)


class Counting(RuleBasedStateMachine):
    """Clients come, go, report and time passes; a list of all use says what is left."""

    @initialize()
    def begin(self) -> None:
        self.world = World(slots=10, idle_ms=1500)
        self.clients: dict[str, Client[str]] = {}
        self.on: dict[int, set[str]] = {}
        self.log: dict[int, list[tuple[int, int]]] = {}
        self.amount: dict[int, tuple[int, bool]] = {}
        self.counters: dict[int, Counter[str]] = {}

    @rule(id=st.sampled_from("abc"), duration=st.sampled_from([1, 2]), amount=AMOUNTS, each=st.booleans())
    def init(self, id: str, duration: int, amount: int, each: bool) -> None:
        client = self.clients.setdefault(id, self.world.client(id))
        (counter,) = self.world.begin(client, Quota(duration, amount, each))
        if counter.key not in self.counters:
            self.counters[counter.key], self.log[counter.key], self.on[counter.key] = counter, [], set()
        self.on[counter.key].add(id)
        self.amount[counter.key] = (amount, each)

    @rule(id=st.sampled_from("abc"), late=st.integers(0, 900), used=AMOUNTS, pick=st.integers(0, 5))
    def report(self, id: str, late: int, used: int, pick: int) -> None:
        if id in self.clients and self.counters:
            key = sorted(self.counters)[pick % len(self.counters)]
            counter, said = self.counters[key], len(self.world.said)
            before = self.left(key)
            self.world.use(self.clients[id], counter, used, late_ms=late)
            self.log[key].append(((self.world.now - late) // counter.window.slot_ms, used))
            told = {seat for seat, _ in self.world.said[said:]}
            if used and self.left(key) <= 0 < before:
                assert told == {f"seat-{other}" for other in self.on[key] - {id}}
            if self.left(key) > 0:
                assert not told

    @rule(id=st.sampled_from("abc"))
    def leave(self, id: str) -> None:
        client = self.clients.pop(id, None)
        if client is not None:
            self.world.limiter.leave(client, f"seat-{id}")
            for members in self.on.values():
                members.discard(id)

    @rule(ms=st.integers(0, 1200))
    def wait(self, ms: int) -> None:
        self.world.now += ms

    @rule()
    def sweep(self) -> None:
        self.world.limiter.sweep(self.world.now)
        for key in [key for key in self.counters if self.world.limiter.find(self.counters[key].identity) is None]:
            assert self.world.now - self.counters[key].used_ms > 1500
            for table in (self.counters, self.log, self.on, self.amount):
                table.pop(key)  # type: ignore[attr-defined]

    def left(self, key: int) -> int:
        current = self.world.now // self.counters[key].window.slot_ms
        used = sum(n for slot, n in self.log[key] if slot > current - 10)
        amount, each = self.amount[key]
        return amount * (len(self.on[key]) if each else 1) - used

    @invariant()
    def what_is_left_is_what_the_list_says(self) -> None:
        for key, counter in getattr(self, "counters", {}).items():
            assert counter.left(self.world.now) == self.left(key)
            assert {client.id for client in counter.clients} == self.on[key]


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
