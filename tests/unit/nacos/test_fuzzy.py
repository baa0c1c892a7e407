"""Fuzzy watch: patterns, the beginning, and services that come and go."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_world import Client, World, named
from hypothesis import given
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.service.fuzzy import BATCH
from polaris_bridge.adapters.nacos.service.fuzzy_patterns import Pattern, item_matches
from polaris_bridge.adapters.nacos.wire.messages import Refused

SYNC = "NamingFuzzyWatchSyncRequest"
CHANGE = "NamingFuzzyWatchChangeNotifyRequest"
ALL = "public>>*>>*"


@pytest.fixture
def world() -> World:
    return World()


def watch(
    client: Client, pattern: str = ALL, received: tuple[str, ...] = (), kind: str = "WATCH", initializing: bool = True
) -> tuple[str, Any]:
    body = {
        "groupKeyPattern": pattern,
        "receivedGroupKeys": list(received),
        "watchType": kind,
        "initializing": initializing,
    }
    return client.ask("NamingFuzzyWatchRequest", body)


def told(client: Client, **options: Any) -> list[tuple[str, str]]:
    """Changes since the last look."""
    return [(push["serviceKey"], push["changedType"]) for push in client.pushes(CHANGE, **options)]


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("*", "", True), ("*", "x", True), ("a*", "abc", True), ("a*", "bac", False), ("*c", "abc", True),
        ("*c", "cab", False), ("*b*", "abc", True), ("*d*", "abc", False), ("abc", "abc", True), ("abc", "abcd", False),
        ("**", "abc", True), ("a*c", "abc", False), ("a*c", "a*c", True),
    ],
)  # fmt: skip
def test_items(pattern: str, text: str, matches: bool) -> None:
    assert item_matches(pattern, text) is matches


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_parts_of_a_text_match_it(before: str, part: str, after: str) -> None:
    text = before + part + after
    assert item_matches(f"*{part}*", text)
    if not before.startswith("*"):
        assert item_matches(f"{before}*", text)
    if not after.endswith("*"):
        assert item_matches(f"*{after}", text)


@pytest.mark.parametrize("text", ["", "a", "a>>b", "a>>b>>c>>d", "a>>>>c", "a>>b>>"])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(Refused):
        Pattern(text)


def test_the_beginning_in_batches(world: World) -> None:
    provider, watcher = world.client(), world.client()
    for count in range(BATCH + 1):
        provider.register(f"s{count:03}")
    answer = watch(watcher)
    assert answer == ("NamingFuzzyWatchResponse", {"resultCode": 200, "errorCode": 0, "success": True})
    world.pass_time(0.2)
    first, second, end = watcher.pushes(SYNC)
    assert [first["syncType"], second["syncType"], end["syncType"]] == [
        "FUZZY_WATCH_INIT_NOTIFY", "FUZZY_WATCH_INIT_NOTIFY", "FINISH_FUZZY_WATCH_INIT_NOTIFY",
    ]  # fmt: skip
    assert [(push["totalBatch"], push["currentBatch"]) for push in (first, second)] == [(2, 1), (2, 2)]
    assert end["contexts"] == []
    contexts = first["contexts"] + second["contexts"]
    assert {context["changedType"] for context in contexts} == {"ADD_SERVICE"}
    assert sorted(context["serviceKey"] for context in contexts) == [
        f"public@@DEFAULT_GROUP@@s{count:03}" for count in range(BATCH + 1)
    ]
    assert first["groupKeyPattern"] == ALL


def test_an_empty_beginning_ends_all_the_same(world: World) -> None:
    watcher = world.client()
    watch(watcher)
    world.pass_time(0.2)
    assert [push["syncType"] for push in watcher.pushes(SYNC)] == ["FINISH_FUZZY_WATCH_INIT_NOTIFY"]


def test_what_the_client_has_already(world: World) -> None:
    provider, watcher = world.client(), world.client()
    provider.register("a")
    provider.register("b")
    known = ("public@@DEFAULT_GROUP@@a", "public@@DEFAULT_GROUP@@gone")
    watch(watcher, received=known, initializing=False)
    world.pass_time(0.2)
    (push,) = watcher.pushes(SYNC)
    assert push["syncType"] == "FUZZY_WATCH_DIFF_SYNC_NOTIFY"
    assert {(c["serviceKey"], c["changedType"]) for c in push["contexts"]} == {
        ("public@@DEFAULT_GROUP@@b", "ADD_SERVICE"), ("public@@DEFAULT_GROUP@@gone", "DELETE_SERVICE"),
    }  # fmt: skip


def test_services_come_and_go(world: World) -> None:
    provider, watcher, picky = world.client(), world.client(), world.client()
    watch(watcher)
    watch(picky, "public>>DEFAULT*>>ord*")
    world.pass_time(0.2)
    watcher.pushes()
    picky.pushes()
    provider.register("orders")
    provider.register("stock")
    assert told(watcher) == [
        ("public@@DEFAULT_GROUP@@orders", "ADD_SERVICE"), ("public@@DEFAULT_GROUP@@stock", "ADD_SERVICE"),
    ]  # fmt: skip
    assert told(picky) == [("public@@DEFAULT_GROUP@@orders", "ADD_SERVICE")]
    provider.register("orders", port=9)
    provider.deregister("orders")
    assert told(watcher) == [], "its instances are another matter"
    heard: list[tuple[str, str]] = []
    for _ in range(70):
        world.pass_time(1)
        provider.ask("HealthCheckRequest")
        picky.ask("HealthCheckRequest")
        heard += told(watcher)
    assert heard == [("public@@DEFAULT_GROUP@@orders", "DELETE_SERVICE")]
    assert told(picky)[0] == ("public@@DEFAULT_GROUP@@orders", "DELETE_SERVICE")


def test_other_groups_and_namespaces(world: World) -> None:
    provider, watcher = world.client(), world.client()
    watch(watcher, "dev>>g*>>*")
    world.pass_time(0.2)
    watcher.pushes()
    for group, namespace in (("g1", "dev"), ("h1", "dev"), ("g1", "public")):
        body = named("s", group, namespace) | {"type": "registerInstance", "instance": {"ip": "1.1.1.1", "port": 1}}
        assert provider.ask("InstanceRequest", body)[0] == "InstanceResponse"
    assert told(watcher) == [("dev@@g1@@s", "ADD_SERVICE")]


def test_no_more_after_the_end(world: World) -> None:
    provider = world.client()
    for end in ("cancel", "gone"):
        watcher = world.client()
        watch(watcher)
        world.pass_time(0.2)
        watcher.pushes()
        if end == "cancel":
            assert watch(watcher, kind="CANCEL_WATCH")[1]["success"]
        else:
            watcher.link.cut()
        provider.register(end)
        assert watcher.stream is not None
        assert told(watcher, answer=False) == []
        assert len(world.service.fuzzy) == 0


def test_a_client_that_goes_before_the_beginning(world: World) -> None:
    watcher = world.client()
    watch(watcher)
    watcher.link.cut()
    world.pass_time(1)
    assert world.service.requests.waiting == 0


def test_who_does_not_answer_is_told_again_what_is_still_true(world: World) -> None:
    provider, watcher = world.client(), world.client()
    watch(watcher)
    world.pass_time(0.2)
    watcher.pushes()
    provider.register("orders")
    assert len(told(watcher, answer=False)) == 1
    world.pass_time(7)
    (again,) = watcher.pushes(CHANGE, answer=False)
    assert again["serviceKey"] == "public@@DEFAULT_GROUP@@orders"
    watcher.acknowledge(CHANGE, again["requestId"])
    world.pass_time(7)
    assert told(watcher) == []


def test_limits(world: World) -> None:
    watcher = world.client()
    for count in range(20):
        assert watch(watcher, f"public>>*>>{count}*")[1]["success"]
    over = watch(watcher, "public>>*>>x*")
    assert (over[0], over[1]["errorCode"], over[1]["success"]) == ("NamingFuzzyWatchResponse", 50310, False)
    assert watch(world.client(), "public>>*>>1*")[1]["success"], "a pattern that others watch counts once"


def test_too_many_matches_are_told_as_far_as_the_limit_goes(world: World) -> None:
    provider, watcher = world.client(), world.client()
    for count in range(510):
        provider.register(f"s{count}")
    over = watch(watcher)
    assert (over[0], over[1]["errorCode"]) == ("NamingFuzzyWatchResponse", 50311)
    world.pass_time(0.2)
    assert sum(len(push["contexts"]) for push in watcher.pushes(SYNC)) == 500
    provider.register("another")
    assert told(watcher) == []


@pytest.mark.parametrize(("pattern", "kind"), [("nope", "WATCH"), (ALL, "LOOK")])
def test_what_is_refused(world: World, pattern: str, kind: str) -> None:
    type, body = watch(world.client(), pattern, kind=kind)
    assert (type, body["errorCode"]) == ("ErrorResponse", 400)
