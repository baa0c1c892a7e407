"""CreateConfigFile, UpdateConfigFile, PublishConfigFile, UpsertAndPublishConfigFile: codes, texts, effects."""

from __future__ import annotations

from typing import Any

import pytest
from bottle import CALLER
from config_native import KEY, ConfigWorld, code, draft, label, release, said

from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.config.model import Change, ConfigFile, FileKey
from polaris_bridge.core.terms import Terms

OK = (200000, "execute success")


@pytest.fixture
def world() -> ConfigWorld:
    return ConfigWorld()


def file(world: ConfigWorld, key: FileKey = KEY) -> ConfigFile:
    found = world.centre.reading.snapshot(key).file
    assert found is not None
    return found


def plain(world: ConfigWorld, key: FileKey = KEY) -> bytes:
    return world.centre.reading.plain(file(world, key).draft)


# ---------------------------------------------------------------------- names

NAMELESS: dict[str, tuple[FileKey, int]] = {
    "no file": (FileKey("default", "g", ""), 400802),
    "no namespace": (FileKey("", "g", "f"), 400110),
    "a bad namespace": (FileKey("a b", "g", "f"), 400110),
    "no group": (FileKey("default", "", "f"), 400801),
    "a bad group": (FileKey("default", "g$", "f"), 400801),
    "a long namespace": (FileKey("n" * 65, "g", "f"), 400110),
    "a long group": (FileKey("default", "g" * 129, "f"), 400801),
    "a long file": (FileKey("default", "g", "f" * 129), 400802),
    "a line feed at the end": (FileKey("default\n", "g", "f"), 400110),
}


@pytest.mark.parametrize("case", NAMELESS)
def test_names(world: ConfigWorld, case: str) -> None:
    key, expected = NAMELESS[case]
    before = world.store.writes
    assert code(world.create(key=key)) == expected
    assert code(world.upsert("x", key=key)) == expected
    assert world.store.writes == before


@pytest.mark.parametrize("case", [case for case in NAMELESS if "long" not in case])
def test_names_of_a_release(world: ConfigWorld, case: str) -> None:
    key, expected = NAMELESS[case]
    assert code(world.publish(key)) == expected


def test_a_file_with_a_long_name_of_another_protocol_can_be_written(world: ConfigWorld) -> None:
    key = FileKey("default", "g", "f" * 200)
    world.centre.releases.publish(key, CALLER, change=Change(content=b"1"))
    world.queue.settle()
    assert code(world.update("2", key)) == code(world.publish(key)) == 200000
    assert world.get(key).configFile.content.value == "2"


# ---------------------------------------------------------------------- drafts


def test_create(world: ConfigWorld) -> None:
    answer = world.create("a: 1", format="yaml", comment="c", tags={"k": "v"})
    assert said(answer) == OK
    assert not answer.HasField("configFile")
    found = file(world)
    assert (found.draft.format, found.draft.comment, found.draft.tags) == ("yaml", "c", {"k": "v"})
    assert plain(world) == b"a: 1"
    assert world.centre.reading.group(KEY.parent) is not None
    assert world.registry.ledger.namespace("default") is not None
    assert (found.created.address, found.created.via) == (CALLER.address, "polaris")


def test_create_again(world: ConfigWorld) -> None:
    world.create()
    assert said(world.create("a: 2")) == (400201, "existed resource")
    assert plain(world) == b"a: 1"


def test_create_where_namespaces_are_not_made(world: ConfigWorld) -> None:
    strict = ConfigWorld(Terms(auto_create_namespace=False))
    assert said(strict.create(key=FileKey("absent", "g", "f"))) == (400305, "not found namespace")
    assert said(strict.upsert("x", key=FileKey("absent", "g", "f"))) == (400305, "not found namespace")
    assert strict.centre.reading.groups() == []


def test_update(world: ConfigWorld) -> None:
    world.create("a: 1", format="yaml", comment="c", tags={"k": "v"})
    assert said(world.update("a: 2")) == OK
    found = file(world)
    assert (plain(world), found.draft.format, found.draft.comment, found.draft.tags) == (b"a: 2", "", "", {})


def test_update_of_nothing(world: ConfigWorld) -> None:
    assert said(world.update("a: 2")) == (400202, "not found resource")


def test_an_update_without_a_change_succeeds(world: ConfigWorld) -> None:
    world.create()
    assert said(world.update("a: 1")) == OK


def test_content_is_counted_in_characters(world: ConfigWorld) -> None:
    assert said(world.create("ü" * 20_000)) == OK
    assert said(world.update("ü" * 20_001)) == (400803, "content length too long. max length =20000")
    assert said(world.upsert("x" * 20_001)) == (400803, "content length too long. max length =20000")
    small = ConfigWorld(settings=PolarisSettings(content_max=3))
    assert said(small.create("abcd")) == (400803, "content length too long. max length =3")
    assert said(small.create("abc")) == OK


@pytest.mark.parametrize("tags", [{"": "v"}, {"k": ""}, {"a": "b", "k": ""}])
def test_tags_need_a_key_and_a_value(world: ConfigWorld, tags: dict[str, str]) -> None:
    assert code(world.create(tags=tags)) == 400805


def test_a_tag_without_a_value_that_another_protocol_set_may_stay(world: ConfigWorld) -> None:
    world.centre.files.create(KEY, Change(content=b"1", tags={"t": ""}), CALLER)
    world.queue.settle()
    assert code(world.update("2", tags={"t": "", "k": "v"})) == 200000
    assert code(world.update("2", tags={"u": ""})) == 400805


def test_a_store_that_takes_nothing(world: ConfigWorld) -> None:
    world.store.broken = True
    assert code(world.create()) == 500001
    world.store.broken = False
    assert code(world.create()) == 200000


# ---------------------------------------------------------------------- encryption


def test_encryption_stays_until_somebody_says_otherwise(world: ConfigWorld) -> None:
    world.create("secret", encrypted=True, encrypt_algo="AES")
    assert file(world).draft.algorithm == "AES"
    world.update("other")
    assert file(world).draft.algorithm == "AES"
    assert plain(world) == b"other"
    world.update("third", encrypted=False)
    assert file(world).draft.algorithm == ""
    assert plain(world) == b"third"


@pytest.mark.parametrize("algorithm", ["", "ROT13"])
def test_a_cipher_that_is_not_there(world: ConfigWorld, algorithm: str) -> None:
    answer = world.create("secret", encrypted=True, encrypt_algo=algorithm)
    assert code(answer) == 400809
    assert world.centre.reading.snapshot(KEY).file is None


def test_nobody_sets_the_tags_by_which_sdks_learn_of_encryption(world: ConfigWorld) -> None:
    world.create(
        "x", tags={"internal-encrypted": "true", "internal-datakey": "k", "internal-encryptalgo": "AES", "a": "b"}
    )
    assert file(world).draft.tags == {"a": "b"}


# ---------------------------------------------------------------------- releases


def test_publish(world: ConfigWorld) -> None:
    world.create()
    answer = world.publish(name="r1", release_description="why")
    assert said(answer) == OK
    assert not answer.HasField("configFile")
    made = world.centre.reading.release(KEY, "r1")
    assert made is not None
    assert (made.version, made.description, made.created.by) == (1, "why", CALLER.principal)


def test_publish_of_nothing(world: ConfigWorld) -> None:
    world.create()
    assert said(world.publish(FileKey("default", "g", "absent"))) == (400202, "not found resource")
    assert said(world.publish(FileKey("absent", "g", "f"))) == (400305, "not found namespace")


def test_the_name_of_a_release_brings_it_back(world: ConfigWorld) -> None:
    world.create("1")
    world.publish(name="r1")
    world.update("2")
    world.publish(name="r2")
    assert world.get().configFile.content.value == "2"
    world.publish(name="r1")
    info = world.get().configFile
    assert (info.content.value, info.version.value) == ("1", 3)


def test_a_gray_release_needs_labels(world: ConfigWorld) -> None:
    world.create()
    assert said(world.publish(release_type="gray")) == (400904, "invalid gray config beta labels")


@pytest.mark.parametrize(
    "labels",
    [
        [label("", "x")],
        [label("k", "(", v1.MatchString.REGEX)],
        [label("k", "1", v1.MatchString.RANGE)],
        [label("k", "a~b", v1.MatchString.RANGE)],
        [label("k", "x", 17)],
    ],
)
def test_labels_that_could_never_be_judged(world: ConfigWorld, labels: list[v1.ClientLabel]) -> None:
    world.create()
    assert code(world.publish(release_type="gray", beta_labels=labels)) == 400904


def test_one_gray_release_at_a_time_and_no_full_one_meanwhile(world: ConfigWorld) -> None:
    world.seed("full")
    gray: dict[str, Any] = {"release_type": "gray", "beta_labels": [label("env", "beta")]}
    assert code(world.publish(**gray)) == 200000
    conflict = (409000, "data is conflict, please try again")
    assert said(world.publish(**gray)) == said(world.publish()) == conflict
    assert said(world.upsert("x", md5=file(world).draft.md5)) == conflict
    world.centre.releases.stop(KEY, "gray", CALLER)
    assert said(world.publish()) == OK


@pytest.mark.parametrize(("validate", "expected"), [(False, 200000), (True, 400804)])
def test_a_broken_document(validate: bool, expected: int) -> None:
    world = ConfigWorld(settings=PolarisSettings(validate_format=validate))
    assert code(world.create('{"a": }', format="json")) == 200000
    answer = world.publish()
    assert code(answer) == expected
    assert ("line 1, column 7" in answer.info.value) == validate
    assert code(world.upsert("a: [", format="yaml", key=FileKey("default", "g", "other"))) == expected


# ---------------------------------------------------------------------- both at once


def test_upsert_makes_and_releases(world: ConfigWorld) -> None:
    answer = world.upsert("b: 1", release_name="r", comment="c", format="yaml", tags={"k": "v"}, md5="ignored")
    assert said(answer) == OK
    assert (answer.configFile.namespace.value, answer.configFile.group.value, answer.configFile.file_name.value) == KEY
    assert world.get().configFile.content.value == "b: 1"
    assert not file(world).unreleased


@pytest.mark.parametrize("md5", [None, "", "0" * 32])
def test_upsert_over_another_content(world: ConfigWorld, md5: str | None) -> None:
    world.seed("a: 1")
    answer = world.upsert("a: 2", md5=md5)
    assert said(answer) == (409000, "data is conflict, please try again")
    assert answer.configFile.file_name.value == KEY.name
    assert world.get().configFile.content.value == "a: 1"


def test_upsert_over_the_content_that_was_read(world: ConfigWorld) -> None:
    world.seed("a: 1")
    assert said(world.upsert("a: 2", md5=world.get().configFile.md5.value)) == OK
    assert world.get().configFile.version.value == 2


def test_upsert_compares_with_the_draft(world: ConfigWorld) -> None:
    world.seed("a: 1")
    world.update("a: 2")
    assert code(world.upsert("a: 3", md5=world.get().configFile.md5.value)) == 409000
    assert code(world.upsert("a: 3", md5=file(world).draft.md5)) == 200000


def test_of_two_who_read_the_same_one_wins(world: ConfigWorld) -> None:
    world.seed("a: 1")
    md5 = world.get().configFile.md5.value
    assert sorted(code(world.upsert(f"by {who}", md5=md5)) for who in range(2)) == [200000, 409000]
    assert world.get().configFile.content.value == "by 0"


def test_upsert_keeps_an_encrypted_file_encrypted(world: ConfigWorld) -> None:
    world.seed("secret", encrypted=True, encrypt_algo="AES")
    assert code(world.upsert("other", md5=file(world).draft.md5)) == 200000
    assert file(world).draft.algorithm == "AES"
    assert plain(world) == b"other"


def test_without_comparing_it_overwrites(world: ConfigWorld) -> None:
    world.seed("a: 1")
    m = v1.ConfigFilePublishInfo(content={"value": "a: 2"})
    m.namespace.value, m.group.value, m.file_name.value = KEY
    assert world.clients.writing.upsert_and_publish(m, CALLER, compare=False).code == 200000
    world.queue.settle()
    assert world.get().configFile.content.value == "a: 2"


def test_an_answer_names_what_the_request_named(world: ConfigWorld) -> None:
    answer = world.answer(world.clients.upsert_and_publish(v1.ConfigFilePublishInfo(group={"value": "g"}), CALLER))
    assert code(answer) == 400802
    assert answer.configFile == v1.ClientConfigFileInfo(group={"value": "g"})


def test_what_was_written_is_there_after_a_restart(world: ConfigWorld) -> None:
    world.seed("a: 1", tags={"k": "v"})
    world.update("a: 2")
    world.restart()
    assert world.get().configFile.content.value == "a: 1"
    assert plain(world) == b"a: 2"


def test_messages_of_the_helpers_are_what_sdks_send() -> None:
    assert draft("x") == v1.ConfigFile.FromString(draft("x").SerializeToString())
    assert not release().HasField("name")
