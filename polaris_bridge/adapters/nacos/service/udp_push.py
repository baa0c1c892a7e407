"""Who of the 1.x clients gets lists pushed over UDP, and when: on the first change at once, later ones at most every 50 ms.

A subscription is a list call that names a port; it ends 30 s after the last one. A push that is not acknowledged within 10 s is
sent once more; after that the client is forgotten until its next list call. What does not fit into a datagram is not pushed:
these clients poll anyway.

Where rules say what each kind of callers is given, subscribers of one kind are sent the same packet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator, Sequence
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.wire.push import packet, welcome
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.watching import Watcher

from .discovery import Discovery
from .readers import Reader, Readers
from .scope import Scope
from .subscribers import UDP, Subscriber, Subscribers

LIFE_S: Final = 30.0
"""How long a subscription lasts after the last list call."""
ACK_S: Final = 10.0
"""How long an acknowledgement is waited for."""
FIRST_S: Final = 0.5
"""After a new subscription until the state is pushed for the first time."""
MAX_SUBSCRIPTIONS: Final = 50_000
_AT_ONCE: Final = 32
"""Packets that are sent before others get their turn."""

Send = Callable[[bytes, str, int], None]
"""Sends one packet to an address and port; never blocks nor raises."""


class Subscription:
    """One client's, to one list."""

    __slots__ = ("address", "ends", "ip", "port", "reader", "ref", "retried", "topic")

    def __init__(self, topic: Topic, ip: str, port: int, address: str) -> None:
        self.topic = topic
        self.ip = ip
        """As the client writes it."""
        self.port = port
        self.address = address
        """As sockets write it."""
        self.reader: Reader | None = None
        """Who it is, where kinds of readers are told apart."""
        self.ends = 0.0
        """Monotonic seconds."""
        self.ref = 0
        """Of the packet that is not acknowledged yet; 0: nothing is waited for."""
        self.retried = False


class Topic:
    """One list that somebody wants: a service and clusters, as one kind of readers gets it."""

    __slots__ = ("busy", "clusters", "key", "kind", "pending", "ruled", "scope", "subscriptions", "watcher")

    def __init__(self, key: ServiceKey, scope: Scope, clusters: str, kind: RoutingClass | None) -> None:
        self.key = key
        self.scope = scope
        self.clusters = clusters
        self.kind = kind
        """None: the service's lists follow no rules."""
        self.ruled: object = None
        """What its subscribers were told apart by."""
        self.subscriptions: dict[tuple[str, int], Subscription] = {}
        self.pending: dict[Subscription, None] = {}
        """Who is to be sent the list when the present round is over."""
        self.busy = False
        self.watcher: Watcher | None = None


class UdpPush:
    """The subscriptions of one server."""

    def __init__(
        self,
        registry: Registry,
        discovery: Discovery,
        subscribers: Subscribers,
        readers: Readers,
        enabled: Callable[[], bool] = lambda: True,
    ) -> None:
        """``enabled``: whether operators want pushes at all."""
        self._registry = registry
        self._discovery = discovery
        self._subscribers = subscribers
        self._readers = readers
        self._enabled = enabled
        self._slices = Slices(registry.scheduler)
        self._topics: dict[tuple[ServiceKey, str], dict[RoutingClass | None, Topic]] = {}
        self._told_apart: dict[str, dict[Subscription, None]] = {}
        """Who subscribes to a list that follows rules, by its addresses."""
        self._moved: dict[Subscription, None] = {}
        """Who of them may be of another kind now."""
        self._order: dict[Subscription, None] = {}
        """All of them, by the end of their life."""
        self._unacknowledged: dict[Subscription, float] = {}
        """Who has not acknowledged the newest packet, and until when that is waited for; in this order."""
        self._refs: dict[tuple[str, int, int], Subscription] = {}
        self._ref = 0
        self._send: Send | None = None
        self.pushed = 0
        """Packets sent since the start."""
        self.failed = 0
        """Packets that nobody acknowledged, not even the second time."""
        readers.moved.append(self._look_at)

    def attach(self, send: Send | None) -> None:
        """Who sends; None: nobody does any more."""
        self._send = send

    def __len__(self) -> int:
        return len(self._order)

    # ------------------------------------------------------------------ subscribing

    def renew(
        self,
        scope: Scope,
        clusters: str,
        ip: str,
        port: int,
        agent: str,
        app: str = "",
        reader: Reader | None = None,
    ) -> bool:
        """A list call with a port: begins or prolongs a subscription. False when this client gets no pushes."""
        if self._send is None or not 0 < port < 65536 or not self._enabled():
            return False
        key = self._discovery.key(scope)
        topics = self._topics.get((key, clusters), {})
        known = next((t.subscriptions[ip, port] for t in topics.values() if (ip, port) in t.subscriptions), None)
        kind = None if reader is None else self._readers.kind(reader)
        if known is not None:
            del self._order[known]
            if known.topic.kind != kind:
                self._move(known, kind)
        else:
            address = _address(ip) if len(self._order) < MAX_SUBSCRIPTIONS and welcome(agent) else None
            if address is None:
                return False
            topic = self._topic(key, scope, clusters, kind)
            known = topic.subscriptions[ip, port] = Subscription(topic, ip, port, address)
            self._subscribers.add(scope, Subscriber(_client(ip, port), UDP, ip, port, agent, app, clusters))
            self._registry.scheduler.later(FIRST_S, lambda: self._first(known))
        self._know(known, reader if kind is not None else None)
        known.ends = self._registry.clock.monotonic() + LIFE_S
        self._order[known] = None
        return True

    def sweep(self) -> None:
        """Once a second: end what nobody renewed, send again what nobody acknowledged."""
        now = self._registry.clock.monotonic()
        while self._order:
            oldest = next(iter(self._order))
            if oldest.ends > now:
                break
            self._forget(oldest)
        again: dict[Topic, None] = {}
        while self._unacknowledged:
            subscription, due = next(iter(self._unacknowledged.items()))
            if due > now:
                break
            del self._unacknowledged[subscription]
            if subscription.retried:
                self.failed += 1
                self._forget(subscription)
            else:
                subscription.retried = True
                subscription.topic.pending[subscription] = None
                again[subscription.topic] = None
        for topic in again:
            self._begin(topic)

    def acknowledge(self, address: str, port: int, ref: int) -> None:
        """A client got a packet."""
        subscription = self._refs.pop((address, port, ref), None)
        if subscription is not None and subscription.ref == ref:
            subscription.ref = 0
            subscription.retried = False
            self._unacknowledged.pop(subscription, None)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._order):
            self._forget(subscription)

    def _forget(self, subscription: Subscription) -> None:
        if subscription not in self._order:
            return
        del self._order[subscription]
        self._refs.pop((subscription.address, subscription.port, subscription.ref), None)
        self._unacknowledged.pop(subscription, None)
        subscription.ref = 0
        self._know(subscription, None)
        self._moved.pop(subscription, None)
        self._leave(subscription)
        topic = subscription.topic
        self._subscribers.remove(topic.scope, _client(subscription.ip, subscription.port), topic.clusters)

    def _leave(self, subscription: Subscription) -> None:
        topic = subscription.topic
        del topic.subscriptions[subscription.ip, subscription.port]
        topic.pending.pop(subscription, None)
        if topic.subscriptions:
            return
        if topic.watcher is not None:
            topic.watcher.cancel()
            topic.watcher = None
        topics = self._topics[topic.key, topic.clusters]
        del topics[topic.kind]
        if not topics:
            del self._topics[topic.key, topic.clusters]

    def _topic(self, key: ServiceKey, scope: Scope, clusters: str, kind: RoutingClass | None) -> Topic:
        topics = self._topics.setdefault((key, clusters), {})
        topic = topics.get(kind)
        if topic is None:
            topic = topics[kind] = Topic(key, scope, clusters, kind)
            topic.ruled = None if kind is None else self._readers.ruled(key)
            topic.watcher = self._registry.watches.watcher((key,), lambda: self._changed(topic))
            topic.watcher.arm(self._discovery.revision(scope))
        return topic

    # ------------------------------------------------------------------ kinds of subscribers

    def _know(self, subscription: Subscription, reader: Reader | None) -> None:
        """Note who a subscriber is, for when its kind may have changed."""
        before, subscription.reader = subscription.reader, reader
        if before == reader:
            return
        for name in _names(before):
            known = self._told_apart.get(name, {})
            known.pop(subscription, None)
            if not known:
                self._told_apart.pop(name, None)
        for name in _names(reader):
            self._told_apart.setdefault(name, {})[subscription] = None

    def _move(self, subscription: Subscription, kind: RoutingClass | None) -> None:
        """A subscriber is of another kind."""
        before = subscription.topic
        self._leave(subscription)
        after = subscription.topic = self._topic(before.key, before.scope, before.clusters, kind)
        after.subscriptions[subscription.ip, subscription.port] = subscription

    def _look_at(self, who: Sequence[str]) -> None:
        """Some registered something, or no longer do: soon see what kind of subscribers they are."""
        if not self._told_apart:
            return
        idle = not self._moved
        for name in who:
            self._moved.update(self._told_apart.get(name, {}))
        if idle and self._moved:
            self._registry.scheduler.soon(self._push_moved)

    def _push_moved(self) -> None:
        moved, self._moved = self._moved, {}
        self._slices.run(object(), lambda: self._tell_apart(list(moved)), lambda _: None)

    def _tell_apart(self, subscriptions: list[Subscription]) -> Generator[None, None, None]:
        """Who is of another kind by now is sent the list of that."""
        for count, subscription in enumerate(subscriptions, 1):
            reader = subscription.reader
            if reader is not None and subscription in self._order:
                kind = self._readers.kind(reader)
                if kind != subscription.topic.kind:
                    self._move(subscription, kind)
                    subscription.retried = False
                    subscription.topic.pending[subscription] = None
                    self._begin(subscription.topic)
            if count % _AT_ONCE == 0:
                yield

    # ------------------------------------------------------------------ pushing

    def _changed(self, topic: Topic) -> None:
        topic.pending.update(dict.fromkeys(topic.subscriptions.values()))
        for subscription in topic.pending:
            subscription.retried = False
        self._begin(topic)

    def _first(self, subscription: Subscription) -> None:
        """The state, unless a change has been pushed meanwhile."""
        if subscription in self._order and subscription.ref == 0:
            subscription.topic.pending[subscription] = None
            self._begin(subscription.topic)

    def _begin(self, topic: Topic) -> None:
        if not topic.busy:
            topic.busy = True
            self._slices.run(topic, lambda: self._round(topic), lambda _: self._end(topic))

    def _end(self, topic: Topic) -> None:
        topic.busy = False
        if topic.pending:
            self._begin(topic)

    def _round(self, topic: Topic) -> Generator[None, None, None]:
        """Encode the newest list once and send it to all who wait for it."""
        waiting, topic.pending = topic.pending, {}
        discovery = self._discovery
        if topic.kind is not None:
            ruled = self._readers.ruled(topic.key)
            if ruled != topic.ruled:
                topic.ruled = ruled
                yield from self._tell_apart(list(topic.subscriptions.values()))
        if discovery.long(topic.scope, topic.kind):
            yield from discovery.prepare(topic.scope, topic.kind)
        if topic.watcher is not None:
            topic.watcher.arm(discovery.revision(topic.scope))
        info = discovery.told(topic.scope, topic.clusters, "udp", topic.kind)
        ref = self._next_ref()
        made = yield from packet(info, ref)
        if made is None:
            return
        for count, subscription in enumerate(waiting, 1):
            if subscription in self._order and subscription.topic is topic:
                self._give(subscription, made, ref)
            if count % _AT_ONCE == 0:
                yield

    def _give(self, subscription: Subscription, made: bytes, ref: int) -> None:
        if self._send is None:
            return
        ip, port = subscription.address, subscription.port
        self._refs.pop((ip, port, subscription.ref), None)
        subscription.ref = ref
        self._refs[ip, port, ref] = subscription
        self._unacknowledged.pop(subscription, None)  # the newest packet alone is waited for
        self._unacknowledged[subscription] = self._registry.clock.monotonic() + ACK_S
        self.pushed += 1
        self._send(made, ip, port)

    def _next_ref(self) -> int:
        """Nanoseconds of the monotonic clock, each used once."""
        self._ref = max(self._ref + 1, int(self._registry.clock.monotonic() * 1e9))
        return self._ref


def _address(ip: str) -> str | None:
    """A host's address as sockets write it; None for what is no literal of one: no names are looked up, no groups sent to."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return None
    if address.is_multicast or address.is_unspecified or ip == "255.255.255.255":
        return None
    return str(address)


def _names(reader: Reader | None) -> set[str]:
    """How those who are told that it registered something know it."""
    return set() if reader is None else {reader.caller.address, reader.caller.client} - {""}


def _client(ip: str, port: int) -> str:
    """The id of a client that listens there."""
    return f"{ip}:{port}#true"
