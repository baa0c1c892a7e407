"""Entries: reading, writing, comparing, locking.

A command that finds nothing to change is answered when everything is durable that it was decided on. Behaviour as of Consul
1.20, whose key-value store this is modelled on: the same value again makes no new index, a plain write keeps the lock, taking a
lock again that one holds counts as a write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import structs

from ..batches import SETTLED, Commit
from ..config.shelf import id_of
from ..errors import Invalid, NotFound
from ..events import DocumentChange
from ..model import SYSTEM, Caller, Document, ServiceKey
from .keeping import ENTRY, Keeper, SortedKeys, entry_of, merged
from .model import DELAYED, DELETE, HELD, STALE, Entry, KeySession, Outcome
from .watching import KeyScope, KeyWatches, Marks

Note = Callable[[str, str, ServiceKey, str, Caller, Commit, str], None]
"""Told of every operation: resource, name, (namespace, ""), operation, who asked, its outcome, detail."""


class _Space:
    """What is known of one namespace beside its documents."""

    __slots__ = ("documents", "fresh", "keys", "marks", "revision")

    def __init__(self, floor: int) -> None:
        self.documents: dict[str, Document] = {}
        """What readers see, by key: an id costs more to make than to look up."""
        self.keys = SortedKeys()
        """The same keys in order."""
        self.fresh: dict[str, None] = {}
        """Keys that commands made and readers do not see yet; also of commands that failed, until somebody looks."""
        self.marks = Marks(floor)
        self.revision = floor
        """Of the newest entry or deletion that readers see."""


class Entries:
    """All entries of all namespaces."""

    def __init__(
        self,
        keeper: Keeper,
        watches: KeyWatches,
        ensure_namespace: Callable[[str, int], None],
        session: Callable[[str], KeySession | None],
        note: Note,
    ) -> None:
        self._keeper = keeper
        self._watches = watches
        self._ensure_namespace = ensure_namespace
        self._session = session
        self._note = note
        self._spaces: dict[str, _Space] = {}
        self._held: dict[str, dict[tuple[str, str], None]] = {}
        """Session -> what it holds, and perhaps what it held."""
        self._floor = 0
        self.dropped: list[Callable[[Entry, Caller], None]] = []
        """Told, inside the command, that the end of a session deleted an entry that is kept ``elsewhere``."""
        self.aliases: list[Callable[[str, str], Iterable[str]]] = []
        """Ask for further names under which readers know a key of a namespace."""

    def load(self, floor: int) -> None:
        """Begin with what the store held. Indexes of what may have changed unseen begin at ``floor``."""
        self._floor = floor
        for document in self._keeper.documents.all(ENTRY):
            self._space(document.namespace).documents[document.name] = document
            entry = entry_of(document)
            if entry.session:
                self._hold(entry)
        for space in self._spaces.values():
            space.keys = SortedKeys(space.documents)

    # ------------------------------------------------------------------ queries

    def get(self, namespace: str, key: str) -> Entry | None:
        """An entry as readers see it."""
        space = self._spaces.get(namespace)
        document = space.documents.get(key) if space is not None else None
        return None if document is None else entry_of(document)

    def modified(self, namespace: str, key: str) -> int:
        """The index of an entry as readers see it; 0: there is none."""
        space = self._spaces.get(namespace)
        document = space.documents.get(key) if space is not None else None
        return 0 if document is None else document.revision

    def newest(self, namespace: str, key: str) -> Entry | None:
        """An entry in the newest state, uncommitted included."""
        return self._keeper.newest(namespace, key)

    def below(self, namespace: str, prefix: str) -> list[str]:
        """Every key that begins with a prefix, in byte order, as readers see it."""
        space = self._spaces.get(namespace)
        return space.keys.below(prefix) if space is not None else []

    def newest_below(self, namespace: str, prefix: str) -> list[str]:
        """Every key that begins with a prefix, in byte order, in the newest state."""
        document = self._keeper.ledger.document
        found = self.candidates(namespace, prefix)
        return [key for key in found if document(ENTRY, id_of(namespace, key)) is not None]

    def candidates(self, namespace: str, prefix: str) -> list[str]:
        """The same without a look at each: with some that are not there any more."""
        space = self._spaces.get(namespace)
        if space is None:
            return []
        return merged(space.keys.below(prefix), [key for key in space.fresh if key.startswith(prefix)])

    def table_index(self, namespace: str) -> int:
        """The index of everything in a namespace."""
        space = self._spaces.get(namespace)
        return space.revision if space is not None else self._floor

    def missing_index(self, namespace: str, key: str) -> int:
        """The index of a key that is not there: that of its deletion; at least that of the deletions that are forgotten."""
        space = self._spaces.get(namespace)
        return space.marks.of(key) if space is not None else self._floor

    def deleted_index(self, namespace: str, prefix: str) -> int:
        """The index of the last deletion below a prefix; at least that of the deletions that are forgotten."""
        space = self._spaces.get(namespace)
        return space.marks.below(prefix) if space is not None else self._floor

    def delayed(self, namespace: str, key: str) -> bool:
        """Whether a lock is given to nobody, because its last holder was lost."""
        return self._keeper.delayed(namespace, key)

    def held_by(self, session: str) -> list[Entry]:
        """What a session holds, in the newest state."""
        found = (self.newest(*place) for place in self._held.get(session, ()))
        return [entry for entry in found if entry is not None and entry.session == session]

    def within(self, namespace: str) -> bool:
        """Whether a namespace has an entry, in the newest state."""
        document = self._keeper.ledger.document
        return any(document(ENTRY, id_of(namespace, key)) is not None for key in self.candidates(namespace, ""))

    # ------------------------------------------------------------------ commands

    def put(self, namespace: str, key: str, value: bytes, flags: int, caller: Caller) -> Outcome:
        """Create or replace; the lock stays as it is."""
        return self._write(self.newest(namespace, key), Entry(namespace, key, value, flags), caller)

    def put_if(self, namespace: str, key: str, value: bytes, flags: int, index: int, caller: Caller) -> Outcome:
        """The same, when the entry has this index; 0: when there is none. STALE otherwise."""
        before = self.newest(namespace, key)
        if index != (before.modify_index if before is not None else 0):
            return Outcome(False, self.nothing(), before, STALE)
        return self._write(before, Entry(namespace, key, value, flags), caller)

    def acquire(
        self,
        namespace: str,
        key: str,
        value: bytes,
        flags: int,
        session: str,
        caller: Caller,
        *,
        elsewhere: bool = False,
    ) -> Outcome:
        """Take the lock and write. HELD by another, DELAYED; raises ``NotFound`` without the session, ``Invalid`` ("")."""
        found = self._session(session) if session else None
        if found is None:
            raise NotFound(f"session {session}") if session else Invalid("session", "is missing")
        before = self.newest(namespace, key)
        if self._keeper.delayed(namespace, key):
            return Outcome(False, self.nothing(), before, DELAYED)
        if before is not None and before.session not in ("", session):
            return Outcome(False, self.nothing(), before, HELD)
        turns = before.lock_index if before is not None else 0
        if before is None or not before.session:
            turns += 1
        after = Entry(namespace, key, value, flags, found.id, turns, elsewhere=elsewhere)
        outcome = self._write(before, after, caller, lock=True)
        self._hold(after)
        return outcome

    def release(self, namespace: str, key: str, value: bytes, flags: int, session: str, caller: Caller) -> Outcome:
        """Let the lock go and write. HELD: it is not this session's. Raises ``Invalid`` without a session's name."""
        if not session:
            raise Invalid("session", "is missing")
        before = self.newest(namespace, key)
        if before is None or before.session != session:
            return Outcome(False, self.nothing(), before, HELD)
        after = Entry(namespace, key, value, flags, "", before.lock_index, elsewhere=before.elsewhere)
        return self._write(before, after, caller, lock=True)

    def delete(self, namespace: str, key: str, caller: Caller) -> Outcome:
        """Delete; a key that is not there is deleted already."""
        before = self.newest(namespace, key)
        if before is None:
            return Outcome(True, self.nothing())
        with self._operation(namespace, key, "delete", caller) as commit:
            self._keeper.drop(namespace, key)
        return Outcome(True, commit)

    def delete_if(self, namespace: str, key: str, index: int, caller: Caller) -> Outcome:
        """Delete when the entry has this index. What is not there is deleted already; STALE otherwise."""
        before = self.newest(namespace, key)
        if before is not None and before.modify_index != index:
            return Outcome(False, self.nothing(), before, STALE)
        return self.delete(namespace, key, caller)

    def delete_below(self, namespace: str, prefix: str, caller: Caller) -> Outcome:
        """Delete everything that begins with a prefix, in one command."""
        keys = self.newest_below(namespace, prefix)
        if not keys:
            return Outcome(True, self.nothing())
        with self._operation(namespace, prefix, "delete-tree", caller) as commit:
            for key in keys:
                self._keeper.drop(namespace, key)
        return Outcome(True, commit)

    def lose(self, session: KeySession) -> None:
        """A session ends: what it holds is let go or deleted, and delayed. Inside the command under way."""
        for entry in self.held_by(session.id):
            if session.behaviour == DELETE:
                self._keeper.drop(entry.namespace, entry.key)
                if entry.elsewhere:
                    for told in self.dropped:
                        told(entry, SYSTEM)
            else:
                self._keeper.put(structs.replace(entry, session=""))
            if session.delay_ms:
                self._keeper.delay(entry.namespace, entry.key, session.delay_ms)

    def nothing(self) -> Commit:
        """The commit of a command that changes nothing: done when everything is durable that it was decided on."""
        ledger = self._keeper.ledger
        if ledger.idle:
            return SETTLED
        with ledger.command() as commit:
            return commit

    def _write(self, before: Entry | None, after: Entry, caller: Caller, *, lock: bool = False) -> Outcome:
        namespace, key = after.namespace, after.key
        if not key:
            raise Invalid("key", "is empty")
        if before is not None:
            after = structs.replace(after, create_index=before.create_index)
            if not lock:
                after = structs.replace(
                    after, session=before.session, lock_index=before.lock_index, elsewhere=before.elsewhere
                )
            if after == structs.replace(before, modify_index=0):
                return Outcome(True, self.nothing(), before)
        with self._operation(namespace, key, "update" if before is not None else "create", caller) as commit:
            if before is None:
                self._ensure_namespace(namespace, self._keeper.clock.wall_ms())
            after = self._keeper.put(after)
            if before is None:
                self._space(namespace).fresh[key] = None
        return Outcome(True, commit, after)

    @contextmanager
    def _operation(self, namespace: str, name: str, operation: str, caller: Caller) -> Iterator[Commit]:
        with self._keeper.ledger.command() as commit:
            yield commit
            self._note("kv", name, ServiceKey(namespace, ""), operation, caller, commit, "")

    # ------------------------------------------------------------------ after a publication

    def published(self, change: DocumentChange, publication: int) -> None:
        """To be told of every published change of an entry."""
        before, after = change.before, change.after
        document = after or before
        assert document is not None
        space = self._space(document.namespace)
        space.fresh.pop(document.name, None)
        if before is None:
            space.keys.add(document.name)
        if after is None:
            space.keys.discard(document.name)
            space.documents.pop(document.name, None)
        else:
            space.documents[after.name] = after
            entry = entry_of(after)
            if entry.session:
                self._hold(entry)
        self.changed(document.namespace, document.name, change.revision, publication, gone=after is None)
        if before is not None:
            self._unhold(entry_of(before))

    def changed(self, namespace: str, key: str, revision: int, publication: int, *, gone: bool = False) -> None:
        """A key is another one now, or gone, under a revision of its document; also for keys whose values are kept
        elsewhere. Who waits for it is woken with all others of the publication."""
        space = self._space(namespace)
        space.revision = max(space.revision, revision)
        names = (key, *(alias for ask in self.aliases for alias in ask(namespace, key)))
        for name in names:
            if gone or len(names) > 1:  # lists may show it under another of its names now, and no longer under this one
                space.marks.add(name, revision, self._keeper.clock.monotonic())
            self._watches.touch(KeyScope(namespace, name), publication)

    def tick(self) -> None:
        """Forget deletions that are long ago."""
        now, idle = self._keeper.clock.monotonic(), self._keeper.ledger.idle
        for space in self._spaces.values():
            space.marks.expire(now)
            if idle:
                space.fresh.clear()

    def ended(self, session: str) -> None:
        """A session is gone for good."""
        self._held.pop(session, None)

    def _hold(self, entry: Entry) -> None:
        self._held.setdefault(entry.session, {})[(entry.namespace, entry.key)] = None

    def _unhold(self, entry: Entry) -> None:
        """Forget that a session held a key, unless it still does."""
        held = self._held.get(entry.session) if entry.session else None
        if held is None:
            return
        newest = self.newest(entry.namespace, entry.key)
        published = self.get(entry.namespace, entry.key)
        if all(e is None or e.session != entry.session for e in (newest, published)):
            held.pop((entry.namespace, entry.key), None)
            if not held:
                del self._held[entry.session]

    def _space(self, namespace: str) -> _Space:
        space = self._spaces.get(namespace)
        if space is None:
            space = self._spaces[namespace] = _Space(self._floor)
        return space
