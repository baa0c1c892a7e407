"""What a call is named when it is asked whether somebody may make it, where that depends on what is asked for."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.polaris.wire import v1

_DISCOVERS: Final = {
    v1.DiscoverRequest.INSTANCE: "DiscoverInstances",
    v1.DiscoverRequest.SERVICES: "DiscoverServices",
    v1.DiscoverRequest.ROUTING: "DiscoverRouterRule",
    v1.DiscoverRequest.CUSTOM_ROUTE_RULE: "DiscoverRouterRule",
    v1.DiscoverRequest.NEARBY_ROUTE_RULE: "DiscoverRouterRule",
    v1.DiscoverRequest.RATE_LIMIT: "DiscoverRateLimitRule",
    v1.DiscoverRequest.CIRCUIT_BREAKER: "DiscoverCircuitBreakerRule",
    v1.DiscoverRequest.FAULT_DETECTOR: "DiscoverFaultDetectRule",
    v1.DiscoverRequest.LANE: "DiscoverLaneRule",
}


def discover_operation(request: v1.DiscoverRequest) -> str:
    """What the original calls the reading of a type; of those that it does not have "Discover"."""
    return _DISCOVERS.get(request.type, "Discover")


_CONFIG: Final = {
    v1.ConfigDiscoverRequest.CONFIG_FILE: "DiscoverConfigFile",
    v1.ConfigDiscoverRequest.CONFIG_FILE_Names: "DiscoverConfigFileNames",
    v1.ConfigDiscoverRequest.CONFIG_FILE_GROUPS: "DiscoverConfigGroups",
}


def config_operation(request: v1.ConfigDiscoverRequest) -> str:
    """The same of a question about configuration; what there is no such type of is about nothing."""
    return _CONFIG.get(request.type, "DiscoverConfigFile")
