"""A client that comes back by another connection takes over what the old one left: what it takes back then is gone."""

from __future__ import annotations

import pytest
from grpc_world import World as Grpc
from naming_bottle import PORT, World, instance

AFTER = ("restart", "sent away")


def back(world: World, after: str) -> None:
    """The connection "1" is over, and what it published waits for its client."""
    if after == "restart":
        world.restart()
    else:
        world.nacos.registering.left_s = {"1": 10.0}.get


@pytest.fixture(params=AFTER)
def after(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world() -> World:
    return World()


def held_by(world: World) -> list[tuple[str, int]]:
    addresses = world.registry.snapshot(world.key()).addresses.values()
    return sorted((r.key.partition("|")[0], r.port) for a in addresses for r in a.registrations)


def test_what_came_back_is_not_there_twice_and_can_be_taken_back(world: World, after: str) -> None:
    world.register(held=world.connect("1"))
    back(world, after)
    held = world.connect("2")
    world.register(held=held)
    assert held_by(world) == [("2", PORT)]
    world.deregister(held=held)
    assert world.all() == []


def test_a_batch_takes_over_what_it_names(world: World, after: str) -> None:
    world.batch(world.connect("1"), instance(port=1), instance(port=2), instance(port=3))
    back(world, after)
    held = world.connect("2")
    world.batch(held, instance(port=1), instance(port=2))
    assert held_by(world) == [("1", 3), ("2", 1), ("2", 2)]
    world.batch(held, instance(port=1))
    assert [h.port for h in world.all()] == [1, 3]


def test_readers_see_no_change(world: World, after: str) -> None:
    world.register(held=world.connect("1"), metadata={"v": "1"})
    back(world, after)
    before = world.nacos.discovery.info(world.scope(), form="v3")
    world.register(held=world.connect("2"), metadata={"v": "1"})
    assert world.nacos.discovery.info(world.scope(), form="v3") == before


def test_others_are_left_alone(world: World, after: str) -> None:
    """An open connection at the same place, another cluster, another port, another service, HTTP."""
    first = world.connect("1")
    world.batch(first, instance(cluster="c1"), instance(port=1))
    world.register(held=first, service="DEFAULT_GROUP@@another")
    world.register()
    back(world, after)
    standing = world.connect("3")
    world.register(held=standing)
    world.register(held=world.connect("2"))
    assert held_by(world) == [("1", 1), ("1", PORT), ("2", PORT), ("3", PORT), ("e", PORT)]
    assert len(world.all("DEFAULT_GROUP@@another")) == 1


def test_who_was_sent_away_and_came_back_may_leave_at_once() -> None:
    world = Grpc()
    client, reader = world.client(), world.client()
    client.register()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection)
    client.link.cut()
    world.settle()
    assert world.service.connections.left_s(client.id) == world.registry.terms.session_grace_s
    again = world.client(client.link.host)
    again.register()
    assert reader.ports() == [8080]
    again.deregister()
    assert reader.ports() == []
    for _ in range(round(world.registry.terms.session_grace_s) + 1):
        world.pass_time(1)
        again.ask("HealthCheckRequest")
    assert not world.service.connections._awaited
    assert world.service.connections.left_s(client.id) == 0
    assert world.service.connections.left_s(again.id) is None
