"""Near before far: instances at the caller's own place, and step by step further away when those are missing or sick.

Semantics of polaris-go 1.7.0; the levels of a rule are followed as polaris-java does (polaris-go takes its own file's).
"""

from __future__ import annotations

from typing import Final

from ..model import NOWHERE, Location
from .model import CAMPUS, LEVELS, REGION, ZONE, Nearby
from .state import State

STEP: Final = "nearby"


def apply(state: State, rule: Nearby, place: Location, degrade_percent: int) -> None:
    """Narrow each group to the narrowest level at which it has instances that are well enough."""
    if place == NOWHERE:
        if rule.strict:
            state.narrow(lambda _bits: 0, "nobody knows where the caller is, and the rule is strict")
        state.say(STEP, state.why or "nobody knows where the caller is: near and far do not count", rule.rule)
        return
    index = state.index
    sets = {level: index.near(place_at(place, level)) for level in LEVELS}
    used: list[int] = []

    def choose(bits: int) -> int:
        level = _level(bits, sets, rule, index.healthy, degrade_percent)
        if level is None:
            return 0
        used.append(level)
        return sets[level]

    state.narrow(choose, f"no instance from {LEVELS[rule.match]} to {LEVELS[rule.widest]} of {_said(place)}")
    levels = " and ".join(LEVELS[level] for level in dict.fromkeys(used))
    counts = ", ".join(f"{LEVELS[level]} {_count(state, sets[level])}" for level in sorted(sets, reverse=True))
    state.say(STEP, f"{levels or state.why} of {_said(place)} ({counts})", rule.rule)


def _level(bits: int, sets: dict[int, int], rule: Nearby, healthy: int, degrade_percent: int) -> int | None:
    """The first level that is well; else the first with anybody; None: nobody is within reach."""
    first: int | None = None
    for level in range(rule.match, rule.widest - 1, -1):
        here = bits & sets[level]
        if not here:
            continue
        total = here.bit_count()
        sick = total - (here & healthy).bit_count()
        if sick * 100 < total * degrade_percent:
            return level
        first = level if first is None else first
    return first


def place_at(place: Location, level: int) -> Location:
    """What of a place counts at a level."""
    return Location(
        place.region if level >= REGION else "",
        place.zone if level >= ZONE else "",
        place.campus if level >= CAMPUS else "",
    )


def _count(state: State, bits: int) -> int:
    return (bits & state.index.usable).bit_count()


def _said(place: Location) -> str:
    return "/".join((place.region, place.zone, place.campus))
