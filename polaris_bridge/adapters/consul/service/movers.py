"""Who waits for an answer and may become another caller before it comes: by registering, or by leaving."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.view import nodes_of
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .askers import Askers

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


Sign = str | NodeKey
"""Of whom something is told: an address or a connection (``core.routing.known``), or a node, folded."""


class Movers:
    """Tells those who wait when what they registered changes."""

    def __init__(self, registry: Registry, routing: DiscoveryRouting, askers: Askers) -> None:
        self.scheduler = registry.scheduler
        self._routing = routing
        self._askers = askers
        self._waiting: dict[Sign, dict[CallerWatch, None]] = {}
        self._moved: dict[Sign, None] = {}
        routing.known.followers.append(self._follow)
        registry.observe(self._published)

    def since(self, caller: Caller) -> int:
        """The publication since which a caller may be of another kind."""
        return max(self._routing.moved(caller), self._askers.turned(caller))

    def signs(self, caller: Caller) -> tuple[Sign, ...]:
        """By what a caller is told of."""
        found: tuple[Sign | None, ...] = (caller.address, caller.client, self._askers.node(caller))
        return tuple(dict.fromkeys(sign for sign in found if sign))

    def _published(self, published: Published) -> None:
        """A service of somebody's node may be somewhere else."""
        if self._waiting:
            for change in published.changes:
                self._follow(nodes_of(change.before) | nodes_of(change.after))

    def _follow(self, moved: Iterable[Sign]) -> None:
        """Wake soon, when everybody knows of it."""
        theirs = [each for each in moved if each in self._waiting]
        if theirs and not self._moved:
            self.scheduler.soon(self._wake)
        self._moved.update(dict.fromkeys(theirs))

    def _wake(self) -> None:
        moved, self._moved = self._moved, {}
        for each in moved:
            for watch in list(self._waiting.get(each, ())):
                watch.fired()

    def enlist(self, signs: Iterable[Sign], watch: CallerWatch) -> None:
        """Tell a watch of changes."""
        for each in signs:
            self._waiting.setdefault(each, {})[watch] = None

    def dismiss(self, signs: Iterable[Sign], watch: CallerWatch) -> None:
        """Tell it no more."""
        for each in signs:
            here = self._waiting.get(each)
            if here is not None:
                here.pop(watch, None)
                if not here:
                    del self._waiting[each]


class CallerWatch:
    """Fires with a watch of what is waited for, and when who waits registers something else."""

    __slots__ = ("_armed", "_caller", "_fire", "_movers", "_signs", "_watch")

    def __init__(self, movers: Movers, caller: Caller, watch: Watching, fire: Callable[[], None]) -> None:
        """``watch``: makes the other one of what it is to call."""
        self._movers = movers
        self._caller = caller
        self._signs = movers.signs(caller)
        self._fire = fire
        self._armed = False
        self._watch = watch(self.fired)

    def arm(self, since: int) -> None:
        """See ``Watch``."""
        self._armed = True
        self._movers.enlist(self._signs, self)
        self._watch.arm(since)
        if self._movers.since(self._caller) > since:
            self._movers.scheduler.soon(self.fired)

    def cancel(self) -> None:
        """See ``Watch``."""
        self._armed = False
        self._movers.dismiss(self._signs, self)
        self._watch.cancel()

    def fired(self) -> None:
        """Something changed."""
        if self._armed:
            self._armed = False
            self._movers.dismiss(self._signs, self)
            self._fire()
