"""Releases of configuration files: published, given to some clients, brought back, deleted, listed; their history; templates;
what changed between two of them. Seen on polaris-server 1.19 where it has the call."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from config_console import ENV, KEY, NAMES, OK, Console, F, R, T

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.config.model import Asker, Change, GrayRule
from polaris_bridge.core.model import Caller

NACOS = Caller("nacos", "10.0.0.7")


@pytest.fixture
def world() -> Console:
    world = Console()
    world.file(format="yaml", tags=[{"key": "k", "value": "v"}])
    return world


def batch(world: Console, method: str, path: str, *names: str) -> tuple[int, list[int]]:
    """The codes that answer a batch about releases of the one file."""
    answer = world.call(method, f"{F}/releases/{path}", [{**NAMES, "name": name} for name in names])
    return answer["code"], [each["code"] for each in answer["responses"]]


def versions(world: Console, **query: str) -> list[tuple[str, str, bool]]:
    """Releases in the order of a list: name, version, whether somebody sees it."""
    answer = world.get(f"{F}/releases", **query)
    assert answer["code"] == OK
    return [(r["name"], r["version"], r["active"]) for r in answer["configFileReleases"]]


def test_a_release_as_it_is_made_and_shown(world: Console) -> None:
    assert world.release() is None, "200000 without a release"
    echoed = world.publish("one", comment="c", releaseDescription="d")
    assert (echoed["name"], echoed["comment"], echoed["version"], echoed["createTime"]) == ("one", "c", None, None)
    shown = world.release()
    assert shown.pop("id").isdigit()
    assert shown.pop("createTime") == shown.pop("modifyTime") != ""
    assert shown == {
        "name": "one", "namespace": "d", "group": "g", "fileName": "a.yaml", "content": "a: 1", "comment": "c",
        "md5": "270f9e65a80226eccd82c99cdd0dd2fb", "version": "1", "createBy": "Polaris", "modifyBy": "Polaris",
        "tags": [{"key": "k", "value": "v"}], "active": True, "format": "yaml", "releaseDescription": "d",
        "releaseType": "", "betaLabels": [],
    }  # fmt: skip
    assert world.get(R, namespace="d", group="g", name="a.yaml")["configFileRelease"]["name"] == "one"
    [listed] = world.get(f"{F}/releases")["configFileReleases"]
    assert (listed["md5"], listed["content"], listed["comment"], listed["format"]) == (None, None, None, "yaml")
    assert world.release("none") is None


def test_a_release_without_a_name_gets_one(world: Console) -> None:
    assert world.publish()["name"] == "a.yaml-1700000000-1"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, 400802),
        ({"group": "g", "fileName": "a.yaml"}, 400110),
        ({"namespace": "d", "fileName": "a.yaml"}, 400801),
        ({"namespace": "none", "group": "g", "fileName": "a.yaml"}, 400305),
        ({"namespace": "d", "group": "g", "fileName": "none"}, 400202),
        ({**NAMES, "releaseType": "gray"}, 400904),
        (
            {**NAMES, "releaseType": "gray", "betaLabels": [{"key": "a", "value": {"type": "RANGE", "value": "x"}}]},
            400904,
        ),
    ],
)
def test_what_is_not_released(world: Console, sent: object, code: int) -> None:
    assert world.code("POST", R, sent) == code
    assert world.served() is None


def test_the_name_of_a_release_brings_it_back(world: Console) -> None:
    world.publish("one")
    world.change("a: 2")
    world.publish("two")
    world.publish("one")
    assert world.served() == (b"a: 1", 3)
    assert world.got()["content"] == "a: 2", "the draft stays"
    assert versions(world) == [("one", "3", True), ("two", "2", False)]


@pytest.mark.parametrize(
    ("query", "info"),
    [
        ("", "invalid namespace"),
        ("namespace=d", "invalid config group"),
        ("namespace=d&group=g", "invalid config file name"),
    ],
)
@pytest.mark.parametrize("path", [R, f"{R}/versions"])
def test_a_release_has_to_be_named(world: Console, path: str, query: str, info: str) -> None:
    answer = world.call("GET", f"{path}?{query}")
    assert (answer["code"], answer["info"]) == (400000, info)


def test_lists(world: Console) -> None:
    world.publish("b")
    world.change("a: 2")
    world.pass_time(1)
    world.publish("a")
    world.call("POST", f"{F}/createandpub", {**NAMES, "file_name": "other", "content": "x", "release_name": "c"})
    world.publish("gray", releaseType="gray", betaLabels=ENV)
    assert versions(world, **NAMES) == [("gray", "3", True), ("a", "2", True), ("b", "1", False)]
    assert versions(world, fileName="other") == versions(world, name="c") == [("c", "1", True)]
    assert versions(world, release_name="*r*", namespace="d") == [("gray", "3", True)]
    assert [name for name, _, _ in versions(world, order_field="name", order_type="asc")] == ["a", "b", "c", "gray"]
    assert [name for name, _, _ in versions(world, order_field="name")] == ["gray", "c", "b", "a"]
    assert versions(world, order_field="mtime", order_type="asc")[0][0] == "b"
    assert [name for name, _, _ in versions(world, only_active="true", **NAMES)] == ["gray", "a"]
    assert versions(world, limit="1", offset="1", **NAMES) == [("a", "2", True)]
    assert world.get(f"{F}/releases", limit="0", bogus="1")["total"] == 4
    full = world.get(f"{R}/versions", **NAMES)
    assert (full["total"], [r["name"] for r in full["configFileReleases"]]) == (2, ["a", "b"])


def test_rollback(world: Console) -> None:
    world.publish("one")
    world.change("a: 2")
    world.publish("two")
    assert batch(world, "PUT", "rollback", "one", "none") == (400202, [OK, 400202])
    assert world.served() == (b"a: 1", 3)
    assert batch(world, "PUT", "rollback") == (OK, [])
    answer = world.call("PUT", f"{F}/releases/rollback", [{}] * 101)
    assert (answer["code"], answer["responses"]) == (400003, [])
    answer = world.call("PUT", f"{F}/releases/rollback", {})
    assert (answer["code"], answer["size"]) == (400001, 0)


def test_deleting_releases(world: Console) -> None:
    world.publish("one")
    world.change("a: 2")
    world.publish("two")
    assert batch(world, "POST", "delete", "one", "none") == (OK, [OK, OK])
    assert versions(world) == [("two", "2", True)]
    assert batch(world, "POST", "delete", "two") == (OK, [OK])
    assert world.served() is None
    assert world.got()["status"] == "to-be-released"


def test_a_gray_release(world: Console) -> None:
    world.publish("one")
    world.change("a: 2")
    world.publish("gray", releaseType="gray", betaLabels=ENV)
    seen = world.centre.reading.resolve(KEY, Asker({"env": "test"}))
    assert seen is not None
    assert (seen.content, seen.version) == (b"a: 2", 2)
    assert world.served() == (b"a: 1", 1)
    shown = world.release("gray")
    assert (shown["releaseType"], shown["active"], shown["version"]) == ("gray", True, "2")
    assert shown["betaLabels"] == [{"key": "env", "value": {"type": "EXACT", "value": "test", "value_type": "TEXT"}}]
    for name, more in (("more", {}), ("gray 2", {"releaseType": "gray", "betaLabels": ENV}), ("gray", {})):
        world.publish(name, code=409000, **more)
    assert world.code("POST", f"{F}/createandpub", {**NAMES, "content": "x"}) == 409000
    assert batch(world, "POST", "stopbeta", "") == (OK, [OK])
    assert world.served() == (b"a: 1", 4)
    assert world.release("gray")["active"] is False
    assert batch(world, "POST", "stopbeta", "") == (OK, [OK]), "there is none any more"
    world.publish("two")
    assert world.served() == (b"a: 2", 5)


def test_gray_releases_of_other_protocols_are_shown_and_ended(world: Console) -> None:
    world.publish("one")
    rule = GrayRule(ips=("10.0.0.1", "10.0.0.2"))
    world.centre.releases.publish_gray(KEY, NACOS, "beta", rule, change=Change(b"beta"))
    world.centre.releases.publish_gray(KEY, NACOS, "tag:t", GrayRule(ips=("10.0.0.3",)), change=Change(b"tag"))
    world.queue.settle()
    grays = [r for r in world.get(f"{F}/releases")["configFileReleases"] if r["releaseType"] == "gray"]
    assert len(grays) == 2
    assert {"key": "CLIENT_IP", "value": {"type": "IN", "value": "10.0.0.1,10.0.0.2", "value_type": "TEXT"}} in [
        label for r in grays for label in r["betaLabels"]
    ]
    assert {r["createBy"] for r in grays} == {"nacos"}
    world.publish("two", code=409000)
    writes = world.centre.reading.snapshot(KEY).version
    assert batch(world, "POST", "stopbeta", "") == (OK, [OK])
    assert world.centre.reading.snapshot(KEY).grays == ()
    assert world.centre.reading.snapshot(KEY).version > writes


@pytest.mark.parametrize(
    ("sent", "info"),
    [
        ({}, "invalid config namespace"),
        ({"namespace": "d"}, "invalid config group"),
        ({"namespace": "d", "group": "g"}, "invalid config file_name"),
    ],
)
def test_ending_gray_releases_of_nothing(world: Console, sent: object, info: str) -> None:
    answer = world.call("POST", f"{F}/releases/stopbeta", [sent, NAMES])
    assert (answer["code"], answer["info"]) == (400000, "bad request")
    assert [(each["code"], each["info"]) for each in answer["responses"]] == [(400000, info), (OK, "execute success")]


def test_creating_and_publishing_at_once(world: Console) -> None:
    sent = {"namespace": "n", "group": "g", "file_name": "p", "content": "{}", "format": "json", "release_name": "one"}
    answer = world.call("POST", f"{F}/createandpub", {**sent, "release_description": "first", "md5": "ignored"})
    assert (answer["code"], answer["configFileRelease"]) == (OK, None)
    release = world.get(R, namespace="n", group="g", file_name="p")["configFileRelease"]
    assert (release["content"], release["name"], release["releaseDescription"]) == ("{}", "one", "first")
    assert world.code("POST", f"{F}/createandpub", {**sent, "content": "2"}) == 409000, "a release says what it said"
    assert world.code("POST", f"{F}/createandpub", {**sent, "content": "2", "release_name": ""}) == OK
    assert world.get(F, namespace="n", group="g", name="p")["configFile"]["status"] == "normal"
    assert world.code("POST", f"{F}/createandpub", {}) == 400103
    assert world.code("POST", f"{F}/createandpub", {"namespace": "n", "group": "g"}) == 400802


def test_a_broken_document_is_refused_when_that_is_wanted() -> None:
    world = Console(PolarisSettings(validate_format=True))
    world.file("a: [1", format="yaml")
    answer = world.call("POST", R, NAMES)
    assert answer["code"] == 400804
    assert "line 2, column 1" in answer["info"]
    assert world.served() is None
    world.change("a: [1]", format="yaml")
    world.publish("one")


# ---------------------------------------------------------------------- history


def history(world: Console, **query: str) -> list[tuple[str, str, str]]:
    answer = world.get(f"{F}/releasehistory", **query)
    assert answer["code"] == OK
    assert answer["total"] >= len(answer["configFileReleaseHistories"])
    return [(h["type"], h["name"], h["content"]) for h in answer["configFileReleaseHistories"]]


def test_history(world: Console) -> None:
    world.publish("one", comment="c", releaseDescription="d")
    world.change("a: 2")
    world.publish("gray", releaseType="gray", betaLabels=ENV)
    batch(world, "POST", "stopbeta", "")
    world.publish("two")
    batch(world, "PUT", "rollback", "one")
    batch(world, "POST", "delete", "two")
    world.call("DELETE", f"{F}?namespace=d&group=g&name=a.yaml")
    assert history(world, namespace="d", group="g", name="a.yaml") == [
        ("clean", "one", "a: 1"),
        ("delete", "two", "a: 2"),
        ("rollback", "one", "a: 1"),
        ("normal", "two", "a: 2"),
        ("cancel-gray", "gray", "a: 2"),
        ("betaing", "gray", "a: 2"),
        ("normal", "one", "a: 1"),
    ]
    shown = world.get(f"{F}/releasehistory", limit="1", offset="6")["configFileReleaseHistories"][0]
    assert shown.pop("createTime") == shown.pop("modifyTime") != ""
    id = shown.pop("id")
    assert shown == {
        "name": "one", "namespace": "d", "group": "g", "fileName": "a.yaml", "content": "a: 1", "format": "yaml",
        "comment": "c", "md5": "270f9e65a80226eccd82c99cdd0dd2fb", "type": "normal", "status": "success",
        "tags": [{"key": "k", "value": "v"}], "createBy": "Polaris", "modifyBy": "Polaris", "reason": "",
        "releaseDescription": "d",
    }  # fmt: skip
    older = [h["id"] for h in world.get(f"{F}/releasehistory")["configFileReleaseHistories"]]
    assert older[-1] == id
    assert len(history(world, endId=older[2])) == len(history(world, end_id=older[2])) == 4
    assert len(history(world, end_id="abc")) == 7


def test_a_draft_that_made_room_for_another_protocol_is_there(world: Console) -> None:
    world.publish("one")
    world.change("unreleased")
    world.centre.releases.publish(KEY, NACOS, change=Change(b"theirs"))
    world.queue.settle()
    kept = world.get(f"{F}/releasehistory")["configFileReleaseHistories"]
    assert [(h["type"], h["status"], h["content"]) for h in kept] == [
        ("normal", "success", "theirs"),
        ("draft", "to-be-released", "unreleased"),
        ("normal", "success", "a: 1"),
    ]
    assert kept[0]["createBy"] == "nacos"


def test_history_is_searched_by_parts_of_names(world: Console) -> None:
    world.publish("one")
    assert history(world, group="", name="yam") == history(world, group="g") == history(world, bogus="1")
    assert history(world, namespace="dd") == history(world, group="gg") == []
    assert world.get(f"{F}/releasehistory", namespace="none")["total"] == 0


# ---------------------------------------------------------------------- templates


def test_templates(world: Console) -> None:
    assert world.get(T)["total"] == 0
    for sent, code in (
        ({}, 400808),
        ({"name": "t"}, 400000),
        ({"name": "t", "content": "x" * 20_001}, 400803),
        ({"name": "t", "content": "body", "format": "json", "comment": "c"}, OK),
        ({"name": "t", "content": "body"}, 400201),
        ({"name": "any name!", "content": "y"}, OK),
    ):
        assert world.code("POST", T, sent) == code
    answer = world.get(T)
    assert (answer["total"], [t["name"] for t in answer["configFileTemplates"]]) == (2, ["t", "any name!"])
    shown = answer["configFileTemplates"][0]
    assert (shown["content"], shown["format"], shown["comment"], shown["createBy"]) == ("body", "json", "c", "Polaris")
    assert world.call("POST", T, {"name": "t"})["info"] == "bad request:content can not be blank."


# ---------------------------------------------------------------------- differences


def changes(answer: Any) -> list[tuple[str, list[str], list[str]]]:
    assert answer["code"] == OK, answer
    return [(c["operation"], c["fromLines"], c["toLines"]) for c in answer["changes"]]


def test_what_changed(world: Console) -> None:
    world.change("a: 1\nb: 2\nc: 3\n")
    world.publish("one")
    world.change("a: 1\nb: 3\nc: 3\nd: 4\n")
    path = f"{F}/releases/diff"
    answer = world.get(path, **NAMES)
    wanted = [("equal", [], []), ("replace", ["b: 2\n"], ["b: 3\n"]), ("equal", [], []), ("insert", [], ["d: 4\n"])]
    assert changes(answer) == wanted
    assert (answer["from"]["what"], answer["from"]["name"], answer["to"]["what"]) == ("release", "one", "draft")
    assert answer["changes"][1] | {"fromLines": [], "toLines": []} == {
        "operation": "replace", "fromBegin": 1, "fromEnd": 2, "toBegin": 1, "toEnd": 2, "fromLines": [], "toLines": [],
    }  # fmt: skip
    world.publish("two")
    assert changes(world.get(path, **NAMES, from_release="one", to_release="two")) == wanted
    line = world.get(f"{F}/releasehistory")["configFileReleaseHistories"][-1]["id"]
    assert changes(world.get(path, **NAMES, from_release="two", to_history=line))[1] == (
        "replace",
        ["b: 3\n"],
        ["b: 2\n"],
    )
    for wrong in ({"from_release": "none"}, {"to_history": "1"}, {"to_history": "x"}, {"file_name": "none"}):
        answer = world.get(path, **{**NAMES, **wrong})
        assert answer["code"] == 400202, wrong
    other = {**NAMES, "file_name": "other", "content": "x"}
    world.call("POST", f"{F}/createandpub", other)
    assert world.get(path, **{**NAMES, "file_name": "other"}, to_history=line)["code"] == 400202
    assert world.send("GET", path).status == 400


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_long_comparison_is_made_in_a_thread(world: Console, end: str) -> None:
    world.change(end.join(f"{n}" for n in range(500)))
    world.publish("one")
    world.change(end.join(f"{n % 7}" for n in range(500)))
    timers: list[Callable[[], None]] = []
    world.queue.later = lambda _delay_s, run: timers.append(run)  # type: ignore[method-assign]
    reply = world.http.handle(_request(f"{F}/releases/diff"))
    found: list[Any] = []
    reply.then(found.append)  # type: ignore[union-attr]
    for _ in range(1_000_000):
        if found:
            break
        timers.pop()()
    assert json.loads(found[0].body)["code"] == OK


def _request(path: str) -> Any:
    from polaris_bridge.adapters._shared.exchange import Request

    return Request("GET", path, "&".join(f"{k}={v}" for k, v in NAMES.items()), [], b"", "10.9.9.9")
