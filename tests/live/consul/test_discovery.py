"""Instances come, change and go; every library and plain HTTP see the same, and watchers are told at once."""

from __future__ import annotations

from functools import partial

import pytest

from ..waiting import until
from .conftest import RUN
from .members import CLIENTS, NOTICES_WITHIN_S, Member
from .registry import HOST, Registry
from .telling import Watch, by_port, of_ports

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]
OTHER, THIRD = 8001, 8002


def test_a_registration_is_seen_by_all(member: Member, members: list[Member], registry: Registry, service: str) -> None:
    more = {"meta": {"stage": "live", "zone": "a"}} if member.client.metadata else {}
    instance_id = member.register(service, tags=["v1", "primary"], **more)
    entry = registry.entries(service)[member.port]
    assert (entry["Service"]["ID"], entry["Service"]["Address"]) == (instance_id, HOST)
    assert entry["Service"]["Tags"] == ["v1", "primary"]
    assert (entry["Service"]["Meta"] or {}) == more.get("meta", {})
    assert [check["CheckID"] for check in entry["Checks"]] == ["serfHealth"]
    for other in members:
        seen = other.instances(service)[member.port]
        assert (seen["id"], seen["address"], seen["tags"]) == (instance_id, HOST, ["v1", "primary"]), other.name
        assert seen["status"] == "passing"
        assert seen["meta"] == more.get("meta", {}), other.name
        assert sorted(other.ask("services")["services"][service]) == ["primary", "v1"]
        assert other.ask("services")["services"]["consul"] == []
        assert set(other.instances(service, tag="v1")) == {member.port}
        assert other.instances(service, tag="v2") == {}
    member.ask("deregister", id=instance_id)
    assert registry.entries(service) == {}
    for other in members:
        assert other.instances(service) == {}
        assert service not in other.ask("services")["services"]


def test_the_later_registration_counts(member: Member, registry: Registry, service: str) -> None:
    member.register(service, tags=["old"])
    member.register(service, tags=["new"], ttl="60s")
    [entry] = registry.entries(service).values()
    assert entry["Service"]["Tags"] == ["new"]
    assert {check["CheckID"]: check["Status"] for check in entry["Checks"]} == {
        "serfHealth": "passing",
        f"service:{service}-{member.port}": "critical",
    }


def test_a_beating_instance(member: Member, members: list[Member], registry: Registry, service: str) -> None:
    """A check of the kind TTL: critical, what its owner says, and critical again when the owner is silent."""
    instance_id = member.register(service, ttl="2s")
    check = f"service:{instance_id}"
    assert registry.statuses(service) == {member.port: "critical"}
    for status in ("warning", "passing"):
        member.ask("check", id=check, status=status, note=f"it is {status}")
        assert registry.statuses(service) == {member.port: status}
        assert "it is" in registry.entries(service)[member.port]["Checks"][-1]["Output"]
        for other in members:
            assert other.instances(service)[member.port]["status"] == status
            assert bool(other.instances(service, passing=True)) == (status == "passing"), other.name
    until(
        lambda: registry.statuses(service) == {member.port: "critical"}, NOTICES_WITHIN_S, "it is critical when silent"
    )
    assert "TTL expired" in registry.entries(service)[member.port]["Checks"][-1]["Output"]
    assert member.instances(service, passing=True) == {}
    assert member.refusal("check", id="service:nobody", status="passing")


def test_watchers_are_told(member: Member, registry: Registry, service: str) -> None:
    registry.register(service, OTHER)
    watch = Watch(member, service=service)
    assert of_ports({OTHER})(watch.all()[-1])
    watch.expect(partial(registry.register, service, THIRD), "another comes", of_ports({OTHER, THIRD}))
    watch.expect(
        partial(registry.register, service, THIRD, Tags=["new"], Check={"TTL": "60s"}),
        "it changes",
        lambda change: by_port(change)[THIRD]["tags"] == ["new"] and by_port(change)[THIRD]["status"] == "critical",
    )
    watch.expect(
        partial(member.ask, "check", id=f"service:{service}-{THIRD}", status="passing"),
        "it passes",
        lambda change: by_port(change)[THIRD]["status"] == "passing",
    )
    watch.expect(
        partial(member.ask, "maintain", id=f"{service}-{THIRD}", enable=True, reason="live"),
        "it is being maintained",
        lambda change: by_port(change)[THIRD]["status"] == "maintenance",
    )
    notes = [check["Notes"] for check in registry.entries(service)[THIRD]["Checks"]]
    assert "live" in notes
    watch.expect(
        partial(member.ask, "maintain", id=f"{service}-{THIRD}", enable=False),
        "it is back",
        lambda change: by_port(change)[THIRD]["status"] == "passing",
    )
    watch.expect(partial(registry.deregister, service, THIRD), "it goes", of_ports({OTHER}))
    watch.expect(partial(registry.deregister, service, OTHER), "nobody is left", of_ports(set()))
    watch.close()


def test_nobody_is_told_of_nothing(member: Member, registry: Registry, service: str) -> None:
    """The same registration again, outputs alone, other services: no blocking read returns with another index."""
    registry.register(service, OTHER, Check={"TTL": "60s", "Status": "passing"})
    watch = Watch(member, service=service)
    before = len(watch.all())
    for turn in range(5):
        registry.register(service, OTHER, Check={"TTL": "60s", "Status": "passing"})
        registry.register(f"{service}-neighbour", OTHER, Tags=[str(turn)])
        member.ask("check", id=f"service:{service}-{OTHER}", status="passing", note=f"turn {turn}")
    watch.expect(partial(registry.register, service, THIRD), "a real change", of_ports({OTHER, THIRD}))
    assert len(watch.all()) == before + 1
    watch.close()


def test_probes(member: Member, registry: Registry, service: str) -> None:
    """Checks that the server performs: nobody listens on the one port, the server itself on the other."""
    alive = int(str(registry._http.base_url.port))
    member.register(service, alive, tcp=f"{HOST}:{alive}", interval="1s")
    member.register(service, member.port, http=f"http://{HOST}:{member.port}/health", interval="1s", status="passing")
    until(
        lambda: registry.statuses(service) == {alive: "passing", member.port: "critical"},
        NOTICES_WITHIN_S,
        "probes tell who lives",
    )
    assert member.instances(service, passing=True).keys() == {alive}


@pytest.mark.parametrize("member", [client.name for client in CLIENTS.values() if client.filters], indirect=True)
def test_filters(member: Member, registry: Registry, service: str) -> None:
    registry.register(service, OTHER, Tags=["a"], Meta={"stage": "live"})
    registry.register(service, THIRD, Tags=["b"], Check={"TTL": "60s"})
    for expression, ports in {
        f"Service.Port == {OTHER}": {OTHER},
        'Service.Tags contains "b"': {THIRD},
        "Service.Meta.stage == live": {OTHER},
        'Checks.Status == "critical"': {THIRD},
        f'Service.Port != {OTHER} or "a" in Service.Tags': {OTHER, THIRD},
        "Service.Meta is not empty": {OTHER},
    }.items():
        assert set(member.instances(service, filter=expression)) == ports, expression
    assert "Failed to create boolean expression evaluator" in member.refusal(
        "instances", service=service, filter="Nonsense == 1"
    )


def test_the_agent_tells_who_it_is(member: Member, registry: Registry) -> None:
    told = member.ask("self")
    assert told["node"] in {one["Node"] for one in registry.read("catalog/nodes")}
    assert told["leader"].endswith(":8300")


def test_events(member: Member, members: list[Member]) -> None:
    name = f"event-{member.name}-{RUN}"
    fired = member.ask("fire", name=name, value="payload é")["id"]
    for other in members:
        assert other.ask("events", name=name)["events"] == [{"id": fired, "name": name, "value": "payload é"}]


def test_prepared_queries(member: Member, registry: Registry, service: str) -> None:
    registry.register(service, OTHER)
    registry.register(service, THIRD, Check={"TTL": "60s", "Status": "warning"})
    name = f"query-{member.name}-{RUN}"
    assert member.ask("query", name=name, service=service, passing=True, ttl="10s")["id"]
    found = member.ask("execute", name=name)["instances"]
    assert {one["port"] for one in found} == {OTHER}
