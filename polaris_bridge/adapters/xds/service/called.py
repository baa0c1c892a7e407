"""One service that can be called: its endpoints, and what its rules make of it, each resource encoded once for all who get it.

A change of an address touches its endpoint and what was joined of it; a change of rules what rules say.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.catalog import Sight
from polaris_bridge.adapters._shared.governance import Governance
from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.assignments import Rank, assignment, nearness
from polaris_bridge.adapters.xds.translate.clusters import CARELESS, Care
from polaris_bridge.adapters.xds.translate.endpoints import Endpoint, Unusable, endpoint_of
from polaris_bridge.adapters.xds.translate.names import outbound
from polaris_bridge.adapters.xds.translate.packing import packed
from polaris_bridge.adapters.xds.translate.rules.breaking import health_checks, outlier_detection, thresholds
from polaris_bridge.adapters.xds.translate.rules.labels import ENVOY, GRPC, Dialect
from polaris_bridge.adapters.xds.translate.rules.limits import NO_LIMITS, Limits, limits_of
from polaris_bridge.adapters.xds.translate.rules.routing import Asking, Plan, callers_of, handed_on, picks_of, plan_of
from polaris_bridge.adapters.xds.translate.rules.subsets import NOBODY, WHOLE, Chooser, Pick, Populated, Subset
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.core.breaking.detecting import chosen
from polaris_bridge.core.model import NOWHERE, Address, AddressKey, Location, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.callers import is_service
from polaris_bridge.core.routing.model import ALL, ANY, FAILOVERS, NO_RULES, Nearby, Rules, Unread
from polaris_bridge.core.routing.ports import Patterns

NEARBY: Final = "internal-enable-nearby"
FAILOVER: Final = "internal-rule-based-failover-type"
CANARY: Final = "internal-canary"
"""Keys of a service's metadata that SDKs look at."""
SET: Final = "internal-enable-set"
"""The same of an instance's: ``Y`` when it is in a set."""
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})

LARGE: Final = 200
"""Instances above which a service is read, and encoded, in slices."""

Report = Callable[[str, str], None]
"""A name of a resource, and what is wrong with it."""


class Called:
    """One service."""

    def __init__(
        self,
        key: ServiceKey,
        registry: Registry,
        governance: Governance | None,
        patterns: Patterns,
        chooser: Chooser,
        report: Report,
    ) -> None:
        self.key = key
        self.of = key
        """The service whose rules and attributes count: what the name is an alias of."""
        self.sources: tuple[ServiceKey, ...] = ()
        self.rules = NO_RULES
        self._registry = registry
        self._governance = governance
        self._patterns = patterns
        self._chooser = chooser
        self._report = report
        self._members: dict[tuple[ServiceKey, AddressKey], Endpoint] = {}
        self._places: list[tuple[str, int]] = []
        self._at: dict[tuple[str, int], dict[tuple[ServiceKey, AddressKey], Endpoint]] = {}
        self._ports: Counter[int] = Counter()
        self._counts: Counter[Pick] = Counter()
        self._picks: tuple[Pick, ...] = ()
        self._subsets: dict[str, Subset] = {}
        """By name: the parts that rules choose."""
        self._former: dict[str, Subset] = {}
        """Those that they chose before they changed."""
        self._plans: dict[tuple[str, ServiceKey | None], Plan] = {}
        self._encoded: dict[bool, bool] = {}
        self._parts: dict[str, tuple[Subset, ...]] = {}
        self._care: dict[str, Care] = {}
        self._limits: dict[bool, Limits] = {}
        self._assignments: dict[tuple[str, bool, Location | None], Resource] = {}
        self.made: dict[object, Resource] = {}
        """Clusters and route tables, by what they were made for; empty after every change that may concern them."""

    # ------------------------------------------------------------------ what stands behind the name

    def look(self, sight: Sight) -> Iterator[None]:
        """Read everything anew. Yields where it may be interrupted: changes meanwhile are taken in."""
        self.of, self.sources = sight.of.key, sight.sources
        self._members.clear()
        self._places.clear()
        self._at.clear()
        self._ports.clear()
        self.read_rules()
        for source in sight.sources:
            for place in list(self._registry.snapshot(source).addresses):
                address = self._registry.snapshot(source).addresses.get(place)
                self._remove((source, place))
                if address is not None:
                    self._put((source, place), address)
                yield
        self._assignments.clear()
        self._forget()

    def encode(self, *, rich: bool) -> Iterator[None]:
        """Encode every endpoint, so that an assignment is only joined afterwards."""
        for endpoint in list(self._members.values()):
            endpoint.encoded(rich=rich)
            yield
        self._encoded[rich] = True

    def encoded(self, *, rich: bool) -> bool:
        """Whether that was done once, or is no work."""
        return len(self._members) <= LARGE or self._encoded.get(rich, False)

    @property
    def size(self) -> int:
        """How many endpoints there are."""
        return len(self._members)

    def change(self, source: ServiceKey, place: AddressKey, address: Address | None) -> bool:
        """An address changed; whether more than the endpoints did: ports, or who is there for rules to choose."""
        ports, populated = frozenset(self._ports), self._populated()
        self._remove((source, place))
        if address is not None:
            self._put((source, place), address)
        self._assignments.clear()
        if ports == frozenset(self._ports) and populated == self._populated():
            return False
        self._forget()
        return True

    def _put(self, at: tuple[ServiceKey, AddressKey], address: Address) -> None:
        endpoint = endpoint_of(address)
        if isinstance(endpoint, Unusable):
            self._report(outbound(self.key), endpoint)
        elif endpoint is not None:
            if any(each.metadata.get(SET) == "Y" for each in address.registrations):
                self._report(SET, "who is in a set is called like everybody else")  # once, however many are
            self._members[at] = endpoint
            here = self._at.get(endpoint.order)
            if here is None:
                here = self._at[endpoint.order] = {}
                insort(self._places, endpoint.order)
            here[at] = endpoint
            self._count(endpoint, 1)

    def _remove(self, at: tuple[ServiceKey, AddressKey]) -> None:
        endpoint = self._members.pop(at, None)
        if endpoint is None:
            return
        here = self._at[endpoint.order]
        del here[at]
        if not here:
            del self._at[endpoint.order]
            del self._places[bisect_left(self._places, endpoint.order)]
        self._count(endpoint, -1)

    def _count(self, endpoint: Endpoint, more: int) -> None:
        self._ports[endpoint.port] += more
        if not self._ports[endpoint.port]:
            del self._ports[endpoint.port]
        for pick in self._picks:
            if self._chooser.chosen(pick, endpoint.labels):
                self._counts[pick] += more

    def _populated(self) -> frozenset[Pick]:
        return frozenset(pick for pick, count in self._counts.items() if count)

    @property
    def endpoints(self) -> Iterator[Endpoint]:
        """In their order, each place once: the source that is named first counts."""
        for place in self._places:
            here = self._at[place]
            if len(here) == 1:
                yield next(iter(here.values()))
            else:
                yield here[min(here, key=lambda at: (self.sources.index(at[0]), at[1]))]

    @property
    def ports(self) -> tuple[int, ...]:
        """Of all endpoints."""
        return tuple(sorted(self._ports))

    # ------------------------------------------------------------------ what rules say

    def read_rules(self) -> None:
        """Read the rules anew."""
        self.rules = NO_RULES
        if self._governance is not None:
            self.rules = self._governance.routes.of(self.of)[1]()
            self._say(self._governance.others(self.of))
        self._former, self._subsets = self._subsets, {}
        self._care.clear()
        self._limits.clear()
        self._picks = self._readable(picks_of(self.rules))
        self._counts.clear()
        for endpoint in self._members.values():
            for pick in self._picks:
                if self._chooser.chosen(pick, endpoint.labels):
                    self._counts[pick] += 1
        self._assignments.clear()
        self._forget()

    def _forget(self) -> None:
        self._plans.clear()
        self._parts.clear()
        self.made.clear()

    def _readable(self, picks: tuple[Pick, ...]) -> tuple[Pick, ...]:
        """Those that can be decided."""
        return tuple(pick for pick in picks if self._chooser.decides(pick))

    def callers(self) -> frozenset[tuple[str, str]]:
        """Whom the rules name as callers."""
        found = {(each.namespace, each.service) for each in callers_of(self.rules)}
        return frozenset(found - {(ANY, ANY)})

    def asked_by(self, caller: ServiceKey | None) -> ServiceKey | None:
        """The caller, if rules make a difference of it; else nobody."""
        if caller is None:
            return None
        return caller if any(is_service(caller, *named) for named in self.callers()) else None

    def plan(self, dialect: Dialect, caller: ServiceKey | None) -> Plan:
        """Where calls of a caller go."""
        caller = self.asked_by(caller)
        plan = self._plans.get((dialect.name, caller))
        if plan is None:
            plan = self._plans[dialect.name, caller] = plan_of(self.rules, self._asking(dialect, caller))
            self._tell(plan)
        return plan

    def handed_on(self, callee: Callable[[ServiceKey], Called | None]) -> Plan:
        """Where calls go that a gateway of this name hands on. ``callee``: a service that it sees."""

        def seen(key: ServiceKey) -> tuple[Rules, Populated] | None:
            called = callee(key)
            return None if called is None else (called.rules, called.populated)

        plan = handed_on(self.rules, self._asking(ENVOY, self.key), seen)
        self._say(plan.unread)
        return plan

    def populated(self, pick: Pick) -> bool:
        """Whether somebody is in a choice that the rules make."""
        return self._counts[pick] > 0

    def subsets(self, dialect: Dialect) -> tuple[Subset, ...]:
        """Every part of the service that calls of anybody go to."""
        found = self._parts.get(dialect.name)
        if found is None:
            plan = plan_of(self.rules, structs.replace(self._asking(dialect, None), everyone=True))
            self._tell(plan)
            parts = dict.fromkeys(share.subset for way in plan.ways for share in way.shares)
            found = self._parts[dialect.name] = tuple(parts)
        return found

    def care(self, dialect: Dialect) -> Care:
        """How calls to the service are watched over."""
        found = self._care.get(dialect.name)
        if found is None:
            found = self._care[dialect.name] = CARELESS if self._governance is None else self._cared(dialect)
        return found

    def _cared(self, dialect: Dialect) -> Care:
        assert self._governance is not None
        breakers, detects = self._governance.breakers, self._governance.detects
        unread: dict[Unread, None] = {}
        outlier = outlier_detection(self.of, breakers.of(self.of)[1](), dialect, unread)
        checks = health_checks(chosen(detects.of(self.of)), dialect, unread)
        at_once = 0 if dialect is ENVOY else self.limits(limiter=False).at_once
        self._say(unread)
        return Care(outlier, thresholds(at_once), checks)

    def limits(self, *, limiter: bool) -> Limits:
        """How many calls the service takes. ``limiter``: whether there is somebody who counts for all."""
        found = self._limits.get(limiter)
        if found is None:
            found = NO_LIMITS
            if self._governance is not None:
                rules = self._governance.limits.of(self.of)[1]()
                found = limits_of(self.of, rules, self._patterns, limiter=limiter)
            self._limits[limiter] = found
        return found

    def tell_limits(self, limits: Limits) -> None:
        """Say what of the limits cannot be expressed."""
        self._say(dict.fromkeys(limits.unread))

    def _say(self, unread: Iterable[Unread]) -> None:
        """Under the rule's name, so that one for any service is said once and not for each of them."""
        for each in unread:
            self._report(each.rule or outbound(self.key), f"rule {each.rule}, {each.where}: {each.why}")

    def _asking(self, dialect: Dialect, caller: ServiceKey | None) -> Asking:
        failover = self._metadata().get(FAILOVER, "")
        return Asking(
            self.key,
            caller,
            dialect,
            self.populated,
            self._patterns,
            failover if failover in FAILOVERS else ALL,
        )

    def _tell(self, plan: Plan) -> None:
        self._say(plan.unread)
        if self._metadata().get(CANARY) in _TRUE:
            self._report(outbound(self.key), f"{CANARY}: canaries are called like everybody else")
        for way in plan.ways:
            for share in way.shares:
                self._subsets[share.subset.id] = share.subset

    def subset(self, id: str) -> Subset | None:
        """A part of the service by its name: of rules as they are, or were before, for somebody may still use those."""
        if id == NOBODY.id:
            return NOBODY
        if id and id not in self._subsets:
            for dialect in (ENVOY, GRPC):
                self.subsets(dialect)
        return (self._subsets.get(id) or self._former.get(id)) if id else WHOLE

    @property
    def subset_ids(self) -> tuple[str, ...]:
        """The names of all parts that calls go to, or went to; empty for the whole."""
        return tuple({"": None, **dict.fromkeys(self._subsets), **dict.fromkeys(self._former)})

    def _metadata(self) -> dict[str, str]:
        record = self._registry.snapshot(self.of).record
        return {} if record is None else record.metadata

    # ------------------------------------------------------------------ assignments

    def assignment(self, subset: Subset, place: Location, *, rich: bool) -> Resource:
        """The assignment of a part of the service, for callers at a place. ``rich``: as Envoy needs it."""
        near = self._near()
        at = place if near is not None and (place != NOWHERE or near.strict) else None
        key = subset.id, rich, at
        found = self._assignments.get(key)
        if found is None:
            rank = None if near is None or at is None else nearness(near, place) if place != NOWHERE else _nobody
            name = outbound(self.key, subset.id)
            content = assignment(name, list(self.endpoints), self._rank(subset, rank), rich=rich)
            found = self._assignments[key] = packed(types.ASSIGNMENT, name, content)
        return found

    def named_assignment(self, name: str) -> Resource:
        """All endpoints, under another name."""
        return packed(types.ASSIGNMENT, name, assignment(name, list(self.endpoints), rich=True))

    def _near(self) -> Nearby | None:
        if self.rules.nearby is not None:
            return self.rules.nearby
        return Nearby() if self._metadata().get(NEARBY) in _TRUE else None

    def _rank(self, subset: Subset, near: Rank | None) -> Rank | None:
        """Tiers of the subset count before nearness."""
        if subset == WHOLE:
            return near
        tier = self._chooser.tier

        def rank(endpoint: Endpoint) -> int | None:
            at = tier(subset, endpoint.labels)
            here = 0 if near is None else near(endpoint)
            return None if at is None or here is None else at * 4 + here

        return rank


def _nobody(_endpoint: Endpoint) -> None:
    return None
