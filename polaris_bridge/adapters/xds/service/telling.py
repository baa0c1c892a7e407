"""All streams of the server: who is told of which change, and when.

A change is told at once when the last one is ``interval_s`` ago, else when that time is over; the streams it concerns are put in
a queue, of which a few are told at a time, so that nobody else waits long. See ``stream`` for what one stream is told.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from msgspec import Struct, field

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.xds.node import Node
from polaris_bridge.adapters.xds.resources import View, World
from polaris_bridge.adapters.xds.translate.nodes import node_of
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.node import read_node
from polaris_bridge.core.ports import Clock, Scheduler

from .audience import Audience, Building
from .runtime import LAYERS
from .steps import Step
from .stream import AT_ONCE, NEVER_LOOKED_AT, Stream
from .subscription import Subscription

log = logging.getLogger(__name__)

INTERVAL_S: Final = 0.05
AT_A_TIME: Final = 64
"""Streams that are told in one go, unless they are told ``AT_ONCE`` octets before."""
SLOW_S: Final = 20.0
"""A client that takes nothing for so long is dropped."""
KEPT_REFUSALS: Final = 100


class Counts(Struct):
    """What happened since the start."""

    pushes: Counter[str] = field(default_factory=Counter)
    """Responses, by type."""
    refused: Counter[str] = field(default_factory=Counter)
    """Responses that clients refused, by type."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Requests for types that are not served, by type; only the first few types are told apart."""
    stale: int = 0
    """Requests that answered to an older response."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Streams that were ended, by reason."""


class Refused(Struct, frozen=True, gc=False):
    """A response that a client refused, for operators. It is kept when the client is gone."""

    node: str
    peer: str
    type: str
    version: str
    text: str
    at_ms: int


class Feed:
    """The streams that see one view."""

    __slots__ = ("_audiences", "changed_by", "changed_s", "dirty", "scheduled", "told_s", "users", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.users = 0
        self.dirty: set[str] = set()
        """Types that changed and were not told."""
        self.changed_s = 0.0
        """Monotonic seconds of the first of these changes..."""
        self.changed_by = ""
        """...and what it came through."""
        self.scheduled = False
        self.told_s = -1e9
        """When the last change was told."""
        self._audiences: dict[str, Audience] = {}

    def audience(self, type_url: str) -> Audience:
        """The subscribers of a type."""
        found = self._audiences.get(type_url)
        if found is None:
            view = LAYERS if type_url == types.RUNTIME else self.view
            found = self._audiences[type_url] = Audience(view, type_url)
        return found

    def known(self, type_url: str) -> Audience | None:
        """The subscribers of a type, if there are some."""
        return self._audiences.get(type_url) or None

    @property
    def oversized(self) -> int:
        """Responses that were larger than what every client takes."""
        return sum(each.oversized for each in self._audiences.values())


class Telling:
    """See the module. One for the whole server."""

    def __init__(
        self,
        make: Callable[[], World],
        clock: Clock,
        scheduler: Scheduler,
        slices: Slices,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """``make`` is called with the first client: a server that has none follows no changes."""
        self.clock = clock
        self.streams: dict[Stream, None] = {}
        self.unread: dict[Stream, tuple[int, float]] = {}
        """Streams that were sent something and may not have taken it: what they owed, and since when."""
        self.counts = Counts()
        self.refusals: deque[Refused] = deque(maxlen=KEPT_REFUSALS)
        """The last ones, oldest first."""
        self.second = 0
        self.origin: Callable[[], str] = lambda: ""
        """What the change that is being published came through."""
        self.told: Callable[[str, float, float], None] | None = None
        """Told of every change that everybody was told of who could be: what it came through, seconds that the telling took,
        seconds since it was published."""
        self._make = make
        self._made: World | None = None
        self._scheduler = scheduler
        self._slices = slices
        self._interval_s = interval_s
        self._feeds: dict[View, Feed] = {}
        self._oversized = 0
        self._queue: deque[Stream | Callable[[], None]] = deque()
        """Streams that are told next; and what is to be done when those before it were."""
        self._draining = False

    # ------------------------------------------------------------------ streams

    def node(self, data: bytes | None) -> Node:
        """Who a client is. ``Malformed`` for what is no node; the default node when it does not say."""
        return Node() if data is None else node_of(read_node(data))

    @property
    def _world(self) -> World:
        if self._made is None:
            self._made = self._make()
            self._made.observe(self._published)
        return self._made

    def enter(self, node: Node) -> Feed:
        """One more stream of such a node."""
        view = self._world.view(node)
        feed = self._feeds.get(view)
        if feed is None:
            feed = self._feeds[view] = Feed(view)
        feed.users += 1
        return feed

    def leave(self, feed: Feed) -> None:
        """One stream less."""
        feed.users -= 1
        if not feed.users:
            self._oversized += feed.oversized
            self._feeds.pop(feed.view, None)
        self._world.release(feed.view)

    @property
    def oversized(self) -> int:
        """Responses that were larger than what every client takes."""
        return self._oversized + sum(feed.oversized for feed in self._feeds.values())

    @property
    def views(self) -> int:
        """Views that somebody sees."""
        return len(self._feeds)

    # ------------------------------------------------------------------ changes

    def _published(self, view: View, type_urls: Collection[str]) -> None:
        feed = self._feeds.get(view)
        if feed is None:
            return
        if not feed.dirty:
            feed.changed_s, feed.changed_by = self.clock.monotonic(), self.origin()
        feed.dirty.update(type_urls)
        if feed.scheduled or not feed.dirty:
            return
        feed.scheduled = True
        rest = feed.told_s + self._interval_s - self.clock.monotonic()
        if rest <= 0:
            self._scheduler.soon(partial(self._tell, feed))
        else:
            self._scheduler.later(rest, partial(self._tell, feed))

    def _tell(self, feed: Feed) -> None:
        """Find out whom the changes concern."""
        feed.scheduled = False
        feed.told_s = self.clock.monotonic()
        dirty, feed.dirty = feed.dirty, set()
        before = len(self._queue)
        for type_url in dirty:
            audience = feed.known(type_url)
            if audience is None:
                continue
            names = audience.view.changed(type_url, audience.at)
            audience.at = audience.view.stamp(type_url)
            for group in audience.concerned(names):
                for sub in group.members:
                    sub.dirty = True
                    self.queue(sub.stream)
        if self.told is not None and len(self._queue) > before:
            by, began, changed = feed.changed_by, feed.told_s, feed.changed_s
            told, now = self.told, self.clock.monotonic
            self._queue.append(lambda: told(by, now() - began, now() - changed))

    def queue(self, stream: Stream) -> None:
        """Tell a stream what it may be told, soon."""
        if stream.queued:
            return
        stream.queued = True
        self._queue.append(stream)
        if not self._draining:
            self._draining = True
            self._scheduler.soon(self._drain)

    def later(self, run: Callable[[], None]) -> None:
        """Run something soon."""
        self._scheduler.soon(run)

    def _drain(self) -> None:
        queue = self._queue
        sent = 0
        for _ in range(min(AT_A_TIME, len(queue))):
            stream = queue.popleft()
            if not isinstance(stream, Stream):
                stream()
                continue
            stream.queued = False
            try:
                sent += stream.push()
            except Exception:  # one stream's fault is not that of those behind it
                log.exception("xds: telling %s failed", stream.node and stream.node.id)
                stream.drop("internal error")
            if sent >= AT_ONCE:
                break
        if queue:
            self._scheduler.soon(self._drain)
        else:
            self._draining = False

    def build(self, stream: Stream, sub: Subscription, building: Building) -> None:
        """Have done what a stream waits for, in slices. A change meanwhile is told when that was."""
        sub.building = True

        def done(step: Step | None) -> None:
            sub.building = False
            if stream not in self.streams:
                return
            if step is None:  # the reason is in the log
                self.dropped("failed")
                stream.drop("internal error")
                return
            sub.prepared = building.key, step
            self.queue(stream)

        self._slices.run((sub.audience, *building.key), lambda: building.work, done)

    # ------------------------------------------------------------------ what happens

    def sent(self, stream: Stream, sub: Subscription, responses: int) -> None:
        """A stream was sent responses of a type."""
        self.counts.pushes[types.SHORT[sub.audience.type_url]] += responses
        self.unread.setdefault(stream, NEVER_LOOKED_AT)

    def refused(self, stream: Stream, sub: Subscription) -> None:
        """A client refused a response."""
        refusal, kind = sub.refusal, types.SHORT[sub.audience.type_url]
        assert refusal is not None
        assert stream.node is not None
        self.counts.refused[kind] += 1
        node = stream.node.id
        self.refusals.append(Refused(node, stream.peer, kind, refusal.version, refusal.text, refusal.at_ms))
        log.warning("xds: %s at %s refuses %s version %s: %s", node, stream.peer, kind, refusal.version, refusal.text)

    def unknown(self, type_url: str) -> None:
        """A client asks for what is not served: it gets no answer, and keeps its stream."""
        unknown = self.counts.unknown
        name = type_url[:200] if type_url in unknown or len(unknown) < 20 else "others"
        if name not in unknown:
            log.info("xds: somebody asks for %s, which is not served", name or "no type")
        unknown[name] += 1

    def dropped(self, reason: str) -> None:
        """A stream was ended by us."""
        self.counts.dropped[reason] += 1

    def sweep(self) -> None:
        """Once a second: drop those who read nothing."""
        self.second += 1
        now = self.clock.monotonic()
        for stream, (owed, since_s) in list(self.unread.items()):
            backlog = stream.backlog
            if not backlog:
                del self.unread[stream]
            elif backlog != owed:
                self.unread[stream] = (backlog, now)
            elif now - since_s >= SLOW_S:
                del self.unread[stream]
                self.dropped("slow_reader")
                log.warning("xds: %s at %s did not read for %g s", stream.node and stream.node.id, stream.peer, SLOW_S)
                stream.drop(f"{backlog} bytes were not read for {SLOW_S:g} s")
