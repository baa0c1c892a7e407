"""Routing of 1,000 instances by 50 rules.

Figures are CPU time of this process. It fails when a decision is wrong.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Final

from report import Row

from polaris_bridge.adapters._shared.patterns import LinearSearch
from polaris_bridge.adapters.polaris.translate.routing_targets import targets_of
from polaris_bridge.core.model import Address, Location, Registration, ServiceKey
from polaris_bridge.core.routing import picking
from polaris_bridge.core.routing.compiled import compile_rules
from polaris_bridge.core.routing.index import Index
from polaris_bridge.core.routing.model import (
    IN,
    NO_RULES,
    REGEX,
    Condition,
    Decision,
    Group,
    Nearby,
    Options,
    Route,
    Rules,
    Service,
    Source,
    Target,
    Traveller,
)
from polaris_bridge.core.routing.ready import ReadyRules
from polaris_bridge.core.routing.router import Router

SHOP: Final = ServiceKey("default", "shop")
CALLER: Final = ServiceKey("default", "cart")
INSTANCES: Final = 1000
RULES: Final = 50
HIT_US: Final = 20
MISS_US: Final = 5000
RUNS: Final = 5


def addresses(count: int) -> list[Address]:
    """Instances of 10 versions and 4 colours in 4 zones, two in a hundred sick."""
    found = []
    for n in range(count):
        host = f"10.0.{n >> 8}.{n & 255}"
        labels = {"version": f"v{n % 10}", "colour": f"c{n % 4}", "env": "prod", "unit": str(n % 50)}
        place = Location("r1", f"z{n % 4}", f"c{n % 16}")
        own = Registration(
            "nacos", "default", str(n), SHOP.name, host, 80, metadata=labels, location=place, lost_ms=n % 50 == 7
        )
        found.append(Address(host, 80, "", (own,)))
    return found


def rules(count: int) -> Rules:
    """Every route looks at two labels of the call; the last one takes the calls that no other does."""
    routes = []
    for n in range(count):
        last = n == count - 1
        user = Condition("$header.user", f"^user-{n}-" if not last else ".", REGEX)
        path = Condition("$path", ",".join(f"/api/{n}/{part}" for part in "abc") if not last else "*", IN)
        groups = (
            Group("new", (Condition("version", f"^v[{n % 8}-9]$", REGEX), Condition("env", "prod")), 0, 10),
            Group("old", (Condition("version", f"v{n % 10}"), Condition("colour", "c1,c2,c3", IN)), 0, 90),
            Group("rest", (Condition("unit", "0,1,2,3,4", IN),), 1),
        )
        routes.append(Route(f"rule-{n}", f"rule-{n}.s", (Source("*", "*", (user, path)),), groups))
    return Rules(tuple(routes), nearby=Nearby("near"))


class Shelf:
    """A service and its rules, at revisions that the benchmark moves."""

    def __init__(self, targets: tuple[Target, ...], said: Rules) -> None:
        self._targets, self._said = targets, said
        self.at = self.ruled = 1

    def wall_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0

    def read(self, key: ServiceKey) -> Service:
        return Service(key, self._targets)


class Services(Shelf):
    """``core.routing.ports.Services``."""

    def revision(self, _key: ServiceKey) -> object:
        return self.at


class Book:
    """``core.routing.ports.Rulebook``."""

    kinds: frozenset[str] = frozenset()

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def revision(self) -> int:
        return self._shelf.ruled

    def of(self, service: ServiceKey) -> tuple[object, Callable[[], Rules]]:
        said = self._shelf._said if service == SHOP else NO_RULES
        return self._shelf.ruled, lambda: said


def caller(n: int) -> Traveller:
    """Nobody like the one before: no route but the last takes its calls."""
    labels = {"$header.user": f"guest-{n}", "$path": "/other", "tier": "gold"}
    return Traveller(CALLER, labels, Location("r1", "z1", "c1"))


def each_us(turns: int, run: Callable[[], object], runs: int = RUNS) -> tuple[float, float]:
    """CPU microseconds of one call: the median of runs, and their spread."""
    found = []
    for _ in range(runs):
        began = time.process_time()
        for _ in range(turns):
            run()
        found.append((time.process_time() - began) * 1e6 / turns)
    middle = statistics.median(found)
    return middle, (max(found) - min(found)) / middle


def rows(scale: int) -> Iterator[Row]:
    """``scale``: how many times longer than the shortest run."""
    what = f"{INSTANCES:,} instances x {RULES} rules"
    placed = addresses(INSTANCES)
    targets = tuple(target for address in placed for target in targets_of(address, {}))
    shelf, count = Services(targets, rules(RULES)), itertools.count()
    router = Router(shelf, ReadyRules(Book(shelf), LinearSearch()), shelf, lambda below: below // 2)
    known = caller(-1)
    decision = router.decide(SHOP, known)
    _check(decision)
    us, spread = each_us(2000 * scale, lambda: router.decide(SHOP, known))
    yield Row(f"{what}: a caller like one before", "us", us, HIT_US, spread=spread)
    us, spread = each_us(10 * scale, lambda: router.decide(SHOP, caller(next(count))))
    yield Row(f"{what}: a caller of a new kind", "us", us, MISS_US, spread=spread)

    def instance_changed() -> None:
        shelf.at += 1
        router.decide(SHOP, caller(next(count)))

    def rule_changed() -> None:
        shelf.ruled += 1
        router.decide(SHOP, caller(next(count)))

    us, spread = each_us(3 * scale, instance_changed)
    yield Row(f"{what}: the first after an instance changed", "us", us, MISS_US, spread=spread)
    us, spread = each_us(3 * scale, rule_changed)
    yield Row(f"{what}: the first after a rule changed", "us", us, MISS_US, spread=spread)
    us, spread = each_us(10 * scale, lambda: router.explain(SHOP, known))
    yield Row(f"{what}: explained", "us", us, MISS_US, spread=spread)
    us, spread = each_us(5 * scale, lambda: compile_rules(rules(RULES), LinearSearch(), Options()))
    yield Row(f"{RULES} rules compiled", "us", us, spread=spread)
    us, spread = each_us(2 * scale, lambda: [targets_of(address, {}) for address in placed])
    yield Row(f"{INSTANCES:,} instances read for the first time", "us", us, spread=spread)
    yield from _picked(Index(Service(SHOP, targets)).targets, scale)


def _picked(targets: tuple[Target, ...], scale: int) -> Iterator[Row]:
    from polaris_bridge.core.routing.model import Share, Tier

    decision = Decision((Tier(0, (Share("g", 100, targets),)),))
    keys = itertools.count()
    for policy in picking.POLICIES:
        picker = picking.Picker(lambda below: next(keys) * 7919 % below)
        picker.pick(decision, policy, "shop", "first")
        us, spread = each_us(20 * scale, lambda p=picker, q=policy: p.pick(decision, q, "shop", str(next(keys))))  # type: ignore[misc]
        yield Row(f"{policy}: one of {len(targets):,}", "us", us, spread=spread)
    for policy in (picking.RING_HASH, picking.MAGLEV):
        us, spread = each_us(scale, lambda q=policy: picking.Picker(len).pick(decision, q, "shop", "k"))  # type: ignore[misc, arg-type]
        yield Row(f"{policy}: the first of {len(targets):,}", "us", us, 4000, spread=spread, note="target: one slice")


def _check(decision: Decision) -> None:
    """The last route takes it, and only instances of the caller's zone are left."""
    assert decision.rule == f"rule-{RULES - 1}", decision.rule
    assert {target.location.zone for target in decision.targets} == {"z1"}
    assert [share.name for share in decision.tiers[0].shares] == ["new", "old"]
