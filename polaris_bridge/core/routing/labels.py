"""What callers ask for by label: instances with labels of their choice, their own set, canaries.

Semantics of polaris-go 1.7.0 (dstMeta, setDivision and canary routers) and, where a rule says what to do when no instance has the
labels, of polaris-java's metadata router.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from .model import ALL, LABELLED, NONE, OTHER_KEYS, OTHERS, Labelled, Options, Traveller
from .state import State

WANTED: Final = "labels"
SET: Final = "set"
CANARY: Final = "canary"
ON: Final = "Y"

# -------------------------------------------------------------------------------------------------- wished labels


def apply_wanted(state: State, wanted: Mapping[str, str], rule: Labelled | None) -> None:
    """Narrow to instances that have every label asked for; to others as the rule says when there are none."""
    labels = dict(wanted) or ({} if rule is None else rule.labels)
    if not labels:
        return
    said = _said(labels)
    bits = state.index.with_labels(labels)
    name = "" if rule is None else rule.rule
    if bits & state.index.usable:
        state.narrow(lambda _before: bits, f"no instance that is left has {said}")
        state.say(WANTED, f"with {said}", name)
        return
    failover = NONE if rule is None else rule.failover
    bits = _others(state, failover, labels, {} if rule is None else rule.failover_labels)
    state.narrow(lambda _before: bits, f"no instance has {said}")
    state.say(WANTED, f"no instance has {said}; failover {failover}", name)


def _others(state: State, failover: str, labels: dict[str, str], instead: dict[str, str]) -> int:
    index = state.index
    if failover == ALL:
        return index.all
    if failover == LABELLED:
        return index.with_labels(instead) if instead else 0
    if failover not in (OTHERS, OTHER_KEYS):
        return 0
    bits = index.all
    for key, value in (instead or labels).items():
        bits &= ~(index.having(key) if failover == OTHER_KEYS else index.values(key).get(value, 0))
    return bits


# -------------------------------------------------------------------------------------------------- sets


def apply_set(state: State, who: Traveller, options: Options) -> None:
    """Narrow to the set that is asked for, or to the caller's own when the service has it. A set is ``name.area.group``."""
    switch, name = options.set_switch, options.set_name
    if not switch:
        return
    if who.wanted.get(switch) == ON and name in who.wanted:
        wished = who.wanted[name]
        bits = state.index.with_labels({switch: ON, name: wished})
        state.in_set = True
        state.narrow(lambda _before: bits, f"no instance is in set {wished}")
        state.say(SET, f"in set {wished}, which was asked for")
    elif who.labels.get(switch) == ON and name in who.labels:
        _own_set(state, who.labels[name], options)


def _own_set(state: State, own: str, options: Options) -> None:
    """Group by group; where the group has nobody, to the area's instances for all groups (``name.area.*``)."""
    parts = own.split(".")
    if len(parts) != 3:
        state.say(SET, f"the caller's set {own} is not of the form name.area.group: not looked at")
        return
    here = state.index.values(options.set_switch).get(ON, 0)
    names = state.index.values(options.set_name)
    there = here & _union(bits for name, bits in names.items() if name.split(".")[0] == parts[0])
    if not any(each.bits & there for each in state.left):
        state.say(SET, f"no instance is in a set {parts[0]}: sets do not count")
        return
    state.in_set = True
    area = f"{parts[0]}.{parts[1]}"
    if parts[2] == "*":
        bits = here & _union(b for name, b in names.items() if name.split(".")[:2] == parts[:2])
        said = f"{area}, any group"
    else:
        bits, said = names.get(own, 0), own
        if not any(each.bits & bits for each in state.left):
            bits, said = names.get(f"{area}.*", 0), f"{area}.*, for {own} has no instance"
    state.narrow(lambda _before: bits, f"no instance is in set {own}, nor for its whole area")
    state.say(SET, f"in set {said}")


# -------------------------------------------------------------------------------------------------- canaries


def apply_canary(state: State, canary: str, options: Options) -> None:
    """Narrow to the canaries that a call is for, or away from all of them; to others when those are not healthy."""
    key, index = options.canary_key, state.index
    any_canary, own = index.having(key), index.values(key).get(canary, 0)
    normal = index.all & ~any_canary
    wishes = [(own, f"canary {canary}"), (normal, "no canary"), (any_canary & ~own, "another canary")]
    if not canary:
        wishes = [(normal, "no canary"), (any_canary, "canaries, since nobody else is healthy")]
    last = [(wishes[0][0], "canary, healthy or not" if canary else "no canary, healthy or not")]
    said = []

    def choose(before: int) -> int:
        for bits, text in wishes:
            if before & bits & index.healthy:
                said.append(text)
                return bits
        for bits, text in last:
            if before & bits:
                said.append(text)
                return bits
        said.append("nobody to choose from: all")
        return index.all

    state.narrow(choose, "")
    state.say(CANARY, "; ".join(dict.fromkeys(said)))


def _union(sets: Iterable[int]) -> int:
    found = 0
    for bits in sets:
        found |= bits
    return found


def _said(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
