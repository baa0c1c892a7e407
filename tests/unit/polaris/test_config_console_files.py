"""Drafts of configuration files as a console writes, reads, searches and deletes them. Seen on polaris-server 1.19."""

from __future__ import annotations

import json

import pytest
from config_console import KEY, NAMES, OK, Console, F, G, R
from http_world import document

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.core.config.model import Change
from polaris_bridge.core.model import Caller


@pytest.fixture
def world() -> Console:
    return Console()


def test_a_file_as_it_is_made_and_shown(world: Console) -> None:
    answer = world.file(format="yaml", comment="c", tags=[{"key": "k", "value": "v"}])
    made = answer["configFile"]
    assert (made["content"], made["createBy"], made["id"], made["status"]) == ("a: 1", "Polaris", None, None)
    shown = world.got()
    assert shown.pop("id").isdigit()
    assert shown.pop("createTime") == shown.pop("modifyTime") != ""
    assert shown == {
        "name": "a.yaml", "namespace": "d", "group": "g", "content": "a: 1", "format": "yaml", "comment": "c",
        "status": "to-be-released", "tags": [{"key": "k", "value": "v"}], "createBy": "Polaris", "modifyBy": "Polaris",
        "releaseTime": "", "releaseBy": "", "encrypted": False, "encryptAlgo": "",
    }  # fmt: skip
    [group] = world.get(G)["configFileGroups"]
    assert (group["comment"], group["owner"]) == ("auto created", "Polaris")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, 400103),
        ({"namespace": "d", "name": "a"}, 400103),
        ({"namespace": "d", "group": "g"}, 400802),
        ({"namespace": "d 1", "group": "g", "name": "a"}, 400110),
        ({"namespace": "d", "group": "g g", "name": "a"}, 400801),
        ({"namespace": "d", "group": "g", "name": "a" * 129}, 400802),
        ({"namespace": "d", "group": "g", "name": "a", "tags": [{"key": "k", "value": ""}]}, 400805),
        ({"namespace": "d", "group": "g", "name": "a", "content": "x" * 20_001}, 400803),
        ({"namespace": "d", "group": "g", "name": "a", "encrypted": True, "encryptAlgo": "DES"}, 400809),
        ({"namespace": "d", "group": "g", "name": "a", "encrypted": True}, 400809),
    ],
)
def test_what_is_no_file(world: Console, sent: object, code: int) -> None:
    assert world.code("POST", F, sent) == code
    assert world.get(f"{F}/search")["total"] == world.get(G)["total"] == 0


def test_any_name_and_format_will_do(world: Console) -> None:
    world.file(name="dir/bad name!", format="weird")
    world.file("é" * 20_000, name="long")
    assert world.got("dir/bad name!")["format"] == "weird"
    assert world.got("long")["content"] == "é" * 20_000


def test_a_file_is_made_once(world: Console) -> None:
    world.file()
    assert world.file(code=400201)["configFile"] is None
    assert world.got()["content"] == "a: 1"


def test_a_change_says_everything_anew(world: Console) -> None:
    world.file(format="yaml", comment="c", tags=[{"key": "k", "value": "v"}])
    answer = world.change("a: 2", format="yaml")["configFile"]
    assert (answer["content"], answer["comment"], answer["tags"], answer["status"]) == ("a: 2", "", [], "")
    assert answer["id"] == world.got()["id"]
    assert world.change("a: 2", format="yaml")["configFile"]["content"] == "a: 2", "nothing changed, and that is well"
    world.change("x", name="other", code=400202)
    world.change("x" * 20_001, code=400803)
    assert world.got()["content"] == "a: 2"


def test_status_follows_what_is_released(world: Console) -> None:
    world.file()
    world.publish("one")
    shown = world.got()
    assert (shown["status"], shown["releaseBy"]) == ("normal", "Polaris")
    assert shown["releaseTime"] == world.release()["modifyTime"]
    world.change("a: 2")
    assert (world.got()["status"], world.got()["releaseTime"]) == ("to-be-released", "")
    world.publish(releaseType="gray", betaLabels=[{"key": "env", "value": {"value": "test"}}])
    assert world.got()["status"] == "betaing"
    world.change("a: 1")
    assert world.got()["status"] == "to-be-released", "while a gray release is active only that one counts"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", 400110),
        ("namespace=d", 400801),
        ("namespace=d&group=g", 400802),
        ("namespace=d&group=g&name=none", 400202),
    ],
)
def test_reading_what_is_not_named_or_not_there(world: Console, query: str, code: int) -> None:
    assert world.code("GET", f"{F}?{query}") == code


def test_encrypted_files_are_plain_to_consoles_and_keep_their_keys(world: Console) -> None:
    world.file("secret", encrypted=True, encryptAlgo="AES", tags=[{"key": "t", "value": "v"}])
    shown = world.got()
    assert (shown["content"], shown["encrypted"], shown["encryptAlgo"]) == ("secret", True, "AES")
    tags = {tag["key"]: tag["value"] for tag in shown["tags"]}
    assert tags == {"t": "v", "internal-encrypted": "true", "internal-encryptalgo": "AES"}
    assert b"secret" not in world.centre.reading.content(_draft(world))
    world.publish("one")
    release = world.release()
    assert (release["content"], world.got()["status"]) == ("secret", "normal")
    assert "internal-datakey" not in json.dumps([world.get(f"{F}/releases"), world.get(f"{F}/releasehistory"), release])
    answer = world.change("secret 2", encrypted=True, encryptAlgo="AES")["configFile"]
    assert answer["content"] == "secret 2"
    assert "internal-datakey" not in json.dumps(answer)
    world.change("open", encrypted=False)
    assert (world.got()["encrypted"], world.got()["tags"]) == (False, [])
    assert world.get(f"{F}/encryptalgorithm")["algorithms"] == ["AES"]
    assert Console(encrypt=False).get(f"{F}/encryptalgorithm")["algorithms"] == []


def _draft(world: Console):  # type: ignore[no-untyped-def]
    file = world.centre.reading.snapshot(KEY).file
    assert file is not None
    return file.draft


def test_search(world: Console) -> None:
    for namespace, group, name in (("d", "g", "one"), ("d", "h", "two"), ("e", "g", "three"), ("d", "g", "four")):
        world.call("POST", F, {"namespace": namespace, "group": group, "name": name, "content": name})

    def names(path: str = "search", **query: str) -> list[str]:
        answer = world.get(f"{F}/{path}", **query)
        assert answer["code"] == OK
        return [file["name"] for file in answer["configFiles"]]

    assert names() == ["four", "three", "two", "one"], "the newest first"
    assert names("by-group", namespace="d", group="g") == ["four", "one"]
    assert names(name="*o*") == ["four", "two", "one"]
    assert names(name="t*", namespace="d") == ["two"]
    assert names(name="o") == []
    assert names(group="", bogus="1", tags="a,b", namespace="e") == ["three"]
    assert names(namespace="*", limit="2", offset="1") == ["three", "two"]
    assert names(namespace="none") == []
    assert world.get(f"{F}/search", limit="0")["total"] == 4
    [shown] = world.get(f"{F}/search", name="one")["configFiles"]
    answer = world.get(F, namespace="d", group="g", name="one")
    assert shown == answer["configFile"]


def test_a_list_of_many_is_made_in_slices_and_says_the_same(world: Console) -> None:
    caller = Caller("polaris")
    for n in range(1100):
        world.centre.files.create(KEY._replace(name=f"f{n}"), Change(b"x"), caller)
    world.queue.settle()
    turns = []
    soon = world.queue.soon
    world.queue.soon = lambda run: (turns.append(1), soon(run))[1]  # type: ignore[method-assign]
    answer = world.get(f"{F}/search", limit="3", name="f*")
    assert turns
    assert (answer["total"], [file["name"] for file in answer["configFiles"]]) == (1100, ["f1099", "f1098", "f1097"])


def test_deleting(world: Console) -> None:
    world.file()
    world.publish("one")
    assert world.served() == (b"a: 1", 1)
    assert world.code("DELETE", f"{F}?namespace=d&group=g&name=a.yaml") == OK
    assert world.served() is None
    assert world.code("GET", f"{F}?namespace=d&group=g&name=a.yaml") == 400202
    assert world.code("DELETE", f"{F}?namespace=d&group=g&name=a.yaml") == OK, "what is not there is deleted too"
    assert world.code("DELETE", F) == OK
    world.file()
    world.publish("one")
    assert world.served() == (b"a: 1", 3), "versions go on"


def test_deleting_many(world: Console) -> None:
    for name in ("a.yaml", "b", "c"):
        world.file(name=name)
    named = [{"namespace": "d", "group": "g", "name": name} for name in ("a.yaml", "b", "none")]
    writes = world.store.writes
    assert world.call("POST", f"{F}/batchdelete", named) == world.call("POST", f"{F}/batchdelete", [])
    assert world.store.writes > writes
    assert [file["name"] for file in world.get(f"{F}/search")["configFiles"]] == ["c"]
    answer = world.call("POST", f"{F}/batchdelete", {"namespace": "d"})
    assert (answer["code"], answer["size"], answer["responses"]) == (400001, 0, [])


def test_nothing_is_said_before_it_is_stored(world: Console) -> None:
    world.file()
    world.store.broken = True
    assert world.send("PUT", F, {**_named(), "content": "lost"}).status == 500
    assert document(world.send("POST", R, NAMES))["code"] == 500001
    world.store.broken = False
    assert world.got()["content"] == "a: 1"
    assert world.served() is None


def _named() -> dict[str, str]:
    return {"namespace": "d", "group": "g", "name": "a.yaml"}


def test_bodies_that_cannot_be_read(world: Console) -> None:
    for method, path, prefix in (
        ("POST", F, ""),
        ("PUT", F, ""),
        ("POST", f"{F}/createandpub", ""),
        ("POST", R, "request decode failed:"),
        ("POST", f"{F}/export", "request decode failed: "),
    ):
        answer = world.call(method, path, b"{bad")
        assert answer["code"] == 400001
        assert answer["info"].startswith(prefix), path
        assert bool(prefix) == answer["info"].startswith("request")
    assert world.send("POST", F, b"{}", {"content-type": "text/plain"}).status == 415
    assert world.send("PATCH", F, {}).status == 405


def test_a_limit_of_the_configuration() -> None:
    world = Console(PolarisSettings(content_max=3))
    world.file("four", code=400803)
    world.file("333")
    answer = world.call("POST", f"{F}/createandpub", {**NAMES, "content": "four"})
    assert (answer["code"], answer["info"]) == (400803, "content length too long. max length =3")
