"""What Discover tells a service of rules, by type: the messages as they were written, no field lost, and their revision.

Contents and revisions follow polaris-server 1.19 for the types that it serves; route rules are sent in the older form, switched
on ones only; the others are sent with their switch, which clients look at. Types 101 to 106, which the original does not serve,
have the fields that the specification gives them. An answer is made once for each change of the rules that are in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.polaris.service.discovery import Delivered
from polaris_bridge.adapters.polaris.translate.routing import legacy
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Document, ServiceKey
from polaris_bridge.core.registry import Registry

from . import kinds
from .fields import clear
from .kinds import Kind
from .records import message_of, shown

KEPT_BYTES: Final = 32 * 1024 * 1024
"""Answers that are kept, all together as they are encoded: a rule for everybody is in the answer to any name."""

Fill = Callable[[Any, list[Any], ServiceKey, ServiceKey], None]
"""Puts rules into an answer: the answer, the rules, the name that was asked for, the service that it means."""


def revision_of(revisions: Sequence[str]) -> str:
    """One revision for several, in the order given; that of a single rule is its own, and none have that of nothing."""
    return revisions[0] if len(revisions) == 1 else _sha1(revisions)


def sorted_revision_of(revisions: Sequence[str]) -> str:
    """One revision for any number, whatever their order."""
    return _sha1(sorted(revisions))


def _sha1(texts: Sequence[str]) -> str:
    return hashlib.sha1("".join(texts).encode()).hexdigest()


class Type(Struct, frozen=True, kw_only=True):
    """One type of Discover: which rules, and how they stand in the answer."""

    kind: Kind
    fill: Fill
    wanted: Callable[[Any], bool] = lambda _rule: True
    revision: Callable[[Sequence[str]], str] = sorted_revision_of
    by_priority: bool = False


# -------------------------------------------------------------------------------------------------- contents


def _rate_limits(answer: Any, rules: list[Any], asked: ServiceKey, _target: ServiceKey) -> None:
    for rule in rules:
        clear(rule, "ctime", "mtime", "etime")
        rule.service.value, rule.namespace.value = asked.name, asked.namespace
    answer.rateLimit.rules.extend(rules)


def _breakers(answer: Any, rules: list[Any], asked: ServiceKey, _target: ServiceKey) -> None:
    answer.circuitBreaker.service.value = asked.name
    answer.circuitBreaker.service_namespace.value = asked.namespace
    answer.circuitBreaker.rules.extend(rules)


def _detectors(answer: Any, rules: list[Any], _asked: ServiceKey, _target: ServiceKey) -> None:
    answer.faultDetector.rules.extend(rules)


def _lossless(answer: Any, rules: list[Any], _asked: ServiceKey, _target: ServiceKey) -> None:
    """Newer clients read the list; older ones one rule: the one for all instances, if there is one."""
    answer.losslessRuleList.extend(rules)
    answer.lossless.CopyFrom(next((rule for rule in rules if not rule.metadata), rules[0]))


def _list(field: str) -> Fill:
    def fill(answer: Any, rules: list[Any], _asked: ServiceKey, _target: ServiceKey) -> None:
        getattr(answer, field).extend(rules)

    return fill


def _enabled(policy: int, *others: int) -> Callable[[Any], bool]:
    policies = (policy, *others)
    return lambda rule: rule.enable and rule.routing_policy in policies


_REQUEST: Final = v1.DiscoverRequest
TYPES: Final[dict[int, Type]] = {
    _REQUEST.RATE_LIMIT: Type(kind=kinds.RATE_LIMIT, fill=_rate_limits, by_priority=True),
    _REQUEST.CIRCUIT_BREAKER: Type(kind=kinds.CIRCUIT_BREAKER, fill=_breakers),
    _REQUEST.FAULT_DETECTOR: Type(kind=kinds.FAULT_DETECT, fill=_detectors),
    _REQUEST.LANE: Type(kind=kinds.LANE, fill=_list("lanes"), revision=revision_of),
    _REQUEST.CUSTOM_ROUTE_RULE: Type(
        kind=kinds.ROUTING,
        fill=_list("customRouteRules"),
        wanted=_enabled(v1.RulePolicy, v1.MetadataPolicy),
        revision=revision_of,
        by_priority=True,
    ),
    _REQUEST.NEARBY_ROUTE_RULE: Type(
        kind=kinds.ROUTING,
        fill=_list("nearbyRouteRules"),
        wanted=_enabled(v1.NearbyPolicy),
        revision=revision_of,
        by_priority=True,
    ),
    _REQUEST.LOSSLESS: Type(kind=kinds.LOSSLESS, fill=_lossless),
    _REQUEST.BLOCK_ALLOW_RULE: Type(kind=kinds.BLOCK_ALLOW, fill=_list("blockAllowListRule"), by_priority=True),
    _REQUEST.TRAFFIC_MIRRORING: Type(kind=kinds.TRAFFIC_MIRRORING, fill=_list("trafficMirroring")),
    _REQUEST.FAULT_INJECTION: Type(kind=kinds.FAULT_INJECTION, fill=_list("faultInjection")),
}
"""By number of ``DiscoverRequest.type``. ROUTING has a form of its own."""
ROUTING: Final[int] = _REQUEST.ROUTING
RULE_TYPES: Final = frozenset({ROUTING, *TYPES})


# -------------------------------------------------------------------------------------------------- answers


_OVERHEAD: Final = 1024
"""What an answer costs besides its content."""


class _Kept(Struct):
    """An answer, the state of its kind when that was looked at last, and the documents that are in it."""

    seen: int
    of: tuple[int, ...]
    delivered: Delivered
    size: int


class Deliveries:
    """The rules of every service, made ready for clients."""

    def __init__(self, registry: Registry, kept_bytes: int = KEPT_BYTES) -> None:
        self._documents = registry.documents
        self._kept: dict[tuple[int, ServiceKey, ServiceKey], _Kept] = {}
        self._size = 0
        self._limit = kept_bytes

    def deliver(self, type: int, asked: ServiceKey, target: ServiceKey) -> Delivered:
        """The rules of a type for ``target``, under the name ``asked`` (an alias, or the same). KeyError for other types.

        The same value is returned until a rule for the service changes.
        """
        key = (type, asked, target)
        kind = (kinds.ROUTING if type == ROUTING else TYPES[type].kind).name
        seen = self._documents.revision(kind)
        kept = self._kept.get(key)
        if kept is not None and kept.seen == seen:
            return kept.delivered
        about = self._documents.about(kind, target)
        of = tuple(document.revision for document in about)
        if kept is not None and kept.of == of:
            kept.seen = seen
            return kept.delivered
        delivered = _routing(about, target) if type == ROUTING else _filled(TYPES[type], about, asked, target)
        if kept is not None or about:  # names without rules are not worth keeping: there is no end of them
            self._keep(key, _Kept(seen, of, delivered, _OVERHEAD + delivered.message.ByteSize()))
        return delivered

    def _keep(self, key: tuple[int, ServiceKey, ServiceKey], kept: _Kept) -> None:
        """The answer that was made first goes when there is no room."""
        self._drop(key)
        self._kept[key] = kept
        self._size += kept.size
        while self._size > self._limit:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[int, ServiceKey, ServiceKey]) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._size -= kept.size


def _routing(about: Sequence[Document], target: ServiceKey) -> Delivered:
    routing, revisions = legacy([message_of(kinds.ROUTING, document) for document in about], target)
    revision = revision_of(revisions)
    routing.revision.value = revision
    return Delivered(revision, v1.DiscoverResponse(routing=routing))


def _filled(type: Type, about: Sequence[Document], asked: ServiceKey, target: ServiceKey) -> Delivered:
    documents = sorted(about, key=lambda d: (d.priority, d.created_ms, d.id)) if type.by_priority else about
    rules = [rule for rule in (shown(type.kind, document) for document in documents) if type.wanted(rule)]
    answer = v1.DiscoverResponse()
    if not rules:
        return Delivered("", answer)
    revision = type.revision([_revision(rule) for rule in rules])
    type.fill(answer, rules, asked, target)
    _put_revision(answer, revision)
    return Delivered(revision, answer)


def _revision(rule: Any) -> str:
    return rule.revision if isinstance(rule.revision, str) else str(rule.revision.value)


def _put_revision(answer: v1.DiscoverResponse, revision: str) -> None:
    """Three of the messages have a revision of their own besides that of the service."""
    if answer.HasField("rateLimit"):
        answer.rateLimit.revision.value = revision
    if answer.HasField("circuitBreaker"):
        answer.circuitBreaker.revision.value = revision
    if answer.HasField("faultDetector"):
        answer.faultDetector.revision = revision
