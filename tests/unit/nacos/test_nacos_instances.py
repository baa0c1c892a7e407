"""Instances to the core and back: lossless for their own readers, by the mapping for others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naming_bottle import IP, PORT, SERVICE, World, instance

from polaris_bridge.adapters.nacos.translate.instances import (
    checked,
    core_weight,
    hosts,
    lease,
    lift,
    native_pairs,
    overridden,
    own_host,
    times,
)
from polaris_bridge.adapters.nacos.translate.keys import Document, connection_of, grpc_key, http_key
from polaris_bridge.adapters.nacos.wire.messages import Host, Instance
from polaris_bridge.core.model import CRITICAL, Address, Checks, Lease, Location, Registration, Switch

texts = st.text(max_size=12)
clusters = st.sampled_from([None, "", "DEFAULT", "c1", "None"])
pairs = st.dictionaries(
    st.sampled_from(["a", "b.c", "internal-nacos-cluster", "secure", "preserved.heart.beat.interval"]) | texts, texts
)
weights = st.floats(-5, 10_000) | st.sampled_from([0.0, 0.001, 0.015, 0.5, 0.99, 1.0, 20_000.0])
sent = st.builds(
    Instance, ip=st.just(IP), port=st.just(PORT), weight=weights, healthy=st.booleans(), enabled=st.booleans(),
    ephemeral=st.booleans(), cluster=clusters, metadata=pairs, instance_id=st.sampled_from([None, "", "own"]),
)  # fmt: skip


def lifted(i: Instance, instance_id: str | None = "") -> Registration:
    liveness = lease(*times({})) if i.ephemeral else checked(i.healthy)
    return lift(i, "default", "orders", key="k", liveness=liveness, instance_id=i.instance_id or instance_id)


def seen(*registrations: Registration, switches: tuple[Switch, ...] = (), kind: bool | None = None) -> list[Host]:
    return list(hosts(Address(IP, PORT, "", registrations, switches), SERVICE, kind))


@given(sent)
def test_own_readers_get_what_was_sent(i: Instance) -> None:
    (host,) = seen(lifted(i), kind=i.ephemeral)
    cluster = i.cluster or "DEFAULT"
    said = "null" if i.cluster is None else i.cluster
    assert host.instance_id == (i.instance_id or f"{IP}#{PORT}#{said}#{SERVICE}")
    assert (host.weight, host.healthy, host.enabled, host.ephemeral) == (i.weight, i.healthy, i.enabled, i.ephemeral)
    assert (host.cluster, host.service_name) == (cluster, SERVICE)
    assert list(host.metadata.items()) == list(i.metadata.items())


@given(sent)
def test_other_protocols_get_no_internal_keys(i: Instance) -> None:
    r = lifted(i)
    assert not [key for key in r.metadata if key.startswith("internal-")]
    assert r.weight == core_weight(i.weight)
    assert (r.weight > 0) is (i.weight > 0)


@given(sent, st.none() | weights, st.none() | st.booleans(), st.none() | pairs)
def test_what_is_laid_over_can_be_taken_away(
    i: Instance, weight: float | None, enabled: bool | None, metadata: dict[str, str] | None
) -> None:
    plain = lifted(i)
    r = overridden(plain, weight, enabled, metadata)
    (host,) = seen(r, kind=i.ephemeral)
    assert host.weight == (i.weight if weight is None else weight)
    assert host.enabled == (i.enabled or enabled is True)
    assert host.metadata == {**i.metadata, **(metadata or {})}
    again = overridden(r, weight, enabled, metadata)
    assert again == r
    assert overridden(r, None, None, None) == plain


def test_an_id_may_be_left_out() -> None:
    assert seen(lifted(instance(), None))[0].instance_id is None


def test_keys() -> None:
    assert http_key("n", SERVICE, IP, 1).key == f"e|{SERVICE}|{IP}|1"
    assert http_key("n", SERVICE, IP, 1, ephemeral=False).key == f"p|{SERVICE}|{IP}|1"
    key = grpc_key("n", "1700_10.0.0.1_5", SERVICE, IP, 1, "c1")
    assert connection_of(key.key) == "1700_10.0.0.1_5"
    assert connection_of(http_key("n", SERVICE, IP, 1).key) == ""


# ---------------------------------------------------------------- of other protocols


def foreign(**members: Any) -> Registration:
    place = {"namespace": "default", "service": "orders", "host": IP, "port": PORT}
    return Registration(**{"source": "eureka", "key": "x"} | place | members)


FOREIGN: list[tuple[dict[str, Any], tuple[bool, bool, float]]] = [
    ({}, (True, True, 1.0)),
    ({"weight": 50}, (True, True, 0.5)),
    ({"weight": 1}, (True, True, 0.01)),
    ({"weight": 0}, (True, True, 0.0)),
    ({"reported": "down"}, (False, False, 1.0)),
    ({"reported": "starting"}, (True, False, 1.0)),
    ({"reported": "unknown"}, (True, False, 1.0)),
    ({"reported": "out_of_service"}, (True, False, 1.0)),
    ({"lost_ms": 5}, (False, True, 1.0)),
    ({"liveness": Checks({"a": CRITICAL})}, (False, True, 1.0)),
    ({"liveness": Checks({"a": "warning"})}, (True, True, 1.0)),
]
"""What another protocol registered -> healthy, enabled, weight."""


@pytest.mark.parametrize(("members", "said"), FOREIGN)
def test_states_of_other_protocols_instances(members: dict[str, Any], said: tuple[bool, bool, float]) -> None:
    (host,) = seen(foreign(**members))
    assert (host.healthy, host.enabled, host.weight) == said


def test_documents_of_other_protocols_instances() -> None:
    r = foreign(
        metadata={"a": "1", "internal-eureka-vip": "x"}, protocol="HTTPS", liveness=Lease(30_000, 90_000, 90_000),
        location=Location("r", "z"), version="1.2",
    )  # fmt: skip
    assert seen(r) == [
        Host(f"{IP}#{PORT}#DEFAULT#{SERVICE}", IP, PORT, 1.0, True, True, True, "DEFAULT", SERVICE, {"a": "1", "secure": "true"})
    ]  # fmt: skip
    assert seen(r, kind=False)[0].ephemeral is False
    assert seen(foreign(cluster="c1"))[0].cluster == "c1"


def test_several_of_another_protocol_are_one_entry() -> None:
    (host,) = seen(foreign(key="a", seq=1, metadata={"v": "1"}), foreign(key="b", seq=2, metadata={"v": "2"}))
    assert host.metadata == {"v": "2"}


def test_the_worst_word_of_others_counts() -> None:
    newer = foreign(source="polaris", seq=2)
    (host,) = seen(foreign(reported="starting", seq=1), newer)
    assert (host.healthy, host.enabled) == (True, False)


def test_own_readers_see_their_own() -> None:
    own = lifted(instance(metadata={"own": "1"}))
    (host,) = seen(own, foreign(reported="down", seq=9, created_ms=1))
    assert (host.metadata, host.healthy, host.enabled) == ({"own": "1"}, True, True)


def test_switches_withdraw_for_own_readers_too() -> None:
    own = lifted(instance())
    (host,) = seen(own, switches=(Switch("polaris", "", "out_of_service"),))
    assert (host.healthy, host.enabled) == (True, False)
    (host,) = seen(own, switches=(Switch("nacos", "k", "out_of_service"),))
    assert not host.enabled
    (host,) = seen(own, switches=(Switch("nacos", "another", "out_of_service"),))
    assert host.enabled


def test_what_a_switched_off_adapter_left_is_read_as_foreign() -> None:
    r = lifted(instance())
    bare = Registration(**{name: getattr(r, name) for name in r.__struct_fields__} | {"ext": b"?"})
    (host,) = seen(bare)
    assert (host.ip, host.weight) == (IP, 1.0)
    assert native_pairs(bare) == {}


def test_pairs_for_native_readers() -> None:
    r = lift(instance(cluster="c1"), "default", "orders", key="e|k", liveness=None, instance_id="")
    assert native_pairs(r) == {"internal-nacos-cluster": "c1", "internal-nacos-service": "orders"}
    world = World()
    world.register("g1@@a__b", world.connect("conn"))
    (address,) = world.registry.snapshot(world.key("g1@@a__b")).addresses.values()
    assert native_pairs(address.registrations[0]) == {
        "internal-nacos-cluster": "DEFAULT",
        "internal-nacos-service": "g1@@a__b",
        "internal-nacos-clientconnId": "conn",
    }


def test_secure_instances() -> None:
    r = lifted(instance(metadata={"secure": "true"}))
    assert r.protocol == "https"
    assert own_host(r, SERVICE, healthy=True, withdrawn=False).metadata == {"secure": "true"}
    assert lifted(instance()).protocol == ""


def test_documents_survive_the_store() -> None:
    world = World()
    world.register(weight=0.5, enabled=False, metadata={"a": "1", "internal-x": "y"}, cluster="c1")
    world.put(cluster="c1", weight=3.0, metadata={"b": "2"})
    before = world.all()
    world.restart()
    assert world.all() == before
    (address,) = world.registry.snapshot(world.key()).addresses.values()
    assert isinstance(address.registrations[0].ext, Document)
