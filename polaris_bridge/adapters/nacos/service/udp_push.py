"""Who of the 1.x clients gets lists pushed over UDP, and when: on the first change at once, later ones at most every 50 ms.

A subscription is a list call that names a port; it ends 30 s after the last one. A push that is not acknowledged within 10 s is
sent once more; after that the client is forgotten until its next list call. What does not fit into a datagram is not pushed:
these clients poll anyway.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Generator
from typing import Final

from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.wire.push import packet, welcome
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.watching import Watcher

from .discovery import Discovery
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

    __slots__ = ("address", "ends", "ip", "port", "ref", "retried", "topic")

    def __init__(self, topic: Topic, ip: str, port: int, address: str) -> None:
        self.topic = topic
        self.ip = ip
        """As the client writes it."""
        self.port = port
        self.address = address
        """As sockets write it."""
        self.ends = 0.0
        """Monotonic seconds."""
        self.ref = 0
        """Of the packet that is not acknowledged yet; 0: nothing is waited for."""
        self.retried = False


class Topic:
    """One list that somebody wants: a service and clusters."""

    __slots__ = ("busy", "clusters", "key", "pending", "scope", "subscriptions", "watcher")

    def __init__(self, key: ServiceKey, scope: Scope, clusters: str) -> None:
        self.key = key
        self.scope = scope
        self.clusters = clusters
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
        enabled: Callable[[], bool] = lambda: True,
    ) -> None:
        """``enabled``: whether operators want pushes at all."""
        self._registry = registry
        self._discovery = discovery
        self._subscribers = subscribers
        self._enabled = enabled
        self._slices = Slices(registry.scheduler)
        self._topics: dict[tuple[ServiceKey, str], Topic] = {}
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

    def attach(self, send: Send | None) -> None:
        """Who sends; None: nobody does any more."""
        self._send = send

    def __len__(self) -> int:
        return len(self._order)

    # ------------------------------------------------------------------ subscribing

    def renew(self, scope: Scope, clusters: str, ip: str, port: int, agent: str, app: str = "") -> bool:
        """A list call with a port: begins or prolongs a subscription. False when this client gets no pushes."""
        if self._send is None or not 0 < port < 65536 or not self._enabled():
            return False
        key = (self._discovery.key(scope), clusters)
        topic = self._topics.get(key)
        known = None if topic is None else topic.subscriptions.get((ip, port))
        if known is not None:
            del self._order[known]
        else:
            address = _address(ip) if len(self._order) < MAX_SUBSCRIPTIONS and welcome(agent) else None
            if address is None:
                return False
            if topic is None:
                topic = self._topics[key] = self._watch(Topic(key[0], scope, clusters))
            known = topic.subscriptions[ip, port] = Subscription(topic, ip, port, address)
            self._subscribers.add(scope, Subscriber(_client(ip, port), UDP, ip, port, agent, app, clusters))
            self._registry.scheduler.later(FIRST_S, lambda: self._first(known))
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
        topic = subscription.topic
        del topic.subscriptions[subscription.ip, subscription.port]
        topic.pending.pop(subscription, None)
        if not topic.subscriptions:
            if topic.watcher is not None:
                topic.watcher.cancel()
                topic.watcher = None
            del self._topics[topic.key, topic.clusters]
        self._subscribers.remove(topic.scope, _client(subscription.ip, subscription.port), topic.clusters)

    # ------------------------------------------------------------------ pushing

    def _watch(self, topic: Topic) -> Topic:
        topic.watcher = self._registry.watches.watcher((topic.key,), lambda: self._changed(topic))
        topic.watcher.arm(self._discovery.revision(topic.scope))
        return topic

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
        if discovery.long(topic.scope):
            yield from discovery.prepare(topic.scope)
        if topic.watcher is not None:
            topic.watcher.arm(discovery.revision(topic.scope))
        info = discovery.info(topic.scope, topic.clusters, False, "udp")
        ref = self._next_ref()
        made = yield from packet(info, ref)
        if made is None:
            return
        for count, subscription in enumerate(waiting, 1):
            if subscription in self._order:
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


def _client(ip: str, port: int) -> str:
    """The id of a client that listens there."""
    return f"{ip}:{port}#true"
