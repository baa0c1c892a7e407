"""The decisions one by one: what is exported, how names meet, what the brake holds, which stage may begin, what a plan says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_registries import ALL, ModelRegistry, at
from msgspec import structs

from polaris_bridge.core.model import Location, ServiceKey
from polaris_bridge.migration.engine import brake, markers, stages
from polaris_bridge.migration.engine.audit import DIFFERENT, MISSING, SURPLUS, auditing
from polaris_bridge.migration.engine.diff import (
    CREATE,
    DELETE,
    GONE,
    LOOP,
    SKIP,
    TWIN,
    UPDATE,
    Step,
    differences,
    export,
)
from polaris_bridge.migration.engine.names import naming
from polaris_bridge.migration.engine.planning import planning
from polaris_bridge.migration.engine.reduce import (
    DISABLES,
    DOWN,
    EXACT,
    HUNDREDS,
    NONE,
    Abilities,
    Room,
    changed_fields,
    expressed,
    reduction,
)
from polaris_bridge.migration.model import (
    CONSUL,
    EUREKA,
    NACOS,
    POLARIS,
    Bounds,
    Instance,
    NameRules,
    Origin,
    Record,
    Selector,
    Task,
)

ORDERS = ServiceKey("default", "orders")
TASK = Task(id="t", source="a", target="b")

texts = st.text(st.characters(codec="utf-8"), max_size=8)
instances = st.builds(
    Instance,
    host=st.sampled_from(("10.0.0.1", "10.0.0.2")),
    port=st.integers(1, 3),
    weight=st.integers(0, 100_000),
    enabled=st.booleans(),
    healthy=st.booleans(),
    metadata=st.dictionaries(texts, texts, max_size=3),
    tags=st.lists(texts, max_size=2).map(tuple),
    location=st.builds(Location, texts, texts, texts),
    cluster=st.sampled_from(("", "DEFAULT", "c1")),
    protocol=st.sampled_from(("", "http", "https", "grpcs")),
    version=texts,
)
abilities = st.builds(
    Abilities,
    weight=st.sampled_from((EXACT, HUNDREDS, NONE)),
    health=st.sampled_from(("apart", DISABLES, DOWN)),
    tags=st.booleans(),
    cluster=st.booleans(),
    location=st.sampled_from(("apart", "metadata", NONE)),
    secure=st.booleans(),
    version=st.booleans(),
    repeats=st.booleans(),
    room=st.builds(
        Room, pairs=st.integers(0, 2), key=st.integers(0, 4), value=st.integers(0, 4), total=st.integers(0, 9)
    ),
)


# ---------------------------------------------------------------------- reducing


@given(instances, abilities)
def test_what_a_registry_gives_back_is_said_the_same_again(instance: Instance, can: Abilities) -> None:
    once = expressed(instance, can)
    assert expressed(once, can) == once


@given(st.lists(instances, max_size=6), st.randoms())
def test_a_reduction_knows_no_order(found: list[Instance], random: object) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert reduction(shuffled) == reduction(found)


@given(instances, instances)
def test_different_instances_have_different_digests_and_named_differences(a: Instance, b: Instance) -> None:
    assert (reduction([a]) == reduction([b])) == (a == b)
    assert bool(changed_fields(a, b)) == (a != b)


def test_a_removed_metadata_key_is_a_difference() -> None:
    assert changed_fields(at(1, metadata={"zone": "a", "v": "1"}), at(1, metadata={"v": "1"})) == ("metadata.zone",)


# ---------------------------------------------------------------------- markers


@given(st.builds(Origin, texts, texts.filter(bool), texts.filter(bool), st.just(("a", "b"))))
def test_a_marked_copy_is_known_again(origin: Origin) -> None:
    assert markers.origin_of(markers.written(origin)) == origin
    assert markers.own({**markers.written(origin), "zone": "a"}) == {"zone": "a"}


@pytest.mark.parametrize(
    ("metadata", "tags", "product"),
    [
        ({"sourceClusterId": "x"}, (), "nacos-sync"),
        ({"sync.instance.tag": "x@@1"}, (), "nacos-sync"),
        ({}, ("syncSource=NACOS",), "nacos-sync"),
        ({"__sync__": "n1"}, (), "polaris-sync"),
        ({"external-source": "kubernetes"}, (), "kubernetes"),
        ({}, ("k8s",), "consul-k8s"),
        ({"internal-eureka-replicate": "true"}, (), "polaris-eureka-peer"),
        ({"platform": "polaris-controller", "clusterName": "c"}, (), "polaris-controller"),
        ({"source": "polaris-controller"}, (), ""),
        ({"zone": "a"}, ("blue",), ""),
    ],
)
def test_copies_of_other_bridges_are_known(metadata: dict[str, str], tags: tuple[str, ...], product: str) -> None:
    assert markers.foreign(metadata, tags) == product


# ---------------------------------------------------------------------- what is exported


def exported(record: Record, task: Task = TASK) -> str:
    """Why a record is not exported; empty when it is."""
    found = export([record], ORDERS, task, EUREKA, ALL)
    return found.skipped[0].reason if found.skipped else ""


def test_natives_are_copied_and_copies_never_go_back() -> None:
    copy = Record("1", at(1), Origin(EUREKA, "b", "x", ("b",)))
    assert exported(Record("1", at(1))) == ""
    assert exported(copy) == LOOP
    assert exported(structs.replace(copy, origin=Origin(EUREKA, "c", "x", ("c",)))) == ""
    path = tuple(map(str, range(7)))
    assert "too many" in exported(structs.replace(copy, origin=Origin(EUREKA, "0", "x", path)))


def test_a_foreign_copy_goes_on_only_when_the_task_says_so() -> None:
    copy = Record("1", at(1), foreign="nacos-sync")
    assert "nacos-sync" in exported(copy)
    assert exported(copy, structs.replace(TASK, chain=True)) == ""


def test_metadata_selects() -> None:
    task = structs.replace(TASK, selector=Selector(metadata={"env": "prod"}))
    assert exported(Record("1", at(1, metadata={"env": "prod"})), task) == ""
    assert exported(Record("1", at(1)), task) != ""


def test_two_at_one_address_are_both_copied_and_know_it() -> None:
    found = export([Record("x", at(1)), Record("y", at(1)), Record("z", at(2))], ORDERS, TASK, EUREKA, ALL)
    assert [(c.origin.id, c.alone) for c in found.copies] == [("x", False), ("y", False), ("z", True)]


# ---------------------------------------------------------------------- names


def test_names_that_cannot_be_are_refused_and_collisions_told() -> None:
    keys = [ServiceKey("default", n) for n in ("UserService", "USERSERVICE", "a b", "consumers:x", "ok")]
    found = naming(keys, Selector(), NameRules(), EUREKA)
    assert sorted(k.name for k in found.there) == ["USERSERVICE", "ok"]
    assert sorted(k.name for k in found.refused) == ["UserService", "a b"]
    assert "USERSERVICE" in found.refused[ServiceKey("default", "UserService")]
    both = naming(keys, Selector(), NameRules(), NACOS)
    assert {"UserService", "USERSERVICE"} <= {k.name for k in both.there}
    assert "Polaris" in naming([ServiceKey("default", "中文")], Selector(), NameRules(), POLARIS).refused.popitem()[1]


def test_rename_rules_and_patterns() -> None:
    rules = NameRules(services={"old": "new"}, namespaces={"default": "prod"}, prefix="x-")
    keys = [ServiceKey("default", "old"), ServiceKey("default", "b"), ServiceKey("dev", "b")]
    found = naming(keys, Selector(namespaces=("default",)), rules, CONSUL)
    assert found.there == {keys[0]: ServiceKey("prod", "new"), keys[1]: ServiceKey("prod", "x-b")}


# ---------------------------------------------------------------------- differences


def test_a_change_of_anything_is_an_update_that_names_it() -> None:
    copies = export([Record("1", at(1, weight=50))], ORDERS, TASK, EUREKA, ALL).copies
    there = Record("c1", at(1, enabled=False), copies[0].origin)
    steps = differences(copies, [there], ORDERS, TASK, shadows=False)
    assert [(s.action, s.fields) for s in steps] == [(UPDATE, ("weight", "enabled"))]
    assert differences(copies, [structs.replace(there, instance=at(1, weight=50))], ORDERS, TASK, shadows=False) == []


def test_a_copy_steps_aside_for_a_native_except_where_copies_are_shadows() -> None:
    copies = export([Record("1", at(1))], ORDERS, TASK, EUREKA, ALL).copies
    there = [Record("n", at(1)), Record("c1", at(1), copies[0].origin)]
    assert [s.action for s in differences(copies, there, ORDERS, TASK, shadows=False)] == [DELETE, SKIP]
    assert differences(copies, there, ORDERS, TASK, shadows=True) == []
    assert [s.action for s in differences(copies, there[:1], ORDERS, TASK, shadows=True)] == [CREATE]


def test_a_client_that_comes_back_under_another_id_changes_its_copy() -> None:
    old, new = (export([Record(id, at(1))], ORDERS, TASK, EUREKA, ALL).copies for id in ("old", "new"))
    there = Record("c1", at(1), old[0].origin)
    steps = differences(new, [there], ORDERS, TASK, shadows=False)
    assert [(s.action, s.record, s.fields) for s in steps] == [(UPDATE, there, ("origin",))]


def test_where_an_address_holds_one_instance_one_is_copied() -> None:
    records = [Record("y", at(1)), Record("x", at(1)), Record("z", at(1, cluster="c2"))]
    found = export(records, ORDERS, TASK, EUREKA, structs.replace(ALL, twins=False))
    assert [c.origin.id for c in found.copies] == ["x", "z"]
    assert [(s.name, s.reason) for s in found.skipped] == [("y", TWIN)]


# ---------------------------------------------------------------------- the brake


def removals(n: int, service: ServiceKey = ORDERS, first: int = 0) -> list[Step]:
    """Copies that are gone from the source."""
    found = []
    for i in range(first, first + n):
        record = Record(f"c{i}", at(1, i + 1), Origin(EUREKA, "a", str(i), ("a",)))
        found.append(Step(DELETE, service, record=record, reason=GONE))
    return found


def reading(at_s: float, copies: int, source: int, left: int, **more: object) -> brake.Reading:
    return brake.Reading(at_ms=int(at_s * 1000), copies=copies, source=source, remaining={ORDERS: left}, **more)


def test_some_of_many_pass_at_once() -> None:
    verdict = brake.judge(removals(100), reading(0, 1000, 900, 50), {}, Bounds(), allow=False)
    assert len(verdict.passed) == 100
    assert not verdict.held


def test_too_many_wait_for_an_operator_for_ever() -> None:
    first = brake.judge(removals(300), reading(0, 1000, 700, 50), {}, Bounds(), allow=False)
    assert not first.passed
    assert first.asks
    later = brake.judge(removals(300), reading(90_000, 1000, 700, 50), first.missing, Bounds(), allow=False)
    assert not later.passed
    assert len(brake.judge(removals(300), reading(1, 1000, 700, 50), {}, Bounds(), allow=True).passed) == 300


def test_an_emptied_service_waits_for_a_second_reading() -> None:
    first = brake.judge(removals(2), reading(0, 100, 98, 0), {}, Bounds(), allow=False)
    assert not first.passed
    soon = brake.judge(removals(2), reading(29, 100, 98, 0), first.missing, Bounds(), allow=False)
    assert not soon.passed
    assert len(brake.judge(removals(2), reading(30, 100, 98, 0), soon.missing, Bounds(), allow=False).passed) == 2


def test_one_that_came_back_in_between_begins_anew() -> None:
    first = brake.judge(removals(1), reading(0, 100, 99, 0), {}, Bounds(), allow=False)
    back = brake.judge([], reading(15, 100, 100, 1), first.missing, Bounds(), allow=False)
    assert not brake.judge(removals(1), reading(31, 100, 99, 0), back.missing, Bounds(), allow=False).passed


def test_an_empty_source_is_not_believed_for_long() -> None:
    missing: brake.Missing = {}
    for at_s in (0, 60, 599):
        verdict = brake.judge(removals(3), reading(at_s, 3, 0, 0), missing, Bounds(), allow=False)
        assert not verdict.passed
        missing = verdict.missing
    assert len(brake.judge(removals(3), reading(600, 3, 0, 0), missing, Bounds(), allow=False).passed) == 3


def test_a_source_that_fills_again_is_given_time_for_the_rest() -> None:
    empty = brake.judge(removals(3), reading(0, 3, 0, 0), {}, Bounds(), allow=False)
    filling = brake.judge(removals(2), reading(10, 3, 1, 1), empty.missing, Bounds(), allow=False)
    assert len(filling.held) == 2
    assert not brake.judge(removals(2), reading(599, 3, 1, 1), filling.missing, Bounds(), allow=False).passed
    assert brake.judge(removals(2), reading(600, 3, 1, 1), filling.missing, Bounds(), allow=False).passed


def test_a_reading_of_some_services_forgets_nothing_of_the_others() -> None:
    other = ServiceKey("default", "users")
    first = brake.judge(removals(1), reading(0, 100, 98, 0), {}, Bounds(), allow=False)
    part = brake.Reading(at_ms=20_000, copies=100, source=98, remaining={other: 3}, full=False)
    between = brake.judge([], part, first.missing, Bounds(), allow=False)
    assert between.missing == first.missing
    back = structs.replace(part, remaining={ORDERS: 1})
    assert brake.judge([], back, first.missing, Bounds(), allow=False).missing == {}


def test_what_the_source_said_has_ended_passes_at_once() -> None:
    steps = removals(40)
    ended = frozenset((s.service, s.name) for s in steps[:30])
    verdict = brake.judge(steps, reading(0, 40, 0, 0, ended=ended), {}, Bounds(), allow=False)
    assert len(verdict.passed) == 30
    assert len(verdict.held) == 10


# ---------------------------------------------------------------------- stages


def test_stages_follow_each_other_and_the_way_back_is_open_until_the_last() -> None:
    stage = stages.DISCOVERED
    for expected in stages.STAGES[1:]:
        following = stages.following(stage)
        assert following == expected
        assert stages.preceding(following) == (None if following == stages.RETIRED else stage)
        stage = following
    assert stages.following(stage) is None


def test_gates_name_what_is_missing() -> None:
    clean = stages.Facts(planned=True, applied=True, complete=True, clean_s=900, reverse=True, old_readers=0)
    for stage in (stages.PLANNED, stages.MIRRORED, stages.DUAL, stages.READING, stages.WRITING):
        assert stages.objections(stage, clean) == []
        assert stages.objections(stage, stages.Facts())
    assert stages.objections(stages.DUAL, structs.replace(clean, clean_s=899))
    assert stages.objections(stages.DRAINED, clean)
    assert stages.objections(stages.DRAINED, structs.replace(clean, old_natives=0, old_quiet_s=86_400)) == []
    assert stages.objections(stages.RETIRED, structs.replace(clean, held=1))


# ---------------------------------------------------------------------- plans and audits


def finished(work):  # type: ignore[no-untyped-def]
    """The result of work that yields."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


def both() -> tuple[ModelRegistry, ModelRegistry]:
    source, target = ModelRegistry("a"), ModelRegistry("b")
    for host in (1, 2, 3):
        source.register(ORDERS, at(host))
    target.register(ORDERS, at(3))
    return source, target


def planned(source: ModelRegistry, target: ModelRegistry, at_ms: int = 0):  # type: ignore[no-untyped-def]
    return finished(planning(TASK, EUREKA, source.listed(), target.copies(), EUREKA, ALL, shadows=False, at_ms=at_ms))


def test_a_plan_is_the_same_until_something_changes_and_its_steps_are_all_there_is_to_do() -> None:
    source, target = both()
    first = planned(source, target)
    assert first.counts == {CREATE: 2, UPDATE: 0, DELETE: 0, SKIP: 1}
    assert planned(source, target, 5).digest == first.digest
    for step in first.steps:
        if step.action != SKIP:
            target.apply(step, TASK)
    assert planned(source, target).counts == {CREATE: 0, UPDATE: 0, DELETE: 0, SKIP: 1}
    source.register(ORDERS, at(4))
    assert planned(source, target).digest != first.digest


def test_an_audit_names_what_differs_and_since_when() -> None:
    source, target = both()
    for step in planned(source, target).steps:
        target.apply(step, TASK)

    def compare(at_ms: int, before=None):  # type: ignore[no-untyped-def]
        return finished(
            auditing(
                TASK, EUREKA, source.listed(), target.copies(), EUREKA, ALL, shadows=False, at_ms=at_ms, before=before
            )
        )

    clean = compare(1_000)
    assert (clean.open, clean.equal, clean.clean_since_ms) == (0, 1, 1_000)
    copies = [r for r in target.copies()[ORDERS] if not r.native]
    target.deregister(ORDERS, copies[0].id)
    target.records[ORDERS][copies[1].id] = structs.replace(copies[1], instance=at(2, weight=7))
    fresh = compare(10_000, clean)
    assert {d.kind for d in fresh.differences} == {MISSING, DIFFERENT}
    assert all(d.in_flight for d in fresh.differences)
    assert fresh.clean_since_ms == 1_000
    old = compare(46_000, fresh)
    assert old.open == 2
    assert old.clean_since_ms == 0
    assert {d.fields for d in old.differences} == {(), ("weight",)}
    source.records.clear()
    assert {d.kind for d in compare(50_000, old).differences} == {SURPLUS}
