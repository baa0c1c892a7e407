"""Rules of routing applied to what clients read: written on the HTTP port, followed by clients that know nothing of rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from ..building import BuildFailedError, MissingToolsError
from ..conftest import lacking
from ..server import Server
from ..waiting import until
from .members import CLIENTS, NOTICES_WITHIN_S, Fleet, Member
from .registry import Registry

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

CALLERS = ("netflix1", "netflix2", "spring", "py")
OTHERS = {"netflix1": "netflix2", "netflix2": "netflix1", "spring": "netflix2", "py": "netflix2"}
SHOP = "routed-shop"
OLD, NEW = f"{SHOP}-1", f"{SHOP}-2"
"""Its instances, of version 1 and 2."""
BOTH = {OLD, NEW}


@dataclass(frozen=True)
class World:
    """A server that routes what Eureka's clients read, and clients at addresses of their own."""

    server: Server
    registry: Registry
    fleet: Fleet

    def write(self, version: str, source: str = "*", **metadata: str) -> str:
        """Callers of a service (with metadata) go to a version of the shop. The rule's id."""
        arguments = [
            {"type": "CALLER_METADATA", "key": key, "value": {"type": "EXACT", "value": value}}
            for key, value in metadata.items()
        ]
        caller = {"namespace": "*" if source == "*" else "default", "service": source, "arguments": arguments}
        labels = {"version": {"type": "EXACT", "value": version}}
        group = {"namespace": "default", "service": SHOP, "labels": labels, "weight": 100, "name": "g"}
        config = {
            "@type": "type.googleapis.com/v1.RuleRoutingConfig",
            "rules": [{"name": "s", "sources": [caller], "destinations": [group]}],
        }
        rule = {"name": "r", "namespace": "default", "enable": True, "routing_policy": "RulePolicy"}
        [answer] = self._post("/naming/v2/routings", [rule | {"routing_config": config}])["responses"]
        id: str = answer["data"]["id"]
        return id

    def erase(self, id: str) -> None:
        self._post("/naming/v2/routings/delete", [{"id": id}])

    def _post(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"http://127.0.0.1:{self.server.http_port}{path}", json=body, timeout=10)
        assert answer.json()["code"] == 200000, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("routed")
    server = Server(folder, "service-eureka", ("apiservers.service-eureka.option.routing=true",))
    registry = fleet = None
    try:
        server.start()
        registry = Registry(f"http://127.0.0.1:{server.port}/eureka")
        fleet = Fleet("127.0.0.1", server.port, folder, apart=True)
        for version, (id, ip) in enumerate(((OLD, "127.0.1.1"), (NEW, "127.0.1.2")), 1):
            registry.register(SHOP, id, port=8000 + version, metadata={"version": str(version)}, ip=ip)
        yield World(server, registry, fleet)
    finally:
        if fleet is not None:
            fleet.close()
        if registry is not None:
            registry.close()
        server.close()


def running(world: World, name: str) -> Member:
    """A client that sees the whole shop."""
    try:
        CLIENTS[name].program.ready()
    except MissingToolsError as missing:
        lacking(str(missing))
    except BuildFailedError as failed:
        pytest.fail(str(failed), pytrace=False)
    member = world.fleet[name]
    sees(member, BOTH)
    return member


def sees(member: Member, wanted: set[str]) -> None:
    """Within a read's time."""
    until(lambda: member.up(SHOP) == wanted, NOTICES_WITHIN_S, f"{member.client.name} sees {sorted(wanted)}")


@pytest.mark.parametrize("name", CALLERS)
def test_a_rule_for_all_is_followed_by_deltas_alone(world: World, name: str) -> None:
    member = running(world, name)
    position = len(member.relay.exchanges)
    rule = world.write("2")
    try:
        sees(member, {NEW})
    finally:
        world.erase(rule)
    sees(member, BOTH)
    if member.client.verifies_deltas:
        reads = {one.target.rpartition("/")[2] for one in member.relay.exchanges[position:] if one.method == "GET"}
        assert reads == {"delta"}


@pytest.mark.parametrize("name", CALLERS)
def test_a_rule_for_one_service_is_for_its_instances(world: World, name: str) -> None:
    member, other = running(world, name), running(world, OTHERS[name])
    rule = world.write("2", member.app)
    try:
        sees(member, {NEW})
        assert other.up(SHOP) == BOTH
    finally:
        world.erase(rule)
    sees(member, BOTH)
    assert member.relay.violations == []


@pytest.mark.parametrize("name", CALLERS)
def test_a_rule_for_metadata_takes_hold_when_the_metadata_does(world: World, name: str) -> None:
    member = running(world, name)
    rule = world.write("1", member.app, tier="gold")
    try:
        sees(member, BOTH)
        world.registry.put_metadata(member.app, member.instance_id, "tier", "gold")
        sees(member, {OLD})
        world.registry.put_metadata(member.app, member.instance_id, "tier", "tin")
        sees(member, BOTH)
    finally:
        world.erase(rule)


def test_what_a_client_sees_is_explained(world: World) -> None:
    member = running(world, "py")
    rule = world.write("2", member.app)
    try:
        asked = {"service": SHOP, "callerProtocol": "eureka", "callerAddress": member.ip}
        url = f"http://127.0.0.1:{world.server.http_port}/naming/v1/routing/explain"
        found = httpx.get(url, params=asked, timeout=10).json()["lookUp"]
        assert found["caller"] == f"default/{member.app}, by what {member.ip} registered"
        assert [one["host"] for one in found["instances"]] == ["127.0.1.2"]
        assert found["rule"] == rule
    finally:
        world.erase(rule)
    sees(member, BOTH)
