"""WatchConfigFiles: who is told what and when, who is forgotten, and who the core says holds which version."""

from __future__ import annotations

import pytest
from bottle import CALLER
from config_native import KEY, ConfigWorld, code, label, question, said

from polaris_bridge.adapters.polaris.service.config import watching
from polaris_bridge.adapters.polaris.service.config.watching import HELD_S, MANY_FILES, MOST_FILES
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import Change, FileKey
from polaris_bridge.core.model import Caller

OTHER = FileKey("default", "g", "other")


@pytest.fixture
def world() -> ConfigWorld:
    found = ConfigWorld()
    found.seed()
    return found


def told(waiter) -> list[tuple[int, int, str]]:
    """Code, version and name of the file of every answer."""
    return [(code(a), a.configFile.version.value, a.configFile.file_name.value) for a in waiter.answers]


def idle(world: ConfigWorld) -> bool:
    """Whether nobody waits and nothing is held for anybody."""
    world.queue.settle()
    return not world.clients.watching.waiting and not len(world.centre.watches) and not world.queue.held


# ---------------------------------------------------------------------- bad requests


def test_no_files(world: ConfigWorld) -> None:
    answer = world.watch().answers[0]
    assert said(answer)[0] == 400806
    assert not answer.HasField("configFile")


def test_too_many_files(world: ConfigWorld) -> None:
    waiter = world.watch(*[question(KEY)] * (MOST_FILES + 1))
    world.queue.settle()
    assert code(waiter.answers[0]) == 400806
    assert idle(world)


@pytest.mark.parametrize(
    ("at", "info"), [(0, "namespace is empty"), (1, "file group is empty"), (2, "filename is empty")]
)
def test_a_file_without_a_name(world: ConfigWorld, at: int, info: str) -> None:
    key = FileKey(*("" if place == at else name for place, name in enumerate(KEY)))
    assert said(world.watch(question(KEY), question(key)).answers[0]) == (400000, info)
    assert idle(world)


# ---------------------------------------------------------------------- at once


def test_who_has_an_older_version_is_told_at_once(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=0))
    assert waiter.at_once
    info = waiter.answers[0].configFile
    seen = world.get().configFile
    assert (info.version, info.md5) == (seen.version, seen.md5)
    assert info.name.value.startswith("a.yaml-")
    assert not info.HasField("content")
    assert not info.HasField("encrypted")
    assert idle(world)


def test_of_several_files_the_one_that_changed_is_named(world: ConfigWorld) -> None:
    world.seed("b", OTHER)
    assert told(world.watch(question(version=1), question(OTHER, 0))) == [(200000, 1, "other")]


def test_a_file_named_twice_counts_as_named_last(world: ConfigWorld) -> None:
    assert told(world.watch(question(version=1), question(version=0))) == [(200000, 1, "a.yaml")]
    assert not world.watch(question(version=0), question(version=1)).at_once


def test_a_later_version_than_the_servers_waits(world: ConfigWorld) -> None:
    assert not world.watch(question(version=9)).bodies


# ---------------------------------------------------------------------- later


def test_who_waits_is_told_of_the_next_release(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    assert not waiter.bodies
    world.update("a: 2")
    assert not waiter.bodies
    world.publish()
    world.queue.settle()
    assert told(waiter) == [(200000, 2, "a.yaml")]
    assert idle(world)


def test_who_waits_for_many_is_told_of_one(world: ConfigWorld) -> None:
    world.seed("b", OTHER)
    waiter = world.watch(question(version=1), question(OTHER, 1))
    world.upsert("b2", md5=world.get(OTHER).configFile.md5.value, key=OTHER)
    world.queue.settle()
    assert told(waiter) == [(200000, 2, "other")]
    world.update("a: 2")
    world.publish()
    assert len(waiter.bodies) == 1


def test_who_waits_for_a_file_that_is_not_there_is_told_when_it_comes(world: ConfigWorld) -> None:
    waiter = world.watch(question(OTHER, 0))
    world.create("b", OTHER)
    assert not waiter.bodies
    world.publish(OTHER)
    world.queue.settle()
    assert told(waiter) == [(200000, 1, "other")]


def test_nothing_comes_for_half_a_minute(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    world.pass_time(HELD_S - 1)
    assert not waiter.bodies
    world.pass_time(1)
    assert waiter.bodies == [v1.ConfigClientResponse(code={"value": 200001}).SerializeToString()]
    assert idle(world)


def test_a_deleted_file_is_told_under_a_later_version_with_what_it_last_was(world: ConfigWorld) -> None:
    last = world.get().configFile
    waiter = world.watch(question(version=1))
    world.centre.files.delete(KEY, CALLER)
    world.queue.settle()
    assert told(waiter) == [(200000, 2, "a.yaml")]
    info = waiter.answers[0].configFile
    assert info.md5 == last.md5
    assert info.name.value.startswith("a.yaml-")
    assert told(world.watch(question(version=1))) == [(200000, 2, "a.yaml")]
    assert not world.watch(question(version=2)).bodies
    assert not world.watch(question(version=0)).bodies


def test_a_file_that_comes_back_is_told_under_a_later_version(world: ConfigWorld) -> None:
    world.centre.files.delete(KEY, CALLER)
    world.queue.settle()
    waiter = world.watch(question(version=2))
    world.seed("again")
    world.queue.settle()
    assert told(waiter) == [(200000, 3, "a.yaml")]


def test_after_a_restart_versions_go_on(world: ConfigWorld) -> None:
    world.update("a: 2")
    world.publish()
    world.restart()
    assert told(world.watch(question(version=1))) == [(200000, 2, "a.yaml")]
    waiter = world.watch(question(version=2))
    world.update("a: 3")
    world.publish()
    world.queue.settle()
    assert told(waiter) == [(200000, 3, "a.yaml")]


def test_nobody_is_told_before_the_store_has_it(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    world.store.broken = True
    world.update("a: 2")
    assert code(world.publish()) == 500001
    world.queue.settle()
    assert not waiter.bodies


def test_thousands_who_wait_for_one_file_share_one_encoding(world: ConfigWorld) -> None:
    waiters = [world.watch(question(version=1)) for _ in range(2000)]
    world.update("a: 2")
    world.publish()
    world.queue.settle()
    assert {id(body) for waiter in waiters for body in waiter.bodies} == {id(waiters[0].bodies[0])}
    assert all(len(waiter.bodies) == 1 for waiter in waiters)
    assert idle(world)


def test_many_files_are_read_in_slices_and_told_like_few(world: ConfigWorld) -> None:
    rest = [question(FileKey("default", "g", f"f{n}"), 0) for n in range(MANY_FILES)]
    waiter = world.watch(question(version=1), *rest)
    assert not waiter.at_once
    world.queue.settle()
    assert not waiter.bodies
    world.update("a: 2")
    world.publish()
    world.queue.settle()
    assert told(waiter) == [(200000, 2, "a.yaml")]
    early = world.watch(question(version=1), *rest)
    assert not early.at_once
    world.queue.settle()
    assert told(early) == [(200000, 2, "a.yaml")]
    assert idle(world)


def test_what_changes_while_a_long_request_is_looked_at_is_told(world: ConfigWorld) -> None:
    rest = [question(FileKey("default", "g", f"f{n}"), 0) for n in range(5 * MANY_FILES)]
    waiter = world.watch(question(version=1), *rest)
    watching, slices = world.clients.watching, world.clients.watching._slices
    ((work, _),) = slices._running.values()
    for _ in range(12):  # past the first file
        next(work)
    go_on = world.queue._soon.popleft()
    world.centre.releases.publish(KEY, CALLER, change=Change(content=b"a: 2"))
    world.queue.settle()
    world.queue.soon(go_on)
    world.queue.settle()
    assert told(waiter) == [(200000, 2, "a.yaml")]
    assert not watching.waiting


def test_who_waits_for_many_holds_versions(world: ConfigWorld) -> None:
    rest = [question(FileKey("default", "g", f"f{n}"), 0) for n in range(MANY_FILES)]
    world.watch(question(version=1), *rest)
    world.queue.settle()
    assert held(world) == [("10.9.9.9#1", 1, False)]


# ---------------------------------------------------------------------- who leaves


def test_a_client_that_hangs_up_frees_what_was_held_for_it(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    waiter.hang_up()
    assert idle(world)
    assert not len(world.clients.watching.seats)
    assert not len(world.centre.holders)
    world.update("a: 2")
    world.publish()
    world.queue.settle()
    assert not waiter.bodies


def test_hanging_up_between_the_change_and_the_answer(world: ConfigWorld) -> None:
    first, second = (world.watch(question(version=1)) for _ in range(2))
    world.update("a: 2")
    world.clients.publish(v1.ConfigFileRelease(namespace={"value": "default"}, group={"value": "g"},
                                               file_name={"value": "a.yaml"}), CALLER)  # fmt: skip
    while not world.clients.watching._due:
        world.queue.step()
    first.hang_up()
    world.queue.settle()
    assert not first.bodies
    assert told(second) == [(200000, 2, "a.yaml")]


def test_hanging_up_while_a_long_request_is_read(world: ConfigWorld) -> None:
    waiter = world.watch(*[question(FileKey("default", "g", f"f{n}"), 0) for n in range(3 * MANY_FILES)])
    waiter.hang_up()
    assert idle(world)
    assert not waiter.bodies


def test_a_server_that_stops_lets_everybody_go(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    world.clients.watching.leave()
    assert told(waiter) == [(200001, 0, "")]
    assert told(world.watch(question(version=1))) == [(200001, 0, "")]
    assert told(world.watch(question(version=0))) == [(200000, 1, "a.yaml")]
    assert idle(world)


def test_a_server_that_closes_its_registry_answers_too(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    world.registry.release_watchers()
    world.queue.settle()
    assert told(waiter) == [(200001, 0, "")]


# ---------------------------------------------------------------------- gray releases


def publish_gray(world: ConfigWorld, content: str, *labels: v1.ClientLabel) -> None:
    world.update(content)
    assert code(world.publish(release_type="gray", beta_labels=labels)) == 200000
    world.queue.settle()


def test_a_gray_release_is_told_to_those_whom_it_is_for(world: ConfigWorld) -> None:
    meant = world.watch(question(version=1), ip="10.0.0.7")
    from_there = world.watch(question(version=1), caller=Caller("polaris", "10.0.0.7"))
    other = world.watch(question(version=1))
    publish_gray(world, "gray", label("CLIENT_IP", "10.0.0.7"))
    assert told(meant) == told(from_there) == [(200000, 2, "a.yaml")]
    assert not other.bodies


def test_its_end_is_told_to_those_whom_it_was_for(world: ConfigWorld) -> None:
    publish_gray(world, "gray", label("CLIENT_IP", "10.0.0.7"))
    meant, other = world.watch(question(version=2), ip="10.0.0.7"), world.watch(question(version=1))
    world.centre.releases.stop(KEY, "gray", CALLER)
    world.queue.settle()
    (answer,) = told(meant)
    assert answer[1] > 2
    assert world.get(version=answer[1], tags={"CLIENT_IP": "10.0.0.7"}).configFile.content.value == "a: 1"
    assert not other.bodies or told(other)[0][1] == answer[1]


def test_labels_said_when_reading_count_when_waiting(world: ConfigWorld) -> None:
    world.get(tags={"env": "beta", "CLIENT_ID": "one"})
    waiter = world.watch(question(version=1))
    publish_gray(world, "gray", label("env", "beta"))
    assert told(waiter) == [(200000, 2, "a.yaml")]


def test_clients_at_one_address_are_taken_for_what_they_have_in_common(world: ConfigWorld) -> None:
    world.get(tags={"env": "beta", "zone": "a"})
    world.get(tags={"env": "beta", "zone": "b"})
    waiter = world.watch(question(version=1))
    publish_gray(world, "gray", label("zone", "a"))
    assert not waiter.bodies
    world.centre.releases.stop(KEY, "gray", CALLER)
    waiter = world.watch(question(version=9))
    publish_gray(world, "gray", label("env", "beta"))
    assert not waiter.bodies  # it says that it has a later one


@pytest.mark.parametrize("silent_first", [True, False])
def test_a_client_that_says_nothing_is_not_taken_for_another_one(world: ConfigWorld, silent_first: bool) -> None:
    said: list[dict[str, str]] = [{"env": "beta", "CLIENT_ID": "one"}, {}]
    for labels in reversed(said) if silent_first else said:
        world.get(tags=labels)
    waiter = world.watch(question(version=1))
    publish_gray(world, "gray", label("env", "beta"))
    assert not waiter.bodies
    assert [client for client, _, _ in held(world)] == ["10.9.9.9#1"]


def test_labels_are_forgotten_after_two_minutes_without_a_sign(world: ConfigWorld) -> None:
    world.get(tags={"env": "beta"})
    world.pass_time(121)
    waiter = world.watch(question(version=1))
    publish_gray(world, "gray", label("env", "beta"))
    assert not waiter.bodies


def test_labels_in_the_watch_count_before_remembered_ones(world: ConfigWorld) -> None:
    world.get(tags={"env": "prod"})
    waiter = world.watch(question(version=1, tags={"env": "beta"}))
    publish_gray(world, "gray", label("env", "beta"))
    assert told(waiter) == [(200000, 2, "a.yaml")]


# ---------------------------------------------------------------------- who holds what


def held(world: ConfigWorld) -> list[tuple[str, int, bool]]:
    return [(holding.client, int(holding.has), holding.late) for holding in world.centre.holders.of(KEY)]


def test_who_waits_holds_a_version(world: ConfigWorld) -> None:
    waiter = world.watch(question(version=1))
    assert held(world) == [("10.9.9.9#1", 1, False)]
    world.update("a: 2")
    world.publish()
    world.queue.settle()
    assert waiter.bodies
    assert held(world) == [("10.9.9.9#1", 1, True)]
    world.watch(question(version=2))
    assert held(world) == [("10.9.9.9#1", 2, False)]


def test_two_clients_at_one_address_are_two(world: ConfigWorld) -> None:
    world.watch(question(version=1))
    world.watch(question(version=1))
    assert held(world) == [("10.9.9.9#1", 1, False), ("10.9.9.9#2", 1, False)]


def test_a_client_with_an_id_is_known_by_it(world: ConfigWorld) -> None:
    world.watch(question(version=1, tags={"CLIENT_ID": "vivid"}))
    assert held(world) == [("vivid", 1, False)]


def test_who_does_not_come_back_is_forgotten(world: ConfigWorld) -> None:
    world.watch(question(version=1))
    world.pass_time(HELD_S)
    assert len(held(world)) == 1
    world.pass_time(121)
    assert held(world) == []
    assert not len(world.clients.watching.seats)


def test_notices_are_kept_up_to_a_number(world: ConfigWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "KEPT", 2)
    for n in range(4):
        key = FileKey("default", "g", f"f{n}")
        world.seed("x", key)
        assert told(world.watch(question(key, 0))) == [(200000, 1, key.name)]
    assert len(world.clients.watching._notices) == 2
