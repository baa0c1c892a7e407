"""What is counted of a registry for metrics."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from polaris_bridge.core.config.model import Change, ConfigGroup, FileKey, GrayRule, GroupKey
from polaris_bridge.core.config.watching import Has
from polaris_bridge.core.model import SYSTEM, Checks, Lease, Registration, ServiceKey, ServiceRecord, Switch
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.runtime.census import census
from polaris_bridge.runtime.metrics.census import ServiceCount, SourceCount
from polaris_bridge.storage.memory import MemoryStore


class Clock:
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return round(self.now_s * 1000)


class Soon:
    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def soon(self, run: Callable[[], None]) -> None:
        self.waiting.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        raise AssertionError("nothing here waits")

    def settle(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.soon = Soon()
        store = MemoryStore(post=lambda run: run(), unique=lambda: "n")
        self.registry = Registry(store, self.clock, self.soon, Terms())
        self.registry.load()

    def register(self, source: str, key: str, host: str, reported: str = "up", service: str = "s") -> Registration:
        lease = Lease(5_000, 15_000, 0)
        r = Registration(source, "ns", key, service, host, 80, reported=reported, liveness=lease)
        self.registry.register(r, SYSTEM)
        self.soon.settle()
        return r

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.now_s += 1
            self.registry.tick()
            self.soon.settle()


@pytest.fixture
def world() -> World:
    return World()


def test_what_its_checks_alone_turn_down_is_unhealthy_not_withdrawn(world: World) -> None:
    r = Registration("a", "ns", "1", "s", "h1", 80, liveness=Checks({"c": "critical"}))
    world.registry.register(r, SYSTEM)
    world.soon.settle()
    found = census(world.registry, {})
    assert found.services == [ServiceCount("ns", "s", 0, 1, 0)]
    assert found.sources == [SourceCount("ns", "s", "a", 0, 1, 0)]
    world.registry.switch(r.service_key, r.address, Switch("b", "", "out_of_service"), SYSTEM)
    world.soon.settle()
    assert census(world.registry, {}).services == [ServiceCount("ns", "s", 0, 0, 1)]


def test_addresses_are_counted_once_registrations_each(world: World) -> None:
    world.register("a", "1", "h1")
    world.register("b", "1", "h1")
    world.register("a", "2", "h2", "down")
    off = world.register("b", "3", "h3")
    world.registry.switch(off.service_key, off.address, Switch("b", "", "out_of_service"), SYSTEM)
    world.registry.put_service(ServiceRecord("ns", "empty"), SYSTEM)
    world.soon.settle()
    found = census(world.registry, {"front": 2, "eureka": 3})
    assert sorted(found.services) == [ServiceCount("ns", "empty", 0, 0, 0), ServiceCount("ns", "s", 1, 0, 2)]
    assert found.services[0].total + found.services[1].total == 3
    assert {(c.source, c.healthy, c.unhealthy, c.isolated) for c in found.sources} >= {("a", 1, 0, 1)}
    assert sum(c.healthy + c.unhealthy + c.isolated for c in found.sources) == 4
    assert found.connections == {"front": 2, "eureka": 3}
    assert found.discovery_connections == 5
    assert found.revision == world.registry.revision


def test_the_silent_are_abnormal(world: World) -> None:
    world.register("a", "1", "h1")
    world.pass_time(17)
    found = census(world.registry, {})
    assert found.services == [ServiceCount("ns", "s", 0, 1, 0)]
    assert found.sources == [SourceCount("ns", "s", "a", 0, 1, 0)]


def test_switches_alone_are_nothing(world: World) -> None:
    r = world.register("a", "1", "h1")
    world.registry.switch(r.service_key, r.address, Switch("a", "", "out_of_service", lingers=True), SYSTEM)
    world.registry.deregister(r.id, SYSTEM)
    world.soon.settle()
    assert world.registry.snapshot(ServiceKey("ns", "s")).addresses
    assert census(world.registry, {}).services == [ServiceCount("ns", "s", 0, 0, 0)]


def test_writes_that_wait(world: World) -> None:
    world.registry.register(Registration("a", "ns", "9", "s", "h", 80), SYSTEM)
    assert census(world.registry, {}).writes_waiting == 1
    world.soon.settle()
    assert census(world.registry, {}).writes_waiting == 0


def test_files_of_configuration_by_group(world: World) -> None:
    config = world.registry.config
    config.groups.create(ConfigGroup(GroupKey("ns", "empty")), SYSTEM)
    config.files.create(FileKey("ns", "g", "draft"), Change(b"x"), SYSTEM)
    for name in ("a", "b"):
        config.releases.publish(FileKey("ns", "g", name), SYSTEM, change=Change(b"x"))
    config.releases.publish_gray(FileKey("ns", "g", "new"), SYSTEM, "beta", GrayRule(ips=("h",)), change=Change(b"y"))
    world.soon.settle()
    config.holders.report("c1", [(FileKey("ns", "g", "a"), "")], via="x")
    listening = config.listen({FileKey("ns", "g", "none"): Has(md5="")}, lambda keys: None)
    found = census(world.registry, {"config-grpc": 2, "service-grpc": 3})
    assert sorted((g.namespace, g.group, g.files, g.released, g.gray) for g in found.config_groups) == [
        ("ns", "empty", 0, 0, 0),
        ("ns", "g", 4, 3, 1),
    ]
    assert (found.config_holders, found.config_connections, found.discovery_connections) == (1, 2, 3)
    assert found.watchers == {("config", "file"): 1}
    assert not isinstance(listening, list)
