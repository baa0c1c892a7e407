"""Instances: registered, seen by everybody, kept alive, lost, isolated, watched and gone."""

from __future__ import annotations

import signal

import pytest

from ..waiting import until
from .conftest import RUN, Target
from .console import Console
from .members import HOST, LOST_AFTER_S, NOTICES_WITHIN_S, SDKS, TTL_S, Fleet, Member, instance_id

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

METADATA = {"stage": "live", "with.dot": "a b", "ключ": "值 ✓"}
SPOKEN = {"host": HOST, "weight": 40, "version": "1.2.3", "protocol": "dubbo"}


def test_registers_and_is_seen_by_every_client(member: Member, fleet: Fleet, console: Console, service: str) -> None:
    registered = member.ask("register", service=service, port=8001, ttl=5, zone="z1", metadata=METADATA, **SPOKEN)
    assert registered == {"id": instance_id(service, 8001), "existed": False}

    listed = until(lambda: console.instances(service).get(8001), NOTICES_WITHIN_S, "the console lists it")
    assert {key: listed[key] for key in SPOKEN} == SPOKEN
    assert listed["id"] == registered["id"]
    assert listed["metadata"] == METADATA
    assert listed["healthCheck"] == {"type": "HEARTBEAT", "heartbeat": {"ttl": 5}}
    assert (listed["healthy"], listed["isolate"]) == (True, False)
    assert listed["location"] == {"region": "live", "zone": "z1", "campus": "first"}

    # Readers of the native protocol find these copied into the metadata.
    copied = {"version": "1.2.3", "protocol": "dubbo", "region": "live", "zone": "z1", "campus": "first"}
    for other in fleet:
        if other.name not in SDKS:
            continue
        seen = until(
            lambda other=other: other.instance(service, 8001),  # type: ignore[misc]
            NOTICES_WITHIN_S,
            f"{other.name} sees what {member.name} registered",
        )
        assert {key: seen[key] for key in SPOKEN} == SPOKEN
        assert (seen["id"], seen["zone"]) == (registered["id"], "z1")
        assert (seen["healthy"], seen["isolated"]) == (True, False)
        assert seen["metadata"] == METADATA | copied


def test_registers_again_with_other_values(member: Member, console: Console, service: str) -> None:
    first = member.ask("register", service=service, port=8001, ttl=5, host=HOST, weight=10, metadata={"a": "1"})
    second = member.ask("register", service=service, port=8001, ttl=5, host=HOST, metadata={"b": "2"})
    assert first["id"] == second["id"]
    until(lambda: console.instances(service)[8001]["metadata"] == {"b": "2"}, NOTICES_WITHIN_S, "the second one counts")
    assert console.instances(service)[8001]["weight"] == 100


def test_a_beat_in_time_keeps_it_healthy_and_one_too_late_heals_it(
    member: Member, target: Target, console: Console, service: str
) -> None:
    console.register(service, 8009)
    member.ask("register", service=service, host=HOST, port=8001, ttl=TTL_S)
    doubled = 1 if target.ours else 2  # the real server looks once in three times the ttl
    until(
        lambda: not console.instances(service)[8001]["healthy"], doubled * LOST_AFTER_S + 6, "without beats it is lost"
    )
    until(lambda: member.ports("instances", service) == {8009}, NOTICES_WITHIN_S, "the client would not call it")
    assert member.ports("all", service) == {8001, 8009}
    lost = member.instance(service, 8001)
    assert lost is not None
    assert not lost["healthy"]

    def called_while_beating() -> bool:
        member.ask("heartbeat", service=service, host=HOST, port=8001)
        return member.ports("instances", service) == {8001, 8009}

    member.ask("heartbeat", service=service, host=HOST, port=8001)
    if target.ours:
        assert console.instances(service)[8001]["healthy"]  # at once; the real server takes its time
    until(called_while_beating, 2 * NOTICES_WITHIN_S, "the client would call it again")
    member.ask("deregister", service=service, host=HOST, port=8001)


def test_beats_of_its_own_stop_with_the_process(member: Member, target: Target, console: Console, service: str) -> None:
    member.ask("register", service=service, host=HOST, port=8001, ttl=TTL_S, auto=True)
    until(lambda: 8001 in console.instances(service), NOTICES_WITHIN_S, "it is listed")
    member.talker.signal(signal.SIGSTOP)
    doubled = 1 if target.ours else 2
    try:
        until(
            lambda: not console.instances(service)[8001]["healthy"],
            doubled * LOST_AFTER_S + 6,
            "a process that stands still is lost",
        )
    finally:
        member.talker.signal(signal.SIGCONT)
    until(lambda: console.instances(service)[8001]["healthy"], NOTICES_WITHIN_S, "it beats again")
    member.ask("deregister", service=service, host=HOST, port=8001)


def test_all_register_again_when_the_server_forgot_them(sdks: list[Member], console: Console) -> None:
    """Together, because each library waits half a minute: four beats are free, it registers after the third refusal."""
    service = f"forgotten.{RUN}"
    ports = {member.name: 8001 + number for number, member in enumerate(sdks)}
    for member in sdks:
        own = {"port": ports[member.name], "metadata": {"of": member.name}}
        member.ask("register", service=service, host=HOST, ttl=TTL_S, auto=True, **own)
    until(lambda: set(console.instances(service)) == set(ports.values()), NOTICES_WITHIN_S, "all are listed")
    console.delete(service, *ports.values())
    until(lambda: set(console.instances(service)) == set(ports.values()), 60, "all have registered again")
    for member in sdks:
        port = ports[member.name]
        assert console.instances(service)[port]["metadata"] == {"of": member.name}
        member.ask("deregister", service=service, host=HOST, port=port)


def test_an_unknown_instance_may_not_beat_for_long(member: Member, console: Console, service: str) -> None:
    console.register(service, 8009)

    def refused() -> str:
        return member.refusal("heartbeat", service=service, host=HOST, port=8001)

    told = until(refused, NOTICES_WITHIN_S, "a beat is refused")
    assert "400202" in told or "NotFound" in told


def test_isolated_and_unweighted_are_not_called(member: Member, console: Console, service: str) -> None:
    for port in (8001, 8002, 8003):
        console.register(service, port)
    until(lambda: member.ports("instances", service) == {8001, 8002, 8003}, NOTICES_WITHIN_S, "all are called")
    console.change(service, 8002, isolate=True)
    console.change(service, 8003, healthy=False)
    until(lambda: member.ports("instances", service) == {8001}, NOTICES_WITHIN_S, "two are left out")
    assert member.ports("one", service, count=10) == {8001}
    assert member.ports("all", service) == {8001, 8002, 8003}
    console.change(service, 8002, isolate=False)
    console.change(service, 8003, healthy=True)
    until(lambda: member.ports("instances", service) == {8001, 8002, 8003}, NOTICES_WITHIN_S, "and are back")


def test_watches_others_come_and_go(member: Member, console: Console, service: str) -> None:
    console.register(service, 8001)
    until(lambda: member.ports("all", service) == {8001}, NOTICES_WITHIN_S, "the first is seen")
    assert member.ask("watch", service=service) == {"now": [f"{HOST}:8001"]}

    def latest() -> list[str]:
        changes = member.ask("changes", service=service)["changes"]
        return list(changes[-1]) if changes else []

    console.register(service, 8002)
    until(lambda: latest() == [f"{HOST}:8001", f"{HOST}:8002"], NOTICES_WITHIN_S, "the watcher is told of a second")
    console.delete(service, 8001)
    until(lambda: latest() == [f"{HOST}:8002"], NOTICES_WITHIN_S, "the watcher is told that the first left")


def test_an_unknown_service_is_found_when_it_comes(member: Member, console: Console, service: str) -> None:
    assert member.ports("all", service) == set()
    console.register(service, 8001)
    until(lambda: member.ports("all", service) == {8001}, NOTICES_WITHIN_S, "it is found")


def test_lists_the_services_of_a_namespace(member: Member, console: Console, service: str) -> None:
    namespace = f"ns-{service}"[:64]
    for name in ("one", "two"):
        console.register(name, 8001, namespace=namespace)
    expected = {"services": [f"{namespace}/one", f"{namespace}/two"]}
    until(lambda: len(console.read("/naming/v1/services", namespace=namespace)["services"]) == 2, 5, "both are listed")
    assert member.ask("services", namespace=namespace) == expected


def test_finds_a_service_by_its_alias(member: Member, console: Console, service: str) -> None:
    console.register(service, 8001)
    alias = f"alias-{service}"
    created = console.post(
        "/naming/v1/service/alias",
        {"service": service, "namespace": "default", "alias": alias, "alias_namespace": "default"},
    )
    assert created["code"] == 200000
    until(lambda: member.ports("instances", alias) == {8001}, NOTICES_WITHIN_S, "the alias leads to the service")


def test_an_instance_of_another_namespace_is_not_mixed_in(member: Member, console: Console, service: str) -> None:
    console.register(service, 8001)
    console.register(service, 8002, namespace="other")
    until(lambda: member.ports("all", service) == {8001}, NOTICES_WITHIN_S, "the default namespace")
    until(lambda: member.ports("all", service, namespace="other") == {8002}, NOTICES_WITHIN_S, "the other one")


def test_too_much_metadata_is_refused(member: Member, service: str) -> None:
    pairs = {f"key-{number}": "value" for number in range(65)}
    told = member.refusal("register", service=service, host=HOST, port=8001, ttl=5, metadata=pairs)
    assert "400150" in told
    del pairs["key-64"]
    member.ask("register", service=service, host=HOST, port=8001, ttl=5, metadata=pairs)


def test_leaves(member: Member, fleet: Fleet, console: Console, service: str) -> None:
    member.ask("register", service=service, host=HOST, port=8001, ttl=TTL_S, auto=True)
    console.register(service, 8009)
    for other in fleet:
        if other.name in SDKS:
            until(
                lambda other=other: other.ports("all", service) == {8001, 8009},  # type: ignore[misc]
                NOTICES_WITHIN_S,
                f"{other.name} sees it",
            )
    member.ask("deregister", service=service, host=HOST, port=8001)
    until(lambda: set(console.instances(service)) == {8009}, NOTICES_WITHIN_S, "it is not listed any more")
    for other in fleet:
        if other.name in SDKS:
            until(
                lambda other=other: other.ports("all", service) == {8009},  # type: ignore[misc]
                NOTICES_WITHIN_S,
                f"{other.name} does not see it any more",
            )
    member.ask("deregister", service=service, host=HOST, port=8001)  # once more is no error
