"""Route rules as the console writes them (v2) and as clients are given them (v1: inbounds and outbounds of one service).

Discover ROUTING of polaris-server 1.19 always answers with the older form, made from the newer one; every client reads it.
Checked against what the real server sent to polaris-go 1.6.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.wire.v1 import (
    Any,
    Destination,
    DestinationGroup,
    MetadataPolicy,
    MetadataRoutingConfig,
    NearbyPolicy,
    NearbyRoutingConfig,
    Route,
    RouteRule,
    Routing,
    RulePolicy,
    RuleRoutingConfig,
    Source,
    SourceMatch,
    SourceService,
    SubRuleRouting,
)
from polaris_bridge.core.documents import ANY
from polaris_bridge.core.model import ServiceKey

RULE_ID: Final = "__routing_v2_id__"
RULE_PRIORITY: Final = "__routing_v2_priority__"
"""Keys of ``extendInfo``: the rule that a route was made from, and (inbound routes only) its priority as four digits."""

TYPE_URL: Final = "type.googleapis.com/"
CONFIGS: Final[dict[int, type[Message]]] = {
    RulePolicy: RuleRoutingConfig,
    MetadataPolicy: MetadataRoutingConfig,
    NearbyPolicy: NearbyRoutingConfig,
}
"""What stands in ``routing_config``, by ``routing_policy``."""

EVERYWHERE: Final = ServiceKey(ANY, ANY)


class NotItsPolicy(ValueError):
    """The policy is unknown, or the config is not of the policy's type."""


def type_url(policy: int) -> str:
    """``@type`` of the config that a policy takes."""
    return TYPE_URL + CONFIGS[policy].DESCRIPTOR.full_name


def config_of(rule: RouteRule) -> Message:
    """The config of a rule, decoded. Raises ``NotItsPolicy``, and ``DecodeError`` when the bytes are no such message."""
    expected = CONFIGS.get(rule.routing_policy)
    packed = rule.routing_config
    if expected is None:
        raise NotItsPolicy(f"policy {rule.routing_policy} is not known")
    named = packed.type_url.rpartition("/")[2]
    if named and named != expected.DESCRIPTOR.full_name:
        raise NotItsPolicy(f"{named} is not the config of its policy")
    config = expected()
    config.ParseFromString(packed.value)
    return config


def canonical_config(rule: RouteRule) -> Any:
    """The config as it is kept: with its type, and with sub rules only.

    Before 1.14 a rule had one list of sources and one of destinations: they become the first sub rule, or fill in what
    sub rules leave out. Raises as ``config_of`` does.
    """
    config = config_of(rule)
    if isinstance(config, RuleRoutingConfig):
        _only_sub_rules(config)
    named = rule.routing_config.type_url or type_url(rule.routing_policy)
    return Any(type_url=named, value=config.SerializeToString(deterministic=True))


def _only_sub_rules(config: RuleRoutingConfig) -> None:
    if not config.rules and (config.sources or config.destinations):
        config.rules.add()
    for sub_rule in config.rules:
        if not sub_rule.sources:
            sub_rule.sources.extend(config.sources)
        if not sub_rule.destinations:
            sub_rule.destinations.extend(config.destinations)
    config.ClearField("sources")
    config.ClearField("destinations")


# -------------------------------------------------------------------------------------------------- whom it is about


def callers(config: Message) -> list[ServiceKey]:
    """The services whose calls a config is about, each once."""
    if not isinstance(config, RuleRoutingConfig):
        return []
    found = (ServiceKey(s.namespace, s.service) for rule in config.rules for s in rule.sources)
    return list(dict.fromkeys(found))


def callees(config: Message) -> list[ServiceKey]:
    """The services that calls go to, each once."""
    if isinstance(config, RuleRoutingConfig):
        found = (ServiceKey(d.namespace, d.service) for rule in config.rules for d in rule.destinations)
        return list(dict.fromkeys(found))
    if isinstance(config, MetadataRoutingConfig | NearbyRoutingConfig):
        return [ServiceKey(config.namespace, config.service)]
    return []


def subjects(config: Message) -> tuple[ServiceKey, ...]:
    """The services that have to be told of a rule. "Any caller" names nobody: callers ask for the callee's rules."""
    named = (*callees(config), *(caller for caller in callers(config) if caller != EVERYWHERE))
    return tuple(dict.fromkeys(key for key in named if key.namespace and key.name))


# -------------------------------------------------------------------------------------------------- the older form


def legacy(rules: Iterable[RouteRule], service: ServiceKey) -> tuple[Routing, list[str]]:
    """What a service is told in the older form, and the revisions of the rules that are in it, in their order.

    Switched-off rules, other policies and rules for ``*/*`` leave no trace. The answer has no revision yet.
    """
    routing = Routing()
    routing.service.value = service.name
    routing.namespace.value = service.namespace
    revisions = []
    found = list(_rules_of(rules))
    found.sort(key=lambda pair: order(pair[0], pair[1], service))
    for rule, config in found:
        inbounds = list(_inbounds(rule, config, service))
        outbounds = list(_outbounds(rule, config, service))
        routing.inbounds.extend(inbounds)
        routing.outbounds.extend(outbounds)
        if inbounds or outbounds:
            revisions.append(rule.revision)
    return routing, revisions


def _rules_of(rules: Iterable[RouteRule]) -> Iterator[tuple[RouteRule, RuleRoutingConfig]]:
    for rule in rules:
        if rule.enable and rule.routing_policy == RulePolicy:
            config = config_of(rule)
            assert isinstance(config, RuleRoutingConfig)
            yield rule, config


def order(rule: RouteRule, config: Message, service: ServiceKey) -> tuple[int, bool, str]:
    """The place of a rule among those of a service: by priority; what names it goes before what is for its whole namespace."""
    named = service in callees(config) or service in callers(config)
    return rule.priority, not named, rule.id


def _inbounds(rule: RouteRule, config: RuleRoutingConfig, service: ServiceKey) -> Iterator[Route]:
    for sub_rule in config.rules:
        if any(_is_for(d, service) for d in sub_rule.destinations):
            route = _route(rule, sub_rule)
            if route is not None:
                route.extendInfo[RULE_PRIORITY] = f"{rule.priority:04d}"
                yield route


def _outbounds(rule: RouteRule, config: RuleRoutingConfig, service: ServiceKey) -> Iterator[Route]:
    for sub_rule in config.rules:
        if any(_is_for(s, service) for s in sub_rule.sources):
            route = _route(rule, sub_rule)
            if route is not None:
                yield route


def _is_for(place: SourceService | DestinationGroup, service: ServiceKey) -> bool:
    return place.namespace == service.namespace and place.service in (service.name, ANY)


def _route(rule: RouteRule, sub_rule: SubRuleRouting) -> Route | None:
    """A sub rule as a route; None when nothing can be said of its sources: a route without sources matches every call."""
    sources = [source for source in map(_source, sub_rule.sources) if source is not None]
    if sub_rule.sources and not sources:
        return None
    destinations = [_destination(rule, sub_rule, group) for group in sub_rule.destinations]
    return Route(sources=sources, destinations=destinations, extendInfo={RULE_ID: rule.id})


def _source(source: SourceService) -> Source | None:
    """None for a source with a condition that the older form cannot express: it would match calls that it must not.

    polaris-server leaves such a condition (``CALLER_METADATA``) out, and the source then matches every call.
    """
    found = Source()
    found.service.value = source.service
    found.namespace.value = source.namespace
    for argument in source.arguments:
        key = label_key(argument)
        if key is None:
            return None
        found.metadata[key].CopyFrom(argument.value)
    return found


def label_key(argument: SourceMatch) -> str | None:
    """The label that stands for an argument in the older form; None when there is no such label."""
    prefix, keyed = _LABELS.get(argument.type, (None, False))
    if prefix is None:
        return None
    return prefix + argument.key if keyed else prefix


_LABELS: Final[dict[int, tuple[str, bool]]] = {
    SourceMatch.CUSTOM: ("", True),
    SourceMatch.METHOD: ("$method", False),
    SourceMatch.HEADER: ("$header.", True),
    SourceMatch.QUERY: ("$query.", True),
    SourceMatch.CALLER_IP: ("$caller_ip", False),
    SourceMatch.PATH: ("$path", False),
    SourceMatch.COOKIE: ("$cookie.", True),
}
"""By type: the label, and whether the argument's key belongs to it."""


def _destination(rule: RouteRule, sub_rule: SubRuleRouting, group: DestinationGroup) -> Destination:
    found = Destination()
    found.service.value = group.service
    found.namespace.value = group.namespace
    found.priority.value = group.priority
    found.weight.value = group.weight
    found.transfer.value = group.transfer
    found.isolate.value = group.isolate
    found.name.value = f"{rule.name}.{sub_rule.name}.{group.name}"
    for key, value in group.labels.items():
        found.metadata[key].CopyFrom(value)
    return found
