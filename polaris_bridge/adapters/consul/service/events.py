"""User events: fired by anybody, kept for a while, listed by those whom they are meant for.

A real agent spreads them by gossip and keeps the last 256 in memory; so does this server, for all the agents that it stands in
for: an event's filters are held against the node of whoever lists, and what stands on it. The index of a list is a
function of its last event's id, which clients compute too (the halves of the id, one XOR the other); ids are chosen so that it
grows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.wire.event import UserEvent
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.model import Registration
from polaris_bridge.core.ports import Ids
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.watching import Watcher, Watches

from .patterns import linear

KEPT: Final = 256
"""Events that an agent keeps."""
MAX_BYTES: Final = 512
"""Of an event on the wire of the gossip, which limits what a real one may be."""
_FRAME: Final = 66
"""Bytes of that besides names, filters and payload."""

_FILTERS: Final = (("node_filter", "node"), ("service_filter", "service"), ("tag_filter", "tag"))

Matcher = Callable[[str], bool]


class _Fired(Struct, frozen=True):
    """An event that is kept, with its filters ready."""

    event: UserEvent
    index: int
    node: Matcher | None
    service: Matcher | None
    tag: Matcher | None

    def meant_for(self, node: NodeKey, standing: Iterable[Registration]) -> bool:
        """Whether an agent of that name, with these services, takes it in."""
        if self.node is not None and not self.node(node.name):
            return False
        service, tag = self.service, self.tag
        if service is None:
            return True
        return any(service(r.service) and (tag is None or any(map(tag, r.tags))) for r in standing)


class EventWatch:
    """Somebody who waits for the next event."""

    __slots__ = ("_events", "_watcher")

    def __init__(self, events: Events, watcher: Watcher) -> None:
        self._events = events
        self._watcher = watcher

    def arm(self, _since: int) -> None:
        """Fire at the next event: revisions of the registry say nothing here."""
        self._watcher.arm(self._events.newest)

    def cancel(self) -> None:
        """Never fire again."""
        self._watcher.cancel()


class Events:
    """The events of all datacenters of a listener."""

    def __init__(
        self, registry: Registry, ids: Ids, standing: Callable[[NodeKey], Iterable[Registration]], most: int = KEPT
    ) -> None:
        """``standing``: the services on a node."""
        self._registry = registry
        self._ids = ids
        self._standing = standing
        self._kept: deque[_Fired] = deque(maxlen=most)
        self._hub = Watches(registry.clock, registry.scheduler, lambda _scope: self.newest)
        self._time = 0
        self.newest = 0
        """The index of the last event."""

    def fire(self, asked: UserEvent) -> UserEvent:
        """Make an event known; as it is told to who fired it. Raises ``Refused`` (500)."""
        if asked.tag_filter and not asked.service_filter:
            raise failed("Cannot provide tag filter without service filter")
        matchers = [_matcher(getattr(asked, field), what) for field, what in _FILTERS]
        if _size(asked) > MAX_BYTES:
            raise failed(f"user event exceeds configured limit of {MAX_BYTES} bytes before encoding")
        index = self._registry.ledger.next_revision()
        self._time += 1
        event = UserEvent(
            _id(self._ids.unique(), index),
            asked.name,
            asked.payload,
            asked.node_filter,
            asked.service_filter,
            asked.tag_filter,
            time=self._time,
        )
        self._kept.append(_Fired(event, index, *matchers))
        self.newest = index
        self._registry.scheduler.soon(self._tell)
        return event

    def listed(self, node: NodeKey, name: str = "") -> tuple[list[UserEvent], int]:
        """The events that a node takes in, oldest first, all or those of a name; and the index of that list, 1 when it is
        empty."""
        standing: list[Registration] | None = None
        found: list[_Fired] = []
        for fired in self._kept:
            if name and fired.event.name != name:
                continue
            if fired.service is not None and standing is None:
                standing = list(self._standing(node))
            if fired.meant_for(node, standing or ()):
                found.append(fired)
        return [fired.event for fired in found], found[-1].index if found else 1

    def watch(self, fire: Callable[[], None]) -> EventWatch:
        """What wakes who waits for an event; not armed yet."""
        return EventWatch(self, self._hub.watcher((None,), fire))

    def _tell(self) -> None:
        self._hub.changed((), beside=True)


def _matcher(pattern: str, what: str) -> Matcher | None:
    if not pattern:
        return None
    try:
        return linear(pattern)
    except ValueError as error:
        raise failed(f"Invalid {what} filter: {error}") from None


def _size(event: UserEvent) -> int:
    texts = (event.name, event.name, event.node_filter, event.service_filter, event.tag_filter)
    return _FRAME + sum(len(each.encode("utf-8", "replace")) for each in texts) + len(event.payload)


def _id(unique: str, index: int) -> str:
    """An id whose halves are apart by the index."""
    low = int(unique[:16], 16)
    return dashed(f"{low:016x}{low ^ index:016x}")


def dashed(digits: str) -> str:
    """32 hexadecimal digits as an id is written."""
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
