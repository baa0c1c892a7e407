"""Instances come, beat and go: what was measured on Nacos 2.5.1, and where ours is better on purpose."""

from __future__ import annotations

import pytest
from naming_bottle import CALLER, IP, PORT, SERVICE, World, instance, refusal

from polaris_bridge.adapters.nacos.wire.messages import Beat, Instance
from polaris_bridge.core.model import Checks, Lease, Session


@pytest.fixture
def world() -> World:
    return World()


# ---------------------------------------------------------------- over HTTP


def test_an_instance_comes_back_as_it_was_sent(world: World) -> None:
    pairs = {"z": "1", "a": "2", "internal-mine": "x"}
    world.register(weight=0.015, metadata=pairs, cluster="c1")
    host = world.one()
    assert host.instance_id == f"{IP}#{PORT}#c1#{SERVICE}"
    assert (host.weight, host.cluster, host.service_name) == (0.015, "c1", SERVICE)
    assert list(host.metadata.items()) == list(pairs.items())
    assert (host.healthy, host.enabled, host.ephemeral) == (True, True, True)
    assert (host.beat_interval_ms, host.beat_timeout_ms, host.delete_timeout_ms) == (5000, 15000, 30000)
    assert host.id_generator is None


def test_v2_and_v3_show_no_instance_id(world: World) -> None:
    world.done(world.nacos.registering.register(world.scope(), instance(), CALLER, with_id=False))
    assert world.one().instance_id is None


def test_ids_that_are_numbers(world: World) -> None:
    pairs = {"preserved.instance.id.generator": "snowflake"}
    world.register(metadata=pairs)
    first = world.one()
    number, cluster, service = str(first.instance_id).split("#")
    assert number.isdigit()
    assert (cluster, service, first.id_generator) == ("DEFAULT", SERVICE, "snowflake")
    world.register(metadata=pairs)
    assert world.one().instance_id == first.instance_id, "the same instance keeps its number"
    world.register(metadata=pairs, port=1)
    assert len({h.instance_id for h in world.all()}) == 2


def test_another_cluster_replaces(world: World) -> None:
    world.register(cluster="c1")
    world.register(cluster="c2")
    assert [h.cluster for h in world.all()] == ["c2"]


def test_silence_is_unhealthy_after_15_s_and_the_end_after_30(world: World) -> None:
    world.register()
    world.pass_time(14)
    assert world.one().healthy
    world.pass_time(2)
    assert not world.one().healthy
    assert world.one().enabled
    world.pass_time(13)
    assert len(world.all()) == 1
    world.pass_time(2)
    assert world.all() == []


def test_a_beat_heals_at_once(world: World) -> None:
    world.register()
    world.pass_time(20)
    assert not world.one().healthy
    assert world.beat().code == 10200
    assert world.one().healthy


def test_preserved_keys_move_the_times(world: World) -> None:
    pairs = {
        "preserved.heart.beat.interval": "1000",
        "preserved.heart.beat.timeout": "3000",
        "preserved.ip.delete.timeout": "6000",
    }
    world.register(metadata=pairs)
    host = world.one()
    assert (host.beat_interval_ms, host.beat_timeout_ms, host.delete_timeout_ms) == (1000, 3000, 6000)
    assert world.beat().interval_ms == 1000
    world.pass_time(4)
    assert not world.one().healthy
    world.pass_time(3)
    assert world.all() == []


@pytest.mark.parametrize(
    "pairs",
    [
        {"preserved.heart.beat.interval": "20000"},
        {"preserved.heart.beat.timeout": "4999"},
        {"preserved.ip.delete.timeout": "100"},
    ],
)
def test_times_that_contradict_each_other_are_refused(world: World, pairs: dict[str, str]) -> None:
    error = refusal(lambda: world.register(metadata=pairs))
    assert (error.status, error.code) == (400, 21004)
    assert error.text == "Instance 'heart beat interval' must less than 'heart beat timeout' and 'ip delete timeout'."


def test_times_that_are_no_numbers_count_as_absent(world: World) -> None:
    world.register(metadata={"preserved.heart.beat.timeout": "-1", "preserved.ip.delete.timeout": "٣"})
    assert world.one().beat_timeout_ms == 15000
    assert world.one().delete_timeout_ms == 30000


@pytest.mark.parametrize("cluster", ["a_b", "a.b", "ä", "a b"])
def test_illegal_clusters_are_refused_however_they_come(world: World, cluster: str) -> None:
    held = world.connect()
    for call in (
        lambda: world.register(cluster=cluster),
        lambda: world.register(cluster=cluster, held=held),
        lambda: world.batch(held, instance(cluster=cluster)),
    ):
        error = refusal(call)
        assert (error.status, error.grpc) == (400, 400)
        text = f"Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: {cluster})"
        assert error.text == text
    assert world.all() == []


def test_an_unknown_instance_is_deregistered_without_a_word(world: World) -> None:
    world.deregister()
    assert world.nacos.registering.counters.ignored == 1


def test_the_cluster_of_a_deregistration_does_not_matter(world: World) -> None:
    world.register(cluster="c1")
    world.deregister(cluster="other")
    assert world.all() == []


def test_registered_as_unhealthy_until_the_first_beat(world: World) -> None:
    world.register(healthy=False)
    assert not world.one().healthy
    assert world.one().enabled
    world.beat()
    assert world.one().healthy


def test_disabled_instances_are_in_no_list(world: World) -> None:
    world.register(enabled=False)
    assert world.list() == []
    assert not world.one().enabled
    assert world.one().healthy


@pytest.mark.parametrize(
    ("weight", "core"), [(0.0, 0), (0.001, 1), (0.99, 99), (1.0, 100), (10000.0, 1_000_000), (-3.0, 0)]
)
def test_weights_are_lossless(world: World, weight: float, core: int) -> None:
    world.register(weight=weight)
    assert world.one().weight == weight
    (address,) = world.registry.snapshot(world.key()).addresses.values()
    assert address.registrations[0].weight == core


# ---------------------------------------------------------------- heartbeats


def test_an_unknown_light_beat_asks_for_a_registration(world: World) -> None:
    answer = world.beat()
    assert (answer.code, answer.interval_ms, answer.light) == (20404, 5000, True)
    assert world.all() == []


def test_a_beat_with_a_body_registers(world: World) -> None:
    answer = world.beat(Beat("10.0.0.7", 70, "c1", 2.5, {"a": "1"}))
    assert (answer.code, answer.light) == (10200, True)
    host = world.one()
    assert (host.ip, host.port, host.cluster, host.weight, host.metadata) == ("10.0.0.7", 70, "c1", 2.5, {"a": "1"})
    assert host.ephemeral


def test_python_1_beats_carry_no_cluster(world: World) -> None:
    world.register(cluster="None")
    world.beat(Beat(IP, PORT, None, 1.0, {}))
    assert world.one().cluster == "None", "known by ip and port"


def test_a_beat_does_not_touch_what_a_connection_holds(world: World) -> None:
    held = world.connect()
    world.register(held=held)
    assert world.beat().code == 20404
    world.deregister()
    assert len(world.all()) == 1


def test_v3_heartbeats(world: World) -> None:
    renew = world.nacos.registering.renew
    assert not renew(world.scope(), IP, PORT, CALLER)
    world.register()
    world.pass_time(20)
    assert renew(world.scope(), IP, PORT, CALLER)
    world.queue.settle()
    assert world.one().healthy


def test_a_beat_writes_nothing(world: World) -> None:
    world.register()
    writes = world.store.writes
    for _ in range(10):
        world.pass_time(5)
        world.beat()
    assert world.store.writes == writes


# ---------------------------------------------------------------- kinds


def refused_kind(world: World, *, ephemeral: bool) -> str:
    error = refusal(lambda: world.register(ephemeral=ephemeral))
    assert (error.status, error.code, error.grpc) == (400, 30000, 400)
    return error.text


def test_the_first_instance_fixes_the_kind(world: World) -> None:
    world.register()
    assert refused_kind(world, ephemeral=False) == (
        f"errCode: 400, errMsg: Current service {SERVICE} is ephemeral service, can't register persistent instance. "
    )
    world.register("DEFAULT_GROUP@@lasting", ephemeral=False)
    error = refusal(lambda: world.register("DEFAULT_GROUP@@lasting"))
    assert error.text == (
        "errCode: 400, errMsg: Current service DEFAULT_GROUP@@lasting is persistent service, "
        "can't register ephemeral instance. "
    )
    assert world.nacos.services.kind(world.scope()) is True
    held = world.connect()
    error = refusal(lambda: world.batch(held, instance(), service="DEFAULT_GROUP@@lasting"))
    assert error.text.endswith("is persistent service, can't batch register ephemeral instance. ")


def test_the_kind_is_free_a_minute_after_the_last_instance(world: World) -> None:
    world.register()
    world.deregister()
    world.pass_time(58)
    refused_kind(world, ephemeral=False)
    world.pass_time(4)
    world.register(ephemeral=False)
    assert not world.one().ephemeral
    refused_kind(world, ephemeral=True)


def test_an_empty_service_keeps_its_minute_across_a_restart(world: World) -> None:
    world.register()
    world.deregister()
    world.pass_time(40)
    world.restart()
    refused_kind(world, ephemeral=False)
    world.pass_time(62)
    world.register(ephemeral=False)


def test_persistent_instances_live_by_their_check(world: World) -> None:
    world.register(ephemeral=False, healthy=False)
    host = world.one()
    assert (host.ephemeral, host.healthy, host.enabled) == (False, False, True)
    world.pass_time(1000)
    (address,) = world.registry.snapshot(world.key()).addresses.values()
    (r,) = address.registrations
    assert isinstance(r.liveness, Checks)
    world.registry.set_check(r.id, "nacos", "passing")
    assert world.one().healthy
    world.deregister()
    assert len(world.all()) == 1, "an ephemeral one was meant"
    world.deregister(ephemeral=False)
    assert world.all() == []


def test_persistent_instances_over_grpc_outlive_the_connection(world: World) -> None:
    held = world.connect()
    world.register(held=held, ephemeral=False)
    world.break_off(held)
    world.pass_time(100)
    assert len(world.all()) == 1
    world.deregister(held=held, ephemeral=False)
    assert world.all() == []


# ---------------------------------------------------------------- over gRPC


def test_a_connection_holds_one_instance_a_service(world: World) -> None:
    held = world.connect()
    world.register(held=held)
    world.register(held=held, port=81)
    world.register("DEFAULT_GROUP@@other", held=held)
    assert [h.port for h in world.all()] == [81]
    assert len(world.all("DEFAULT_GROUP@@other")) == 1
    world.pass_time(1000)
    assert world.one().healthy, "no heartbeats are asked for"
    world.break_off(held)
    assert world.all() == world.all("DEFAULT_GROUP@@other") == []


def test_the_id_holds_the_cluster_as_it_was_sent(world: World) -> None:
    held = world.connect()
    for cluster, said in (("", ""), (None, "null"), ("c1", "c1")):
        world.register(held=held, cluster=cluster)
        assert world.one().instance_id == f"{IP}#{PORT}#{said}#{SERVICE}"
        assert world.one().cluster == (cluster or "DEFAULT")
    world.register(held=held, instance_id="mine")
    assert world.one().instance_id == "mine"


def test_deregistering_drops_whatever_is_named(world: World) -> None:
    held, other = world.connect("1"), world.connect("2")
    world.register(held=held)
    world.register(held=other, port=81)
    world.deregister(held=held, ip="10.3.3.3", port=1)
    assert [h.port for h in world.all()] == [81]
    world.deregister(held=held)
    assert [h.port for h in world.all()] == [81]
    world.batch(other, instance(port=1), instance(port=2))
    world.deregister(held=other, port=1)
    assert world.all() == []


def test_a_batch_is_the_whole_set(world: World) -> None:
    held = world.connect()
    world.register(held=held, port=9)
    world.batch(held, instance(port=1), instance(port=2), instance(port=2, cluster="c1"))
    assert [(h.port, h.cluster) for h in world.all()] == [(1, "DEFAULT"), (2, "DEFAULT"), (2, "c1")]
    before = world.store.writes
    world.batch(held, instance(port=1), instance(port=2), instance(port=3))
    assert [h.port for h in world.all()] == [1, 2, 3]
    assert world.store.writes - before == 2, "applied as the difference"
    world.register(held=held, port=4)
    assert [h.port for h in world.all()] == [4]
    world.batch(held)
    assert world.all() == []


def test_a_batch_is_ephemeral(world: World) -> None:
    held = world.connect()
    assert refusal(lambda: world.batch(held, instance(), instance(ephemeral=False))).status == 400
    assert world.all() == []


def test_no_reader_sees_a_replacement_in_between(world: World) -> None:
    held = world.connect()
    world.register(held=held)
    seen: list[int] = []
    world.registry.observe(lambda _: seen.append(len(world.all())))
    world.register(held=held, port=81)
    assert seen == [1]


def test_two_connections_at_one_place_are_listed_once(world: World) -> None:
    first, second = world.connect("1"), world.connect("2")
    world.register(held=first, metadata={"v": "1"})
    world.register(held=second, metadata={"v": "2"})
    world.register(metadata={"v": "3"})
    assert world.one().metadata == {"v": "3"}, "whose document changed last"
    world.deregister()
    assert world.one().metadata == {"v": "2"}
    world.break_off(second)
    assert world.one().metadata == {"v": "1"}
    world.break_off(first)
    assert world.all() == []


def test_two_clusters_at_one_place_are_two(world: World) -> None:
    first, second = world.connect("1"), world.connect("2")
    world.register(held=first, cluster="c1")
    world.register(held=second, cluster="c2")
    world.register(cluster="c3")
    world.pass_time(20)
    assert [(h.cluster, h.healthy) for h in world.all()] == [("c1", True), ("c2", True), ("c3", False)]


def test_after_our_restart_what_a_connection_held_waits_for_it(world: World) -> None:
    held = world.connect("1")
    world.register(held=held)
    world.restart()
    assert len(world.list()) == 1
    world.pass_time(20)
    again = world.connect("2")
    world.register(held=again)
    assert len(world.list()) == 1
    world.pass_time(20)
    assert len(world.list()) == 1, "the old one is gone, the new one stays"
    assert world.one().healthy


def test_a_store_that_fails_leaves_a_connection_with_what_it_had(world: World) -> None:
    held = world.connect()
    world.register(held=held)
    world.store.broken = True
    commit = world.nacos.registering.register(world.scope(), instance(port=81), CALLER, held)
    world.queue.settle()
    assert commit.error is not None
    world.store.broken = False
    assert [h.port for h in world.all()] == [PORT]
    world.register(held=held, port=82)
    assert [h.port for h in world.all()] == [82]
    world.deregister(held=held)
    assert world.all() == []


def test_kinds_of_liveness(world: World) -> None:
    held = world.connect("c")
    world.register()
    world.register(held=held, port=81)
    found = {
        r.port: r.liveness for a in world.registry.snapshot(world.key()).addresses.values() for r in a.registrations
    }
    assert found == {PORT: Lease(5000, 15000, 30000, False), 81: Session("c")}


# ---------------------------------------------------------------- names and namespaces


def test_groups_and_services_that_look_alike_are_apart(world: World) -> None:
    services = ["DEFAULT_GROUP@@a__b", "a@@b", "a_@@b", "a@@_b"]
    for port, service in enumerate(services, 1):
        world.register(service, port=port)
    assert [world.one(service).port for service in services] == [1, 2, 3, 4]
    assert [world.one(service).service_name for service in services] == services
    assert world.services("a") == ["_b", "b"]
    assert world.services() == ["a__b"]


def test_every_spelling_of_public_is_one_namespace(world: World) -> None:
    world.register(space="")
    assert len(world.all(space="public")) == 1
    assert world.all(space="default") == []
    world.register(space="default", port=81)
    world.register(space="never-made", port=82)
    assert [h.port for h in world.all(space="default")] == [81]
    assert [h.port for h in world.all()] == [PORT]
    assert [n.id for n in world.nacos.namespaces.all()] == ["public"], "those that nobody made are in no list"


def test_an_instance_is_said_with_few_words(world: World) -> None:
    for port in range(1, 4):
        world.register(port=port)
    found = [r.ext for a in world.registry.snapshot(world.key()).addresses.values() for r in a.registrations]
    assert found[0] is found[1] is found[2]
    assert Instance(IP, 1) == instance(port=1)
