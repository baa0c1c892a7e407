"""Circuit breaking: what a told call costs, and what an ejection does.

Figures are CPU time of this process. It fails when an outcome is wrong.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final

from report import Row

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.core.breaking.breakers import Breakers
from polaris_bridge.core.breaking.ejecting import Ejector
from polaris_bridge.core.breaking.model import (
    INTERFACE,
    LEVELS,
    BadCode,
    BreakerRule,
    BreakingTerms,
    Calls,
    InARow,
    Interface,
    Part,
    Share,
    Slow,
    Told,
)
from polaris_bridge.core.model import SYSTEM, AddressKey, Registration, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.model import EXACT, REGEX, Condition
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.ports import SystemClock
from polaris_bridge.storage.memory import MemoryStore

SHOP: Final = ServiceKey("default", "shop")
ANYBODY: Final = ServiceKey("*", "*")
INSTANCES: Final = 10_000
RULES: Final = 50
CALLERS: Final = 20
RUNS: Final = 5


class Turns:
    """What is to run soon or later, run by hand."""

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def soon(self, run: Callable[[], None]) -> None:
        self._waiting.append(run)

    def later(self, _delay_s: float, run: Callable[[], None]) -> None:
        self._waiting.append(run)

    def settle(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()


class Book:
    """So many rules, all but the last on each level about other callers."""

    def __init__(self) -> None:
        errors = (BadCode(Condition("", "^5", REGEX)), Slow(1000))
        triggers = (InARow(5), Share(30_000, 50, 10))
        path = {INTERFACE: Interface(path=Condition("", "/pay", EXACT))}
        self._rules = tuple(
            BreakerRule(
                f"{level}-{n}",
                f"{level}-{n}",
                "1",
                level,
                SHOP,
                ANYBODY if n == RULES - 1 else ServiceKey("default", f"caller-{n}"),
                (Part(triggers, errors, "", path.get(level)),),
                priority=n,
                sleep_ms=30_000,
            )
            for level in LEVELS
            for n in range(RULES)
        )

    def revision(self) -> int:
        return 1

    def of(self, _service: ServiceKey) -> tuple[Hashable, Callable[[], Iterable[BreakerRule]]]:
        return 1, lambda: self._rules


def microseconds(run: Callable[[int], object], rounds: int) -> float:
    """CPU time of one round, the median of several runs."""
    found = []
    for _ in range(RUNS):
        begun = time.process_time()
        for n in range(rounds):
            run(n)
        found.append((time.process_time() - begun) / rounds * 1e6)
    return statistics.median(found)


def rows(quick: bool) -> Iterator[Row]:
    """What it costs; ``quick``: fewer rounds."""
    turns = Turns()
    registry = Registry(MemoryStore(post=lambda run: run(), unique=lambda: "n"), SystemClock(), turns, Terms())
    registry.load()
    places = [AddressKey(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 80) for n in range(INSTANCES)]
    with registry.transaction():
        for n, place in enumerate(places):
            registry.register(Registration("nacos", "default", str(n), "shop", place.host, place.port), SYSTEM)
    turns.settle()
    terms = BreakingTerms()
    ejector = Ejector(registry, terms.percent)
    breakers = Breakers(Book(), LinearSearch(), registry.clock, terms, ejector.moved)
    ejector.follow(breakers)
    good = Calls(1, code="200", delay_ms=5)

    def instance(n: int) -> object:
        return breakers.tell(Told(f"caller {n % CALLERS}", SHOP, good, place=places[n % 1000]))

    def whole(n: int) -> object:
        return breakers.tell(Told(f"caller {n % CALLERS}", SHOP, good, None, "/pay", place=places[n % 1000]))

    rounds = 2_000 if quick else 10_000
    one, three = microseconds(instance, rounds), microseconds(whole, rounds)
    if {s.resource.level for s in breakers.tell(Told("x", SHOP, good, None, "/pay", place=places[0]))} != set(LEVELS):
        sys.exit("a call counts on every level")

    def eject(n: int) -> object:
        bad = Calls(failed=5)
        for voice in "ab":
            breakers.tell(Told(voice, SHOP, bad, place=places[2000 + n]))
        begun = time.process_time()
        turns.settle()
        spent.append(time.process_time() - begun)
        return None

    spent: list[float] = []
    for n in range(20 if quick else 100):
        eject(n)
    if ejector.ejected.get(SHOP) != len(spent):
        sys.exit("who fails is ejected")
    yield Row(f"a told call: its service and its instance, {RULES} rules a level, {CALLERS} callers", "us", one)
    yield Row("a told call: its service, its interface and its instance", "us", three)
    yield Row(f"the first ejection among {INSTANCES:,}", "us", spent[0] * 1e6)
    yield Row(f"the others, median of {len(spent) - 1}", "us", statistics.median(spent[1:]) * 1e6)
