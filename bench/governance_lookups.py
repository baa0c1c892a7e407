"""Look-ups by rules: 1,000 instances, 50 rules, 1,000 callers.

Figures are CPU time of this process. It fails when an answer is wrong.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any, Final

from governance_routing import HIT_US, INSTANCES, MISS_US, RULES, SHOP, addresses, each_us, rules
from msgspec import structs
from report import Row

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.service.routing.sources import ReadTargets, StandingServices
from polaris_bridge.core.model import SYSTEM, Caller, Document, Registration, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.routing.model import NO_RULES, Condition, Group, Route, Rules, Source
from polaris_bridge.core.routing.ready import ReadyRules
from polaris_bridge.core.routing.subset import Subset
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.ports import SystemClock
from polaris_bridge.storage.memory import MemoryStore

CALLERS: Final = 1000
KIND: Final = "rule"


class Queue:
    """``core.ports.Scheduler``, run by hand."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> Any:
        """Nothing here waits."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class Town:
    """A service of many instances, callers of it, and rules by the callers' metadata."""

    kinds = frozenset({KIND})

    def __init__(self) -> None:
        self.queue = Queue()
        store = MemoryStore(post=lambda run: run(), unique=lambda: "node")
        self.registry = Registry(store, SystemClock(), self.queue, Terms())
        self.registry.load()
        self.placed = [address.registrations[0] for address in addresses(INSTANCES)]
        for r in self.placed:
            self.registry.register(structs.replace(r, lost_ms=0), SYSTEM)
        for n in range(CALLERS):
            self.registry.register(_caller(n), SYSTEM)
        self.queue.settle()
        standing = StandingServices(self.registry, ReadTargets(self.registry, {}))
        ready = ReadyRules(self, LinearSearch())
        self.routing = DiscoveryRouting(self.registry, standing, ready, lambda _host: None, everywhere=True)
        self.said = 0
        self.write()

    def revision(self) -> int:
        return self.registry.documents.revision(KIND)

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        return self.said, lambda: _rules() if service == SHOP else NO_RULES

    def write(self) -> None:
        """Somebody writes rules."""
        self.said += 1
        self.registry.documents.put(Document(KIND, "r", targets=(SHOP,)), SYSTEM)
        self.queue.settle()

    def given(self, caller: Caller) -> Subset:
        return self.routing.subset(SHOP, self.routing.classify(SHOP, caller))


def _caller(n: int) -> Registration:
    tier = {"tier": f"t{n % 10}"}
    return Registration("eureka", "default", f"cart-{n}", "cart", f"10.9.{n >> 8}.{n & 255}", 80, metadata=tier)


def _rules() -> Rules:
    """As for calls, and for every tier of callers a version."""
    tiers = (
        Route(
            f"tier-{n}",
            f"tier-{n}.s",
            (Source("default", "cart", (Condition("tier", f"t{n}"),)),),
            (Group("g", (Condition("version", f"v{n}"),)),),
        )
        for n in range(10)
    )
    common = rules(RULES)
    return Rules((*common.inbound[: RULES - 10], *tiers))


def rows(scale: int) -> Iterator[Row]:
    """``scale``: how many times longer than the shortest run."""
    what = f"{INSTANCES:,} instances x {RULES} rules"
    town = Town()
    callers = [Caller("eureka", _caller(n).host) for n in range(CALLERS)]
    for n, caller in enumerate(callers):
        assert {p.host for p in town.given(caller).addresses} == {
            r.host for r in town.placed if r.metadata["version"] == f"v{n % 10}"
        }
    assert town.routing.kinds == 10
    turn = cycle(callers).__next__
    us, spread = each_us(1000 * scale, lambda: town.routing.classify(SHOP, turn()))
    yield Row(f"{what}: the kind of one of {CALLERS:,} known callers", "us", us, HIT_US, spread=spread)
    us, spread = each_us(1000 * scale, lambda: town.given(turn()))
    yield Row(f"{what}: kind and instances of a known caller", "us", us, HIT_US, spread=spread)
    beat = iter(range(10**9))

    def instance_changed() -> Subset:
        r = town.placed[next(beat) % INSTANCES]
        town.registry.register(structs.replace(r, metadata=r.metadata | {"n": str(next(beat))}), SYSTEM)
        town.queue.settle()
        return town.given(callers[0])

    def rule_changed() -> Subset:
        town.write()
        return town.given(callers[0])

    us, spread = each_us(3 * scale, instance_changed)
    yield Row(f"{what}: an instance registers, and the first look-up", "us", us, MISS_US, spread=spread)
    us, spread = each_us(3 * scale, rule_changed)
    yield Row(f"{what}: a rule is written, and the first look-up", "us", us, MISS_US, spread=spread)
