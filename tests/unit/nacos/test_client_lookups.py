"""Who the clients are: connections, addresses that registered over HTTP, addresses that listen for pushes."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest
from every_generation import CALLER, Everything
from http_bottle import STRANGER
from hypothesis import given, settings
from hypothesis import strategies as st
from naming_bottle import instance

from polaris_bridge.adapters.nacos.service.clients import Counts
from polaris_bridge.adapters.nacos.service.subscribers import UDP
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.model import Registration

T = TypeVar("T")


def whole(work: Generator[None, None, T]) -> tuple[T, int]:
    """The result of work in slices, and how often it let others run."""
    pauses = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, pauses
        pauses += 1


def ids(port: Everything) -> list[str]:
    return whole(port.service.clients.ids())[0]


@pytest.fixture
def port() -> Everything:
    return Everything()


def test_every_kind_of_client_is_known(port: Everything) -> None:
    connection = port.connect()
    port.publish(connection, instance(port=1), service="carts")
    port.register(port=2)
    port.register(port=3, service="disks", ephemeral="false")
    port.subscribe("10.0.0.9:5555#true", "10.0.0.9", 5555, kind=UDP)
    port.subscribe(connection.id, "10.0.0.7", 40_001)
    assert ids(port) == [connection.id, "10.0.0.1:2#true", "10.0.0.1:3#false", "10.0.0.9:5555#true"]
    assert whole(port.service.clients.counts())[0] == Counts(1, 2, 1)


def test_what_other_protocols_registered_is_no_client_here(port: Everything) -> None:
    port.registry.register(Registration("other", "default", "k", "orders", "10.0.0.1", 8080), STRANGER)
    port.timers.settle()
    assert ids(port) == []
    assert port.service.clients.publishers(port.service.key(port.scope())) == []
    with pytest.raises(Refused, match="not exist"):
        port.service.clients.one("10.0.0.1:8080#true")


def test_connections_of_configuration_clients_are_not_listed(port: Everything) -> None:
    connection = port.connect(module="config")
    assert ids(port) == []
    assert port.service.clients.one(connection.id).id == connection.id, "but can be asked for"


def test_an_address_is_a_client_of_each_kind(port: Everything) -> None:
    port.register(port=1)
    port.register(port=1, service="disks", ephemeral="false")
    clients = port.service.clients
    (short,) = clients.published("10.0.0.1:1#true")
    (long,) = clients.published("10.0.0.1:1#false")
    assert (short.name, long.name) == ("orders", "disks")
    assert clients.one("10.0.0.1:1#true").ephemeral
    assert not clients.one("10.0.0.1:1#false").ephemeral


def test_a_heartbeat_is_a_sign_of_life(port: Everything) -> None:
    port.register(port=1)
    port.move(5)
    port.beat(port=1)
    beaten_ms = port.clock.now_ms
    port.move(5)
    assert port.service.clients.one("10.0.0.1:1#true").updated_ms == beaten_ms


def test_a_client_is_gone_with_its_connection(port: Everything) -> None:
    connection = port.connect()
    port.publish(connection, instance(port=1))
    port.service.connections.end(connection, "test")
    port.timers.settle()
    assert ids(port) == []
    with pytest.raises(Refused):
        port.service.clients.published(connection.id)


def test_a_subscriber_alone_publishes_nothing(port: Everything) -> None:
    port.subscribe("10.0.0.9:5555#true", "10.0.0.9", 5555, kind=UDP, app="shop")
    assert port.service.clients.published("10.0.0.9:5555#true") == []
    (found,) = port.service.clients.subscribed("10.0.0.9:5555#true")
    assert (found.name, found.app, found.address) == ("orders", "shop", "10.0.0.9:5555")


def test_long_lists_let_others_run(port: Everything) -> None:
    for number in range(1, 1201):
        port.service.registering.register(port.scope(), instance(port=number), CALLER)
    port.timers.settle()
    found, pauses = whole(port.service.clients.ids())
    assert len(found) == 1200
    assert pauses == 2


_NAME = st.text(st.characters(codec="ascii", exclude_categories=["Zs", "Cc"], exclude_characters="@"), min_size=1)
_GROUP = st.text("abc-_:.", min_size=1, max_size=8)


@given(group=_GROUP, name=_NAME, connected=st.booleans())
@settings(max_examples=60, deadline=None)
def test_names_come_back_as_they_were_given(group: str, name: str, connected: bool) -> None:
    port = Everything()
    scope = port.scope(name, group=group)
    held = port.connect().held if connected else None
    port.service.registering.register(scope, instance(), CALLER, held)
    port.timers.settle()
    (found,) = port.service.clients.publishers(port.service.key(scope))
    assert (found.group, found.name, found.ip, found.port) == (group, name, "10.0.0.1", 8080)
