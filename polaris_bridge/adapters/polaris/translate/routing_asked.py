"""Questions about routing as the core's travellers, and its decisions as answers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.polaris.wire.routing_asked import (
    Asker,
    Explanation,
    LookUp,
    Picked,
    Place,
    Question,
    Shown,
    ShownAddress,
    ShownCount,
    ShownDecision,
    ShownGroup,
    ShownKind,
    ShownStep,
    ShownUnread,
)
from polaris_bridge.core.model import NOWHERE, Caller, Location, ServiceKey
from polaris_bridge.core.routing.discovery import Told
from polaris_bridge.core.routing.model import Decision, Share, Step, Target, Traveller, Unread
from polaris_bridge.core.routing.record import NOTHING, Decided, Made

from .routing_rules import CALLER_IP, CALLER_METADATA, COOKIE, HEADER, METHOD, PATH, QUERY

STAIN: Final = "service-lane"
"""The header in which SDKs pass on the lane of a call."""


def caller_service(question: Question) -> ServiceKey | None:
    """The service that calls."""
    asker = question.caller
    return ServiceKey(asker.namespace or question.namespace, asker.service) if asker.service else None


def traveller(question: Question, own: Target | None, located: Location | None) -> Traveller:
    """Who calls, with what. ``own``: the caller's own instance, when it is registered; ``located``: where somebody else says
    that it is, for who says nothing.

    What the caller registered counts as labels of its own and as its metadata; what stands in the question goes before it.
    """
    asker = question.caller
    metadata = {**(own.labels if own is not None else {}), **asker.metadata}
    labels = {**as_labels(metadata), **_request(question), **asker.labels}
    return Traveller(
        caller_service(question),
        labels,
        _place(asker, own, located),
        question.metadata,
        asker.variables,
        question.canary,
        question.lane or labels.get(HEADER + STAIN, ""),
    )


def as_labels(metadata: Mapping[str, str]) -> dict[str, str]:
    """What rules know a caller's metadata by: labels of the same names, and the caller's metadata by its own name."""
    return {**metadata, **{CALLER_METADATA + key: value for key, value in metadata.items()}}


def labels_of(metadata: Mapping[str, str], host: str) -> dict[str, str]:
    """The labels of a caller of whom nothing but its metadata and its address is known."""
    labels = as_labels(metadata)
    if host:
        labels[CALLER_IP] = host
    return labels


def _request(question: Question) -> dict[str, str]:
    """Parts of a request, under the labels that SDKs give them."""
    single = {
        METHOD: question.method,
        PATH: question.path,
        CALLER_IP: question.caller_ip or question.caller.host or None,
    }
    labels = {key: value for key, value in single.items() if value is not None}
    for prefix, parts in ((HEADER, question.headers), (QUERY, question.query), (COOKIE, question.cookies)):
        labels.update({prefix + key: value for key, value in parts.items()})
    return labels


def _place(asker: Asker, own: Target | None, located: Location | None) -> Location:
    if asker.location is not None:
        return Location(asker.location.region, asker.location.zone, asker.location.campus)
    if own is not None and own.location != NOWHERE:
        return own.location
    return located or NOWHERE


def explanation(
    code: int,
    info: str,
    service: ServiceKey,
    decision: Decision,
    unread: Iterable[Unread],
    most: int,
    decided: Decided = NOTHING,
    told: Told | None = None,
) -> Explanation:
    """A decision with its steps. ``most``: instances that are shown of a group; ``size`` says how many there are. ``told``: what
    a look-up gives; ``decided``: what was decided about the service until now."""
    return Explanation(
        code,
        info,
        service.namespace,
        service.name,
        decision.rule,
        decision.stain,
        decision.why,
        [
            ShownGroup(
                tier.priority, share.weight, share.name, len(share.targets), list(map(shown, share.targets[:most]))
            )
            for tier in decision.tiers
            for share in tier.shares
        ],
        _steps(decision.steps),
        _unread(unread),
        None if told is None else look_up(told, most),
        [ShownCount(rule, times) for rule, times in decided.by_rule.most_common()],
        [_made(made) for made in reversed(decided.last)],
    )


def _made(made: Made) -> ShownDecision:
    caller = "" if made.caller is None else f"{made.caller.namespace}/{made.caller.name}"
    return ShownDecision(made.at_ms, made.how, caller, made.rule, made.targets, made.why)


def _steps(steps: Iterable[Step]) -> list[ShownStep]:
    return [ShownStep(step.name, step.text, step.left, step.rule) for step in steps]


def _unread(unread: Iterable[Unread]) -> list[ShownUnread]:
    return [ShownUnread(each.rule, each.where, each.why) for each in unread]


def looking(question: Question) -> Caller:
    """The caller as it looks the service up, through the protocol and from the address that the question names."""
    asker = question.caller
    place = asker.location
    return Caller(
        asker.protocol,
        asker.address or asker.host,
        client=asker.client,
        service=caller_service(question),
        labels=asker.metadata,
        location=NOWHERE if place is None else Location(place.region, place.zone, place.campus),
    )


def look_up(told: Told, most: int) -> LookUp:
    """What a look-up gives, with its steps. ``most``: instances that are shown."""
    kind, subset, decision = told.kind, told.subset, told.decision
    service = kind.service or ServiceKey("", "")
    place = None if kind.location == NOWHERE else Place(*structs.astuple(kind.location))
    return LookUp(
        told.on,
        told.said,
        ShownKind(service.namespace, service.name, {k: v for k, v in kind.labels if k.isprintable()}, place),
        subset.whole,
        subset.weighted,
        len(subset.addresses),
        subset.why,
        decision.rule,
        [ShownAddress(at.host, at.port, weight) for at, weight in islice(subset.addresses.items(), most)],
        _steps(decision.steps),
        _unread(told.unread),
    )


def picked(code: int, info: str, policy: str, decision: Decision, share: Share, target: Target) -> Picked:
    """One instance, and how it came to be it."""
    return Picked(code, info, policy, share.name, decision.rule, decision.stain, shown(target))


def shown(target: Target) -> Shown:
    """An instance as an answer shows it."""
    return Shown(target.id, target.host, target.port, target.weight, target.healthy, target.labels)
