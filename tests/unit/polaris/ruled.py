"""Rules in a bottle: what the console does to them and what clients are told, with ids that can be told apart."""

from __future__ import annotations

from collections import deque
from typing import Any

from bottle import CALLER, Bottle

from polaris_bridge.adapters.polaris.service.discovery import Delivered
from polaris_bridge.adapters.polaris.service.rules import kinds
from polaris_bridge.adapters.polaris.service.rules.console import routes
from polaris_bridge.adapters.polaris.service.rules.delivery import Deliveries
from polaris_bridge.adapters.polaris.service.rules.kinds import Kind
from polaris_bridge.adapters.polaris.service.rules.writing import Rules
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.json import decode_list
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.terms import Terms

SERVICE = ServiceKey("default", "shop")


class Ids:
    """Counts; ``next`` are given out first."""

    def __init__(self) -> None:
        self.next: deque[str] = deque()
        self.count = 0

    def unique(self) -> str:
        if self.next:
            return self.next.popleft()
        self.count += 1
        return f"{self.count:032x}"


class Ruled:
    """A server that keeps rules."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.bottle = Bottle(terms)
        self.ids = Ids()
        self.open()

    def open(self) -> None:
        self.rules = Rules(self.bottle.registry, self.ids)
        self.deliveries = Deliveries(self.bottle.registry)
        self.routes = {(route.method, route.path): route for route in routes(self.rules)}

    def restart(self) -> None:
        self.bottle.restart()
        self.open()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Any:
        """What a console gets for a call: ``body`` is JSON text or messages."""
        route = self.routes[method, path]
        if route.takes == "list":
            given = decode_list(getattr(v1, route.request), body.encode()) if isinstance(body, str) else body
            return self.bottle.answer(route.handle(given, CALLER))
        return self.bottle.answer(route.handle({name: [value] for name, value in query.items()}, CALLER))

    def create(self, kind: Kind, *rules: Any) -> Any:
        return self.bottle.answer(self.rules.create(kind, rules, CALLER))

    def update(self, kind: Kind, *rules: Any) -> Any:
        return self.bottle.answer(self.rules.update(kind, rules, CALLER))

    def delete(self, kind: Kind, *rules: Any) -> Any:
        return self.bottle.answer(self.rules.delete(kind, rules, CALLER))

    def enable(self, kind: Kind, *rules: Any) -> Any:
        return self.bottle.answer(self.rules.enable(kind, rules, CALLER))

    def listed(self, kind: Kind, **query: str) -> list[Any]:
        """The rules that a console is shown."""
        answer = self.bottle.answer(self.rules.query(kind, {name: [value] for name, value in query.items()}, CALLER))
        assert answer.code.value == v1.ExecuteSuccess, answer.info.value
        assert answer.size.value == len(answer.data) + len(answer.rateLimits)
        return [*(unpacked(item) for item in answer.data), *answer.rateLimits]

    def told(self, type: int, service: ServiceKey = SERVICE, asked: ServiceKey | None = None) -> Delivered:
        """What a client is told."""
        return self.deliveries.deliver(type, asked or service, service)


def unpacked(item: Any) -> Any:
    """A message out of a field of type ``Any``."""
    message = v1.MESSAGES.message(item.type_url.rpartition("/")[2])()
    message.ParseFromString(item.value)
    return message


def text(value: str) -> Any:
    return v1.StringValue(value=value)


def packed(message: Any) -> Any:
    return v1.Any(
        type_url="type.googleapis.com/" + message.DESCRIPTOR.full_name,
        value=message.SerializeToString(deterministic=True),
    )


def route_rule(
    name: str = "r", callee: str = "default/shop", caller: str = "*/*", *, enable: bool = True, **fields: Any
) -> Any:
    """A route rule with one sub rule."""
    namespace, service = callee.split("/")
    caller_namespace, caller_service = caller.split("/")
    config = v1.RuleRoutingConfig()
    sub_rule = config.rules.add(name="s")
    sub_rule.sources.add(namespace=caller_namespace, service=caller_service)
    sub_rule.destinations.add(namespace=namespace, service=service, name="g", weight=100)
    return v1.RouteRule(name=name, enable=enable, routing_config=packed(config), **fields)


def nearby_rule(name: str = "n", *, enable: bool = True, **fields: Any) -> Any:
    config = v1.NearbyRoutingConfig(namespace="default", service="shop", match_level=v1.NearbyRoutingConfig.ZONE)
    return v1.RouteRule(
        name=name, enable=enable, routing_policy=v1.NearbyPolicy, routing_config=packed(config), **fields
    )


def metadata_rule(name: str = "m", **fields: Any) -> Any:
    config = v1.MetadataRoutingConfig(namespace="default", service="shop", labels={"env": "x"})
    return v1.RouteRule(
        name=name, enable=True, routing_policy=v1.MetadataPolicy, routing_config=packed(config), **fields
    )


def limit(name: str = "l", **fields: Any) -> Any:
    return v1.Rule(name=text(name), namespace=text("default"), service=text("shop"), **fields)


def breaker(name: str = "b", callee: str = "default/shop", *, enable: bool = True, **fields: Any) -> Any:
    namespace, service = callee.split("/")
    rule = v1.CircuitBreakerRule(**{"name": name, "enable": enable, "level": v1.SERVICE, **fields})
    rule.rule_matcher.destination.namespace, rule.rule_matcher.destination.service = namespace, service
    return rule


def detector(name: str = "d", target: str = "default/shop", **fields: Any) -> Any:
    namespace, service = target.split("/")
    rule = v1.FaultDetectRule(name=name, interval=30, **fields)
    rule.target_service.namespace, rule.target_service.service = namespace, service
    return rule


def lane_group(name: str = "lanes", *lanes: str, **fields: Any) -> Any:
    group = v1.LaneGroup(name=name, **fields)
    group.entries.add(
        type="polarismesh.cn/service", selector=packed(v1.ServiceSelector(namespace="default", service="shop"))
    )
    group.destinations.add(namespace="default", service="stock")
    for lane in lanes:
        group.rules.add(name=lane, enable=True)
    return group


def lossless(**fields: Any) -> Any:
    return v1.LosslessRule(namespace="default", service="shop", **fields)


def block_allow(name: str = "ba", **fields: Any) -> Any:
    return v1.BlockAllowListRule(name=name, namespace="default", service="shop", **fields)


def mirroring(**fields: Any) -> Any:
    return v1.TrafficMirroring(namespace=text("default"), service=text("shop"), **fields)


def injection(**fields: Any) -> Any:
    return v1.FaultInjection(namespace=text("default"), service=text("shop"), **fields)


EXAMPLES: dict[str, Any] = {
    "routing": route_rule,
    "rate_limit": limit,
    "circuit_breaker": breaker,
    "fault_detect": detector,
    "lane": lane_group,
    "lossless": lossless,
    "block_allow": block_allow,
    "traffic_mirroring": mirroring,
    "fault_injection": injection,
}
"""A rule that is right, by kind."""

ALL = [kind.name for kind in kinds.KINDS]
BY_NAME = {kind.name: kind for kind in kinds.KINDS}
SWITCHED = [kind.name for kind in kinds.KINDS if kind.switch is not None]

TYPE_OF = {
    "rate_limit": v1.DiscoverRequest.RATE_LIMIT,
    "circuit_breaker": v1.DiscoverRequest.CIRCUIT_BREAKER,
    "fault_detect": v1.DiscoverRequest.FAULT_DETECTOR,
    "lane": v1.DiscoverRequest.LANE,
    "routing": v1.DiscoverRequest.CUSTOM_ROUTE_RULE,
    "lossless": v1.DiscoverRequest.LOSSLESS,
    "block_allow": v1.DiscoverRequest.BLOCK_ALLOW_RULE,
    "traffic_mirroring": v1.DiscoverRequest.TRAFFIC_MIRRORING,
    "fault_injection": v1.DiscoverRequest.FAULT_INJECTION,
}


def rules_in(type: int, answer: Any) -> list[Any]:
    """The rules of an answer of Discover, other than ROUTING."""
    request = v1.DiscoverRequest
    found: dict[int, Any] = {
        request.RATE_LIMIT: answer.rateLimit.rules,
        request.CIRCUIT_BREAKER: answer.circuitBreaker.rules,
        request.FAULT_DETECTOR: answer.faultDetector.rules,
        request.LANE: answer.lanes,
        request.CUSTOM_ROUTE_RULE: answer.customRouteRules,
        request.NEARBY_ROUTE_RULE: answer.nearbyRouteRules,
        request.LOSSLESS: answer.losslessRuleList,
        request.BLOCK_ALLOW_RULE: answer.blockAllowListRule,
        request.TRAFFIC_MIRRORING: answer.trafficMirroring,
        request.FAULT_INJECTION: answer.faultInjection,
    }
    return list(found[type])
