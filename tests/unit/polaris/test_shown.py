"""What native readers see of an instance: as polaris-server 1.19 showed it, and across protocols by the mapping's tables."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from native import BEATING, HOST, ID, PORT, instance
from reading import Reader, eureka_info

from polaris_bridge.adapters.eureka.settings import EurekaSettings
from polaris_bridge.adapters.eureka.translate import render_foreign
from polaris_bridge.adapters.eureka.wire.messages import AMAZON_CLASS, DataCenterInfo, LeaseInfo, Port
from polaris_bridge.adapters.polaris.translate.instances import lift
from polaris_bridge.adapters.polaris.translate.shown import instances
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Address, Checks, Lease

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
RECORDED = [
    (
        """id { value: "my-own-id" } service { value: "probe" } namespace { value: "default" } host { value: "127.0.0.1" }
        port { value: 81 }""",
        """id { value: "my-own-id" } service { value: "probe" } namespace { value: "default" } host { value: "127.0.0.1" }
        port { value: 81 } weight { value: 100 } healthy { value: true } isolate { }""",
    ),
    (
        """service { value: "probe-1795358004" } namespace { value: "default" } host { value: "127.0.0.1" }
        port { value: 8080 } protocol { value: "grpc" } version { value: "1.0" } weight { value: 100 }
        health_check { type: HEARTBEAT heartbeat { ttl { value: 5 } } } metadata { key: "a" value: "b" }
        enable_health_check { value: true }""",
        """id { value: "dc40bad70ec2ecbb899658bfbf4fcef581d219e7" } service { value: "probe-1795358004" }
        namespace { value: "default" } host { value: "127.0.0.1" } port { value: 8080 } protocol { value: "grpc" }
        version { value: "1.0" } weight { value: 100 } health_check { type: HEARTBEAT heartbeat { ttl { value: 5 } } }
        healthy { value: true } isolate { } metadata { key: "a" value: "b" } metadata { key: "protocol" value: "grpc" }
        metadata { key: "version" value: "1.0" } enable_health_check { value: true }""",
    ),
    (
        """service { value: "go-driver-357818285" } namespace { value: "default" } host { value: "127.0.0.1" }
        port { value: 7001 } protocol { value: "http" } version { value: "v1" } weight { value: 100 }
        health_check { type: HEARTBEAT heartbeat { ttl { value: 2 } } }
        location { region { value: "r1" } zone { value: "z1" } campus { value: "c1" } }
        metadata { key: "k" value: "v" } metadata { key: "env" value: "v1" } service_token { }""",
        """id { value: "b69bc15df64defde53666a4da0c5485d3ff6db57" } service { value: "go-driver-357818285" }
        namespace { value: "default" } host { value: "127.0.0.1" } port { value: 7001 } protocol { value: "http" }
        version { value: "v1" } weight { value: 100 } health_check { type: HEARTBEAT heartbeat { ttl { value: 2 } } }
        healthy { value: true } isolate { }
        location { region { value: "r1" } zone { value: "z1" } campus { value: "c1" } }
        metadata { key: "campus" value: "c1" } metadata { key: "env" value: "v1" } metadata { key: "k" value: "v" }
        metadata { key: "protocol" value: "http" } metadata { key: "region" value: "r1" }
        metadata { key: "version" value: "v1" } metadata { key: "zone" value: "z1" } enable_health_check { value: true }""",
    ),
    (
        """service { value: "hp" } namespace { value: "default" } host { value: "10.0.0.1" } port { value: 80 }
        location { region { value: "r" } } metadata { key: "m" value: "1" } priority { } vpc_id { value: "v" }""",
        """id { value: "ID" } service { value: "hp" } namespace { value: "default" } vpc_id { value: "v" }
        host { value: "10.0.0.1" } port { value: 80 } priority { } weight { value: 100 } healthy { value: true } isolate { }
        location { region { value: "r" } } metadata { key: "campus" value: "" } metadata { key: "m" value: "1" }
        metadata { key: "region" value: "r" } metadata { key: "zone" value: "" }""".replace(
            "ID", hashlib.sha1(b"default##hp##v##10.0.0.1##80").hexdigest()
        ),
    ),
]


@pytest.fixture
def server() -> Reader:
    return Reader()


@pytest.mark.parametrize(("registered", "shown"), RECORDED)
def test_instances_are_shown_as_recorded(registered: str, shown: str) -> None:
    server = Reader()
    message = text_format.Parse(registered, v1.Instance())
    server.register(message)
    [found] = server.instances(message.service.value).values()
    assert len(found.revision.value) == 32
    assert len(found.ctime.value) == len(found.mtime.value) == len("2026-11-22 14:33:24")
    for field in ("revision", "ctime", "mtime"):
        found.ClearField(field)
    assert found == text_format.Parse(shown, v1.Instance())


def test_only_discover_adds_labels(server: Reader) -> None:
    server.register(version="v1", protocol="http", location={"zone": {"value": "z"}}, metadata={"a": "b"})
    assert dict(server.instances()[ID].metadata) == {
        "a": "b", "version": "v1", "protocol": "http", "region": "", "zone": "z", "campus": "",
    }  # fmt: skip
    listed = server.shown()[ID]
    assert dict(listed.metadata) == {"a": "b"}
    assert listed.revision == server.instances()[ID].revision


@pytest.mark.parametrize(("given_s", "shown_s"), [(0, 5), (1, 1), (60, 60), (61, 60), (3600, 60)])
def test_a_ttl_above_sixty_is_shown_as_sixty(server: Reader, given_s: int, shown_s: int) -> None:
    server.register(health_check={"type": 1, "heartbeat": {"ttl": {"value": given_s}}})
    assert server.instances()[ID].health_check.heartbeat.ttl.value == shown_s


def test_silence_shows_when_the_last_heartbeat_was(server: Reader) -> None:
    server.register(health_check=BEATING, metadata={"a": "b"})
    server.pass_time(10)
    server.beat()
    beaten_ms = server.clock.now_ms
    server.pass_time(10)
    assert "internal-lastheartbeat" not in server.instances()[ID].metadata
    before = server.revision()
    server.pass_time(10)
    silent = server.instances()[ID]
    assert not silent.healthy.value
    assert abs(int(silent.metadata["internal-lastheartbeat"]) - beaten_ms // 1000) <= 1
    assert server.revision() != before
    server.beat()
    assert dict(server.instances()[ID].metadata) == {"a": "b"}
    assert server.revision() == before


def test_internal_keys_of_own_instances_come_back(server: Reader) -> None:
    server.register(metadata={"internal-healthcheck_path": "/h", "a": "b"})
    assert dict(server.instances()[ID].metadata) == {"internal-healthcheck_path": "/h", "a": "b"}


def test_ids_at_one_address_live_and_die_apart(server: Reader) -> None:
    """As on a real server: the silent one stays in the list beside the other."""
    for id in ("a", "b"):
        server.register(id=id, health_check=BEATING)
    for _ in range(20):
        server.pass_time(1)
        server.beat(id="a")
    assert server.health() == {"a": (True, False), "b": (False, False)}
    assert {i: m.healthy.value for i, m in server.instances().items()} == {"a": True, "b": False}
    server.switch("polaris", "b")
    assert server.health() == {"a": (True, False), "b": (False, True)}
    server.switch("nacos")
    assert server.health() == {"a": (True, True), "b": (False, True)}


# ---------------------------------------------------------------- revisions


def test_revisions_are_of_the_content(server: Reader) -> None:
    server.register(metadata={"a": "1", "b": "2"}, health_check=BEATING)
    server.register(port=81)
    first, of_one = server.revision(), server.instances()[ID].revision.value
    server.pass_time(2)
    server.register(metadata={"b": "2", "a": "1"}, health_check=BEATING)
    server.beat()
    assert (server.revision(), server.instances()[ID].revision.value) == (first, of_one)
    server.restart()
    assert (server.revision(), server.instances()[ID].revision.value) == (first, of_one)
    server.register(metadata={"a": "1", "b": "3"}, health_check=BEATING)
    assert server.revision() != first
    server.register(metadata={"a": "1", "b": "2"}, health_check=BEATING)
    assert server.revision() == first
    server.switch("polaris", ID)
    assert server.revision() != first
    server.switch("polaris", ID, on=False)
    assert server.revision() == first


def test_the_order_of_registrations_does_not_matter() -> None:
    revisions = set()
    for ports in ((1, 2, 3), (3, 1, 2), (2, 3, 1, 1)):
        server = Reader()
        for port in ports:
            server.register(port=port)
        revisions.add(server.revision())
    assert len(revisions) == 1


# ---------------------------------------------------------------- other protocols


def test_an_eureka_instance_is_shown_as_polarismesh_keeps_it(server: Reader) -> None:
    info = eureka_info(
        metadata={"zone": "z1", "a": "b", "internal-register-from": "forged", "internal-eureka-vip": "forged"},
        app_group_name="GROUP",
        secure_vip_address="orders",
        home_page_url="http://host/",
        status_page_url="http://host/info",
    )
    server.eureka(info)
    [found] = server.instances().values()
    assert found.id.value == ID == hashlib.sha1(f"default##orders##{HOST}##{PORT}".encode()).hexdigest()
    assert dict(found.metadata) == {
        "a": "b",
        "zone": "z1",
        "region": "",
        "campus": "",
        "protocol": "http",
        "internal-register-from": "eureka",
        "internal-eureka-instance-id": "host:orders:8080",
        "internal-eureka-app-group": "GROUP",
        "internal-eureka-hostname": "host",
        "internal-eureka-renewal-interval": "30",
        "internal-eureka-duration": "90",
        "internal-eureka-home-url": "http://host/",
        "internal-eureka-status-url": "http://host/info",
        "internal-eureka-health-url": "http://host:9090/actuator/health",
        "internal-eureka-vip": "orders",
        "internal-eureka-secure-vip": "orders",
        "internal-eureka-insecure-port": "8080",
        "internal-eureka-insecure-port-enabled": "true",
        "internal-eureka-secure-port": "443",
        "internal-eureka-secure-port-enabled": "false",
        "internal-eureka-status": "UP",
        "internal-eureka-overriddenStatus": "UNKNOWN",
    }
    assert (found.healthy.value, found.isolate.value, found.weight.value) == (True, False, 100)
    assert found.health_check.heartbeat.ttl.value == 30
    assert found.location.zone.value == "z1"


def test_what_is_not_usual_of_an_eureka_instance_has_keys_of_its_own(server: Reader) -> None:
    info = eureka_info(
        country_id=49,
        data_center=DataCenterInfo("Amazon", AMAZON_CLASS, {"availability-zone": "eu-1a"}),
        lease=LeaseInfo(200, 900),
        port=Port(8080, False),
        secure_port=Port(8443, True),
    )
    server.eureka(info, word="starting", replicated=True)
    [found] = server.instances().values()
    expected = {
        "internal-eureka-country-id": "49",
        "internal-eureka-dci-clazz": AMAZON_CLASS,
        "internal-eureka-dci-name": "Amazon",
        "internal-eureka-replicate": "true",
        "internal-eureka-status": "STARTING",
        "protocol": "https",
        "zone": "eu-1a",
    }
    assert expected.items() <= dict(found.metadata).items()
    assert (found.port.value, found.health_check.heartbeat.ttl.value) == (8443, 60)
    assert (found.healthy.value, found.isolate.value) == (True, True)


@pytest.mark.parametrize(
    ("word", "health"),
    [
        ("up", (True, False)),
        ("down", (False, True)),
        ("starting", (True, True)),
        ("unknown", (True, True)),
        ("out_of_service", (True, True)),
    ],
)
def test_other_protocols_words(server: Reader, word: str, health: tuple[bool, bool]) -> None:
    server.foreign(reported=word)
    assert server.health() == {ID: health}


def test_silence_in_another_protocol_is_unhealthy_and_not_isolated(server: Reader) -> None:
    server.foreign(liveness=Lease(5_000, 15_000, 0))
    server.pass_time(16)
    assert server.health() == {ID: (False, False)}
    server.foreign(liveness=Checks({"ping": "critical"}))
    assert server.health() == {ID: (False, False)}
    server.foreign(liveness=Checks({"ping": "warning"}))
    assert server.health() == {ID: (True, False)}
    server.foreign(liveness=Checks({"ping": "critical"}), reported="starting")
    assert server.health() == {ID: (False, True)}


def test_a_switch_of_any_protocol_isolates(server: Reader) -> None:
    server.foreign()
    for source in ("nacos", "polaris", "consul"):
        server.switch(source)
        assert server.health() == {ID: (True, True)}, source
        server.switch(source, on=False)
        assert server.health() == {ID: (True, False)}


def test_who_says_no_traffic_once_is_believed(server: Reader) -> None:
    server.eureka(word="down")
    server.foreign("nacos")
    [found] = server.instances().values()
    assert found.metadata["internal-register-from"] == "nacos"
    assert (found.healthy.value, found.isolate.value) == (False, True)


def test_weights_are_shown_as_they_are(server: Reader) -> None:
    server.foreign(weight=1_000_000)
    assert server.instances()[ID].weight.value == 1_000_000
    server.foreign(weight=0)
    assert server.instances()[ID].HasField("weight")


def test_a_second_instance_of_another_protocol_has_an_id_of_its_own(server: Reader) -> None:
    for key in ("k1", "k2"):
        server.foreign(key=key)
    second = hashlib.sha1(f"default##orders##{HOST}##{PORT}##nacos##k2".encode()).hexdigest()
    assert set(server.instances()) == {ID, second}


def test_a_native_registration_takes_the_place_of_the_foreign_one_and_gives_it_back(server: Reader) -> None:
    server.eureka()
    foreign = server.instances()[ID]
    server.register(metadata={"mine": "1"})
    own = server.instances()
    assert list(own) == [ID]
    assert dict(own[ID].metadata) == {"mine": "1"}
    server.deregister()
    assert dict(server.instances()[ID].metadata) == dict(foreign.metadata)


def test_eureka_readers_see_a_native_instance(server: Reader) -> None:
    server.register(protocol="https", version="v1", metadata={"a": "b", "internal-x": "y"}, port=8443)
    [r] = server.registry.snapshot(server.place[0]).addresses[server.place[1]._replace(port=8443)].registrations
    info = render_foreign(r, "id", "up", "ADDED", EurekaSettings())
    assert info.metadata == {"a": "b"}
    assert (info.secure_port, info.ip_addr, info.app) == (Port(8443, True), HOST, "ORDERS")


# ---------------------------------------------------------------- any instance


@st.composite
def natives(draw: st.DrawFn) -> v1.Instance:
    """Instances that a server accepts."""
    fields: dict[str, Any] = {
        "host": draw(st.sampled_from(["10.0.0.1", "::1", "host.example"])),
        "port": draw(st.integers(0, 65535)),
        "protocol": draw(st.none() | TEXTS),
        "version": draw(st.none() | TEXTS),
        "weight": draw(st.none() | st.integers(0, 65535)),
        "priority": draw(st.none() | st.integers(0, 9)),
        "logic_set": draw(st.none() | TEXTS),
        "vpc_id": draw(st.none() | TEXTS),
    }
    m = instance(**fields)
    m.metadata.update(draw(st.dictionaries(TEXTS, TEXTS, max_size=4)))
    if draw(st.booleans()):
        m.health_check.heartbeat.ttl.value = draw(st.integers(1, 60))
    for part in draw(st.sets(st.sampled_from(["region", "zone", "campus"]))):
        getattr(m.location, part).value = draw(TEXTS)
    return m


@given(natives())
def test_a_native_instance_is_shown_as_it_was_described(m: v1.Instance) -> None:
    r = lift(m)
    [(shown, found)] = instances(Address(r.host, r.port, r.vpc, (r,)), {}, discovered=False)
    assert (shown.own, found.healthy.value, found.isolate.value) == (True, True, False)
    assert dict(found.metadata) == dict(m.metadata)
    for field in ("service", "namespace", "host", "port", "protocol", "version", "priority", "logic_set", "vpc_id"):
        assert getattr(found, field).value == getattr(m, field).value
    assert found.weight.value == (m.weight.value if m.HasField("weight") else 100)
    assert found.HasField("priority") is m.HasField("priority")
    assert found.health_check.heartbeat.ttl.value == m.health_check.heartbeat.ttl.value
    assert lift(found).location == r.location
    assert found.HasField("location") is m.HasField("location")
    again = lift(found)
    assert (again.metadata, again.ext.internal, again.version, again.location) == (
        r.metadata, r.ext.internal, r.version, r.location,
    )  # fmt: skip
    [(_, labelled)] = instances(Address(r.host, r.port, r.vpc, (r,)), {}, discovered=True)
    labels = {"version": r.version, "protocol": r.protocol}
    if m.HasField("location"):
        labels |= {"region": r.location.region, "zone": r.location.zone, "campus": r.location.campus}
    kept = {key: value for key, value in labels.items() if value or key not in ("version", "protocol")}
    assert dict(labelled.metadata) == dict(m.metadata) | kept
    assert labelled.revision == found.revision


def test_any_port_and_weight_of_another_protocol_can_be_shown(server: Reader) -> None:
    server.foreign(key="k1", port=-1, weight=-5)
    server.foreign(key="k2", port=2**40, weight=2**40)
    assert {(m.port.value, m.weight.value) for m in server.instances().values()} == {(2**32 - 1, 0), (0, 2**32 - 1)}
