"""Naming pushes: a service changed, so its gRPC subscribers get its list; one encoding for all who asked for the same.

The first change is told at once, later ones at most each 50 ms a service, and never before everybody heard of the last one, so
a subscriber gets the newest list and no queue builds up. (Nacos 2.5.1 gathers changes for 500 ms.) Who does not answer within
5 s gets the list anew a second later, until it answers or is gone, as from the real server.

A client that has just subscribed is told once more within half a second, as there: Java clients that repeat a subscription
after a reconnect do not look at the answer. For a service that does not exist nothing is pushed: an empty list never comes of
our own restart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal, Protocol

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Registration, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.watching import Watcher

from .connections import Connection
from .requests import Requests, Round
from .scope import Scope
from .subscribers import GRPC, Subscriber, Subscribers

ASK_AGAIN_S: Final = 6.0
"""5 s for an answer, then a second of rest."""
FRESH_S: Final = 0.5
"""After how long a new subscriber is told once more."""
MAX_REST_S: Final = 0.5
"""Sending to everybody takes at most half of the time, but never is there a longer rest than this."""

_Key = tuple[str, str, str]


class Lists(Protocol):
    """Where lists come from."""

    def info(self, scope: Scope, clusters: str, healthy_only: bool, form: Literal["grpc"], /) -> bytes:
        """The JSON of a service's list."""
        ...

    def long(self, scope: Scope, /) -> bool:
        """Whether that should be prepared in slices."""
        ...

    def prepare(self, scope: Scope, /) -> Work:
        """The work of ``info``."""
        ...


class Variant:
    """The subscribers of one service who get the same bytes."""

    __slots__ = ("clusters", "connections", "fresh", "rounds", "scope", "topic")

    def __init__(self, topic: Topic, scope: Scope, clusters: str) -> None:
        self.topic = topic
        self.scope = scope
        self.clusters = clusters
        self.connections: dict[Connection, None] = {}
        self.fresh: dict[Connection, None] | None = None
        """Who has subscribed just now; None: nobody, and no timer runs."""
        self.rounds: list[Round] = []
        """Under way."""

    @property
    def key(self) -> _Key:
        """What makes it one."""
        return self.scope.group, self.scope.name, self.clusters


class Topic:
    """One service of the core that somebody subscribes to."""

    __slots__ = ("changed_at", "changed_by", "key", "seen", "to_tell", "variants", "watcher")

    def __init__(self, key: ServiceKey) -> None:
        self.key = key
        self.variants: dict[_Key, Variant] = {}
        self.watcher: Watcher | None = None
        self.seen = 0
        """The revision that subscribers know, or are being told."""
        self.to_tell = 0
        """Variants whose subscribers are being told."""
        self.changed_at = 0.0
        """Monotonic seconds of the first change that nobody was told of yet; 0: there is none."""
        self.changed_by = ""
        """The protocol that it came through."""


class Pushing:
    """All gRPC subscriptions of one listener."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        lists: Lists,
        subscribers: Subscribers,
        key: Callable[[Scope], ServiceKey],
        slices: Slices,
        enabled: Callable[[], bool] = lambda: True,
    ) -> None:
        """``enabled``: an operator's switch. What changes while it is off is told with the next change after that."""
        self._registry = registry
        self._requests = requests
        self._lists = lists
        self._subscribers = subscribers
        self._key = key
        self._slices = slices
        self._enabled = enabled
        self._topics: dict[ServiceKey, Topic] = {}
        self.rounds = 0
        """Changes told, counted by variant."""
        self.told: Callable[[str, float, float], None] | None = None
        """Told of every change that everybody was told of: the protocol that it came through, seconds that the telling took,
        seconds since it was published."""
        registry.observe(self._published)

    def _published(self, published: Published) -> None:
        topics = self._topics
        if not topics:
            return
        for change in published.changes:
            topic = topics.get(change.service)
            if topic is not None and not topic.changed_at:
                topic.changed_at = self._registry.clock.monotonic()
                address = change.after if change.after is not None and change.after.registrations else change.before
                if address is not None and address.registrations:
                    topic.changed_by = max(address.registrations, key=_seq).source

    def __len__(self) -> int:
        """Services that somebody subscribes to."""
        return len(self._topics)

    def watches(self, key: ServiceKey) -> bool:
        """Whether somebody subscribes to a service of the core."""
        return key in self._topics

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, connection: Connection, scope: Scope, clusters: str) -> None:
        """A connection wants to know of a service; a second time nothing changes. The caller answers with the list."""
        topic = self._topic(self._key(scope))
        variant = topic.variants.get((scope.group, scope.name, clusters))
        if variant is None:
            variant = Variant(topic, scope, clusters)
            topic.variants[variant.key] = variant
        if connection in variant.connections:
            return
        variant.connections[connection] = None
        if connection.subscriptions is None:
            connection.subscriptions = {}
        connection.subscriptions[variant] = None
        self._subscribers.add(scope, _subscriber(connection, clusters))
        if variant.fresh is None:
            variant.fresh = {}
            self._registry.scheduler.later(FRESH_S, partial(self._tell_fresh, variant))
        variant.fresh[connection] = None

    def unsubscribe(self, connection: Connection, scope: Scope, clusters: str) -> None:
        """No more. With other clusters than any subscription has, all subscriptions to the service end: the real server
        (2.5.1) has one a client and service, whatever the clusters."""
        topic = self._topics.get(self._key(scope))
        if topic is None or not connection.subscriptions:
            return
        exact = topic.variants.get((scope.group, scope.name, clusters))
        if exact is not None and connection in exact.connections:
            self._leave(connection, exact)
            return
        for variant in [v for v in connection.subscriptions if v.topic is topic]:
            if (variant.scope.group, variant.scope.name) == (scope.group, scope.name):
                self._leave(connection, variant)

    def gone(self, connection: Connection) -> None:
        """A client is gone, and all its subscriptions with it."""
        for variant in list(connection.subscriptions or ()):
            self._leave(connection, variant)
        connection.subscriptions = None

    def _leave(self, connection: Connection, variant: Variant) -> None:
        if connection.subscriptions is not None:
            connection.subscriptions.pop(variant, None)
        variant.connections.pop(connection, None)
        if variant.fresh:
            variant.fresh.pop(connection, None)
        self._subscribers.remove(variant.scope, connection.id, variant.clusters)
        if variant.connections:
            return
        for round in variant.rounds:
            round.late = None  # nobody is left to be told again; ``sent`` is still wanted by the topic
        topic = variant.topic
        topic.variants.pop(variant.key, None)
        if not topic.variants and topic.watcher is not None:
            topic.watcher.cancel()
            topic.watcher = None
            self._topics.pop(topic.key, None)

    def _topic(self, key: ServiceKey) -> Topic:
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = Topic(key)
            topic.watcher = self._registry.watches.watcher((key,), partial(self._changed, topic))
            topic.seen = self._registry.revision_of(key)
            topic.watcher.arm(topic.seen)
        return topic

    # ------------------------------------------------------------------ telling

    def _changed(self, topic: Topic) -> None:
        """The service is newer than what its subscribers know."""
        scope = next(iter(topic.variants.values())).scope
        if self._lists.long(scope):
            self._slices.run(("push", topic.key), lambda: self._lists.prepare(scope), lambda _: self._tell_all(topic))
        else:
            self._tell_all(topic)

    def _tell_all(self, topic: Topic) -> None:
        if topic.watcher is None:
            return
        topic.seen = self._registry.revision_of(topic.key)
        if not self._enabled():
            topic.watcher.arm(topic.seen)
            return
        began = self._registry.clock.monotonic()
        changed, by = topic.changed_at or began, topic.changed_by
        topic.changed_at = 0.0
        topic.to_tell = len(topic.variants)
        for variant in list(topic.variants.values()):
            for old in variant.rounds:
                self._requests.drop(old)
            variant.rounds = []
            if variant.fresh:
                variant.fresh.clear()
            self.rounds += 1
            self._tell(variant, list(variant.connections), sent=partial(self._told, topic, began, changed, by))

    def _told(self, topic: Topic, began: float, changed: float, by: str) -> None:
        """Everybody who gets the same bytes has them. The next change may be told when all have theirs, and others who want
        something of this server had as much time as this has taken."""
        topic.to_tell -= 1
        if topic.to_tell > 0 or topic.watcher is None:
            return
        now = self._registry.clock.monotonic()
        if self.told is not None:
            self.told(by, now - began, now - changed)
        rest = min(now - began, MAX_REST_S)
        if rest < 0.001:
            topic.watcher.arm(topic.seen)
        else:
            self._registry.scheduler.later(rest, partial(self._rested, topic))

    def _rested(self, topic: Topic) -> None:
        if topic.watcher is not None:
            topic.watcher.arm(topic.seen)

    def _tell_fresh(self, variant: Variant) -> None:
        fresh, variant.fresh = variant.fresh, None
        if fresh and self._enabled() and self._exists(variant.topic.key):
            self._tell(variant, list(fresh))

    def _again(self, variant: Variant, silent: list[Connection]) -> None:
        """Some have not answered."""
        still = [connection for connection in silent if connection in variant.connections]
        if still:
            self._tell(variant, still)

    def _tell(self, variant: Variant, to: list[Connection], sent: Callable[[], None] | None = None) -> None:
        info = self._lists.info(variant.scope, variant.clusters, False, "grpc")

        def body(number: bytes) -> bytes:
            return b'{"headers":{},"requestId":"%b","serviceInfo":%b,"module":"naming"}' % (number, info)

        variant.rounds = [round for round in variant.rounds if round.waiting or round.clients]
        again = partial(self._again, variant)
        variant.rounds.append(
            self._requests.begin("NotifySubscriberRequest", body, to, timeout_s=ASK_AGAIN_S, late=again, sent=sent)
        )

    def _exists(self, key: ServiceKey) -> bool:
        snapshot = self._registry.snapshot(key)
        return snapshot.record is not None or bool(snapshot.addresses)


def _seq(r: Registration) -> int:
    return r.seq


def _subscriber(connection: Connection, clusters: str) -> Subscriber:
    return Subscriber(
        connection.id, GRPC, connection.host, connection.port, connection.version, connection.app or "unknown", clusters
    )
