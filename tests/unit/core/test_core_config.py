"""The configuration centre, operation by operation: drafts, releases, gray releases, history, limits, sealing, transfer."""

from __future__ import annotations

from typing import Any

import pytest
from world import CALLER, Fate, World

from polaris_bridge.core.config.centre import ConfigCentre
from polaris_bridge.core.config.model import (
    DRAFT,
    IN,
    Asker,
    Change,
    ConfigGroup,
    Door,
    Expected,
    FileKey,
    GrayRule,
    GroupKey,
    Match,
)
from polaris_bridge.core.config.ports import Broken, Defect, Sealed, TooLong
from polaris_bridge.core.config.transfer import ABORT, OVERWRITE, SKIP, Carried
from polaris_bridge.core.errors import Conflict, Invalid, NotFound, Unavailable
from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.terms import Terms

GROUP = GroupKey("default", "g")
KEY = FileKey("default", "g", "app.yaml")
BETA = GrayRule(ips=("10.0.0.9",))
TESTER = Asker(ip="10.0.0.9")


def started() -> tuple[World, ConfigCentre]:
    world = World()
    return world, world.registry.config


def publish(world: World, content: bytes, key: FileKey = KEY, **how: Any) -> Any:
    done = world.registry.config.releases.publish(key, CALLER, change=Change(content), **how)
    world.settle()
    return done


def served(config: ConfigCentre, asker: Asker | None = None, key: FileKey = KEY) -> tuple[bytes, int] | None:
    seen = config.reading.resolve(key, asker or Asker())
    return None if seen is None else (seen.content, seen.version)


# ---------------------------------------------------------------------- groups and drafts


def test_a_group_is_made_changed_and_deleted() -> None:
    world, config = started()
    config.groups.create(ConfigGroup(GROUP, comment="first", ext={"x": {"a": 1}}), CALLER)
    world.settle()
    with pytest.raises(Conflict):
        config.groups.create(ConfigGroup(GROUP), CALLER)
    config.groups.update(GROUP, CALLER, comment="second", ext={"y": 2})
    world.settle()
    found = config.reading.group(GROUP)
    assert found is not None
    assert (found.comment, found.ext) == ("second", {"x": {"a": 1}, "y": 2})
    assert found.created.address == CALLER.address
    config.files.put(KEY, Change(b"x"), CALLER)
    with pytest.raises(Conflict):
        config.groups.delete(GROUP, CALLER)
    config.groups.delete(GROUP, CALLER, empty_only=False)
    world.settle()
    assert config.reading.groups("default") == []
    assert config.reading.snapshot(KEY).file is None
    assert config.groups.delete(GROUP, CALLER) is None
    with pytest.raises(NotFound):
        config.groups.update(GROUP, CALLER, comment="x")


def test_a_namespace_that_may_not_be_made_refuses_and_leaves_nothing() -> None:
    world = World(Terms(auto_create_namespace=False))
    with pytest.raises(NotFound):
        publish(world, b"x")
    world.settle()
    assert world.registry.config.reading.groups() == []
    assert world.store.appends == []


def test_a_draft_is_seen_by_nobody_until_it_is_published() -> None:
    world, config = started()
    config.files.create(KEY, Change(b"a: 1", "yaml", "first", {"t": "1"}), CALLER)
    world.settle()
    assert served(config) is None
    assert config.reading.count(GROUP) == 1
    with pytest.raises(Conflict):
        config.files.create(KEY, Change(b"x"), CALLER)
    with pytest.raises(NotFound):
        config.files.update(FileKey("default", "g", "none"), Change(b"x"), CALLER)
    done = config.releases.publish(KEY, CALLER)
    assert served(config) is None, "told before it is durable"
    world.settle()
    assert served(config) == (b"a: 1", 1)
    assert done.release is not None
    assert (done.release.text.format, done.release.text.tags, done.release.number) == ("yaml", {"t": "1"}, 1)
    config.files.update(KEY, Change(comment="second"), CALLER)
    world.settle()
    file = config.reading.snapshot(KEY).file
    assert file is not None
    assert (file.draft.comment, file.draft.format, file.unreleased) == ("second", "yaml", False)


def test_what_changes_nothing_is_done_when_that_which_it_repeats_is() -> None:
    world, config = started()
    with world.slow_store():
        config.files.put(KEY, Change(b"x"), CALLER)
        again = Fate(config.files.put(KEY, Change(b"x"), CALLER).commit)
        world.settle()
        assert again.result is None
    assert again.result == "ok"
    assert Fate(config.files.put(KEY, Change(b"x"), CALLER).commit).result == "ok"


def test_one_operation_leaves_one_record() -> None:
    world, config = started()
    records: list[OperationRecord] = []
    world.registry.operations.append(records.append)
    config.groups.ensure(GROUP, CALLER)
    publish(world, b"x")
    assert [(r.resource, r.name, r.operation, r.result) for r in records] == [
        ("config-group", "g", "auto-create", "ok"),
        ("config-release", "g/app.yaml", "publish", "ok"),
    ]
    config.releases.publish_gray(KEY, CALLER, "beta", BETA, name="try", change=Change(b"y"))
    config.groups.delete(GROUP, CALLER, empty_only=False)
    world.settle()
    assert [(r.operation, r.detail) for r in records] == [
        ("auto-create", ""),
        ("publish", "release=app.yaml-1700000000-1 version=1 md5=9dd4e461268c8034f5c8564e155c67a6"),
        ("gray", "release=try version=2 gray=beta md5=415290769594460e2e485922904f345d"),
        ("delete", "release=app.yaml-1700000000-1 version=3 md5=9dd4e461268c8034f5c8564e155c67a6"),
        ("delete", ""),
    ]


def test_bytes_are_kept_exactly_and_one_content_is_kept_once() -> None:
    world, config = started()
    content = bytes(range(256)) * 40
    publish(world, content)
    publish(world, content)
    assert len([row for row in world.store.rows if row[1] == "config-body"]) == 1
    world.restart()
    assert served(world.registry.config) == (content, 2)
    assert config is not world.registry.config


@pytest.mark.parametrize("key", [FileKey("", "g", "n"), FileKey("n", "", "n"), FileKey("n", "g", "")])
def test_an_empty_name_is_refused(key: FileKey) -> None:
    world, config = started()
    with pytest.raises(Invalid):
        publish(world, b"x", key)
    assert config.reading.all() == []


def test_long_names_and_slashes_are_different_files() -> None:
    world, config = started()
    keys = [FileKey("default", "g" * 128, "n" * 200 + end) for end in "ab"]
    keys += [FileKey("default", "a/b", "c"), FileKey("default", "a", "b/c"), FileKey("default", "a%2Fb", "c")]
    for number, key in enumerate(keys):
        publish(world, str(number).encode(), key)
    assert [served(config, key=key) for key in keys] == [(str(n).encode(), 1) for n in range(len(keys))]
    assert all(len(str(row[-1])) <= 255 for row in world.store.rows)


def test_a_file_made_again_before_its_deletion_is_published_stays_in_the_lists() -> None:
    world, config = started()
    publish(world, b"1")
    world.store.hold = True
    config.files.delete(KEY, CALLER)
    world.settle()
    config.releases.publish(KEY, CALLER, change=Change(b"2"))
    world.store.answer()
    assert config.reading.files(GROUP) == []
    world.store.hold = False
    world.answer_all()
    assert [s.version for s in config.reading.files(GROUP)] == [3]
    assert config.history.of(KEY).total == 3


# ---------------------------------------------------------------------- publishing


def test_a_refused_store_leaves_nothing() -> None:
    world, config = started()
    publish(world, b"1")
    world.store.hold = True
    done = config.releases.publish(KEY, CALLER, change=Change(b"2"))
    fate = Fate(done.commit)
    world.fail_all()
    world.store.hold = False
    assert fate.result == Unavailable.__name__
    assert served(config) == (b"1", 1)
    assert config.history.of(KEY).total == 1
    publish(world, b"3")
    assert served(config) == (b"3", 2)


def test_versions_go_on_after_delete_restart_and_tidying() -> None:
    world, config = started()
    publish(world, b"1")
    config.files.delete(KEY, CALLER)
    world.settle()
    assert config.reading.snapshot(KEY).version == 2
    world.restart()
    assert world.registry.config.reading.snapshot(KEY).version == 2
    world.pass_time(10)
    while world.registry.config.tidy(world.clock.wall_ms()):
        world.settle()
    world.restart()
    publish(world, b"2")
    assert served(world.registry.config) == (b"2", 3)


def test_the_name_of_a_release_brings_it_back() -> None:
    world, config = started()
    publish(world, b"1", name="one")
    publish(world, b"2", name="two")
    config.releases.publish(KEY, CALLER, name="one")
    world.settle()
    assert served(config) == (b"1", 3)
    with pytest.raises(Conflict):
        publish(world, b"4", name="one")
    publish(world, b"2", name="two")
    file = config.reading.snapshot(KEY).file
    assert file is not None
    assert (served(config), config.reading.content(file.draft), file.unreleased) == ((b"2", 4), b"2", False)
    assert [(r.name, r.number, r.version) for r in config.reading.releases(KEY)] == [("two", 2, 4), ("one", 1, 3)]
    assert config.reading.numbered(KEY, 1).name == "one"


def test_rollback_leaves_the_draft() -> None:
    world, config = started()
    publish(world, b"1", name="one")
    publish(world, b"2")
    config.releases.rollback(KEY, "one", CALLER)
    world.settle()
    file = config.reading.snapshot(KEY).file
    assert file is not None
    assert (served(config), config.reading.content(file.draft), file.unreleased) == ((b"1", 3), b"2", True)
    with pytest.raises(NotFound):
        config.releases.rollback(KEY, "none", CALLER)


def test_a_draft_that_makes_room_is_kept_in_the_history() -> None:
    world, config = started()
    publish(world, b"1")
    config.files.update(KEY, Change(b"precious"), CALLER)
    publish(world, b"2")
    kept = [e for e in config.history.of(KEY).entries if e.operation == DRAFT]
    assert [config.history.content(e) for e in kept] == [b"precious"]


@pytest.mark.parametrize(
    ("expected", "fits"),
    [
        (Expected(md5="c4ca4238a0b923820dcc509a6f75849b"), True),
        (Expected(md5="x"), False),
        (Expected(md5="c81e728d9d4c2f636f067f89cc14862c", of="draft"), True),
        (Expected(md5="c4ca4238a0b923820dcc509a6f75849b", of="draft"), False),
        (Expected(version=1), True),
        (Expected(version=2), False),
        (Expected(revision=0), False),
        (Expected(md5="x", of="gray:beta"), True),
        (Expected(md5="x", of="gray:beta", absent_fits=False), False),
    ],
)
def test_compare_and_set(expected: Expected, fits: bool) -> None:
    world, config = started()
    publish(world, b"1")
    config.files.update(KEY, Change(b"2"), CALLER)
    world.settle()
    if fits:
        publish(world, b"3", expected=expected)
    else:
        with pytest.raises(Conflict):
            publish(world, b"3", expected=expected)
    assert served(config) == ((b"3", 2) if fits else (b"1", 1))


def test_of_two_that_expect_the_same_one_wins_although_nothing_is_durable_yet() -> None:
    world, config = started()
    publish(world, b"1")
    file = config.reading.snapshot(KEY).file
    assert file is not None
    with world.slow_store():
        config.releases.publish(KEY, CALLER, change=Change(b"2"), expected=Expected(revision=file.revision))
        for expected in (Expected(revision=file.revision), Expected(md5=file.draft.md5)):
            with pytest.raises(Conflict):
                config.releases.publish(KEY, CALLER, change=Change(b"3"), expected=expected)
    assert served(config) == (b"2", 2)


# ---------------------------------------------------------------------- gray releases


def gray(world: World, content: bytes | None, slot: str = "beta", rule: GrayRule = BETA, **how: Any) -> Any:
    change = None if content is None else Change(content)
    done = world.registry.config.releases.publish_gray(KEY, CALLER, slot, rule, change=change, **how)
    world.settle()
    return done


def test_a_gray_release_is_for_some_and_the_draft_stays() -> None:
    world, config = started()
    publish(world, b"all")
    gray(world, b"some")
    assert (served(config), served(config, TESTER)) == ((b"all", 1), (b"some", 2))
    file = config.reading.snapshot(KEY).file
    assert file is not None
    assert (config.reading.content(file.draft), file.unreleased) == (b"all", False)
    with pytest.raises(Conflict):
        publish(world, b"3", alone=True)
    with pytest.raises(Conflict):
        gray(world, b"3", "other", alone=True)


def test_a_stopped_gray_release_gives_its_clients_a_later_version_of_what_they_had() -> None:
    world, config = started()
    publish(world, b"all")
    gray(world, b"some")
    config.releases.stop(KEY, "beta", CALLER)
    world.settle()
    content, version = served(config, TESTER) or (b"", 0)
    assert content == b"all"
    assert version > 2
    with pytest.raises(NotFound):
        config.releases.stop(KEY, "beta", CALLER)


def test_a_stopped_gray_release_without_another_leaves_nothing_under_a_later_number() -> None:
    world, config = started()
    gray(world, b"some")
    config.releases.stop(KEY, "beta", CALLER)
    world.settle()
    assert served(config, TESTER) is None
    assert config.reading.is_stale(KEY, TESTER, version=1)
    assert not config.reading.is_stale(KEY, TESTER, version=0)


def test_a_promoted_gray_release_is_for_all() -> None:
    world, config = started()
    gray(world, b"some", name="g1")
    assert served(config) is None
    config.releases.promote(KEY, "beta", CALLER)
    world.settle()
    assert served(config) == (b"some", 2) == served(config, TESTER)
    snapshot = config.reading.snapshot(KEY)
    assert snapshot.grays == ()
    assert [e.operation for e in config.history.of(KEY).entries] == ["promote", "gray"]


def test_the_highest_priority_wins_and_of_equal_ones_the_newest() -> None:
    world, config = started()
    everybody = GrayRule((Match("zone", IN, ("a", "b")),))
    asker = Asker({"zone": "a"}, "10.0.0.9")
    gray(world, b"high", "high", priority=5)
    gray(world, b"low", "low", everybody)
    assert served(config, asker) == (b"high", 1)
    gray(world, b"newer", "newer", everybody, priority=5)
    assert served(config, asker) == (b"newer", 3)
    assert served(config, Asker({"zone": "b"})) == (b"newer", 3)
    config.releases.stop(KEY, "newer", CALLER)
    world.settle()
    assert (served(config, asker) or ())[0] == b"high"


def test_a_rule_that_cannot_be_judged_is_refused() -> None:
    world, config = started()
    for rule in (GrayRule(), GrayRule((Match("a", "range", ("x", "1")),)), GrayRule((Match("a", "regex", (".",)),))):
        with pytest.raises(Invalid):
            gray(world, b"x", rule=rule)
    assert config.reading.all() == []


# ---------------------------------------------------------------------- the end of releases, history


def test_a_withdrawn_release_is_seen_by_nobody() -> None:
    world, config = started()
    publish(world, b"1", name="one")
    gray(world, b"2", name="two")
    config.releases.withdraw(KEY, "one", CALLER)
    world.settle()
    assert served(config) is None
    assert config.reading.is_stale(KEY, version=1)
    assert not config.reading.is_stale(KEY, version=0)
    config.releases.withdraw_all(KEY, CALLER)
    world.settle()
    assert (served(config, TESTER), config.reading.releases(KEY)) == (None, [])
    assert config.reading.snapshot(KEY).file is not None
    with pytest.raises(NotFound):
        config.releases.withdraw(KEY, "one", CALLER)


def test_history_says_who_did_what_and_outlives_the_file() -> None:
    world, config = started()
    publish(world, b"1")
    publish(world, b"2")
    config.files.delete(KEY, CALLER)
    world.settle()
    world.restart()
    history = world.registry.config.history
    page = history.of(KEY, limit=2)
    assert page.total == 3
    assert [(e.operation, history.content(e), e.first) for e in page.entries] == [
        ("delete", b"2", False),
        ("publish", b"2", False),
    ]
    assert [e.first for e in history.of(KEY, offset=2).entries] == [True]
    newest = page.entries[0]
    assert (newest.stamp.address, newest.stamp.via) == (CALLER.address, CALLER.protocol)
    assert history.previous(newest.number) == page.entries[1]
    assert history.find("default").total == history.find(name="app.yaml").total == 3
    assert history.find("other").total == 0
    with pytest.raises(NotFound):
        history.entry(1)


def test_what_is_said_of_a_release_stays_with_it_and_its_history() -> None:
    world, config = started()
    config.files.create(KEY, Change(b"1", comment="of the file"), CALLER)
    config.releases.publish(KEY, CALLER, name="one", comment="of the release")
    config.releases.publish_gray(KEY, CALLER, "gray", GrayRule(ips=("10.0.0.1",)), name="two", comment="gray")
    config.releases.stop(KEY, "gray", CALLER)
    config.releases.rollback(KEY, "one", CALLER)
    config.releases.withdraw(KEY, "one", CALLER)
    world.settle()
    assert [(e.operation, e.comment) for e in config.history.newest_first() if e is not None] == [
        ("withdraw", "of the release"),
        ("rollback", "of the release"),
        ("stop", "gray"),
        ("gray", "gray"),
        ("publish", "of the release"),
        ("create", ""),
    ]
    assert {r.comment for r in config.reading.releases(KEY)} == {"gray"}
    for namespace, parts, found in (("default", ("g", "app"), 6), ("other", (), 0), ("default", ("none",), 0)):
        assert len([e for e in config.history.newest_first(namespace, parts) if e is not None]) == found
    assert (
        [g.key for g in config.reading.walk_groups()]
        == [g.key for g in config.reading.walk_groups("default")]
        == [GROUP]
    )
    assert list(config.reading.walk_groups("other")) == []


# ---------------------------------------------------------------------- ports


class Yaml:
    """A parser that finds fault with one word."""

    def defect(self, format: str, content: bytes) -> Defect | None:
        return Defect(2, 3, "bad word") if format == "yaml" and b"bad" in content else None


class Xor:
    """A cipher that anybody could break."""

    algorithms = ("XOR",)

    def __init__(self) -> None:
        self.keys = 0

    def seal(self, algorithm: str, content: bytes, data_key: bytes) -> Sealed:
        self.keys += not data_key
        return Sealed(bytes(b ^ 7 for b in content), data_key or f"sealed {self.keys}".encode())

    def open(self, algorithm: str, content: bytes, data_key: bytes) -> bytes:
        return bytes(b ^ 7 for b in content)

    def key(self, data_key: bytes) -> bytes:
        return b"7"

    def wrapped(self, data_key: bytes, public_key: bytes) -> bytes:
        return b"7"


def test_a_broken_content_is_refused_where_that_is_asked_for() -> None:
    world, config = started()
    config.use(formats=Yaml())
    with pytest.raises(Broken) as told:
        config.releases.publish(KEY, CALLER, change=Change(b"bad", "yaml"), door=Door(validate=True))
    assert (told.value.defect.line, told.value.defect.column) == (2, 3)
    config.files.put(KEY, Change(b"bad", "yaml"), CALLER)
    with pytest.raises(Broken):
        config.releases.publish(KEY, CALLER, door=Door(validate=True))
    config.releases.publish(KEY, CALLER)
    world.settle()
    assert served(config) == (b"bad", 1)


def test_limits_are_judged_at_the_door() -> None:
    world, config = started()
    with pytest.raises(TooLong):
        publish(world, b"12345", door=Door(content_bytes=4))
    publish(world, "äöüß".encode(), door=Door(content_chars=4))
    with pytest.raises(TooLong):
        publish(world, "äöüß!".encode(), door=Door(content_chars=4))
    publish(world, b"x" * 100)
    assert served(config) == (b"x" * 100, 2)


def test_what_is_stored_of_a_sealed_file_is_sealed() -> None:
    world, config = started()
    cipher = Xor()
    config.use(sealing=cipher)
    config.releases.publish(KEY, CALLER, change=Change(b"secret", algorithm="XOR"))
    world.settle()
    assert b"secret" not in repr(list(world.store.rows.values())).encode()
    seen = config.reading.resolve(KEY)
    assert seen is not None
    assert config.reading.plain(seen.release.text) == b"secret"
    assert seen.release.text.data_key == b"sealed 1"
    publish(world, b"secret")
    assert (config.reading.resolve(KEY) or seen).md5 == seen.md5, "the same content under the same key"
    publish(world, b"other")
    assert cipher.keys == 1
    config.files.update(KEY, Change(algorithm=""), CALLER)
    world.settle()
    file = config.reading.snapshot(KEY).file
    assert file is not None
    assert config.reading.content(file.draft) == b"other"


def test_a_namespace_with_groups_of_files_is_not_deleted() -> None:
    world, config = started()
    with world.slow_store():
        config.groups.create(ConfigGroup(GROUP), CALLER)
        with pytest.raises(Conflict):
            world.registry.delete_namespace("default", CALLER)
        world.settle()
    world.settle()
    with pytest.raises(Conflict):
        world.registry.delete_namespace("default", CALLER)
    config.groups.delete(GROUP, CALLER)
    assert world.registry.delete_namespace("default", CALLER) is not None
    world.settle()
    assert world.registry.namespaces() == []


# ---------------------------------------------------------------------- batches, templates, transfer


def test_several_writes_are_one_commit() -> None:
    world, config = started()
    keys = [FileKey("default", "g", name) for name in "abc"]
    with world.registry.transaction():
        for key in keys:
            config.releases.publish(key, CALLER, change=Change(b"x"))
    world.settle()
    assert len(world.store.appends) == 1
    assert [served(config, key=key) for key in keys] == [(b"x", 1)] * 3


def test_templates() -> None:
    world, config = started()
    config.templates.put("t", b"a", CALLER, fresh=True)
    with pytest.raises(Conflict):
        config.templates.put("t", b"b", CALLER, fresh=True)
    config.templates.put("t", b"b", CALLER, format="yaml")
    world.settle()
    world.restart()
    config = world.registry.config
    assert [(t.name, t.content, t.format) for t in config.templates.all()] == [("t", b"b", "yaml")]
    assert config.templates.delete("t", CALLER) is not None
    assert config.templates.delete("t", CALLER) is None


@pytest.mark.parametrize(
    ("policy", "created", "overwritten", "skipped", "failed", "old"),
    [
        (ABORT, "a", "", "c", "app.yaml", b"old"),
        (SKIP, "ac", "", "app.yaml", "", b"old"),
        (OVERWRITE, "ac", "app.yaml", "", "", b"new"),
    ],
)
def test_import(policy: str, created: str, overwritten: str, skipped: str, failed: str, old: bytes) -> None:
    world, config = started()
    publish(world, b"old")
    before = len(world.store.appends)
    files = [Carried(FileKey("default", "g", name), b"new") for name in ("a", "app.yaml", "c")]
    report = config.transfer.bring_in(files, policy, CALLER)
    world.settle()
    assert len(world.store.appends) == before + 1
    assert "".join(k.name for k in report.created) == created
    assert "".join(k.name for k in report.overwritten) == overwritten
    assert "".join(k.name for k in report.skipped) == skipped
    assert "".join(f.key.name for f in report.failed) == failed
    assert (served(config) or ())[0] == old


def test_a_file_that_is_refused_does_not_keep_the_others_out() -> None:
    world, config = started()
    files = [Carried(FileKey("default", "g", name), name.encode()) for name in ("a", "too long", "c")]
    report = config.transfer.bring_in(files, SKIP, CALLER, door=Door(content_bytes=3))
    world.settle()
    assert [f.key.name for f in report.failed] == ["too long"]
    assert [s.key.name for s in config.reading.files(GROUP)] == ["a", "c"]
    with pytest.raises(Invalid):
        config.transfer.bring_in([], "other", CALLER)


def test_what_is_exported_can_be_imported() -> None:
    world, config = started()
    config.releases.publish(KEY, CALLER, change=Change(b"a: 1", "yaml", "c", {"t": "1"}, {"x": {"y": 1}}))
    config.files.put(FileKey("default", "h", "draft"), Change(b"d"), CALLER)
    world.settle()
    taken = config.transfer.export(config.transfer.select("default"))
    assert [(c.key.name, c.content) for c in taken] == [("app.yaml", b"a: 1"), ("draft", b"d")]
    other, there = started()
    there.transfer.bring_in(taken, ABORT, CALLER)
    other.settle()
    assert there.transfer.export(c.key for c in taken) == taken
    assert config.transfer.select("default", ["h"], ["app.yaml"]) == []
