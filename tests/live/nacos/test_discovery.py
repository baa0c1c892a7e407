"""Every library registers, is found, finds others, is told of changes, leaves."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from ..server import free_port
from ..waiting import until
from .conftest import RUN
from .members import NOTICES_WITHIN_S, SDKS, Member
from .registry import HOST, Document, Registry
from .telling import Watch

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

METADATA = {"release": "1", "with.dot": "a b"}
OTHER = 8001
ANCHOR = 8009
"""An instance that stays: some libraries take an empty list for no news."""
TRY_ONCE = ("go-1", "python-1")
"""Clients that do not go on trying what was refused."""
BATCHING = [name for name, client in SDKS.items() if client.batches]
CHOOSING = [name for name, client in SDKS.items() if client.chooses]
LISTING = [name for name, client in SDKS.items() if client.lists_services]
TELLING = [name for name, client in SDKS.items() if client.tells_status]


def test_registers_and_is_seen_by_every_client(
    member: Member, sdks: list[Member], registry: Registry, service: str
) -> None:
    registry.register(service, ANCHOR)
    member.register(service, weight=2.5, metadata=METADATA, cluster="east")
    found = until(lambda: registry.instances(service).get(member.port), NOTICES_WITHIN_S, "it is listed")
    assert found["instanceId"] == f"{HOST}#{member.port}#east#DEFAULT_GROUP@@{service}"
    expected = {"ip": HOST, "weight": 2.5, "healthy": True, "enabled": True, "ephemeral": True, "clusterName": "east"}
    assert {key: found[key] for key in expected} == expected
    assert METADATA.items() <= found["metadata"].items()
    assert found["serviceName"] == f"DEFAULT_GROUP@@{service}"
    for other in sdks:
        other.sees(service, {ANCHOR, member.port})
        seen = other.instances(service)[member.port]
        assert (seen["ip"], seen["weight"], seen["cluster"], seen["healthy"]) == (HOST, 2.5, "east", True), other.name
        assert METADATA.items() <= seen["metadata"].items()
    member.deregister(service, cluster="east")
    until(lambda: registry.ports(service) == {ANCHOR}, NOTICES_WITHIN_S, "it has left")
    for other in sdks:
        other.sees(service, {ANCHOR})


def test_is_told_of_what_others_do(member: Member, registry: Registry, service: str) -> None:
    registry.register(service, ANCHOR)
    watch = Watch(member, service)
    if member.client.told_lists:
        until(watch.all, NOTICES_WITHIN_S, "it is told of what there is")
        assert {one["port"] for one in watch.all()[0]["instances"]} == {ANCHOR}
    watch.expect_port(lambda: registry.register(service, OTHER, metadata={"stage": "live"}), OTHER)
    watch.expect_port(
        lambda: registry.change(service, OTHER, metadata={"stage": "other"}),
        OTHER,
        lambda one: one["metadata"]["stage"] == "other",
    )
    watch.expect_port(lambda: registry.change(service, OTHER, weight=0.5), OTHER, lambda one: one["weight"] == 0.5)
    watch.expect_gone(lambda: registry.change(service, OTHER, enabled="false"), OTHER)
    watch.expect_port(lambda: registry.change(service, OTHER, enabled="true"), OTHER)
    watch.expect_gone(lambda: registry.deregister(service, OTHER), OTHER)
    watch.close()


def test_is_told_of_what_a_client_does(member: Member, sdks: list[Member], registry: Registry, service: str) -> None:
    """One comes and goes, everybody is told."""
    registry.register(service, ANCHOR)
    watches = [Watch(other, service) for other in sdks if other is not member]
    for watch in watches:
        watch.member.sees(service, {ANCHOR})
        if watch.member.client.told_lists:
            until(watch.all, NOTICES_WITHIN_S, f"{watch.member.name} is told of what there is")
    watches[0].expect_port(lambda: member.register(service), member.port)
    for watch in watches[1:]:
        until(lambda watch=watch: told_of(watch, member.port), NOTICES_WITHIN_S, f"{watch.member.name} is told")  # type: ignore[misc]
    watches[0].expect_gone(lambda: member.deregister(service), member.port)
    for watch in watches:
        watch.member.sees(service, {ANCHOR})
        watch.close()


def told_of(watch: Watch, port: int) -> bool:
    return any(one["port"] == port for change in watch.all() for one in change["instances"])


def test_groups_clusters_and_namespaces_are_apart(member: Member, registry: Registry, service: str) -> None:
    place = {"group": "live-group", "namespace": f"live-{RUN}"}
    member.register(service, cluster="east", **place)
    there = {"namespaceId": place["namespace"]}
    until(lambda: registry.ports(service, "live-group", **there), NOTICES_WITHIN_S, "it is listed there")
    assert not registry.ports(service)
    assert not registry.ports(service, **there)
    assert not registry.ports(service, "live-group")
    member.sees(service, {member.port}, **place)
    member.sees(service, {member.port}, clusters=["east", "west"], **place)
    assert not member.instances(service, clusters=["west"], **place)
    assert not member.instances(service, **{**place, "group": "other"})
    member.deregister(service, cluster="east", **place)
    until(lambda: not registry.ports(service, "live-group", **there), NOTICES_WITHIN_S, "it has left")


@pytest.fixture(scope="module")
def alive() -> Iterator[int]:
    """A port that answers probes."""
    with http.server.ThreadingHTTPServer((HOST, 0), http.server.BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_persistent_instances_are_probed_and_stay(
    sdks: list[Member], registry: Registry, service: str, alive: int
) -> None:
    """Each has a service of its own with an instance that lives and one that nobody listens for."""
    dead = free_port()
    own = {member.name: f"{service}.{member.name}" for member in sdks}
    for member in sdks:
        member.register(own[member.name], alive, ephemeral=False)
        member.register(own[member.name], dead, ephemeral=False)

    def judged(name: str) -> dict[int, bool]:
        return {port: one["healthy"] for port, one in registry.instances(own[name]).items()}

    for member in sdks:
        until(lambda name=member.name: set(judged(name)) == {alive, dead}, NOTICES_WITHIN_S, f"{member.name}: listed")  # type: ignore[misc]
        listed = registry.instances(own[member.name])
        assert [one["ephemeral"] for one in listed.values()] == [False, False]
        if member.name in TRY_ONCE:
            assert member.refusal("register", own[member.name], ip=HOST, port=free_port()), "the other kind is refused"
    for member in sdks:
        member.tunnel.reset()
    for member in sdks:
        until(
            lambda name=member.name: judged(name) == {alive: True, dead: False},  # type: ignore[misc]
            60,
            f"{member.name}: one is alive, one is not",
        )
    for member in sdks:
        for port in (alive, dead):
            until(
                lambda member=member, port=port: (
                    not member.refusal(  # type: ignore[misc]
                        "deregister", own[member.name], ip=HOST, port=port, ephemeral=False
                    )
                ),
                NOTICES_WITHIN_S,
                f"{member.name} deregisters",
            )
        until(lambda name=member.name: not judged(name), NOTICES_WITHIN_S, f"{member.name}: gone")  # type: ignore[misc]


@pytest.mark.parametrize("member", CHOOSING, indirect=True)
def test_chooses_by_weight_among_the_healthy(member: Member, registry: Registry, service: str) -> None:
    registry.register(service, ANCHOR)
    registry.register(service, OTHER, weight=0)
    member.sees(service, {ANCHOR, OTHER})
    until(lambda: chosen(member, service) == {ANCHOR}, NOTICES_WITHIN_S, "no weight, no choice")
    registry.change(service, OTHER, weight=1)
    registry.change(service, ANCHOR, weight=0)
    until(lambda: chosen(member, service) == {OTHER}, NOTICES_WITHIN_S, "the other one")


def chosen(member: Member, service: str) -> set[int]:
    return {one["port"] for _ in range(10) for one in member.ask("one", service)["instances"]}


@pytest.mark.parametrize("member", BATCHING, indirect=True)
def test_registers_several_at_once(member: Member, registry: Registry, service: str) -> None:
    def batch(*ports: int) -> list[Document]:
        return [{"ip": HOST, "port": port, "cluster": "DEFAULT"} for port in ports]

    member.ask("batch", service, instances=batch(8001, 8002, 8003))
    assert registry.ports(service) == {8001, 8002, 8003}
    if member.name == "go-2":  # has no call for it: the rest is the new batch
        member.ask("batch", service, instances=batch(8001, 8003))
    else:
        member.ask("drop", service, instances=batch(8002))
    assert registry.ports(service) == {8001, 8003}
    if member.name == "go-2":
        member.deregister(service, 8001)
    else:
        member.ask("drop", service, instances=batch(8001, 8003))
    until(lambda: not registry.ports(service), NOTICES_WITHIN_S, "all left")


def test_registers_again_with_other_values(member: Member, registry: Registry, service: str) -> None:
    member.register(service, metadata={"turn": "1"})
    member.register(service, metadata={"turn": "2"}, weight=3)
    listed = until(
        lambda: (one := registry.instances(service).get(member.port)) and one["weight"] == 3 and one,
        NOTICES_WITHIN_S,
        "the later one counts",
    )
    assert listed["metadata"]["turn"] == "2"
    member.deregister(service)
    until(lambda: not registry.ports(service), NOTICES_WITHIN_S, "one leaving is enough")


@pytest.mark.parametrize("member", LISTING, indirect=True)
def test_lists_services(member: Member, registry: Registry, service: str) -> None:
    group = f"listed-{member.name}"
    for name in ("a", "b"):
        registry.register(f"{service}.{name}", OTHER, group)
    answer = member.ask("services", group=group)
    assert sorted(answer["services"]) == [f"{service}.a", f"{service}.b"]
    assert answer["count"] == 2


@pytest.mark.parametrize("member", TELLING, indirect=True)
def test_tells_that_the_server_is_up(member: Member) -> None:
    assert member.ask("status")["status"] == "UP"


@pytest.mark.parametrize("member", ["java-3"], indirect=True)
def test_watches_services_by_pattern(member: Member, registry: Registry, service: str) -> None:
    def told() -> set[tuple[str, str]]:
        return {(one["service"], one["change"]) for one in member.ask("names")["changes"]}

    registry.register(f"{service}.before", OTHER)
    member.ask("pattern", f"{service}*")
    until(lambda: (f"{service}.before", "ADD_SERVICE") in told(), NOTICES_WITHIN_S, "what there was is told")
    registry.register(f"{service}.after", OTHER)
    until(lambda: (f"{service}.after", "ADD_SERVICE") in told(), NOTICES_WITHIN_S, "what comes is told")
    registry.register(f"other.{service}", OTHER)
    assert {name for name, _ in told()} == {f"{service}.before", f"{service}.after"}


@pytest.mark.parametrize("member", ["java-3"], indirect=True)
def test_locks(member: Member, service: str) -> None:
    def locks(do: str, key: str = "") -> bool:
        return bool(member.ask(do, key=key or service)["done"])

    assert locks("lock")
    assert not locks("lock"), "held, though by the same client"
    assert locks("lock", f"{service}.other")
    assert locks("unlock")
    assert locks("lock")
    assert locks("unlock")
