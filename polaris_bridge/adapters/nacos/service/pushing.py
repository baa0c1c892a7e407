"""Naming pushes: a service changed, so its gRPC subscribers get its list; one encoding for all who asked for the same.

The first change is told at once, later ones at most each 50 ms a service, and never before everybody heard of the last one, so
a subscriber gets the newest list and no queue builds up. (Nacos 2.5.1 gathers changes for 500 ms.) Who does not answer within
5 s gets the list anew a second later, until it answers or is gone, as from the real server.

A client that has just subscribed is told once more within half a second, as there: Java clients that repeat a subscription
after a reconnect do not look at the answer. For a service that does not exist nothing is pushed: an empty list never comes of
our own restart.

Where rules say what each kind of callers is given, subscribers of one kind get the same bytes. Who turns out to be of another
kind, because of what it registered, is told at once; when rules changed, everybody is looked at before the next telling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Literal, Protocol

from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Registration, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass

from .connections import Connection
from .readers import Readers
from .requests import Requests
from .scope import Scope
from .subscribers import GRPC, Subscriber, Subscribers
from .topics import Topic, Variant

ASK_AGAIN_S: Final = 6.0
"""5 s for an answer, then a second of rest."""
FRESH_S: Final = 0.5
"""After how long a new subscriber is told once more."""
MAX_REST_S: Final = 0.5
"""Sending to everybody takes at most half of the time, but never is there a longer rest than this."""

STRIDE: Final = 64
"""Subscribers that are looked at, when rules changed, before others get their turn."""


class Lists(Protocol):
    """Where lists come from."""

    def told(self, scope: Scope, clusters: str, form: Literal["grpc"], kind: RoutingClass | None, /) -> bytes:
        """The JSON of a service's list, for a kind of callers."""
        ...

    def long(self, scope: Scope, kind: RoutingClass | None, /) -> bool:
        """Whether that should be prepared in slices."""
        ...

    def prepare(self, scope: Scope, kind: RoutingClass | None, /) -> Work:
        """The work of ``told``."""
        ...


class Pushing:
    """All gRPC subscriptions of one listener."""

    def __init__(
        self,
        registry: Registry,
        requests: Requests,
        lists: Lists,
        subscribers: Subscribers,
        readers: Readers,
        key: Callable[[Scope], ServiceKey],
        slices: Slices,
        enabled: Callable[[], bool] = lambda: True,
    ) -> None:
        """``enabled``: an operator's switch. What changes while it is off is told with the next change after that."""
        self._registry = registry
        self._requests = requests
        self._lists = lists
        self._subscribers = subscribers
        self._readers = readers
        self._key = key
        self._slices = slices
        self._enabled = enabled
        self._topics: dict[ServiceKey, Topic] = {}
        self._told_apart: dict[str, dict[Connection, None]] = {}
        """Who subscribes to a service whose lists follow rules, by its id and its addresses."""
        self._moved: dict[Connection, None] = {}
        """Who of them may be of another kind now."""
        self.rounds = 0
        """Changes told, counted by variant."""
        self.told: Callable[[str, float, float], None] | None = None
        """Told of every change that everybody was told of: the protocol that it came through, seconds that the telling took,
        seconds since it was published."""
        registry.observe(self._published)
        readers.moved.append(self._look_at)

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
        kind = self._readers.connected(connection, scope)
        known = self._subscription(connection, topic, scope, clusters)
        if known is not None:
            if known.kind != kind:
                self._move(connection, known, kind)
            return
        variant = self._join(connection, topic, scope, clusters, kind)
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
        exact = self._subscription(connection, topic, scope, clusters)
        if exact is not None:
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
        self._moved.pop(connection, None)
        for name in _names(connection) if self._told_apart else ():
            known = self._told_apart.get(name, {})
            known.pop(connection, None)
            if not known:
                self._told_apart.pop(name, None)

    @staticmethod
    def _subscription(connection: Connection, topic: Topic, scope: Scope, clusters: str) -> Variant | None:
        """What a connection is told of a service, if it subscribed to it."""
        where = scope.group, scope.name, clusters
        plain = topic.variants.get((*where, None))
        if plain is not None and connection in plain.connections:
            return plain
        if topic.ruled is None:
            return None
        return next((v for v in connection.subscriptions or () if v.topic is topic and v.key[:3] == where), None)

    def _join(
        self, connection: Connection, topic: Topic, scope: Scope, clusters: str, kind: RoutingClass | None
    ) -> Variant:
        variant = topic.variants.get((scope.group, scope.name, clusters, kind))
        if variant is None:
            variant = Variant(topic, scope, clusters, kind)
            topic.variants[variant.key] = variant
        variant.connections[connection] = None
        if connection.subscriptions is None:
            connection.subscriptions = {}
        connection.subscriptions[variant] = None
        if kind is not None:
            if topic.ruled is None:
                topic.ruled = self._readers.ruled(topic.key)
            for name in _names(connection):
                self._told_apart.setdefault(name, {})[connection] = None
        return variant

    def _part(self, connection: Connection, variant: Variant) -> None:
        if connection.subscriptions is not None:
            connection.subscriptions.pop(variant, None)
        variant.connections.pop(connection, None)
        if variant.fresh:
            variant.fresh.pop(connection, None)
        if variant.connections:
            return
        for round in variant.rounds:
            round.late = None  # nobody is left to be told again; ``sent`` is still wanted by the topic
        variant.topic.variants.pop(variant.key, None)

    def _leave(self, connection: Connection, variant: Variant) -> None:
        self._part(connection, variant)
        self._subscribers.remove(variant.scope, connection.id, variant.clusters)
        topic = variant.topic
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

    # ------------------------------------------------------------------ kinds of subscribers

    def _move(self, connection: Connection, variant: Variant, kind: RoutingClass | None) -> Variant:
        """A subscriber is of another kind; what it was to be told as the former is not for it any more."""
        after = self._join(connection, variant.topic, variant.scope, variant.clusters, kind)
        for round in variant.rounds:
            round.leave(connection)
        self._part(connection, variant)
        return after

    def _look_at(self, who: Sequence[str]) -> None:
        """Some registered something, or no longer do: soon see what kind of subscribers they are."""
        if not self._told_apart:
            return
        idle = not self._moved
        for name in who:
            self._moved.update(self._told_apart.get(name, {}))
        if idle and self._moved:
            self._registry.scheduler.soon(self._tell_moved)

    def _tell_moved(self) -> None:
        """Who is of another kind gets the list of that at once."""
        moved, self._moved = self._moved, {}
        to_tell: dict[Variant, list[Connection]] = {}
        for connection in moved:
            for variant in list(connection.subscriptions or ()):
                kind = self._readers.connected(connection, variant.scope) if variant.kind is not None else None
                if kind != variant.kind:
                    to_tell.setdefault(self._move(connection, variant, kind), []).append(connection)
        if self._enabled():
            for variant, connections in to_tell.items():
                self._tell(variant, connections)

    def _tells_apart(self, topic: Topic) -> bool:
        """Whether it matters of which kind the subscribers of a service are, or did until now."""
        return topic.ruled is not None or self._readers.on(topic.key)

    def _prepare(self, topic: Topic, scope: Scope, kind: RoutingClass | None) -> Work:
        """The work that comes before everybody is told: of a long list; and, where there are kinds of subscribers, to find who is
        of which, when that may have changed, and to make the list of each."""
        if self._lists.long(scope, kind):
            yield from self._lists.prepare(scope, kind)
        if not self._tells_apart(topic):
            return
        ruled = self._readers.ruled(topic.key) if self._readers.on(topic.key) else None
        if topic.ruled != ruled:
            subscribed = [(v, connection) for v in topic.variants.values() for connection in v.connections]
            for count, (variant, connection) in enumerate(subscribed, 1):
                if connection in variant.connections:
                    kind = self._readers.connected(connection, variant.scope)
                    if kind != variant.kind:
                        self._move(connection, variant, kind)
                if count % STRIDE == 0:
                    yield
            topic.ruled = ruled
        for variant in list(topic.variants.values()):
            self._lists.told(variant.scope, variant.clusters, "grpc", variant.kind)
            yield

    # ------------------------------------------------------------------ telling

    def _changed(self, topic: Topic) -> None:
        """The service is newer than what its subscribers know."""
        any = next(iter(topic.variants.values()))
        if self._lists.long(any.scope, any.kind) or self._tells_apart(topic):
            work = partial(self._prepare, topic, any.scope, any.kind)
            self._slices.run(("push", topic.key), work, lambda _: self._tell_all(topic))
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
        info = self._lists.told(variant.scope, variant.clusters, "grpc", variant.kind)

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


def _names(connection: Connection) -> Iterable[str]:
    """How those who are told that it registered something know it."""
    return {connection.id, connection.host, connection.client_ip} - {""}


def _subscriber(connection: Connection, clusters: str) -> Subscriber:
    return Subscriber(
        connection.id, GRPC, connection.host, connection.port, connection.version, connection.app or "unknown", clusters
    )
