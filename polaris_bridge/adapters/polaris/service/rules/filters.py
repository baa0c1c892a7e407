"""What lists of rules can be asked for: the names of the original's filters, and what each compares.

Names are exact with ``*`` as a wildcard for route rules and lanes; the other lists of the original find what contains the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from polaris_bridge.adapters.polaris.service.queries import BadQuery, like, wild
from polaris_bridge.adapters.polaris.translate import routing as routes
from polaris_bridge.core.documents import ANY
from polaris_bridge.core.model import ServiceKey

from .fields import flag, text

Filter = Callable[[Any, str, dict[str, str]], bool]
"""From a rule, the filter's value and all filters of the query to whether the rule is wanted."""

Compare = Callable[[str, str], bool]


def _field(field: str, compare: Compare) -> Filter:
    return lambda rule, value, _all: compare(value, text(rule, field))


def _exact(field: str) -> Filter:
    return _field(field, lambda value, found: value == found)


def _switch(field: str) -> Filter:
    return lambda rule, value, _all: flag(rule, field) == _truth(value)


def _truth(value: str) -> bool:
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return False
    raise BadQuery(f"{value} is neither true nor false")


def _anything(_rule: Any, _value: str, _all: dict[str, str]) -> bool:
    """A filter that asks for less detail, or for an order: nothing is left out for it."""
    return True


ORDER: Final = {"order_field": _anything, "order_type": _anything}


# -------------------------------------------------------------------------------------------------- route rules


def _beside(namespace: str, service: str, sides: Callable[[Any], Iterable[ServiceKey]]) -> Filter:
    """One service has to fit both filters, if both are given."""

    def wanted(rule: Any, _value: str, all_: dict[str, str]) -> bool:
        return any(
            wild(all_.get(namespace) or ANY, key.namespace) and wild(all_.get(service) or ANY, key.name)
            for key in sides(routes.config_of(rule))
        )

    return wanted


_source = _beside("source_namespace", "source_service", routes.callers)
_destination = _beside("destination_namespace", "destination_service", routes.callees)
_either = _beside("namespace", "service", lambda config: (*routes.callers(config), *routes.callees(config)))

ROUTING: Final[dict[str, Filter]] = {
    "id": _exact("id"),
    "name": _field("name", wild),
    "service": _either,
    "namespace": _either,
    "source_service": _source,
    "source_namespace": _source,
    "destination_service": _destination,
    "destination_namespace": _destination,
    "enable": _switch("enable"),
    **ORDER,
}


# -------------------------------------------------------------------------------------------------- the others


def _method_of_limit(rule: Any, value: str, _all: dict[str, str]) -> bool:
    return like(value, rule.method.value.value)


def _labels_of_limit(rule: Any, value: str, _all: dict[str, str]) -> bool:
    said = (*rule.labels, *(m.value.value for m in rule.labels.values()), *(a.key for a in rule.arguments))
    return any(like(value, found) for found in (*said, *(a.value.value.value for a in rule.arguments)))


RATE_LIMIT: Final[dict[str, Filter]] = {
    "id": _exact("id"),
    "name": _field("name", like),
    "service": _exact("service"),
    "namespace": _exact("namespace"),
    "brief": _anything,
    "method": _method_of_limit,
    "labels": _labels_of_limit,
    "disable": _switch("disable"),
    **ORDER,
}


def _place(of: Callable[[Any], Any], field: str, compare: Compare) -> Filter:
    return lambda rule, value, _all: compare(value, getattr(of(rule), field))


def _any_or_is(value: str, found: str) -> bool:
    return found in (value, ANY)


def _one_of(*filters: Filter) -> Filter:
    return lambda rule, value, all_: any(wanted(rule, value, all_) for wanted in filters)


def _source_of(rule: Any) -> Any:
    return rule.rule_matcher.source


def _callee_of(rule: Any) -> Any:
    return rule.rule_matcher.destination


def _probed(rule: Any) -> Any:
    return rule.target_service


def _level(rule: Any, value: str, _all: dict[str, str]) -> bool:
    return str(rule.level) in (part.strip() for part in value.split(","))


CIRCUIT_BREAKER: Final[dict[str, Filter]] = {
    "brief": _anything,
    "id": _exact("id"),
    "name": _field("name", like),
    "namespace": _exact("namespace"),
    "enable": _switch("enable"),
    "level": _level,
    "service": _one_of(_place(_source_of, "service", _any_or_is), _place(_callee_of, "service", _any_or_is)),
    "serviceNamespace": _one_of(
        _place(_source_of, "namespace", _any_or_is), _place(_callee_of, "namespace", _any_or_is)
    ),
    "srcService": _place(_source_of, "service", like),
    "srcNamespace": _place(_source_of, "namespace", like),
    "dstService": _place(_callee_of, "service", like),
    "dstNamespace": _place(_callee_of, "namespace", like),
    "dstMethod": lambda rule, value, _all: like(value, _callee_of(rule).method.value.value),
    "description": _field("description", like),
    **ORDER,
}
FAULT_DETECT: Final[dict[str, Filter]] = {
    "brief": _anything,
    "id": _exact("id"),
    "name": _field("name", like),
    "namespace": _exact("namespace"),
    "service": _place(_probed, "service", _any_or_is),
    "serviceNamespace": _place(_probed, "namespace", _any_or_is),
    "dstService": _place(_probed, "service", like),
    "dstNamespace": _place(_probed, "namespace", like),
    "dstMethod": lambda rule, value, _all: like(value, _probed(rule).method.value.value),
    "description": _field("description", like),
    **ORDER,
}
LANE: Final[dict[str, Filter]] = {"id": _exact("id"), "name": _field("name", wild), "brief": _anything, **ORDER}
OF_SERVICE: Final[dict[str, Filter]] = {
    "id": _exact("id"),
    "service": _field("service", wild),
    "namespace": _field("namespace", wild),
    "brief": _anything,
    **ORDER,
}
BLOCK_ALLOW: Final[dict[str, Filter]] = {
    **OF_SERVICE,
    "name": _field("name", like),
    "description": _field("description", like),
    "enable": _switch("enable"),
}
SWITCHED: Final[dict[str, Filter]] = {
    "service": _field("service", wild),
    "namespace": _field("namespace", wild),
    "enabled": _switch("enabled"),
    **ORDER,
}
