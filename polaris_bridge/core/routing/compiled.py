"""Rules made ready: conditions as tests, and what of a caller has to be looked at, so that equal callers get equal answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from .matching import Ready, needs, ready
from .model import ANY, Condition, Group, Lane, LaneGroup, Options, Route, Rules, Source, Unread
from .ports import Patterns


class ReadySource(Struct, frozen=True):
    """A source made ready."""

    source: Source
    conditions: tuple[Ready, ...]


class ReadyGroup(Struct, frozen=True):
    """A group made ready."""

    group: Group
    conditions: tuple[Ready, ...]


class ReadyRoute(Struct, frozen=True):
    """A route made ready."""

    route: Route
    sources: tuple[ReadySource, ...]
    groups: tuple[ReadyGroup, ...]


class ReadyLane(Struct, frozen=True):
    """A lane made ready, with the group that it is in."""

    lane: Lane
    group: LaneGroup
    entries: tuple[ReadySource, ...]
    conditions: tuple[Ready, ...]

    @property
    def label(self) -> str:
        """The name that a call carries which was taken into it."""
        return f"{self.group.name}/{self.lane.name}"


class Compiled(Struct, frozen=True):
    """The rules of one service."""

    rules: Rules
    inbound: tuple[ReadyRoute, ...]
    outbound: tuple[ReadyRoute, ...]
    lanes: tuple[ReadyLane, ...]
    keys: tuple[str, ...]
    """Labels of callers that make a difference."""
    variables: tuple[str, ...]
    """Variables of callers that make a difference."""
    unread: tuple[Unread, ...]
    """What cannot be evaluated here; it never matches."""
    callers: tuple[tuple[str, str], ...] = ()
    """Namespace and name of the services that calls to this one are asked for."""
    callees: tuple[tuple[str, str], ...] = ()
    """Namespace and name of the services that something is said of calls to."""

    @property
    def sends(self) -> bool:
        """Whether something is said of the calls that the service makes."""
        return bool(self.outbound or self.rules.lanes)

    def warm_ms(self, now_ms: int) -> int | None:
        """When the next lane begins to take every call; None: no lane is growing."""
        ends = (lane.lane.since_ms + lane.lane.warm_ms for lane in self.lanes if lane.lane.warm_ms > 0)
        return min((end for end in ends if end > now_ms), default=None)

    @property
    def draws(self) -> bool:
        """Whether equal callers may get different answers: some lane takes a share of its calls only."""
        return any(lane.lane.percent < 100 or lane.lane.warm_ms > 0 for lane in self.lanes)


def compile_rules(rules: Rules, patterns: Patterns, options: Options) -> Compiled:
    """Make the rules of a service ready. Does not raise: what cannot be evaluated is named in ``unread``."""
    inbound = tuple(_route(route, patterns) for route in rules.inbound)
    outbound = tuple(_route(route, patterns) for route in rules.outbound)
    lanes = tuple(_lanes(rules.lanes, patterns))
    keys = dict.fromkeys(key for key in (options.set_switch, options.set_name) if key)
    variables: dict[str, None] = {}
    for used in _conditions((*inbound, *outbound), lanes):
        keys.update(dict.fromkeys(used.keys))
        variables.update(dict.fromkeys(used.variables))
    unread = (*_unread((*inbound, *outbound)), *_unread_lanes(lanes))
    told = (*(source for route in inbound for source in route.sources), *(e for lane in lanes for e in lane.entries))
    callers = dict.fromkeys((each.source.namespace, each.source.service) for each in told)
    callers.pop((ANY, ANY), None)
    return Compiled(
        rules,
        inbound,
        outbound,
        lanes,
        tuple(keys),
        tuple(variables),
        tuple(dict.fromkeys(unread)),
        tuple(callers),
        tuple(dict.fromkeys((g.group.namespace, g.group.service) for route in outbound for g in route.groups)),
    )


class _Used(Struct, frozen=True):
    keys: tuple[str, ...]
    variables: tuple[str, ...]


def _conditions(routes: Iterable[ReadyRoute], lanes: Iterable[ReadyLane]) -> Iterator[_Used]:
    for route in routes:
        for source in route.sources:
            yield from (_Used((r.condition.key,), _variables(r.condition)) for r in source.conditions)
        for group in route.groups:
            yield from (_Used(needs(r.condition), _variables(r.condition)) for r in group.conditions)
    for lane in lanes:
        told = [*lane.conditions, *(r for entry in lane.entries for r in entry.conditions)]
        yield from (_Used((r.condition.key,), _variables(r.condition)) for r in told)


def _variables(condition: Condition) -> tuple[str, ...]:
    return (condition.value,) if condition.origin == "variable" else ()


def _route(route: Route, patterns: Patterns) -> ReadyRoute:
    return ReadyRoute(
        route,
        tuple(_source(source, patterns) for source in route.sources),
        tuple(ReadyGroup(g, tuple(ready(c, patterns, whole=True) for c in g.conditions)) for g in route.groups),
    )


def _source(source: Source, patterns: Patterns) -> ReadySource:
    return ReadySource(source, tuple(ready(condition, patterns) for condition in source.conditions))


def _lanes(groups: Iterable[LaneGroup], patterns: Patterns) -> list[ReadyLane]:
    """By priority, then by age. Which group a caller is an entry of is asked for each call."""
    found: list[ReadyLane] = []
    for group in groups:
        entries = tuple(_source(entry, patterns) for entry in group.entries)
        found += [ReadyLane(ln, group, entries, tuple(ready(c, patterns) for c in ln.conditions)) for ln in group.lanes]
    return sorted(found, key=lambda lane: (lane.lane.priority, lane.lane.created))


def _unread(routes: Iterable[ReadyRoute]) -> Iterator[Unread]:
    for route in routes:
        for i, source in enumerate(route.sources):
            yield from _defects(route.route.rule, f"{route.route.name}.sources[{i}]", source.conditions)
        for i, group in enumerate(route.groups):
            yield from _defects(route.route.rule, f"{route.route.name}.destinations[{i}]", group.conditions)


def _unread_lanes(lanes: Iterable[ReadyLane]) -> Iterator[Unread]:
    for lane in lanes:
        yield from _defects(lane.group.id, lane.label, lane.conditions)
        for i, entry in enumerate(lane.entries):
            yield from _defects(lane.group.id, f"{lane.group.name}.entries[{i}]", entry.conditions)


def _defects(rule: str, where: str, conditions: Iterable[Ready]) -> Iterator[Unread]:
    for each in conditions:
        if each.defect:
            yield Unread(rule, f"{where}.{each.condition.key}", each.defect)
