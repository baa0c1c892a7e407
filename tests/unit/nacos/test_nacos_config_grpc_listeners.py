"""Listeners of configuration files: answered at once, told of changes, told again, given up."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from config_client import GROUP, NOTIFY, context, digest, listen, publish, remove, told
from grpc_world import Client, World
from hypothesis import given, settings
from hypothesis import strategies as st

from polaris_bridge.adapters.nacos.service.config.listeners import MOST_TRIES
from polaris_bridge.adapters.nacos.service.requests import PER_PASS
from polaris_bridge.adapters.nacos.wire.payload import decode, encode
from polaris_bridge.core.config.model import Asker, FileKey
from polaris_bridge.core.model import SYSTEM

KEY = FileKey("default", GROUP, "orders.yaml")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


@pytest.fixture
def writer(world: World) -> Client:
    return world.client("10.0.0.1")


def test_what_is_old_is_answered_at_once(client: Client, writer: Client) -> None:
    assert listen(client, context()) == [], "nothing is there, and it has nothing"
    publish(writer, "one")
    assert listen(client, context()) == ["orders.yaml"]
    assert listen(client, context(has="one")) == []
    assert listen(client, context("bills", has="x"), context(has="one")) == ["bills"], "gone is old, too"


def test_a_life_of_a_file(client: Client, writer: Client) -> None:
    """Published, changed, published as it is, removed: one request each but for the third."""
    listen(client, context())
    publish(writer, "one")
    assert client.pushes(NOTIFY) == [
        {"headers": {}, "requestId": "1", "dataId": "orders.yaml", "group": GROUP, "module": "config"}
    ]
    assert listen(client, context()) == ["orders.yaml"]
    assert listen(client, context(has="one")) == []
    publish(writer, "two")
    assert told(client) == ["orders.yaml"]
    publish(writer, "two", desc="other")
    assert told(client) == []
    remove(writer)
    assert told(client) == ["orders.yaml"]
    publish(writer, "two")
    assert told(client) == ["orders.yaml"]


def test_the_namespace_is_spelled_as_the_listener_does(world: World, writer: Client) -> None:
    plain, public, other = (world.client() for _ in range(3))
    listen(plain, context())
    listen(public, context(tenant="public"))
    listen(other, context(tenant="dev"))
    publish(writer, "one")
    assert [push.get("tenant") for push in plain.pushes(NOTIFY)] == [None]
    assert [push.get("tenant") for push in public.pushes(NOTIFY)] == ["public"]
    assert other.pushes(NOTIFY) == []
    listen(plain, context(tenant="public", has="one"))
    publish(writer, "two")
    assert [push.get("tenant") for push in plain.pushes(NOTIFY)] == ["public"], "the last spelling counts"


def test_a_change_that_came_between_is_not_lost(client: Client, writer: Client) -> None:
    """The client has ``one``, is answered that there is ``two``, and before it asks everything is as before."""
    publish(writer, "one")
    listen(client, context(has="one"))
    publish(writer, "two")
    assert told(client) == ["orders.yaml"]
    assert listen(client, context(has="one")) == ["orders.yaml"]
    publish(writer, "one")
    assert told(client) == ["orders.yaml"], "it may have got two meanwhile"


def test_a_change_while_others_are_told_is_told_too(world: World, writer: Client) -> None:
    """Each hears of what is there at the end, and nobody is told twice in vain."""
    clients = [world.client() for _ in range(3 * PER_PASS)]
    for client in clients:
        listen(client, context())
    body = json.dumps({"dataId": "orders.yaml", "group": GROUP, "tenant": "", "content": "one"}).encode()
    writer.raw(encode("ConfigPublishRequest", body))
    while not told(clients[0]):
        assert world.runs.step()
    writer.raw(encode("ConfigPublishRequest", body.replace(b"one", b"two")))
    while (seen := world.registry.config.reading.resolve(KEY)) is None or seen.md5 != digest("two"):
        assert world.runs.step()
    for client in clients[:10]:
        body = json.dumps({"listen": True, "configListenContexts": [context(has="one")]}).encode()
        found = client.raw(encode("ConfigBatchListenRequest", body))
        assert found is not None
        assert b"orders.yaml" in found.body
    world.pass_time(1)
    assert [len(told(client)) for client in clients] == [0] + [1] * 9 + [2] * (len(clients) - 10)
    for client in clients:
        assert listen(client, context(has="two")) == []


def test_slices_and_one_encoding(world: World, writer: Client) -> None:
    clients = [world.client() for _ in range(3 * PER_PASS)]
    for client in clients:
        listen(client, context())
    before = world.runs.passes
    publish(writer, "one")
    payloads = {client.stream.sent[-1] for client in clients if client.stream is not None}
    assert len(payloads) == 1
    assert len({id(client.stream.sent[-1]) for client in clients if client.stream is not None}) == 1
    assert world.runs.passes - before >= 3
    assert world.service.config_listeners.notified == len(clients)


def test_many_files_in_one_request_are_looked_at_in_slices(world: World, client: Client, writer: Client) -> None:
    publish(writer, "one", "file-7")
    publish(writer, "one", "file-2999")
    contexts = [context(f"file-{n}") for n in range(3000)]
    before = world.runs.passes
    assert listen(client, *contexts) == ["file-7", "file-2999"]
    assert world.runs.passes > before
    publish(writer, "two", "file-2998")
    assert told(client) == ["file-2998"]
    assert len(world.service.config_listeners) == 3000
    assert listen(client, *contexts, on=False) == []
    assert len(world.service.config_listeners) == 0
    publish(writer, "three", "file-2998")
    assert told(client) == []


def test_a_client_that_goes_in_the_middle_leaves_nothing(world: World, client: Client) -> None:
    body = {"listen": True, "configListenContexts": [context(f"file-{n}") for n in range(3000)]}
    assert client.raw(encode("ConfigBatchListenRequest", json.dumps(body).encode())) is None
    world.service.slices._elapsed = iter(range(10_000)).__next__  # type: ignore[attr-defined,assignment]
    for _ in range(60):
        world.runs.step()
    assert len(world.service.config_listeners) > 0
    client.link.cut()
    world.settle()
    assert len(world.service.config_listeners) == 0
    assert len(world.registry.config.holders) == 0


def test_nobody_is_told_after_it_has_left(world: World, client: Client, writer: Client) -> None:
    listen(client, context(), context("bills"))
    listen(client, context(), on=False)
    publish(writer, "one")
    assert told(client) == []
    publish(writer, "one", "bills")
    assert told(client) == ["bills"]
    client.link.cut()
    world.settle()
    assert len(world.service.config_listeners) == 0
    publish(writer, "two", "bills")


def test_one_illegal_name_and_nothing_is_listened_to(world: World, client: Client) -> None:
    body = {"listen": True, "configListenContexts": [context(), context("a b")]}
    answer = client.ask("ConfigBatchListenRequest", body)[1]
    assert (answer["errorCode"], answer["changedConfigs"]) == (400, [])
    assert len(world.service.config_listeners) == 0


# ---------------------------------------------------------------------- for some clients alone


def test_gray_releases_are_told_to_those_who_see_them(world: World, client: Client, writer: Client) -> None:
    other = world.client("10.0.0.9")
    publish(writer, "all")
    for each in (client, other):
        listen(each, context(has="all"))
    publish(writer, "some", betaIps="10.0.0.9")
    assert (told(client), told(other)) == ([], ["orders.yaml"])
    assert listen(other, context(has="some")) == []
    publish(writer, "all of them")
    assert (told(client), told(other)) == (["orders.yaml"], []), "it sees its own still"
    remove(writer)
    assert told(other) == ["orders.yaml"]


def test_the_end_of_a_gray_release_is_told(world: World, client: Client, writer: Client) -> None:
    tagged = world.client(**{"app_Vipserver-Tag": "blue"})
    publish(writer, "all")
    publish(writer, "some", tag="blue")
    assert listen(client, context(has="all")) == []
    assert listen(tagged, context(has="some")) == []
    remove(writer, tag="blue")
    assert (told(client), told(tagged)) == ([], ["orders.yaml"])
    assert listen(tagged, context(has="all")) == []


def test_a_tag_in_the_headers_counts_for_what_comes_later(client: Client, writer: Client) -> None:
    publish(writer, "all")
    client.headers = (("Vipserver-Tag", "blue"),)
    listen(client, context(has="all"))
    publish(writer, "some", tag="blue")
    assert told(client) == ["orders.yaml"]


# ---------------------------------------------------------------------- who does not answer


def test_who_does_not_answer_is_told_again_later_and_later(world: World, client: Client, writer: Client) -> None:
    quick = world.client()
    for each in (client, quick):
        listen(each, context())
    publish(writer, "one")
    assert told(quick) == ["orders.yaml"]
    times = []
    for second in range(40):
        if told(client, answer=False):
            times.append(second)
        world.pass_time(1)
        busy(quick)
        busy(client)
    assert times[0] == 0
    pauses = [b - a for a, b in pairwise(times)]
    assert pauses == [3 + 2, 3 + 4, 3 + 6, 3 + 8]
    assert told(quick) == [], "who has answered is left alone"


def busy(client: Client) -> None:
    """It is alive, or it would be ended for its silence."""
    client.ask("HealthCheckRequest")


def test_who_never_answers_is_ended(world: World, client: Client, writer: Client) -> None:
    listen(client, context())
    publish(writer, "one")
    writer.link.cut()
    count = 0
    for _ in range(5 * MOST_TRIES * MOST_TRIES):
        count += len(told(client, answer=False))
        world.pass_time(1)
        if client.link.asked_to_close:
            break
        busy(client)
    assert count == MOST_TRIES
    assert client.link.asked_to_close
    assert dict(world.service.connections.ended) == {"does not hear of its configuration": 1}


def test_who_asks_has_heard(world: World, client: Client, writer: Client) -> None:
    """Without an answer, but it asks: it is not told again."""
    listen(client, context())
    publish(writer, "one")
    assert told(client, answer=False) == ["orders.yaml"]
    assert listen(client, context()) == ["orders.yaml"]
    for _ in range(10):
        world.pass_time(1)
        busy(client)
    assert told(client) == []


def test_news_take_the_place_of_what_was_not_answered(world: World, client: Client, writer: Client) -> None:
    """One ladder, however often it changes; it is told of news at once."""
    listen(client, context())
    for content in ("one", "two", "three"):
        publish(writer, content)
        assert told(client, answer=False) == ["orders.yaml"]
    world.pass_time(4)
    publish(writer, "four")
    assert told(client, answer=False) == ["orders.yaml"]
    count = 0
    for _ in range(9):
        world.pass_time(1)
        busy(client)
        count += len(told(client, answer=False))
    assert count == 1, "after 3 s of waiting and 4 s of rest"
    world.pass_time(2)
    assert told(client) == []


def test_who_has_too_much_unread_is_told_later(world: World, client: Client, writer: Client) -> None:
    assert client.stream is not None
    listen(client, context())
    client.stream.unread = 1 << 20
    publish(writer, "one")
    assert told(client) == []
    client.stream.unread = 0
    world.pass_time(6)
    assert told(client) == ["orders.yaml"]


def test_a_file_that_changes_all_the_time(world: World, client: Client, writer: Client) -> None:
    """What is told takes at most half of the time: a slow telling is followed by a rest, and then by the newest."""
    listen(client, context())
    service = world.service.config_listeners
    slow_down(world, 0.2)
    publish(writer, "0")
    for number in range(1, 10):
        publish(writer, str(number))
    assert told(client) == ["orders.yaml"]
    world.pass_time(0.21)
    assert told(client) == ["orders.yaml"]
    assert listen(client, context(has="9")) == []
    assert service.notified == 2


# ---------------------------------------------------------------------- who holds what


def test_holders_are_known(world: World, client: Client, writer: Client) -> None:
    holders = world.registry.config.holders
    publish(writer, "one")
    listen(client, context(has="one"), context("bills"))
    other = world.client("10.0.0.9")
    listen(other, context())
    assert {(h.client, h.has, h.late, h.ip, h.via) for h in holders.of(KEY)} == {
        (client.id, digest("one"), False, "10.0.0.7", "nacos"),
        (other.id, "", True, "10.0.0.9", "nacos"),
    }
    listen(client, context("bills"), on=False)
    assert [h.key.name for h in holders.by(client.id)] == ["orders.yaml"]
    client.link.cut()
    world.settle()
    assert {h.client for h in holders.of(KEY)} == {other.id}


# ---------------------------------------------------------------------- what clients say


def test_clients_are_asked_what_they_hold(world: World, client: Client) -> None:
    other = world.client()
    world.client("10.0.0.9")
    answers: list[dict[str, object]] = []
    world.service.client_metrics.ask("10.0.0.7", "orders.yaml+DEFAULT_GROUP", answers.append)
    world.settle()
    for each, name in ((client, "cacheData"), (other, "snapshotData")):
        [push] = each.pushes("ClientConfigMetricRequest", answer=False)
        assert [one["type"] for one in push["metricsKeys"]] == ["cacheData", "snapshotData"]
        metrics = {"resultCode": 200, "metrics": {name: "x"}, "requestId": push["requestId"], "success": True}
        each.say("ClientConfigMetricResponse", metrics)
    assert answers == [{"cacheData": "x", "snapshotData": "x"}]


def test_clients_that_say_nothing_are_not_waited_for(world: World, client: Client) -> None:
    answers: list[dict[str, object]] = []
    world.service.client_metrics.ask("10.0.0.7", "", answers.append)
    world.pass_time(0.9)
    assert answers == []
    world.pass_time(0.2)
    assert answers == [{}]
    world.service.client_metrics.ask("10.0.0.99", "", answers.append)
    assert answers == [{}, {}], "nobody is there"


def test_a_listener_after_a_restart(world: World, writer: Client) -> None:
    publish(writer, "one")
    world.start()
    client = world.client()
    assert listen(client, context(has="one")) == []
    publish(world.client(), "two")
    assert told(client) == ["orders.yaml"]


def test_bytes_of_a_notification(client: Client, writer: Client) -> None:
    listen(client, context())
    publish(writer, "one")
    assert client.stream is not None
    found = decode(client.stream.sent[-1])
    assert found.type == NOTIFY
    assert (
        found.body == b'{"headers":{},"requestId":"1","dataId":"orders.yaml","group":"DEFAULT_GROUP","module":"config"}'
    )


def test_what_is_not_said_is_not_said_back(client: Client, writer: Client) -> None:
    publish(writer, "one")
    body: dict[str, Any] = {"configListenContexts": [{"dataId": "orders.yaml", "group": GROUP}]}
    answer = client.ask("ConfigBatchListenRequest", body)[1]
    assert answer["changedConfigs"] == [{"group": GROUP, "dataId": "orders.yaml"}]
    assert client.ask("ConfigBatchListenRequest", {"listen": True})[1]["changedConfigs"] == []


# ---------------------------------------------------------------------- whatever happens in between


class Follower:
    """A client as Java's is: what it is told of makes it ask, and what has changed makes it read and ask again."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.content = ""
        self.asks = True

    def look(self) -> None:
        """It reads what came on its stream."""
        if told(self.client):
            self.asks = True

    def step(self) -> None:
        """One request, if it has something to ask for. Nobody else gets a turn before the answer."""
        if not self.asks:
            return
        self.asks = False
        body = {"listen": True, "configListenContexts": [context(has=self.content)]}
        if self._ask("ConfigBatchListenRequest", body)["changedConfigs"]:
            found = self._ask("ConfigQueryRequest", {"dataId": "orders.yaml", "group": GROUP, "tenant": ""})
            self.content = found.get("content", "")
            self.asks = True

    def _ask(self, type: str, body: dict[str, Any]) -> Any:
        found = self.client.raw(encode(type, json.dumps(body).encode()))
        assert found is not None
        return json.loads(found.body)


turns = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(["one", "two", "three", ""])),
    st.tuples(st.just("beta"), st.sampled_from(["some", "one", ""])),
    st.tuples(st.just("look"), st.integers(0, 2)),
    st.tuples(st.just("step"), st.integers(0, 2)),
    st.tuples(st.just("run"), st.sampled_from([1, 2, 3, 20])),
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.3])),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(turns, min_size=5, max_size=60), st.booleans())
def test_in_the_end_everybody_has_what_is_there(turns: list[tuple[str, Any]], slow: bool) -> None:
    world = World()
    followers = [Follower(world.client(f"10.0.0.{n}")) for n in (1, 2, 9)]
    writer = world.client("10.0.0.100")
    if slow:
        slow_down(world)
    for follower in followers:
        follower.step()
    for kind, value in turns:
        if kind == "publish" and value:
            body = {"dataId": "orders.yaml", "group": GROUP, "content": value}
            writer.raw(encode("ConfigPublishRequest", json.dumps(body).encode()))
        elif kind == "publish":
            writer.raw(encode("ConfigRemoveRequest", json.dumps({"dataId": "orders.yaml", "group": GROUP}).encode()))
        elif kind == "beta" and value:
            body = {"dataId": "orders.yaml", "group": GROUP, "content": value}
            beta = body | {"additionMap": {"betaIps": "10.0.0.9"}}
            writer.raw(encode("ConfigPublishRequest", json.dumps(beta).encode()))
        elif kind == "beta":
            world.service.configs.stop_beta(KEY, SYSTEM)
        elif kind == "run":
            for _ in range(value):
                world.runs.step()
        elif kind == "wait":
            world.clock.move(value)
        else:
            followers[value].look()
            if kind == "step":
                followers[value].step()
    for _ in range(20):
        world.pass_time(1)
        for follower in followers:
            follower.look()
            follower.step()
    reading = world.registry.config.reading
    for follower in followers:
        seen = reading.resolve(KEY, Asker(ip=follower.client.link.host))
        assert follower.content == ("" if seen is None else seen.content.decode())
        assert not follower.asks


def slow_down(world: World, seconds: float = 0.05) -> None:
    """Every slice of telling takes some time, so that a rest follows."""
    requests = world.service.requests
    pump = requests._pump  # type: ignore[attr-defined]

    def slow() -> None:
        world.clock.move(seconds)
        pump()

    requests._pump = slow  # type: ignore[attr-defined,method-assign]
