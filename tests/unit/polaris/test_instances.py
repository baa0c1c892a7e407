"""Instance messages: whatever is accepted is lifted, and shown natively as it was sent."""

from __future__ import annotations

import sys
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from messages import messages
from native import BEATING, instance

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate import instances
from polaris_bridge.adapters.polaris.translate.instances import OK, check, check_named, id_of, lift
from polaris_bridge.adapters.polaris.translate.keys import Document, Marks
from polaris_bridge.adapters.polaris.translate.shown import instances as shown_at
from polaris_bridge.adapters.polaris.wire import codes, v1
from polaris_bridge.core.model import OUT_OF_SERVICE, Address, Lease, Registration, Switch
from polaris_bridge.core.ports import REGISTRATION, ExtTypes, Row
from polaris_bridge.storage.documents import Reader, columns

SETTINGS = PolarisSettings()
WORD = st.text(alphabet="abc-._/:09", min_size=1, max_size=12)
TEXT = st.text(max_size=20)
HOSTS = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)
"""Spaces around a host are not kept."""
UINT = st.integers(0, 2**32 - 1)


def wrapped(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return values.map(lambda value: {"value": value})


def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | wrapped(values)


@st.composite
def legal(draw: st.DrawFn) -> v1.Instance:
    """An instance that is accepted."""
    fields = {
        "service": draw(wrapped(WORD)), "namespace": draw(wrapped(WORD)),
        "host": draw(wrapped(HOSTS)), "port": draw(wrapped(st.integers(0, 65535))),
        "id": draw(maybe(TEXT)), "vpc_id": draw(maybe(TEXT)), "protocol": draw(maybe(TEXT)), "version": draw(maybe(TEXT)),
        "priority": draw(maybe(UINT)), "weight": draw(maybe(st.integers(0, 65535))),
        "enable_health_check": draw(maybe(st.booleans())), "healthy": draw(maybe(st.booleans())),
        "isolate": draw(maybe(st.booleans())), "logic_set": draw(maybe(TEXT)),
        "health_check": draw(st.none() | st.just({}) | st.just({"type": 1}) | st.builds(
            lambda ttl: {"type": 1, "heartbeat": {} if ttl is None else {"ttl": ttl}}, maybe(UINT))),
        "location": draw(st.none() | st.fixed_dictionaries({}, optional={
            "region": wrapped(TEXT), "zone": wrapped(TEXT), "campus": wrapped(TEXT)})),
        "metadata": draw(st.dictionaries(TEXT | st.sampled_from(["internal-a", "internal-", "version"]), TEXT, max_size=4)),
    }  # fmt: skip
    return v1.Instance(**{key: value for key, value in fields.items() if value is not None})


def shown(r: Registration, *switches: Switch) -> v1.Instance:
    """What native readers get of one registration."""
    address = Address(r.host, r.port, r.vpc, (r,), switches)
    [(_, message)] = shown_at(address, {}, discovered=False)
    return message


def expected(sent: v1.Instance) -> v1.Instance:
    """What a real server shows of an instance, with a ttl above 60 shown as that."""
    m = v1.Instance()
    m.CopyFrom(sent)
    m.id.value = id_of(sent)
    for field in ("region", "zone", "campus"):
        if m.HasField("location") and not getattr(m.location, field).value:
            m.location.ClearField(field)
    if not m.HasField("weight"):
        m.weight.value = 100
    if not m.HasField("healthy"):
        m.healthy.value = True
    m.isolate.value = sent.isolate.value
    asked = sent.health_check.HasField("heartbeat")
    if asked and (sent.enable_health_check.value or not sent.HasField("enable_health_check")):
        m.enable_health_check.value = True
        m.health_check.type = v1.HealthCheck.HEARTBEAT
        m.health_check.heartbeat.ttl.value = min(sent.health_check.heartbeat.ttl.value or 5, 60)
    else:
        m.ClearField("enable_health_check")
        m.ClearField("health_check")
    return m


@given(legal())
def test_shown_as_it_was_sent(sent: v1.Instance) -> None:
    assert check(sent, SETTINGS) == OK
    r = lift(sent)
    switches = [Switch("polaris", r.key, OUT_OF_SERVICE)] if sent.isolate.value else []
    got = shown(r, *switches)
    for field in ("ctime", "mtime", "revision"):
        got.ClearField(field)
    assert got == expected(sent)


@given(legal())
def test_showing_and_lifting_again_is_the_identity(sent: v1.Instance) -> None:
    r = lift(sent)
    again = lift(shown(r))
    if isinstance(r.liveness, Lease) and r.ext.ttl_s > 60:  # what readers see of it is what they would register
        return
    assert again.ext.ttl_s == r.ext.ttl_s or not sent.healthy.value
    assert [getattr(again, f) for f in ("id", "address", "metadata", "weight", "priority", "location", "liveness")] == [
        getattr(r, f) for f in ("id", "address", "metadata", "weight", "priority", "location", "liveness")
    ]


@given(messages(v1.Instance.DESCRIPTOR) | legal())
def test_anything_gets_a_code_and_what_is_accepted_is_lifted(sent: v1.Instance) -> None:
    code = check(sent, SETTINGS)
    assert code in codes.TEXTS
    assert check_named(sent) in codes.TEXTS
    if code == OK:
        r = lift(sent)
        assert r.key == id_of(sent)
        assert shown(r).id.value == r.key
        assert lift(sent, r) == r


def stored(*registrations: Registration) -> list[Any]:
    """Registrations through the store's rows."""
    types = ExtTypes()
    types.declare("polaris", Document, Marks)
    rows = [columns(Row(REGISTRATION, tuple(r.id), r.revision, r)) for r in registrations]
    return list(Reader(types).values(REGISTRATION, [(*row[:4], *row[6:]) for row in rows]))


@given(legal())
def test_what_is_stored_comes_back(sent: v1.Instance) -> None:
    r = lift(sent)
    assert stored(r) == [r]


def test_equal_things_are_kept_once() -> None:
    """A registry of 100,000 instances is mostly text."""
    one, two = (
        lift(instance(host=f"10.0.0.{i}", health_check=BEATING, version="1.0", protocol="grpc")) for i in (1, 2)
    )
    assert one.liveness is two.liveness
    assert one.ext is two.ext
    for field in ("service", "namespace", "version", "protocol"):
        assert getattr(one, field) is getattr(two, field)
        assert getattr(one, field) is sys.intern(getattr(one, field))
    sent = instance(id="x")
    sent.metadata.update({"zone": "sh-" + "1" * 3})
    assert next(iter(lift(sent).metadata.values())) is next(iter(lift(sent).metadata.values()))


def test_equal_attributes_are_kept_once_after_a_restart_too() -> None:
    one, two = stored(*(lift(instance(host=f"10.0.0.{i}", health_check=BEATING)) for i in (1, 2)))
    assert one.ext is two.ext
    assert one.liveness is two.liveness


def test_without_heartbeats_it_is_there_for_good() -> None:
    assert not lift(instance()).ephemeral
    assert lift(instance(health_check=BEATING)).ephemeral
    assert lift(instance(health_check=BEATING, healthy=False)).ephemeral


def test_parts_that_are_the_same_are_not_made_anew() -> None:
    sent = instance(host="10.0.0.200")
    sent.metadata.update({"a": "1", "internal-b": "2"})
    before = lift(sent)
    again = lift(sent, before)
    assert again.metadata is before.metadata
    assert again.host is before.host
    assert again.ext is before.ext


def test_the_cluster_that_is_meant_for_nacos_is_the_cluster() -> None:
    sent = instance()
    assert lift(sent).cluster == ""
    sent.metadata["internal-nacos-cluster"] = "c1"
    r = lift(sent)
    assert (r.cluster, r.metadata) == ("c1", {})


def test_internal_keys_stand_apart() -> None:
    sent = instance()
    sent.metadata.update({"a": "1", "internal-b": "2", "internal-": "3", "Internal-c": "4"})
    r = lift(sent)
    assert r.metadata == {"a": "1", "Internal-c": "4"}
    assert r.ext.internal == {"internal-b": "2", "internal-": "3"}
    assert instances.INTERNAL == "internal-"
