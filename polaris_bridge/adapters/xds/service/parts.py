"""Clusters and routes of one service, each made once for all who are told the same."""

from __future__ import annotations

from functools import cached_property, partial

from polaris_bridge.adapters.xds.resources import Resource
from polaris_bridge.adapters.xds.translate.clusters import CARELESS, envoy_cluster, grpc_cluster, pieces, with_name
from polaris_bridge.adapters.xds.translate.endpoints import TLS_MODES
from polaris_bridge.adapters.xds.translate.hosts import host_json
from polaris_bridge.adapters.xds.translate.names import grpc_routes, outbound
from polaris_bridge.adapters.xds.translate.packing import packed
from polaris_bridge.adapters.xds.translate.routes import grpc_route
from polaris_bridge.adapters.xds.translate.rules.labels import ENVOY, GRPC
from polaris_bridge.adapters.xds.translate.rules.subsets import Subset
from polaris_bridge.adapters.xds.wire import types
from polaris_bridge.adapters.xds.wire.encoding import encoded
from polaris_bridge.core.model import Location, ServiceKey

from .called import Called
from .making import Maker


class Parts:
    """Makes resources of services."""

    def __init__(self, maker: Maker) -> None:
        self._maker = maker

    @cached_property
    def _plain(self) -> tuple[bytes, bytes]:
        """What clusters of services without rules have in common."""
        common = envoy_cluster("", ServiceKey("", ""), (), "none")
        return pieces(common, partial(encoded, types.CLUSTER))

    def envoy_cluster(self, called: Called, subset: Subset, tls_mode: str) -> Resource | None:
        """A cluster that Envoy calls."""
        key = types.CLUSTER, ENVOY.name, tls_mode, subset.id
        found = called.made.get(key)
        if found is None:
            name = outbound(called.key, subset.id)
            subsets = () if subset.id else called.subsets(ENVOY)
            if tls_mode not in TLS_MODES and called.care(ENVOY) == CARELESS and not any(each.exact for each in subsets):
                made = called.made[key] = packed(types.CLUSTER, name, with_name(name, *self._plain))
                return made
            content = envoy_cluster(name, called.key, subsets, tls_mode, called.care(ENVOY))
            found = self._maker.make(types.CLUSTER, name, content, (called.key, *key))
            if found is not None:
                called.made[key] = found
        return found

    def grpc_cluster(self, called: Called, subset: Subset) -> Resource | None:
        """A cluster that gRPC clients call."""
        key = types.CLUSTER, GRPC.name, subset.id
        found = called.made.get(key)
        if found is None:
            name = outbound(called.key, subset.id)
            found = self._maker.make(types.CLUSTER, name, grpc_cluster(name, called.care(GRPC)), (called.key, *key))
            if found is not None:
                called.made[key] = found
        return found

    def grpc_routes(self, called: Called, caller: ServiceKey | None) -> Resource | None:
        """The route table of a service, for gRPC clients: any host that they dialled is the service."""
        asked = called.asked_by(caller)
        key = types.ROUTES, GRPC.name, asked
        found = called.made.get(key)
        if found is None:
            name = grpc_routes(called.key)
            ways = called.plan(GRPC, asked).ways
            host = host_json(name, ["*"], [grpc_route(called.key, way) for way in ways])
            content = {"name": name, "virtual_hosts": [host]}
            found = self._maker.make(types.ROUTES, name, content, (called.key, *key))
            if found is not None:
                called.made[key] = found
        return found

    @staticmethod
    def assignment(called: Called, subset: Subset, place: Location, *, rich: bool) -> Resource:
        """The endpoints of a service, or of a part of it."""
        return called.assignment(subset, place, rich=rich)
