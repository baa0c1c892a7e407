"""Heartbeats, one by one and by the hundred."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from native import BEATING, HOST, ID, OK, PORT, Native, instance, named

from polaris_bridge.adapters.polaris.service.registration import FREE_BEATS, STRANGERS
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.wire import v1

UNKNOWN = 400202


@pytest.fixture
def native() -> Native:
    return Native()


def test_four_beats_of_a_stranger_are_free(native: Native) -> None:
    assert [native.beat() for _ in range(7)] == [OK] * 4 + [UNKNOWN] * 3
    assert [native.beat(named("x")) for _ in range(5)] == [OK] * 4 + [UNKNOWN]
    native.register()
    assert native.beat() == OK
    native.deregister()
    assert [native.beat() for _ in range(5)] == [OK] * 4 + [UNKNOWN]


def test_only_so_many_strangers_are_counted(native: Native) -> None:
    for i in range(STRANGERS + 100):
        native.registering.beat(named(f"s{i}"), CALLER)
    assert len(native.registering._strangers) == STRANGERS
    kept = named(f"s{STRANGERS + 50}")
    codes = [native.registering.beat(kept, CALLER) for _ in range(FREE_BEATS)]
    assert codes == [OK] * 3 + [UNKNOWN]


def test_a_stranger_that_goes_on_is_not_forgotten_for_newer_ones(native: Native) -> None:
    for _ in range(5):
        native.registering.beat(named("loud"), CALLER)
    for i in range(STRANGERS - 1):
        native.registering.beat(named(f"s{i}"), CALLER)
    assert native.registering.beat(named("loud"), CALLER) == UNKNOWN
    for i in range(STRANGERS - 1):
        native.registering.beat(named(f"t{i}"), CALLER)
    assert native.registering.beat(named("loud"), CALLER) == UNKNOWN


def test_a_stranger_with_an_endless_id(native: Native) -> None:
    assert native.beat(named("x" * 129)) == UNKNOWN
    assert not native.registering._strangers


def test_the_request_is_echoed_as_it_was(native: Native) -> None:
    native.register()
    answer = native.registering.heartbeat(instance(service_token=""), CALLER)
    assert answer.instance == instance(service_token="")
    answer = native.registering.heartbeat(named(""), CALLER)
    assert (answer.code.value, answer.instance) == (400130, named(""))


def test_module_closed() -> None:
    native = Native(settings=PolarisSettings(health_check=False))
    native.register(health_check=BEATING)
    answer = native.registering.heartbeat(named(""), CALLER)
    assert (answer.code.value, answer.HasField("instance")) == (400140, False)
    assert answer.info.value == "server not open health check"
    assert native.beat() == 400140


def test_silence_and_the_first_beat_after_it(native: Native) -> None:
    native.register(health_check=BEATING)
    for _ in range(4):
        native.pass_time(10)
        assert native.beat() == OK
        assert native.health() == {ID: (True, False)}
    native.pass_time(14)
    assert native.health() == {ID: (True, False)}
    native.pass_time(3)
    assert native.health() == {ID: (False, False)}
    native.pass_time(10_000)
    assert native.health() == {ID: (False, False)}, "never deleted"
    assert native.beat(named(ID)) == OK
    assert native.health() == {ID: (True, False)}, "at once"


def test_a_beat_without_health_check_changes_nothing(native: Native) -> None:
    native.register()
    revision = native.shown()[ID].revision.value
    assert native.beat() == OK
    assert native.shown()[ID].revision.value == revision


def test_a_beat_of_what_only_another_protocol_registered(native: Native) -> None:
    """Silence in one protocol proves nothing for another: the client is told to register."""
    native.foreign()
    assert [native.beat() for _ in range(5)] == [OK] * 4 + [UNKNOWN]
    native.pass_time(17)
    assert native.health() == {ID: (False, False)}


def test_a_beat_while_the_store_writes(native: Native) -> None:
    native.registering.register(instance(), CALLER)
    assert [native.registering.beat(instance(), CALLER) for _ in range(6)] == [OK] * 6
    native.queue.settle()
    assert native.registering.counters.strangers == 0


def test_a_store_that_refuses_does_not_make_strangers(native: Native) -> None:
    native.register(health_check=BEATING)
    native.store.broken = True
    native.pass_time(17)
    assert native.beat() == OK
    assert native.health() == {ID: (True, False)}


# ---------------------------------------------------------------- batches


def ids(count: int) -> list[str]:
    return [instance_id("default", "orders", HOST, PORT + i) for i in range(count)]


def test_a_batch_is_heard_whatever_is_in_it(native: Native) -> None:
    for i in range(3):
        native.register(port=PORT + i, health_check=BEATING)
    native.pass_time(17)
    assert set(native.health().values()) == {(False, False)}
    known = ids(3)
    beats = [
        {"instanceId": known[0]}, {"instanceId": "nobody"}, {}, {"instanceId": known[1], "service": "lies"},
        {"service": "orders", "namespace": "default", "host": HOST, "port": PORT + 2},
    ]  # fmt: skip
    request = v1.HeartbeatsRequest(heartbeats=[v1.InstanceHeartbeat(**b) for b in beats])
    assert native.heartbeats.beat(request, CALLER) == v1.HeartbeatsResponse()
    native.queue.settle()
    assert set(native.health().values()) == {(True, False)}


def test_a_batch_when_the_module_is_closed() -> None:
    native = Native(settings=PolarisSettings(health_check=False))
    native.register(healthy=False, health_check=BEATING)
    request = v1.HeartbeatsRequest(heartbeats=[v1.InstanceHeartbeat(instanceId=ID)])
    assert native.heartbeats.beat(request, CALLER) == v1.HeartbeatsResponse()
    native.queue.settle()
    assert native.health() == {ID: (False, False)}


def test_ten_thousand_in_one_batch(native: Native) -> None:
    native.register(healthy=False, health_check=BEATING)
    names = [*(f"{i}" for i in range(10_000)), ID]
    beats = v1.HeartbeatsRequest(heartbeats=[v1.InstanceHeartbeat(instanceId=name) for name in names])
    found: list[Any] = []
    native.heartbeats.beat(beats, CALLER).then(found.append)  # type: ignore[union-attr]
    assert not found, "others run before it is done"
    native.heartbeats.get(v1.GetHeartbeatsRequest(instanceIds=names), CALLER).then(found.append)  # type: ignore[union-attr]
    native.queue.settle()
    assert found[0] == v1.HeartbeatsResponse()
    assert [r.instanceId for r in found[1].records] == names
    assert native.health() == {ID: (True, False)}
    assert not native.registering._strangers, "strangers of a batch are not told, so they are not counted"


def test_when_each_was_last_heard(native: Native) -> None:
    native.register(health_check=BEATING)
    native.register(id="still")
    registered_s = native.clock.wall_ms() // 1000
    native.pass_time(7)
    native.beat()
    request = v1.GetHeartbeatsRequest(instanceIds=["nobody", ID, "still", "nobody"])
    answer: Any = native.heartbeats.get(request, CALLER)
    nobody = v1.HeartbeatRecord(instanceId="nobody")
    assert list(answer.records) == [
        nobody,
        v1.HeartbeatRecord(instanceId=ID, lastHeartbeatSec=registered_s + 7, exist=True),
        v1.HeartbeatRecord(instanceId="still", lastHeartbeatSec=registered_s, exist=True),
        nobody,
    ]


def test_forgetting_beats_takes_no_lease(native: Native) -> None:
    native.register(health_check=BEATING)
    request = v1.DelHeartbeatsRequest(instanceIds=[ID, "nobody"])
    assert native.heartbeats.forget(request, CALLER) == v1.DelHeartbeatsResponse()
    assert native.health() == {ID: (True, False)}
