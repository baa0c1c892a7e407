"""The life of connections: coming, silence, being sent away, going; and what that means for what they published."""

from __future__ import annotations

import json

import pytest
from grpc_world import START_MS, World, hosts

from polaris_bridge.adapters.nacos.wire.payload import decode


def test_the_end_of_the_connection_or_of_its_stream_ends_what_it_published() -> None:
    world = World()
    for end in ("link", "stream", "client ends", "reset by us"):
        client, other = world.client(), world.client()
        client.register()
        client.subscribe("another")
        assert other.ports() == [8080]
        assert client.stream is not None
        if end == "link":
            client.link.cut()
        elif end == "stream":
            client.stream.over()
        elif end == "client ends":
            assert client.stream.handler is not None
            assert client.stream.handler.on_end() is False
            client.stream.over()
        else:
            world.service.connections.end(next(iter(world.service.connections)), "test")
            assert client.link.asked_to_close
        world.pass_time(0.4)
        assert other.ports() == [8080], "clients that replace their connection are not missed"
        world.pass_time(0.2)
        assert other.ports() == [], end
        assert world.service.subscribers.count() == 0
        assert world.service.connections.get(client.id) is None
        other.link.cut()
        client.link.cut()
    assert len(world.service.connections) == 0
    assert world.service.connections.ended == {"test": 1}


def test_what_is_registered_while_the_connection_breaks_goes_too() -> None:
    world = World()
    client = world.client()
    world.store.hold = True
    client.register(settle=False)
    world.settle()
    client.link.cut()
    world.store.answer()
    world.settle()
    world.pass_time(2)
    assert world.client().ports() == []


def test_a_silent_client_is_asked_after_20_s_and_ended_5_s_later() -> None:
    world = World()
    client = world.client()
    client.register()
    world.pass_time(19.5)
    assert client.pushes("ClientDetectionRequest", answer=False) == []
    world.pass_time(4)
    asked = client.pushes("ClientDetectionRequest", answer=False)
    assert len(asked) == 1
    assert set(asked[0]) == {"headers", "requestId", "module"}
    world.pass_time(2)
    assert client.stream is not None
    assert client.stream.ended is None
    world.pass_time(3)
    assert client.stream.ended == (0, "")
    assert client.link.asked_to_close
    assert world.service.connections.ended == {"silent": 1}
    assert world.client().ports() == []


def test_an_answer_or_anything_else_is_a_sign_of_life() -> None:
    world = World()
    answering, asking = world.client(), world.client()
    for _ in range(40):
        world.pass_time(3)
        answering.pushes()
        if world.clock.now_s % 15 < 3:
            asking.ask("HealthCheckRequest")
    assert len(world.service.connections) == 2


def test_time_in_which_we_stood_still_is_nobodys_silence() -> None:
    world = World()
    client = world.client()
    world.pass_time(23)
    assert len(client.pushes("ClientDetectionRequest", answer=False)) == 1
    world.clock.move(60)
    world.service.sweep()
    assert len(world.service.connections) == 1
    client.ask("HealthCheckRequest")
    world.pass_time(6)
    assert len(world.service.connections) == 1
    world.clock.move(600)
    world.service.sweep()
    assert len(world.service.connections) == 1, "asked first, as always"
    assert len(client.pushes("ClientDetectionRequest")) == 1
    world.pass_time(6)
    assert len(world.service.connections) == 1


def test_many_silent_clients_are_looked_at_in_slices() -> None:
    world = World()
    clients = [world.client() for _ in range(2500)]
    world.clock.move(30)
    before = world.runs.passes
    world.service.sweep()
    world.settle()
    assert world.runs.passes - before >= 2
    assert all(len(client.pushes("ClientDetectionRequest")) == 1 for client in clients)


def test_reset_sends_a_client_away() -> None:
    world = World()
    client = world.client()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection)
    world.service.connections.reset(connection, "10.0.0.9", 8849)
    plain, redirect = client.pushes("ConnectResetRequest")
    assert set(plain) == {"headers", "requestId", "module"}
    assert (redirect["serverIp"], redirect["serverPort"]) == ("10.0.0.9", "8849")
    assert int(redirect["requestId"]) > int(plain["requestId"])


def test_when_the_server_leaves_clients_are_told_and_what_they_published_stays() -> None:
    world = World()
    client, reader = world.client(), world.client()
    client.register()
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    world.service.connections.leave()
    world.service.connections.leave()
    assert len(client.pushes("ConnectResetRequest")) == 1
    client.link.cut()
    world.settle()
    assert reader.pushes() == []
    reader.link.cut()
    world.settle()
    world.start()
    reader = world.client()
    assert hosts(reader.subscribe()) == [8080]
    world.pass_time(10)
    client = world.client(client.link.host)
    client.register()
    pushed = []
    for _ in range(25):
        world.pass_time(1)
        client.pushes()
        pushed += reader.pushes()
    assert pushed
    assert all(hosts(push) == [8080] for push in pushed)
    assert reader.ports() == [8080]


def test_after_a_kill_an_instance_waits_for_its_client() -> None:
    world = World()
    world.client().register()
    world.start()
    reader = world.client()
    reader.subscribe()
    world.pass_time(1)
    for _ in range(round(world.registry.terms.session_grace_s) - 2):
        world.pass_time(1)
        assert all(hosts(push) == [8080] for push in reader.pushes())
    world.pass_time(4)
    assert [hosts(push) for push in reader.pushes()] == [[]], "it did not come back"


def test_what_a_client_says_of_itself() -> None:
    world = World()
    client = world.client("10.0.0.9", version="Nacos-Go-Client:v2.3.2", AppName="shop")
    connection = world.service.connections.get(client.id)
    assert connection is not None
    assert (connection.version, connection.app, connection.labels["module"]) == (
        "Nacos-Go-Client:v2.3.2",
        "shop",
        "naming",
    )
    other = world.service.connections.get(world.client(AppName="shop").id)
    assert other is not None
    assert other.labels is connection.labels, "shared"
    client.headers = (("app", "other"),)
    client.register()
    assert connection.app == "shop"


def test_labels_that_clients_make_up_are_not_kept_for_ever() -> None:
    world = World()
    for count in range(1500):
        world.client(x=str(count)).link.cut()
    assert len(world.service.connections._labels) <= 1024


def test_ids_are_unique_even_when_the_clock_goes_back() -> None:
    world = World()
    first = world.client("10.0.0.7", port=4000)
    assert first.id == f"{START_MS}_10.0.0.7_4000"
    second = world.client("10.0.0.7", port=4000)
    assert second.id == f"{START_MS + 1}_10.0.0.7_4000"


def test_connections_that_never_set_up_leave_nothing_behind() -> None:
    world = World()
    for _ in range(10):
        client = world.client(setup=False)
        client.ask("ServerCheckRequest")
        client.ask("HealthCheckRequest")
        client.link.cut()
    assert world.service.connections._by_link == {}


def test_the_port_of_a_redirect_is_text() -> None:
    world = World()
    client = world.client()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection, 'x"y', 1)
    assert client.stream is not None
    assert json.loads(decode(client.stream.sent[-1]).body)["serverIp"] == 'x"y'


def test_a_client_that_we_send_away_comes_back_without_a_gap() -> None:
    world = World()
    client, reader = world.client(), world.client()
    client.register()
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection)
    client.link.cut()
    again = world.client(client.link.host)
    seen = []
    for second in range(10):
        if second == 3:
            again.register()
        world.pass_time(1)
        seen += [hosts(push) for push in reader.pushes()]
    assert all(ports == [8080] for ports in seen)
    assert reader.ports() == [8080]
    again.link.cut()
    world.pass_time(1)
    assert reader.ports() == []


def test_a_client_that_replaces_its_connection_is_not_missed() -> None:
    """nacos-sdk-go 2.3.2 closes the one that it registered by and registers by the next one some milliseconds later."""
    world = World()
    client, reader = world.client(), world.client()
    client.register()
    reader.subscribe()
    world.pass_time(1)
    reader.pushes()
    client.link.cut()
    again = world.client(client.link.host)
    world.pass_time(0.1)
    again.register()
    world.pass_time(5)
    assert all(hosts(push) == [8080] for push in reader.pushes())
    assert reader.ports() == [8080]
    again.deregister()
    assert reader.ports() == []


@pytest.mark.parametrize("away", ["restart", "sent away"])
def test_a_client_that_comes_back_twice_is_not_missed(away: str) -> None:
    """It registers by the connection that it gives up, and by the other one 3 s later."""
    world = World()
    client = world.client()
    client.register()
    if away == "restart":
        world.start()
    else:
        connection = world.service.connections.get(client.id)
        assert connection is not None
        world.service.connections.reset(connection)
        client.link.cut()
    reader = world.client()
    reader.subscribe()
    world.pass_time(1)
    first = world.client(client.link.host)
    first.register()
    first.link.cut()
    second = world.client(client.link.host)
    world.pass_time(3)
    second.register()
    world.pass_time(3)
    assert all(hosts(push) == [8080] for push in reader.pushes())
    assert reader.ports() == [8080]
    second.deregister()
    assert reader.ports() == []


def test_a_client_that_comes_back_and_dies_at_once_is_waited_for_no_longer_than_before() -> None:
    world = World()
    client = world.client()
    client.register()
    world.start()
    reader, again = world.client(), world.client(client.link.host)
    world.pass_time(1)
    again.register()
    again.link.cut()
    gone_in_s = 0
    while reader.ports():
        world.pass_time(1)
        gone_in_s += 1
    assert world.registry.terms.session_grace_s - 2 <= gone_in_s <= world.registry.terms.session_grace_s + 1


def test_a_client_that_we_send_to_another_server_is_gone_when_it_goes() -> None:
    world = World()
    client, reader = world.client(), world.client()
    client.register()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection, "10.9.9.9", 8848)
    client.link.cut()
    world.pass_time(1)
    assert reader.ports() == []


def test_a_client_that_we_send_away_and_that_does_not_come_back() -> None:
    world = World()
    client, reader = world.client(), world.client()
    client.register()
    connection = world.service.connections.get(client.id)
    assert connection is not None
    world.service.connections.reset(connection)
    client.link.cut()
    for _ in range(round(world.registry.terms.session_grace_s) - 1):
        world.pass_time(1)
        assert reader.ports() == [8080]
    world.pass_time(2)
    assert reader.ports() == []


def test_thousands_that_go_at_once_are_taken_leave_of_in_slices() -> None:
    world = World()
    clients = [world.client() for _ in range(300)]
    for port, client in enumerate(clients, 1):
        client.register(port=port)
    reader = world.client()
    ticks = iter(range(10**6))
    world.service.connections._elapsed = lambda: next(ticks) * 0.001
    for client in clients:
        client.link.cut()
    before = world.runs.passes
    world.settle()
    assert world.runs.passes - before > 300 / 5
    before = world.runs.passes
    world.pass_time(1)
    assert world.runs.passes - before > 300 / 5
    assert reader.ports() == []
