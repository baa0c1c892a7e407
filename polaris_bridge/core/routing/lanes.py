"""Lanes: which one a call belongs to, and the instances of it; without one, the base line.

Semantics of polaris-go after 1.7.0 (its first version with lanes), with two differences: a condition on something that the call
does not tell never holds, and services without a group of lanes have no base line. In a strict lane nobody but its own will do.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from .callers import Asked
from .compiled import ReadyLane
from .model import Lane
from .ports import Chance
from .state import State

STEP: Final = "lane"
DEFAULT_KEY: Final = Lane("").key
"""The label that an instance of the base line does not have, whatever keys lanes have (as in polaris-go)."""


class Moment(Struct, frozen=True):
    """When a call is made, and by what chance."""

    now_ms: int
    chance: Chance


def apply(state: State, lanes: tuple[ReadyLane, ...], asked: Asked, moment: Moment) -> None:
    """Narrow to the lane of a call, or to the base line."""
    found, why = _lane_of(lanes, asked, moment, state)
    if found is None:
        _to_base(state, why, DEFAULT_KEY)
        return
    own = state.index.values(found.lane.key).get(found.lane.value, 0)
    if state.count and any(each.bits & own & state.index.healthy for each in state.left):
        state.narrow(lambda _bits: own, "")
        state.say(STEP, f"in lane {found.label}: {found.lane.key}={found.lane.value}", found.group.id)
    elif found.lane.strict:
        healthy = own & state.index.healthy
        state.narrow(lambda _bits: healthy, f"lane {found.label} has no healthy instance and is strict")
        state.say(STEP, state.why, found.group.id)
    else:
        _to_base(state, f"lane {found.label} has no healthy instance", found.lane.key)


def _lane_of(lanes: tuple[ReadyLane, ...], asked: Asked, moment: Moment, state: State) -> tuple[ReadyLane | None, str]:
    """The lane that a call is in, or why it is in none."""
    if asked.who.stained:
        found = _stained(lanes, asked, state)
        if found is None:
            return None, f"no lane is named {asked.who.stained}"
        state.stain = asked.who.stained
    else:
        found = next((lane for lane in lanes if _enters(lane, asked) and _matches(lane, asked)), None)
        if found is None:
            return None, "the call belongs to no lane"
        if not _taken(found.lane, moment):
            return None, f"lane {found.label} does not take every call"
        state.stain = found.label
    if not _reaches(found, state):
        return None, f"lane {found.label} does not go through this service"
    return found, ""


def _stained(lanes: tuple[ReadyLane, ...], asked: Asked, state: State) -> ReadyLane | None:
    """By the whole name; else by the label's value, best the lane that is about this service and this call."""
    stain = asked.who.stained
    for lane in lanes:
        if lane.label == stain:
            return lane
    same = [lane for lane in lanes if lane.lane.value == stain]
    about = [lane for lane in same if _reaches(lane, state)]
    exact = [lane for lane in about if _matches(lane, asked)]
    return next(iter([*exact, *about, *same]), None)


def _enters(lane: ReadyLane, asked: Asked) -> bool:
    return any(
        asked.calls_as(entry.source.namespace, entry.source.service) and asked.has(entry) for entry in lane.entries
    )


def _matches(lane: ReadyLane, asked: Asked) -> bool:
    """A lane without conditions takes nobody."""
    labels = asked.who.labels
    for each in lane.conditions:
        given = labels.get(each.condition.key)
        if given is None:
            asked.missing[each.condition.key] = None
        holds = given is not None and asked.source_test(each)(given)
        if holds is lane.lane.any_of:
            return holds
    return bool(lane.conditions) and not lane.lane.any_of


def _taken(lane: Lane, moment: Moment) -> bool:
    if lane.warm_ms > 0:
        age = moment.now_ms - lane.since_ms
        if age >= lane.warm_ms:
            return True
        return age > 0 and moment.chance(1_000_000) < (age / lane.warm_ms) ** max(1, lane.curvature) * 1_000_000
    return lane.percent >= 100 or (lane.percent > 0 and moment.chance(100) < lane.percent)


def _reaches(lane: ReadyLane, state: State) -> bool:
    key = state.index.service.key
    return any(place.namespace in ("", key.namespace) and place.name in ("", key.name) for place in lane.group.services)


def _to_base(state: State, why: str, key: str) -> None:
    """The base line: instances that are in no lane."""
    lanes = state.index.having(key)
    state.narrow(lambda _bits: ~lanes, f"{why}, and every instance is in some lane")
    state.say(STEP, f"{why}: to the base line, instances without {key}")
