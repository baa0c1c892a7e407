"""Services and namespaces: made, changed, listed and forgotten."""

from __future__ import annotations

import pytest
from naming_bottle import CALLER, SERVICE, World, refusal

from polaris_bridge.adapters.nacos.service.services import Cluster
from polaris_bridge.adapters.nacos.settings import NacosSettings
from polaris_bridge.core.model import NamespaceRecord, ServiceRecord


@pytest.fixture
def world() -> World:
    return World()


def create(world: World, service: str = SERVICE, ephemeral: bool = False, threshold: float = 0.5) -> None:
    services = world.nacos.services
    world.done(services.create(world.scope(service), threshold, {"k": "v"}, None, ephemeral, CALLER))


def test_made_read_changed_deleted(world: World) -> None:
    services, scope = world.nacos.services, world.scope()
    create(world)
    found = services.get(scope)
    assert (found.namespace_id, found.group, found.name) == ("public", "DEFAULT_GROUP", "orders")
    assert (found.threshold, found.metadata, found.selector) == (0.5, {"k": "v"}, {"type": "none"})
    assert (found.ephemeral, found.clusters) == (False, ())
    error = refusal(lambda: create(world))
    assert (error.status, error.code, error.text) == (400, 21007, f"specified service {SERVICE} already exists!")
    label = {"type": "label", "expression": "CONSUMER.label.A = PROVIDER.label.A"}
    world.done(services.update(scope, 0.0, {}, label, CALLER))
    assert (services.get(scope).metadata, services.get(scope).selector) == ({}, label)
    assert services.kind(scope) is False, "the kind stays"
    world.done(services.delete(scope, CALLER))
    error = refusal(lambda: services.get(scope))
    assert (error.status, error.code, error.text) == (400, 21008, f"service {SERVICE} not found!")
    assert services.find(scope) is None
    assert world.services() == []


@pytest.mark.parametrize("foreign", [False, True])
def test_a_service_with_instances_is_not_deleted(world: World, foreign: bool) -> None:
    if foreign:
        world.foreign()
    else:
        world.register()
    error = refusal(lambda: world.nacos.services.delete(world.scope(), CALLER))
    text = f"Service {SERVICE} is not empty, can't be delete. Please unregister instance first"
    assert (error.status, error.code, error.text) == (400, 21009, text)


def test_one_made_by_hand_has_a_kind(world: World) -> None:
    create(world)
    text = refusal(world.register).text
    assert text.endswith("is persistent service, can't register ephemeral instance. ")
    create(world, "DEFAULT_GROUP@@e", ephemeral=True)
    world.register("DEFAULT_GROUP@@e")


def test_what_was_set_by_hand_is_kept_for_its_return(world: World) -> None:
    create(world, threshold=0.7)
    assert world.services() == ["orders"]
    world.pass_time(62)
    assert world.services() == []
    assert world.nacos.services.find(world.scope()) is None
    world.register()
    assert world.nacos.services.get(world.scope()).threshold == 0.7
    assert world.nacos.services.kind(world.scope()) is True
    assert world.services() == ["orders"]


def test_one_that_is_gone_can_be_made_again(world: World) -> None:
    create(world, threshold=0.7)
    world.pass_time(62)
    create(world, ephemeral=True, threshold=0.1)
    assert world.nacos.services.get(world.scope()).threshold == 0.1
    world.register()


def test_a_service_is_listed_for_a_minute_after_its_last_instance(world: World) -> None:
    world.register()
    held = world.connect()
    world.register("g@@s", held)
    assert (world.services(), world.services("g")) == (["orders"], ["s"])
    world.deregister()
    world.break_off(held)
    world.pass_time(55)
    assert (world.services(), world.services("g")) == (["orders"], ["s"])
    world.pass_time(7)
    assert (world.services(), world.services("g")) == ([], [])
    world.restart()
    assert world.services() == [], "not back after a restart"


def test_a_subscriber_keeps_a_service(world: World) -> None:
    world.register()
    wanted = {world.key()}
    world.nacos.services.subscribed = wanted.__contains__
    world.deregister()
    world.pass_time(200)
    assert world.services() == ["orders"]
    wanted.clear()
    world.pass_time(62)
    assert world.services() == []


def test_pages(world: World) -> None:
    for name in ("c", "a", "d", "b", "e"):
        world.register(f"g@@{name}")
    services = world.nacos.services
    assert services.list("public", "g", 1, 2) == (5, ["a", "b"])
    assert services.list("", "g", 3, 2) == (5, ["e"])
    assert services.list("public", "g", 4, 2) == (5, [])
    assert services.list("public", "g", 0, 2) == (5, ["a", "b"])
    assert services.list("public", "g", 1, 0) == (5, [])
    assert services.list("public", "", 1, 9) == (0, [])
    assert services.list("elsewhere", "g", 1, 9) == (0, [])
    assert [s.grouped for s in services.all("public")] == ["g@@a", "g@@b", "g@@c", "g@@d", "g@@e"]
    assert services.count() == 5


def test_other_protocols_services_are_listed_while_they_have_instances(world: World) -> None:
    r = world.foreign(service="g1__web")
    world.foreign(key="f2", service="plain")
    world.registry.put_service(ServiceRecord("default", "empty__native"), CALLER)
    world.queue.settle()
    assert (world.services("g1"), world.services()) == (["web"], ["plain"])
    (host,) = world.list("g1@@web")
    assert (host.service_name, host.instance_id) == ("g1@@web", "10.0.0.1#8080#DEFAULT#g1@@web")
    world.leave(r)
    world.pass_time(62)
    assert world.services("g1") == []


def test_other_protocols_names_may_be_left_whole() -> None:
    world = World(NacosSettings(split_group=False))
    world.foreign(service="g1__web")
    assert world.services() == ["g1__web"]
    assert [h.port for h in world.list("DEFAULT_GROUP@@g1__web")] == [8080]
    world.register("g2@@web")
    assert world.services("g2") == ["web"]


def test_other_protocols_instances_fix_no_kind(world: World) -> None:
    world.foreign()
    assert world.nacos.services.kind(world.scope()) is None
    assert world.one().ephemeral
    world.register(ephemeral=False, port=81)
    assert [h.ephemeral for h in world.all()] == [False, False], "shown with the service's kind"


def test_clusters(world: World) -> None:
    services, scope = world.nacos.services, world.scope()
    args = ("c1", 88, False, {"type": "HTTP", "path": "/h"}, {"m": "1"}, CALLER)
    error = refusal(lambda: services.set_cluster(scope, *args))
    assert (error.status, error.text) == (400, "service not found groupName: DEFAULT_GROUP,serviceName: orders")
    world.register()
    world.done(services.set_cluster(scope, *args))
    cluster = Cluster("c1", 88, False, {"type": "HTTP", "path": "/h"}, {"m": "1"})
    assert services.get(scope).clusters == (cluster,)
    world.restart()
    assert world.nacos.services.clusters(world.key()) == {"c1": cluster}
    assert world.nacos.services.kind(scope) is True


def test_many_services_end_without_a_stall(world: World) -> None:
    for number in range(250):
        world.register(f"g@@s{number}")
        world.deregister(f"g@@s{number}")
    world.pass_time(60)
    writes = world.store.writes
    world.pass_time(1)
    assert world.store.writes - writes <= 100
    world.pass_time(4)
    assert world.services("g") == []


# ---------------------------------------------------------------- namespaces


def test_namespaces_made_renamed_deleted(world: World) -> None:
    spaces = world.nacos.namespaces
    world.done(spaces.create("dev", "Development", "for us", CALLER))
    found = spaces.get("dev")
    assert (found.id, found.name, found.description, found.quota, found.type) == (
        "dev",
        "Development",
        "for us",
        200,
        2,
    )
    assert refusal(lambda: spaces.create("dev", "x", "", CALLER)).code == 22002
    assert refusal(lambda: spaces.create("public", "x", "", CALLER)).code == 22002
    commit = spaces.update("dev", "Dev", "", CALLER)
    assert commit is not None
    world.done(commit)
    assert spaces.get("dev").name == "Dev"
    assert spaces.update("nope", "x", "", CALLER) is None
    assert [(n.id, n.type) for n in spaces.all()] == [("public", 0), ("dev", 2)]
    world.done(spaces.delete("dev", CALLER))
    assert spaces.find("dev") is None
    world.done(spaces.delete("dev", CALLER))
    world.done(spaces.delete("public", CALLER))
    error = refusal(lambda: spaces.get("dev"))
    assert (error.status, error.code, error.text) == (404, 22001, "namespaceId [ dev ] not exist")


def test_a_namespace_without_an_id_gets_one(world: World) -> None:
    world.done(world.nacos.namespaces.create("", "mine", "", CALLER))
    (_, made) = world.nacos.namespaces.all()
    assert len(made.id) == 36
    assert made.name == "mine"


def test_a_used_namespace_that_is_deleted_leaves_the_list_and_its_services_stay(world: World) -> None:
    spaces = world.nacos.namespaces
    world.done(spaces.create("dev", "Development", "", CALLER))
    world.register(space="dev")
    world.done(spaces.delete("dev", CALLER))
    assert spaces.find("dev") is None
    assert len(world.list(space="dev")) == 1
    world.done(spaces.create("dev", "Again", "", CALLER))
    assert spaces.get("dev").name == "Again"


def test_other_protocols_namespaces_are_listed(world: World) -> None:
    world.registry.put_namespace(NamespaceRecord("a.b", comment="theirs"), CALLER)
    world.registry.put_namespace(NamespaceRecord("Polaris"), CALLER)
    world.queue.settle()
    spaces = world.nacos.namespaces
    assert [n.id for n in spaces.all()] == ["public", "a-x2E-b"]
    assert spaces.get("a-x2E-b").description == "theirs"
    world.register(space="a-x2E-b")
    assert len(world.registry.snapshot(world.nacos.key(world.scope(space="a-x2E-b"))).addresses) == 1
    assert [n.id for n in spaces.all()] == ["public", "a-x2E-b"]


def test_a_namespace_is_implied_by_its_first_registration_only(world: World) -> None:
    world.register(space="used")
    assert world.nacos.namespaces.find("used") is None
    record = next(n for n in world.registry.namespaces() if n.name == "used")
    assert record.auto_created
