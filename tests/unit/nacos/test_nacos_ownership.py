"""One instance, several protocols: Nacos, Eureka and native clients at the same addresses.

First the table of the mapping, line by line, and what crosses; then random lives of two gRPC connections, HTTP and another
protocol at one address, compared with the rules of ownership written down naively.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec import Struct
from naming_bottle import CALLER, IP, PORT, SERVICE, World, instance

from polaris_bridge.adapters.eureka.service import EurekaService
from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.eureka.wire.messages import MY_OWN, InstanceInfo, LeaseInfo, Port
from polaris_bridge.adapters.nacos.service.scope import Held
from polaris_bridge.adapters.nacos.translate.instances import native_pairs
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.registration import Registering as NativeRegistering
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.shown import instances as native_instances
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import AddressKey, Caller, Lease, Registration, RegistrationKey, ServiceKey, Switch
from polaris_bridge.core.ports import OpenDoor
from polaris_bridge.core.views import shown

EUREKA, NATIVE = Caller("eureka", "10.8.8.8"), Caller("polaris", "10.8.8.9")
UP, DOWN, OUT = "up", "down", "out_of_service"


class Trio(World):
    """A Nacos world with an Eureka and a native side."""

    def restart(self) -> None:
        super().restart()
        self.eureka = EurekaService(self.registry, EurekaSettings(), OpenDoor())
        index = InstanceIndex(self.registry)
        self.native = NativeRegistering(self.registry, PolarisSettings(), index)

    def eureka_registers(self, app: str = "ORDERS", **members: Any) -> None:
        given: dict[str, Any] = {
            "instance_id": "e1", "host_name": "h", "ip_addr": IP, "port": Port(PORT, True), "vip_address": app.lower(),
            "lease": LeaseInfo(30, 90), "data_center": MY_OWN, "metadata": {}, "last_dirty_ms": 1,
        } | members  # fmt: skip
        self.eureka.register("default", InstanceInfo(app=app, **given), EUREKA, False)
        self.queue.settle()

    def eureka_renews(self, app: str = "ORDERS") -> None:
        self.eureka.renew("default", app, "e1", None, None, False, EUREKA)
        self.queue.settle()

    def eureka_cancels(self) -> None:
        self.eureka.cancel("default", "ORDERS", "e1", EUREKA)
        self.queue.settle()

    def eureka_list(self) -> dict[str, tuple[str, Registration]]:
        """Word and registration by id."""
        return {
            f"{name}/{entry.id}": (entry.word, entry.registration)
            for name, application in self.eureka.view("default").applications.items()
            for entry in application.entries
        }

    def native_registers(self, service: str = "orders", **fields: Any) -> None:
        given: dict[str, Any] = {"service": service, "namespace": "default", "host": IP, "port": PORT} | fields
        plain = {k: v if isinstance(v, dict) else {"value": v} for k, v in given.items()}
        self.native.register(v1.Instance(**plain), NATIVE)
        self.queue.settle()

    def native_list(self, service: str = "orders") -> list[v1.Instance]:
        snapshot = self.registry.snapshot(ServiceKey("default", service))
        pairs = {"nacos": native_pairs}
        return [
            message
            for address in snapshot.addresses.values()
            for _, message in native_instances(address, pairs, discovered=False)
        ]


@pytest.fixture
def trio() -> Trio:
    return Trio()


# ---------------------------------------------------------------- what crosses


def test_a_nacos_instance_seen_by_the_others(trio: Trio) -> None:
    service = "g1@@a__b"
    trio.register(service, cluster="c1", weight=0.5, enabled=False, metadata={"x.y": "1"})
    (native,) = trio.native_list("g1__a__b")
    assert (native.host.value, native.port.value, native.weight.value) == (IP, PORT, 50)
    assert (native.isolate.value, native.healthy.value) == (True, True)
    assert native.health_check.heartbeat.ttl.value == 5
    assert dict(native.metadata) == {
        "x.y": "1",
        "internal-nacos-cluster": "c1",
        "internal-nacos-service": service,
        "internal-register-from": "nacos",
    }
    ((id, (word, r)),) = trio.eureka_list().items()
    assert id == f"G1__A__B/{IP}:g1__a__b:{PORT}"
    assert (word, r.metadata) == (OUT, {"x.y": "1"})
    host = trio.one(service)
    assert (host.cluster, host.weight, host.enabled, host.metadata) == ("c1", 0.5, False, {"x.y": "1"})


def test_a_connections_id_is_shown_natively(trio: Trio) -> None:
    trio.register(held=trio.connect("conn-1"))
    (native,) = trio.native_list()
    assert native.metadata["internal-nacos-clientconnId"] == "conn-1"
    assert not native.HasField("health_check")


def test_two_services_that_read_alike_natively(trio: Trio) -> None:
    trio.register("DEFAULT_GROUP@@a__b", port=1)
    trio.register("a@@b", port=2)
    assert [m.port.value for m in trio.native_list("DEFAULT_GROUP__a__b")] == [1]
    assert [m.port.value for m in trio.native_list("a__b")] == [2]
    trio.native_registers("a__b", port=3)
    assert [h.port for h in trio.list("a@@b")] == [2, 3]
    assert [h.port for h in trio.list("DEFAULT_GROUP@@a__b")] == [1]


def test_a_native_instance_seen_by_nacos(trio: Trio) -> None:
    trio.native_registers(weight=50, isolate=True, metadata={"a": "1"}, protocol="https", version="1.0")
    host = trio.one()
    assert (host.weight, host.enabled, host.healthy, host.ephemeral) == (0.5, False, True, True)
    assert host.metadata == {"a": "1", "secure": "true"}
    assert host.instance_id == f"{IP}#{PORT}#DEFAULT#{SERVICE}"
    trio.native_registers(weight=50, isolate=False)
    assert trio.list()[0].weight == 0.5


def test_a_native_instance_that_falls_silent(trio: Trio) -> None:
    trio.native_registers(health_check={"type": 1, "heartbeat": {"ttl": {"value": 5}}})
    trio.pass_time(18)
    (host,) = trio.list()
    assert (host.healthy, host.enabled) == (False, True)


@pytest.mark.parametrize(
    ("status", "healthy", "enabled"),
    [("UP", True, True), ("DOWN", False, False), ("STARTING", True, False), ("OUT_OF_SERVICE", True, False)],
)
def test_an_eureka_instance_seen_by_nacos(trio: Trio, status: str, healthy: bool, enabled: bool) -> None:
    trio.eureka_registers(status=status, metadata={"a": "1"})
    host = trio.one()
    assert (host.healthy, host.enabled, host.metadata, host.weight) == (healthy, enabled, {"a": "1"}, 1.0)
    assert trio.services() == ["orders"]


def test_spring_names_keep_their_case(trio: Trio) -> None:
    trio.eureka_registers("USERSERVICE", vip_address="UserService")
    assert trio.services() == ["UserService"]
    assert len(trio.list("DEFAULT_GROUP@@UserService")) == 1


def test_a_nacos_instance_that_says_it_is_unhealthy(trio: Trio) -> None:
    trio.register(held=trio.connect(), healthy=False)
    assert [word for word, _ in trio.eureka_list().values()] == [DOWN]
    (native,) = trio.native_list()
    assert (native.healthy.value, native.isolate.value) == (False, True)
    trio.register("DEFAULT_GROUP@@kept", ephemeral=False, healthy=False)
    (native,) = trio.native_list("kept")
    assert (native.healthy.value, native.isolate.value) == (False, False), "a failing check isolates nobody"


# ---------------------------------------------------------------- the table


def test_registered_twice_seen_once_by_everybody(trio: Trio) -> None:
    trio.eureka_registers(metadata={"from": "eureka"})
    trio.register(metadata={"from": "nacos"})
    trio.native_registers(metadata={"from": "native"})
    assert trio.one().metadata == {"from": "nacos"}
    assert [r.metadata for _, r in trio.eureka_list().values()] == [{"from": "eureka"}]
    assert [m.metadata["from"] for m in trio.native_list()] == ["native"]


def test_others_follow_whose_document_changed_last(trio: Trio) -> None:
    trio.register(metadata={"v": "1"})
    trio.eureka_registers(metadata={"from": "eureka"})
    assert [m.metadata.get("from") for m in trio.native_list()] == ["eureka"]
    trio.register(metadata={"v": "1"})
    assert [m.metadata.get("from") for m in trio.native_list()] == ["eureka"], "registered again, unchanged"
    trio.register(metadata={"v": "2"})
    assert [m.metadata.get("v") for m in trio.native_list()] == ["2"]


def test_silence_in_one_protocol_proves_nothing(trio: Trio) -> None:
    trio.register(metadata={"from": "nacos"})
    trio.eureka_registers(metadata={"from": "eureka"})
    trio.pass_time(20, trio.eureka_renews)
    host = trio.one()
    assert host.healthy
    assert host.metadata == {"from": "eureka"}, "as a foreign one, without a gap"
    trio.beat()
    assert trio.one().metadata == {"from": "nacos"}
    trio.pass_time(35, trio.eureka_renews)
    assert trio.one().metadata == {"from": "eureka"}
    assert trio.beat().code == 20404


def test_a_beat_where_only_another_registered(trio: Trio) -> None:
    trio.eureka_registers()
    assert trio.beat().code == 20404
    assert trio.nacos.registering.counters.strangers == 1


def test_deregistering_where_only_another_registered(trio: Trio) -> None:
    trio.eureka_registers()
    trio.deregister()
    trio.deregister(held=trio.connect())
    assert len(trio.list()) == 1
    assert trio.nacos.registering.counters.ignored == 2


def test_deregistering_shows_the_others(trio: Trio) -> None:
    trio.register(metadata={"from": "nacos"})
    trio.eureka_registers(metadata={"from": "eureka"})
    trio.deregister()
    assert trio.one().metadata == {"from": "eureka"}


def test_an_operators_delete_ends_everything(trio: Trio) -> None:
    held = trio.connect()
    trio.register(held=held)
    trio.register()
    trio.eureka_registers()
    trio.registry.delete_address(trio.key(), AddressKey(IP, PORT), CALLER)
    trio.queue.settle()
    assert trio.all() == []
    trio.register(held=held)
    assert len(trio.list()) == 1, "it may come back by its own rules"


def test_eureka_down_and_nacos_healthy(trio: Trio) -> None:
    trio.eureka_registers(status="DOWN")
    trio.register()
    assert trio.one().healthy
    assert [word for word, _ in trio.eureka_list().values()] == [DOWN]
    (native,) = trio.native_list()
    assert (native.healthy.value, native.isolate.value) == (False, True)


def test_isolated_natively_while_enabled_here(trio: Trio) -> None:
    trio.native_registers(isolate=True)
    trio.register(enabled=True)
    assert trio.list() == []
    trio.put(enabled=True, weight=1.0)
    assert trio.list() == [], "released by the protocol that set it alone"
    trio.native_registers(isolate=False)
    assert len(trio.list()) == 1


def test_a_lost_connection_while_eureka_renews(trio: Trio) -> None:
    held = trio.connect()
    trio.eureka_registers(metadata={"from": "eureka"})
    trio.register(held=held, metadata={"from": "nacos"})
    seen: list[int] = []
    trio.registry.observe(lambda _: seen.append(len(trio.list())))
    trio.break_off(held)
    assert seen == [1], "no empty list in between"
    assert trio.one().metadata == {"from": "eureka"}


def test_a_lost_connection_alone(trio: Trio) -> None:
    held = trio.connect()
    trio.register(held=held)
    trio.break_off(held)
    assert trio.all() == []
    assert trio.native_list() == []
    assert trio.eureka_list() == {}


def test_others_in_a_persistent_service(trio: Trio) -> None:
    trio.register(ephemeral=False)
    trio.eureka_registers(ip_addr="10.0.0.2")
    assert [(h.ip, h.ephemeral) for h in trio.all()] == [(IP, False), ("10.0.0.2", False)]
    with pytest.raises(Refused, match="persistent service"):
        trio.register(port=81)
    trio.pass_time(95)
    assert [h.ip for h in trio.all()] == [IP], "ruled by its own lease"


def test_isolated_natively_through_a_reconnect(trio: Trio) -> None:
    held = trio.connect("1")
    r_key = RegistrationKey("nacos", "default", f"1|{SERVICE}|{IP}|{PORT}|DEFAULT")
    trio.register(held=held)
    assert trio.registry.registration(r_key) is not None
    trio.registry.switch(trio.key(), AddressKey(IP, PORT), Switch("polaris", "", OUT), NATIVE)
    trio.queue.settle()
    trio.break_off(held)
    trio.pass_time(20)
    trio.register(held=trio.connect("2"))
    assert trio.list() == []


# ---------------------------------------------------------------- random lives at one address


class Said(Struct):
    """What somebody says of the address just now. ``at_s``: the last sign of life."""

    note: str
    cluster: str
    enabled: bool
    order: int
    at_s: float = 0.0
    lost: bool = False


CONNECTIONS = ("c1", "c2")
CLUSTERS = st.sampled_from(["DEFAULT", "DEFAULT", "blue"])
WHO = st.sampled_from(CONNECTIONS)
LINGER_S = 60
SLACK_S = 2.01
"""A lease ends within this after its time, never before."""


class Lives(RuleBasedStateMachine):
    """Two gRPC connections, an HTTP client and another protocol at one address; a naive server beside."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.order = 0
        self.connections: dict[str, Held] = {}
        self.epoch = 0
        self.held: dict[str, Said] = {}
        self.http: Said | None = None
        self.other: Said | None = None
        self.disabled: dict[str, bool] = {}
        """By cluster, while the override lives."""
        self.empty_s: float | None = None
        for name in CONNECTIONS:
            self.connect(name)

    def connect(self, name: str) -> None:
        self.epoch += 1
        self.connections[name] = self.world.connect(f"{name}-{self.epoch}")

    def said(self, cluster: str, enabled: bool) -> Said:
        self.order += 1
        return Said(str(self.order), cluster, enabled, self.order, self.now_s)

    @property
    def now_s(self) -> float:
        return self.world.clock.now_s

    # -------------------------------------------------------------- clients

    @rule(who=WHO, cluster=CLUSTERS, enabled=st.booleans())
    def registers(self, who: str, cluster: str, enabled: bool) -> None:
        said = self.held[who] = self.said(cluster, enabled)
        self.world.register(held=self.connections[who], cluster=cluster, enabled=enabled, metadata={"n": said.note})

    @rule(who=WHO, enabled=st.booleans())
    def publishes_a_batch(self, who: str, enabled: bool) -> None:
        said = self.held[who] = self.said("DEFAULT", enabled)
        here = instance(enabled=enabled, cluster="", metadata={"n": said.note})
        self.world.batch(self.connections[who], here, instance("10.0.0.9", 9))

    @rule(who=WHO, elsewhere=st.booleans())
    def deregisters(self, who: str, elsewhere: bool) -> None:
        self.held.pop(who, None)
        self.world.deregister(held=self.connections[who], ip="10.7.7.7" if elsewhere else IP)

    @rule(who=WHO)
    def breaks_off(self, who: str) -> None:
        self.held.pop(who, None)
        self.world.break_off(self.connections[who])
        self.connect(who)

    @rule(cluster=CLUSTERS, enabled=st.booleans())
    def http_registers(self, cluster: str, enabled: bool) -> None:
        self.http = self.said(cluster, enabled)
        self.world.register(cluster=cluster, enabled=enabled, metadata={"n": self.http.note})

    @rule()
    def http_beats(self) -> None:
        assert self.world.beat().code == (20404 if self.http is None else 10200)
        if self.http is not None:
            self.http.at_s, self.http.lost = self.now_s, False

    @rule()
    def http_deregisters(self) -> None:
        self.http = None
        self.world.deregister(cluster="whatever")

    @rule()
    def the_other_registers(self) -> None:
        self.other = self.said("DEFAULT", True)
        self.world.foreign(metadata={"n": self.other.note}, liveness=Lease(30_000, 90_000, 90_000, False))

    @rule()
    def the_other_leaves(self) -> None:
        if self.other is not None:
            self.other = None
            self.world.leave(Registration("other", "default", "f1", "orders", IP, PORT))

    # -------------------------------------------------------------- operators and time

    @rule(cluster=CLUSTERS, enabled=st.booleans())
    def operator(self, cluster: str, enabled: bool) -> None:
        if self.candidates():
            self.world.put(cluster=cluster, enabled=enabled)
            self.disabled[cluster] = not enabled

    @rule(seconds=st.sampled_from([1, 4, 9, 16, 62]))
    def time_passes(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.pass_time(1)
            self.wither()

    def wither(self) -> None:
        """What time ends. A lease may end a little late: then what the server does is right."""
        keys = {
            r.key: r
            for a in self.world.registry.snapshot(self.world.key()).addresses.values()
            if a.host == IP
            for r in a.registrations
        }
        if self.http is not None:
            r = keys.get(f"e|{SERVICE}|{IP}|{PORT}")
            silent = self.now_s - self.http.at_s
            if r is None:
                assert silent >= 30
                self.http = None
            else:
                assert silent <= 30 + SLACK_S
                assert not r.live if silent > 15 + SLACK_S else r.live or silent >= 15 or self.http.lost
                self.http.lost = not r.live
        if self.other is not None and "f1" not in keys:
            assert self.now_s - self.other.at_s >= 90
            self.other = None
        if not self.candidates() and self.empty_s is None:
            self.empty_s = self.now_s

    @rule()
    def restart(self) -> None:
        before = self.world.all()
        self.world.restart()
        assert self.world.all() == before
        for said in (self.http, self.other):
            if said is not None:
                said.at_s = self.now_s
        self.empty_s = None
        for name, held in self.connections.items():
            self.world.registry.open_session(held.id)  # as if it had never been gone
            self.connections[name] = Held(held.id, held.client_ip, held.client_port, held.published)

    # -------------------------------------------------------------- the rules, naively

    def candidates(self) -> list[Said]:
        return [*self.held.values(), *([self.http] if self.http else []), *([self.other] if self.other else [])]

    def expected(self) -> dict[str, tuple[str, bool]]:
        """(note, healthy) by cluster, of all instances at the address, the disabled too."""
        own = [*self.held.values(), *([self.http] if self.http is not None else [])]
        live = [s for s in own if not s.lost]
        if live or (own and self.other is None):
            found: dict[str, Said] = {}
            for s in sorted(own, key=lambda s: (not s.lost, s.order)):
                found[s.cluster] = s
            return {cluster: (s.note, not s.lost) for cluster, s in found.items()}
        return {"DEFAULT": (self.other.note, True)} if self.other is not None else {}

    @invariant()
    def nacos_readers_see_the_rules(self) -> None:
        found = {h.cluster: (h.metadata.get("n"), h.healthy) for h in self.world.all() if h.ip == IP}
        assert found == self.expected()
        for h in self.world.all():
            assert h.instance_id is not None
            assert (h.service_name, h.ephemeral) == (SERVICE, True)

    @invariant()
    def where_somebody_lives_something_is_shown_to_all(self) -> None:
        for address in self.world.registry.snapshot(self.world.key()).addresses.values():
            for reader in ("polaris", "eureka", "nacos"):
                found = shown(address, reader)
                if any(r.live for r in address.registrations):
                    assert found
                    assert all(s.live for s in found)

    @invariant()
    def who_disabled_it_is_obeyed(self) -> None:
        """As long as something stands there; a vanished one's override may be gone after a minute."""
        if not self.candidates():
            return
        if self.empty_s is not None:
            if self.now_s - self.empty_s > LINGER_S - SLACK_S:
                documents = self.world.registry.documents.all("nacos-override")
                if not documents:
                    self.disabled.clear()
            self.empty_s = None
        for h in self.world.all():
            if h.ip != IP or h.metadata.get("n") is None:
                continue
            said = next(s for s in self.candidates() if s.note == h.metadata["n"])
            override = self.disabled.get(h.cluster)
            if said is self.other:
                continue  # which clusters' switches act on another protocol's instance is told elsewhere
            assert h.enabled is (said.enabled if override is None else not override)


SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
Lives.TestCase.settings = settings(
    max_examples=1000 if SOAK else 40,
    stateful_step_count=60 if SOAK else 40,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLives = pytest.mark.timeout(0 if SOAK else 120)(Lives.TestCase)
