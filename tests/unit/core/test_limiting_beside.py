"""Who decides here and who counts elsewhere use one number: never more than is allowed, together."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from test_limiting_judging import NOW, PATH, SHOP, Book, Patterns

from polaris_bridge.core.limiting.counters import Client, Counter
from polaris_bridge.core.limiting.judging import Asked, Judge
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import Allowance, Left, LimiterTerms, Quota
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.routing.model import EXACT, Condition

AMOUNT = 10


def named(values: Sequence[str]) -> str:
    return "|".join(values)


class World:
    """A judge beside a limiter with one client of the same rule."""

    def __init__(self, ms: int = 1000, *, shared: bool = False) -> None:
        self.said: list[Left] = []
        self.limiter: Limiter[str] = Limiter(LimiterTerms(), lambda _seat, _counter, left: self.said.append(left))
        if shared:
            self.limiter.touched = {}
        self.ms = ms
        book = Book()
        book.put(LimitRule("r", "r", (Allowance(AMOUNT, ms),), (Condition(PATH, "/a", EXACT),), named=named))
        self.judge = Judge(book, Patterns(), lambda _service: 1, self.limiter)

    def join(self, now_ms: int = NOW) -> Counter[str]:
        client = self.limiter.enter(None, "c", "seat")
        assert isinstance(client, Client)
        self.client = client
        found = self.limiter.begin(client, (*SHOP, "/a"), [Quota(self.ms // 1000, AMOUNT)], 0, now_ms)
        assert isinstance(found, list)
        return found[0]

    def ask(self, now_ms: int = NOW, tokens: int = 1) -> bool:
        return self.judge.decide(Asked(SHOP, {PATH: "/a"}, "", tokens), now_ms).allowed

    def report(self, counter: Counter[str], used: int, now_ms: int = NOW) -> int:
        assert self.limiter.report(self.client, counter.key, used, 0, now_ms, now_ms) is counter
        return counter.left(now_ms)


def test_what_clients_used_is_gone_for_whoever_asks_here() -> None:
    w = World()
    counter = w.join()
    assert w.report(counter, 7) == 3
    assert [w.ask() for _ in range(4)] == [True, True, True, False]
    assert [left.left for left in w.said] == [0], "clients are told when nothing is left"
    assert w.report(counter, 0) == 0
    assert w.ask(NOW + 2 * w.ms)


def test_who_begins_to_count_learns_what_was_used_here() -> None:
    w = World()
    assert all(w.ask() for _ in range(4))
    counter = w.join()
    assert counter.left(NOW) == AMOUNT, "until somebody asks here again"
    assert w.ask()
    assert counter.left(NOW) == AMOUNT - 5
    assert w.ask()
    assert counter.left(NOW) == AMOUNT - 6


def test_a_refusal_says_when_there_will_be_as_much() -> None:
    w = World()
    w.report(w.join(), AMOUNT)
    verdict = w.judge.decide(Asked(SHOP, {PATH: "/a"}), NOW)
    assert not verdict.allowed
    assert not w.ask(NOW + verdict.reset_ms - 1)
    assert w.ask(NOW + verdict.reset_ms)


def test_only_looking_takes_nothing_from_clients() -> None:
    w = World()
    counter = w.join()
    assert w.ask(tokens=0)
    assert counter.left(NOW) == AMOUNT
    assert w.judge.tell(Asked(SHOP, {PATH: "/a"}), NOW)[0].verdict is not None
    assert counter.left(NOW) == AMOUNT


def test_parts_of_a_second_are_nobody_elses() -> None:
    w = World(ms=1500)
    counter = w.join()
    assert w.ask()
    assert counter.left(NOW) == AMOUNT


def test_other_nodes_are_told_what_is_used_here() -> None:
    w = World(shared=True)
    assert w.ask()
    assert w.limiter.touched is not None
    (counter,) = w.limiter.touched.values()
    assert counter.identity == (*SHOP, "/a", 1)
    assert counter.waiting == {counter.window.newest: 1}
    w.limiter.learn(counter, {counter.window.newest: AMOUNT}, 0, NOW)
    assert not w.ask()


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 400)), max_size=60))
def test_together_never_more_than_allowed(steps: list[tuple[bool, int, int]]) -> None:
    """A client that asks what is left before it uses anything, and callers who ask here: in no window more than allowed, but
    for the slot that a client's window forgets early."""
    w = World()
    counter = w.join()
    now, used = NOW, list[tuple[int, int]]()
    for here, tokens, passed in steps:
        now += passed
        if here:
            if w.ask(now, tokens):
                used.append((now, tokens))
        elif counter.left(now) >= tokens:
            w.report(counter, tokens, now)
            used.append((now, tokens))
        slot = counter.window.slot_ms
        begin = (now // slot - counter.slots + 1) * slot
        assert sum(n for at, n in used if at >= begin) <= AMOUNT
