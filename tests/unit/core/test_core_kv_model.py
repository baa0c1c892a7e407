"""Keys, values and sessions as a model: any order of commands, losses, time, answers, refusals and restarts beside a naive
oracle, with readers that wait by index as Consul's clients do."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from world import CALLER, Fate, World

from polaris_bridge.core.batches import BatchTerms
from polaris_bridge.core.errors import NotFound
from polaris_bridge.core.kv.model import DELAYED, DELETE, HELD, RELEASE, STALE, KeySession, Outcome
from polaris_bridge.core.kv.watching import KeyScope, KeyWatcher, SessionScope
from polaris_bridge.core.terms import Terms

NS = "default"
KEYS = ["a", "a/b", "a/b/c", "b", "ä"]
SESSIONS = ["s1", "s2", "s3"]
TTL_S = 10
DELAY_S = 3
SCOPES = [KeyScope(NS, "a"), KeyScope(NS, "a/b/c"), KeyScope(NS, "a", True), KeyScope(NS, "", True), SessionScope(NS)]

keys = st.sampled_from(KEYS)
values = st.sampled_from([b"", b"1", b"\xff\x00"])
flag_values = st.sampled_from([0, 2**64 - 1])
session_ids = st.sampled_from(SESSIONS)


@dataclass
class Kept:
    value: bytes
    flags: int
    session: str = ""
    turns: int = 0


@dataclass
class Owner:
    ttl: bool
    delete: bool
    delays: bool
    heard: float
    """Seconds of the clock; minus infinity: what it depends on was lost."""


@dataclass
class State:
    entries: dict[str, Kept] = field(default_factory=dict)
    owners: dict[str, Owner] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)
    """Key -> when its delay began."""

    def lose(self, id: str, now: float) -> None:
        owner = self.owners.pop(id)
        for key, kept in list(self.entries.items()):
            if kept.session != id:
                continue
            if owner.delete:
                del self.entries[key]
            else:
                kept.session = ""
            if owner.delays:
                self.delays[key] = now


Seen = dict[str, tuple[bytes, int, str, int, int]]


class Reader:
    """Reads a scope, waits until the index is larger than what it has seen, and reads again; lives through restarts."""

    def __init__(self, scope: KeyScope | SessionScope) -> None:
        self.scope = scope
        self.index = 0
        self.seen: Seen = {}
        self.wakings = 0
        self.spurious = 0

    def connect(self, world: World) -> None:
        self.world = world
        self.watcher: KeyWatcher = world.registry.kv.watches.key_watcher((self.scope,), self.woken, 0.0)
        self.look()
        self.watcher.arm(world.registry.revision)

    def woken(self) -> None:
        since = self.world.registry.revision
        before = self.index
        self.look()
        self.wakings += 1
        self.spurious += self.index == before
        self.watcher.arm(since)

    def look(self) -> None:
        index, seen = self.read()
        assert index >= self.index, "an index went back"
        assert seen == self.seen or index > self.index, "another content under the same index"
        self.index, self.seen = index, seen

    def read(self) -> tuple[int, Seen]:
        kv = self.world.registry.kv
        if isinstance(self.scope, SessionScope):
            return kv.sessions.index, {s.id: (b"", 0, "", 0, s.revision) for s in kv.sessions.all(NS)}
        if self.scope.tree:
            entries = [kv.entries.get(NS, key) for key in kv.entries.below(NS, self.scope.key)]
        else:
            entries = [kv.entries.get(NS, self.scope.key)]
        found = [entry for entry in entries if entry is not None]
        index = max((entry.modify_index for entry in found), default=0)
        if self.scope.tree:
            index = max(index, kv.entries.deleted_index(NS, self.scope.key))
            assert index <= kv.entries.table_index(NS)
        elif not found:
            index = kv.entries.missing_index(NS, self.scope.key)
        return index, {e.key: (e.value, e.flags, e.session, e.lock_index, e.modify_index) for e in found}


class KvMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        patient = BatchTerms(drop_expired=False)
        self.world = World(Terms(batch=patient, deregistration=patient))
        self.newest = State()
        self.durable = State()
        self.pending: list[Fate] = []
        self.seen_indexes: dict[str, int] = {}
        self.readers = [Reader(scope) for scope in SCOPES]
        for reader in self.readers:
            reader.connect(self.world)

    @property
    def now(self) -> float:
        return self.world.clock.now_s

    # ------------------------------------------------------------------ entries

    def done(self, outcome: Outcome, expected: bool, why: str = "") -> None:
        assert (outcome.ok, outcome.why) == (expected, "" if expected else why)
        self.pending.append(Fate(outcome.commit))
        self.settle()

    def settle(self) -> None:
        self.world.settle()
        if self.world.store.hold:
            return
        self.durable = deepcopy(self.newest)
        assert all(fate.result == "ok" for fate in self.pending)
        self.pending.clear()

    def index(self, key: str) -> int:
        entry = self.world.registry.kv.entries.newest(NS, key)
        return entry.modify_index if entry is not None else 0

    @rule(key=keys, value=values, flags=flag_values, cas=st.sampled_from([None, 0, "own", 7]))
    def put(self, key: str, value: bytes, flags: int, cas: int | str | None) -> None:
        entries = self.world.registry.kv.entries
        known, index = self.newest.entries.get(key), self.index(key)
        assert (known is not None) == (index > 0)
        unchanged = known is not None and (known.value, known.flags) == (value, flags)
        if cas is None:
            outcome, fits = entries.put(NS, key, value, flags, CALLER), True
        else:
            asked = index if cas == "own" else int(cas)
            fits = asked == index
            outcome = entries.put_if(NS, key, value, flags, asked, CALLER)
        if fits:
            kept = self.newest.entries.setdefault(key, Kept(value, flags))
            kept.value, kept.flags = value, flags
        self.done(outcome, fits, STALE)
        assert not (unchanged and fits) or self.index(key) == index, "the same again is another entry"
        assert not (fits and not unchanged) or self.index(key) > index

    @rule(key=keys, value=values, session=session_ids)
    def acquire(self, key: str, value: bytes, session: str) -> None:
        entries = self.world.registry.kv.entries
        if session not in self.newest.owners:
            with pytest.raises(NotFound):
                entries.acquire(NS, key, value, 1, session, CALLER)
            return
        outcome = entries.acquire(NS, key, value, 1, session, CALLER)
        known = self.newest.entries.get(key)
        began = self.newest.delays.get(key)
        if began is not None and self.now < began + DELAY_S:
            self.done(outcome, False, DELAYED)
            return
        if began is None or self.now >= began + 2 * DELAY_S:
            assert outcome.why != DELAYED
        elif outcome.why == DELAYED:  # a refused write or a slow store may have prolonged it
            self.done(outcome, False, DELAYED)
            return
        if known is not None and known.session not in ("", session):
            self.done(outcome, False, HELD)
            return
        kept = self.newest.entries.setdefault(key, Kept(value, 1))
        kept.turns += kept.session != session
        kept.value, kept.flags, kept.session = value, 1, session
        self.done(outcome, True)

    @rule(key=keys, value=values, session=session_ids)
    def release(self, key: str, value: bytes, session: str) -> None:
        outcome = self.world.registry.kv.entries.release(NS, key, value, 2, session, CALLER)
        kept = self.newest.entries.get(key)
        if kept is None or kept.session != session:
            self.done(outcome, False, HELD)
            return
        kept.value, kept.flags, kept.session = value, 2, ""
        self.done(outcome, True)

    @rule(key=keys, cas=st.sampled_from([None, 0, "own", 7]))
    def delete(self, key: str, cas: int | str | None) -> None:
        entries, index = self.world.registry.kv.entries, self.index(key)
        if cas is None:
            outcome, fits = entries.delete(NS, key, CALLER), True
        else:
            asked = index if cas == "own" else int(cas)
            fits = asked == index or not index
            outcome = entries.delete_if(NS, key, asked, CALLER)
        if fits:
            self.newest.entries.pop(key, None)
        self.done(outcome, fits, STALE)

    @rule(prefix=st.sampled_from(["", "a", "a/", "x"]))
    def delete_below(self, prefix: str) -> None:
        outcome = self.world.registry.kv.entries.delete_below(NS, prefix, CALLER)
        self.newest.entries = {k: v for k, v in self.newest.entries.items() if not k.startswith(prefix)}
        self.done(outcome, True)

    @rule(keys=st.lists(keys, min_size=1, max_size=3), value=values, breaks=st.booleans())
    def transaction(self, keys: list[str], value: bytes, breaks: bool) -> None:
        entries = self.world.registry.kv.entries
        try:
            with self.world.registry.transaction() as commit:
                for key in keys:
                    entries.put(NS, key, value, 5, CALLER)
                entries.delete(NS, keys[0], CALLER)
                if breaks:
                    raise ValueError("half way")
        except ValueError:
            self.settle()
            return
        for key in keys:
            kept = self.newest.entries.setdefault(key, Kept(value, 5))
            kept.value, kept.flags = value, 5
        del self.newest.entries[keys[0]]
        self.pending.append(Fate(commit))
        self.settle()

    # ------------------------------------------------------------------ sessions and time

    @rule(id=session_ids, ttl=st.booleans(), delete=st.booleans(), delays=st.booleans())
    def create(self, id: str, ttl: bool, delete: bool, delays: bool) -> None:
        sessions = self.world.registry.kv.sessions
        if id in self.newest.owners or sessions.get(id) is not None:
            return
        session = KeySession(
            id,
            NS,
            "name",
            "Node-1",
            TTL_S * 1000 if ttl else 0,
            DELAY_S * 1000 if delays else 0,
            DELETE if delete else RELEASE,
            (f"needs-{id}", "all"),
        )
        made, commit = sessions.create(session, CALLER)
        assert made.revision > 0
        self.newest.owners[id] = Owner(ttl, delete, delays, self.now)
        self.pending.append(Fate(commit))
        self.settle()

    @rule(id=session_ids)
    def renew(self, id: str) -> None:
        session = self.world.registry.kv.sessions.renew(id)
        owner = self.newest.owners.get(id)
        assert (session is not None) == (owner is not None)
        for state in (self.newest, self.durable):
            if id in state.owners:
                state.owners[id].heard = self.now

    @rule(id=session_ids)
    def destroy(self, id: str) -> None:
        commit = self.world.registry.kv.sessions.destroy(id, CALLER)
        assert (commit is not None) == (id in self.newest.owners)
        if commit is not None:
            self.newest.lose(id, self.now)
            self.pending.append(Fate(commit))
            self.settle()

    @precondition(lambda self: not self.world.store.hold)
    @rule(id=st.sampled_from([*SESSIONS, ""]))
    def lost(self, id: str) -> None:
        self.world.registry.kv.sessions.lost(f"needs-{id}" if id else "all")
        for owner in list(self.newest.owners):
            if owner == id or not id:
                self.newest.lose(owner, self.now)
        self.settle()

    @rule(seconds=st.sampled_from([1, 4, 25]))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.world.clock.move(1)
            self.world.registry.tick()
            self.world.settle()
            for id, owner in list(self.newest.owners.items()):
                if self.world.registry.kv.sessions.newest(id) is None:
                    assert owner.ttl, "it has no time that could be over"
                    assert self.now >= owner.heard + TTL_S, "over too early"
                    self.newest.lose(id, self.now)
                elif not self.world.store.hold and owner.ttl:
                    assert self.now < owner.heard + 2 * TTL_S, "over too late"
        self.settle()

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
        self.settle()

    @precondition(lambda self: self.world.store.asked)
    @rule()
    def refuse(self) -> None:
        self.world.fail_all()
        self.world.store.hold = False
        self.world.answer_all()
        self.pending.clear()
        self.newest = deepcopy(self.durable)
        self.after_failure()

    def after_failure(self) -> None:
        """Sessions whose end failed are tried again within a tick; the oracle sees them go then."""
        for owner in self.newest.owners.values():
            owner.heard = max(owner.heard, self.now - 2 * TTL_S + 2)
        self.durable = deepcopy(self.newest)

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self.pending.clear()
        self.newest = deepcopy(self.durable)
        for owner in self.newest.owners.values():
            owner.heard = self.now
        self.newest.delays = {
            key: self.now for key, began in self.newest.delays.items() if self.now < began + 2 * DELAY_S
        }
        self.durable = deepcopy(self.newest)
        for reader in self.readers:
            reader.connect(self.world)

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def entries_are_those_of_the_oracle(self) -> None:
        entries = self.world.registry.kv.entries
        for state, get, below in (
            (self.newest, entries.newest, entries.newest_below),
            (self.durable, entries.get, entries.below),
        ):
            for prefix in ("", "a", "a/", "ä"):
                assert below(NS, prefix) == sorted(
                    (k for k in state.entries if k.startswith(prefix)), key=lambda k: k.encode()
                )
            for key in KEYS:
                entry, kept = get(NS, key), state.entries.get(key)
                assert (entry is None) == (kept is None)
                if entry is not None and kept is not None:
                    assert (entry.value, entry.flags, entry.session) == (kept.value, kept.flags, kept.session)
                    assert entry.lock_index == kept.turns
                    assert 0 < entry.create_index <= entry.modify_index

    @invariant()
    def sessions_are_those_of_the_oracle(self) -> None:
        sessions = self.world.registry.kv.sessions
        assert [s.id for s in sessions.all(NS)] == sorted(self.durable.owners)
        assert [s.id for s in sessions.of_node(NS, "nODE-1")] == sorted(self.durable.owners)
        assert sorted(s.id for s in sessions.depending("all")) == sorted(self.newest.owners)
        for id in self.newest.owners:
            held = {entry.key for entry in self.world.registry.kv.entries.held_by(id)}
            assert held == {key for key, kept in self.newest.entries.items() if kept.session == id}

    @invariant()
    def indexes_never_go_back(self) -> None:
        for key in KEYS:
            entry = self.world.registry.kv.entries.get(NS, key)
            index = entry.modify_index if entry is not None else self.world.registry.kv.entries.missing_index(NS, key)
            assert index >= self.seen_indexes.get(key, 0)
            self.seen_indexes[key] = index

    @invariant()
    def every_reader_ends_with_the_newest(self) -> None:
        self.world.settle()
        for reader in self.readers:
            assert reader.seen == reader.read()[1]
        assert len(self.world.registry.kv.watches) == len(self.readers)

    def teardown(self) -> None:
        for reader in self.readers:
            reader.watcher.cancel()
        hub = self.world.registry.kv.watches
        assert not len(hub)
        assert not hub._lengths


TestKv = KvMachine.TestCase
TestKv.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
