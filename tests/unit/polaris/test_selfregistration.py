"""The server's own instances: under which address, with which ports, for how long."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bottle import Bottle

from polaris_bridge import __version__
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id, registration_key
from polaris_bridge.adapters.polaris.translate.shown import instances
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import SYSTEM, ServiceKey
from polaris_bridge.runtime import own_address
from polaris_bridge.runtime.config.bootstrap import OwnService, PolarisService
from polaris_bridge.runtime.own_address import of_interface, outward, towards
from polaris_bridge.runtime.selfregistration import (
    Listening,
    SelfRegistration,
    bound_address,
    ensure_namespace,
    given_address,
)

EVERYWHERE = [Listening("service-grpc", "0.0.0.0", 18091), Listening("api-http", "0.0.0.0", 18090)]
ALONE = [Listening("service-grpc", "127.0.0.1", 18091), Listening("api-http", "127.0.0.1", 18090)]
CHECKER = ServiceKey("Polaris", "polaris.checker")


def section(**fields: Any) -> PolarisService:
    return PolarisService(**fields)


def service(name: str, *protocols: str, **fields: Any) -> OwnService:
    return OwnService(name=name, protocols=list(protocols), **fields)


class Server:
    """A server that registers itself."""

    def __init__(self) -> None:
        self.bottle = Bottle()
        self.own: SelfRegistration | None = None

    def start(self, options: PolarisService, listeners: list[Listening]) -> SelfRegistration:
        registry = self.bottle.registry
        ensure_namespace(registry)
        registering = Registering(registry, PolarisSettings(), InstanceIndex(registry))
        self.own = SelfRegistration(options, registry, registering, listeners)
        asyncio.run(self.own.start())
        self.bottle.queue.settle()
        return self.own

    def kill(self) -> None:
        """Another process begins where this one ended."""
        self.bottle.restart()

    def shown(self, key: ServiceKey = CHECKER) -> dict[str, v1.Instance]:
        """What native readers see of a service, by host and port."""
        snapshot = self.bottle.registry.snapshot(key)
        found = [m for a in snapshot.addresses.values() for _, m in instances(a, {}, discovered=False)]
        return {f"{m.host.value}:{m.port.value}": m for m in found}

    def services(self) -> set[str]:
        return {s.key.name for s in self.bottle.registry.services("Polaris") if s.addresses}


@pytest.fixture
def server() -> Server:
    return Server()


# ---------------------------------------------------------------------- what is registered


def test_the_checker_alone_by_default(server: Server) -> None:
    server.start(section(self_address="10.1.2.3"), EVERYWHERE)
    assert server.services() == {"polaris.checker"}
    (found,) = server.shown().values()
    assert (found.host.value, found.port.value, found.protocol.value) == ("10.1.2.3", 18091, "grpc")
    assert (found.version.value, found.weight.value) == (__version__, 100)
    assert dict(found.metadata) == {"build-revision": __version__, "polaris_service": "polaris.checker"}
    assert found.health_check.heartbeat.ttl.value == 5
    assert (found.healthy.value, found.isolate.value) == (True, False)
    assert found.id.value == instance_id("Polaris", "polaris.checker", "10.1.2.3", 18091)
    (namespace,) = [n for n in server.bottle.registry.namespaces() if n.name == "Polaris"]
    assert (namespace.comment, namespace.owners) == ("Polaris-server", "polaris")


def test_exactly_the_services_listed(server: Server) -> None:
    listed = [
        service("polaris.discover", "service-grpc", "api-http", metadata={"zone": "a"}),
        service("", namespace="Mine"),
    ]
    server.start(section(self_address="10.1.2.3", services=listed), EVERYWHERE)
    assert server.services() == {"polaris.discover"}
    found = server.shown(ServiceKey("Polaris", "polaris.discover"))
    assert {place: m.protocol.value for place, m in found.items()} == {
        "10.1.2.3:18091": "grpc",
        "10.1.2.3:18090": "http",
    }
    assert found["10.1.2.3:18091"].metadata["zone"] == "a"
    assert set(server.shown(ServiceKey("Mine", "polaris.checker"))) == {"10.1.2.3:18091", "10.1.2.3:18090"}


def test_none_when_none_are_listed_or_it_is_off(server: Server) -> None:
    server.start(section(self_address="10.1.2.3", services=[]), EVERYWHERE)
    server.start(section(self_address="10.1.2.3", enable_register=False), EVERYWHERE)
    assert server.services() == set()


def test_a_listener_that_is_not_there_is_named(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "polaris_bridge.runtime"):
        server.start(section(services=[service("polaris.config", "config-grpc")]), EVERYWHERE)
    assert server.services() == set()
    assert "no listener config-grpc" in caplog.text


def test_isolated(server: Server) -> None:
    server.start(section(self_address="10.1.2.3", isolated=True), EVERYWHERE)
    assert [m.isolate.value for m in server.shown().values()] == [True]
    server.kill()
    server.start(section(self_address="10.1.2.3"), EVERYWHERE)
    assert [m.isolate.value for m in server.shown().values()] == [False]


# ---------------------------------------------------------------------- life


def test_it_lives_by_its_beats(server: Server) -> None:
    own = server.start(section(self_address="10.1.2.3", heartbeat_interval=timedelta(seconds=7)), EVERYWHERE)
    assert own.interval_s == 7
    for _ in range(6):
        server.bottle.pass_time(7)
        own.beat()
    assert [(m.healthy.value, m.health_check.heartbeat.ttl.value) for m in server.shown().values()] == [(True, 7)]
    server.bottle.pass_time(22)
    assert [m.healthy.value for m in server.shown().values()] == [False]
    own.beat()
    server.bottle.queue.settle()
    assert [m.healthy.value for m in server.shown().values()] == [True]


def test_without_heartbeats_it_stays_healthy(server: Server) -> None:
    own = server.start(section(self_address="10.1.2.3", disable_heartbeat=True), EVERYWHERE)
    own.beat()
    server.bottle.pass_time(600)
    assert [(m.healthy.value, m.HasField("health_check")) for m in server.shown().values()] == [(True, False)]


def test_what_somebody_removed_comes_back(server: Server) -> None:
    own = server.start(section(self_address="10.1.2.3"), EVERYWHERE)
    (id,) = [m.id.value for m in own.instances]
    server.bottle.registry.deregister(registration_key("Polaris", id), SYSTEM)
    server.bottle.queue.settle()
    assert server.shown() == {}
    for _ in range(5):  # the first four heartbeats of an unknown instance are borne with
        own.beat()
        server.bottle.queue.settle()
    assert set(server.shown()) == {"10.1.2.3:18091"}


def test_what_the_store_did_not_take_is_tried_again(server: Server) -> None:
    server.bottle.store.broken = True
    own = server.start(section(self_address="10.1.2.3"), EVERYWHERE)
    assert server.shown() == {}
    server.bottle.store.broken = False
    own.beat()
    server.bottle.queue.settle()
    assert set(server.shown()) == {"10.1.2.3:18091"}


def test_it_leaves_at_the_end(server: Server) -> None:
    own = server.start(section(self_address="10.1.2.3"), EVERYWHERE)
    own.stop()
    own.beat()
    server.bottle.queue.settle()
    assert server.shown() == {}
    server.kill()
    assert server.shown() == {}


def test_what_a_killed_process_announced_and_this_one_does_not_is_ended(server: Server) -> None:
    both = [service("polaris.checker", "service-grpc"), service("polaris.discover", "service-grpc")]
    server.start(section(self_address="10.1.2.3", services=both), EVERYWHERE)
    server.kill()
    moved = [Listening("service-grpc", "0.0.0.0", 28091)]
    server.start(section(self_address="10.1.2.3"), moved)
    assert server.services() == {"polaris.checker"}
    assert set(server.shown()) == {"10.1.2.3:28091"}


# ---------------------------------------------------------------------- addresses


@pytest.fixture
def door() -> Iterator[int]:
    """A port of this machine that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made.getsockname()[1]


def test_the_order_of_the_rules(door: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ways: dict[str, Any] = {"self_address": "10.1.2.3", "network_inter": "lo", "probe_address": f"127.0.0.1:{door}"}
    monkeypatch.setattr("polaris_bridge.runtime.selfregistration.of_interface", lambda name: {"lo": "10.4.5.6"}[name])
    assert given_address(section(**ways), False) == "10.1.2.3"
    del ways["self_address"]
    assert given_address(section(**ways), False) == "10.4.5.6"
    del ways["network_inter"]
    assert given_address(section(**ways), True) == "127.0.0.1"
    assert given_address(section(), False) is None


def test_real_ways_to_an_address(door: int) -> None:
    assert of_interface("lo") == "127.0.0.1"
    assert towards(f"127.0.0.1:{door}") == "127.0.0.1"
    found = outward()
    assert found is None or not (own_address.is_loopback(found) or own_address.is_wildcard(found))


@pytest.mark.parametrize(
    "way", [{"network_inter": "nope0"}, {"probe_address": "127.0.0.1:1"}, {"probe_address": "nowhere"}]
)
def test_a_way_that_leads_nowhere_is_named_and_left(way: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "polaris_bridge.runtime"):
        assert given_address(section(**way), False) is None
    assert next(iter(way)) in caplog.text


UNREACHABLE: dict[str, Callable[[int], dict[str, str]]] = {
    "wildcard": lambda _port: {"self_address": "0.0.0.0"},
    "wildcard 6": lambda _port: {"self_address": "::"},
    "loopback": lambda _port: {"self_address": "127.0.0.1"},
    "loopback by name": lambda _port: {"self_address": "localhost"},
    "loopback interface": lambda _port: {"network_inter": "lo"},
    "loopback connection": lambda port: {"probe_address": f"127.0.0.1:{port}"},
}


@pytest.mark.parametrize("way", UNREACHABLE.values(), ids=UNREACHABLE)
def test_what_others_cannot_reach_is_never_announced(
    server: Server, door: int, way: Callable[[int], dict[str, str]]
) -> None:
    assert given_address(section(**way(door)), False) is None
    server.start(section(**way(door)), EVERYWHERE)
    expected = outward()
    assert {m.host.value for m in server.shown().values()} == {expected or "127.0.0.1"}


def test_loopback_is_announced_when_nothing_else_is_listened_on(server: Server) -> None:
    server.start(section(), ALONE)
    assert set(server.shown()) == {"127.0.0.1:18091"}


@pytest.mark.parametrize(
    ("bound", "out", "alone", "announced"),
    [
        ("0.0.0.0", "10.0.0.5", False, "10.0.0.5"),
        ("::", "10.0.0.5", False, "10.0.0.5"),
        ("::", "fd00::5", False, "fd00::5"),
        ("0.0.0.0", "fd00::5", False, None),
        ("10.0.0.7", "10.0.0.5", False, "10.0.0.7"),
        ("127.0.0.1", "10.0.0.5", True, "127.0.0.1"),
        ("::1", "10.0.0.5", True, "::1"),
        ("127.0.0.1", "10.0.0.5", False, None),
        ("0.0.0.0", None, False, "127.0.0.1"),
        ("::", None, False, "::1"),
    ],
)
def test_a_listener_is_announced_where_it_is(bound: str, out: str | None, alone: bool, announced: str | None) -> None:
    assert bound_address(Listening("service-grpc", bound, 1), out, alone) == announced


def test_one_of_several_that_only_this_machine_reaches_is_left_out(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    mixed = [Listening("service-grpc", "127.0.0.1", 18091), Listening("api-http", "10.0.0.7", 18090)]
    with caplog.at_level(logging.WARNING, "polaris_bridge.runtime"):
        server.start(section(services=[service("polaris.checker", "service-grpc", "api-http")]), mixed)
    assert set(server.shown()) == {"10.0.0.7:18090"}
    assert "service-grpc listens on 127.0.0.1" in caplog.text
