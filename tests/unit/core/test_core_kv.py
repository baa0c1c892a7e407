"""Keys, values and sessions, part by part: what the model in ``test_core_kv_model`` meets seldom or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import CALLER, LEASED, Fate, World, doc

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Conflict, Invalid, NotFound
from polaris_bridge.core.kv import sessions as session_module
from polaris_bridge.core.kv import watching
from polaris_bridge.core.kv.keeping import SortedKeys, merged
from polaris_bridge.core.kv.model import DELAYED, DELETE, HELD, STALE, Entry, KeySession
from polaris_bridge.core.kv.watching import KeyScope, KeyWatcher, Marks, SessionScope

NS = "default"


def put(world: World, key: str, value: bytes = b"v", flags: int = 0) -> Entry:
    outcome = world.registry.kv.entries.put(NS, key, value, flags, CALLER)
    world.settle()
    assert outcome.ok
    assert outcome.entry is not None
    return outcome.entry


def session(world: World, id: str = "s1", **fields: object) -> KeySession:
    made, _ = world.registry.kv.sessions.create(KeySession(id, NS, **fields), CALLER)  # type: ignore[arg-type]
    world.settle()
    return made


def acquire(world: World, key: str, id: str, **fields: bool) -> str:
    """Take a lock; "" or why not."""
    outcome = world.registry.kv.entries.acquire(NS, key, b"l", 0, id, CALLER, **fields)
    world.settle()
    return outcome.why


class Listener:
    """Counts how often it is woken."""

    def __init__(self, world: World, *scopes: KeyScope | SessionScope) -> None:
        self.world = world
        self.woken = 0
        self.watcher: KeyWatcher = world.registry.kv.watches.key_watcher(scopes, self._fire, 0.0)
        self.watcher.arm(world.registry.revision)

    def _fire(self) -> None:
        self.woken += 1
        self.watcher.arm(self.world.registry.revision)


# ---------------------------------------------------------------------- keys in order


@given(st.lists(st.text(max_size=4)), st.lists(st.text(max_size=4)), st.text(max_size=3))
def test_keys_are_found_by_prefix_in_byte_order(keys: list[str], gone: list[str], prefix: str) -> None:
    sorted_keys = SortedKeys()
    for key in keys:
        sorted_keys.add(key)
    for key in gone:
        sorted_keys.discard(key)
    left = set(keys) - set(gone)
    expected = sorted((k for k in left if k.startswith(prefix)), key=lambda k: k.encode("utf-8", "surrogatepass"))
    assert sorted_keys.below(prefix) == expected
    assert len(sorted_keys) == len(left)


def test_a_prefix_that_ends_in_the_highest_character_has_its_own_end() -> None:
    high = "\U0010ffff"
    keys = SortedKeys(["a", f"a{high}", f"a{high}b", "b", high, high * 2])
    assert keys.below(f"a{high}") == [f"a{high}", f"a{high}b"]
    assert keys.below(high) == [high, high * 2]
    assert keys.below("") == sorted(["a", f"a{high}", f"a{high}b", "b", high, high * 2])


def test_two_lists_of_keys_become_one() -> None:
    assert merged(["b", "d"], ["a", "d", "c"]) == ["a", "b", "c", "d"]


# ---------------------------------------------------------------------- entries


def test_an_entry_needs_a_name() -> None:
    world = World()
    with pytest.raises(Invalid):
        world.registry.kv.entries.put(NS, "", b"v", 0, CALLER)


def test_namespaces_have_keys_of_their_own_and_are_not_deleted_with_them() -> None:
    world = World()
    entries = world.registry.kv.entries
    entries.put("a", "b/c", b"1", 0, CALLER)
    entries.put("a/b", "c", b"2", 0, CALLER)
    world.settle()
    first, second = entries.get("a", "b/c"), entries.get("a/b", "c")
    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (b"1", b"2")
    assert entries.below("a", "") == ["b/c"]
    with pytest.raises(Conflict):
        world.registry.delete_namespace("a", CALLER)
    entries.delete("a", "b/c", CALLER)
    assert world.registry.delete_namespace("a", CALLER) is not None


def test_a_session_keeps_its_namespace() -> None:
    world = World()
    session(world)
    with pytest.raises(Conflict):
        world.registry.delete_namespace(NS, CALLER)


def test_a_very_long_key_is_kept_like_any_other() -> None:
    world = World()
    key = "k/" * 5000
    put(world, key)
    put(world, key + "x")
    world.restart()
    assert world.registry.kv.entries.below(NS, "k/") == [key, key + "x"]


def test_what_a_decision_was_made_on_is_durable_before_it_is_told() -> None:
    world = World()
    fates: list[Fate] = []
    entries = world.registry.kv.entries
    with world.slow_store():
        first = entries.put(NS, "k", b"v", 0, CALLER)
        same = entries.put(NS, "k", b"v", 0, CALLER)
        refused = entries.put_if(NS, "k", b"w", 0, 0, CALLER)
        fates = [Fate(outcome.commit) for outcome in (first, same, refused)]
        world.settle()
        assert (same.ok, refused.ok, refused.why) == (True, False, STALE)
        assert [fate.result for fate in fates] == [None, None, None]
    assert [fate.result for fate in fates] == ["ok", "ok", "ok"]
    assert entries.put(NS, "k", b"v", 0, CALLER).commit.done


def test_an_index_grows_even_when_something_else_is_published_in_between() -> None:
    """A lease that expires is published at once, under a number above that of a key that still waits for the store."""
    world = World()
    put(world, "x")
    world.register(doc(LEASED))
    entries = world.registry.kv.entries
    reader = Listener(world, KeyScope(NS, "y"))
    world.pass_time(88)
    world.store.hold = True
    entries.delete(NS, "x", CALLER)
    world.settle()
    entries.put(NS, "y", b"v", 0, CALLER)
    before = world.registry.revision
    world.pass_time(3)  # the lease is over
    assert world.registry.revision > before
    world.store.answer()  # x is gone, y still waits
    assert entries.get(NS, "x") is None
    missing, gone = entries.table_index(NS), entries.deleted_index(NS, "")
    world.answer_all()
    made = entries.get(NS, "y")
    assert made is not None
    assert made.modify_index > missing
    assert made.modify_index > gone
    assert reader.woken == 1


def test_deletions_are_forgotten_without_an_index_going_back() -> None:
    world = World()
    put(world, "a/1")
    put(world, "b")
    world.registry.kv.entries.delete(NS, "a/1", CALLER)
    world.settle()
    entries = world.registry.kv.entries
    deleted = entries.deleted_index(NS, "a/")
    assert deleted > entries.deleted_index(NS, "b")
    world.pass_time(watching.MARK_S - 5, step_s=2)
    assert entries.deleted_index(NS, "b") < deleted
    world.pass_time(10)
    assert entries.deleted_index(NS, "a/") == deleted
    assert len(entries._space(NS).marks) == 0


def test_deletions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_MARKS", 3)
    marks = Marks(1)
    for n in range(2, 8):
        marks.add(f"k{n}", n, 0.0)
    assert len(marks) == 3
    assert marks.below("k2") == 4
    assert marks.below("k6") == 6
    marks.add("k6", 9, 0.0)
    assert (len(marks), marks.below("k6"), marks.below("")) == (3, 9, 9)


def test_a_restart_begins_what_may_have_changed_unseen_above_everything() -> None:
    world = World()
    kept = put(world, "k")
    put(world, "gone")
    world.registry.kv.entries.delete(NS, "gone", CALLER)
    world.settle()
    before = world.registry.kv.entries.table_index(NS)
    world.restart()
    entries = world.registry.kv.entries
    found = entries.get(NS, "k")
    assert found is not None
    assert found.modify_index == kept.modify_index
    assert entries.table_index(NS) > before
    assert entries.deleted_index(NS, "gone") > before
    assert put(world, "gone").modify_index > entries.deleted_index(NS, "other")


# ---------------------------------------------------------------------- locks


def test_a_lock_is_taken_once_and_counts_its_owners() -> None:
    world = World()
    session(world, "s1")
    session(world, "s2")
    assert acquire(world, "k", "s1") == ""
    assert acquire(world, "k", "s1") == ""
    assert acquire(world, "k", "s2") == HELD
    entry = put(world, "k", b"other")
    assert (entry.session, entry.lock_index) == ("s1", 1)
    assert world.registry.kv.entries.release(NS, "k", b"", 0, "s2", CALLER).why == HELD
    assert world.registry.kv.entries.release(NS, "k", b"r", 9, "s1", CALLER).ok
    assert acquire(world, "k", "s2") == ""
    found = world.registry.kv.entries.newest(NS, "k")
    assert found is not None
    assert (found.session, found.lock_index) == ("s2", 2)


def test_a_lock_needs_a_session() -> None:
    world = World()
    entries = world.registry.kv.entries
    with pytest.raises(NotFound):
        entries.acquire(NS, "k", b"", 0, "nobody", CALLER)
    with pytest.raises(Invalid):
        entries.acquire(NS, "k", b"", 0, "", CALLER)
    with pytest.raises(Invalid):
        entries.release(NS, "k", b"", 0, "", CALLER)


def test_a_lost_lock_is_delayed_a_restart_included() -> None:
    world = World()
    session(world, "s1", delay_ms=10_000)
    session(world, "s2")
    acquire(world, "k", "s1")
    world.registry.kv.sessions.destroy("s1", CALLER)
    world.settle()
    assert acquire(world, "k", "s2") == DELAYED
    world.pass_time(9)
    assert acquire(world, "k", "s2") == DELAYED
    world.restart()
    world.pass_time(9)
    assert acquire(world, "k", "s2") == DELAYED
    world.pass_time(1)
    assert acquire(world, "k", "s2") == ""
    world.pass_time(2)
    assert not world.registry.documents.all("kv-delay")


def test_a_second_loss_delays_anew() -> None:
    world = World()
    session(world, "s1", delay_ms=10_000)
    session(world, "s2", delay_ms=3000)
    session(world, "s3")
    for id in ("s1", "s2"):
        acquire(world, "k", id)
        world.registry.kv.sessions.destroy(id, CALLER)
        world.settle()
        if id == "s1":
            world.pass_time(9)
            world.clock.move(1)  # its delay is over, and nobody has tidied it up
    world.pass_time(2)
    assert acquire(world, "k", "s3") == DELAYED
    world.clock.move(1)
    assert acquire(world, "k", "s3") == ""


def test_letting_go_is_not_delayed() -> None:
    world = World()
    session(world, "s1", delay_ms=10_000)
    session(world, "s2")
    acquire(world, "k", "s1")
    world.registry.kv.entries.release(NS, "k", b"", 0, "s1", CALLER)
    world.settle()
    assert acquire(world, "k", "s2") == ""


# ---------------------------------------------------------------------- sessions


def test_a_session_is_over_between_one_and_two_times_its_ttl() -> None:
    world = World()
    session(world, ttl_ms=10_000, behaviour=DELETE)
    acquire(world, "k", "s1")
    world.pass_time(8)
    assert world.registry.kv.sessions.renew("s1") is not None
    world.pass_time(18)
    assert world.registry.kv.entries.get(NS, "k") is not None
    world.pass_time(1)
    assert world.registry.kv.entries.get(NS, "k") is None
    assert world.registry.kv.sessions.renew("s1") is None
    assert world.registry.kv.sessions.destroy("s1", CALLER) is None


def test_a_stalled_process_ends_no_session_for_its_own_lateness() -> None:
    world = World()
    session(world, ttl_ms=10_000)
    world.stall(60)
    assert world.registry.kv.sessions.get("s1") is not None
    world.pass_time(19)
    assert world.registry.kv.sessions.get("s1") is None


def test_a_restart_gives_every_session_its_full_time() -> None:
    world = World()
    session(world, ttl_ms=10_000)
    acquire(world, "k", "s1")
    world.pass_time(15)
    world.restart()
    world.pass_time(15)
    assert [e.key for e in world.registry.kv.entries.held_by("s1")] == ["k"]
    world.pass_time(5)
    found = world.registry.kv.entries.get(NS, "k")
    assert found is not None
    assert (found.session, found.lock_index) == ("", 1)


def test_an_end_that_the_store_refuses_is_tried_again() -> None:
    world = World()
    session(world, ttl_ms=10_000)
    world.store.fail = 2
    world.pass_time(20)
    assert world.registry.kv.sessions.get("s1") is not None
    world.pass_time(3)
    assert world.registry.kv.sessions.get("s1") is None


def test_who_depends_on_what_is_lost_is_over_and_renewing_does_not_help() -> None:
    world = World()
    session(world, "s1", depends=("n1",))
    session(world, "s2", depends=("n2", "n1/c"), ttl_ms=10_000)
    session(world, "s3")
    world.registry.kv.sessions.lost("n1")
    world.registry.kv.sessions.lost("n1/c")
    assert world.registry.kv.sessions.renew("s2") is not None
    world.settle()
    assert [s.id for s in world.registry.kv.sessions.all(NS)] == ["s3"]
    assert not world.registry.kv.sessions._heard


def test_a_session_that_is_not_durable_yet_can_be_lost_too() -> None:
    world = World()
    with world.slow_store():
        world.registry.kv.sessions.create(KeySession("s1", NS, depends=("n1",)), CALLER)
        world.registry.kv.sessions.lost("n1")
        world.settle()
    world.pass_time(2)
    assert world.registry.kv.sessions.all(NS) == []


def test_a_session_whose_making_failed_leaves_nothing() -> None:
    world = World()
    world.store.hold = True
    world.registry.kv.sessions.create(KeySession("s1", NS, depends=("n1",), ttl_ms=10_000), CALLER)
    world.registry.kv.sessions.lost("n1")
    world.fail_all()
    world.store.hold = False
    world.pass_time(2)
    assert not world.registry.kv.sessions._heard
    assert world.registry.kv.sessions.newest("s1") is None


def test_many_ends_come_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "PER_RUN", 2)
    world = World()
    for n in range(7):
        session(world, f"s{n}", depends=("n1",))
    world.registry.kv.sessions.lost("n1")
    world.settle()
    assert world.registry.kv.sessions.all(NS) == []


def test_an_id_is_given_once() -> None:
    world = World()
    session(world)
    with pytest.raises(Conflict):
        world.registry.kv.sessions.create(KeySession("s1", NS), CALLER)
    with pytest.raises(Invalid):
        world.registry.kv.sessions.create(KeySession("s2", NS, behaviour="keep"), CALLER)


def test_what_depends_on_a_session_ends_in_the_same_command() -> None:
    world = World()
    registry = world.registry
    told: list[str] = []

    def ending(ended: KeySession, _caller: object) -> None:
        registry.kv.entries.delete(NS, f"query-{ended.id}", CALLER)

    registry.kv.sessions.ending.append(ending)
    registry.kv.sessions.ended.append(lambda ended: told.append(ended.id))
    session(world)
    put(world, "query-s1")
    commits: list[Commit] = []
    with world.slow_store():
        commit = registry.kv.sessions.destroy("s1", CALLER)
        assert commit is not None
        commits.append(commit)
        assert registry.kv.entries.newest(NS, "query-s1") is None
        assert told == []
    assert told == ["s1"]
    assert registry.kv.entries.get(NS, "query-s1") is None


def test_a_hook_that_fails_undoes_the_end() -> None:
    world = World()
    session(world, behaviour=DELETE)
    acquire(world, "k", "s1")

    def ending(_ended: KeySession, _caller: object) -> None:
        raise Conflict("not now")

    world.registry.kv.sessions.ending.append(ending)
    with pytest.raises(Conflict):
        world.registry.kv.sessions.destroy("s1", CALLER)
    world.settle()
    assert [e.key for e in world.registry.kv.entries.held_by("s1")] == ["k"]


def test_a_deleted_lock_of_something_kept_elsewhere_is_told() -> None:
    world = World()
    dropped: list[str] = []
    world.registry.kv.entries.dropped.append(lambda entry, _caller: dropped.append(entry.key))
    session(world, behaviour=DELETE)
    acquire(world, "file", "s1", elsewhere=True)
    acquire(world, "k", "s1")
    world.registry.kv.sessions.destroy("s1", CALLER)
    world.settle()
    assert dropped == ["file"]


def test_what_a_session_held_is_not_remembered_for_ever() -> None:
    world = World()
    session(world)
    for n in range(5):
        acquire(world, f"k{n}", "s1")
        world.registry.kv.entries.release(NS, f"k{n}", b"", 0, "s1", CALLER)
        world.settle()
    assert not world.registry.kv.entries._held


# ---------------------------------------------------------------------- who is woken


@pytest.mark.parametrize(
    ("change", "key", "tree", "everything", "other", "sessions"),
    [
        (lambda w: put(w, "a/b"), 1, 1, 1, 0, 0),
        (lambda w: put(w, "a/bc"), 0, 1, 1, 0, 0),
        (lambda w: put(w, "a"), 0, 0, 1, 0, 0),
        (lambda w: put(w, "a/b", b"old"), 0, 0, 0, 0, 0),
        (lambda w: w.registry.kv.entries.delete(NS, "a/b", CALLER), 1, 1, 1, 0, 0),
        (lambda w: w.registry.kv.entries.delete(NS, "none", CALLER), 0, 0, 0, 0, 0),
        (lambda w: w.registry.kv.entries.delete_below(NS, "a", CALLER), 1, 1, 1, 0, 0),
        (lambda w: w.registry.kv.entries.put("two", "a/b", b"", 0, CALLER), 0, 0, 0, 0, 0),
        (lambda w: session(w, "s9"), 0, 0, 0, 0, 1),
        (lambda w: w.registry.kv.sessions.destroy("s1", CALLER), 1, 1, 1, 0, 1),
        (lambda w: w.registry.kv.sessions.renew("s1"), 0, 0, 0, 0, 0),
        (lambda w: w.register(doc(LEASED)), 0, 0, 0, 0, 0),
    ],
)
def test_a_change_wakes_only_those_who_wait_for_it(
    change: Callable[[World], object], key: int, tree: int, everything: int, other: int, sessions: int
) -> None:
    world = World()
    session(world)
    acquire(world, "a/b", "s1")
    put(world, "a/b", b"old")
    scopes = (
        KeyScope(NS, "a/b"),
        KeyScope(NS, "a/", True),
        KeyScope(NS, "", True),
        KeyScope(NS, "c", True),
        SessionScope(NS),
    )
    listeners = [Listener(world, scope) for scope in scopes]
    change(world)
    world.settle()
    assert [listener.woken for listener in listeners] == [key, tree, everything, other, sessions]


def test_one_change_of_two_scopes_wakes_once_and_all_are_let_go() -> None:
    world = World()
    listener = Listener(world, KeyScope(NS, "a", True), KeyScope(NS, "a/b"))
    hub = world.registry.kv.watches
    assert hub.counts() == {("kv", "tree"): 1, ("kv", "key"): 1}
    put(world, "a/b")
    assert listener.woken == 1
    listener.watcher.cancel()
    put(world, "a/b", b"more")
    assert listener.woken == 1
    assert (len(hub), hub._lengths) == (0, {})


def test_a_watcher_that_is_armed_late_reads_again() -> None:
    world = World()
    before = world.registry.revision
    put(world, "a")
    woken: list[int] = []
    watcher = world.registry.kv.watches.key_watcher((KeyScope(NS, "a"),), lambda: woken.append(1))
    watcher.arm(before)
    world.settle()
    assert woken == [1]


def test_a_shutdown_wakes_everybody() -> None:
    world = World()
    woken: list[int] = []
    world.registry.kv.watches.key_watcher((KeyScope(NS, "a"),), lambda: woken.append(1)).arm(world.registry.revision)
    world.registry.release_watchers()
    assert woken == [1]


def test_a_batch_that_fails_wakes_nobody_and_leaves_nothing() -> None:
    world = World()
    listener = Listener(world, KeyScope(NS, "", True))
    world.store.hold = True
    outcome = world.registry.kv.entries.put(NS, "a", b"v", 0, CALLER)
    fate = Fate(outcome.commit)
    world.fail_all()
    world.store.hold = False
    world.pass_time(1)
    assert fate.result == "Unavailable"
    assert (listener.woken, world.registry.kv.entries.newest_below(NS, "")) == (0, [])
    assert not world.registry.kv.entries._space(NS).fresh
