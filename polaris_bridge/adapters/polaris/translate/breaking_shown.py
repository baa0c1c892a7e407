"""What callers tell of calls, as the core counts them; and breakers as people, and callers, are shown them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from polaris_bridge.adapters.polaris.wire.breaking_told import (
    Explanation,
    Question,
    Report,
    Result,
    ShownBreaker,
    ShownFallback,
    ShownProbe,
    ShownRule,
    ShownState,
    ShownTurn,
    ShownVoice,
)
from polaris_bridge.core.breaking.breaker import PROBE, Breaker
from polaris_bridge.core.breaking.breakers import Breakers, Standing
from polaris_bridge.core.breaking.model import BROKEN_CODE, CLOSED, OPEN, Calls, Fallback, Resource, Told, Turn
from polaris_bridge.core.breaking.rules import ReadyRule
from polaris_bridge.core.model import AddressKey, ServiceKey

MOST_SHOWN: Final = 500
"""Breakers, probes and changes of state of one explanation, each."""
PROBES: Final = "probe"
"""The name of the server's own voice."""

Places = Callable[[str, int], Sequence[AddressKey]]
"""Addresses of a service at a host and port."""


def told_of(report: Report, service: ServiceKey, voice: str, places: Places) -> Iterator[Told]:
    """Each result; an instance that is not registered counts for the service and the method alone."""
    caller = ServiceKey(report.caller.namespace or report.namespace, report.caller.service)
    for result in report.results:
        for place in (places(result.host, result.port) if result.host else ()) or (None,):
            yield Told(
                voice,
                service,
                calls_of(result),
                caller if caller.name else None,
                result.method,
                result.verb,
                result.protocol,
                place,
            )


def calls_of(result: Result) -> Calls:
    """A result as the core counts it."""
    if result.total is not None:
        return Calls(result.total - result.errors, result.errors)
    well = result.code != BROKEN_CODE if result.failed is None else not result.failed
    count = result.count
    return Calls(count if well else 0, 0 if well else count, result.code, result.delay)


def state_of(standing: Standing, *, ejected: bool) -> ShownState:
    """A resource as whoever told of it is shown it."""
    resource, rule = standing.resource, standing.breaker.ready.rule
    host, port = _place(resource)
    return ShownState(
        resource.level,
        standing.breaker.state,
        rule.id,
        rule.name,
        resource.path,
        host,
        port,
        ejected,
    )


def explained(
    said: tuple[int, str],
    question: Question,
    service: ServiceKey,
    breakers: Breakers,
    probes: Iterable[tuple[AddressKey, str]],
    ejected: Collection[AddressKey],
) -> Explanation:
    """Everything about a service, or about the method or instance that was asked for."""
    wanted = [each for each in breakers.of(service) if _wanted(question, each.resource)]
    turned = (turn for turn in reversed(breakers.turns) if turn.resource.service == service)
    turns = [turn for turn in turned if _wanted(question, turn.resource)]
    return Explanation(
        *said,
        service.namespace,
        service.name,
        [_rule(ready) for ready in breakers.rules(service)],
        [_breaker(each, ejected, breakers) for each in wanted[:MOST_SHOWN]],
        [ShownProbe(place.host, place.port, rule) for place, rule in list(probes)[:MOST_SHOWN]],
        [_turn(turn) for turn in turns[:MOST_SHOWN]],
    )


def _turn(turn: Turn) -> ShownTurn:
    resource = turn.resource
    return ShownTurn(
        turn.at_ms,
        resource.level,
        turn.before,
        turn.after,
        turn.rule,
        turn.name,
        resource.path,
        *_place(resource),
        turn.why,
    )


def _wanted(question: Question, resource: Resource) -> bool:
    host, port = _place(resource)
    return (
        (not question.method or question.method == resource.path)
        and (not question.host or question.host == host)
        and (not question.port or question.port == port)
    )


def _place(resource: Resource) -> tuple[str, int]:
    return ("", 0) if resource.place is None else (resource.place.host, resource.place.port)


def _rule(ready: ReadyRule) -> ShownRule:
    rule = ready.rule
    return ShownRule(
        rule.id,
        rule.name,
        rule.level,
        rule.priority,
        ready.everyone,
        rule.probed,
        rule.percent,
        ready.calls,
        ready.errors,
        ready.opened,
        ready.defect,
    )


def _breaker(standing: Standing, ejected: Collection[AddressKey], breakers: Breakers) -> ShownBreaker:
    resource, breaker = standing
    rule = breaker.ready.rule
    host, port = _place(resource)
    stopped = breaker.state != CLOSED
    return ShownBreaker(
        resource.level,
        breaker.state,
        rule.id,
        rule.name,
        breakers.wall_ms(breaker.since_ms),
        resource.path,
        host,
        port,
        breakers.wall_ms(breaker.until_ms) if breaker.state == OPEN else 0,
        breaker.why if stopped else "",
        breaker.times,
        resource.place in ejected,
        _voices(breaker, breakers.now_ms),
        None if rule.fallback is None or not stopped else _fallback(rule.fallback),
    )


def _voices(breaker: Breaker, now_ms: int) -> list[ShownVoice]:
    return [
        ShownVoice(PROBES if name == PROBE else name, v.calls, v.errors, v.objects(now_ms), v.said())
        for name, v in breaker.voices.items()
    ]


def _fallback(fallback: Fallback) -> ShownFallback:
    return ShownFallback(fallback.code, dict(fallback.headers), fallback.body)
