"""An Envoy's own instances: registered when it offers to check them, kept alive by its reports.

What it finds healthy has its lease renewed; what it finds unhealthy is critical at once, until it says otherwise; what drains
is deregistered. polaris-server forgets who the Envoy is with the first report, so its instances are lost after three TTLs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import structs

from polaris_bridge.adapters.xds.node import Node
from polaris_bridge.adapters.xds.translate.health import (
    DELETE_MS,
    Offer,
    lease_of,
    offers_of,
    registration_of,
    specifier,
)
from polaris_bridge.adapters.xds.translate.keys import SOURCE
from polaris_bridge.adapters.xds.wire import messages
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import CRITICAL, Caller, Checks, Registration
from polaris_bridge.core.registry import Registry

CHECK: Final = "envoy"
"""The name of the check that an Envoy makes."""

HEALTHY, UNHEALTHY, DRAINING, TIMEOUT, DEGRADED = 1, 2, 3, 4, 5
"""``envoy.config.core.v3.HealthStatus``."""


class Stranger(Exception):
    """A report before the request that says who it is of."""


class Standing:
    """The instances that one Envoy keeps alive, by the name of their cluster."""

    def __init__(self, registry: Registry, node: Node, said: Mapping[str, str], caller: Caller) -> None:
        """``said``: the metadata of the node. Raises ``ValueError`` when it cannot be read."""
        self._registry = registry
        self._node = node
        self._caller = caller
        self._offers: dict[str, Offer] = {}
        self._made: dict[str, Registration] = {}
        if node.ip:
            for offer in offers_of(node):
                self._offers[offer.cluster] = offer
                self._made[offer.cluster] = registration_of(node, offer, said)
        elif offers_of(node):
            raise ValueError(f"the node id {node.id!r} has no address: it has to end with ~ and an address")

    @property
    def services(self) -> frozenset[str]:
        """The names of the services that are offered."""
        return frozenset(offer.service for offer in self._offers.values())

    def register(self) -> list[Commit]:
        """Register everything. Raises errors of the core."""
        return [self._registry.register(made, self._caller).commit for made in self._made.values()]

    def specifier(self) -> bytes:
        """What the Envoy is to check."""
        return specifier(self._node, self._offers.values())

    def report(self, data: Any) -> None:
        """What an Envoy found: an ``EndpointHealthResponse``. What it was not told to check counts for nothing."""
        for cluster in data.cluster_endpoints_health:
            for place in cluster.locality_endpoints_health:
                for endpoint in place.endpoints_health:
                    self._found(cluster.cluster_name, endpoint.health_status)

    def _found(self, cluster: str, status: int) -> None:
        made, offer = self._made.get(cluster), self._offers.get(cluster)
        if made is None or offer is None:
            return
        registry = self._registry
        if status == DRAINING:
            registry.deregister(made.id, self._caller)
        elif status in (HEALTHY, DEGRADED):
            known = registry.renew(made.id)
            if known is None or isinstance(known.liveness, Checks):
                registry.register(structs.replace(made, liveness=lease_of(offer)), self._caller)
        elif status in (UNHEALTHY, TIMEOUT):
            known = registry.renew(made.id)
            if known is None or not isinstance(known.liveness, Checks):
                critical = Checks({CHECK: CRITICAL}, deregister_ms=DELETE_MS)
                registry.register(structs.replace(made, liveness=critical), self._caller)


class HealthStream:
    """One stream of health discovery."""

    def __init__(
        self,
        registry: Registry,
        look: Callable[[bytes], tuple[Node, Mapping[str, str]]],
        admit: Callable[[str, str], None],
        principal: str = "",
    ) -> None:
        """``look``: the node in its octets, with its metadata; ``admit`` raises ``Denied`` for a namespace and a service."""
        self._principal = principal
        self._registry = registry
        self._look = look
        self._admit = admit
        self._standing: Standing | None = None

    def receive(self, data: bytes, peer: str) -> tuple[Standing, list[Commit]] | None:
        """A request: what is registered, and when that is durable. None for a report.

        Raises ``google.protobuf.message.DecodeError``, ``Malformed``, ``ValueError``, ``Stranger``, ``Denied`` and errors of
        the core.
        """
        message = messages.hds.HealthCheckRequestOrEndpointHealthResponse.FromString(data)
        if message.HasField("endpoint_health_response"):
            if self._standing is None:
                raise Stranger("the node is not known: a health check request comes first")
            self._standing.report(message.endpoint_health_response)
            return None
        node, said = self._look(message.health_check_request.node.SerializeToString())
        caller = Caller(SOURCE, peer, self._principal, client=node.id, agent=node.agent)
        standing = Standing(self._registry, node, said, caller)
        for service in standing.services:
            self._admit(node.namespace, service)
        commits = standing.register()
        self._standing = standing
        return standing, commits
