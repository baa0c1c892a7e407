"""Breakers and probes as Envoy and gRPC clients have them: outlier detection, thresholds and health checks. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from polaris_bridge.core.breaking.detecting import DetectRule
from polaris_bridge.core.breaking.model import INSTANCE, BadCode, BreakerRule, BreakingTerms, InARow, Part, Share, Slow
from polaris_bridge.core.breaking.rules import any_of, covers, named_first
from polaris_bridge.core.health import Check
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import RANGE, Unread

from .labels import ENVOY, Dialect

Json = dict[str, Any]

MOST: Final = 2**32 - 1
INTERVAL_MS: Final = 10_000
"""Between two looks at shares of errors, where no rule says; Envoy's own."""
LONGEST_MS: Final = 300_000
"""How long an instance is left alone at most, unless a rule says more at once; Envoy's own."""
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"})
_FALL, _RISE = 3, 1
"""As polaris-server tells Envoy."""


def outlier_detection(
    service: ServiceKey, rules: Iterable[BreakerRule], dialect: Dialect, unread: dict[Unread, None]
) -> Json | None:
    """What of the rules leaves single instances alone for a while. The first rule that fits counts, as for SDKs."""
    chosen: BreakerRule | None = None
    for rule in sorted(rules, key=_order):
        where = rule.name or rule.id
        if not covers(rule.service, service):
            continue
        if rule.level != INSTANCE:
            unread[Unread(rule.id, where, f"{dialect.name} breaks with single instances only")] = None
        elif not any_of(rule.caller.namespace) or not any_of(rule.caller.name):
            unread[Unread(rule.id, where, "all callers share a cluster: a rule for some cannot be told")] = None
        elif chosen is None:
            chosen = rule
    return None if chosen is None else _detection(chosen, dialect, unread)


def _order(rule: BreakerRule) -> tuple[object, ...]:
    return rule.priority, named_first(rule.service), named_first(rule.caller), rule.id


def _detection(rule: BreakerRule, dialect: Dialect, unread: dict[Unread, None]) -> Json | None:
    where = rule.name or rule.id
    in_a_row: list[int] = []
    shares: list[Share] = []
    for part in rule.parts:
        for defect in _defects(part, dialect):
            unread[Unread(rule.id, where, defect)] = None
        in_a_row += [each.errors for each in part.triggers if isinstance(each, InARow) and each.errors]
        shares += [each for each in part.triggers if isinstance(each, Share)]
    if rule.successes > 1:
        unread[Unread(rule.id, where, f"{dialect.name} takes an instance back without counting successes")] = None
    if any(share.errors > 1 for share in shares):
        unread[Unread(rule.id, where, f"{dialect.name} looks at the share of errors, not at how many they are")] = None
    if len(shares) > 1:
        unread[Unread(rule.id, where, f"{dialect.name} looks at one share of errors: the first counts")] = None
    if in_a_row and dialect is not ENVOY:
        unread[Unread(rule.id, where, f"{dialect.name} does not count errors in a row")] = None
        in_a_row = []
    if not in_a_row and not shares:
        return None
    sleep_ms = max(1000, rule.sleep_ms)
    found: Json = {
        "interval": _seconds(shares[0].interval_ms if shares else INTERVAL_MS),
        "base_ejection_time": _seconds(sleep_ms),
        "max_ejection_time": _seconds(max(LONGEST_MS, sleep_ms)),
        "max_ejection_percent": rule.percent or BreakingTerms().percent,
        "enforcing_success_rate": 0,
        "enforcing_failure_percentage": 100 if shares else 0,
    }
    if shares:
        found["failure_percentage_threshold"] = max(1, shares[0].percent)
        found["failure_percentage_request_volume"] = max(1, shares[0].calls)
        found["failure_percentage_minimum_hosts"] = 1
    if dialect is ENVOY:
        found["enforcing_consecutive_gateway_failure"] = 0
        found["enforcing_consecutive_5xx"] = 100 if in_a_row else 0
        if in_a_row:
            found["consecutive_5xx"] = min(in_a_row)
    return found


def _defects(part: Part, dialect: Dialect) -> Iterator[str]:
    """What of a part is not looked at: errors are what the client takes for one."""
    for error in part.errors:
        if isinstance(error, Slow):
            yield f"{dialect.name} does not look at how long calls take"
        elif isinstance(error, BadCode) and not _server_errors(error):
            taken = "statuses from 500" if dialect is ENVOY else "every status but OK"
            yield f"{dialect.name} takes {taken} for errors, whatever codes a rule names"


def _server_errors(error: BadCode) -> bool:
    low, _, high = error.condition.value.partition("~")
    return error.condition.operator == RANGE and low == "500" and high in ("599", "600")


def thresholds(at_once: int) -> Json | None:
    """``CircuitBreakers.Thresholds`` for so many calls at a time; None: any number."""
    return {"priority": "DEFAULT", "max_requests": min(at_once, MOST)} if at_once else None


# -------------------------------------------------------------------------------------------------- probes


def health_checks(rules: Iterable[DetectRule], dialect: Dialect, unread: dict[Unread, None]) -> tuple[Json, ...]:
    """The probes that Envoy makes of every endpoint; others make none."""
    found = []
    for rule in rules:
        defect = _no_check(rule) if dialect is ENVOY else f"{dialect.name} makes no probes"
        if defect:
            unread[Unread(rule.id, rule.name or rule.id, defect)] = None
        else:
            found.append(_health_check(rule.check, rule.protocol))
    return tuple(found)


def _no_check(rule: DetectRule) -> str:
    check = rule.check
    if rule.protocol not in ("http", "tcp"):
        return f"Envoy has no probes over {rule.protocol}"
    if check.port:
        return "Envoy probes the port that is called"
    if rule.protocol == "http" and check.method not in _METHODS:
        return f"Envoy has no probes by {check.method}"
    if rule.protocol == "http" and check.body and check.method not in ("POST", "PUT", "PATCH", "OPTIONS"):
        return f"a probe by {check.method} has no body in Envoy"
    return ""


def _health_check(check: Check, protocol: str) -> Json:
    found: Json = {
        "timeout": _seconds(max(1, check.timeout_ms)),
        "interval": _seconds(max(1, check.interval_ms)),
        "unhealthy_threshold": _FALL,
        "healthy_threshold": _RISE,
    }
    if protocol == "tcp":
        tcp: Json = {"receive": [{"text": each.hex()} for each in check.receive if each]}
        if check.send:
            tcp["send"] = {"text": check.send.hex()}
        return {**found, "tcp_health_check": tcp}
    http: Json = {
        "path": check.path,
        "method": check.method,
        "expected_statuses": list(_ranges(check.expected)),
        "request_headers_to_add": [{"header": {"key": key, "value": value}} for key, value in check.headers if key],
    }
    if check.body:
        http["send"] = {"text": check.body.encode().hex()}
    return {**found, "http_health_check": http}


def _ranges(statuses: Iterable[int]) -> Iterator[Json]:
    """Statuses as ranges, the end of each not within it."""
    begin = end = -1
    for status in sorted(set(statuses)):
        if status != end:
            if begin >= 0:
                yield {"start": str(begin), "end": str(end)}
            begin = status
        end = status + 1
    if begin >= 0:
        yield {"start": str(begin), "end": str(end)}


def _seconds(duration_ms: int) -> str:
    seconds, ms = divmod(duration_ms, 1000)
    return f"{seconds}.{ms:03d}s" if ms else f"{seconds}s"
