"""Route rules and lanes as ways that a call may take: what it looks like, and which parts of the service it may go to. Pure.

The order of decisions is that of ``core.routing``: the lane first, then the rules of the called service, of which the first
counts that a call matches and that has instances to go to. Envoy and gRPC clients compare what they see of a call themselves;
who calls is known from the node, so that only rules for this caller are told to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct, structs

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.callers import is_service
from polaris_bridge.core.routing.matching import make_test, nothing
from polaris_bridge.core.routing.model import (
    ALL,
    ANY,
    NONE,
    PARAMETER,
    TEXT,
    Condition,
    Group,
    Lane,
    LaneGroup,
    Route,
    Rules,
    Source,
    Unread,
)
from polaris_bridge.core.routing.ports import Patterns

from .labels import HEADERS, PATH, VERB, Dialect, part_of
from .subsets import EVERYBODY, WHOLE, Pick, Populated, Subset, constrains

STAIN: Final = "service-lane"
"""The header in which calls carry the lane that they were taken into, as SDKs name it."""
BASE_KEY: Final = Lane("").key
MOST_WAYS: Final = 500
"""Of one service."""


class Match(Struct, frozen=True, gc=False):
    """What a call has to look like. Keys of conditions are names of headers, of query parameters, of cookies."""

    path: Condition | None = None
    headers: tuple[Condition, ...] = ()
    queries: tuple[Condition, ...] = ()
    cookies: tuple[Condition, ...] = ()
    percent: int = 100
    """Of the calls that look so, how many are meant."""
    lacks: tuple[str, ...] = ()
    """Headers that it must not have."""

    @property
    def everything(self) -> bool:
        """Whether every call looks like this."""
        return self == ANYTHING


ANYTHING: Final = Match()


class Share(Struct, frozen=True, gc=False):
    """A part of the service, and its share of the calls."""

    subset: Subset = WHOLE
    weight: int = 100
    service: ServiceKey | None = None
    """Another service than the one that the plan is for."""


class Way(Struct, frozen=True, gc=False):
    """Where calls of one kind go. No shares: nowhere."""

    match: Match
    shares: tuple[Share, ...]
    rule: str = ""
    """Id of the rule that says so."""
    name: str = ""
    stain: str = ""
    """The lane that the call is taken into here, for it to carry on."""


class Plan(Struct, frozen=True):
    """Everything that is told of the calls of one caller to one service. The first way that matches counts; the last one matches
    every call."""

    ways: tuple[Way, ...]
    unread: tuple[Unread, ...] = ()
    """What of the rules cannot be expressed."""


class Asking(Struct, frozen=True):
    """For whom a plan is made."""

    service: ServiceKey
    caller: ServiceKey | None
    dialect: Dialect
    populated: Populated
    patterns: Patterns
    failover: str = ALL
    everyone: bool = False
    """Whether it is for all callers at once: who they are does not count, and nothing is left out."""

    def calls_as(self, source: Source) -> bool:
        """Whether the caller is meant."""
        return self.everyone or is_service(self.caller, source.namespace, source.service)


def plan_of(rules: Rules, asking: Asking) -> Plan:
    """The ways of the calls to a service. Does not raise: what cannot be expressed is named."""
    unread: dict[Unread, None] = {}
    base = _base(rules, asking, unread)
    _unmeant(rules.outbound, unread)
    ways: list[Way] = []
    for lane_way, pick, fallback in _lanes(rules.lanes, asking, unread):
        ways += _within(rules.inbound, lane_way, pick, fallback, asking, unread)
    ways += _within(rules.inbound, Way(ANYTHING, ()), base, (), asking, unread)
    if len(ways) > MOST_WAYS:
        unread[Unread("", "", f"more than {MOST_WAYS} ways of calls: the last ones are left out")] = None
        ways = [*ways[: MOST_WAYS - 1], ways[-1]]
    return Plan(tuple(ways), tuple(unread))


def handed_on(rules: Rules, asking: Asking, callee: Callable[[ServiceKey], tuple[Rules, Populated] | None]) -> Plan:
    """The ways of the calls that a gateway hands on: by its own rules, those with a path, to the services that they name.

    ``callee``: the rules of a service that it sees, and who is there; None for one that it does not see.
    """
    unread: dict[Unread, None] = {}
    ways: list[Way] = []
    for route in rules.outbound:
        matches = [match for match in _sources(route, asking, unread) if match.path is not None]
        shares = tuple(_handed(route, asking, callee, unread)) if matches else ()
        if shares:
            ways += [Way(match, shares, route.rule, route.name) for match in matches]
    if len(ways) > MOST_WAYS:
        unread[Unread("", "", f"more than {MOST_WAYS} ways of calls: the last ones are left out")] = None
    return Plan(tuple(ways[:MOST_WAYS]), tuple(unread))


def _handed(
    route: Route,
    asking: Asking,
    callee: Callable[[ServiceKey], tuple[Rules, Populated] | None],
    unread: dict[Unread, None],
) -> Iterator[Share]:
    found: dict[int, list[Share]] = {}
    for i, group in enumerate(route.groups):
        if group.isolated or group.weight <= 0:
            continue
        key = ServiceKey(group.namespace, group.service)
        defect = "a gateway has to be told which service" if ANY in key else _defect(group, asking.patterns)
        if defect:
            unread[Unread(route.rule, f"{route.name}.destinations[{i}]", defect)] = None
            continue
        seen = callee(key)
        if seen is None:
            continue
        pick = _base_pick(seen[0]).also(_pick(group))
        if pick == EVERYBODY or seen[1](pick):
            found.setdefault(group.priority, []).append(Share(Subset(((pick,),)), group.weight, key))
    yield from found[min(found)] if found else ()


def picks_of(rules: Rules) -> tuple[Pick, ...]:
    """Every choice whose being empty or not makes a difference to plans, whoever calls."""
    labelled = _labelled(rules)
    base = [_base_pick(rules), *(_lane_pick(lane) for group in rules.lanes for lane in group.lanes)]
    base.append(base[0].also(labelled))
    groups = [pick for pick in (_pick(group) for route in rules.inbound for group in route.groups) if pick != EVERYBODY]
    narrowed = [one.also(other) for one in base for other in groups]
    return tuple(dict.fromkeys((labelled, *narrowed)))


def names_callers(rules: Rules) -> bool:
    """Whether it makes a difference who calls."""
    sources = [source for route in rules.inbound for source in route.sources]
    entries = [entry for group in rules.lanes for entry in group.entries]
    return any((each.namespace, each.service) != (ANY, ANY) for each in (*sources, *entries))


# -------------------------------------------------------------------------------------------------- lanes and labels


def _labelled(rules: Rules) -> Pick:
    labels = {} if rules.labelled is None else rules.labelled.labels
    return Pick(tuple(Condition(key, labels[key]) for key in sorted(labels)))


def _base_pick(rules: Rules) -> Pick:
    return Pick(lacks=(BASE_KEY,)) if rules.lanes else EVERYBODY


def _base(rules: Rules, asking: Asking, unread: dict[Unread, None]) -> Pick:
    """The base line of lanes, and the labels that callers are to ask for when they ask for none."""
    base, labelled = _base_pick(rules), _labelled(rules)
    if labelled == EVERYBODY or rules.labelled is None:
        return base
    if asking.populated(labelled) or rules.labelled.failover == NONE:
        return base.also(labelled)
    if rules.labelled.failover != ALL:
        why = f"nobody has the labels, and of those without them all are used, not {rules.labelled.failover}"
        unread[Unread(rules.labelled.rule, "failover", why)] = None
    return base


def _unmeant(routes: Iterable[Route], unread: dict[Unread, None]) -> None:
    """What a service says of its calls to services of every namespace stands with none of them."""
    for route in routes:
        for i, group in enumerate(route.groups):
            if group.namespace == ANY:
                why = "services of every namespace: only what is said of a service of a namespace is told"
                unread[Unread(route.rule, f"{route.name}.destinations[{i}]", why)] = None


def _lane_pick(lane: Lane) -> Pick:
    return Pick((Condition(lane.key, lane.value),))


def _lanes(
    groups: Sequence[LaneGroup], asking: Asking, unread: dict[Unread, None]
) -> Iterator[tuple[Way, Pick, tuple[Pick, ...]]]:
    """Lanes through the service: the calls that are in one, its instances, and who else will do."""
    lanes = ((group, lane) for group in groups for lane in group.lanes)
    through = [
        (group, lane, _lane_pick(lane), () if lane.strict else (Pick(lacks=(lane.key,)),))
        for group, lane in sorted(lanes, key=lambda pair: (pair[1].priority, pair[1].created))
        if _reaches(group, asking.service)
    ]
    for group, lane, pick, fallback in through:
        yield _stained(group, lane, _label(group, lane)), pick, fallback
    for group, lane, pick, fallback in through:
        if lane.value not in ("", ANY):
            yield _stained(group, lane, lane.value), pick, fallback
    for group, lane, pick, fallback in through:
        label = _label(group, lane)
        for match in _entering(group, lane, asking, unread):
            yield Way(match, (), group.id, label, label), pick, fallback


def _reaches(group: LaneGroup, service: ServiceKey) -> bool:
    return any(
        place.namespace in ("", service.namespace) and place.name in ("", service.name) for place in group.services
    )


def _label(group: LaneGroup, lane: Lane) -> str:
    return f"{group.name}/{lane.name}"


def _stained(group: LaneGroup, lane: Lane, stain: str) -> Way:
    """The calls that carry a lane already: its whole name, or the value of its label, which some SDKs and people write."""
    return Way(Match(headers=(Condition(STAIN, stain),)), (), group.id, _label(group, lane))


def _entering(group: LaneGroup, lane: Lane, asking: Asking, unread: dict[Unread, None]) -> Iterator[Match]:
    """The calls that are taken into a lane, if the caller is an entry. One that carries a lane, known or not, stays as it is."""
    label = _label(group, lane)
    if not lane.conditions or not any(map(asking.calls_as, group.entries)):
        return
    if not asking.dialect.stains:
        unread[Unread(group.id, label, "calls cannot be given the lane that they are in")] = None
    if lane.warm_ms > 0:
        unread[Unread(group.id, label, "a share that grows with time: the lane takes all of its calls at once")] = None
    percent = 100 if lane.warm_ms > 0 else lane.percent
    if percent <= 0:
        return
    for entry in group.entries:
        if not asking.calls_as(entry):
            continue
        alternatives = [(each,) for each in lane.conditions] if lane.any_of else [lane.conditions]
        for conditions in alternatives:
            match = _match((*entry.conditions, *conditions), group.id, label, asking, unread)
            if match is not None:
                yield structs.replace(match, percent=min(100, percent), lacks=(STAIN,))


# -------------------------------------------------------------------------------------------------- rules


def _within(
    routes: Sequence[Route],
    within: Way,
    pick: Pick,
    fallback: tuple[Pick, ...],
    asking: Asking,
    unread: dict[Unread, None],
) -> Iterator[Way]:
    """The ways of calls that are in a lane already, or in none: by the rules, then everything that is left."""
    for route in routes:
        matches = list(_sources(route, asking, unread))
        if not matches:
            continue
        shares = tuple(_shares(route, pick, fallback, asking, unread))
        if not shares:
            continue
        for match in matches:
            both = _both(within.match, match)
            if both is not None:
                yield Way(both, shares, route.rule, route.name, within.stain)
        if any(match.everything for match in matches) and not asking.everyone:
            return
    failed = bool(routes) and asking.failover == NONE
    yield structs.replace(within, shares=() if failed else (Share(_subset(pick, fallback)),))


def _subset(pick: Pick, fallback: tuple[Pick, ...]) -> Subset:
    strict = not fallback and pick != EVERYBODY
    return Subset(((pick,), *((each,) for each in fallback)), strict)


def _sources(route: Route, asking: Asking, unread: dict[Unread, None]) -> Iterator[Match]:
    """What calls of this caller look like that a route is about."""
    if not route.sources:
        yield ANYTHING
    for i, source in enumerate(route.sources):
        if asking.calls_as(source):
            match = _match(source.conditions, route.rule, f"{route.name}.sources[{i}]", asking, unread)
            if match is not None:
                yield match


def _shares(
    route: Route, within: Pick, fallback: tuple[Pick, ...], asking: Asking, unread: dict[Unread, None]
) -> Iterator[Share]:
    """The groups of the best priority that have instances; those of further ones stand in when they are not healthy."""
    groups: dict[int, list[tuple[Group, Pick]]] = {}
    for i, group in enumerate(route.groups):
        if group.isolated or group.weight <= 0 or not _is_of(group, asking.service):
            continue
        defect = _defect(group, asking.patterns)
        if defect:
            unread[Unread(route.rule, f"{route.name}.destinations[{i}]", defect)] = None
            continue
        pick = within.also(_pick(group))
        if pick == EVERYBODY or asking.populated(pick):
            groups.setdefault(group.priority, []).append((group, pick))
    tiers = [tuple(pick for _, pick in groups[priority]) for priority in sorted(groups)]
    for group, pick in groups[min(groups)] if groups else ():
        yield Share(Subset(((pick,), *tiers[1:], *((each,) for each in fallback))), group.weight)


def _is_of(group: Group, service: ServiceKey) -> bool:
    return group.namespace in (ANY, service.namespace) and group.service in (ANY, service.name)


def _pick(group: Group) -> Pick:
    return Pick(tuple(each for each in group.conditions if constrains(each)))


def _defect(group: Group, patterns: Patterns) -> str:
    """Why a group cannot be told; empty when it can."""
    if group.transfer:
        return f"calls cannot be handed to another service ({group.transfer})"
    for condition in group.conditions:
        if condition.origin != TEXT:
            return f"{condition.key}: the value of an instance's label cannot depend on the call"
        try:
            make_test(condition.operator, condition.value, patterns, whole=True)
        except ValueError as error:
            return f"{condition.key}: {error}"
    return ""


# -------------------------------------------------------------------------------------------------- what calls look like


def _match(
    conditions: Iterable[Condition], rule: str, where: str, asking: Asking, unread: dict[Unread, None]
) -> Match | None:
    """What a call has to look like so that all conditions hold; None when one of them cannot be told."""
    parts: dict[str, list[Condition]] = {}
    for condition in conditions:
        if condition.key == ANY:
            continue
        part, name = part_of(condition.key)
        defect = asking.dialect.defect(part, name, condition) or _unreadable(condition, asking.patterns)
        if defect:
            unread[Unread(rule, f"{where}.{condition.key}", defect)] = None
            return None
        parts.setdefault(HEADERS if part == VERB else part, []).append(structs.replace(condition, key=name))
    paths = parts.pop(PATH, [])
    if len(paths) > 1:
        unread[Unread(rule, where, "more than one condition on the path")] = None
        return None
    return Match(paths[0] if paths else None, **{part: tuple(found) for part, found in parts.items()})  # type: ignore[arg-type]


def _unreadable(condition: Condition, patterns: Patterns) -> str:
    if condition.origin == PARAMETER:
        return ""
    if condition.origin != TEXT:
        return "variables of the caller's system are not known here"
    try:
        test = make_test(condition.operator, condition.value, patterns)
    except ValueError as error:
        return str(error)
    return "no value is within it" if test is nothing else ""


def _both(a: Match, b: Match) -> Match | None:
    """Calls that look like both; None when they cannot."""
    if a.path is not None and b.path is not None and a.path != b.path:
        return None
    return Match(
        a.path or b.path,
        tuple(dict.fromkeys((*a.headers, *b.headers))),
        tuple(dict.fromkeys((*a.queries, *b.queries))),
        tuple(dict.fromkeys((*a.cookies, *b.cookies))),
        min(a.percent, b.percent),
        tuple(dict.fromkeys((*a.lacks, *b.lacks))),
    )


def callers_of(rules: Rules) -> Iterator[Source]:
    """Everybody whom the rules name as a caller."""
    for route in rules.inbound:
        yield from route.sources
    for group in rules.lanes:
        yield from group.entries
