"""Sessions: somebody who may hold locks, until it is silent too long, or something that it depends on is gone.

Times are seconds of lease time (``core.leases``). After a restart every session has its full time again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..batches import Commit
from ..config.shelf import Shelf
from ..errors import Busy, Conflict, Invalid, Unavailable
from ..events import DocumentChange
from ..leases import TICK_S, LeaseTime
from ..model import SYSTEM, Caller, ServiceKey
from .keeping import SESSION, Keeper
from .model import BEHAVIOURS, KeySession
from .watching import KeyWatches, SessionScope

if TYPE_CHECKING:
    from ..ports import Scheduler
    from .entries import Entries, Note

GRACE: Final = 2
"""A session ends when nothing was heard of it for so many times its TTL: Consul 1.20 gives its clients that much."""

LOST: Final = float("-inf")
"""When a session was last heard of that has nothing to stand on any more: renewing does not help it."""

PER_RUN: Final = 100
"""Sessions ended at a time, so that a host's loss holds nobody up."""


class KeySessions:
    """All sessions."""

    def __init__(
        self,
        keeper: Keeper,
        shelf: Shelf[KeySession],
        watches: KeyWatches,
        scheduler: Scheduler,
        ensure_namespace: Callable[[str, int], None],
        note: Note,
    ) -> None:
        self._keeper = keeper
        self._shelf = shelf
        self._watches = watches
        self._scheduler = scheduler
        self._ensure_namespace = ensure_namespace
        self._note = note
        self._time = LeaseTime(keeper.clock.monotonic())
        self._heard: dict[str, float] = {}
        self._due: list[tuple[float, str]] = []
        """A heap of (when it may be over, id), one for each session with a time; it is looked at when that has come."""
        self._running = False
        self.entries: Entries
        """Put in by the door of this package."""
        self.ending: list[Callable[[KeySession, Caller], None]] = []
        """Told of every end inside its command, to end what depends on the session. What they raise undoes it."""
        self.ended: list[Callable[[KeySession], None]] = []
        """Told of every end once readers see it. Must be quick and not raise."""

    def load(self) -> None:
        """Begin with what the store held; every time begins anew."""
        self._shelf.load()
        for session in self._shelf.all():
            self._start(session)

    # ------------------------------------------------------------------ queries

    def get(self, id: str) -> KeySession | None:
        """A session as readers see it."""
        return self._shelf.published(id)

    def newest(self, id: str) -> KeySession | None:
        """A session in the newest state."""
        return self._shelf.newest(id)

    def all(self, namespace: str) -> list[KeySession]:
        """Every session of a namespace as readers see it, by id."""
        return sorted(self._shelf.published_under((namespace,)), key=lambda s: s.id)

    def of_node(self, namespace: str, node: str) -> list[KeySession]:
        """Those of a node, by its name ignoring case."""
        return sorted(self._shelf.published_under((namespace, node.lower())), key=lambda s: s.id)

    def depending(self, name: str) -> list[KeySession]:
        """Those that depend on something, in the newest state."""
        return [session for _, session in self._shelf.newest_under(name)]

    @property
    def index(self) -> int:
        """The index of the list of sessions: the publication that last changed it."""
        return self._keeper.documents.revision(SESSION)

    def within(self, namespace: str) -> bool:
        """Whether a namespace has a session, in the newest state."""
        return self._shelf.any_under((namespace,))

    def __len__(self) -> int:
        return len(self._shelf)

    # ------------------------------------------------------------------ commands

    def create(self, session: KeySession, caller: Caller) -> tuple[KeySession, Commit]:
        """A new session under an id that nobody had; its time begins. Raises ``Conflict`` when it is taken, ``Invalid``."""
        if session.behaviour not in BEHAVIOURS:
            raise Invalid("behaviour", " or ".join(BEHAVIOURS))
        if self.newest(session.id) is not None:
            raise Conflict(f"session {session.id} exists")
        with self._keeper.ledger.command() as commit:
            self._ensure_namespace(session.namespace, self._keeper.clock.wall_ms())
            revision = self._shelf.put(session.id, session.namespace, session.name, session)
            self._note("session", session.id, ServiceKey(session.namespace, ""), "create", caller, commit, session.name)
        made = self.newest(session.id)
        assert made is not None
        assert made.revision == revision
        return made, commit

    def renew(self, id: str) -> KeySession | None:
        """A sign of life. None when there is no such session in the newest state. Not stored."""
        session = self.newest(id)
        if session is not None and self._heard.get(id, LOST) != LOST:
            self._heard[id] = self._now()
        return session

    def destroy(self, id: str, caller: Caller) -> Commit | None:
        """End a session and let go of what it holds, in one command. None when there is none."""
        session = self.newest(id)
        if session is None:
            return None
        with self._keeper.ledger.command() as commit:
            self._shelf.drop(id)
            self.entries.lose(session)
            for told in self.ending:
                told(session, caller)
            self._note("session", id, ServiceKey(session.namespace, ""), "delete", caller, commit, session.name)
        return commit

    def lost(self, name: str) -> None:
        """Something that sessions may depend on is gone: those that did are over soon. May be called while a publication
        is told."""
        found = self.depending(name)
        if not found:
            return
        now = self._now()
        for session in found:
            heapq.heappush(self._due, (now, session.id))
            self._heard[session.id] = LOST
        self._run_soon()

    # ------------------------------------------------------------------ time

    def tick(self) -> None:
        """End those that were silent too long. To be called once a second."""
        self._time.advance(self._keeper.clock.monotonic())
        self._run()

    def _run(self) -> None:
        now, budget = self._now(), PER_RUN
        while self._due and self._due[0][0] <= now:
            if not budget:
                self._run_soon()
                return
            _, id = heapq.heappop(self._due)
            heard, session = self._heard.get(id), self.get(id) or self.newest(id)
            if heard is None:
                continue
            if session is None:  # its making failed
                del self._heard[id]
                continue
            over = self._over(session, heard)
            if over > now:
                heapq.heappush(self._due, (over, id))
                continue
            budget -= 1
            heapq.heappush(self._due, (now + TICK_S, id))  # looked at again: the store may refuse
            try:
                self.destroy(id, SYSTEM)
            except (Busy, Unavailable):
                continue

    def _run_soon(self) -> None:
        if not self._running:
            self._running = True
            self._scheduler.soon(self._run_now)

    def _run_now(self) -> None:
        self._running = False
        self._run()

    def _over(self, session: KeySession, heard: float) -> float:
        """When a session is over that is not heard of again: a tick early, so that it is never later than promised."""
        return heard + GRACE * session.ttl_ms / 1000 - TICK_S

    def _start(self, session: KeySession) -> None:
        if session.ttl_ms and session.id not in self._heard:
            now = self._heard[session.id] = self._now()
            heapq.heappush(self._due, (self._over(session, now), session.id))

    def _now(self) -> float:
        return self._time.now(self._keeper.clock.monotonic())

    # ------------------------------------------------------------------ after a publication

    def published(self, change: DocumentChange, publication: int) -> None:
        """To be told of every published change of a session."""
        document = change.after or change.before
        assert document is not None
        self._watches.touch(SessionScope(document.namespace), publication)
        if change.after is not None:
            self._start(self._shelf.decode(change.after))
            return
        assert change.before is not None
        session = self._shelf.decode(change.before)
        self._shelf.gone(change)
        self._heard.pop(change.id, None)
        self.entries.ended(change.id)
        for told in self.ended:
            told(session)


def under(session: KeySession) -> tuple[tuple[str, ...] | str, ...]:
    """What a session is found by: its namespace, its node, what it depends on."""
    return ((session.namespace,), (session.namespace, session.node.lower()), *session.depends)
