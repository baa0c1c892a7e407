"""Rules of routing that are written in the console reach clients that know of none: each is told what rules leave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from ..polaris.console import Console
from .conftest import RUN
from .members import Member
from .registry import HOST, Document, Registry
from .telling import Watch, by_port

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

ROUTINGS = "/naming/v2/routings"
FIRST, SECOND = 8001, 8002
BOTH = {FIRST, SECOND}
VERSIONS = {"v1": FIRST, "v2": SECOND}


def calls_of(caller: str, service: str, **weights: int) -> Document:
    """A rule: what a service calls goes to these versions."""
    groups = [
        {
            "namespace": "default",
            "service": service,
            "name": version,
            "weight": weight,
            "labels": {"version": {"type": "EXACT", "value_type": "TEXT", "value": version}},
        }
        for version, weight in weights.items()
    ]
    sub = {"name": "s", "sources": [{"namespace": "default", "service": caller}], "destinations": groups}
    return {
        "name": f"{service}-{caller}"[:64],
        "namespace": "default",
        "enable": True,
        "priority": 1,
        "routing_policy": "RulePolicy",
        "routing_config": {"@type": "type.googleapis.com/v1.RuleRoutingConfig", "rules": [sub]},
    }


@pytest.fixture
def routed(console: Console, registry: Registry, service: str) -> Iterator[str]:
    """A service that is routed: version v1 registered natively, v2 by Nacos."""
    switched = {"polaris-bridge-discovery-routing": "true"}
    console.write("POST", "/naming/v1/services", {"name": service, "namespace": "default", "metadata": switched})
    console.register(service, FIRST, metadata={"version": "v1"})
    registry.register(service, SECOND, metadata={"version": "v2"})
    yield service
    with suppress(AssertionError):
        registry.deregister(service, SECOND)
    console.delete(service, FIRST)


@pytest.mark.parametrize("member", ["java-2", "java-3", "go-2", "python-3"], indirect=True)
def test_a_consumer_is_told_what_rules_leave_it(
    member: Member, registry: Registry, console: Console, routed: str
) -> None:
    consumer = f"consumer.{member.name}.{RUN}"
    member.register(consumer)
    watch = Watch(member, routed)
    member.sees(routed, BOTH)

    rule = calls_of(consumer, routed, v2=100)
    found: list[str] = []
    told(watch, lambda: found.append(console.add_rule(ROUTINGS, rule)), {SECOND})
    assert set(member.instances(routed)) == {SECOND}
    assert registry.ports(routed) == BOTH, "somebody else sees everything"
    assert set(console.instances(routed)) == BOTH

    other = calls_of(consumer, routed, v1=100) | {"id": found[0]}
    told(watch, lambda: console.write("PUT", ROUTINGS, other), {FIRST})
    assert set(member.instances(routed)) == {FIRST}

    told(watch, lambda: member.deregister(consumer), BOTH)
    told(watch, lambda: member.register(consumer), {FIRST})

    weighted = calls_of(consumer, routed, v1=90, v2=10) | {"id": found[0]}
    told(watch, lambda: console.write("PUT", ROUTINGS, weighted), BOTH)
    assert {port: one["weight"] for port, one in member.instances(routed).items()} == {FIRST: 9.0, SECOND: 1.0}

    told(watch, lambda: console.remove_rule(ROUTINGS, found[0]), BOTH, weight=1.0)
    watch.close()
    member.deregister(consumer)


def told(watch: Watch, came: Callable[[], Any], ports: set[int], weight: float = 0.0) -> None:
    """Something is done, and the library is told soon, without asking, of just these instances."""

    def fits(change: Document) -> bool:
        given = by_port(change)
        return set(given) == ports and (not weight or all(one["weight"] == weight for one in given.values()))

    watch.expect(came, f"{watch.service}: {ports}", fits, fits)


@pytest.mark.parametrize("member", ["go-1", "node"], indirect=True)
def test_a_consumer_over_http_is_known_by_the_address_that_it_names(
    member: Member, registry: Registry, console: Console, routed: str
) -> None:
    consumer = f"consumer.{member.name}.{RUN}"
    watch = Watch(member, routed)
    member.sees(routed, BOTH)
    found = registry.read("v1/ns/service/subscribers", serviceName=routed, pageNo=1, pageSize=10)["subscribers"]
    (address,) = {one["ip"] for one in found}
    if address == HOST:
        pytest.skip("this machine has no address but the loopback's, where everybody is registered")
    registry.register(consumer, member.port, ip=address)

    rules: list[str] = []
    told(watch, lambda: rules.append(console.add_rule(ROUTINGS, calls_of(consumer, routed, v2=100))), {SECOND})
    told(watch, lambda: registry.deregister(consumer, member.port, ip=address), BOTH)
    told(watch, lambda: registry.register(consumer, member.port, ip=address), {SECOND})
    told(watch, lambda: console.remove_rule(ROUTINGS, rules[0]), BOTH)
    watch.close()
    registry.deregister(consumer, member.port, ip=address)
