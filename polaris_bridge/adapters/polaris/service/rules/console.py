"""The calls of the console about rules, as a table: five for every kind, and those that the original answers with a refusal."""

from __future__ import annotations

from typing import Any, Final

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.batches import worked
from polaris_bridge.adapters.polaris.service.queries import list_answer
from polaris_bridge.adapters.polaris.service.routes import Query, Route
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller

from .kinds import CREATE, DELETE, DESCRIBE, ENABLE, KINDS, UPDATE, Kind
from .writing import Rules, deprecated, deprecated_item

_WRITES: Final = (
    ("POST", "", CREATE, "Rules are kept; each is answered with its id."),
    ("POST", "/delete", DELETE, "Rules are forgotten; success also for one that is not there."),
    ("PUT", "", UPDATE, "Rules are replaced as a whole."),
    ("PUT", "/enable", ENABLE, "Rules are switched on or off."),
)


def routes(rules: Rules) -> tuple[Route, ...]:
    """Every call about rules."""
    return (*(route for kind in KINDS for route in _routes(rules, kind)), *_refused())


def _routes(rules: Rules, kind: Kind) -> list[Route]:
    parts = frozenset({"default", kind.include} - {""})
    handlers = {CREATE: rules.create, DELETE: rules.delete, UPDATE: rules.update, ENABLE: rules.enable}

    def write(operation: str) -> Any:
        return lambda messages, caller: handlers[operation](kind, messages, caller)

    found = [
        Route(
            method=method,
            path=kind.path + suffix,
            operation=operation + kind.noun,
            handle=write(operation),
            takes="list",
            request=kind.message.DESCRIPTOR.name,
            include=parts,
            about=about,
        )
        for method, suffix, operation, about in _WRITES
        if operation != ENABLE or kind.switch is not None
    ]
    found.append(
        Route(
            method="GET",
            path=kind.path,
            operation=DESCRIBE + kind.noun,
            handle=lambda query, caller: rules.query(kind, query, caller),
            response="BatchQueryResponse",
            include=parts | {"default-read"},
            about="A page of rules, the latest change first.",
            query=(*kind.filters, "offset", "limit"),
        )
    )
    return found


# -------------------------------------------------------------------------------------------------- out of service

_OLD_ROUTINGS: Final = (("POST", "", CREATE), ("POST", "/delete", DELETE), ("PUT", "", UPDATE))
_OLD_BREAKERS: Final = (
    ("POST", "", "CreateCircuitBreakers", "CircuitBreaker"),
    ("POST", "/version", "CreateCircuitBreakerVersions", "CircuitBreaker"),
    ("POST", "/delete", "DeleteCircuitBreakers", "CircuitBreaker"),
    ("PUT", "", "UpdateCircuitBreakers", "CircuitBreaker"),
    ("POST", "/release", "ReleaseCircuitBreakers", "ConfigRelease"),
    ("POST", "/unbind", "UnBindCircuitBreakers", "ConfigRelease"),
)
_OLD_LISTS: Final = (
    ("/naming/v1/routings", "DescribeRoutings"),
    ("/naming/v1/service/circuitbreaker", "DescribeServiceCircuitBreaker"),
    ("/naming/v1/circuitbreaker", "DescribeCircuitBreaker"),
    ("/naming/v1/circuitbreaker/versions", "DescribeCircuitBreakerVersions"),
    ("/naming/v1/circuitbreakers/master", "DescribeMasterCircuitBreakers"),
    ("/naming/v1/circuitbreakers/release", "DescribeReleaseCircuitBreakers"),
    ("/naming/v1/circuitbreaker/token", "DescribeCircuitBreakerToken"),
)
_ABOUT_OLD: Final = "Out of service since 1.18, as in the original: 400000."


def _refused() -> list[Route]:
    """Route rules and breakers of the first form cannot be written any more: 400000."""

    def each(messages: list[Any], _caller: Caller) -> Outcome:
        return Outcome(worked([deprecated_item() for _ in messages]) if messages else deprecated())

    def whole(_messages: list[Any], _caller: Caller) -> Outcome:
        return Outcome(deprecated())

    def nothing(_query: Query, _caller: Caller) -> v1.BatchQueryResponse:
        answer = list_answer(v1.BadRequest, 0, 0)
        answer.info.value = deprecated().info.value
        return answer

    writes = [
        ("/naming/v1/routings", method, suffix, f"{operation}Routings", "Routing", each)
        for method, suffix, operation in _OLD_ROUTINGS
    ] + [
        ("/naming/v1/circuitbreakers", method, suffix, operation, message, whole)
        for method, suffix, operation, message in _OLD_BREAKERS
    ]
    return [
        Route(
            method=method,
            path=path + suffix,
            operation=operation,
            handle=handle,
            takes="list",
            request=message,
            about=_ABOUT_OLD,
        )
        for path, method, suffix, operation, message, handle in writes
    ] + [
        Route(
            method="GET",
            path=path,
            operation=operation,
            handle=nothing,
            response="BatchQueryResponse",
            about=_ABOUT_OLD,
        )
        for path, operation in _OLD_LISTS
    ]
