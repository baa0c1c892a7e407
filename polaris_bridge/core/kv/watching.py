"""Who waits for which keys: the hub of ``core.watching`` with scopes of its own, and since when everything is as it is.

A reader is told the index of what it read, waits with it, and is woken by the next change; so an index has to grow with every
change that the reader could see. Revisions of entries do, for they are given and published in the same order. Numbers of
publications must not be mixed with them: what is published at once may have a higher one than an entry that still waits for
the store. They say here only whether a watcher was armed too late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, cast

from ..ports import Clock, Scheduler
from ..watching import MIN_INTERVAL_S, Scope, Watcher, Watches
from .keeping import SortedKeys

MARK_S: Final = 900.0
"""Seconds for which is remembered that a key was deleted."""
MOST_MARKS: Final = 100_000
"""Deletions remembered in one namespace; more, and the oldest are forgotten early."""


class KeyScope(NamedTuple):
    """One key, or (``tree``) all that begin with it."""

    namespace: str
    key: str
    tree: bool = False


class SessionScope(NamedTuple):
    """The sessions of a namespace."""

    sessions: str


WatchScope = KeyScope | SessionScope


class KeyWatcher(Watcher):
    """A watcher of keys or sessions; whoever wakes reads again."""

    __slots__ = ("touched",)

    def __init__(
        self, hub: KeyWatches, scopes: tuple[WatchScope, ...], fire: Callable[[], None], min_interval_s: float
    ) -> None:
        super().__init__(hub, cast("tuple[Scope, ...]", scopes), fire, min_interval_s)
        self.touched = False

    def arm(self, since: int) -> None:
        """See ``Watcher``. ``since``: ``KeyWatches.newest`` at the moment of the read."""
        if not self._armed:
            self.touched = False
        super().arm(since)

    @property
    def due(self) -> bool:
        """Whether something changed since it was armed."""
        return self.touched or super().due


class Marks:
    """What was deleted in one namespace, and under which revision, for a while."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        """Whatever was deleted before this revision is forgotten."""
        self._revisions: dict[str, tuple[int, float]] = {}
        """By key, the oldest first: revision, and when (monotonic seconds)."""
        self._keys = SortedKeys()

    def __len__(self) -> int:
        return len(self._revisions)

    def add(self, key: str, revision: int, now: float) -> None:
        """A key was deleted."""
        self._revisions.pop(key, None)
        self._revisions[key] = (revision, now)
        self._keys.add(key)
        if len(self._revisions) > MOST_MARKS:
            self._forget(next(iter(self._revisions)))

    def of(self, key: str) -> int:
        """The revision under which a key was deleted, or one under which everything is forgotten."""
        found = self._revisions.get(key)
        return self.floor if found is None else found[0]

    def below(self, prefix: str) -> int:
        """The revision of the last deletion below a prefix, or one under which everything is forgotten."""
        if not self._revisions:
            return self.floor
        return max((self._revisions[key][0] for key in self._keys.below(prefix)), default=self.floor)

    def expire(self, now: float) -> None:
        """Forget what is long ago."""
        while self._revisions:
            key = next(iter(self._revisions))
            if self._revisions[key][1] + MARK_S > now:
                return
            self._forget(key)

    def _forget(self, key: str) -> None:
        self.floor = max(self.floor, self._revisions.pop(key)[0])
        self._keys.discard(key)


class KeyWatches(Watches):
    """All watchers of keys and sessions."""

    def __init__(self, clock: Clock, scheduler: Scheduler) -> None:
        super().__init__(clock, scheduler, lambda scope: self.newest)
        self._lengths: dict[int, int] = {}
        """How many trees are watched, by the length of their prefix."""
        self._touched: dict[WatchScope, None] = {}
        self.newest = 0
        """The last publication that was about any key or session."""

    def key_watcher(
        self, scopes: Iterable[WatchScope], fire: Callable[[], None], min_interval_s: float = MIN_INTERVAL_S
    ) -> KeyWatcher:
        """A new watcher, not armed yet. ``fire`` must not raise and not block."""
        return KeyWatcher(self, tuple(scopes), fire, min_interval_s)

    def touch(self, scope: WatchScope, revision: int) -> None:
        """A key, or the sessions of a namespace, changed in a publication. Nobody is woken before ``wake``."""
        self._touched[scope] = None
        self.newest = revision

    def wake(self) -> None:
        """Wake those who wait for what was touched, once each."""
        if not self._touched:
            return
        touched, self._touched = self._touched, {}
        if not self._waiting:
            return
        woken: dict[KeyWatcher, None] = {}
        for scope in touched:
            for watcher in self._waiters(scope):
                watcher.touched = True
                woken[watcher] = None
        now = self.clock.monotonic()
        for watcher in woken:
            watcher.wake(now)

    def _waiters(self, scope: WatchScope) -> Iterable[KeyWatcher]:
        yield from cast("Iterable[KeyWatcher]", self._waiting.get(cast("Scope", scope), ()))
        if isinstance(scope, KeyScope):
            for length in self._lengths:
                if length <= len(scope.key):
                    tree = KeyScope(scope.namespace, scope.key[:length], True)
                    yield from cast("Iterable[KeyWatcher]", self._waiting.get(cast("Scope", tree), ()))

    # ------------------------------------------------------------------ the hub

    def counts(self) -> dict[tuple[str, str], int]:
        """Armed watchers by ("kv", kind of scope: key, tree or sessions)."""
        found: dict[tuple[str, str], int] = {}
        for scope, waiting in list(self._waiting.items()):
            kind = ("tree" if scope.tree else "key") if isinstance(scope, KeyScope) else "sessions"
            found[("kv", kind)] = found.get(("kv", kind), 0) + len(waiting)
        return found

    def newer(self, scopes: Iterable[Scope], since: int) -> bool:
        """Whether anything at all changed after a publication: who armed that late reads again for nothing, but misses
        nothing."""
        return since < self.newest

    def enlist(self, watcher: Watcher) -> None:
        """Put an armed watcher on the lists; wake it soon when something newer is there already."""
        for length in _lengths(watcher):
            self._lengths[length] = self._lengths.get(length, 0) + 1
        super().enlist(watcher)

    def dismiss(self, watcher: Watcher) -> None:
        """Take a watcher off the lists."""
        scopes = cast("tuple[WatchScope, ...]", watcher.scopes)
        if any(watcher in self._waiting.get(cast("Scope", scope), ()) for scope in scopes):
            for length in _lengths(watcher):
                self._lengths[length] -= 1
                if not self._lengths[length]:
                    del self._lengths[length]
        super().dismiss(watcher)


def _lengths(watcher: Watcher) -> list[int]:
    scopes = cast("tuple[WatchScope, ...]", watcher.scopes)
    return [len(scope.key) for scope in scopes if isinstance(scope, KeyScope) and scope.tree]
