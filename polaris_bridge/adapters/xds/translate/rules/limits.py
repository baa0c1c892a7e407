"""Rate limits as Envoy applies them beside the service that is called. Pure.

A rule by which each instance counts for itself becomes buckets of tokens in Envoy; one that all count together a question to the
limiter, whose words for parts of a request are those that PolarisMesh has for Envoy (``:path``, ``header.x``, ``query.x``,
``method.``, ``source_cluster``, ``remote_address``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from math import gcd
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.xds.translate.listeners import GLOBAL_STAGE
from polaris_bridge.adapters.xds.translate.routes import header, query, searching
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.matching import make_test, nothing
from polaris_bridge.core.routing.model import ANY, EXACT, IN, NOT_EQUALS, NOT_IN, RANGE, REGEX, Condition, Unread
from polaris_bridge.core.routing.ports import Patterns

from .labels import ADDRESS, CALLER, HEADERS, PATH, QUERIES, VERB, is_name, part_of

Json = dict[str, Any]

SHORTEST_MS: Final = 50
"""Between two fillings of a bucket; Envoy refuses less."""
_UNLIMITED: Final = 2**32 - 1
_ALWAYS: Final = {"numerator": 100, "denominator": "HUNDRED"}
_RULE: Final = "rule"
_NAMESPACE_HEADER, _SERVICE_HEADER = "source_service_namespace", "source_service_name"
"""Headers in which Spring Cloud Tencent says who calls."""


class Limits(Struct, frozen=True):
    """What becomes of the rules of one service."""

    rate_limits: tuple[Json, ...] = ()
    """``RateLimit`` of the route: which calls are counted, and as what."""
    local: Json | None = None
    """``LocalRateLimit`` of the route: the buckets; None: there are none."""
    at_once: int = 0
    """How many calls may run at a time; 0: any number."""
    unread: tuple[Unread, ...] = ()


NO_LIMITS: Final = Limits()


def limits_of(service: ServiceKey, rules: Iterable[LimitRule], patterns: Patterns, *, limiter: bool) -> Limits:
    """What becomes of them. ``limiter``: whether there is somebody who counts for all. Does not raise."""
    rate_limits: list[Json] = []
    buckets: list[Json] = []
    unread: list[Unread] = []
    at_once: list[int] = []
    for rule in rules:
        where = rule.name or rule.id
        if rule.at_once:
            if rule.conditions:
                unread.append(Unread(rule.id, where, "how many calls of a kind run at a time is not known to Envoy"))
            else:
                at_once.append(rule.at_once)
            continue
        if rule.defect:
            unread.append(Unread(rule.id, where, rule.defect))
            continue
        if rule.waits:
            unread.append(Unread(rule.id, where, "Envoy refuses calls above a limit, none waits for its turn"))
        if rule.body:
            unread.append(Unread(rule.id, where, "a refused call is answered in Envoy's words, not the rule's"))
        defect = _defect(rule, patterns)
        if defect:
            unread.append(Unread(rule.id, where, defect))
        elif rule.alone:
            rate_limits += _counted_here(rule, where, buckets, unread)
        elif not limiter:
            unread.append(Unread(rule.id, where, "there is no limiter that counts for all"))
        else:
            rate_limits.append({"stage": GLOBAL_STAGE, "actions": [_marked(rule.id), *_actions(rule, shared=True)]})
    local = _local(service, buckets) if buckets else None
    return Limits(tuple(rate_limits), local, min(at_once, default=0), tuple(unread))


# -------------------------------------------------------------------------------------------------- counted by Envoy


def _counted_here(rule: LimitRule, where: str, buckets: list[Json], unread: list[Unread]) -> Iterator[Json]:
    """One bucket for each stretch of time: all must have a token."""
    if not rule.together and any(condition.operator != EXACT for condition in rule.conditions):
        unread.append(Unread(rule.id, where, "values that a condition lets through share one counter in Envoy"))
    for at, allowance in enumerate(rule.allowances):
        if not allowance.amount:
            unread.append(Unread(rule.id, where, "Envoy has no bucket for 0 calls"))
            continue
        mark = f"{rule.id}/{at}"
        actions = [_marked(mark), *_actions(rule, shared=False)]
        entries = [{"key": _RULE, "value": mark}, *(_entry(condition) for condition in rule.conditions)]
        buckets.append({"entries": entries, "token_bucket": _bucket(allowance)})
        yield {"actions": actions}


def _bucket(allowance: Allowance) -> Json:
    duration_ms = -(-allowance.duration_ms // SHORTEST_MS) * SHORTEST_MS
    return {"max_tokens": allowance.amount, "tokens_per_fill": allowance.amount, "fill_interval": _seconds(duration_ms)}


def _local(service: ServiceKey, buckets: list[Json]) -> Json:
    every_ms = gcd(*(_ms(bucket["token_bucket"]["fill_interval"]) for bucket in buckets))
    prefix = f"INBOUND|SIDECAR|{service.namespace}|{service.name}"
    return {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": prefix,
        "token_bucket": {
            "max_tokens": _UNLIMITED,
            "tokens_per_fill": _UNLIMITED,
            "fill_interval": _seconds(every_ms),
        },
        "filter_enabled": {"runtime_key": f"{prefix}_local_rate_limit_enabled", "default_value": _ALWAYS},
        "filter_enforced": {"runtime_key": f"{prefix}_local_rate_limit_enforced", "default_value": _ALWAYS},
        "response_headers_to_add": [
            {"header": {"key": "x-local-rate-limit", "value": "true"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        ],
        "descriptors": buckets,
    }


def _seconds(duration_ms: int) -> str:
    seconds, ms = divmod(duration_ms, 1000)
    return f"{seconds}.{ms:03d}s" if ms else f"{seconds}s"


def _ms(seconds: str) -> int:
    whole, _, part = seconds.removesuffix("s").partition(".")
    return int(whole) * 1000 + int(part or 0)


# -------------------------------------------------------------------------------------------------- what is counted


def _marked(mark: str) -> Json:
    """What tells the calls of one rule from those of others."""
    return {"generic_key": {"descriptor_key": _RULE, "descriptor_value": mark}}


def _actions(rule: LimitRule, *, shared: bool) -> Iterator[Json]:
    """What is said of a call; nothing is when one of these has nothing to say. ``shared``: to the limiter, which compares itself
    where values are counted apart."""
    for condition in rule.conditions:
        yield _action(condition, told=shared and not rule.together and condition.operator != EXACT)


def _action(condition: Condition, *, told: bool) -> Json:
    part, name = part_of(condition.key)
    entry = _entry(condition)
    if part == ADDRESS:
        return {"remote_address": {}}
    if part == QUERIES:
        if told:
            return {"query_parameters": {"query_parameter_name": name, "descriptor_key": entry["key"]}}
        compared = {"descriptor_key": entry["key"], "descriptor_value": entry["value"], "expect_match": True}
        return {"query_parameter_value_match": {**compared, "query_parameters": [query(_named(condition, name))]}}
    if told and part in (HEADERS, VERB):
        return {"request_headers": {"header_name": name, "descriptor_key": entry["key"]}}
    compared = {"descriptor_key": entry["key"], "descriptor_value": entry["value"], "expect_match": True}
    return {"header_value_match": {**compared, "headers": list(_headers(part, name, condition))}}


def _headers(part: str, name: str, condition: Condition) -> Iterator[Json]:
    if part == PATH:
        yield from _path(condition)
    elif part == CALLER:
        yield from header(Condition(_NAMESPACE_HEADER, name))
        yield from header(_named(condition, _SERVICE_HEADER))
    else:
        yield from header(_named(condition, name))


def _path(condition: Condition) -> Iterator[Json]:
    """The path without its query."""
    if condition.value in ("", ANY):
        yield {"name": ":path", "present_match": True}
        return
    if condition.operator == REGEX:
        pattern = searching(condition.value)
        pattern = pattern if pattern.endswith(".*") else f"(?:{pattern.removesuffix('$')})"
    else:
        values = condition.value.split(",") if condition.operator in (IN, NOT_IN) else [condition.value]
        pattern = f"(?:{'|'.join(map(re.escape, values))})"
    matcher: Json = {"name": ":path", "string_match": {"safe_regex": {"regex": f"{pattern}(?:\\?.*)?"}}}
    if condition.operator in (NOT_EQUALS, NOT_IN):
        matcher["invert_match"] = True
    yield matcher


def _named(condition: Condition, name: str) -> Condition:
    return Condition(name, condition.value, condition.operator)


_KEYS: Final = {PATH: ":path", VERB: "method.", ADDRESS: "remote_address", CALLER: "source_cluster"}


def _entry(condition: Condition) -> Json:
    part, name = part_of(condition.key)
    key = _KEYS.get(part) or f"{'header' if part == HEADERS else 'query'}.{name}"
    value = f"{name}|{condition.value}" if part == CALLER else condition.value
    return {"key": key, "value": value or ANY}


def _defect(rule: LimitRule, patterns: Patterns) -> str:
    """Why a rule cannot be told to Envoy; empty when it can."""
    for condition in rule.conditions:
        part, name = part_of(condition.key)
        if part not in _PARTS:
            return f"{condition.key}: Envoy does not see it"
        if part in (HEADERS, QUERIES) and not is_name(part, name):
            return f"{condition.key}: there are no such names"
        try:
            test = make_test(condition.operator, condition.value, patterns, whole=True)
        except ValueError as error:
            return f"{condition.key}: {error}"
        if test is nothing:
            return f"{condition.key}: no value is within it"
        allowed = _OPERATORS.get(part)
        if part == ADDRESS and not rule.alone:
            allowed = None
        told = not rule.alone and not rule.together and part == QUERIES
        if allowed is not None and condition.operator not in allowed and not told:
            return f"{condition.key}: Envoy cannot compare it by {condition.operator}"
    return ""


_PARTS: Final = frozenset({PATH, HEADERS, QUERIES, VERB, ADDRESS, CALLER})
_OPERATORS: Final = {
    PATH: frozenset({EXACT, REGEX, IN, NOT_EQUALS, NOT_IN}),
    QUERIES: frozenset({EXACT, REGEX, IN}),
    ADDRESS: frozenset({EXACT}),
    CALLER: frozenset({EXACT}),
    HEADERS: frozenset({EXACT, REGEX, IN, NOT_EQUALS, NOT_IN, RANGE}),
    VERB: frozenset({EXACT, REGEX, IN, NOT_EQUALS, NOT_IN}),
}
