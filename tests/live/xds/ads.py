"""A client of the stream itself, for what well-behaved libraries never do: refuse a good answer, say nothing, ask oddly."""

from __future__ import annotations

import queue

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

PREFIX = "type.googleapis.com/envoy.config."
LISTENER = f"{PREFIX}listener.v3.Listener"
ROUTES = f"{PREFIX}route.v3.RouteConfiguration"
CLUSTER = f"{PREFIX}cluster.v3.Cluster"
ASSIGNMENT = f"{PREFIX}endpoint.v3.ClusterLoadAssignment"
Answer = discovery_pb2.DiscoveryResponse


class AdsStream:
    """State of the world, one message at a time."""

    def __init__(self, port: int, node: str, agent: str = "gRPC Go") -> None:
        self.node = base_pb2.Node(id=node, cluster="live", user_agent_name=agent)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._orders: queue.Queue[discovery_pb2.DiscoveryRequest | None] = queue.Queue()
        stub = ads_pb2_grpc.AggregatedDiscoveryServiceStub(self._channel)
        self._answers = stub.StreamAggregatedResources(iter(self._orders.get, None))

    def ask(self, type_url: str, *names: str, after: Answer | None = None, refusing: str = "") -> None:
        """A request; ``after`` an answer it accepts that one, or refuses it with a message."""
        request = discovery_pb2.DiscoveryRequest(node=self.node, type_url=type_url, resource_names=names)
        if after is not None:
            request.response_nonce = after.nonce
            request.version_info = "" if refusing else after.version_info
        if refusing:
            request.error_detail.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            request.error_detail.message = refusing
        self._orders.put(request)

    def hear(self) -> Answer:
        """The next answer."""
        return next(self._answers)

    def close(self) -> None:
        self._orders.put(None)
        self._answers.cancel()
        self._channel.close()
