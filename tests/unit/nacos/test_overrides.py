"""What operators lay over instances: as measured on Nacos 2.5.1, and what other protocols see of it."""

from __future__ import annotations

import pytest
from naming_bottle import CALLER, IP, PORT, SERVICE, World, instance, refusal

from polaris_bridge.adapters.nacos.wire.messages import Beat
from polaris_bridge.core.model import UP, Switch
from polaris_bridge.core.views import shown


@pytest.fixture
def world() -> World:
    world = World()
    world.register(weight=2.0, metadata={"a": "1"})
    return world


def others_see(world: World) -> list[tuple[str, int, dict[str, str]]]:
    """Word, weight and metadata for a reader of another protocol."""
    return [
        (s.word, s.registration.weight, s.registration.metadata)
        for address in world.registry.snapshot(world.key()).addresses.values()
        for s in shown(address, "other")
    ]


def test_values_are_laid_over_and_metadata_merged(world: World) -> None:
    world.put(weight=0.5, enabled=True, metadata={"b": "2"})
    host = world.one()
    assert (host.weight, host.enabled, host.metadata) == (0.5, True, {"a": "1", "b": "2"})
    assert others_see(world) == [(UP, 50, {"a": "1", "b": "2"})]


def test_a_put_without_metadata_clears_what_was_laid_over(world: World) -> None:
    world.put(weight=3.0, enabled=True, metadata={"a": "9", "b": "2"})
    assert world.one().metadata == {"a": "9", "b": "2"}
    world.put(weight=3.0, enabled=True)
    assert world.one().metadata == {"a": "1"}


def test_a_patch_leaves_what_it_does_not_name(world: World) -> None:
    world.put(weight=3.0, enabled=True, metadata={"b": "2"}, patch=True)
    world.put(enabled=False, patch=True)
    host = world.one()
    assert (host.weight, host.enabled, host.metadata) == (3.0, False, {"a": "1", "b": "2"})
    world.put(metadata={"c": "3"}, patch=True)
    assert world.one().metadata == {"a": "1", "c": "3"}
    assert not world.one().enabled


def test_they_survive_registering_again_and_beats(world: World) -> None:
    world.put(weight=3.0, enabled=False, metadata={"b": "2"})
    world.register(weight=7.0, metadata={"a": "5"})
    host = world.one()
    assert (host.weight, host.enabled, host.metadata) == (3.0, False, {"a": "5", "b": "2"})
    world.beat(Beat(IP, PORT, None, 9.0, {"x": "y"}))
    assert world.one() == host


def test_they_survive_deregistration_for_a_minute(world: World) -> None:
    world.put(weight=3.0, enabled=False, metadata={"b": "2"})
    world.deregister()
    world.pass_time(55)
    world.register()
    host = world.one()
    assert (host.weight, host.enabled, host.metadata) == (3.0, False, {"b": "2"})
    world.deregister()
    world.pass_time(63)
    world.register()
    host = world.one()
    assert (host.weight, host.enabled, host.metadata) == (1.0, True, {})
    assert world.registry.documents.all("nacos-override") == []


def test_they_survive_expiry_reconnects_and_our_restart(world: World) -> None:
    held = world.connect("1")
    world.register("DEFAULT_GROUP@@grpc", held)
    world.put(service="DEFAULT_GROUP@@grpc", weight=0.25, enabled=False)
    world.break_off(held)
    world.restart()
    world.pass_time(40)
    world.register("DEFAULT_GROUP@@grpc", world.connect("2"))
    host = world.one("DEFAULT_GROUP@@grpc")
    assert (host.weight, host.enabled) == (0.25, False)
    world.pass_time(100)
    assert world.one("DEFAULT_GROUP@@grpc").weight == 0.25, "as long as the instance is there"


def test_disabling_withdraws_for_everybody(world: World) -> None:
    world.put(weight=2.0, enabled=False)
    assert world.list() == []
    assert others_see(world) == [("out_of_service", 200, {"a": "1"})]
    world.foreign()
    assert [word for word, _, _ in others_see(world)] == ["out_of_service"]
    world.put(weight=2.0, enabled=True)
    assert [word for word, _, _ in others_see(world)] == [UP]
    assert len(world.list()) == 1


def test_enabling_overrules_what_the_client_said(world: World) -> None:
    world.register(enabled=False)
    assert world.list() == []
    world.put(weight=1.0, enabled=True)
    assert len(world.list()) == 1
    world.register(enabled=False)
    assert len(world.list()) == 1
    assert others_see(world)[0][0] == UP


def test_another_protocols_instance_can_be_disabled(world: World) -> None:
    world.deregister()
    r = world.foreign()
    world.put(enabled=False, patch=True)
    assert world.list() == []
    assert not world.one().enabled
    world.put(enabled=True, patch=True)
    assert len(world.list()) == 1
    world.put(enabled=False, patch=True)
    world.leave(r)
    world.pass_time(20)
    world.register()
    assert world.list() == [], "a minute long it counts for whoever comes to this place"


def test_another_protocols_switch_is_not_ours_to_release(world: World) -> None:
    r = world.foreign()
    world.registry.switch(r.service_key, r.address, Switch("other", "", "out_of_service"), CALLER)
    world.queue.settle()
    assert world.list() == []
    world.put(weight=1.0, enabled=True)
    assert world.list() == []
    world.registry.switch(r.service_key, r.address, Switch("other", "", "out_of_service"), CALLER, on=False)
    world.queue.settle()
    assert len(world.list()) == 1


def test_one_cluster_of_two_at_an_address(world: World) -> None:
    first, second = world.connect("1"), world.connect("2")
    service = "DEFAULT_GROUP@@two"
    world.register(service, first, cluster="c1")
    world.register(service, second, cluster="c2")
    world.put(service=service, cluster="c1", enabled=False, patch=True)
    assert [h.cluster for h in world.list(service)] == ["c2"]
    world.put(service=service, cluster="c2", enabled=False, patch=True)
    assert world.list(service) == []
    world.put(service=service, cluster="c1", enabled=True, patch=True)
    assert [h.cluster for h in world.list(service)] == ["c1"]
    world.break_off(second)
    third = world.connect("3")
    world.register(service, third, cluster="c2")
    assert [h.cluster for h in world.list(service)] == ["c1"]


def test_an_override_is_of_one_cluster(world: World) -> None:
    world.put(weight=3.0, enabled=True, cluster="c2")
    assert world.one().weight == 2.0
    world.register(cluster="c2")
    assert world.one().weight == 3.0


def test_unknown_services_and_instances(world: World) -> None:
    error = refusal(lambda: world.put(service="DEFAULT_GROUP@@nope", weight=1.0, enabled=True))
    assert error.status == 400
    assert error.text.startswith("service not found, namespace: public, service: Service{namespace='public'")
    error = refusal(lambda: world.put(ip="10.7.7.7", enabled=True, patch=True))
    assert (error.status, error.text) == (404, "no matched ip found!")
    world.deregister()
    error = refusal(lambda: world.put(cluster="c1", enabled=True, patch=True))
    assert (error.status, error.text) == (404, f"no ips found for cluster c1 in service {SERVICE}")
    assert refusal(lambda: world.put(cluster="a_b", weight=1.0, enabled=True)).status == 400


def test_metadata_of_many(world: World) -> None:
    world.register(port=81, cluster="c1")
    world.foreign(port=82)
    batch = world.nacos.overrides.metadata_batch
    commit, names = batch(world.scope(), None, {"x": "1", "y": "2"}, False, CALLER)
    world.done(commit)
    assert sorted(names) == [
        f"{IP}:8080:unknown:DEFAULT:ephemeral",
        f"{IP}:81:unknown:c1:ephemeral",
        f"{IP}:82:unknown:DEFAULT:ephemeral",
    ]
    assert [h.metadata for h in world.all()] == [{"x": "1", "y": "2"}, {}, {"a": "1", "x": "1", "y": "2"}]
    commit, names = batch(world.scope(), [instance()], {"x": "", "a": ""}, True, CALLER)
    world.done(commit)
    assert names == [f"{IP}:8080:unknown:DEFAULT:ephemeral"]
    assert world.all()[2].metadata == {"a": "1", "y": "2"}, "what the client sent stays"
    assert batch(world.scope(), [instance(port=9)], {"x": "1"}, False, CALLER)[1] == []


def test_an_override_moves_the_interval_of_beats(world: World) -> None:
    world.put(metadata={"preserved.heart.beat.interval": "2000"}, patch=True)
    assert world.beat().interval_ms == 2000
    assert world.one().beat_interval_ms == 2000


def test_registering_again_as_it_was_is_no_change(world: World) -> None:
    world.put(weight=3.0, enabled=True, metadata={"b": "2"})
    (address,) = world.registry.snapshot(world.key()).addresses.values()
    seq = address.registrations[0].seq
    world.register(weight=2.0, metadata={"a": "1"})
    (address,) = world.registry.snapshot(world.key()).addresses.values()
    assert address.registrations[0].seq == seq


def test_the_minute_ends_while_somebody_registers(world: World) -> None:
    world.put(weight=3.0, enabled=False)
    world.deregister()
    world.pass_time(59)
    for _ in range(4):
        world.clock.now_s += 1
        world.registry.tick()
        world.queue.settle()
    commit = world.nacos.registering.register(world.scope(), instance(), CALLER)
    assert not commit.done
    world.nacos.sweep()
    world.done(commit)
    host = world.one()
    assert (host.weight, host.enabled) == (3.0, False)
    assert world.nacos.services.kind(world.scope()) is True, "nor is the kind freed"
    world.pass_time(100, world.beat)
    assert world.one() == host
