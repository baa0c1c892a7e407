"""User events: fired, kept, listed for whom they are meant, waited for."""

from __future__ import annotations

import pytest
from consul_bottle import ConsulBottle

from polaris_bridge.adapters.consul.service.events import KEPT


@pytest.fixture
def bottle() -> ConsulBottle:
    return ConsulBottle()


def index_of(id: str) -> int:
    """As clients compute it (Go's ``IDToIndex``)."""
    lower, upper = id[0:8] + id[9:13] + id[14:18], id[19:23] + id[24:36]
    return int(lower, 16) ^ int(upper, 16)


def test_an_event_is_told_to_who_fires_it_and_to_who_lists(bottle: ConsulBottle) -> None:
    fired = bottle.put("/v1/event/fire/deploy?node=here&service=&tag=", b"1.2")
    assert list(fired.json) == [
        "ID", "Name", "Payload", "NodeFilter", "ServiceFilter", "TagFilter", "Version", "LTime",
    ]  # fmt: skip
    assert fired.json | {"ID": ""} == {
        "ID": "", "Name": "deploy", "Payload": "MS4y", "NodeFilter": "here", "ServiceFilter": "", "TagFilter": "",
        "Version": 1, "LTime": 0,
    }  # fmt: skip
    listed = bottle.get("/v1/event/list")
    assert listed.json == [fired.json | {"LTime": 1}]
    assert listed.index == index_of(fired.json["ID"]) < 2**53


def test_without_a_payload_it_is_null_and_without_events_the_index_is_one(bottle: ConsulBottle) -> None:
    assert (bottle.get("/v1/event/list").json, bottle.get("/v1/event/list").index) == ([], 1)
    assert bottle.put("/v1/event/fire/x").json["Payload"] is None
    assert bottle.get("/v1/event/list?name=other").index == 1


def test_the_last_ones_are_kept_oldest_first(bottle: ConsulBottle) -> None:
    for n in range(KEPT + 5):
        bottle.put(f"/v1/event/fire/e{n % 2}", str(n).encode())
    listed = bottle.get("/v1/event/list").json
    assert len(listed) == KEPT
    assert [each["LTime"] for each in listed] == list(range(6, KEPT + 6))
    assert {each["Name"] for each in bottle.get("/v1/event/list?name=e1").json} == {"e1"}
    indexes = [index_of(each["ID"]) for each in listed]
    assert indexes == sorted(set(indexes))


def test_filters_are_held_against_the_node_of_who_lists(bottle: ConsulBottle) -> None:
    bottle.register("web", Tags=["v1"])
    bottle.register("db", peer="10.0.0.5")
    bottle.put("/v1/event/fire/a?node=^node-")
    bottle.put("/v1/event/fire/b?service=we.&tag=v1")
    bottle.put("/v1/event/fire/c?service=web&tag=v2")
    bottle.put("/v1/event/fire/d?service=^db$")

    def names(peer: str) -> list[str]:
        return [each["Name"] for each in bottle.get("/v1/event/list", peer).json]

    assert names("127.0.0.1") == ["b"]
    assert names("10.0.0.5") == ["a", "d"]
    assert names("10.0.0.6") == ["a"]


@pytest.mark.parametrize(
    ("target", "body", "status", "text"),
    [
        ("/v1/event/fire/", b"", 400, "Missing name"),
        ("/v1/event/fire/x?tag=a", b"", 500, "Cannot provide tag filter without service filter"),
        ("/v1/event/fire/x?node=(", b"", 500, "Invalid node filter: error parsing regexp: missing ): ("),
        ("/v1/event/fire/x?service=(", b"", 500, "Invalid service filter: error parsing regexp: missing ): ("),
        ("/v1/event/fire/x", b"x" * 600, 500, "user event exceeds configured limit of 512 bytes before encoding"),
    ],
)
def test_refusals(bottle: ConsulBottle, target: str, body: bytes, status: int, text: str) -> None:
    answer = bottle.put(target, body)
    assert (answer.status, answer.text) == (status, text)
    assert bottle.get("/v1/event/list").json == []


def test_who_waits_is_woken_by_the_events_it_asked_for(bottle: ConsulBottle) -> None:
    bottle.put("/v1/event/fire/a")
    index = bottle.get("/v1/event/list?name=a").index
    every = bottle.begin("GET", f"/v1/event/list?index={index}&wait=60s")
    waiting = bottle.begin("GET", f"/v1/event/list?name=a&index={index}&wait=60s")
    bottle.timers.settle()
    bottle.put("/v1/kv/x", b"")
    bottle.put("/v1/event/fire/b")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert (every.answered, waiting.answered) == (True, False)
    bottle.put("/v1/event/fire/a")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert len(waiting.answer.json) == 2
    assert waiting.answer.index > index
    empty = bottle.begin("GET", "/v1/event/list?name=none&index=1&wait=60s")
    bottle.timers.until(bottle.clock.now_s + 1)
    assert not empty.answered
    empty.hang_up()
    assert bottle.timers.pending == 0
