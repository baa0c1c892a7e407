"""Watch: one mechanism for every protocol that pushes, long-polls or streams.

A watch fires at most once and is then gone; whoever wants more arms it again with the revision it has seen. It carries no
events: who wakes reads the newest snapshot. So nothing is queued for a slow reader, and nothing is missed, because arming
compares revisions. The first change is told at once, later ones at most once per ``min_interval_s`` of the watcher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .model import ServiceKey
from .ports import Clock, Scheduler

Scope = ServiceKey | str | None
"""What is watched: a service, all of a namespace, or (None) everything."""

MIN_INTERVAL_S = 0.05


class Watcher:
    """One party that wants to know of changes in its scopes. ``arm`` sets it, ``cancel`` ends it for good."""

    __slots__ = ("_armed", "_fire", "_hub", "_last", "_min_interval_s", "_since", "_timer", "scopes")

    def __init__(
        self, hub: Watches, scopes: tuple[Scope, ...], fire: Callable[[], None], min_interval_s: float
    ) -> None:
        self._hub = hub
        self.scopes = scopes
        self._fire = fire
        self._min_interval_s = min_interval_s
        self._last = float("-inf")
        self._armed = False
        self._since = 0
        self._timer = False

    def arm(self, since: int) -> None:
        """Fire once as soon as one of the scopes is newer than ``since`` (at once when it is already)."""
        if self._armed:
            return
        self._armed = True
        self._since = since
        self._hub.enlist(self)

    @property
    def due(self) -> bool:
        """Whether there is something newer than what it was armed with."""
        return self._hub.newer(self.scopes, self._since)

    def release(self) -> None:
        """Shutdown: fire whether there is something newer or not, so that the party answers its client."""
        if self._armed:
            self._armed = False
            self._hub.dismiss(self)
            self._fire()

    def cancel(self) -> None:
        """Never fire again, a firing already under way included."""
        self._armed = False
        self._fire = _nothing
        self._hub.dismiss(self)

    def wake(self, now: float) -> None:
        """Called by the hub when a scope may have changed: fire now, or when the interval since the last firing is over."""
        if not self._armed or self._timer or not self.due:
            return
        wait = self._last + self._min_interval_s - now
        if wait > 0:
            self._timer = True
            self._hub.scheduler.later(wait, self._after_interval)
            return
        self._last = now
        self._armed = False
        self._hub.dismiss(self)
        self._fire()

    def _after_interval(self) -> None:
        self._timer = False
        if self._armed:
            self.wake(self._hub.clock.monotonic() + 0.001)


def _nothing() -> None:
    """What a cancelled watcher does."""


class Watches:
    """All watchers, by scope."""

    def __init__(self, clock: Clock, scheduler: Scheduler, revision_of: Callable[[Scope], int]) -> None:
        self.clock = clock
        self.scheduler = scheduler
        self._revision_of = revision_of
        self._waiting: dict[Scope, dict[Watcher, None]] = {}

    def __len__(self) -> int:
        """How many watchers are armed (counted once per scope)."""
        return sum(map(len, self._waiting.values()))

    def counts(self) -> dict[tuple[str, str], int]:
        """Armed watchers by ("core", kind of scope: service, namespace or all)."""
        found: dict[tuple[str, str], int] = {}
        for scope, waiting in list(self._waiting.items()):
            kind = "all" if scope is None else "service" if isinstance(scope, ServiceKey) else "namespace"
            found[("core", kind)] = found.get(("core", kind), 0) + len(waiting)
        return found

    def watched(self, scope: Scope) -> bool:
        """Whether somebody waits for this very scope."""
        return scope in self._waiting

    def watcher(
        self, scopes: Iterable[Scope], fire: Callable[[], None], min_interval_s: float = MIN_INTERVAL_S
    ) -> Watcher:
        """A new watcher, not armed yet. ``fire`` must not raise and not block."""
        return Watcher(self, tuple(scopes), fire, min_interval_s)

    def newer(self, scopes: Iterable[Scope], since: int) -> bool:
        """Whether one of the scopes changed after a revision."""
        return any(self._revision_of(scope) > since for scope in scopes)

    def enlist(self, watcher: Watcher) -> None:
        """Put an armed watcher on the lists; wake it soon when something newer is there already."""
        for scope in watcher.scopes:
            self._waiting.setdefault(scope, {})[watcher] = None
        if watcher.due:
            self.scheduler.soon(lambda: watcher.wake(self.clock.monotonic()))

    def dismiss(self, watcher: Watcher) -> None:
        """Take a watcher off the lists."""
        for scope in watcher.scopes:
            waiting = self._waiting.get(scope)
            if waiting is not None:
                waiting.pop(watcher, None)
                if not waiting:
                    del self._waiting[scope]

    def changed(self, services: Iterable[ServiceKey], *, beside: bool = False) -> None:
        """Wake everybody whose scope holds one of these services, or (``beside``) what is kept beside services.

        Called right after a publication.
        """
        now = self.clock.monotonic()
        scopes: dict[Scope, None] = {None: None} if beside else {}
        for key in services:
            scopes[key] = None
            scopes[key.namespace] = None
            scopes[None] = None
        for scope in scopes:
            waiting = self._waiting.get(scope)
            if waiting:
                for watcher in list(waiting):
                    watcher.wake(now)

    def wake_all(self) -> None:
        """Shutdown: everybody answers its client now."""
        for waiting in list(self._waiting.values()):
            for watcher in list(waiting):
                watcher.release()
