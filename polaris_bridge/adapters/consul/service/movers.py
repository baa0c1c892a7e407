"""Who waits for an answer and may become another caller before it comes: by registering, or by leaving."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Scheduler

Watching = Callable[[Callable[[], None]], "Watch"]
"""A watch, of what it is to call."""


class Watch(Protocol):
    """What wakes a blocking read. It fires at most once for each ``arm``, never from within it."""

    def arm(self, since: int) -> None:
        """Fire as soon as something it watches is newer than this revision, soon when it is already."""
        ...

    def cancel(self) -> None:
        """Never fire again."""
        ...


class Movers:
    """Tells those who wait when what they registered changes."""

    def __init__(self, scheduler: Scheduler, since: Callable[[Caller], int]) -> None:
        """``since``: the publication since which a caller may be of another kind."""
        self.scheduler = scheduler
        self.since = since
        self._waiting: dict[str, dict[CallerWatch, None]] = {}
        self._moved: dict[str, None] = {}

    def follow(self, moved: Sequence[str]) -> None:
        """Addresses and connections whose registrations changed (``core.routing.known``). Wakes soon, when all know of it."""
        theirs = [each for each in moved if each in self._waiting]
        if theirs and not self._moved:
            self.scheduler.soon(self._wake)
        self._moved.update(dict.fromkeys(theirs))

    def _wake(self) -> None:
        moved, self._moved = self._moved, {}
        for each in moved:
            for watch in list(self._waiting.get(each, ())):
                watch.fired()

    def enlist(self, who: Iterable[str], watch: CallerWatch) -> None:
        """Tell a watch of changes."""
        for each in who:
            self._waiting.setdefault(each, {})[watch] = None

    def dismiss(self, who: Iterable[str], watch: CallerWatch) -> None:
        """Tell it no more."""
        for each in who:
            here = self._waiting.get(each)
            if here is not None:
                here.pop(watch, None)
                if not here:
                    del self._waiting[each]


class CallerWatch:
    """Fires with a watch of what is waited for, and when who waits registers something else ."""

    __slots__ = ("_armed", "_caller", "_fire", "_movers", "_watch", "_who")

    def __init__(self, movers: Movers, caller: Caller, watch: Watching, fire: Callable[[], None]) -> None:
        """``watch``: makes the other one of what it is to call."""
        self._movers = movers
        self._caller = caller
        self._who = tuple(dict.fromkeys(each for each in (caller.address, caller.client) if each))
        self._fire = fire
        self._armed = False
        self._watch = watch(self.fired)

    def arm(self, since: int) -> None:
        """See ``Watch``."""
        self._armed = True
        self._movers.enlist(self._who, self)
        self._watch.arm(since)
        if self._movers.since(self._caller) > since:
            self._movers.scheduler.soon(self.fired)

    def cancel(self) -> None:
        """See ``Watch``."""
        self._armed = False
        self._movers.dismiss(self._who, self)
        self._watch.cancel()

    def fired(self) -> None:
        """Something changed."""
        if self._armed:
            self._armed = False
            self._movers.dismiss(self._who, self)
            self._fire()
