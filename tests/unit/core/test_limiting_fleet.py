"""Twenty clients that decide for themselves between reports, as SDKs do: how much passes when all want five times the limit."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from itertools import count
from random import Random

import pytest

from polaris_bridge.core.limiting.counters import Client, Counter
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import Left, LimiterTerms, Quota

LIMIT = 1000
CLIENTS = 20
DEMAND = 5 * LIMIT
SECONDS = 10
REPORT_MS = 30
JITTER_MS = 20
"""polaris-go reports after 30 ms and up to 20 ms more."""
BETWEEN_MS = 60
"""What is offered in so long may pass beyond the limit."""
START = 1_700_000_000_000


class Sdk:
    """One client: calls pass while something is left of what it was told last; at the border of a second it begins anew with the
    whole limit, as polaris-go does, until the next answer."""

    def __init__(self, number: int, fleet: Fleet) -> None:
        self.fleet = fleet
        self.passed: list[int] = []
        self.used = self.refused = 0
        self.second = START // 1000
        found = fleet.limiter.enter(None, f"client-{number}", self)
        assert isinstance(found, Client)
        self.client = found
        begun = fleet.limiter.begin(found, ("default", "orders", "/|"), [Quota(1, LIMIT)], 0, START)
        assert isinstance(begun, list)
        self.counter: Counter[Sdk] = begun[0]
        self.left = LIMIT

    def call(self, now_ms: int) -> None:
        if now_ms // 1000 != self.second:
            self.second, self.left = now_ms // 1000, LIMIT
        if self.left > 0:
            self.left -= 1
            self.used += 1
            self.passed.append(now_ms)
        else:
            self.refused += 1

    def report(self, now_ms: int) -> None:
        counter = self.fleet.limiter.report(self.client, self.counter.key, self.used, self.refused, now_ms, now_ms)
        assert counter is self.counter
        self.used = self.refused = 0
        self.left = counter.left(now_ms)


class Fleet:
    """All of them, in simulated time."""

    def __init__(self, slots: int) -> None:
        self.limiter: Limiter[Sdk] = Limiter(LimiterTerms(slots=slots), self.told)
        self.members = [Sdk(number, self) for number in range(CLIENTS)]

    def told(self, sdk: Sdk, _counter: Counter[Sdk], left: Left) -> None:
        sdk.left = left.left - sdk.used

    def run(self, seed: int) -> list[int]:
        """When calls passed, in order."""
        chance, number = Random(seed), count()
        due: list[tuple[float, int, Sdk, bool]] = []
        for sdk in self.members:
            heapq.heappush(due, (START + chance.random() * REPORT_MS, next(number), sdk, True))
            heapq.heappush(due, (START + chance.random() * 1000 * CLIENTS / DEMAND, next(number), sdk, False))
        while due:
            at, _, sdk, reports = heapq.heappop(due)
            if at >= START + SECONDS * 1000:
                break
            if reports:
                sdk.report(int(at))
                again = at + REPORT_MS + chance.random() * JITTER_MS
            else:
                sdk.call(int(at))
                again = at + 1000 * CLIENTS / DEMAND
            heapq.heappush(due, (again, next(number), sdk, reports))
        return sorted(at for sdk in self.members for at in sdk.passed)


@pytest.mark.parametrize("slots", [1, 10])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_twenty_clients_keep_a_limit_together(slots: int, seed: int) -> None:
    passed = Fleet(slots).run(seed)
    most = LIMIT + DEMAND * BETWEEN_MS // 1000
    slot_ms = 1000 // slots
    for begin in range(START, START + (SECONDS - 1) * 1000 + 1, slot_ms):
        assert bisect_right(passed, begin + 999) - bisect_right(passed, begin - 1) <= most
    assert len(passed) >= 0.95 * LIMIT * SECONDS
