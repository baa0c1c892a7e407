"""The table of situations of the mapping sheet (section 9), row by row, with made-up protocols in place of real ones.

a, b: leases (a: unhealthy is deleted, b: first unhealthy, then deleted); c: a connection; d: a lease that never deletes;
e: no liveness; f: checks; x: a reader that registers nothing. Rows about one protocol's own wire (what it answers for an
unknown instance, one entry per ip:port:cluster, a kind fixed per service) are the adapters'; here stands what the core
contributes to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs
from world import CALLER, NAMESPACE, ORDERS, PLACE, Ear, World, doc

from polaris_bridge.core.model import Address, AddressKey, Checks, Registration, Session, Switch
from polaris_bridge.core.protection import ProtectionTerms
from polaris_bridge.core.terms import Terms
from polaris_bridge.core.views import shown

Do = Callable[[World], object]
Seen = dict[str, list[str]]
Steps = list[tuple[Do, Seen]]

ELSEWHERE = AddressKey("10.0.0.2", 8080)


def put(source: str, key: str = "k1", **changes: Any) -> Do:
    """Register."""
    return lambda w: w.register(doc(source, key, **changes))


def end(source: str, key: str = "k1") -> Do:
    """Deregister."""
    return lambda w: w.deregister(doc(source, key).id)


def wait(seconds: int, *alive: str) -> Do:
    """Time passes, these sources' k1 are renewed."""
    return lambda w: w.keep(seconds, *(doc(source).id for source in alive))


def off(source: str, key: str = "", **more: Any) -> Do:
    """Set a switch."""
    return lambda w: w.switch(source, key, **more)


def on(source: str, key: str = "") -> Do:
    """Release it."""
    return lambda w: w.switch(source, key, on=False)


def connect(id: str = "s1") -> Do:
    """A connection stands."""
    return lambda w: w.registry.open_session(id)


def disconnect(id: str = "s1") -> Do:
    """It is gone."""
    return lambda w: (w.registry.close_session(id), w.settle())


def check(state: str) -> Do:
    """A check of f/k1 has a result."""
    return lambda w: (w.registry.set_check(doc("f").id, "web", state), w.settle())


def delete(w: World) -> None:
    """An operator deletes the address."""
    w.registry.delete_address(ORDERS, PLACE, CALLER)
    w.settle()


def restart(w: World) -> None:
    """The process ends and starts again."""
    w.restart()


OUT = "out_of_service"

CASES: dict[str, Steps] = {
    "registered via A, then via B, same host and port": [
        (put("a"), {"a": ["a/k1 up"], "b": ["a/k1 up"], "x": ["a/k1 up"]}),
        (put("b"), {"a": ["a/k1 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "A registers again, unchanged": [
        (put("a"), {}),
        (put("b"), {}),
        (put("a"), {"a": ["a/k1 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "A registers again, changed": [
        (put("a"), {}),
        (put("b"), {}),
        (put("a", metadata={"x": "1"}), {"a": ["a/k1 up"], "b": ["b/k1 up"], "x": ["a/k1 up"]}),
        (put("b"), {"x": ["a/k1 up"]}),
    ],
    "A changes its document by another call than register": [
        (put("a"), {}),
        (put("b"), {}),
        (lambda w: w.amend(doc("a").id, reported="starting"), {"x": ["a/k1 starting"], "b": ["b/k1 up"]}),
        (lambda w: w.amend(doc("a").id), {"x": ["a/k1 starting"]}),
    ],
    "two ids of A and one of B": [
        (put("a", "k1"), {}),
        (put("a", "k2"), {"a": ["a/k1 up", "a/k2 up"], "b": ["a/k1 up", "a/k2 up"]}),
        (put("b"), {"a": ["a/k1 up", "a/k2 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
        (put("a", "k2", metadata={"x": "1"}), {"b": ["b/k1 up"], "x": ["a/k1 up", "a/k2 up"]}),
    ],
    "heartbeats from A only, B's lease runs out": [
        (put("a"), {}),
        (put("b"), {}),
        (wait(17, "a"), {"a": ["a/k1 up"], "b": ["a/k1 up"], "x": ["a/k1 up"]}),
        (wait(17, "a"), {"a": ["a/k1 up"], "b": ["a/k1 up"], "x": ["a/k1 up"]}),
        (put("b"), {"a": ["a/k1 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "B is heard of again before it is deleted": [
        (put("a"), {}),
        (put("b"), {}),
        (wait(17, "a"), {"b": ["a/k1 up"], "x": ["a/k1 up"]}),
        (wait(1, "a", "b"), {"b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "heartbeats from neither": [
        (put("b"), {}),
        (put("d"), {"b": ["b/k1 up"], "d": ["d/k1 up"], "x": ["d/k1 up"]}),
        (wait(17), {"b": ["b/k1 up lost"], "d": ["d/k1 up lost"], "x": ["d/k1 up lost"]}),
        (wait(16), {"b": ["d/k1 up lost"], "d": ["d/k1 up lost"], "x": ["d/k1 up lost"]}),
        (wait(600), {"b": ["d/k1 up lost"], "d": ["d/k1 up lost"], "x": ["d/k1 up lost"]}),
    ],
    "heartbeat via A where only B registered": [
        (put("b"), {}),
        (wait(32, "a"), {"a": [], "b": [], "x": []}),
    ],
    "deregister via A, both registered": [
        (put("a"), {}),
        (put("b"), {}),
        (end("a"), {"a": ["b/k1 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "deregister via A where only B registered": [
        (put("b"), {}),
        (end("a"), {"a": ["b/k1 up"], "b": ["b/k1 up"]}),
    ],
    "delete by an operator": [
        (connect(), {}),
        (put("a"), {}),
        (put("b"), {}),
        (put("c"), {}),
        (put("e"), {}),
        (off("z"), {}),
        (delete, {"a": [], "b": [], "c": [], "e": [], "x": []}),
        (put("c"), {"c": ["c/k1 up"], "x": ["c/k1 up"]}),
    ],
    "A reports down, B is healthy": [
        (put("a", reported="down"), {}),
        (put("b"), {"a": ["a/k1 down"], "b": ["b/k1 up"], "x": ["b/k1 down"]}),
    ],
    "A starts, B is out of service by its own word": [
        (put("a", reported="starting"), {}),
        (put("b", reported=OUT), {"a": ["a/k1 starting"], "b": ["b/k1 out_of_service"], "x": ["b/k1 out_of_service"]}),
    ],
    "a lost one's word is no longer believed while another lives": [
        (put("b", reported="down"), {}),
        (put("e"), {"x": ["e/k1 down"]}),
        (wait(17), {"b": ["e/k1 up"], "x": ["e/k1 up"]}),
    ],
    "a check fails": [
        (put("f", liveness=Checks({"web": "passing"})), {}),
        (put("e"), {"f": ["f/k1 up"], "e": ["e/k1 up"], "x": ["e/k1 up"]}),
        (check("critical"), {"f": ["f/k1 down"], "e": ["e/k1 up"], "x": ["e/k1 down"]}),
        (check("warning"), {"f": ["f/k1 up"], "e": ["e/k1 up"], "x": ["e/k1 up"]}),
    ],
    "a check fails for as long as is allowed": [
        (put("f", liveness=Checks({"web": "passing"}, deregister_ms=60_000)), {}),
        (check("critical"), {"f": ["f/k1 down"]}),
        (wait(58), {"f": ["f/k1 down"]}),
        (wait(4), {"f": []}),
    ],
    "a check recovers before that": [
        (put("f", liveness=Checks({"web": "passing"}, deregister_ms=60_000)), {}),
        (check("critical"), {}),
        (wait(58), {}),
        (check("passing"), {}),
        (check("critical"), {}),
        (wait(58), {"f": ["f/k1 down"]}),
    ],
    "isolated through A while B says up": [
        (put("a"), {}),
        (put("b"), {}),
        (off("a"), {"a": ["a/k1 out_of_service"], "b": ["b/k1 out_of_service"], "x": ["b/k1 out_of_service"]}),
        (on("b"), {"a": ["a/k1 out_of_service"], "b": ["b/k1 out_of_service"], "x": ["b/k1 out_of_service"]}),
        (on("a"), {"a": ["a/k1 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "two switches are two interlocks": [
        (put("a"), {}),
        (off("a"), {}),
        (off("z"), {}),
        (on("a"), {"a": ["a/k1 out_of_service"]}),
        (on("z"), {"a": ["a/k1 up"]}),
    ],
    "an operator's on withdraws nothing": [
        (put("a"), {}),
        (off("a", "k1", word="up"), {"a": ["a/k1 up"], "x": ["a/k1 up"]}),
    ],
    "a switch does not make an own word better than it is": [
        (put("a", reported="down"), {}),
        (off("a", "k1", word="starting"), {"a": ["a/k1 down"], "x": ["a/k1 out_of_service"]}),
        (put("a"), {"a": ["a/k1 starting"], "x": ["a/k1 out_of_service"]}),
    ],
    "a switch on one of two ids acts on that one, on others when all are off": [
        (put("a", "k1"), {}),
        (put("a", "k2"), {}),
        (put("b"), {}),
        (off("a", "k1", word="down"), {"a": ["a/k1 down", "a/k2 up"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
        (off("a", "k2", word="starting"), {"a": ["a/k1 down", "a/k2 starting"], "b": ["b/k1 out_of_service"]}),
        (wait(0), {"x": ["b/k1 out_of_service"]}),
        (on("a", "k1"), {"a": ["a/k1 up", "a/k2 starting"], "b": ["b/k1 up"], "x": ["b/k1 up"]}),
    ],
    "an id that is only silent is not off": [
        (put("b", "k1"), {}),
        (put("b", "k2"), {}),
        (put("e"), {}),
        (off("b", "k1"), {}),
        (wait(17, "b"), {"e": ["e/k1 up"], "x": ["e/k1 up"]}),
    ],
    "any registration repeated while a switch is on": [
        (put("a"), {}),
        (put("b"), {}),
        (off("z"), {}),
        (put("a", metadata={"x": "1"}), {"a": ["a/k1 out_of_service"], "x": ["a/k1 out_of_service"]}),
        (put("b", reported="up"), {"b": ["b/k1 out_of_service"]}),
        (wait(5, "a", "b"), {"a": ["a/k1 out_of_service"], "b": ["b/k1 out_of_service"]}),
    ],
    "a switch set through A on an instance of B only": [
        (put("b"), {}),
        (off("a"), {"a": ["b/k1 out_of_service"], "b": ["b/k1 out_of_service"], "x": ["b/k1 out_of_service"]}),
        (on("a"), {"b": ["b/k1 up"]}),
    ],
    "the address becomes empty by deregistration: switches end at once": [
        (put("a"), {}),
        (off("z"), {}),
        (off("a", "k1"), {}),
        (end("a"), {"x": []}),
        (put("a"), {"a": ["a/k1 up"], "x": ["a/k1 up"]}),
    ],
    "the address becomes empty by expiry: switches end at once": [
        (put("a"), {}),
        (off("z"), {}),
        (wait(92), {"x": []}),
        (put("a"), {"a": ["a/k1 up"]}),
    ],
    "the address becomes empty by an operator: switches end at once": [
        (put("a"), {}),
        (off("z"), {}),
        (delete, {}),
        (put("a"), {"a": ["a/k1 up"]}),
    ],
    "the address becomes empty by a lost connection: switches stay 60 s": [
        (connect(), {}),
        (put("c"), {}),
        (off("z"), {}),
        (disconnect(), {"x": []}),
        (wait(55), {}),
        (connect("s2"), {}),
        (put("c", liveness=Session("s2")), {"c": ["c/k1 out_of_service"], "x": ["c/k1 out_of_service"]}),
    ],
    "and end after them": [
        (connect(), {}),
        (put("c"), {}),
        (off("z"), {}),
        (disconnect(), {}),
        (wait(62), {}),
        (connect("s2"), {}),
        (put("c", liveness=Session("s2")), {"c": ["c/k1 up"]}),
    ],
    "each emptying gives them 60 s anew": [
        (connect(), {}),
        (put("c"), {}),
        (off("z"), {}),
        (disconnect(), {}),
        (wait(55), {}),
        (connect(), {}),
        (put("c"), {}),
        (disconnect(), {}),
        (wait(55), {}),
        (connect(), {}),
        (put("c"), {"c": ["c/k1 out_of_service"]}),
    ],
    "a lingering switch stays 60 s after whatever ended": [
        (put("a"), {}),
        (off("z", lingers=True), {}),
        (end("a"), {"x": []}),
        (wait(55), {}),
        (put("a"), {"a": ["a/k1 out_of_service"]}),
        (wait(70, "a"), {"a": ["a/k1 out_of_service"]}),
        (end("a"), {}),
        (wait(62), {}),
        (put("a"), {"a": ["a/k1 up"]}),
    ],
    "an override goes with its registration, when only its own protocol is left": [
        (put("a", "k1"), {}),
        (put("a", "k2"), {}),
        (off("a", "k1"), {"a": ["a/k1 out_of_service", "a/k2 up"]}),
        (end("a", "k1"), {"a": ["a/k2 up"]}),
        (put("a", "k1"), {"a": ["a/k1 up", "a/k2 up"]}),
    ],
    "it goes along when its registration moves, a switch on the address does not": [
        (put("a"), {}),
        (off("z"), {}),
        (off("a", "k1"), {}),
        (put("a", host=ELSEWHERE.host), {"a": []}),
        (put("a"), {"a": ["a/k1 out_of_service"], "x": ["a/k1 out_of_service"]}),
        (on("a", "k1"), {"a": ["a/k1 up"], "x": ["a/k1 up"]}),
    ],
    "and only its own": [
        (put("a", "k1"), {}),
        (put("a", "k2"), {}),
        (off("z"), {}),
        (off("a", "k2"), {}),
        (end("a", "k1"), {"a": ["a/k2 out_of_service"]}),
        (on("z"), {"a": ["a/k2 out_of_service"]}),
        (on("a", "k2"), {"a": ["a/k2 up"]}),
    ],
    "and stays while another protocol stands there": [
        (put("a"), {}),
        (put("b"), {}),
        (off("a", "k1"), {"b": ["b/k1 out_of_service"]}),
        (end("a"), {"b": ["b/k1 out_of_service"], "x": ["b/k1 out_of_service"]}),
        (on("a", "k1"), {"b": ["b/k1 up"]}),
    ],
    "connection lost, A still renews": [
        (connect(), {}),
        (put("a"), {}),
        (put("c"), {"c": ["c/k1 up"], "x": ["c/k1 up"]}),
        (disconnect(), {"a": ["a/k1 up"], "c": ["a/k1 up"], "x": ["a/k1 up"]}),
        (connect("s2"), {}),
        (put("c", liveness=Session("s2")), {"a": ["a/k1 up"], "c": ["c/k1 up"]}),
    ],
    "connection lost, nothing else there": [
        (connect(), {}),
        (put("c"), {}),
        (disconnect(), {"a": [], "c": [], "x": []}),
    ],
    "two connections at one address": [
        (connect("s1"), {}),
        (connect("s2"), {}),
        (put("c", "k1"), {}),
        (put("c", "k2", liveness=Session("s2")), {"c": ["c/k1 up", "c/k2 up"]}),
        (disconnect("s1"), {"c": ["c/k2 up"], "x": ["c/k2 up"]}),
        (disconnect("s2"), {"c": []}),
    ],
    "the new connection comes before the old one is known to be gone": [
        (connect("s1"), {}),
        (connect("s2"), {}),
        (put("c"), {}),
        (put("c", liveness=Session("s2")), {"c": ["c/k1 up"]}),
        (disconnect("s1"), {"c": ["c/k1 up"]}),
        (disconnect("s2"), {"c": []}),
    ],
    "registered on a connection that is gone already": [
        (put("c"), {}),
        (wait(3), {"c": []}),
    ],
    "a registration with a lease at an address that others call persistent is ruled by its own lease": [
        (put("e", ephemeral=False), {}),
        (put("a"), {}),
        (wait(92), {"a": ["e/k1 up"], "e": ["e/k1 up"], "x": ["e/k1 up"]}),
    ],
    "copy and native": [
        (put("z", copied_from="far"), {"a": ["z/k1 up"], "x": ["z/k1 up"], "z": ["z/k1 up"]}),
        (put("a"), {"a": ["a/k1 up"], "x": ["a/k1 up"], "z": ["a/k1 up"]}),
        (put("z", copied_from="far", reported="down"), {"a": ["a/k1 up"], "x": ["a/k1 up"], "z": ["a/k1 up"]}),
        (wait(92), {"a": ["z/k1 down"], "x": ["z/k1 down"]}),
    ],
    "a live copy comes before a silent native": [
        (put("d"), {}),
        (put("z", copied_from="far"), {"x": ["d/k1 up"]}),
        (wait(17), {"d": ["z/k1 up"], "x": ["z/k1 up"]}),
        (wait(1, "d"), {"d": ["d/k1 up"], "x": ["d/k1 up"]}),
    ],
    "a silent native comes before a silent copy": [
        (put("d"), {}),
        (put("z", copied_from="far", liveness=doc("d").liveness), {}),
        (wait(17), {"d": ["d/k1 up lost"], "x": ["d/k1 up lost"]}),
    ],
    "restart": [
        (connect(), {}),
        (put("a"), {}),
        (put("b"), {}),
        (put("c"), {}),
        (put("e"), {}),
        (off("z"), {"x": ["e/k1 out_of_service"], "a": ["a/k1 out_of_service"], "c": ["c/k1 out_of_service"]}),
        (restart, {"x": ["e/k1 out_of_service"], "a": ["a/k1 out_of_service"], "c": ["c/k1 out_of_service"]}),
        (on("z"), {"x": ["e/k1 up"], "a": ["a/k1 up"], "b": ["b/k1 up"], "c": ["c/k1 up"]}),
        (wait(43, "b"), {"a": ["a/k1 up"], "b": ["b/k1 up"], "c": ["c/k1 up"]}),
        (wait(4, "b"), {"a": ["a/k1 up"], "c": ["e/k1 up"]}),
        (wait(41, "b"), {"a": ["a/k1 up"]}),
        (wait(4, "b"), {"a": ["e/k1 up"]}),
    ],
    "restart, its connection comes back": [
        (connect(), {}),
        (put("c"), {}),
        (restart, {}),
        (wait(20), {}),
        (connect(), {}),
        (wait(100), {"c": ["c/k1 up"]}),
    ],
    "restart of what was silent": [
        (put("b"), {}),
        (put("d"), {}),
        (wait(17), {}),
        (restart, {"b": ["b/k1 up lost"], "d": ["d/k1 up lost"], "x": ["d/k1 up lost"]}),
        (wait(28), {"b": ["b/k1 up lost"]}),
        (wait(4), {"b": ["d/k1 up lost"]}),
    ],
    "restart of what was silent, then heard of": [
        (put("b"), {}),
        (put("d"), {}),
        (wait(17), {}),
        (restart, {}),
        (wait(1, "b", "d"), {"b": ["b/k1 up"], "d": ["d/k1 up"], "x": ["d/k1 up"]}),
    ],
    "restart while switches wait for somebody to come back": [
        (connect(), {}),
        (put("c"), {}),
        (off("z"), {}),
        (disconnect(), {}),
        (wait(50), {}),
        (restart, {}),
        (wait(50), {}),
        (connect(), {}),
        (put("c"), {"c": ["c/k1 out_of_service"]}),
    ],
    "a stall right after a restart": [
        (connect(), {}),
        (put("c"), {}),
        (restart, {}),
        (lambda w: w.stall(120), {"c": ["c/k1 up"]}),
    ],
}

ALONE = Terms(protection=ProtectionTerms(enabled=False))


@pytest.mark.parametrize("steps", CASES.values(), ids=CASES.keys())
def test_situation(steps: Steps) -> None:
    world = World(ALONE)
    for number, (do, seen) in enumerate(steps, 1):
        do(world)
        for reader, expected in seen.items():
            assert world.says(reader) == expected, f"step {number}, {reader}'s reader"


class TestDocuments:
    """Different metadata, weight, version, cluster: as stated by one registration, never merged."""

    def test_each_reader_gets_one_whole_statement(self) -> None:
        world = World()
        mine = doc("a", metadata={"x": "a"}, weight=10, version="1", cluster="one")
        theirs = doc("b", metadata={"y": "b"}, weight=20, version="2", cluster="two")
        world.register(mine)
        world.register(theirs)
        for reader, said in (("a", mine), ("b", theirs), ("x", theirs)):
            (only,) = world.view(reader)
            r = only.registration
            assert (r.metadata, r.weight, r.version, r.cluster) == (
                said.metadata, said.weight, said.version, said.cluster,
            )  # fmt: skip


class TestAnswers:
    """What the core tells an adapter that has to give its protocol's own answer."""

    def test_a_heartbeat_through_another_protocol_is_for_nobody(self) -> None:
        world = World()
        world.register(doc("b"))
        assert world.renew(doc("a").id) is None

    def test_so_is_a_deregistration(self) -> None:
        world = World()
        world.register(doc("b"))
        before = world.registry.snapshot(ORDERS)
        assert world.deregister(doc("a").id) is None
        assert world.registry.snapshot(ORDERS) is before

    def test_a_release_by_another_protocol_is_accepted_and_counted(self) -> None:
        world = World()
        world.register(doc("a"))
        world.switch("a")
        commit = world.switch("b", on=False)
        assert commit is not None
        assert commit.done
        assert world.registry.counters.ignored_releases == 1
        assert world.says("x") == ["a/k1 out_of_service"]

    def test_a_delete_where_nothing_stands(self) -> None:
        assert World().registry.delete_address(ORDERS, PLACE, CALLER) is None


class TestInOneStep:
    """Readers never see neither, and watchers hear of it once."""

    def both(self, world: World) -> list[int]:
        counts: list[int] = []
        world.registry.observe(lambda published: counts.append(len(world.registry.snapshot(ORDERS).addresses)))
        return counts

    def test_a_key_registers_another_address(self) -> None:
        world = World()
        world.registry.open_session("s1")
        world.register(doc("c"))
        counts = self.both(world)
        ear = Ear(world.registry, ORDERS)
        ear.arm()
        world.register(doc("c", host=ELSEWHERE.host))
        assert counts == [1]
        assert ear.fired == 1
        assert world.says("c") == []
        assert world.says("c", place=ELSEWHERE) == ["c/k1 up"]

    def test_a_batch_replaces_another(self) -> None:
        world = World()
        world.registry.open_session("s1")
        with world.registry.transaction():
            for i in range(3):
                world.registry.register(doc("c", f"k{i}", port=i + 1), CALLER)
        world.settle()
        counts = self.both(world)
        with world.registry.transaction():
            world.registry.deregister(doc("c", "k0").id, CALLER)
            for i in range(1, 5):
                world.registry.register(doc("c", f"k{i}", port=i + 1), CALLER)
        world.settle()
        assert counts == [4]

    def test_a_connection_ends_with_all_it_held(self) -> None:
        world = World()
        world.registry.open_session("s1")
        for i in range(5):
            world.register(doc("c", f"k{i}", port=i + 1))
        counts = self.both(world)
        world.registry.close_session("s1")
        assert counts == [0]

    def test_the_other_registration_shows_in_the_same_push(self) -> None:
        world = World()
        world.registry.open_session("s1")
        world.register(doc("a"))
        world.register(doc("c"))
        seen: list[list[str]] = []
        world.registry.observe(lambda published: seen.append(world.says("c")))
        world.registry.close_session("s1")
        assert seen == [["a/k1 up"]]

    def test_a_connection_that_breaks_while_its_registration_is_written(self) -> None:
        world = World()
        world.registry.open_session("s1")
        with world.slow_store():
            world.register(doc("c"))
            world.registry.close_session("s1")
        world.pass_time(2)
        assert world.says("x") == []
        world.restart()
        assert world.says("x") == []

    def test_or_while_it_moves(self) -> None:
        world = World()
        world.registry.open_session("s1")
        world.register(doc("c"))
        with world.slow_store():
            world.register(doc("c", host=ELSEWHERE.host))
            world.registry.close_session("s1")
        world.pass_time(2)
        assert world.registry.snapshot(ORDERS).addresses == {}


class TestKeys:
    """One key is one registration per (source, namespace); the address is part of its statement."""

    def test_the_same_key_in_two_namespaces_and_of_two_protocols(self) -> None:
        world = World()
        world.register(doc("a"))
        world.register(doc("a", namespace="other"))
        world.register(doc("b"))
        assert len(world.registry.services()) == 2
        world.deregister(doc("a").id)
        assert world.says("a") == ["b/k1 up"]
        assert world.registry.registration(doc("a", namespace="other").id) is not None

    def test_a_key_moves_to_another_service(self) -> None:
        world = World()
        world.register(doc("a"))
        world.register(doc("a", service="billing"))
        assert world.says("x") == []
        assert [s.key.name for s in world.registry.services(NAMESPACE) if s.addresses] == ["billing"]

    def test_one_vpc_is_not_another(self) -> None:
        world = World()
        world.register(doc("a"))
        world.register(doc("a", "k2", vpc="v"))
        assert len(world.registry.snapshot(ORDERS).addresses) == 2


class TestCopies:
    def test_of_two_the_one_that_changed_last(self) -> None:
        def copy(source: str, seq: int) -> Registration:
            return structs.replace(doc("e"), source=source, key=source, copied_from=source, seq=seq)

        address = Address(*PLACE, (copy("one", 1), copy("two", 2)))
        assert [s.registration.source for s in shown(address, "x")] == ["two"]
        assert [s.registration.source for s in shown(address, "one")] == ["one"]

    def test_of_two_registries_the_one_that_had_news_last_with_all_that_it_says(self) -> None:
        def copy(registry: str, key: str, seq: int) -> Registration:
            return structs.replace(doc("e"), source="sync", key=registry + key, copied_from=registry, seq=seq)

        address = Address(*PLACE, (copy("r1", "a", 1), copy("r2", "a", 3), copy("r2", "b", 2)))
        assert [s.registration.key for s in shown(address, "x")] == ["r2a", "r2b"]


def test_an_address_with_switches_alone_shows_nothing() -> None:
    assert shown(Address(*PLACE, (), (Switch("z", "", OUT),)), "x") == ()


def test_what_is_held_counts_as_live_for_its_own_protocol_only() -> None:
    held = structs.replace(doc("a"), lost_ms=1, held=True)
    address = Address(*PLACE, (held, structs.replace(doc("d"), lost_ms=1)))
    assert [(s.registration.source, s.live) for s in shown(address, "a")] == [("a", True)]
    assert [(s.registration.source, s.live) for s in shown(address, "d")] == [("d", False)]
