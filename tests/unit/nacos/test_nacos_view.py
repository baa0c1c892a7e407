"""Lists kept in step: what they hold, what a change costs, and that they never lag or go back."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from polaris_bridge.adapters.nacos import view as view_module
from polaris_bridge.adapters.nacos.service.discovery import Discovery
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.translate.instances import checked, lift
from polaris_bridge.adapters.nacos.translate.keys import SOURCE, http_key
from polaris_bridge.adapters.nacos.translate.names import encode
from polaris_bridge.adapters.nacos.view import KEEP_S, VARIANTS, Views, clusters_of, too_few
from polaris_bridge.adapters.nacos.wire import service_info
from polaris_bridge.adapters.nacos.wire.messages import Host, Instance
from polaris_bridge.core.model import Caller, Registration, ServiceKey, ServiceRecord, Switch
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

CALLER = Caller("nacos", "10.9.9.9")
SCOPE = Scope("public", "default", "DEFAULT_GROUP", "orders")


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = 1_700_000_000_000

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms


class Queue:
    """What is to run soon; timers never come due."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing in these tests waits for a timer."""

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class World:
    """A registry, what is read of it, and registrations made by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = Queue()
        store = MemoryStore(post=lambda run: run(), unique=lambda: "node-1")
        self.registry = Registry(store, self.clock, self.queue, Terms())
        self.registry.load()
        self.discovery = Discovery(self.registry)

    def register(self, instance: Instance, scope: Scope = SCOPE) -> None:
        key = http_key(scope.namespace, scope.grouped, instance.ip, instance.port, ephemeral=instance.ephemeral)
        liveness = None if instance.ephemeral else checked(instance.healthy)
        service = encode(scope.group, scope.name)
        r = lift(instance, scope.namespace, service, key=key.key, liveness=liveness, instance_id="")
        self.registry.register(r, CALLER)
        self.queue.settle()

    def foreign(self, host: str, port: int, **fields: Any) -> None:
        self.registry.register(
            Registration("eureka", "default", f"{host}:{port}", "orders", host, port, **fields), CALLER
        )
        self.queue.settle()

    def deregister(self, ip: str, port: int) -> None:
        self.registry.deregister(http_key("default", SCOPE.grouped, ip, port), CALLER)
        self.queue.settle()

    def record(self, **fields: Any) -> None:
        record = self.registry.snapshot(ServiceKey("default", "orders")).record
        record = record or ServiceRecord("default", "orders")
        self.registry.put_service(structs.replace(record, **fields), CALLER)
        self.queue.settle()

    def listed(self, clusters: str = "", healthy_only: bool = False, scope: Scope = SCOPE) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.discovery.info(scope, clusters, healthy_only, "v1"))
        return found

    def ports(self, clusters: str = "", healthy_only: bool = False) -> list[int]:
        return [h["port"] for h in self.listed(clusters, healthy_only)["hosts"]]


@pytest.fixture
def world() -> World:
    return World()


def test_nothing_is_a_list_without_instances(world: World) -> None:
    scope = Scope("public", "default", "g", "a__b")
    assert world.listed("c1,c2", scope=scope) == {
        "name": "g@@a__b",
        "groupName": "g",
        "clusters": "c1,c2",
        "cacheMillis": 10000,
        "hosts": [],
        "lastRefTime": world.clock.now_ms,
        "checksum": "",
        "allIPs": False,
        "reachProtectionThreshold": False,
        "valid": True,
    }
    assert json.loads(world.discovery.info(scope, form="v3")) == []


def test_own_instances_come_back_as_they_came(world: World) -> None:
    world.register(Instance("10.0.0.1", 1, weight=0.015, cluster="c1", metadata={"a": "b"}))
    [host] = world.listed()["hosts"]
    assert host == {
        "instanceId": "10.0.0.1#1#c1#DEFAULT_GROUP@@orders",
        "ip": "10.0.0.1",
        "port": 1,
        "weight": 0.015,
        "healthy": True,
        "enabled": True,
        "ephemeral": True,
        "clusterName": "c1",
        "serviceName": "DEFAULT_GROUP@@orders",
        "metadata": {"a": "b"},
        "instanceHeartBeatInterval": 5000,
        "instanceHeartBeatTimeOut": 15000,
        "ipDeleteTimeout": 30000,
    }


def test_clusters_choose_and_the_disabled_are_left_out(world: World) -> None:
    world.register(Instance("h", 1, cluster="c1"))
    world.register(Instance("h", 2, cluster="c2"))
    world.register(Instance("h", 3))
    world.register(Instance("h", 4, enabled=False))
    assert world.ports() == [1, 2, 3]
    assert world.ports("c1") == [1]
    assert world.ports("c1,DEFAULT,none") == [1, 3]
    assert world.ports("none") == []
    assert [h.port for h in world.discovery.hosts(SCOPE, "c2")] == [2]
    assert [h.port for h in world.discovery.all(SCOPE)] == [1, 2, 3, 4]


def test_one_instance_is_found_even_when_disabled(world: World) -> None:
    world.register(Instance("h", 4, enabled=False))
    found = world.discovery.one(SCOPE, "h", 4)
    assert found is not None
    assert not found.enabled
    assert world.discovery.one(SCOPE, "h", 4, "other") is None
    assert world.discovery.one(SCOPE, "h", 5) is None
    world.foreign("10.0.0.9", 80, vpc="vpc-1")
    assert world.discovery.one(SCOPE, "10.0.0.9", 80) is not None


def test_a_change_shows_at_once_in_every_variant(world: World) -> None:
    world.register(Instance("h", 1))
    assert (world.ports(), world.ports(healthy_only=True)) == ([1], [1])
    world.register(Instance("h", 1, metadata={"v": "2"}))
    assert world.listed()["hosts"][0]["metadata"] == {"v": "2"}
    world.deregister("h", 1)
    assert (world.ports(), world.ports(healthy_only=True)) == ([], [])


def test_a_switch_of_anybody_takes_an_instance_off_the_list(world: World) -> None:
    world.register(Instance("h", 1))
    assert world.ports() == [1]
    key = ServiceKey("default", "orders")
    [place] = world.registry.snapshot(key).addresses
    world.registry.switch(key, place, Switch("polaris", "", "out_of_service"), CALLER)
    world.queue.settle()
    assert world.ports() == []


def test_others_instances_are_shown_with_the_kind_of_the_service(world: World) -> None:
    world.foreign("10.0.0.9", 80)
    assert world.listed()["hosts"][0]["ephemeral"] is True
    world.record(ext={SOURCE: {"group": "DEFAULT_GROUP", "name": "orders", "ephemeral": False}})
    [host] = world.listed()["hosts"]
    assert (host["ephemeral"], host["clusterName"]) == (False, "DEFAULT")


def test_unchanged_lists_are_the_same_object(world: World) -> None:
    world.register(Instance("h", 1))
    first = world.discovery.info(SCOPE)
    world.clock.now_ms += 60_000
    world.register(Instance("h", 1))
    world.record(comment="nothing a list shows")
    again = world.discovery.info(SCOPE)
    assert json.loads(again)["hosts"] == json.loads(first)["hosts"]
    assert world.discovery.info(SCOPE) is again


def test_the_time_of_a_list_never_goes_back(world: World) -> None:
    times = []
    for turn, step in enumerate((0, 0, 1, -5_000, 0, 7_000, -90_000)):
        world.clock.now_ms += step
        world.register(Instance("h", 1, metadata={"turn": str(turn)}))
        times.append(world.listed()["lastRefTime"])
        assert world.listed("c1")["lastRefTime"] == times[-1]
    assert times == sorted(set(times))
    world.clock.now_s += KEEP_S + 1
    world.discovery.sweep(world.clock.now_s)
    assert len(world.discovery.views) == 0
    assert world.listed()["lastRefTime"] >= times[-1]


@pytest.mark.parametrize(
    ("threshold", "unhealthy", "healthy_only", "ports", "reached"),
    [
        (0.0, 4, False, [1, 2, 3, 4], False),
        (0.0, 4, True, [], False),
        (0.5, 1, False, [1, 2, 3, 4], False),
        (0.5, 1, True, [2, 3, 4], False),
        (0.5, 2, False, [1, 2, 3, 4], True),
        (0.5, 2, True, [1, 2, 3, 4], True),
        (1.0, 0, True, [1, 2, 3, 4], True),
    ],
)
def test_too_few_healthy_ones_make_all_healthy(
    world: World, threshold: float, unhealthy: int, healthy_only: bool, ports: list[int], reached: bool
) -> None:
    for port in range(1, 5):
        world.register(Instance("h", port, healthy=port > unhealthy, ephemeral=False))
    world.listed()
    world.record(protect_threshold=threshold)
    found = world.listed(healthy_only=healthy_only)
    assert [h["port"] for h in found["hosts"]] == ports
    assert found["reachProtectionThreshold"] is reached
    assert [h["healthy"] for h in found["hosts"]] == [reached or p > unhealthy for p in ports]
    values = world.discovery.hosts(SCOPE, healthy_only=healthy_only)
    assert [(h.port, h.healthy) for h in values] == [(h["port"], h["healthy"]) for h in found["hosts"]]


def test_the_threshold_counts_the_clusters_asked_for(world: World) -> None:
    world.record(protect_threshold=0.5)
    world.register(Instance("h", 1, healthy=False, ephemeral=False, cluster="bad"))
    for port in (2, 3):
        world.register(Instance("h", port, ephemeral=False))
    assert world.ports(healthy_only=True) == [2, 3]
    assert world.ports("bad", healthy_only=True) == [1]


def test_one_change_costs_one_fragment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for port in range(1000):
        world.register(Instance("h", port))
    assert world.discovery.long(SCOPE)
    for _ in world.discovery.prepare(SCOPE):
        pass
    assert not world.discovery.long(SCOPE)
    encoded: list[Host] = []
    real = service_info.host
    monkeypatch.setattr(view_module.service_info, "host", lambda h: encoded.append(h) or real(h))
    assert len(world.ports()) == 1000
    assert not encoded
    world.register(Instance("h", 500, metadata={"v": "2"}))
    assert len(world.ports()) == len(world.ports("DEFAULT")) == 1000
    assert [h.port for h in encoded] == [500]


def test_lists_in_odd_variants_are_not_kept_for_ever(world: World) -> None:
    world.register(Instance("h", 1))
    first = world.discovery.info(SCOPE)
    for number in range(VARIANTS):
        world.discovery.info(SCOPE, f"c{number}")
    view = world.discovery.view(SCOPE)
    assert len(view._lists) == VARIANTS
    again = world.discovery.info(SCOPE)
    assert again == first
    assert again is not first


def test_what_is_read_is_kept_and_what_is_not_is_dropped(world: World) -> None:
    views = Views(world.registry)
    read, unread = ServiceKey("default", "a"), ServiceKey("default", "b")
    views.of(read, "DEFAULT_GROUP", "a")
    views.of(unread, "DEFAULT_GROUP", "b")
    world.clock.now_s += KEEP_S
    views.of(read, "DEFAULT_GROUP", "a")
    world.clock.now_s += 1
    views.sweep(world.clock.now_s)
    assert len(views) == 1


def test_a_service_may_have_two_names(world: World) -> None:
    """Where another protocol's ``g__s`` is not taken apart, it is also found as service ``g__s`` of the default group."""
    whole, apart = Scope("", "default", "DEFAULT_GROUP", "g__s"), Scope("", "default", "g", "s")
    world.discovery = Discovery(world.registry, lambda scope: ServiceKey("default", "g__s"))
    world.register(Instance("h", 1), apart)
    for change in ("1", "2"):
        world.register(Instance("h", 1, metadata={"v": change}), apart)
        for scope in (whole, apart):
            found = world.listed(scope=scope)
            assert found["name"] == found["hosts"][0]["serviceName"] == scope.grouped
            assert found["hosts"][0]["metadata"] == {"v": change}
    world.clock.now_s += KEEP_S
    world.listed(scope=whole)
    world.clock.now_s += 1
    world.discovery.sweep(world.clock.now_s)
    world.register(Instance("h", 2), apart)
    assert len(world.listed(scope=whole)["hosts"]) == len(world.listed(scope=apart)["hosts"]) == 2


def test_revisions_grow_with_the_service_only(world: World) -> None:
    world.register(Instance("h", 1))
    before = world.discovery.revision(SCOPE)
    world.register(Instance("h", 1), Scope("public", "default", "DEFAULT_GROUP", "other"))
    assert world.discovery.revision(SCOPE) == before
    world.register(Instance("h", 2))
    assert world.discovery.revision(SCOPE) > before


def test_clusters_of() -> None:
    assert clusters_of("") == clusters_of(",") == frozenset()
    assert clusters_of("a,,b") == {"a", "b"}


def test_too_few() -> None:
    assert not too_few(0, 0, 1.0)
    assert not too_few(0, 3, 0.0)
    assert too_few(0, 3, 0.01)


STEP = st.tuples(
    st.sampled_from(("register", "deregister", "foreign", "threshold")),
    st.integers(1, 4),
    st.sampled_from((None, "c1", "c2")),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=25))
def test_a_list_kept_in_step_equals_one_made_anew(steps: list[tuple[str, int, str | None, bool]]) -> None:
    world = World()
    for what, port, cluster, flag in steps:
        match what:
            case "register":
                world.register(Instance("h", port, cluster=cluster, enabled=flag, healthy=not flag or port > 2))
            case "deregister":
                world.deregister("h", port)
            case "foreign":
                world.foreign("h", port, metadata={"a": str(flag)})
            case _:
                world.record(protect_threshold=0.5 if flag else 0.0)
        for clusters in ("", "c1"):
            kept = world.listed(clusters, flag)
            anew = json.loads(Discovery(world.registry).info(SCOPE, clusters, flag, "v1"))
            key = lambda h: (h["port"], h["clusterName"])  # noqa: E731
            assert sorted(kept["hosts"], key=key) == sorted(anew["hosts"], key=key)
            assert kept["reachProtectionThreshold"] is anew["reachProtectionThreshold"]
