"""The type URLs of resources, and the order in which their changes are told."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "type.googleapis.com/"

LISTENER: Final = PREFIX + "envoy.config.listener.v3.Listener"
ROUTES: Final = PREFIX + "envoy.config.route.v3.RouteConfiguration"
VIRTUAL_HOST: Final = PREFIX + "envoy.config.route.v3.VirtualHost"
CLUSTER: Final = PREFIX + "envoy.config.cluster.v3.Cluster"
ASSIGNMENT: Final = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
RUNTIME: Final = PREFIX + "envoy.service.runtime.v3.Runtime"

ORDER: Final = (SECRET, CLUSTER, ASSIGNMENT, LISTENER, ROUTES, VIRTUAL_HOST, RUNTIME)
"""What is served, in the order in which additions are told: nothing points at what was not told before
(https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#eventual-consistency-considerations)."""

FULL: Final = frozenset({LISTENER, CLUSTER})
"""State of the world: what a response does not name is gone. Of the other types a response may hold only what changed."""

SHORT: Final = {
    LISTENER: "lds",
    ROUTES: "rds",
    VIRTUAL_HOST: "vhds",
    CLUSTER: "cds",
    ASSIGNMENT: "eds",
    SECRET: "sds",
    RUNTIME: "rtds",
}
"""How metrics and operators call a type."""
