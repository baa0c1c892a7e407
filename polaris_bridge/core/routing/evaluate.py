"""One decision: a service, its rules, its caller's rules and a caller in; groups of instances by priority and weight out.

A pure function. Steps in this order: isolated and weightless instances never count; the lane; labels that the caller asks for;
rules; sets; nearness; canaries; health.
"""

from __future__ import annotations

from typing import Final

from . import labels, lanes, nearby, rules
from .callers import Asked
from .compiled import Compiled, ReadyLane
from .index import Index
from .lanes import Moment
from .model import Decision, Nearby, Options, Share, Step, Tier, Traveller
from .ports import Patterns
from .state import Left, State

HEALTH: Final = "health"


def evaluate(
    index: Index,
    callee: Compiled,
    caller: Compiled | None,
    who: Traveller,
    options: Options,
    patterns: Patterns,
    moment: Moment,
    *,
    explain: bool = False,
    listed: bool = False,
) -> Decision:
    """Where a call may go. ``caller``: the rules of the calling service, when it is known. ``explain``: say every step.

    ``listed``: for a list of instances that says itself how each is. The same groups are chosen; what belongs to them stays in
    them, unhealthy, isolated and weightless instances too.
    """
    asked = Asked(who, patterns)
    log: list[Step] | None = [] if explain else None
    beside = index.all & ~index.usable if listed else 0
    state = State(index, (Left(0, "", 100, index.usable, beside),) if index.usable else (), log)
    service = index.service
    if not state.left:
        state.why = "no instance has a weight and is not isolated" if service.targets else "no instances"
    state.say("instances", f"{len(service.targets)} instances, {index.usable.bit_count()} may be used")
    if callee.rules.lanes or (caller is not None and caller.rules.lanes):
        lanes.apply(state, _lanes(callee, caller), asked, moment)
    labels.apply_wanted(state, who.wanted, callee.rules.labelled)
    rules.apply(
        state,
        callee.inbound,
        () if caller is None else caller.outbound,
        asked,
        service.failover or options.failover,
    )
    labels.apply_set(state, who, options)
    near = _nearby(callee, service.nearby, options)
    if near is not None and not state.in_set:
        nearby.apply(state, near, who.location, options.degrade_percent)
    if service.canary:
        labels.apply_canary(state, who.canary, options)
    if listed:
        state.say(HEALTH, "whoever belongs to a group stays in it, healthy or not")
    else:
        _heal(state, recover_all=options.recover_all)
    return Decision(_tiers(state), state.rule, state.why if not state.left else "", state.stain, tuple(log or ()))


def _lanes(callee: Compiled, caller: Compiled | None) -> tuple[ReadyLane, ...]:
    """Of both sides; the caller's groups go before groups of the same name."""
    if caller is None or not caller.lanes:
        return callee.lanes
    names = {lane.group.name for lane in caller.lanes}
    more = [lane for lane in callee.lanes if lane.group.name not in names]
    return tuple(sorted((*caller.lanes, *more), key=lambda lane: (lane.lane.priority, lane.lane.created)))


def _nearby(callee: Compiled, asked_for: bool, options: Options) -> Nearby | None:
    return callee.rules.nearby or (options.nearby if asked_for else None)


def _heal(state: State, *, recover_all: bool) -> None:
    """Healthy instances of each group; all of one in which nobody is healthy, unless that is switched off."""
    healthy = state.index.healthy
    recovered: list[str] = []

    def choose(bits: int) -> int:
        if bits & healthy or not recover_all:
            return healthy
        recovered.append("")
        return state.index.all

    state.narrow(choose, "no instance is healthy")
    state.say(HEALTH, "nobody is healthy: unhealthy instances are used" if recovered else "healthy instances")


def _tiers(state: State) -> tuple[Tier, ...]:
    found: dict[int, list[Share]] = {}
    for left in state.left:
        share = Share(left.name, left.weight, state.index.pick(left.bits | left.beside))
        found.setdefault(left.priority, []).append(share)
    return tuple(Tier(priority, tuple(found[priority])) for priority in sorted(found))
