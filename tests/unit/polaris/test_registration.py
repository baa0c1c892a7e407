"""Native instances come and go: every documented answer, and what readers see afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from native import BEATING, HOST, ID, OK, PLACE, PORT, Native, instance, named

from polaris_bridge.adapters.polaris.service import index
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.keys import instance_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import BatchTerms
from polaris_bridge.core.model import Location, ServiceKey, ServiceRecord, Switch
from polaris_bridge.core.terms import Terms


@pytest.fixture
def native() -> Native:
    return Native()


# ---------------------------------------------------------------- what is refused


def pairs(count: int, prefix: str = "k") -> dict[str, str]:
    return {f"{prefix}{i}": "x" for i in range(count)}


REFUSALS: list[tuple[dict[str, Any], int]] = [
    ({"metadata": pairs(65)}, 400150),
    ({"metadata": {"k" * 129: "v"}}, 400150),
    ({"metadata": {"k": "v" * 4097}}, 400150),
    ({"service": "s" * 129}, 400120),
    ({"namespace": "n" * 65}, 400110),
    ({"host": "h" * 129}, 400131),
    ({"protocol": "p" * 33}, 400136),
    ({"version": "v" * 33}, 400137),
    ({"logic_set": "l" * 129}, 400138),
    ({"port": 65536}, 400132),
    ({"weight": 65536}, 400103),
    ({"service": "bad name!"}, 400120),
    ({"service": "中文"}, 400120),
    ({"service": "orders\n"}, 400120),
    ({"service": ""}, 400120),
    ({"service": None}, 400120),
    ({"namespace": "bad name!"}, 400110),
    ({"namespace": ""}, 400110),
    ({"namespace": None}, 400110),
    ({"host": ""}, 400131),
    ({"host": None}, 400131),
    ({"port": None}, 400132),
    ({"id": "i" * 129}, 400130),
    ({"vpc_id": "v" * 65}, 400103),
    # the first of several is named
    ({"metadata": pairs(65), "service": "s" * 129}, 400150),
    ({"service": "s" * 129, "namespace": "n" * 65}, 400120),
    ({"host": "h" * 129, "protocol": "p" * 33}, 400131),
    ({"version": "v" * 33, "metadata": {"k": "v" * 4097}}, 400137),
    ({"port": 65536, "weight": 65536}, 400132),
    ({"weight": 65536, "service": "bad name!"}, 400103),
    ({"service": "bad name!", "namespace": "", "host": "", "port": None}, 400120),
    ({"namespace": "", "host": "", "port": None}, 400110),
    ({"host": "", "port": None}, 400131),
]


@pytest.mark.parametrize(("fields", "code"), REFUSALS)
def test_refusals(native: Native, fields: dict[str, Any], code: int) -> None:
    asked = instance(**{"metadata": {}} | fields) if "metadata" not in fields else with_metadata(fields)
    answer = native.register(asked)
    assert answer.code.value == code
    assert answer.info.value
    assert answer.instance == asked
    assert native.registry.namespaces() == []


def with_metadata(fields: dict[str, Any]) -> v1.Instance:
    asked = instance(**{k: v for k, v in fields.items() if k != "metadata"})
    asked.metadata.update(fields["metadata"])
    return asked


ACCEPTED: list[dict[str, Any]] = [
    {"metadata": pairs(64)},
    {"metadata": pairs(64) | pairs(20, "internal-")},
    {"metadata": {"k" * 128: "v" * 4096, "中文": "值", "": ""}},
    {"service": "A-b.c:d_/9" + "s" * 118},
    {"host": "主" * 128},
    {"protocol": "p" * 32, "version": "v" * 32, "logic_set": "l" * 128},
    {"port": 0},
    {"port": 65535, "weight": 65535, "priority": 2**32 - 1},
    {"weight": 0},
    {"id": "i" * 128},
    {"id": ""},
]


@pytest.mark.parametrize("fields", ACCEPTED)
def test_what_is_just_legal(native: Native, fields: dict[str, Any]) -> None:
    assert native.register(with_metadata({"metadata": {}} | fields)).code.value == OK


def test_more_metadata_when_the_option_says_so() -> None:
    native = Native(settings=PolarisSettings(max_metadata=100))
    assert native.register(with_metadata({"metadata": pairs(100)})).code.value == OK
    assert native.register(with_metadata({"metadata": pairs(101)})).code.value == 400150


def test_an_alias_takes_no_instances(native: Native) -> None:
    target = ServiceKey("default", "orders")
    native.register()
    native.registry.put_service(ServiceRecord("default", "alias", reference=target), CALLER)
    native.queue.settle()
    answer = native.register(service="alias")
    assert (answer.code.value, answer.info.value) == (400000, "bad request: service is alias")
    assert not answer.HasField("instance")


@pytest.mark.parametrize(("terms", "known", "code"), [
    (Terms(auto_create_namespace=False), False, 400305),
    (Terms(auto_create_service=False), False, 400301),
    (Terms(auto_create_namespace=False, auto_create_service=False), True, 400301),
    (Terms(auto_create_namespace=False), True, OK),
])  # fmt: skip
def test_what_may_not_be_created_on_the_way(terms: Terms, known: bool, code: int) -> None:
    native = Native()
    if known:
        native.register(service="other")
        native.deregister(service="other")
    native.terms = terms
    native.restart()
    answer = native.register()
    assert answer.code.value == code
    assert answer.instance.host.value == HOST
    assert ("orders" in {s.key.name for s in native.registry.services()}) is (code == OK)


def test_a_store_that_takes_no_writes(native: Native) -> None:
    native.store.broken = True
    assert native.register().code.value == 500001
    native.store.broken = False
    assert native.shown() == {}
    assert native.index.find(ID) is None
    assert native.register().code.value == OK
    native.store.broken = True
    assert native.deregister().code.value == 500001
    assert native.register(weight=7).code.value == 500001
    native.store.broken = False
    assert native.shown()[ID].weight.value == 100
    assert native.beat() == OK


def test_a_store_that_hangs(native: Native) -> None:
    held: list[Any] = []
    native.store.append = lambda rows, reserve, done: held.append(done)  # type: ignore[method-assign]
    first = native.registering.register(instance(), CALLER)
    native.queue.settle()
    second = native.registering.register(instance(port=81), CALLER)
    native.pass_time(32)
    assert not first.commit.done, "it may yet succeed"
    answer = native.answer(second)
    assert (answer.code.value, answer.info.value) == (500008, "instance async regist timeout")
    held.pop()(None)
    assert native.answer(first).code.value == OK
    assert list(native.shown()) == [ID]


def test_a_queue_that_is_full() -> None:
    native = Native(Terms(batch=BatchTerms(queue_size=1), deregistration=BatchTerms(queue_size=0)))
    native.registering.register(instance(), CALLER)
    refused = native.registering.register(instance(port=81), CALLER)
    assert refused.response.code.value == 500001  # type: ignore[attr-defined]
    assert refused.commit.done
    native.queue.settle()
    assert native.deregister().code.value == 500001
    assert list(native.shown()) == [ID]


# ---------------------------------------------------------------- what is answered


def test_the_answer_has_id_and_place_only(native: Native) -> None:
    answer = native.register(vpc_id="v", weight=3, protocol="grpc", health_check=BEATING, isolate=True)
    id = instance_id("default", "orders", HOST, PORT, "v")
    assert answer.code.value == OK
    assert answer.info.value == "execute success"
    assert answer.instance == v1.Instance(
        id={"value": id}, vpc_id={"value": "v"}, **{k: {"value": v} for k, v in PLACE.items()}
    )


def test_the_id_of_the_real_server() -> None:
    assert instance_id("default", "svc1", "127.0.0.1", 8080) == "300c533540281201d438beef164e1731c24b7043"


def test_an_answer_waits_for_the_store_unless_told_otherwise(native: Native) -> None:
    waiting = native.registering.register(instance(), CALLER)
    hasty = native.registering.register(instance(port=81), CALLER, wait=False)
    assert not waiting.commit.done
    assert hasty.commit.done
    native.queue.settle()
    assert waiting.commit.done
    assert len(native.shown()) == 2


# ---------------------------------------------------------------- what is kept


def test_defaults(native: Native) -> None:
    native.register()
    shown = native.shown()[ID]
    assert shown.weight.value == 100
    assert shown.healthy.value
    assert not shown.isolate.value
    assert shown.HasField("isolate")
    for field in ("protocol", "version", "priority", "location", "health_check", "enable_health_check", "vpc_id"):
        assert not shown.HasField(field), field


@pytest.mark.parametrize(("asked", "enabled", "kept_s", "shown_s"), [
    (1, None, 1, 1), (5, True, 5, 5), (60, None, 60, 60), (0, None, 5, 5), (None, None, 5, 5),
    (61, None, 61, 60), (3600, True, 3600, 60), (2**32 - 1, None, 2**32 - 1, 60), (5, False, 0, 0),
])  # fmt: skip
def test_ttl(native: Native, asked: int | None, enabled: bool | None, kept_s: int, shown_s: int) -> None:
    heartbeat = {} if asked is None else {"ttl": {"value": asked}}
    native.register(health_check={"type": 1, "heartbeat": heartbeat}, enable_health_check=enabled)
    shown = native.shown()[ID]
    assert shown.health_check.heartbeat.ttl.value == shown_s
    assert shown.enable_health_check.value is (shown_s > 0)
    native.pass_time(min(kept_s, 100) * 3 - 1)
    assert native.health()[ID] == (True, False)
    if 0 < kept_s < 100:
        native.pass_time(3)
        assert native.health()[ID] == (False, False)


def test_no_health_check_without_a_heartbeat(native: Native) -> None:
    native.register(enable_health_check=True)
    native.register(port=81, enable_health_check=True, health_check={"type": 1})
    native.pass_time(100)
    assert set(native.health().values()) == {(True, False)}
    assert not any(m.HasField("health_check") for m in native.shown().values())


def test_a_location_from_elsewhere(native: Native) -> None:
    known = {HOST: Location("r", "z", "c")}
    native.registering._locate = known.get
    native.register()
    native.register(port=81, location={"zone": {"value": "own"}})
    native.register(host="10.0.0.2")
    shown = {(m.host.value, m.port.value): m for m in native.shown().values()}
    assert shown[HOST, PORT].location.campus.value == "c"
    assert shown[HOST, 81].location == v1.Location(zone={"value": "own"})
    assert not shown["10.0.0.2", PORT].HasField("location")


def test_registering_again_overwrites(native: Native) -> None:
    native.register(with_metadata({"metadata": {"a": "1"}, "weight": 5, "health_check": BEATING}))
    first = native.shown()[ID]
    native.register(with_metadata({"metadata": {"b": "2"}}))
    again = native.shown()[ID]
    assert dict(again.metadata) == {"b": "2"}
    assert again.weight.value == 100
    assert not again.HasField("health_check")
    assert again.revision.value != first.revision.value


def test_unhealthy_by_its_own_word(native: Native) -> None:
    native.register(healthy=False)
    assert native.health() == {ID: (False, False)}
    assert native.beat() == OK
    assert native.health() == {ID: (False, False)}, "no heartbeats were agreed on"
    native.register(healthy=True)
    assert native.health() == {ID: (True, False)}


def test_unhealthy_until_the_first_heartbeat(native: Native) -> None:
    native.register(healthy=False, health_check=BEATING)
    assert native.health() == {ID: (False, False)}
    assert native.shown()[ID].health_check.heartbeat.ttl.value == 5
    assert native.beat() == OK
    assert native.health() == {ID: (True, False)}
    native.pass_time(17)
    assert native.health() == {ID: (False, False)}
    assert native.beat() == OK
    assert native.health() == {ID: (True, False)}


# ---------------------------------------------------------------- isolate


def test_isolation_outlives_a_registration_without_the_field(native: Native) -> None:
    native.register(isolate=True)
    native.register()
    assert native.health() == {ID: (True, True)}
    native.register(isolate=False)
    assert native.health() == {ID: (True, False)}


def test_isolation_ends_with_deregistration(native: Native) -> None:
    native.register(isolate=True)
    native.deregister()
    native.register()
    assert native.health() == {ID: (True, False)}


def test_isolation_is_of_one_id(native: Native) -> None:
    native.register(id="a", isolate=True)
    native.register(id="b")
    assert native.health() == {"a": (True, True), "b": (True, False)}


def test_another_protocols_withdrawal_stays(native: Native) -> None:
    native.register()
    native.registry.switch(*native.place, Switch("nacos", "", "out_of_service"), CALLER)
    native.queue.settle()
    assert native.health() == {ID: (True, True)}
    native.register(isolate=False)
    assert native.health() == {ID: (True, True)}
    assert native.registry.counters.ignored_releases == 1


def test_what_the_console_withdrew_before_it_came(native: Native) -> None:
    """Set on another protocol's instance at the place: by its id it is the same instance natively."""
    native.foreign()
    native.registry.switch(*native.place, Switch("polaris", "", "out_of_service"), CALLER)
    native.queue.settle()
    native.register()
    assert native.health() == {ID: (True, True)}
    native.register(isolate=False)
    assert native.health() == {ID: (True, False)}


# ---------------------------------------------------------------- ids


def test_two_ids_at_one_place(native: Native) -> None:
    native.register(id="a", weight=1)
    native.register(id="b", weight=2)
    native.register()
    assert {id: m.weight.value for id, m in native.shown().items()} == {"a": 1, "b": 2, ID: 100}


def test_a_given_id_is_not_found_by_its_place(native: Native) -> None:
    native.register(id="own")
    answer = native.deregister()
    assert (answer.code.value, answer.instance.id.value) == (OK, ID)
    assert list(native.shown()) == ["own"]
    native.deregister(named("own"))
    assert native.shown() == {}


def test_an_id_moves_within_its_namespace(native: Native) -> None:
    native.register(id="own", isolate=True)
    native.register(id="own", port=81, service="users")
    assert native.shown() == {}
    assert native.health("users") == {"own": (True, True)}


def test_an_id_moves_to_another_namespace(native: Native) -> None:
    native.register(id="own", isolate=True)
    native.register(id="own", namespace="prod")
    assert native.shown() == {}
    assert native.health(namespace="prod") == {"own": (True, True)}
    assert native.beat(named("own")) == OK
    native.restart()
    assert native.beat(named("own")) == OK
    native.deregister(named("own"))
    assert native.shown(namespace="prod") == {}


def test_an_id_that_moves_while_the_store_writes(native: Native) -> None:
    outcomes = [native.registering.register(instance(id="own", namespace=n), CALLER) for n in ("a", "b", "a", "c", "b")]
    native.queue.settle()
    assert all(outcome.commit.error is None for outcome in outcomes)
    assert [len(native.shown(namespace=n)) for n in "abc"] == [0, 1, 0]
    assert native.index.find("own") == ("polaris", "b", "own")
    assert not native.index._coming


def test_a_move_that_fails_moves_nothing(native: Native) -> None:
    native.register(id="own", namespace="a")
    native.store.broken = True
    native.register(id="own", namespace="b")
    native.store.broken = False
    assert native.index.find("own") == ("polaris", "a", "own")
    assert list(native.shown(namespace="a")) == ["own"]


# ---------------------------------------------------------------- deregister


def test_deregister_by_place_and_by_id(native: Native) -> None:
    native.register()
    answer = native.deregister()
    assert (answer.code.value, answer.instance.id.value) == (OK, ID)
    assert native.shown() == {}
    native.register()
    answer = native.deregister(named(ID))
    assert answer.instance == named(ID)
    assert native.shown() == {}


TOO_MUCH: list[tuple[dict[str, Any], int]] = [
    ({"service": "s" * 129}, 400120), ({"namespace": "n" * 65}, 400110), ({"host": "h" * 129}, 400131),
    ({"port": 65536}, 400132), ({"weight": 65536}, 400103),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code"), TOO_MUCH)
def test_deregister_by_a_place_beyond_the_limits(native: Native, fields: dict[str, Any], code: int) -> None:
    asked = instance(**fields)
    answer = native.deregister(asked)
    assert (answer.code.value, answer.instance) == (code, asked)
    asked.id.value = "mine"
    assert native.deregister(asked).code.value == OK, "who gives an id has nothing else looked at"


def test_spaces_around_a_host_are_no_part_of_it(native: Native) -> None:
    native.register(instance(host=" 10.0.0.7 "))
    ((id, shown),) = native.shown().items()
    assert (shown.host.value, id) == ("10.0.0.7", instance_id("default", "orders", " 10.0.0.7 ", PORT))
    assert native.beat(instance(host=" 10.0.0.7 ")) == OK
    native.deregister(instance(host=" 10.0.0.7 "))
    assert native.shown() == {}
    assert native.register(instance(host=" \t")).code.value == v1.InvalidInstanceHost


def test_deregister_what_is_unknown(native: Native) -> None:
    answer = native.deregister()
    assert (answer.code.value, answer.instance) == (OK, instance(id=ID))
    assert native.deregister(named("nobody")).code.value == OK
    assert native.registering.counters.ignored == 2


UNNAMED: list[tuple[dict[str, Any], int]] = [
    ({"id": ""}, 400130), ({"service": None}, 400120), ({"namespace": ""}, 400110), ({"host": None}, 400131),
    ({"port": None}, 400132),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code"), UNNAMED)
def test_deregister_or_beat_without_a_name(native: Native, fields: dict[str, Any], code: int) -> None:
    native.register()
    asked = instance(**fields)
    answer = native.deregister(asked)
    assert (answer.code.value, answer.instance) == (code, asked)
    assert native.beat(asked) == code
    assert list(native.shown()) == [ID]


def test_deregister_then_register_before_the_store_answers(native: Native) -> None:
    native.register(weight=1)
    native.registering.deregister(instance(), CALLER)
    native.registering.register(instance(weight=2), CALLER)
    native.queue.settle()
    assert native.shown()[ID].weight.value == 2
    assert native.index.find(ID) is not None


# ---------------------------------------------------------------- other protocols


def test_deregister_touches_nobody_else(native: Native) -> None:
    r = native.foreign()
    assert native.deregister().code.value == OK
    assert native.registry.registration(r.id) is not None
    native.register()
    assert list(native.shown()) == [ID]
    native.deregister()
    assert native.registry.registration(r.id) is not None


def test_the_place_of_a_foreign_id(native: Native) -> None:
    assert native.index.place(ID) is None
    native.foreign(key="a")
    assert native.index.place(ID) == native.place
    native.foreign(key="b")
    ids = list(native.shown())
    assert len(ids) == 2
    assert all(native.index.place(id) == native.place for id in ids)
    native.register()
    assert native.index.place(ID) is None, "now it is an own one's"
    native.deregister()
    native.registry.deregister(("nacos", "default", "b"), CALLER)  # type: ignore[arg-type]
    native.queue.settle()
    assert native.index.place(ID) == native.place
    assert sum(native.index.place(id) is not None for id in ids) == 1


def test_places_are_gathered_in_steps(native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "STEP", 1)
    gone, *kept = [native.foreign(key=f"k{i}", port=i) for i in range(5)]
    native.index.prepare()
    native.index._go_on()
    native.registry.deregister(gone.id, CALLER)
    late = native.foreign(key="late", port=99)
    for r in (*kept, late):
        assert native.index.place(instance_id("default", "orders", HOST, r.port)) == (r.service_key, r.address)
    assert native.index.place(instance_id("default", "orders", HOST, gone.port)) is None
    native.index.prepare()
    native.queue.settle()


def test_restart_is_the_identity(native: Native) -> None:
    native.register(isolate=True, health_check=BEATING)
    native.register(with_metadata({"metadata": {"a": "1", "internal-x": "y"}, "port": 81, "id": "own"}))
    native.register(port=82, healthy=False, health_check={"type": 1, "heartbeat": {"ttl": {"value": 600}}})
    before = native.shown()
    native.restart()
    assert native.shown() == before
    assert native.beat() == native.beat(named("own")) == OK
