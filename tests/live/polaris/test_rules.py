"""Rules written through the console and obeyed by the libraries."""

from __future__ import annotations

from typing import Any

import pytest

from ..waiting import until
from .conftest import Target
from .console import Console
from .members import NOTICES_WITHIN_S, Member

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ROUTINGS = "/naming/v2/routings"
RATE_LIMITS = "/naming/v1/ratelimits"
BREAKERS = "/naming/v1/circuitbreaker/rules"
DETECTORS = "/naming/v1/faultdetectors"

EVERYBODY = {"service": "*", "namespace": "*"}


def exact(value: str) -> dict[str, str]:
    return {"type": "EXACT", "value": value, "value_type": "TEXT"}


def route_rule(service: str, header: str, version: str) -> dict[str, Any]:
    """Calls with the header ``color`` go to the instances of that version."""
    argument = {"type": "HEADER", "key": "color", "value": exact(header)}
    destination = {
        "service": service,
        "namespace": "default",
        "labels": {"version": exact(version)},
        "weight": 100,
        "priority": 0,
        "name": "group",
    }
    return {
        "name": service[:64],
        "namespace": "default",
        "enable": True,
        "routing_policy": "RulePolicy",
        "priority": 0,
        "routing_config": {
            "@type": "type.googleapis.com/v1.RuleRoutingConfig",
            "rules": [
                {"name": "colors", "sources": [EVERYBODY | {"arguments": [argument]}], "destinations": [destination]}
            ],
        },
    }


def breaker_rule(service: str) -> dict[str, Any]:
    """Three errors in a row stop the calls to a service."""
    matching = {"type": "EXACT", "value": "500"}
    return {
        "name": service[:64],
        "namespace": "default",
        "enable": True,
        "level": "SERVICE",
        "ruleMatcher": {
            "source": EVERYBODY,
            "destination": {"service": service, "namespace": "default", "method": exact("*")},
        },
        "errorConditions": [{"inputType": "RET_CODE", "condition": matching}],
        "triggerCondition": [
            {"triggerType": "CONSECUTIVE_ERROR", "errorCount": 3, "interval": 60, "minimumRequest": 1}
        ],
        "recoverCondition": {"sleepWindow": 60, "consecutiveSuccess": 3},
    }


def test_one_instance_by_a_route_rule(member: Member, target: Target, console: Console, service: str) -> None:
    if not target.ours and member.name == "polaris-go-1.7":
        pytest.skip("the real server has no answer to this library's question for nearby rules")
    console.register(service, 8001, version="blue")
    console.register(service, 8002, version="green")
    blue = {"caller": "somebody", "labels": {"$header.color": "blue"}}
    until(lambda: member.ports("instances", service, **blue) == {8001, 8002}, NOTICES_WITHIN_S, "no rule yet")

    rule = route_rule(service, "blue", "blue")
    rule["id"] = console.add_rule(ROUTINGS, rule)
    until(lambda: member.ports("instances", service, **blue) == {8001}, NOTICES_WITHIN_S, "the rule is obeyed")
    assert member.ports("one", service, count=10, **blue) == {8001}
    assert member.ports("instances", service, caller="somebody", labels={"$header.color": "red"}) == {8001, 8002}
    told = member.ask("rule", service=service)
    assert told["rule"]["inbounds"][0]["destinations"][0]["metadata"]["version"]["value"] == "blue"

    rule["routing_config"]["rules"][0]["destinations"][0]["labels"]["version"] = exact("green")
    console.write("PUT", ROUTINGS, rule)
    until(lambda: member.ports("instances", service, **blue) == {8002}, NOTICES_WITHIN_S, "and its new version")
    assert member.ports("one", service, count=10, **blue) == {8002}

    console.write("PUT", f"{ROUTINGS}/enable", {"id": rule["id"], "enable": False})
    until(lambda: member.ports("instances", service, **blue) == {8001, 8002}, NOTICES_WITHIN_S, "not any more")
    console.remove_rule(ROUTINGS, rule["id"])


def test_a_rate_limit_lets_so_many_pass(member: Member, console: Console, service: str) -> None:
    console.register(service, 8001)
    limited = {"service": service, "method": "/limited"}
    rule = console.add_rule(
        RATE_LIMITS,
        {
            "name": service[:64],
            "service": service,
            "namespace": "default",
            "method": exact("/limited"),
            "resource": "QPS",
            "type": "LOCAL",
            "amounts": [{"maxAmount": 5, "validDuration": "600s"}],
            "action": "REJECT",
            "disable": False,
        },
    )
    # The quota is of one window of the library; a window starts anew when the rule arrives.
    until(lambda: member.ask("quota", count=10, **limited)["passed"] < 10, NOTICES_WITHIN_S, "the limit is known")
    assert member.ask("quota", count=10, **limited)["passed"] == 0
    assert member.ask("quota", count=10, service=service, method="/free")["passed"] == 10
    console.remove_rule(RATE_LIMITS, rule)
    until(lambda: member.ask("quota", count=10, **limited)["passed"] == 10, NOTICES_WITHIN_S, "the limit is gone")


def test_a_circuit_breaker_opens(member: Member, console: Console, service: str) -> None:
    console.register(service, 8001)
    rule = console.add_rule(BREAKERS, breaker_rule(service))
    resource = {"service": service, "caller": "somebody"}
    until(lambda: console.read(BREAKERS, name=service[:64])["data"], NOTICES_WITHIN_S, "the rule is listed")
    assert member.ask("breaker", **resource)["pass"]

    def opened() -> bool:
        member.ask("report", code="500" if member.name != "polaris-java" else 500, count=3, **resource)
        return not member.ask("breaker", **resource)["pass"]

    until(opened, NOTICES_WITHIN_S, "three errors in a row open it")
    assert member.ask("breaker", **resource)["rule"] == service[:64]
    console.remove_rule(BREAKERS, rule)


def test_every_kind_of_rule_is_told(member: Member, target: Target, console: Console, service: str) -> None:
    if not member.client.tells_any_rule:
        pytest.skip("this library tells route rules only")
    console.register(service, 8001)
    rules = {
        "ROUTING": (ROUTINGS, route_rule(service, "a", "b")),
        "CIRCUIT_BREAKING": (BREAKERS, breaker_rule(service)),
        "FAULT_DETECTING": (
            DETECTORS,
            {
                "name": service[:64],
                "namespace": "default",
                "targetService": {"service": service, "namespace": "default", "method": exact("*")},
                "interval": 30,
                "timeout": 60,
                "port": 8080,
                "protocol": "HTTP",
                "httpConfig": {"method": "GET", "url": "/health"},
            },
        ),
    }
    ids = {kind: console.add_rule(path, rule) for kind, (path, rule) in rules.items()}
    for kind in rules:
        until(
            lambda kind=kind: ids[kind] in str(member.ask("rule", service=service, type=kind)["rule"]),  # type: ignore[misc]
            NOTICES_WITHIN_S,
            f"the library holds the rule: {kind}",
        )
    for kind in ("LANE_RULE", "NEARBY_ROUTE_RULE", "LOSSLESS", "BLOCK_ALLOW_RULE"):
        assert "revision" in member.ask("rule", service=service, type=kind)
    for kind, (path, rule) in rules.items():
        console.write("POST", f"{path}/delete", {"id": ids[kind], "name": rule["name"], "namespace": "default"})


def test_a_contract_is_reported_and_told(member: Member, console: Console, service: str) -> None:
    if not member.client.reports_contracts:
        pytest.skip("this library reports no contracts")
    contract = {"service": service, "name": "api", "protocol": "http", "version": "1.0.0"}
    member.ask("describe", content="openapi: 3", path="/pets", **contract)
    listed = until(
        lambda: console.read("/naming/v1/service/contracts", namespace="default", service=service)["data"],
        NOTICES_WITHIN_S,
        "the console lists it",
    )
    assert [one["path"] for one in listed[0]["interfaces"]] == ["/pets"]
    told = until(
        lambda: member.ask("contract", **contract)["rule"].get("interfaces"), NOTICES_WITHIN_S, "a client is told"
    )
    assert told[0]["path"] == "/pets"
