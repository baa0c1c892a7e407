"""Who waits for files, who holds which version: nothing is missed, nothing is told in vain, and slow ones are no burden."""

from __future__ import annotations

import pytest
from world import CALLER, World

from polaris_bridge.core.config.model import ANYBODY, Asker, Change, FileKey, GrayRule, GroupKey
from polaris_bridge.core.config.watching import FileScope, Has, Listening, Pattern, glob

KEY = FileKey("default", "g", "a")
OTHER = FileKey("default", "g", "b")
FAR = FileKey("far", "h", "a")


def publish(world: World, key: FileKey = KEY, content: bytes = b"1") -> None:
    world.registry.config.releases.publish(key, CALLER, change=Change(content))
    world.settle()


class Ear:
    """Listens to files, and keeps what it was told."""

    def __init__(self, world: World, has: dict[FileKey, Has], asker: Asker = ANYBODY) -> None:
        self.told: list[list[FileKey]] = []
        self.got = world.registry.config.listen(has, self.told.append, asker)


def test_who_has_something_old_is_answered_at_once() -> None:
    world = World()
    publish(world)
    publish(world, content=b"2")
    now = "c81e728d9d4c2f636f067f89cc14862c"
    for has, changed in (
        (Has(md5="x"), True),
        (Has(md5=""), True),
        (Has(md5=now), False),
        (Has(version=1), True),
        (Has(version=2), False),
        (Has(version=3), False),
    ):
        assert (Ear(world, {KEY: has}).got == [KEY]) == changed
    assert Ear(world, {FAR: Has(md5="x"), OTHER: Has(md5=""), KEY: Has(md5="")}).got == [FAR, KEY]


def test_told_once_after_the_commit_with_what_changed() -> None:
    world = World()
    ear = Ear(world, {KEY: Has(md5=""), OTHER: Has(version=0)})
    with world.slow_store():
        publish(world)
        assert ear.told == []
    assert ear.told == [[KEY]]
    assert isinstance(ear.got, Listening)
    assert ear.got.over
    publish(world, OTHER)
    assert ear.told == [[KEY]]
    assert len(world.registry.config.watches) == 0


def test_a_standing_watcher_fires_until_it_is_cancelled() -> None:
    world = World()
    hub = world.registry.config.watches
    fired: list[int] = []
    watcher = hub.standing_watcher([KEY, OTHER], lambda: fired.append(1))
    watcher.arm(hub.newest)
    publish(world)
    publish(world, OTHER)
    publish(world, FAR)
    assert len(fired) == 1, "once, until it was asked what changed"
    assert watcher.take() == {KEY, OTHER}
    publish(world, content=b"2")
    assert (len(fired), watcher.take(), watcher.take()) == (2, {KEY}, set())
    watcher.cancel()
    publish(world, content=b"3")
    assert (len(fired), len(hub)) == (2, 0)
    late = hub.standing_watcher([KEY], lambda: fired.append(2))
    late.arm(0)
    world.settle()
    assert fired[2:] == [2], "what changed before it was armed"
    hub.wake_all()
    late.cancel()
    assert len(hub) == 0


def test_files_of_one_commit_are_told_together() -> None:
    world = World()
    ear = Ear(world, {KEY: Has(md5=""), OTHER: Has(md5="")})
    with world.registry.transaction():
        for key in (OTHER, KEY):
            world.registry.config.releases.publish(key, CALLER, change=Change(b"x"))
    world.settle()
    assert ear.told == [[KEY, OTHER]]


def test_the_same_content_again_tells_only_those_who_count_versions() -> None:
    world = World()
    publish(world)
    by_md5 = Ear(world, {KEY: Has(md5="c4ca4238a0b923820dcc509a6f75849b")})
    by_version = Ear(world, {KEY: Has(version=1)})
    publish(world)
    assert (by_md5.told, by_version.told) == ([], [[KEY]])
    publish(world, content=b"2")
    world.clock.move(0.1)
    world.settle()
    assert by_md5.told == [[KEY]]


def test_a_gray_release_tells_those_it_is_for() -> None:
    world = World()
    publish(world)
    md5 = "c4ca4238a0b923820dcc509a6f75849b"
    anybody, tester = Ear(world, {KEY: Has(md5=md5)}), Ear(world, {KEY: Has(md5=md5)}, Asker(ip="9"))
    releases = world.registry.config.releases
    releases.publish_gray(KEY, CALLER, "beta", GrayRule(ips=("9",)), change=Change(b"2"))
    world.settle()
    assert (anybody.told, tester.told) == ([], [[KEY]])
    again = Ear(world, {KEY: Has(version=2)}, Asker(ip="9"))
    releases.stop(KEY, "beta", CALLER)
    world.settle()
    assert again.told == [[KEY]]


def test_a_deleted_file_is_told_by_md5_and_by_version() -> None:
    world = World()
    publish(world)
    ears = [Ear(world, {KEY: Has(md5="c4ca4238a0b923820dcc509a6f75849b")}), Ear(world, {KEY: Has(version=1)})]
    world.registry.config.files.delete(KEY, CALLER)
    world.settle()
    assert [ear.told for ear in ears] == [[[KEY]], [[KEY]]]
    assert isinstance(Ear(world, {KEY: Has(version=2)}).got, Listening)
    assert isinstance(Ear(world, {KEY: Has(version=0)}).got, Listening)


def test_a_refused_write_wakes_nobody() -> None:
    world = World()
    ear = Ear(world, {KEY: Has(md5="")})
    world.store.hold = True
    world.registry.config.releases.publish(KEY, CALLER, change=Change(b"1"))
    world.fail_all()
    assert ear.told == []


def test_who_is_cancelled_hears_nothing_and_at_shutdown_everybody_does() -> None:
    world = World()
    cancelled, waiting = Ear(world, {KEY: Has(md5="")}), Ear(world, {KEY: Has(md5="")})
    assert isinstance(cancelled.got, Listening)
    cancelled.got.cancel()
    world.registry.release_watchers()
    assert (cancelled.told, waiting.told) == ([], [[]])
    publish(world)
    assert (cancelled.told, waiting.told) == ([], [[]])


@pytest.mark.parametrize(
    ("scope", "kind", "changes"),
    [
        (KEY, "file", [KEY]),
        (GroupKey("default", "g"), "group", [KEY, OTHER]),
        ("default", "namespace", [KEY, OTHER]),
        (Pattern("", "*", "a"), "pattern", [KEY, FAR]),
        (Pattern("far"), "pattern", [FAR]),
        (None, "all", [KEY, OTHER, FAR]),
    ],
)
def test_scopes(scope: FileScope, kind: str, changes: list[FileKey]) -> None:
    world = World()
    hub = world.registry.config.watches
    fired: list[list[FileKey]] = []
    watcher = hub.file_watcher((scope,), lambda: fired.append(sorted(watcher.touched)), 0)
    for key in (KEY, OTHER, FAR):
        fired.clear()
        seen = hub.revision(scope)
        watcher.arm(seen)
        assert hub.counts() == {("config", kind): 1}
        publish(world, key)
        assert fired == ([[key]] if key in changes else [])
        assert (hub.revision(scope) > seen) == (key in changes)
        late = hub.file_watcher((scope,), lambda: fired.append([]), 0)
        late.arm(seen)
        world.settle()
        assert fired == ([[key], []] if key in changes else []), "armed with an old revision"
        late.cancel()
    watcher.cancel()
    assert (len(hub), hub.watched(scope)) == (0, False)


def test_many_changes_wake_a_watcher_at_its_own_pace() -> None:
    world = World()
    hub = world.registry.config.watches
    fired: list[int] = []

    def fire() -> None:
        fired.append(hub.newest)
        watcher.arm(hub.newest)

    watcher = hub.file_watcher((KEY, OTHER), fire)
    watcher.arm(hub.newest)
    for number in range(10):
        publish(world, content=str(number).encode())
    assert len(fired) == 1
    world.clock.move(0.06)
    world.settle()
    assert fired[1:] == [hub.newest]


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("a", "a", True), ("a", "ab", False), ("", "", True), ("*", "", True), ("*", "x/y", True),
        ("a*", "a", True), ("*a", "ba", True), ("a*a", "a", False), ("a*a", "aa", True), ("a*b*c", "a-b-c", True),
        ("a*bc*c", "abc", False), ("*.yaml", "x.yaml", True), ("a?c", "abc", False), ("[a]", "[a]", True),
        ("**", "anything", True), ("*a*a*a*a*b", "a" * 5000, False),
    ],
)  # fmt: skip
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert glob(pattern, text) == fits


# ---------------------------------------------------------------------- who holds which version


def test_who_holds_what_and_who_is_late() -> None:
    world = World()
    publish(world)
    holders = world.registry.config.holders
    md5 = "c4ca4238a0b923820dcc509a6f75849b"
    holders.report("one", [(KEY, md5), (OTHER, "")], via="x", asker=Asker(ip="1"), lasting=True)
    holders.report("two", [(KEY, 1)], via="y", asker=Asker(ip="2"))
    assert [(h.client, h.has, h.ip, h.via) for h in holders.of(KEY)] == [("one", md5, "1", "x"), ("two", 1, "2", "y")]
    assert holders.late(KEY) == []
    publish(world, content=b"2")
    assert [h.client for h in holders.late(KEY)] == ["one", "two"]
    holders.report("two", [(KEY, 2)], via="y")
    assert [h.client for h in holders.late(KEY)] == ["one"]
    assert [(h.key, h.late) for h in holders.at("1")] == [(KEY, True), (OTHER, False)]
    holders.dropped("one", [KEY])
    assert [h.key for h in holders.by("one")] == [OTHER]
    world.clock.move(10)
    assert holders.forget(world.clock.wall_ms()) == 1
    assert holders.of(KEY) == []
    holders.gone("one")
    assert (len(holders), holders.by("one")) == (0, [])


def test_a_whole_report_replaces_and_the_longest_silent_is_forgotten_first() -> None:
    world = World()
    holders = world.registry.config.holders
    holders.report("a", [(KEY, ""), (OTHER, "")], via="x")
    holders.report("a", [(OTHER, "")], via="x", whole=True)
    assert [h.key for h in holders.by("a")] == [OTHER]
    holders._most = 2
    for client in ("b", "a", "c"):
        holders.report(client, [(KEY, "")], via="x")
    assert [h.client for h in holders.of(KEY)] == ["a", "c"]


def test_what_is_said_of_thousands_of_files_is_kept_as_it_is() -> None:
    world = World()
    publish(world)
    holders = world.registry.config.holders
    md5 = "c4ca4238a0b923820dcc509a6f75849b"
    third = FileKey("default", "g", "third")
    holders.report("a", [(KEY, "old"), (third, "3")], via="x", asker=Asker(ip="1"))
    holders.report_piece("a", (KEY, OTHER), (md5, ""), via="x", asker=Asker(ip="1"))
    assert {h.key: h.has for h in holders.by("a")} == {KEY: md5, OTHER: "", third: "3"}
    assert [(h.has, h.late) for h in holders.of(KEY)] == [(md5, False)]
    publish(world, content=b"2")
    assert [h.client for h in holders.late(KEY)] == ["a"]
    world.clock.move(10)
    now_ms = world.clock.wall_ms()
    other = FileKey("default", "g", "of another poll")
    holders.report_piece("a", (other, OTHER), ("9", "8"), via="x", asker=Asker(ip="1"))
    assert {h.key: h.has for h in holders.by("a")} == {KEY: md5, OTHER: "8", third: "3", other: "9"}
    holders.report_piece("a", (other, KEY), ("9", "7"), via="x", asker=Asker(ip="1"))
    assert {h.key: h.has for h in holders.by("a")} == {KEY: "7", third: "3", other: "9"}, (
        "both earlier polls came again"
    )
    holders.report("a", [(KEY, "6")], via="x", asker=Asker(ip="1"))
    assert [h.has for h in holders.of(KEY)] == ["6"]
    assert holders.forget(now_ms) == 0
    world.clock.move(10)
    holders.report("a", [(third, "3")], via="x", asker=Asker(ip="1"))
    assert holders.forget(now_ms + 1) == 0
    assert {h.key for h in holders.by("a")} == {KEY, third}, "the poll was not heard of again"
    holders.report_piece("a", (OTHER, other), ("", ""), via="x", asker=Asker(ip="1"))
    holders.dropped("a", [OTHER])
    assert {h.key for h in holders.by("a")} == {KEY, third, other}
    for n in range(40):
        holders.report_piece("b", (FileKey("default", "g", str(n)),), ("",), via="x")
    assert [h.key.name for h in holders.by("b")] == [str(n) for n in range(24, 40)]
    holders.report_piece("b", (), (), via="x")
    assert len(holders.by("b")) == 16


def test_a_client_cannot_be_said_to_hold_everything_there_could_be() -> None:
    world = World()
    holders = world.registry.config.holders
    holders._most_each = 3
    holders.report("a", [(FileKey("default", "g", str(n)), "") for n in range(5)], via="x")
    assert [h.key.name for h in holders.by("a")] == ["2", "3", "4"]
