"""The routed services of a namespace in one answer: callers are told apart by all that the rules about any of them look at."""

from __future__ import annotations

from ..model import Caller, ServiceKey
from .classes import Concern, RoutingClass, class_of
from .discovery import DiscoveryRouting
from .model import ANY
from .subset import Subset


class Scope:
    """The services of one namespace that answers of one listener route."""

    def __init__(self, routing: DiscoveryRouting, namespace: str, switched: bool) -> None:
        """``switched``: whether the listener routes services that do not say so themselves."""
        self._routing = routing
        self._namespace = namespace
        self._switched = switched
        self._generation = -1
        self._ruled: frozenset[ServiceKey] = frozenset()
        self._concern = Concern((), ())
        self._near = False

    @property
    def generation(self) -> int:
        """Moves when other services are routed, or other rules are about them."""
        return self._routing.generation

    def kind_of(self, caller: Caller) -> RoutingClass:
        """What kind of caller somebody is for all of them. Equal kinds are one object."""
        self._keep_up()
        known = self._routing.known.who(caller)
        found = known.kinds.get(self)
        if found is None or found[0] != self._generation:
            calling = self._routing.rules_of(known.who.service)
            counted = calling if calling is not None and calling.sends else None
            kind = class_of(self._concern, counted, known.who, near=self._near)
            found = known.kinds[self] = self._generation, self._routing.one(kind)
        return found[1]

    def reach(self, kind: RoutingClass) -> frozenset[ServiceKey] | None:
        """The services of which a kind of callers may not be given the whole; None: any."""
        self._keep_up()
        nothing, calling = self._routing.rules.nothing, self._routing.rules_of(kind.service)
        if any(key in nothing.keys for key, _ in kind.labels):
            return None
        if calling is None or not calling.sends:
            return self._ruled
        named = self._routing.reach(calling)
        if named is None or any(ANY in name for name in named):
            return None
        return self._ruled | {ServiceKey(*name) for name in named}

    def subset(self, service: ServiceKey, kind: RoutingClass) -> Subset | None:
        """What a kind of callers is given of a service; None: it is not routed."""
        routing = self._routing
        if not routing.on(service, self._switched):
            return None
        return routing.subset(service, routing.narrow(service, kind))

    def _keep_up(self) -> None:
        routing = self._routing
        generation = routing.generation
        if generation == self._generation:
            return
        self._generation = generation
        self._ruled = frozenset(key for key in routing.ruled(self._namespace) if routing.on(key, self._switched))
        keys = dict.fromkeys(routing.rules.nothing.keys)
        callers: dict[tuple[str, str], None] = {}
        self._near = False
        for key in self._ruled:
            callee = routing.rules.of(key)
            keys.update(dict.fromkeys(callee.keys))
            callers.update(dict.fromkeys(callee.callers))
            self._near = self._near or routing.near(key, callee)
        self._concern = Concern(tuple(keys), tuple(callers))
