"""Which services a rule is about: they are told of it. ``*`` in either place stands for any."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError

from polaris_bridge.adapters.polaris.translate import routing as routes
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey

from .fields import text

ENTRIES: Final[dict[str, type[v1.ServiceSelector] | type[v1.ServiceGatewaySelector]]] = {
    "polarismesh.cn/service": v1.ServiceSelector,
    "polarismesh.cn/gateway/spring-cloud-gateway": v1.ServiceGatewaySelector,
}
"""Entries of a lane group that name a service, by type. A cloud gateway's entry names no service of a namespace."""


def _named(*keys: ServiceKey) -> tuple[ServiceKey, ...]:
    return tuple(dict.fromkeys(key for key in keys if key.namespace and key.name))


def routing(rule: v1.RouteRule) -> tuple[ServiceKey, ...]:
    """Callees, and callers that are named."""
    return routes.subjects(routes.config_of(rule))


def of_service(rule: Any) -> tuple[ServiceKey, ...]:
    """The service in the rule's own fields."""
    return _named(ServiceKey(text(rule, "namespace"), text(rule, "service")))


def circuit_breaker(rule: v1.CircuitBreakerRule) -> tuple[ServiceKey, ...]:
    """The callee."""
    callee = rule.rule_matcher.destination
    return _named(ServiceKey(callee.namespace, callee.service))


def fault_detect(rule: v1.FaultDetectRule) -> tuple[ServiceKey, ...]:
    """The service that is probed."""
    return _named(ServiceKey(rule.target_service.namespace, rule.target_service.service))


def lane(group: v1.LaneGroup) -> tuple[ServiceKey, ...]:
    """Where coloured calls enter, and where they go."""
    destinations = (ServiceKey(d.namespace, d.service) for d in group.destinations)
    return _named(*filter(None, map(_entry, group.entries)), *destinations)


def _entry(entry: v1.TrafficEntry) -> ServiceKey | None:
    kind = ENTRIES.get(entry.type)
    if kind is None:
        return None
    selector = kind()
    try:
        selector.ParseFromString(entry.selector.value)
    except DecodeError:
        return None
    return ServiceKey(selector.namespace, selector.service)
