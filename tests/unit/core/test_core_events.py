"""Instance events: one for every turn in the life of a registration, none for anything else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from world import BEATING, CALLER, CHECKED, CONNECTED, LEASED, ORDERS, PLACE, World, doc

from polaris_bridge.core.events import InstanceEvent
from polaris_bridge.core.model import Checks

Steps = list[tuple[Callable[[World], object], list[str]]]

CASES: dict[str, Steps] = {
    "comes and goes": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.deregister(doc(LEASED).id), ["offline a/k1"]),
    ],
    "repeats itself": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.register(doc(LEASED)), []),
        (lambda w: w.renew(doc(LEASED).id), []),
    ],
    "changes its document": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.register(doc(LEASED, metadata={"x": "1"})), ["update a/k1"]),
        (lambda w: w.amend(doc(LEASED).id, weight=1), ["update a/k1"]),
    ],
    "falls silent, is heard of, falls silent for good": [
        (lambda w: w.register(doc(BEATING)), ["online b/k1"]),
        (lambda w: w.pass_time(17), ["turn_unhealthy b/k1"]),
        (lambda w: w.renew(doc(BEATING).id), ["turn_healthy b/k1"]),
        (lambda w: w.pass_time(17), ["turn_unhealthy b/k1"]),
        (lambda w: w.register(doc(BEATING)), ["turn_healthy b/k1"]),
        (lambda w: w.pass_time(33), ["turn_unhealthy b/k1", "offline b/k1"]),
    ],
    "expires": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.pass_time(92), ["offline a/k1"]),
    ],
    "says itself that it wants no traffic": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.register(doc(LEASED, reported="down")), ["isolate_on a/k1"]),
        (lambda w: w.register(doc(LEASED, reported="out_of_service")), ["update a/k1"]),
        (lambda w: w.register(doc(LEASED)), ["isolate_off a/k1"]),
    ],
    "is switched off and on": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.register(doc(BEATING, "b")), ["online b/b"]),
        (lambda w: w.switch("z"), ["isolate_on a/k1", "isolate_on b/b"]),
        (lambda w: w.switch("y"), []),
        (lambda w: w.switch("z", on=False), []),
        (lambda w: w.switch("y", on=False), ["isolate_off a/k1", "isolate_off b/b"]),
    ],
    "moves": [
        (lambda w: w.register(doc(LEASED)), ["online a/k1"]),
        (lambda w: w.register(doc(LEASED, port=9)), ["offline a/k1", "online a/k1"]),
    ],
    "loses its connection": [
        (lambda w: (w.registry.open_session("s1"), w.register(doc(CONNECTED))), ["online c/k1"]),
        (lambda w: w.registry.close_session("s1"), ["offline c/k1"]),
    ],
    "is deleted by an operator with all that stands there": [
        (lambda w: (w.register(doc(LEASED)), w.register(doc(BEATING, "b"))), ["online a/k1", "online b/b"]),
        (
            lambda w: (w.registry.delete_address(ORDERS, PLACE, CALLER), w.settle()),
            ["offline a/k1", "offline b/b"],
        ),
    ],
    "fails to be stored": [
        (lambda w: (setattr(w.store, "fail", 1), w.register(doc(LEASED))), []),
    ],
    "two turns at once": [
        (lambda w: w.register(doc(BEATING)), ["online b/k1"]),
        (lambda w: w.pass_time(17), ["turn_unhealthy b/k1"]),
        (lambda w: w.register(doc(BEATING, reported="down")), ["turn_healthy b/k1", "isolate_on b/k1"]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES.keys())
def test_what_is_told(steps: Steps) -> None:
    world = World()
    told: list[InstanceEvent] = []
    world.registry.events.append(told.append)
    for run, expected in steps:
        told.clear()
        run(world)
        assert [f"{e.kind} {e.source}/{e.key}" for e in told] == expected


def test_what_an_event_says() -> None:
    world = World()
    told: list[InstanceEvent] = []
    world.registry.events.append(told.append)
    world.register(doc(LEASED))
    (event,) = told
    assert (event.namespace, event.service, event.host, event.port) == ("default", "orders", "10.0.0.1", 8080)
    assert event.wall_ms == world.clock.now_ms
    assert event.revision == world.registry.snapshot(ORDERS).revision


def test_a_check_that_fails_is_a_turn() -> None:
    world = World()
    world.register(doc(CHECKED, liveness=Checks({"web": "passing"})))
    told: list[InstanceEvent] = []
    world.registry.events.append(told.append)
    world.registry.set_check(doc(CHECKED).id, "web", "critical")
    assert len(told) == 1
    world.registry.set_check(doc(CHECKED).id, "web", "passing")
    assert len(told) == 2
    assert told[0].kind != told[1].kind


def test_held_by_self_protection_is_unhealthy_and_turns_back() -> None:
    world = World()
    for i in range(10):
        world.register(doc(LEASED, f"k{i}", port=i + 1))
    told: list[InstanceEvent] = []
    world.registry.events.append(told.append)
    world.pass_time(93)
    assert [e.kind for e in told] == ["turn_unhealthy"] * 10
    told.clear()
    world.renew(doc(LEASED, "k3").id)
    assert [(e.kind, e.key) for e in told] == [("turn_healthy", "k3")]
