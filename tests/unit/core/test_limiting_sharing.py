"""Nodes that share counters: what one used the others know after an exchange, and a place that is gone stops nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from polaris_bridge.core.limiting.counters import Client, Counter
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import Left, LimiterTerms, Quota
from polaris_bridge.core.limiting.ports import Totals, Used
from polaris_bridge.core.limiting.sharing import BATCH, RETRY_S, ROUNDS, Sharer

T0 = 1_700_000_000_000
Answer = Callable[[Sequence[Totals] | None], None]


class Time:
    """A clock and a scheduler that a test turns."""

    def __init__(self) -> None:
        self.now_ms = T0
        self.due: list[tuple[float, Callable[[], None]]] = []

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def wall_ms(self) -> int:
        return self.now_ms

    def soon(self, run: Callable[[], None]) -> None:
        self.due.append((0.0, run))

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        self.due.append((delay_s, run))

    def run(self) -> list[float]:
        """Everything that is due now, whatever its delay; the delays."""
        due, self.due = self.due, []
        for _, run in due:
            run()
        return [delay for delay, _ in due]


class Place:
    """Totals by counter and slot."""

    def __init__(self) -> None:
        self.totals: dict[Any, dict[int, int]] = {}
        self.clients: dict[Any, dict[int, int]] = {}
        """Clients of a counter by node (its sharer)."""
        self.away = False
        self.held: list[Callable[[], None]] | None = None
        self.sizes: list[int] = []

    def exchange(self, batch: Sequence[Used], answer: Answer) -> None:
        self.sizes.append(len(batch))
        if self.away:
            answer(None)
            return
        found = []
        for used in batch:
            totals = self.totals.setdefault((used.identity, used.slots), {})
            for slot, amount in used.added.items():
                totals[slot] = totals.get(slot, 0) + amount
            if used.clients is not None:
                self.clients.setdefault(used.identity, {})[id(answer.func.__self__)] = used.clients  # type: ignore[attr-defined]
            others = self.clients.get(used.identity, {})
            elsewhere = sum(n for node, n in others.items() if node != id(answer.func.__self__))  # type: ignore[attr-defined]
            found.append(Totals({slot: n for slot, n in totals.items() if slot >= used.oldest}, elsewhere))
        if self.held is None:
            answer(found)
        else:
            self.held.append(lambda: answer(found))


class Node:
    """One node with one client."""

    def __init__(self, time: Time, place: Place, number: int) -> None:
        self.time, self.said = time, list[Left]()
        self.limiter: Limiter[str] = Limiter(
            LimiterTerms(node=number), lambda _seat, _counter, left: self.said.append(left)
        )
        self.own = Time()
        self.sharer = Sharer(self.limiter, place, time, self.own, 0.05)
        self.sharer.start()
        client = self.limiter.enter(None, f"client-{number}", "seat")
        assert isinstance(client, Client)
        self.client = client
        self.counter = self.begin("l")

    def begin(self, labels: str) -> Counter[str]:
        found = self.limiter.begin(self.client, ("n", "s", labels), [Quota(10, 100)], 0, self.time.now_ms)
        assert isinstance(found, list)
        return found[0]

    def use(self, amount: int) -> None:
        now = self.time.now_ms
        assert self.limiter.report(self.client, self.counter.key, amount, 0, now, now) is self.counter

    @property
    def left(self) -> int:
        return self.counter.left(self.time.now_ms)


def nodes() -> tuple[Time, Place, Node, Node]:
    time, place = Time(), Place()
    return time, place, Node(time, place, 1), Node(time, place, 2)


def test_what_one_used_the_other_knows_after_an_exchange() -> None:
    time, place, a, b = nodes()
    a.use(30)
    b.use(20)
    assert (a.left, b.left) == (70, 80)
    a.own.run()
    b.own.run()
    b.use(0)
    a.use(0)
    assert (a.left, b.left) == (70, 50)
    a.own.run()
    assert a.left == 50
    b.use(50)
    b.own.run()
    a.use(0)
    a.own.run()
    assert (a.left, [one.left for one in a.said]) == (0, [0]), "who counts elsewhere is told that nothing is left"
    time.now_ms += 10_000
    assert (a.left, b.left) == (100, 100)
    assert place.sizes == [1, 1, 1, 1, 1]


def test_a_new_node_knows_the_rest_after_one_exchange() -> None:
    time, place, a, _ = nodes()
    a.use(90)
    a.own.run()
    c = Node(time, place, 3)
    assert c.left == 100
    c.own.run()
    assert c.left == 10


def test_a_place_that_is_away_stops_nobody_and_is_told_later() -> None:
    _, place, a, b = nodes()
    place.away = True
    a.use(30)
    assert a.own.run() == [0.05 / ROUNDS]
    a.use(5)
    assert (a.left, a.sharer.failures) == (65, 1)
    assert a.own.run() == [RETRY_S]
    place.away = False
    assert a.own.run() == [RETRY_S]
    b.own.run()
    assert (a.left, b.left) == (65, 65)
    assert a.own.run() == [0.05 / ROUNDS]
    place.totals.clear()
    a.use(1)
    a.own.run()
    assert a.left == 64, "a place that forgot everything makes nobody forget"


def test_what_is_used_during_an_exchange_counts_too() -> None:
    _, place, a, b = nodes()
    b.use(10)
    b.own.run()
    place.held = []
    a.use(30)
    a.own.run()
    a.use(7)
    assert a.own.due == [], "one round at a time"
    place.held.pop()()
    assert a.left == 53
    a.own.run()
    place.held.pop()()
    assert a.left == 53


def test_many_counters_go_batch_by_batch() -> None:
    _, place, a, _ = nodes()
    for n in range(2 * BATCH):
        a.begin(str(n))
    turns = 0
    while len(place.sizes) < 3:
        a.own.run()
        turns += 1
    assert (turns, sorted(place.sizes)) == (3, [1, BATCH, BATCH])


def test_shares_are_multiplied_by_the_clients_of_all_nodes() -> None:
    time, _, a, b = nodes()
    for node in (a, b):
        found = node.limiter.begin(node.client, ("n", "s", "each"), [Quota(10, 100, each=True)], 0, time.now_ms)
        assert isinstance(found, list)
        node.counter = found[0]
    assert (a.left, b.left) == (100, 100)
    for _ in range(2):
        for node in (a, b):
            node.use(0)
            node.own.run()
    assert (a.left, b.left, a.counter.sharers) == (200, 200, 2)
    b.limiter.leave(b.client, "seat")
    b.own.run()
    a.use(10)
    a.own.run()
    assert (a.left, a.counter.sharers) == (90, 1)


def test_at_the_end_the_rest_is_told() -> None:
    _, place, a, b = nodes()
    a.use(30)
    a.sharer.stop()
    b.own.run()
    assert b.left == 70
    a.use(1)
    a.own.run()
    assert len(place.sizes) == 2


class Together(RuleBasedStateMachine):
    """Two nodes and a place that comes and goes: no node knows less than it used itself, and after two exchanges all know all."""

    @initialize()
    def begin(self) -> None:
        self.time, self.place, *pair = nodes()
        self.pair = list(pair)
        self.log: list[tuple[int, int, int]] = []

    @rule(which=st.integers(0, 1), amount=st.integers(0, 30))
    def use(self, which: int, amount: int) -> None:
        self.pair[which].use(amount)
        self.log.append((which, self.time.now_ms // 1000, amount))

    @rule(which=st.integers(0, 1))
    def exchange(self, which: int) -> None:
        self.pair[which].own.run()

    @rule(ms=st.integers(0, 4000))
    def wait(self, ms: int) -> None:
        self.time.now_ms += ms

    @rule(away=st.booleans())
    def place_away(self, away: bool) -> None:
        self.place.away = away

    @rule()
    def settle(self) -> None:
        self.place.away = False
        for _ in range(3):
            for node in self.pair:
                node.use(0)
                node.own.run()
        for node in self.pair:
            assert 100 - node.left == self.used(), "everybody knows everything"

    def used(self, which: int | None = None) -> int:
        current = self.time.now_ms // 1000
        return sum(n for who, slot, n in self.log if slot > current - 10 and which in (None, who))

    @invariant()
    def nobody_forgets_or_invents(self) -> None:
        for which, node in enumerate(getattr(self, "pair", ())):
            assert self.used(which) <= 100 - node.left <= self.used()


TestTogether = Together.TestCase
TestTogether.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_within_an_interval_everybody_knows_what_was_used_whoever_comes_first() -> None:
    """The worst case: one tells just after the other asked."""
    _time, _place, a, b = nodes()
    b.use(0)
    [half_s] = b.own.run()
    a.use(30)
    b.use(0)
    a.own.run()
    assert b.own.run() == [half_s]
    assert b.left == 70
    assert 2 * half_s == 0.05
