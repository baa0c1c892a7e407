"""Fuzzy watch of configuration files: the beginning, files that come and go, limits, and thousands of files in slices."""

from __future__ import annotations

from typing import Any

import pytest
from grpc_world import Client, World

from polaris_bridge.core.config.model import Change, FileKey, GroupKey
from polaris_bridge.core.model import SYSTEM

SYNC = "ConfigFuzzyWatchSyncRequest"
CHANGE = "ConfigFuzzyWatchChangeNotifyRequest"
GROUP = "DEFAULT_GROUP"
OK = {"resultCode": 200, "errorCode": 0, "success": True}


@pytest.fixture
def world() -> World:
    return World()


def put(world: World, *names: str, group: str = GROUP, namespace: str = "default", content: bytes = b"x") -> None:
    with world.registry.transaction():
        for name in names:
            world.registry.config.releases.publish(
                FileKey(namespace, group, name), SYSTEM, change=Change(content=content)
            )
    world.settle()


def drop(world: World, name: str) -> None:
    world.registry.config.files.delete(FileKey("default", GROUP, name), SYSTEM)
    world.settle()


def watch(
    client: Client,
    pattern: str = "public>>*>>*",
    received: tuple[str, ...] = (),
    kind: str = "WATCH",
    initializing: bool = True,
) -> Any:
    body = {
        "groupKeyPattern": pattern,
        "receivedGroupKeys": list(received),
        "watchType": kind,
        "initializing": initializing,
    }
    type, answer = client.ask("ConfigFuzzyWatchRequest", body)
    assert type == "ConfigFuzzyWatchResponse"
    return answer


def synchronized(client: Client) -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (push["syncType"], [(one["groupKey"], one["changedType"]) for one in push["contexts"]])
        for push in client.pushes(SYNC)
    ]


def told(client: Client) -> list[tuple[str, str]]:
    return [(push["groupKey"], push["changeType"]) for push in client.pushes(CHANGE)]


def test_the_beginning_and_what_comes_and_goes(world: World) -> None:
    """As Nacos 3.0.3: what comes is CONFIG_CHANGED, a new content of what was there is not told."""
    client = world.client()
    put(world, "before")
    assert watch(client) == OK
    world.pass_time(0.2)
    assert synchronized(client) == [
        ("FUZZY_WATCH_INIT_NOTIFY", [("before+DEFAULT_GROUP+public", "ADD_CONFIG")]),
        ("FINISH_FUZZY_WATCH_INIT_NOTIFY", []),
    ]
    put(world, "after")
    assert told(client) == [("after+DEFAULT_GROUP+public", "CONFIG_CHANGED")]
    put(world, "after", content=b"y")
    assert told(client) == []
    drop(world, "after")
    assert told(client) == [("after+DEFAULT_GROUP+public", "DELETE_CONFIG")]


def test_the_bytes_of_what_is_told(world: World) -> None:
    client = world.client()
    watch(client)
    world.pass_time(0.2)
    [end] = client.pushes(SYNC)
    assert end == {
        "headers": {},
        "requestId": "1",
        "groupKeyPattern": "public>>*>>*",
        "syncType": "FINISH_FUZZY_WATCH_INIT_NOTIFY",
        "totalBatch": 0,
        "currentBatch": 0,
        "contexts": [],
        "module": "config",
    }
    put(world, "a")
    [change] = client.pushes(CHANGE)
    assert change == {
        "headers": {},
        "requestId": "2",
        "groupKey": "a+DEFAULT_GROUP+public",
        "changeType": "CONFIG_CHANGED",
        "module": "config",
    }


def test_patterns_of_group_and_name(world: World) -> None:
    client = world.client()
    put(world, "orders.yaml", "bills.yaml")
    put(world, "orders.json", group="other")
    put(world, "orders.yaml", namespace="dev")
    watch(client, "public>>DEFAULT_*>>orders*")
    watch(client, "dev>>*>>*.yaml")
    world.pass_time(0.2)
    found = {key for _, changes in synchronized(client) for key, _ in changes}
    assert found == {"orders.yaml+DEFAULT_GROUP+public", "orders.yaml+DEFAULT_GROUP+dev"}
    put(world, "bills.json", "orders.json")
    assert told(client) == [("orders.json+DEFAULT_GROUP+public", "CONFIG_CHANGED")]


def test_drafts_and_names_that_nacos_does_not_know_are_not_there(world: World) -> None:
    client = world.client()
    world.registry.config.files.create(FileKey("default", GROUP, "draft"), Change(content=b"x"), SYSTEM)
    put(world, "conf/a.yaml")
    watch(client)
    world.pass_time(0.2)
    assert synchronized(client) == [("FINISH_FUZZY_WATCH_INIT_NOTIFY", [])]
    put(world, "conf/b.yaml")
    assert told(client) == []
    put(world, "draft")
    assert told(client) == [("draft+DEFAULT_GROUP+public", "CONFIG_CHANGED")]


def test_what_a_client_has_already_is_not_told_and_what_is_gone_is(world: World) -> None:
    client = world.client()
    put(world, "a", "b")
    has = ("a+DEFAULT_GROUP+public", "gone+DEFAULT_GROUP+public")
    watch(client, received=has, initializing=False)
    world.pass_time(0.2)
    assert synchronized(client) == [
        (
            "FUZZY_WATCH_DIFF_SYNC_NOTIFY",
            [("b+DEFAULT_GROUP+public", "ADD_CONFIG"), ("gone+DEFAULT_GROUP+public", "DELETE_CONFIG")],
        )
    ]


def test_thousands_of_files_in_slices_and_the_limit_of_matches(world: World) -> None:
    client = world.client()
    put(world, *(f"file-{n}" for n in range(2000)))
    before = world.runs.passes
    answer = watch(client)
    assert (answer["errorCode"], answer["message"]) == (50311, "fuzzy watch pattern matched count over limit")
    world.pass_time(0.2)
    batches = synchronized(client)
    assert [len(changes) for _, changes in batches] == [20] * 25 + [0]
    assert world.runs.passes > before
    assert watch(world.client())["errorCode"] == 50311, "also when it was looked at before"
    assert watch(client, "public>>*>>file-1999") == OK


def test_what_comes_while_it_is_looked_is_told(world: World) -> None:
    """Published between the slices: in the first batch or as a change, once or twice, never not at all."""
    client = world.client()
    put(world, *(f"file-{n}" for n in range(400)))
    world.service.slices._elapsed = iter(range(100_000)).__next__  # type: ignore[attr-defined,assignment]
    body = b'{"groupKeyPattern":"public>>*>>*","watchType":"WATCH","initializing":true}'
    client.ask("ConfigFuzzyWatchRequest", body, settle=False)
    world.runs.step()
    put(world, "new")
    drop(world, "file-399")
    world.pass_time(0.2)
    first = {key for _, changes in synchronized(client) for key, _ in changes}
    assert "file-398+DEFAULT_GROUP+public" in first
    assert "new+DEFAULT_GROUP+public" in first
    assert "file-399+DEFAULT_GROUP+public" not in first


def test_the_limit_of_patterns(world: World) -> None:
    client = world.client()
    for n in range(20):
        assert watch(client, f"public>>*>>p{n}") == OK
    answer = watch(client, "public>>*>>more")
    assert (answer["errorCode"], answer["message"]) == (50310, "fuzzy watch pattern over limit")
    assert watch(client, "public>>*>>p1", kind="CANCEL_WATCH") == OK
    assert watch(client, "public>>*>>more") == OK
    client.link.cut()
    world.settle()
    assert len(world.service.fuzzy_configs) == 0
    assert watch(world.client(), "public>>*>>again") == OK


def test_a_pattern_that_is_none(world: World) -> None:
    type, answer = world.client().ask("ConfigFuzzyWatchRequest", {"groupKeyPattern": "public>>x", "watchType": "WATCH"})
    assert (type, answer["errorCode"]) == ("ErrorResponse", 400)


def test_who_does_not_answer_is_told_again(world: World) -> None:
    client = world.client()
    watch(client)
    world.pass_time(1)
    synchronized(client)
    put(world, "a")
    assert len(client.pushes(CHANGE, answer=False)) == 1
    world.pass_time(6)
    assert told(client) == [("a+DEFAULT_GROUP+public", "CONFIG_CHANGED")]
    put(world, "b")
    assert len(client.pushes(CHANGE, answer=False)) == 1
    drop(world, "b")
    world.pass_time(6)
    assert told(client)[-1] == ("b+DEFAULT_GROUP+public", "DELETE_CONFIG")


def test_keys_of_a_group_one_at_a_time(world: World) -> None:
    put(world, "a", "b")
    keys = world.registry.config.reading.keys(GroupKey("default", GROUP))
    assert next(keys).name == "a"
    drop(world, "b")
    assert list(keys) == []
