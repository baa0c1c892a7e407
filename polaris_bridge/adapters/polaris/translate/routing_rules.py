"""Route rules and lanes as the core evaluates them. Pure.

A rule's parts keep the names that SDKs see them under (``translate.routing``), so explanations say what clients' logs say.
Conditions on the caller's metadata, which the older form that clients are sent cannot express, are evaluated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing import model
from polaris_bridge.core.routing.model import (
    ANY,
    Condition,
    Group,
    Labelled,
    Lane,
    LaneGroup,
    Nearby,
    Route,
    Rules,
    Source,
)

from .routing import config_of, label_key, order
from .times import wall_ms

CALLER_METADATA: Final = "$caller_metadata."
"""Beginning of the labels that stand for the calling instance's own metadata, as polaris-java names them."""
METHOD, PATH, CALLER_IP = "$method", "$path", "$caller_ip"
HEADER, QUERY, COOKIE = "$header.", "$query.", "$cookie."
"""Labels that stand for parts of a request, as SDKs name them."""

OPERATORS: Final = {
    v1.MatchString.EXACT: model.EXACT,
    v1.MatchString.REGEX: model.REGEX,
    v1.MatchString.NOT_EQUALS: model.NOT_EQUALS,
    v1.MatchString.IN: model.IN,
    v1.MatchString.NOT_IN: model.NOT_IN,
    v1.MatchString.RANGE: model.RANGE,
}
ORIGINS: Final = {
    v1.MatchString.TEXT: model.TEXT,
    v1.MatchString.PARAMETER: model.PARAMETER,
    v1.MatchString.VARIABLE: model.VARIABLE,
}
LEVELS: Final = {
    v1.NearbyRoutingConfig.CAMPUS: model.CAMPUS,
    v1.NearbyRoutingConfig.ZONE: model.ZONE,
    v1.NearbyRoutingConfig.REGION: model.REGION,
    v1.NearbyRoutingConfig.ALL: model.EVERYWHERE,
}
_FAILOVERS: Final = {
    v1.MetadataFailover.ALL: model.ALL,
    v1.MetadataFailover.OTHERS: model.OTHERS,
    v1.MetadataFailover.OTHER_KEYS: model.OTHER_KEYS,
}
_ENTRIES: Final[dict[str, Any]] = {
    "polarismesh.cn/gateway/spring-cloud-gateway": v1.ServiceGatewaySelector,
    "polarismesh.cn/service": v1.ServiceSelector,
}
"""Kinds of entries whose selector names a service and labels."""


def rules_of(service: ServiceKey, routes: Iterable[v1.RouteRule], lanes: Iterable[v1.LaneGroup] = ()) -> Rules:
    """Everything that is said of a service; switched-off rules do not count.

    As clients are sent it, a rule for all services of all namespaces is for none. Of several rules for nearness, or for labels,
    the first counts.
    """
    inbound: list[Route] = []
    outbound: list[Route] = []
    nearby: Nearby | None = None
    labelled: Labelled | None = None
    told: list[tuple[v1.RouteRule, Any]] = [(rule, config_of(rule)) for rule in routes if rule.enable]
    for rule, config in sorted(told, key=lambda pair: order(pair[0], pair[1], service)):
        if rule.routing_policy == v1.RulePolicy:
            for sub in config.rules:
                route = _route(rule, sub)
                if _names(sub.destinations, service):
                    inbound.append(route)
                if _names(sub.sources, service):
                    outbound.append(route)
        elif rule.routing_policy == v1.NearbyPolicy:
            nearby = nearby or _nearby(rule, config)
        else:
            labelled = labelled or _labelled(rule, config)
    return Rules(tuple(inbound), tuple(outbound), nearby, labelled, tuple(map(_lane_group, lanes)))


def _names(places: Iterable[Any], service: ServiceKey) -> bool:
    return any(place.namespace == service.namespace and place.service in (service.name, ANY) for place in places)


def _route(rule: v1.RouteRule, sub: v1.SubRuleRouting) -> Route:
    return Route(
        rule.id,
        f"{rule.name}.{sub.name}" if sub.name else rule.name,
        tuple(_source(source) for source in sub.sources),
        tuple(_group(rule, sub, group) for group in sub.destinations),
    )


def _source(source: v1.SourceService) -> Source:
    return Source(source.namespace, source.service, tuple(_argument(each) for each in source.arguments))


def _argument(argument: v1.SourceMatch) -> Condition:
    key = label_key(argument)
    return condition(CALLER_METADATA + argument.key if key is None else key, argument.value)


def condition(key: str, value: v1.MatchString) -> Condition:
    """A condition on a label. What this version does not know keeps its number, and is named as not evaluated."""
    return Condition(
        key,
        value.value.value,
        OPERATORS.get(value.type, str(int(value.type))),
        ORIGINS.get(value.value_type, model.TEXT),
    )


def _group(rule: v1.RouteRule, sub: v1.SubRuleRouting, group: v1.DestinationGroup) -> Group:
    return Group(
        f"{rule.name}.{sub.name}.{group.name}",
        tuple(_conditions(group.labels)),
        group.priority,
        group.weight,
        group.isolate,
        group.namespace,
        group.service,
        group.transfer,
    )


def _conditions(labels: Mapping[str, v1.MatchString]) -> Iterator[Condition]:
    """Maps have no order: sorted, so that equal rules are equal values."""
    return (condition(key, labels[key]) for key in sorted(labels))


def _nearby(rule: v1.RouteRule, config: v1.NearbyRoutingConfig) -> Nearby:
    """Levels that are not said are ZONE and everywhere; the widest is never nearer than where it begins (polaris-java)."""
    match = LEVELS.get(config.match_level, model.ZONE)
    widest = LEVELS.get(config.max_match_level, model.EVERYWHERE)
    return Nearby(rule.id, match, min(match, widest), config.strict_nearby)


def _labelled(rule: v1.RouteRule, config: v1.MetadataRoutingConfig) -> Labelled:
    """Without a word on what to do otherwise, nothing is done."""
    failover = model.NONE
    if config.HasField("failover"):
        failover = _FAILOVERS.get(config.failover.failover_range, model.NONE)
    return Labelled(rule.id, dict(config.labels), failover, dict(config.failover.labels))


# -------------------------------------------------------------------------------------------------- lanes


def _lane_group(group: v1.LaneGroup) -> LaneGroup:
    return LaneGroup(
        group.id,
        group.name,
        tuple(entry for entry in map(_entry, group.entries) if entry is not None),
        tuple(ServiceKey(place.namespace, place.service) for place in group.destinations),
        tuple(_lane(rule) for rule in group.rules if rule.enable),
    )


def selector_of(entry: v1.TrafficEntry) -> Any:
    """What names the service that is an entry; None for a kind that is no service (a TSE gateway). Raises ``DecodeError``."""
    kind = _ENTRIES.get(entry.type)
    if kind is None:
        return None
    selector = kind()
    selector.ParseFromString(entry.selector.value)
    return selector


def _entry(entry: v1.TrafficEntry) -> Source | None:
    selector = selector_of(entry)
    if selector is None:
        return None
    return Source(selector.namespace or ANY, selector.service or ANY, tuple(_conditions(selector.labels)))


def _lane(rule: v1.LaneRule) -> Lane:
    gray, match = rule.traffic_gray, rule.traffic_match_rule
    percent, warm_s = 100, 0
    if rule.HasField("traffic_gray"):
        if gray.mode == v1.TrafficGray.PERCENTAGE and gray.HasField("percentage"):
            percent = gray.percentage.percent
        elif gray.mode == v1.TrafficGray.WARMUP and gray.HasField("warmup"):
            warm_s = gray.warmup.intervalSecond
    return Lane(
        rule.name,
        rule.label_key or "lane",
        rule.default_label_value,
        tuple(_argument(each) for each in match.arguments),
        match.matchMode == v1.TrafficMatchRule.OR,
        rule.match_mode == v1.LaneRule.STRICT,
        rule.priority,
        rule.ctime,
        percent,
        max(0, warm_s) * 1000,
        wall_ms(rule.etime),
        gray.warmup.curvature,
    )
