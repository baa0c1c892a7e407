"""Circuit breaker and fault detection rules as the core evaluates them. Pure.

Both forms of a rule are read: ``block_configs``, and the conditions on the rule itself that they replaced. A breaker for a group
of instances is evaluated by nobody, SDKs included: it is stored and delivered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from polaris_bridge.adapters._shared.checks import HTTP, TCP, TCP_TALK, UDP, UDP_TALK
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.breaking import model
from polaris_bridge.core.breaking.detecting import DetectRule
from polaris_bridge.core.breaking.model import (
    BadCode,
    BreakerRule,
    Error,
    Fallback,
    InARow,
    Interface,
    Part,
    Share,
    Slow,
    Trigger,
)
from polaris_bridge.core.breaking.rules import any_of
from polaris_bridge.core.health import Check
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import Condition

from .routing_rules import OPERATORS

LEVELS: Final[Mapping[int, str]] = {
    v1.SERVICE: model.SERVICE,
    v1.METHOD: model.INTERFACE,
    v1.INSTANCE: model.INSTANCE,
}
ANSWERS: Final = tuple(range(200, 500))
"""Statuses of a probe by HTTP that are no failure where a breaker's rule looks at no codes: as polaris-go 1.7.0 has it."""
INTERVAL_S: Final = 30
"""Between probes, where a rule does not say; polaris-go's default."""
TIMEOUT_MS: Final = 1000
"""Of a probe, where a rule does not say."""
_LONGEST_S: Final = 24 * 3600
_MS: Final = 1000
_HEX: Final = re.compile(r"0[xX](?:[0-9a-fA-F]{2})+\Z")


def breaker_rules(rules: Iterable[v1.CircuitBreakerRule]) -> tuple[BreakerRule, ...]:
    """Rules in force, on the levels that calls can be counted on."""
    return tuple(_rule(rule) for rule in rules if rule.enable and rule.level in LEVELS)


def _rule(rule: v1.CircuitBreakerRule) -> BreakerRule:
    source, destination = rule.rule_matcher.source, rule.rule_matcher.destination
    recover = rule.recoverCondition
    return BreakerRule(
        id=rule.id,
        name=rule.name,
        revision=rule.revision,
        level=LEVELS[rule.level],
        service=ServiceKey(destination.namespace, destination.service),
        caller=ServiceKey(source.namespace, source.service),
        parts=tuple(_parts(rule)),
        priority=rule.priority,
        sleep_ms=min(recover.sleep_window, _LONGEST_S) * _MS,
        successes=max(1, recover.consecutiveSuccess),
        percent=min(rule.max_ejection_percent, 100),
        probed=rule.faultDetectConfig.enable,
        fallback=_fallback(rule),
    )


def _parts(rule: v1.CircuitBreakerRule) -> Iterator[Part]:
    own = tuple(_errors(rule.error_conditions))
    for block in rule.block_configs:
        interface = _interface(block.api) if block.HasField("api") else None
        errors = tuple(_errors(block.error_conditions)) or own
        yield Part(tuple(_triggers(block.trigger_conditions)), errors, block.name, interface)
    if not rule.block_configs:
        method = rule.rule_matcher.destination.method
        interface = None if any_of(method.value.value) else Interface(path=_condition(method))
        yield Part(tuple(_triggers(rule.trigger_condition)), own, "", interface)


def _interface(api: v1.API) -> Interface | None:
    """SDKs look at the rest only when there is a path."""
    return Interface(api.protocol, api.method, _condition(api.path)) if api.HasField("path") else None


def _errors(conditions: Sequence[v1.ErrorCondition]) -> Iterator[Error]:
    for each in conditions:
        if each.input_type == v1.ErrorCondition.RET_CODE:
            yield BadCode(_condition(each.condition))
        elif each.input_type == v1.ErrorCondition.DELAY and each.condition.value.value.isdecimal():
            yield Slow(int(each.condition.value.value))


def _triggers(conditions: Sequence[v1.TriggerCondition]) -> Iterator[Trigger]:
    """Without a share an error rate may say a number of errors instead; SDKs open at the first one then."""
    for each in conditions:
        if each.trigger_type == v1.TriggerCondition.CONSECUTIVE_ERROR:
            yield InARow(each.error_count)
        elif each.trigger_type == v1.TriggerCondition.ERROR_RATE:
            interval_ms = max(1, min(each.interval, _LONGEST_S)) * _MS
            errors = 1 if each.error_percent else max(1, each.error_count)
            yield Share(interval_ms, each.error_percent, each.minimum_request, errors)


def _condition(match: v1.MatchString) -> Condition:
    return Condition("", match.value.value, OPERATORS.get(match.type, str(int(match.type))))


def _fallback(rule: v1.CircuitBreakerRule) -> Fallback | None:
    if not rule.fallbackConfig.enable or rule.level == v1.INSTANCE:
        return None
    response = rule.fallbackConfig.response
    return Fallback(response.code, tuple((h.key, h.value) for h in response.headers), response.body)


# -------------------------------------------------------------------------------------------------- probes


def detect_rules(rules: Iterable[v1.FaultDetectRule]) -> tuple[DetectRule, ...]:
    """Rules by which instances are probed: those that are not about one interface only, which is what SDKs do too."""
    return tuple(made for rule in rules if (made := _detect(rule)) is not None)


def _detect(rule: v1.FaultDetectRule) -> DetectRule | None:
    target = rule.target_service
    path = target.api.path if target.HasField("api") and target.api.HasField("path") else target.method
    protocol = rule.protocol
    if protocol not in _CHECKS or not any_of(path.value.value):
        return None
    interval_ms = (min(rule.interval, _LONGEST_S) or INTERVAL_S) * _MS
    terms: dict[str, Any] = {
        "port": rule.port,
        "interval_ms": interval_ms,
        "first_ms": (0, interval_ms),
        "timeout_ms": rule.timeout or TIMEOUT_MS,
    }
    service = ServiceKey(target.namespace, target.service)
    name, make = _CHECKS[protocol]
    return DetectRule(rule.id, rule.name, service, make(rule, terms), name)


def _http(rule: v1.FaultDetectRule, terms: dict[str, Any]) -> Check:
    config = rule.http_config
    return Check(
        HTTP,
        path="/" + config.url.removeprefix("/"),
        method=config.method.upper() or "GET",
        headers=tuple((header.key, header.value) for header in config.headers),
        body=config.body,
        expected=ANSWERS,
        **terms,
    )


def _tcp(rule: v1.FaultDetectRule, terms: dict[str, Any]) -> Check:
    return _talk(TCP, TCP_TALK, rule.tcp_config.send, rule.tcp_config.receive, terms)


def _udp(rule: v1.FaultDetectRule, terms: dict[str, Any]) -> Check:
    return _talk(UDP, UDP_TALK, rule.udp_config.send, rule.udp_config.receive, terms)


def _talk(plain: str, talk: str, send: str, receive: Sequence[str], terms: dict[str, Any]) -> Check:
    if not send:
        return Check(plain, **terms)
    return Check(talk, send=bytes_of(send), receive=tuple(map(bytes_of, receive)), **terms)


def bytes_of(text: str) -> bytes:
    """What is sent, or has to come: hexadecimal digits after ``0x``, else the text itself."""
    return bytes.fromhex(text[2:]) if _HEX.match(text) else text.encode("utf-8", "replace")


_CHECKS: Final = {
    v1.FaultDetectRule.HTTP: ("http", _http),
    v1.FaultDetectRule.TCP: ("tcp", _tcp),
    v1.FaultDetectRule.UDP: ("udp", _udp),
}
