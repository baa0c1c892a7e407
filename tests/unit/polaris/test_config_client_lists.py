"""Lists of files and groups, and the stream that asks for them: contents, revisions, gray releases, long groups."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from bottle import CALLER
from config_native import KEY, ConfigWorld, code, label, question, tags

from polaris_bridge.adapters.polaris.service.config.listing import LONG
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import ConfigGroup, FileKey, GroupKey

FILE, NAMES, GROUPS = 1, 2, 3


@pytest.fixture
def world() -> ConfigWorld:
    found = ConfigWorld()
    found.seed(tags={"k": "v"})
    return found


def arrived(world: ConfigWorld, found: Any) -> bytes:
    """The answer, however long it takes."""
    if isinstance(found, bytes):
        return found
    bodies: list[bytes] = []
    found.then(bodies.append)
    world.queue.settle()
    (body,) = bodies
    return body


def listed(world: ConfigWorld, group: GroupKey = KEY.parent, revision: str = "", **labels: str) -> Any:
    m = v1.ConfigFileGroupRequest(revision={"value": revision}, client_labels=labels)
    m.config_file_group.namespace.value, m.config_file_group.name.value = group
    return v1.ConfigClientListResponse.FromString(arrived(world, world.clients.lists.files(m, CALLER)))


def asked(world: ConfigWorld, type: int, key: FileKey = KEY, revision: str = "", **fields: Any) -> Any:
    m = v1.ConfigDiscoverRequest(type=type, config_file=question(key, **fields), revision=revision)
    return v1.ConfigDiscoverResponse.FromString(arrived(world, world.clients.lists.discover(m, CALLER)))


def names(answer: Any) -> list[tuple[str, int]]:
    return [(info.file_name.value, info.version.value) for info in answer.config_file_infos]


# ---------------------------------------------------------------------- files of a group


def test_what_is_shown_of_a_file(world: ConfigWorld) -> None:
    answer = listed(world)
    assert (code(answer), answer.namespace, answer.group) == (200000, "default", "g")
    (info,) = answer.config_file_infos
    assert (info.namespace.value, info.group.value, info.file_name.value, info.version.value) == (*KEY, 1)
    assert info.name.value.startswith("a.yaml-")
    assert len(info.release_time.value) == len("2026-11-22 14:33:34")
    assert tags(info) == {"k": "v"}
    assert not info.HasField("content")
    assert not info.HasField("md5")


@pytest.mark.parametrize(
    ("group", "info"), [(("", "g"), "namespace is empty"), (("default", ""), "file group is empty")]
)
def test_what_is_not_named(world: ConfigWorld, group: tuple[str, str], info: str) -> None:
    answer = listed(world, GroupKey(*group))
    assert (code(answer), answer.info.value) == (400000, info)


def test_an_unknown_group_has_nothing_but_a_code(world: ConfigWorld) -> None:
    answer = listed(world, GroupKey("default", "absent"))
    assert answer == v1.ConfigClientListResponse(code={"value": 200000}, info={"value": "execute success"})


def test_drafts_are_not_listed(world: ConfigWorld) -> None:
    world.create(key=FileKey("default", "g", "draft"))
    assert names(listed(world)) == [("a.yaml", 1)]


def test_an_equal_revision(world: ConfigWorld) -> None:
    revision = listed(world).revision.value
    answer = listed(world, revision=revision)
    assert code(answer) == 200001
    assert not answer.config_file_infos


def test_every_change_is_another_revision(world: ConfigWorld) -> None:
    seen = [listed(world).revision.value]
    world.update("a: 2")
    assert listed(world).revision.value == seen[0]
    other = FileKey("default", "g", "b")
    for change in (
        world.publish,
        lambda: world.seed("b", other),
        lambda: world.centre.files.delete(other, CALLER),
        lambda: world.seed("b", FileKey("default", "g", "c")),
        lambda: world.centre.files.delete(KEY, CALLER),
        lambda: world.centre.files.delete(FileKey("default", "g", "c"), CALLER),
    ):
        change()
        world.queue.settle()
        answer = listed(world)
        assert code(answer) == 200000
        seen.append(answer.revision.value)
    assert all(before != after for before, after in itertools.pairwise(seen))
    assert names(listed(world)) == []
    assert seen[-1], "a group without files has a revision, so that clients learn of it"


def test_a_revision_is_the_same_after_a_restart(world: ConfigWorld) -> None:
    revision = listed(world).revision.value
    world.restart()
    assert listed(world).revision.value == revision


def test_keys_of_encrypted_files_are_not_listed(world: ConfigWorld) -> None:
    world.seed("secret", FileKey("default", "g", "s"), encrypted=True, encrypt_algo="AES")
    assert tags(listed(world).config_file_infos[1]) == {"internal-encrypted": "true", "internal-encryptalgo": "AES"}


def test_a_gray_release_is_listed_for_those_whom_it_is_for(world: ConfigWorld) -> None:
    world.seed("b", FileKey("default", "g", "b"))
    world.update("gray")
    world.publish(release_type="gray", beta_labels=[label("env", "beta")])
    assert names(listed(world)) == [("a.yaml", 1), ("b", 1)]
    meant = listed(world, env="beta")
    assert names(meant) == [("a.yaml", 2), ("b", 1)]
    assert meant.revision != listed(world).revision
    assert code(listed(world, env="beta", revision=meant.revision.value)) == 200001


def test_a_file_with_nothing_but_a_gray_release(world: ConfigWorld) -> None:
    key = FileKey("default", "g", "b")
    world.create("gray", key)
    world.publish(key, release_type="gray", beta_labels=[label("env", "beta")])
    assert names(listed(world)) == [("a.yaml", 1)]
    assert names(listed(world, env="beta")) == [("a.yaml", 1), ("b", 1)]


def test_long_groups_are_listed_in_slices(world: ConfigWorld) -> None:
    for n in range(LONG + 5):
        world.seed("x", FileKey("default", "g", f"f{n}"))
    m = v1.ConfigFileGroupRequest(config_file_group={"namespace": {"value": "default"}, "name": {"value": "g"}})
    first = world.clients.lists.files(m, CALLER)
    assert not isinstance(first, bytes)
    body = arrived(world, first)
    assert len(v1.ConfigClientListResponse.FromString(body).config_file_infos) == LONG + 6
    assert world.clients.lists.files(m, CALLER) == body
    answer = asked(world, NAMES)
    assert len(answer.config_file_names) == LONG + 6


# ---------------------------------------------------------------------- the stream


@pytest.mark.parametrize("type", [0, 17])
def test_no_such_type(world: ConfigWorld, type: int) -> None:
    answer = asked(world, type)
    assert (answer.code, answer.info, answer.type) == (400004, "invalid discover resource", 0)


def test_a_file(world: ConfigWorld) -> None:
    answer = asked(world, FILE, version=0)
    assert (answer.code, answer.info, answer.type, answer.revision) == (200000, "execute success", FILE, "1")
    assert answer.config_file == world.get().configFile


def test_a_file_by_labels(world: ConfigWorld) -> None:
    world.update("gray")
    world.publish(release_type="gray", beta_labels=[label("env", "beta")])
    assert asked(world, FILE).config_file.content.value == "a: 1"
    assert asked(world, FILE, tags={"env": "beta"}).config_file.content.value == "gray"


def test_a_file_that_is_not_there(world: ConfigWorld) -> None:
    answer = asked(world, FILE, FileKey("default", "g", "absent"), version=4)
    assert (answer.code, answer.type, answer.revision) == (400202, FILE, "4")
    assert answer.config_file.file_name.value == "absent"


def test_a_file_without_a_name(world: ConfigWorld) -> None:
    answer = asked(world, FILE, FileKey("", "g", "f"))
    assert (answer.code, answer.info, answer.revision, answer.HasField("config_file")) == (
        400000,
        "bad request",
        "0",
        False,
    )


def test_names_of_files(world: ConfigWorld) -> None:
    answer = asked(world, NAMES)
    expected = listed(world)
    assert (answer.code, answer.type, answer.revision) == (200000, NAMES, expected.revision.value)
    assert list(answer.config_file_names) == list(expected.config_file_infos)
    again = asked(world, NAMES, revision=answer.revision)
    assert (again.code, again.type, again.revision, len(again.config_file_names)) == (200001, NAMES, "", 0)
    absent = asked(world, NAMES, FileKey("default", "absent", ""))
    assert (absent.code, absent.revision) == (200000, "")
    assert asked(world, NAMES, FileKey("default", "", "")).code == 400000


def test_names_by_labels(world: ConfigWorld) -> None:
    world.update("gray")
    world.publish(release_type="gray", beta_labels=[label("env", "beta")])
    (info,) = asked(world, NAMES, tags={"env": "beta"}).config_file_names
    assert info.version.value == 2


def test_groups(world: ConfigWorld) -> None:
    world.centre.groups.create(ConfigGroup(GroupKey("default", "b")), CALLER)
    world.queue.settle()
    answer = asked(world, GROUPS, FileKey("default", "", ""))
    assert (answer.code, answer.type, answer.config_file.namespace.value) == (200000, GROUPS, "default")
    assert [(g.namespace.value, g.name.value) for g in answer.config_file_groups] == [
        ("default", "b"),
        ("default", "g"),
    ]
    again = asked(world, GROUPS, FileKey("default", "", ""), revision=answer.revision)
    assert (again.code, again.type, len(again.config_file_groups)) == (200001, GROUPS, 0)
    world.centre.groups.delete(GroupKey("default", "b"), CALLER)
    world.queue.settle()
    after = asked(world, GROUPS, FileKey("default", "", ""), revision=answer.revision)
    assert after.code == 200000
    assert [g.name.value for g in after.config_file_groups] == ["g"]


def test_groups_of_nothing(world: ConfigWorld) -> None:
    answer = asked(world, GROUPS, FileKey("", "", ""))
    assert (answer.code, answer.info) == (400000, "invalid namespace")
    empty = asked(world, GROUPS, FileKey("absent", "", ""))
    assert (empty.code, empty.type, empty.revision, empty.HasField("config_file")) == (200000, GROUPS, "", False)
