"""Who subscribes to what, over gRPC and UDP alike: for the lists that operators and consoles ask for."""

from __future__ import annotations

from msgspec import Struct

from .scope import Scope

GRPC = "grpc"
UDP = "udp"

_Where = tuple[str, str, str]
"""Namespace (of the core), group and name."""
_Who = tuple[str, str]
"""Client and clusters."""


class Subscriber(Struct, frozen=True, gc=False):
    """One subscription of one client."""

    client: str
    """Its id: the gRPC connection's, or ``ip:port#true`` of one that is pushed to over UDP."""
    kind: str
    """``GRPC`` or ``UDP``."""
    ip: str
    port: int
    """Where it is connected from; over UDP where it listens."""
    agent: str = ""
    app: str = ""
    cluster: str = ""
    """A comma list; empty: all."""


class Subscribers:
    """All subscriptions of one server."""

    def __init__(self) -> None:
        self._of: dict[_Where, dict[_Who, tuple[Scope, Subscriber]]] = {}
        self._by: dict[str, dict[tuple[_Where, str], None]] = {}
        """By client: where, and with which clusters."""
        self._count = 0

    def add(self, scope: Scope, subscriber: Subscriber) -> None:
        """A subscription begins, or says something new of itself."""
        where = _where(scope)
        here = self._of.setdefault(where, {})
        who = (subscriber.client, subscriber.cluster)
        if who not in here:
            self._count += 1
            self._by.setdefault(subscriber.client, {})[(where, subscriber.cluster)] = None
        here[who] = (scope, subscriber)

    def remove(self, scope: Scope, client: str, cluster: str = "") -> None:
        """A subscription ends."""
        self._remove(_where(scope), (client, cluster))

    def gone(self, client: str) -> None:
        """All subscriptions of a client end."""
        for where, cluster in list(self._by.get(client, ())):
            self._remove(where, (client, cluster))

    def of(self, scope: Scope) -> list[Subscriber]:
        """Who subscribes to a service, oldest first."""
        return [subscriber for _, subscriber in self._of.get(_where(scope), {}).values()]

    def by(self, client: str) -> list[tuple[Scope, Subscriber]]:
        """What a client subscribes to."""
        return [self._of[where][(client, cluster)] for where, cluster in self._by.get(client, ())]

    def clients(self) -> list[str]:
        """Every client that subscribes to something."""
        return list(self._by)

    def scopes(self) -> list[Scope]:
        """Every service that somebody subscribes to."""
        return [next(iter(here.values()))[0] for here in self._of.values()]

    def count(self) -> int:
        """How many subscriptions there are."""
        return self._count

    def _remove(self, where: _Where, who: _Who) -> None:
        here = self._of.get(where)
        if here is None or here.pop(who, None) is None:
            return
        self._count -= 1
        if not here:
            del self._of[where]
        client, cluster = who
        mine = self._by[client]
        del mine[(where, cluster)]
        if not mine:
            del self._by[client]


def _where(scope: Scope) -> _Where:
    return (scope.namespace, scope.group, scope.name)
