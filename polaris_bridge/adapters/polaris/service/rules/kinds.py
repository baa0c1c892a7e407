"""The table of kinds of rules: where each keeps what all of them have, how it is checked, and which code says what.

Messages with an HTTP API of the original's have its paths; the others have the same shape under a path of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.message import Message
from msgspec import Struct

from polaris_bridge.adapters.polaris.translate.routing import canonical_config
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey

from . import checks, filters, limits, subjects
from .checks import ANY, Check
from .fields import text
from .filters import Filter

CREATE: Final = "Create"
DELETE: Final = "Delete"
UPDATE: Final = "Update"
ENABLE: Final = "Enable"
DESCRIBE: Final = "Describe"

NOTHING: Final = "nothing"
ID: Final = "id"
WHOLE: Final = "whole"
"""What an answer shows of a request that was carried out."""
_ECHO_ALL: Final = MappingProxyType({CREATE: WHOLE, DELETE: WHOLE, UPDATE: WHOLE, ENABLE: WHOLE})


class Switch(Struct, frozen=True):
    """The field that switches a rule on, or off when ``off`` is set."""

    field: str
    off: bool = False


class Moment(Struct, frozen=True):
    """When a write happens, as text, and what gives new ids."""

    now: str
    unique: Callable[[], str]


class Kind(Struct, frozen=True, kw_only=True):
    """One kind of rule."""

    name: str
    """``core.model.Document.kind``."""
    message: type[Message]
    noun: str
    """What the functions of the original are called after: Create…, Delete…, Update…, Enable…, Describe…"""
    path: str
    check: Check
    subjects: Callable[[Any], tuple[ServiceKey, ...]]
    """The services that are told of a rule."""
    filters: Mapping[str, Filter]
    answer: str = "data"
    """The field of ``Response`` that shows a rule."""
    listed: str = "data"
    """The field of ``BatchQueryResponse`` that lists rules."""
    no_id: int = v1.InvalidParameter
    not_found: int = v1.NotFoundResource
    existed: int = v1.ExistedResource
    names_differ: bool = False
    """Whether no two rules of a namespace have the same name."""
    by_name: bool = False
    """Whether a request may name a rule by its ``name`` instead of its id."""
    by_service: bool = False
    """Messages without an id: there is one rule a service."""
    given_id: bool = False
    """Whether a new rule may bring an id along."""
    prefix: str = ""
    """What revisions begin with."""
    namespace: str = ""
    """The namespace of a rule that names none."""
    switch: Switch | None = None
    echo: Mapping[str, str] = _ECHO_ALL
    echo_refused: bool = False
    """Whether an answer to a refused request shows the request."""
    shows_revision: bool = False
    """Whether the answer to a create shows the revision."""
    enabled_at_birth: bool = True
    """Whether ``etime`` is shown before a rule was switched for the first time."""
    include: str = ""
    """The part of the console API that it belongs to besides ``default``."""
    settle: Callable[[Any, Any, Moment], None] = lambda _rule, _before, _moment: None
    """Brings a checked rule into the form that is kept; ``before`` is what was kept until now, or None."""
    dress: Callable[[Any], None] = lambda _rule: None
    """Adds to a kept rule what readers expect and writers may leave out."""

    def id_of(self, rule: Message) -> str:
        """The id that a request names; empty when it names none."""
        if self.by_service:
            namespace, service = text(rule, "namespace"), text(rule, "service")
            return f"{namespace}/{service}" if namespace and service else ""
        return text(rule, "id")


def _settle_routing(rule: v1.RouteRule, _before: Any, _moment: Moment) -> None:
    rule.routing_config.CopyFrom(canonical_config(rule))


def _settle_lanes(group: v1.LaneGroup, before: v1.LaneGroup | None, moment: Moment) -> None:
    """Every lane has an id, a revision and times of its own; one that says what it said keeps them."""
    kept = {rule.id: rule for rule in before.rules} if before is not None else {}
    for rule in group.rules:
        rule.id = rule.id or moment.unique()
        rule.group_name = group.name
        old = kept.get(rule.id)
        given = rule.revision if old is None or rule.revision != old.revision else ""
        rule.revision, rule.ctime, rule.mtime, rule.etime = (
            (old.revision, old.ctime, old.mtime, old.etime) if old is not None else ("", moment.now, "", "")
        )
        if old is not None and not given and rule == old:
            continue
        switched = old is None or old.enable != rule.enable
        if switched:
            rule.etime = moment.now if rule.enable else ""
        rule.mtime = moment.now
        rule.revision = given or moment.unique()


def _dress_breaker(rule: v1.CircuitBreakerRule) -> None:
    """polaris-go 1.7.0 breaks no circuit of a service any more when one of its rules names no source, or two no method."""
    matcher = rule.rule_matcher
    if not matcher.HasField("source"):
        matcher.source.namespace = matcher.source.service = ANY
    if rule.level == v1.METHOD and not matcher.destination.method.HasField("value"):
        matcher.destination.method.value.value = ANY


ROUTING: Final = Kind(
    name="routing",
    message=v1.RouteRule,
    noun="RouteRules",
    include="router",
    path="/naming/v2/routings",
    check=checks.routing,
    subjects=subjects.routing,
    filters=filters.ROUTING,
    no_id=v1.InvalidRoutingID,
    not_found=v1.NotFoundRouting,
    given_id=True,
    prefix="v2-",
    switch=Switch("enable"),
    echo={CREATE: WHOLE, DELETE: WHOLE, UPDATE: NOTHING, ENABLE: NOTHING},
    echo_refused=True,
    shows_revision=True,
    settle=_settle_routing,
)
RATE_LIMIT: Final = Kind(
    name="rate_limit",
    message=v1.Rule,
    noun="RateLimitRules",
    include="ratelimit",
    path="/naming/v1/ratelimits",
    check=checks.rate_limit,
    subjects=subjects.of_service,
    filters=filters.RATE_LIMIT,
    answer="rateLimit",
    listed="rateLimits",
    no_id=v1.InvalidRateLimitID,
    not_found=v1.NotFoundRateLimit,
    switch=Switch("disable", off=True),
    echo_refused=True,
    dress=limits.dress,
)
CIRCUIT_BREAKER: Final = Kind(
    name="circuit_breaker",
    message=v1.CircuitBreakerRule,
    noun="CircuitBreakerRules",
    include="circuitbreaker",
    path="/naming/v1/circuitbreaker/rules",
    check=checks.circuit_breaker,
    subjects=subjects.circuit_breaker,
    filters=filters.CIRCUIT_BREAKER,
    no_id=v1.InvalidCircuitBreakerID,
    not_found=v1.NotFoundCircuitBreaker,
    existed=v1.ServiceExistedCircuitBreakers,
    names_differ=True,
    namespace="default",
    switch=Switch("enable"),
    echo={CREATE: WHOLE, DELETE: ID, UPDATE: ID, ENABLE: ID},
    enabled_at_birth=False,
    dress=_dress_breaker,
)
FAULT_DETECT: Final = Kind(
    name="fault_detect",
    message=v1.FaultDetectRule,
    noun="FaultDetectRules",
    include="circuitbreaker",
    path="/naming/v1/faultdetectors",
    check=checks.fault_detect,
    subjects=subjects.fault_detect,
    filters=filters.FAULT_DETECT,
    no_id=v1.InvalidFaultDetectID,
    existed=v1.FaultDetectRuleExisted,
    names_differ=True,
    namespace="default",
    echo={CREATE: WHOLE, DELETE: ID, UPDATE: ID},
)
LANE: Final = Kind(
    name="lane",
    message=v1.LaneGroup,
    noun="LaneGroups",
    include="router",
    path="/naming/v1/lane/groups",
    check=checks.lane,
    subjects=subjects.lane,
    filters=filters.LANE,
    names_differ=True,
    by_name=True,
    given_id=True,
    settle=_settle_lanes,
)
LOSSLESS: Final = Kind(
    name="lossless",
    message=v1.LosslessRule,
    noun="LosslessRules",
    path="/naming/v1/lossless/rules",
    check=checks.of_service,
    subjects=subjects.of_service,
    filters=filters.OF_SERVICE,
)
BLOCK_ALLOW: Final = Kind(
    name="block_allow",
    message=v1.BlockAllowListRule,
    noun="BlockAllowRules",
    path="/naming/v1/blockallow/rules",
    check=checks.of_service,
    subjects=subjects.of_service,
    filters=filters.BLOCK_ALLOW,
    switch=Switch("enable"),
)
TRAFFIC_MIRRORING: Final = Kind(
    name="traffic_mirroring",
    message=v1.TrafficMirroring,
    noun="TrafficMirroringRules",
    path="/naming/v1/mirroring/rules",
    check=checks.of_service,
    subjects=subjects.of_service,
    filters=filters.SWITCHED,
    by_service=True,
    switch=Switch("enabled"),
)
FAULT_INJECTION: Final = Kind(
    name="fault_injection",
    message=v1.FaultInjection,
    noun="FaultInjectionRules",
    path="/naming/v1/faultinjection/rules",
    check=checks.of_service,
    subjects=subjects.of_service,
    filters=filters.SWITCHED,
    by_service=True,
    switch=Switch("enabled"),
)

KINDS: Final = (
    ROUTING, RATE_LIMIT, CIRCUIT_BREAKER, FAULT_DETECT, LANE, LOSSLESS, BLOCK_ALLOW, TRAFFIC_MIRRORING, FAULT_INJECTION,
)  # fmt: skip
