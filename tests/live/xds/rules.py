"""Rules as the console writes them, as far as the tests need them."""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

ROUTINGS = "/naming/v2/routings"
RATE_LIMITS = "/naming/v1/ratelimits"
BREAKERS = "/naming/v1/circuitbreaker/rules"
DETECTORS = "/naming/v1/faultdetectors"
LANES = "/naming/v1/lane/groups"
FAULTS = "/naming/v1/faultinjection/rules"
NEARBY = "internal-enable-nearby"
"""Metadata of a service by which calls stay nearby."""
EVERYBODY = {"service": "*", "namespace": "*"}


def match(value: str, type: str = "EXACT") -> Document:
    return {"type": type, "value": value, "value_type": "TEXT"}


def argument(type: str, key: str, value: str, how: str = "EXACT") -> Document:
    return {"type": type, "key": key, "value": match(value, how)}


def group(service: str, weight: int = 100, priority: int = 0, **labels: str) -> Document:
    """Instances with these labels."""
    conditions = {key: match(value) for key, value in labels.items()}
    own = {"service": service, "namespace": "default", "name": "-".join(labels.values()) or "all"}
    return own | {"labels": conditions, "weight": weight, "priority": priority}


def route(arguments: list[Document], *destinations: Document) -> Document:
    """Calls by anybody with these arguments go to these groups."""
    return {"name": "route", "sources": [EVERYBODY | {"arguments": arguments}], "destinations": list(destinations)}


def routing(name: str, *routes: Document, priority: int = 0) -> Document:
    config = {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": list(routes)}
    own = {"name": name[:64], "namespace": "default", "enable": True, "priority": priority}
    return own | {"routing_policy": "RulePolicy", "routing_config": config}


def nearby(service: str) -> Document:
    """Calls stay in the zone while there is somebody."""
    config = {"@type": "type.googleapis.com/v1.NearbyRoutingConfig", "service": service, "namespace": "default"}
    own = {"name": service[:64], "namespace": "default", "enable": True, "routing_policy": "NearbyPolicy"}
    return own | {"routing_config": config | {"match_level": "ZONE", "max_match_level": "ALL"}}


def limit(
    service: str, amount: int, path: str = "", type: str = "LOCAL", *arguments: Document, **more: Any
) -> Document:
    """So many calls of a path in ten minutes."""
    own = {"name": f"{service}{path}"[:64], "service": service, "namespace": "default", "resource": "QPS"}
    method = {"method": match(path)} if path else {}
    amounts = [{"maxAmount": amount, "validDuration": "600s"}]
    return own | method | {"type": type, "amounts": amounts, "arguments": list(arguments), "action": "REJECT"} | more


def breaker(service: str, errors: int, level: str = "INSTANCE", **more: Any) -> Document:
    """So many errors in a row put an instance aside for a minute."""
    failing = {"input_type": "RET_CODE", "condition": match("500,501,502,503,504", "IN")}
    trigger = {"trigger_type": "CONSECUTIVE_ERROR", "error_count": errors}
    block = {"name": "block", "error_conditions": [failing], "trigger_conditions": [trigger]}
    destination = {"service": service, "namespace": "default", "method": match("*")}
    own = {"name": f"{service}-{level}"[:64], "namespace": "default", "enable": True, "level": level}
    return own | {
        "rule_matcher": {"source": EVERYBODY, "destination": destination},
        "block_configs": [block],
        "recoverCondition": {"sleep_window": 60, "consecutiveSuccess": 1},
        "max_ejection_percent": 100,
        **more,
    }


def by_share(percent: int, calls: int) -> Document:
    """The trigger of a breaker that looks at the share of errors."""
    return {"trigger_type": "ERROR_RATE", "error_percent": percent, "interval": 10, "minimum_request": calls}


def detector(service: str, protocol: str = "HTTP", **more: Any) -> Document:
    """A look at each instance every second."""
    config = {
        "HTTP": {"http_config": {"method": "GET", "url": "/health", "headers": [{"key": "x-probe", "value": "1"}]}},
        "TCP": {"tcp_config": {"send": "0x70", "receive": ["0x71"]}},
        "UDP": {"udp_config": {"send": "0x70", "receive": ["0x71"]}},
    }[protocol]
    own = {"name": f"{service}-{protocol}"[:64], "namespace": "default", "protocol": protocol}
    target = {"service": service, "namespace": "default", "method": match("*")}
    return own | config | {"target_service": target, "interval": 1, "timeout": 1000, "port": 0} | more


def lanes(name: str, entry: str, service: str, *lanes: Document) -> Document:
    """A group of lanes of calls by one service to another."""
    selector = {"@type": "type.googleapis.com/v1.ServiceSelector", "namespace": "default", "service": entry}
    begins = {"type": "polarismesh.cn/service", "selector": selector}
    destination = {"namespace": "default", "service": service, "name": "d"}
    return {"name": name[:64], "entries": [begins], "destinations": [destination], "rules": list(lanes)}


def lane(name: str, *arguments: Document) -> Document:
    """Calls with these arguments go to the instances with the metadata ``lane: <name>``, or to the base line."""
    own = {"name": name, "enable": True, "default_label_value": name, "match_mode": "PERMISSIVE"}
    return own | {"traffic_match_rule": {"arguments": list(arguments), "match_mode": "AND"}}
