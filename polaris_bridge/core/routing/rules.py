"""Rules: the first route that a call matches and that has usable instances says which groups it goes to.

Semantics of polaris-go 1.7.0 and polaris-java: those of the called service go first, those of the caller only where it has none.
A group counts when one of its instances has all the labels (polaris-go looks at each label by itself, and may end with nobody);
one that is marked isolated never does (polaris-go does not look at that).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..model import ServiceKey
from .callers import Asked, is_service
from .compiled import ReadyGroup, ReadyRoute
from .index import Index
from .model import ANY, NONE, TEXT
from .state import Left, State

STEP: Final = "rules"
NOBODY: Final = Left(0, "", 0, 0)


def apply(
    state: State, inbound: tuple[ReadyRoute, ...], outbound: tuple[ReadyRoute, ...], asked: Asked, failover: str
) -> None:
    """Replace what is left by the groups of the route that decides."""
    routes, by_service = (inbound, True) if inbound else (outbound, False)
    if not routes:
        return
    state.say(STEP, f"{len(routes)} routes of the {'called service' if by_service else 'caller'}")
    before = state.left[0] if state.left else NOBODY
    for ready in routes:
        route = ready.route
        missing = len(asked.missing)
        if not asked.is_from(ready.sources, by_service=by_service):
            unknown = list(asked.missing)[missing:]
            state.say(STEP, f"{route.name}: not from its sources{_unknown(unknown)}", route.rule)
            continue
        found = _groups(state.index, ready, asked, before, None if by_service else state.index.service.key)
        if found:
            state.left, state.rule = found, route.rule
            state.say(STEP, f"{route.name}: {_said(found)}", route.rule)
            return
        state.say(STEP, f"{route.name}: from its sources, but none of its groups has an instance", route.rule)
    if failover == NONE:
        state.narrow(lambda _bits: 0, "no route matched, and there is no failover")
    state.say(STEP, f"no route matched: failover {failover}")


def _groups(index: Index, ready: ReadyRoute, asked: Asked, before: Left, to: ServiceKey | None) -> tuple[Left, ...]:
    """The groups of a route that have instances, by priority. ``to``: the called service, where groups of others are named."""
    found = []
    for each in ready.groups:
        group = each.group
        if (
            group.isolated
            or group.weight <= 0
            or (to is not None and not is_service(to, group.namespace, group.service))
        ):
            continue
        members = _members(index, each, asked)
        bits = before.bits & members
        if bits:
            found.append(Left(group.priority, group.name, group.weight, bits, before.beside & members))
    found.sort(key=lambda left: left.priority)
    return tuple(found)


def _members(index: Index, ready: ReadyGroup, asked: Asked) -> int:
    bits = index.all
    for each in ready.conditions:
        condition = each.condition
        if condition.origin == TEXT and condition.value in ("", ANY):
            continue  # whoever lacks the label has it in any form, too
        test: Callable[[str], bool] = each.test or asked.group_test(condition)
        bits &= index.matching(condition.key, test)
        if not bits:
            return 0
    return bits


def _unknown(labels: list[str]) -> str:
    return f" (the call does not tell {', '.join(labels)})" if labels else ""


def _said(groups: tuple[Left, ...]) -> str:
    return "; ".join(
        f"{left.name or 'group'} priority {left.priority} weight {left.weight}: {left.bits.bit_count()} instances"
        for left in groups
    )
