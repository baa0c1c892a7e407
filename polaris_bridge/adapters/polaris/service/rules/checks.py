"""What a rule has to be before it is kept: one function a kind, from a message to the first defect.

Codes and limits are those of polaris-server 1.19 where it checks; where it does not, or answers with the code of another kind
of rule (fault detection), those that the specification has for the case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError, Message
from msgspec import Struct

from polaris_bridge.adapters._shared.patterns import LinearSearch, NoPatternError
from polaris_bridge.adapters.polaris.translate.routing import NotItsPolicy, config_of
from polaris_bridge.adapters.polaris.translate.routing_rules import selector_of
from polaris_bridge.adapters.polaris.wire import v1

from .fields import text

MAX_NAME: Final = 64
MAX_NAMESPACE: Final = 64
MAX_SERVICE: Final = 128
MAX_TEXT: Final = 1024
MAX_PRIORITY: Final = 10
MAX_LANES: Final = 100
ANY: Final = "*"

MAX_PORT: Final = 65_535
MAX_WEIGHTS: Final = 2**32 - 1
"""Of all groups that share calls: SDKs and Envoys add them up in 32 bits."""
_MILLISECONDS: Final = re.compile(r"[0-9]{1,10}\Z", re.ASCII)
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_UNSENDABLE: Final = re.compile(r"[\x00-\x20\x7f]")

LEGAL: Final = re.compile(r"[0-9A-Za-z\-./:_]+\Z")
"""What names of namespaces, services and lanes are made of."""


class Defect(Struct, frozen=True):
    """Why a rule is refused: a code, and what to say besides the code's own text."""

    code: int
    why: str = ""


Check = Callable[[Any], Defect | None]


def _first(*defects: Defect | None) -> Defect | None:
    return next((defect for defect in defects if defect is not None), None)


def _longer(value: str, limit: int, code: int) -> Defect | None:
    return Defect(code) if len(value) > limit else None


def _named(value: str, limit: int, code: int, *, or_any: bool = False) -> Defect | None:
    """A name that has to be there and legal; ``*`` where a rule may be for all."""
    if or_any and value == ANY:
        return None
    return Defect(code) if not value or len(value) > limit or LEGAL.match(value) is None else None


def _place(namespace: str, service: str, *, or_any: bool = False) -> Defect | None:
    return _first(
        _named(namespace, MAX_NAMESPACE, v1.InvalidNamespaceName, or_any=or_any),
        _named(service, MAX_SERVICE, v1.InvalidServiceName, or_any=or_any),
    )


def _own_text(rule: Any) -> Defect | None:
    return _first(
        _longer(text(rule, "namespace"), MAX_NAMESPACE, v1.InvalidNamespaceName),
        _longer(text(rule, "description"), MAX_TEXT, v1.InvalidServiceComment),
    )


def routing(rule: v1.RouteRule) -> Defect | None:
    """All three policies: the original takes only rules, but its clients ask for nearby ones too."""
    return _first(
        _longer(rule.name, MAX_NAME, v1.InvalidRoutingName),
        _longer(rule.namespace, MAX_NAMESPACE, v1.InvalidNamespaceName),
        Defect(v1.InvalidRoutingPriority) if rule.priority > MAX_PRIORITY else None,
        _routing_config(rule),
    )


def _routing_config(rule: v1.RouteRule) -> Defect | None:
    try:
        config = config_of(rule)
        return _first(_conditions("routing_config", config), *_weights(config))
    except NotItsPolicy as error:
        return Defect(v1.InvalidRoutingPolicy, str(error))
    except DecodeError:
        return Defect(v1.ParseException, "routing_config cannot be decoded")


def _weights(config: Any) -> Iterator[Defect | None]:
    """Calls are shared between groups of one priority."""
    for path, part in parts("routing_config", config):
        totals: dict[int, int] = {}
        for group in getattr(part, "destinations", ()):
            totals[group.priority] = totals.get(group.priority, 0) + group.weight
        if max(totals.values(), default=0) > MAX_WEIGHTS:
            yield Defect(v1.InvalidParameter, f"{path}.destinations: weights add up to more than {MAX_WEIGHTS}")


def rate_limit(rule: v1.Rule) -> Defect | None:
    """Names a service; no two amounts over the same time; conditions that mean something."""
    return _first(
        _place(rule.namespace.value, rule.service.value),
        _longer(rule.name.value, MAX_NAME, v1.InvalidRateLimitName),
        _known(rule, "resource", "type", "amount_mode", "failover"),
        _amounts(rule),
        _conditions("", rule),
    )


def _amounts(rule: v1.Rule) -> Defect | None:
    spans = set()
    for at, amount in enumerate(rule.amounts):
        span = amount.validDuration
        path = f"amounts[{at}].validDuration"
        if not amount.HasField("validDuration") or span.seconds < 0 or not 0 <= span.nanos < 10**9:
            return Defect(v1.InvalidRateLimitAmounts, f"{path}: expected a duration")
        if (span.seconds, span.nanos) in spans:
            return Defect(v1.InvalidRateLimitAmounts, f"{path}: another amount has the same")
        spans.add((span.seconds, span.nanos))
    return None


def circuit_breaker(rule: v1.CircuitBreakerRule) -> Defect | None:
    """Has a name and a callee, which may be any."""
    matcher = rule.rule_matcher
    return _first(
        _longer(matcher.source.service, MAX_SERVICE, v1.InvalidServiceName),
        _longer(matcher.source.namespace, MAX_NAMESPACE, v1.InvalidNamespaceName),
        Defect(v1.InvalidCircuitBreakerName) if not rule.name else None,
        _longer(rule.name, MAX_NAME, v1.InvalidCircuitBreakerName),
        _own_text(rule),
        _place(matcher.destination.namespace, matcher.destination.service, or_any=True),
        _known(rule, "level"),
        _percent("max_ejection_percent", rule.max_ejection_percent),
        *_breaks("", rule.error_conditions, "trigger_condition", rule.trigger_condition),
        *(
            defect
            for at, block in enumerate(rule.block_configs)
            for defect in _breaks(
                f"block_configs[{at}].", block.error_conditions, "trigger_conditions", block.trigger_conditions
            )
        ),
        _conditions("", rule),
    )


def _breaks(
    where: str,
    errors: Sequence[v1.ErrorCondition],
    name: str,
    triggers: Sequence[v1.TriggerCondition],
) -> Iterator[Defect | None]:
    """What an error is, and when there are too many. The original looks at neither; SDKs take what they cannot read for
    "never"."""
    for at, error in enumerate(errors):
        path = f"{where}error_conditions[{at}]"
        yield _within(path, _known(error, "input_type"))
        value = error.condition.value.value
        if error.input_type == v1.ErrorCondition.DELAY and _MILLISECONDS.match(value) is None:
            yield Defect(v1.InvalidParameter, f"{path}.condition.value: expected milliseconds, not {value!r}")
    for at, trigger in enumerate(triggers):
        path = f"{where}{name}[{at}]"
        yield _within(path, _known(trigger, "trigger_type"))
        yield _percent(f"{path}.error_percent", trigger.error_percent)


def _percent(where: str, value: int) -> Defect | None:
    return Defect(v1.InvalidParameter, f"{where}: expected at most 100, not {value}") if value > 100 else None


def _within(where: str, defect: Defect | None) -> Defect | None:
    return None if defect is None else Defect(defect.code, f"{where}.{defect.why}")


def fault_detect(rule: v1.FaultDetectRule) -> Defect | None:
    """Has a name and a service to probe, which may be any. The codes of a bad name are those that polaris-server sends,
    not those that the specification has for it."""
    target = rule.target_service
    return _first(
        Defect(v1.InvalidCircuitBreakerName) if not rule.name else None,
        _longer(rule.name, MAX_NAME, v1.InvalidRateLimitName),
        _longer(rule.namespace, MAX_NAMESPACE, v1.InvalidFaultDetectNamespace),
        _longer(rule.description, MAX_TEXT, v1.InvalidServiceComment),
        _place(target.namespace, target.service, or_any=True),
        _known(rule, "protocol"),
        Defect(v1.InvalidParameter, f"port: expected at most 65535, not {rule.port}") if rule.port > MAX_PORT else None,
        *_request(rule.http_config),
        _conditions("", rule),
    )


def _request(config: v1.HttpProtocolConfig) -> Iterator[Defect | None]:
    """What cannot be said in HTTP."""
    if config.method and _TOKEN.match(config.method) is None:
        yield Defect(v1.InvalidParameter, f"http_config.method: {config.method!r} is no method")
    if _UNSENDABLE.search(config.url):
        yield Defect(v1.InvalidParameter, "http_config.url: control characters and spaces cannot be sent")
    for at, header in enumerate(config.headers):
        if _TOKEN.match(header.key) is None or _CONTROL.search(header.value):
            yield Defect(v1.InvalidParameter, f"http_config.headers[{at}]: cannot be sent")


def lane(group: v1.LaneGroup) -> Defect | None:
    """Legal names of the group and its lanes; entries that can be read; shares of calls that there are."""
    if len(group.rules) > MAX_LANES:
        return Defect(v1.InvalidParameter, "lane_rule size must be <= 100")
    return _first(
        _lane_name("lane_group", group.name),
        *(_lane_name("lane_rule", rule.name) for rule in group.rules),
        _conditions("", group),
        *_entries(group),
        *(_gray(f"rules[{at}].traffic_gray", rule.traffic_gray) for at, rule in enumerate(group.rules)),
    )


def _entries(group: v1.LaneGroup) -> Iterator[Defect | None]:
    for at, entry in enumerate(group.entries):
        path = f"entries[{at}].selector"
        try:
            selector = selector_of(entry)
        except DecodeError:
            yield Defect(v1.InvalidParameter, f"{path}: cannot be decoded")
            continue
        if selector is not None:
            yield _conditions(path, selector)


def _gray(where: str, gray: v1.TrafficGray) -> Defect | None:
    percent, span_s = gray.percentage.percent, gray.warmup.intervalSecond
    if not 0 <= percent <= 100:
        return Defect(v1.InvalidParameter, f"{where}.percentage.percent: expected 0 to 100, not {percent}")
    return Defect(v1.InvalidParameter, f"{where}.warmup.interval_second: is negative") if span_s < 0 else None


def _lane_name(what: str, name: str) -> Defect | None:
    if len(name) > MAX_NAME:
        return Defect(v1.InvalidParameter, f"{what} name size must be <= 64")
    if LEGAL.match(name) is None:
        return Defect(v1.InvalidParameter, f"{what} name has to consist of letters, digits and -./:_")
    return None


def of_service(rule: Any) -> Defect | None:
    """What belongs to exactly one service: lossless rules, lists of who may call, mirroring, fault injection."""
    return _first(
        _place(text(rule, "namespace"), text(rule, "service")),
        Defect(v1.InvalidParameter, "name size must be <= 64") if len(text(rule, "name")) > MAX_NAME else None,
        _longer(text(rule, "description"), MAX_TEXT, v1.InvalidServiceComment),
        _conditions("", rule),
    )


def _known(rule: Any, *fields: str) -> Defect | None:
    """Enums that decide what a rule is: a value of a later specification would be kept but mean nothing to anybody."""
    for field in fields:
        values = rule.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
        if getattr(rule, field) not in values:
            return Defect(v1.InvalidParameter, f"{field} has no value {getattr(rule, field)}")
    return None


# -------------------------------------------------------------------------------------------------- conditions


def _conditions(where: str, message: Message) -> Defect | None:
    """The first value that nobody knows, or condition on a text that means nothing: a pattern that is none in any language.

    The original keeps it, and polaris-go then drops all rules of the service. A pattern that RE2 alone does not have is kept.
    """
    return _first(*(_part(path, part) for path, part in parts(where, message)))


def _part(where: str, part: Message) -> Defect | None:
    if isinstance(part, v1.MatchString):
        return _condition(where, part)
    unknown = _known(part, *(field.name for field, _ in part.ListFields() if field.enum_type is not None))
    return _within(where, unknown) if where else unknown


def _condition(where: str, match: v1.MatchString) -> Defect | None:
    unknown = _known(match, "type", "value_type")
    if unknown is not None:
        return Defect(unknown.code, f"{where}: {unknown.why}")
    value = match.value.value
    if match.type == v1.MatchString.REGEX and match.value_type == v1.MatchString.TEXT and value not in ("", ANY):
        try:
            LinearSearch().compile(value)
        except NoPatternError as error:
            return Defect(v1.InvalidParameter, f"{where}: {error}")
        except ValueError:
            return None
    return None


def parts(where: str, message: Message) -> Iterator[tuple[str, Any]]:
    """A message and every message in it, with the path to it."""
    yield where, message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for path, item in _items(field.name, value):
                yield from parts(f"{where}.{path}" if where else path, item)


def _items(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The messages in a field: one, a list, or a map."""
    if isinstance(value, Message):
        yield name, value
    elif hasattr(value, "items"):
        yield from ((f"{name}[{key}]", item) for key, item in sorted(value.items()) if isinstance(item, Message))
    else:
        yield from ((f"{name}[{at}]", item) for at, item in enumerate(value))
