"""Who waits for changes of files: by file, by group, by namespace, by pattern.

Built on ``core.watching``: one-shot, by revision, nothing queued. A hub of its own, because a client may wait for thousands of
files at once: a scope with one watcher costs one entry, and a woken watcher knows which files to look at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, cast

from msgspec import Struct

from ..ports import Clock, Scheduler
from ..watching import MIN_INTERVAL_S, Scope, Watcher, Watches
from .model import ANYBODY, Asker, FileKey, GroupKey
from .reading import Reading


class Pattern(Struct, frozen=True):
    """Files by name; ``*`` stands for any characters. Empty namespace: all."""

    namespace: str = ""
    group: str = "*"
    name: str = "*"

    def matches(self, key: FileKey) -> bool:
        """Whether a file is meant."""
        return (
            (not self.namespace or self.namespace == key.namespace)
            and glob(self.group, key.group)
            and glob(self.name, key.name)
        )


FileScope = FileKey | GroupKey | str | Pattern | None
"""What is watched: a file, a group, all of a namespace, a pattern, or (None) everything."""


def glob(pattern: str, text: str) -> bool:
    """Whether a text is what a pattern with ``*`` says. Takes time in proportion to their lengths, whatever they are."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    tail = rest.pop()
    end = len(text) - len(tail)
    if len(head) > end or not text.startswith(head) or not text.endswith(tail):
        return False
    at = len(head)
    for part in rest:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


class FileWatcher(Watcher):
    """A watcher of files. ``touched`` says which of them changed since it was armed."""

    __slots__ = ("touched",)

    def __init__(
        self, hub: FileWatches, scopes: tuple[FileScope, ...], fire: Callable[[], None], min_interval_s: float
    ) -> None:
        super().__init__(hub, cast("tuple[Scope, ...]", scopes), fire, min_interval_s)
        self.touched: set[FileKey] = set()

    def arm(self, since: int) -> None:
        """See ``Watcher``."""
        self.touched.clear()
        super().arm(since)

    @property
    def due(self) -> bool:
        """Whether there is something newer than what it was armed with."""
        return bool(self.touched) or super().due

    def release(self) -> None:
        """Shutdown: fire, with nothing touched."""
        self.touched.clear()
        super().release()


class StandingWatcher(FileWatcher):
    """One that stays on the lists when it fires, until it is cancelled. It fires again once ``take`` was called.

    For those who wait for thousands of files: to leave all those lists takes a while, and whoever publishes would wait for it.
    """

    __slots__ = ("_fired",)

    def __init__(self, hub: FileWatches, scopes: tuple[FileScope, ...], fire: Callable[[], None]) -> None:
        super().__init__(hub, scopes, fire, 0.0)
        self._fired = False

    def wake(self, now: float) -> None:
        """See ``Watcher``."""
        if self._armed and not self._fired:
            self._fired = True
            self._fire()

    def take(self) -> set[FileKey]:
        """What changed since it was armed, or since the last time."""
        touched, self.touched = self.touched, set()
        self._fired = False
        return touched


class FileWatches(Watches):
    """All watchers of files, and since when each file is as it is."""

    def __init__(self, clock: Clock, scheduler: Scheduler) -> None:
        super().__init__(clock, scheduler, self._newest_of)
        self._one: dict[FileScope, FileWatcher | dict[FileWatcher, None]] = {}
        self._patterns: dict[Pattern, None] = {}
        """Those of ``_one``."""
        self._files: dict[FileKey, int] = {}
        """Revisions of the files that changed since the start, in the order of their last change."""
        self._groups: dict[GroupKey, int] = {}
        self._namespaces: dict[str, int] = {}
        self.floor = 0
        """Revision of everything that did not change since the start."""
        self.newest = 0
        """Of the last publication about any file."""

    def start(self, floor: int) -> None:
        """Begin; everything loaded counts as of this revision."""
        self.floor = self.newest = floor

    def revision(self, scope: FileScope) -> int:
        """The newest revision of a file, a group, a namespace, what a pattern means, or everything."""
        if isinstance(scope, FileKey):
            return self._files.get(scope, self.floor)
        if isinstance(scope, GroupKey):
            return self._groups.get(scope, self.floor)
        if isinstance(scope, str):
            return self._namespaces.get(scope, self.floor)
        if scope is None:
            return self.newest
        return next((r for key, r in reversed(self._files.items()) if scope.matches(key)), self.floor)

    def file_watcher(
        self, scopes: Iterable[FileScope], fire: Callable[[], None], min_interval_s: float = MIN_INTERVAL_S
    ) -> FileWatcher:
        """A new watcher, not armed yet. ``fire`` must not raise and not block."""
        return FileWatcher(self, tuple(scopes), fire, min_interval_s)

    def standing_watcher(self, scopes: Iterable[FileScope], fire: Callable[[], None]) -> StandingWatcher:
        """The same, staying on the lists until it is cancelled."""
        return StandingWatcher(self, tuple(scopes), fire)

    def published(self, keys: Iterable[FileKey], revision: int) -> None:
        """Files changed: note it, and put it to those who wait. Nobody is woken before ``wake``."""
        for key in keys:
            self._files.pop(key, None)
            self._files[key] = revision
            self._groups[key.parent] = self._namespaces[key.namespace] = self.newest = revision

    def wake(self, keys: Iterable[FileKey]) -> None:
        """Wake those who wait for one of these files, once each."""
        woken: dict[FileWatcher, None] = {}
        for key in keys:
            scopes: list[FileScope] = [key, key.parent, key.namespace, None]
            scopes += [pattern for pattern in self._patterns if pattern.matches(key)]
            for scope in scopes:
                for watcher in self._waiters(scope):
                    watcher.touched.add(key)
                    woken[watcher] = None
        now = self.clock.monotonic()
        for watcher in woken:
            watcher.wake(now)

    # ------------------------------------------------------------------ the hub

    def __len__(self) -> int:
        return sum(1 for scope in self._one for _ in self._waiters(scope))

    def counts(self) -> dict[tuple[str, str], int]:
        """Armed watchers by ("config", kind of scope)."""
        found: dict[tuple[str, str], int] = {}
        for scope in list(self._one):
            kind = _KINDS.get(type(scope), "all")
            found[("config", kind)] = found.get(("config", kind), 0) + sum(1 for _ in self._waiters(scope))
        return found

    def newer(self, scopes: Iterable[Scope], since: int) -> bool:
        """Whether one of the scopes changed after a revision."""
        return since < self.newest and super().newer(scopes, since)

    def watched(self, scope: Scope) -> bool:
        """Whether somebody waits for this very scope."""
        return scope in self._one

    def enlist(self, watcher: Watcher) -> None:
        """Put an armed watcher on the lists; wake it soon when something newer is there already."""
        assert isinstance(watcher, FileWatcher)
        for scope in cast("tuple[FileScope, ...]", watcher.scopes):
            waiting = self._one.get(scope)
            if waiting is None:
                self._one[scope] = watcher
                if isinstance(scope, Pattern):
                    self._patterns[scope] = None
            elif isinstance(waiting, dict):
                waiting[watcher] = None
            elif waiting is not watcher:
                self._one[scope] = {waiting: None, watcher: None}
        if watcher.due:
            self.scheduler.soon(lambda: watcher.wake(self.clock.monotonic()))

    def dismiss(self, watcher: Watcher) -> None:
        """Take a watcher off the lists."""
        for scope in cast("tuple[FileScope, ...]", watcher.scopes):
            waiting = self._one.get(scope)
            if isinstance(waiting, dict):
                waiting.pop(cast("FileWatcher", watcher), None)
                if waiting:
                    continue
            elif waiting is not watcher:
                continue
            self._one.pop(scope, None)
            if isinstance(scope, Pattern):
                self._patterns.pop(scope, None)

    def wake_all(self) -> None:
        """Shutdown: everybody answers its client now."""
        for scope in list(self._one):
            for watcher in self._waiters(scope):
                watcher.release()

    def _waiters(self, scope: FileScope) -> list[FileWatcher]:
        waiting = self._one.get(scope)
        return [] if waiting is None else list(waiting) if isinstance(waiting, dict) else [waiting]

    def _newest_of(self, scope: Scope) -> int:
        return self.revision(cast("FileScope", scope))


_KINDS: Final[dict[type, str]] = {FileKey: "file", GroupKey: "group", str: "namespace", Pattern: "pattern"}


class Has(Struct, frozen=True, gc=False):
    """What a client has of a file: by md5 ("": nothing) or by version (0: nothing)."""

    md5: str | None = None
    version: int | None = None


class Listening:
    """One client that waits until something of what it has is not what it would get; told once, with those files.

    What it has is compared at once, so an old version or md5 is answered at once; and a change that leaves it with what it
    has (the same content published again, a gray release for others) tells it nothing.
    """

    __slots__ = ("_asker", "_has", "_hub", "_reading", "_told", "_watcher")

    def __init__(
        self,
        hub: FileWatches,
        reading: Reading,
        has: dict[FileKey, Has],
        asker: Asker,
        told: Callable[[list[FileKey]], None],
        min_interval_s: float,
    ) -> None:
        self._hub = hub
        self._reading = reading
        self._has = has
        self._asker = asker
        self._told: Callable[[list[FileKey]], None] | None = told
        self._watcher = hub.file_watcher(has, self._woken, min_interval_s)
        self._watcher.arm(hub.newest)

    @property
    def over(self) -> bool:
        """Whether it was told, or cancelled."""
        return self._told is None

    def cancel(self) -> None:
        """Tell it nothing any more."""
        self._told = None
        self._watcher.cancel()

    def _woken(self) -> None:
        touched = sorted(self._watcher.touched)
        found = list(stale(self._reading, ((key, self._has[key]) for key in touched), self._asker))
        if touched and not found:
            self._watcher.arm(self._hub.newest)
            return
        told, self._told = self._told, None
        if told is not None:
            told(found)


def stale(reading: Reading, has: Iterable[tuple[FileKey, Has]], asker: Asker = ANYBODY) -> Iterator[FileKey]:
    """The files of which a client would get something else than what it has."""
    for key, one in has:
        if reading.is_stale(key, asker, md5=one.md5, version=one.version):
            yield key
