"""The configuration centre as a model: any order of commands, answers, refusals and restarts beside a naive oracle."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from world import CALLER, Fate, World

from polaris_bridge.core.config.model import EXACT, IN, Asker, Change, Done, FileKey, GrayRule, Match
from polaris_bridge.core.config.tidying import CleanHistory
from polaris_bridge.core.config.watching import Has, Listening, Pattern
from polaris_bridge.core.errors import NotFound

KEYS = [FileKey("default", "g", "a.yaml"), FileKey("default", "g", "b/c"), FileKey("two", "h", "a.yaml")]
ASKERS = [Asker(), Asker(ip="1"), Asker({"env": "b"}, "2"), Asker({"env": "b"}, "1")]
RULES: list[tuple[GrayRule, Callable[[Asker], bool]]] = [
    (GrayRule(ips=("1", "9")), lambda a: a.ip == "1"),
    (GrayRule((Match("env", EXACT, ("b",)),)), lambda a: a.labels.get("env") == "b"),
    (GrayRule((Match("env", IN, ("b", "c")),), ("1",)), lambda a: a.labels.get("env") == "b" and a.ip == "1"),
]
DAY_MS = 86_400_000

keys = st.sampled_from(KEYS)
contents = st.sampled_from([b"", b"a: 1\n", b"a: 2\r\n", b"\xff\x00", "ä".encode()])
slots = st.sampled_from(["s", "t"])


@dataclass
class Gray:
    slot: str
    rule: int
    priority: int
    name: str


@dataclass
class File:
    draft: bytes
    full: str | None = None
    grays: list[Gray] = field(default_factory=list)
    """The newest first among equal priorities."""
    releases: dict[str, bytes] = field(default_factory=dict)

    def seen(self, asker: Asker) -> str | None:
        """Name of the release that a client gets."""
        for gray in sorted(self.grays, key=lambda g: -g.priority):
            if RULES[gray.rule][1](asker):
                return gray.name
        return self.full


class Client:
    """Listens to one file by md5 or by version, and reads when it is told; lives through restarts of the server."""

    def __init__(self, key: FileKey, asker: Asker, by_version: bool, interval_s: float) -> None:
        self.key, self.asker, self.by_version, self.interval_s = key, asker, by_version, interval_s
        self.md5, self.version = "", 0
        self.world: World | None = None
        self.waits: Listening | None = None

    def connect(self, world: World) -> None:
        self.world = world
        self.listen()

    def listen(self) -> None:
        assert self.world is not None
        has = Has(version=self.version) if self.by_version else Has(md5=self.md5)
        for _ in range(3):
            config = self.world.registry.config
            got = config.listen({self.key: has}, self.told, self.asker, min_interval_s=self.interval_s)
            if isinstance(got, Listening):
                self.waits = got
                return
            assert got == [self.key]
            self.read()
            has = Has(version=self.version) if self.by_version else Has(md5=self.md5)
        raise AssertionError("what it just read is out of date at once")

    def told(self, changed: list[FileKey]) -> None:
        assert changed == [self.key]
        self.read()
        self.listen()

    def read(self) -> None:
        assert self.world is not None
        reading = self.world.registry.config.reading
        seen = reading.resolve(self.key, self.asker)
        self.md5 = seen.md5 if seen is not None else ""
        before = self.version
        self.version = seen.version if seen is not None else reading.snapshot(self.key).version
        assert self.version >= before, "a version went back"


class ConfigMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.newest: dict[FileKey, File] = {}
        self.durable: dict[FileKey, File] = {}
        self.versions: dict[FileKey, int] = {}
        """The highest ever published."""
        self.given: dict[tuple[FileKey, int], tuple[str, bytes]] = {}
        """What was ever seen under a version."""
        self.last_number = 0
        self.pending: list[tuple[Fate, Done]] = []
        self.acknowledged: set[int] = set()
        """History entries of commands that were acknowledged; until history is tidied up."""
        self.clients = [
            Client(key, asker, by_version, interval_s)
            for key in KEYS
            for asker in (ASKERS[0], ASKERS[3])
            for by_version in (False, True)
            for interval_s in (0.0, 0.05)
        ]
        self.pattern_seen: dict[FileKey, int | None] = {}
        self.connect()

    def connect(self) -> None:
        for client in self.clients:
            client.connect(self.world)
        hub = self.world.registry.config.watches
        scopes = (Pattern("", "*", "*.yaml"),)

        def fired() -> None:
            self.look()
            watcher.arm(hub.newest)

        watcher = hub.file_watcher(scopes, fired)
        self.look()
        watcher.arm(hub.newest)

    def look(self) -> None:
        """What a client of a pattern does when it wakes: read everything that is meant."""
        self.pattern_seen = self.meant()

    def meant(self) -> dict[FileKey, int | None]:
        snapshots = [self.world.registry.config.reading.snapshot(k) for k in KEYS if k.name.endswith(".yaml")]
        return {s.key: s.version if s.file is not None else None for s in snapshots}

    # ------------------------------------------------------------------ commands

    def done(self, done: Done) -> Done:
        self.pending.append((Fate(done.commit), done))
        self.world.settle()
        self.follow()
        return done

    @rule(key=keys, content=contents)
    def draft(self, key: FileKey, content: bytes) -> None:
        self.done(self.world.registry.config.files.put(key, Change(content), CALLER))
        self.newest.setdefault(key, File(content)).draft = content
        self.follow()

    @rule(key=keys, content=contents)
    def publish(self, key: FileKey, content: bytes) -> None:
        self.published(key, self.world.registry.config.releases.publish(key, CALLER, change=Change(content)), content)

    @rule(key=keys)
    def publish_draft(self, key: FileKey) -> None:
        releases = self.world.registry.config.releases
        if key not in self.newest:
            with pytest.raises(NotFound):
                releases.publish(key, CALLER)
            return
        self.published(key, releases.publish(key, CALLER), self.newest[key].draft)

    def published(self, key: FileKey, done: Done, content: bytes) -> None:
        assert done.release is not None
        file = self.newest.setdefault(key, File(content))
        file.draft = content
        file.releases[done.release.name] = content
        file.full = done.release.name
        self.done(done)

    @rule(key=keys, slot=slots, rule=st.integers(0, 2), priority=st.integers(0, 1), content=st.none() | contents)
    def gray(self, key: FileKey, slot: str, rule: int, priority: int, content: bytes | None) -> None:
        releases = self.world.registry.config.releases
        change = None if content is None else Change(content)
        if key not in self.newest and content is None:
            with pytest.raises(NotFound):
                releases.publish_gray(key, CALLER, slot, RULES[rule][0], priority=priority)
            return
        done = releases.publish_gray(key, CALLER, slot, RULES[rule][0], priority=priority, change=change)
        assert done.release is not None
        file = self.newest.setdefault(key, File(content or b""))
        file.releases[done.release.name] = file.draft if content is None else content
        others = [g for g in file.grays if g.slot != slot]
        file.grays = [Gray(slot, rule, priority, done.release.name), *others]
        self.done(done)

    @rule(key=keys, slot=slots, promote=st.booleans())
    def end_gray(self, key: FileKey, slot: str, promote: bool) -> None:
        releases = self.world.registry.config.releases
        file = self.newest.get(key)
        gray = next((g for g in file.grays if g.slot == slot), None) if file else None
        call = releases.promote if promote else releases.stop
        if file is None or gray is None:
            with pytest.raises(NotFound):
                call(key, slot, CALLER)
            return
        file.grays.remove(gray)
        if promote:
            file.full = gray.name
        self.done(call(key, slot, CALLER))

    @rule(key=keys, which=st.integers(0, 5), withdraw=st.booleans())
    def rollback_or_withdraw(self, key: FileKey, which: int, withdraw: bool) -> None:
        releases = self.world.registry.config.releases
        file = self.newest.get(key)
        if file is None or not file.releases:
            with pytest.raises(NotFound):
                releases.rollback(key, "x", CALLER)
            return
        name = list(file.releases)[which % len(file.releases)]
        if withdraw:
            del file.releases[name]
            file.full = None if file.full == name else file.full
            file.grays = [g for g in file.grays if g.name != name]
            self.done(releases.withdraw(key, name, CALLER))
        else:
            file.full = name
            self.done(releases.rollback(key, name, CALLER))

    @rule(key=keys)
    def delete(self, key: FileKey) -> None:
        done = self.world.registry.config.files.delete(key, CALLER)
        assert (done.before is None) == (key not in self.newest)
        self.newest.pop(key, None)
        self.done(done)

    @rule(content=contents, breaks=st.booleans())
    def batch(self, content: bytes, breaks: bool) -> None:
        config = self.world.registry.config
        dones: list[Done] = []
        try:
            with self.world.registry.transaction():
                dones += [config.releases.publish(key, CALLER, change=Change(content)) for key in KEYS[:2]]
                if breaks:
                    raise ValueError("half way")
        except ValueError:
            self.world.settle()
            return
        for done in dones:
            assert done.release is not None
            self.published(done.release.key, done, content)

    @rule()
    def tidy(self) -> None:
        if self.world.store.hold:
            return
        self.world.clock.now_ms += 31 * DAY_MS
        job = CleanHistory(30 * DAY_MS)
        while job.run(self.world.registry):
            self.world.settle()
        self.acknowledged.clear()
        config = self.world.registry.config
        assert config.history.find().total == 0
        for key, file in self.newest.items():  # nobody named a release here
            active = {file.full, *(g.name for g in file.grays)}
            file.releases = {n: c for n, c in file.releases.items() if n in active}
            kept = {r.name for r in config.reading.releases(key)}
            assert kept == set(file.releases)
        bodies = {row.key[1] for row in self.world.store.rows.values() if row.key[0] == "config-body" and row.value}
        used = {r.text.body for key in self.newest for r in config.reading.releases(key)}
        used |= {s.file.draft.body for s in map(config.reading.snapshot, self.newest) if s.file is not None}
        assert bodies == used
        self.follow()

    # ------------------------------------------------------------------ the store

    @precondition(lambda self: not self.world.store.hold)
    @rule()
    def hold(self) -> None:
        self.world.store.hold = True

    @precondition(lambda self: self.world.store.hold)
    @rule()
    def answer(self) -> None:
        self.world.answer_all()
        self.world.store.hold = False
        self.follow()

    @precondition(lambda self: self.world.store.asked)
    @rule()
    def refuse(self) -> None:
        self.world.fail_all()
        assert all(fate.result == "Unavailable" for fate, done in self.pending if done.entry)
        self.pending.clear()
        self.newest = deepcopy(self.durable)
        self.world.store.hold = False

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.pending.clear()
        self.newest = deepcopy(self.durable)
        self.connect()

    def follow(self) -> None:
        if self.world.store.hold:
            return
        self.durable = deepcopy(self.newest)
        for fate, done in self.pending:
            assert fate.result == "ok"
            if done.entry:
                self.acknowledged.add(done.entry)
        self.pending.clear()

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def readers_see_what_is_durable(self) -> None:
        reading = self.world.registry.config.reading
        assert {s.key for s in reading.all()} == set(self.durable)
        for key in KEYS:
            file = self.durable.get(key)
            snapshot = reading.snapshot(key)
            if file is None:
                assert snapshot.file is None
            else:
                assert snapshot.file is not None
                assert reading.content(snapshot.file.draft) == file.draft
                releases = {r.name: reading.content(r.text) for r in reading.releases(key)}
                assert releases == file.releases
            for asker in ASKERS:
                seen = reading.resolve(key, asker)
                name = file.seen(asker) if file is not None else None
                assert (seen.release.name if seen is not None else None) == name
                if seen is not None and file is not None and name is not None:
                    assert seen.content == file.releases[name]
                    assert seen.md5 == hashlib.md5(seen.content).hexdigest()
                    assert seen.version <= seen.release.version <= snapshot.version
                    known = self.given.setdefault((key, seen.version), (name, seen.content))
                    assert known == (name, seen.content), "a version was used twice"

    @invariant()
    def versions_never_go_back(self) -> None:
        reading = self.world.registry.config.reading
        for key in KEYS:
            version = reading.snapshot(key).version
            assert version >= self.versions.get(key, 0)
            self.versions[key] = version

    @invariant()
    def history_has_every_acknowledged_command(self) -> None:
        history = self.world.registry.config.history
        entries = history.find(limit=10_000).entries
        assert self.acknowledged <= {entry.number for entry in entries}
        for entry in entries:
            assert hashlib.md5(history.content(entry)).hexdigest() == entry.text.md5

    @invariant()
    def every_watcher_ends_with_the_newest(self) -> None:
        self.world.clock.move(0.1)
        self.world.settle()
        reading = self.world.registry.config.reading
        for client in self.clients:
            assert client.waits is not None
            assert not client.waits.over
            seen = reading.resolve(client.key, client.asker)
            assert client.md5 == (seen.md5 if seen is not None else "")
            if client.by_version and seen is not None:
                assert client.version == seen.version
        assert self.pattern_seen == self.meant()
        hub = self.world.registry.config.watches
        assert len(hub) == len(self.clients) + 1


TestConfig = ConfigMachine.TestCase
TestConfig.settings = settings(max_examples=120, stateful_step_count=30, deadline=None)
