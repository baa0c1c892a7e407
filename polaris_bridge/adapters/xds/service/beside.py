"""What an Envoy is sent for the service beside it: where it takes calls, and how it hands them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.clusters import Care, eds_cluster, http2, inbound_cluster
from polaris_bridge.adapters.xds.translate.hosts import host_json
from polaris_bridge.adapters.xds.translate.listeners import (
    LOCAL_LIMIT,
    Filters,
    Socket,
    inbound_name,
    outbound_name,
    socket_listener,
)
from polaris_bridge.adapters.xds.translate.names import PASSTHROUGH, domain, inbound, inbound_routes, outbound_routes
from polaris_bridge.adapters.xds.translate.packing import packed
from polaris_bridge.adapters.xds.translate.routes import envoy_route, fetching
from polaris_bridge.adapters.xds.translate.rules.breaking import thresholds
from polaris_bridge.adapters.xds.translate.rules.limits import NO_LIMITS, Limits
from polaris_bridge.adapters.xds.wire import assignments, types
from polaris_bridge.core.model import NORMAL_WEIGHT, ServiceKey

from .audiences import Reader
from .called import Called
from .changes import Log
from .making import Maker
from .services import Services, Turn
from .spaces import Space

TYPES: Final = (types.CLUSTER, types.ASSIGNMENT, types.LISTENER, types.ROUTES)
HERE: Final = "127.0.0.1"
LIMITER: Final = ServiceKey("Polaris", "polaris.limiter")
"""Who counts calls for all: the server's own, which registers there."""
LIMITER_CLUSTER: Final = "polaris-limiter"
Json = dict[str, Any]


class Beside:
    """The resources of one kind of Envoys that are theirs alone. There are few: all are made together."""

    def __init__(self, reader: Reader, space: Space, services: Services, maker: Maker, now: int) -> None:
        self.logs = {type_url: Log(now) for type_url in TYPES}
        self._reader = reader
        self._space = space
        self._services = services
        self._maker = maker
        self._made: dict[str, dict[str, Resource]] | None = None
        self._ports: tuple[int, ...] | None = None

    def all(self, type_url: str) -> Mapping[str, Resource]:
        """Those of a type, by name."""
        if self._made is None:
            self._made = self._make()
        return self._made.get(type_url, {})

    def follow(self, turns: Mapping[ServiceKey, Turn], now: int) -> set[str]:
        """What changed; which types that concerns."""
        if self._made is None or not self._concerns(turns):
            return set()
        before, self._made = self._made, self._make()
        changed: set[str] = set()
        for type_url, now_made in self._made.items():
            names = {
                name
                for name in {*before[type_url], *now_made}
                if before[type_url].get(name) is None
                or now_made.get(name) is None
                or before[type_url][name].version != now_made[name].version
            }
            self.logs[type_url].add(now, names)
            if names:
                changed.add(type_url)
        return changed

    def _concerns(self, turns: Mapping[ServiceKey, Turn]) -> bool:
        if not self._reader.limiter and LIMITER in turns:
            return True
        service = self._reader.service
        if service is None:
            return False
        if self._reader.gateway:
            return any(turn.shape or turn.existence for turn in turns.values())
        concerned = (turns.get(key) for key in dict.fromkeys((service, self._services.own(service) or service)))
        return any(turn is not None and (turn.shape or turn.existence) for turn in concerned)

    # ------------------------------------------------------------------ making

    def _make(self) -> dict[str, dict[str, Resource]]:
        found: dict[str, dict[str, Resource]] = {type_url: {} for type_url in TYPES}
        service = self._reader.service
        limits = NO_LIMITS if service is None else self._limited(service)
        if self._reader.gateway:
            self._keep(found, types.ROUTES, self._handed_on(service, limits))
        elif service is not None:
            ports = self._service_ports(service)
            for port in self._separate(ports):
                self._keep(found, types.CLUSTER, self._cluster(service, port, limits))
                assignment = self._assignment(service, port, ports)
                found[types.ASSIGNMENT][assignment.name] = assignment
                self._keep(found, types.ROUTES, self._routes(service, port, limits))
        if service is not None and not self._reader.limiter and self._counted():
            self._keep(found, types.CLUSTER, http2(eds_cluster(LIMITER_CLUSTER)))
            counting = self._services.get(LIMITER)
            if counting is not None:
                found[types.ASSIGNMENT][LIMITER_CLUSTER] = counting.named_assignment(LIMITER_CLUSTER)
        for listener in self._listeners():
            self._keep(found, types.LISTENER, listener)
        return found

    def _keep(self, found: dict[str, dict[str, Resource]], type_url: str, content: Json) -> None:
        name = content["name"]
        made = self._maker.make(type_url, name, content, (self._reader, name))
        if made is not None:
            found[type_url][name] = made

    def _service_ports(self, service: ServiceKey) -> tuple[int, ...]:
        """Of the service as it is registered; else those that the node names."""
        target = self._services.own(service)
        called = None if target is None else self._services.get(target)
        return (called.ports if called is not None else ()) or self._reader.bind_ports

    @staticmethod
    def _separate(ports: tuple[int, ...]) -> tuple[int, ...]:
        """What has a cluster: 0 is all of the service, or its first port where each has a cluster of its own."""
        return (0, *ports) if len(ports) > 1 else (0,)

    def _limited(self, service: ServiceKey) -> Limits:
        """How many calls the service beside it takes."""
        called = self._services.named(service)
        limits = called.limits(limiter=self._counted())
        called.tell_limits(limits)
        return limits

    def _counted(self) -> bool:
        """Whether there is somebody who counts for all."""
        counting = self._services.get(LIMITER)
        return bool(self._reader.limiter) or (counting is not None and counting.size > 0)

    @staticmethod
    def _cluster(service: ServiceKey, port: int, limits: Limits) -> Json:
        return inbound_cluster(service, port, Care(thresholds=thresholds(limits.at_once)))

    @staticmethod
    def _assignment(service: ServiceKey, port: int, ports: tuple[int, ...]) -> Resource:
        name = inbound(service, port)
        used = (port,) if port else ports[:1]
        here = tuple(assignments.endpoint(HERE, each, NORMAL_WEIGHT, healthy=True, metadata={}) for each in used)
        places = (assignments.Locality("", "", "", 0, NORMAL_WEIGHT, here),) if here else ()
        return packed(types.ASSIGNMENT, name, assignments.assignment(name, places))

    def _table(self, service: ServiceKey, port: int) -> str:
        name = inbound_routes(service, demand=self._reader.demand)
        return f"{name}|{port}" if port else name

    def _routes(self, service: ServiceKey, port: int, limits: Limits) -> Json:
        action: Json = {"cluster": inbound(service, port), "timeout": "0s"}
        route: Json = {"match": {"prefix": "/"}, "route": action}
        if limits.rate_limits:
            action["rate_limits"] = list(limits.rate_limits)
        if limits.local is not None:
            route["typed_per_filter_config"] = {LOCAL_LIMIT: limits.local}
        more = fetching(self._reader.demand_source if self._reader.demand else "")
        host = host_json(inbound(service, port), ["*"], [route], more)
        return {"name": self._table(service, port), "virtual_hosts": [host], "validate_clusters": False}

    def _handed_on(self, service: ServiceKey | None, limits: Limits) -> Json:
        """What a gateway does with calls: by its rules, else to where they were going."""
        routes: list[Json] = []
        if service is not None:
            plan = self._services.named(service).handed_on(self._seen)
            routes = [envoy_route(service, way) for way in plan.ways]
        routes.append({"match": {"prefix": "/"}, "route": {"cluster": PASSTHROUGH, "timeout": "0s"}})
        more: Json = {}
        if limits.rate_limits:
            more["rate_limits"] = list(limits.rate_limits)
        if limits.local is not None:
            more["typed_per_filter_config"] = {LOCAL_LIMIT: limits.local}
        host = host_json("gateway-virtualhost", ["*"], routes, more)
        name = outbound_routes(self._reader.namespace, gateway=True)
        return {"name": name, "virtual_hosts": [host], "validate_clusters": False}

    def _seen(self, key: ServiceKey) -> Called | None:
        """A service that a gateway may hand calls on to."""
        self._space.look(key)
        target = self._space.shown.get(key)
        return self._services.get(target) if target == key else None

    def _filters(self) -> Filters:
        """Those that count are there before there are limits: a listener that changes leaves connections as they were, and what
        counts on them comes with the routes."""
        reader = self._reader
        return Filters(
            domain=domain(reader.service) if reader.service is not None and self._counted() else "",
            limiter=reader.limiter or LIMITER_CLUSTER,
            local=reader.service is not None,
            demand=reader.demand,
        )

    def _listeners(self) -> Iterator[Json]:
        reader, service = self._reader, self._reader.service
        table = outbound_routes(reader.namespace, demand=reader.demand, gateway=reader.gateway)
        filters = self._filters() if reader.gateway else Filters(demand=reader.demand)
        port = reader.outbound_port
        yield socket_listener(
            Socket(outbound_name(port), port, table, reader.address, redirected=reader.redirected, filters=filters)
        )
        if service is None or reader.gateway:
            return
        port = reader.inbound_port
        ports = self._service_ports(service)
        tables = tuple((each, self._table(service, each)) for each in ports) if len(ports) > 1 else ()
        if len(ports) == 1:
            tables = ((ports[0], self._table(service, 0)),)
        yield socket_listener(
            Socket(
                inbound_name(service, port),
                port,
                self._table(service, 0),
                reader.address,
                inbound=True,
                tls_mode=reader.tls_mode,
                redirected=reader.redirected,
                filters=self._filters(),
            ),
            tables,
        )
