"""The messages of Envoy's API, by module: ``messages.cluster.Cluster`` is ``envoy.config.cluster.v3.Cluster``.

They come from the package ``xds-protos``, whose modules register themselves in the process's default descriptor pool and take
half a second and some 40 MB: a module is imported when it is asked for, which is with the first client.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

MODULES: Final = {
    "address": "envoy.config.core.v3.address_pb2",
    "any": "google.protobuf.any_pb2",
    "api_listener": "envoy.config.listener.v3.api_listener_pb2",
    "base": "envoy.config.core.v3.base_pb2",
    "circuit_breaker": "envoy.config.cluster.v3.circuit_breaker_pb2",
    "cluster": "envoy.config.cluster.v3.cluster_pb2",
    "config_source": "envoy.config.core.v3.config_source_pb2",
    "discovery": "envoy.service.discovery.v3.discovery_pb2",
    "endpoint": "envoy.config.endpoint.v3.endpoint_pb2",
    "endpoint_components": "envoy.config.endpoint.v3.endpoint_components_pb2",
    "fault": "envoy.extensions.filters.http.fault.v3.fault_pb2",
    "file_log": "envoy.extensions.access_loggers.file.v3.file_pb2",
    "hcm": "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "hds": "envoy.service.health.v3.hds_pb2",
    "health_check": "envoy.config.core.v3.health_check_pb2",
    "http_inspector": "envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2",
    "http_options": "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
    "listener": "envoy.config.listener.v3.listener_pb2",
    "listener_components": "envoy.config.listener.v3.listener_components_pb2",
    "local_ratelimit": "envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2",
    "on_demand": "envoy.extensions.filters.http.on_demand.v3.on_demand_pb2",
    "original_dst": "envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2",
    "outlier_detection": "envoy.config.cluster.v3.outlier_detection_pb2",
    "ratelimit": "envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2",
    "raw_buffer": "envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2",
    "route": "envoy.config.route.v3.route_pb2",
    "route_components": "envoy.config.route.v3.route_components_pb2",
    "router": "envoy.extensions.filters.http.router.v3.router_pb2",
    "rtds": "envoy.service.runtime.v3.rtds_pb2",
    "secret": "envoy.extensions.transport_sockets.tls.v3.secret_pb2",
    "tcp_proxy": "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2",
    "tls": "envoy.extensions.transport_sockets.tls.v3.tls_pb2",
    "tls_inspector": "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2",
}
"""By the name used here."""


def __getattr__(name: str) -> Any:
    """A module of messages. Kept once asked for."""
    path = MODULES.get(name)
    if path is None:
        raise AttributeError(name)
    found = import_module(path)
    globals()[name] = found
    return found


def load() -> None:
    """Import all of them. May run in a thread of its own."""
    for path in MODULES.values():
        import_module(path)
