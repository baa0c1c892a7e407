"""Listeners, in the JSON of Envoy's messages: what a gRPC client dials, and where an Envoy takes calls. Pure.

Names, ports, filters and TLS are those of PolarisMesh's control plane, so that its bootstraps and its way of redirecting work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey

from .names import PASSTHROUGH, domain

Json = dict[str, Any]

EXTENSIONS: Final = "envoy.extensions."
_TYPE: Final = f"type.googleapis.com/{EXTENSIONS}"
_ROUTER: Final = {
    "name": "envoy.filters.http.router",
    "typed_config": {"@type": f"{_TYPE}filters.http.router.v3.Router"},
}
_ADS: Final = {"ads": {}, "resource_api_version": "V3"}
LOCAL_LIMIT: Final = "envoy.filters.http.local_ratelimit"
GLOBAL_LIMIT: Final = "envoy.filters.http.ratelimit"
ON_DEMAND: Final = "envoy.filters.http.on_demand"
FAULT: Final = "envoy.filters.http.fault"
GLOBAL_STAGE: Final = 1
"""Stage of limits that a server counts; those that Envoy counts itself have 0."""
OUTBOUND_PORT: Final = 15001
INBOUND_PORT: Final = 15006
ANYWHERE: Final = "0.0.0.0"
SNI: Final = "outbound_.default_.{name}.{namespace}.svc.cluster.local"
_SPIFFE: Final = "spiffe://cluster.local/"

# -------------------------------------------------------------------------------------------------- gRPC


def api_listener(name: str, route_table: str) -> Json:
    """What a gRPC client dials."""
    manager = {
        "@type": f"{_TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "outbound",
        "rds": {"config_source": _ADS, "route_config_name": route_table},
        "http_filters": [_ROUTER],
    }
    return {"name": name, "api_listener": {"api_listener": manager}}


def server_listener(name: str, host: str, port: int) -> Json:
    """Where a gRPC server listens that asks how: every call is let in, without TLS of ours."""
    host_routes = {
        "name": "inbound",
        "domains": ["*"],
        "routes": [{"match": {"prefix": ""}, "non_forwarding_action": {}}],
    }
    manager = {
        "@type": f"{_TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "route_config": {"name": "inbound", "virtual_hosts": [host_routes]},
        "http_filters": [_ROUTER],
    }
    chain = {
        "name": "inbound",
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}],
    }
    return {"name": name, "address": _address(host, port), "filter_chains": [chain], "traffic_direction": "INBOUND"}


# -------------------------------------------------------------------------------------------------- Envoy


class Filters(Struct, frozen=True):
    """What stands before the router."""

    domain: str = ""
    """Of the service whose calls a server counts; empty: none does."""
    limiter: str = ""
    """The cluster of that server."""
    local: bool = False
    """Whether Envoy counts calls itself."""
    demand: bool = False
    """Whether clusters are fetched with the first call to them."""


class Socket(Struct, frozen=True):
    """Where an Envoy listens."""

    name: str
    port: int
    table: str
    """The route table of the calls."""
    address: str = ANYWHERE
    inbound: bool = False
    tls_mode: str = "none"
    redirected: bool = True
    """Whether connections were redirected to it, so that they tell where they were going."""
    filters: Filters = Filters()


def inbound_name(service: ServiceKey, port: int = INBOUND_PORT) -> str:
    """The listener of the service beside an Envoy."""
    return f"{domain(service)}_INBOUND_{port}"


def outbound_name(port: int = OUTBOUND_PORT) -> str:
    """The listener for calls to others."""
    return f"OUTBOUND_{port}"


def socket_listener(socket: Socket, tables: Sequence[tuple[int, str]] = ()) -> Json:
    """A listener of an Envoy. ``tables``: by port of the service beside it, where connections tell which one they are for: what
    goes to another port is passed on as it is."""
    direction = "INBOUND" if socket.inbound else "OUTBOUND"
    secured = socket.inbound and socket.tls_mode in ("strict", "permissive")
    chains: list[Json] = []
    picky = socket.inbound and socket.redirected
    for port, table in tables if picky else ((0, socket.table),):
        match: Json = {"destination_port": port} if port else {}
        filters = [_manager(direction, table, socket.filters)]
        if secured:
            encrypted = {"transport_protocol": "tls", **match}
            chains.append({"filter_chain_match": encrypted, "filters": filters, "transport_socket": downstream_tls()})
        if not secured or socket.tls_mode == "permissive":
            plain = {"transport_protocol": "raw_buffer", **match} if secured else match
            chains.append({**({"filter_chain_match": plain} if plain else {}), "filters": filters})
    for at, chain in enumerate(chains):
        chain["name"] = f"{direction.lower()}-{at}"
    found: Json = {
        "name": socket.name,
        "address": _address(socket.address, socket.port),
        "traffic_direction": direction,
        "filter_chains": chains,
    }
    inspectors = _inspectors(socket, secured=secured)
    if inspectors:
        found["listener_filters"] = inspectors
    if picky and (socket.tls_mode != "strict" or not chains):
        found["default_filter_chain"] = passed_on()
    return found


def _inspectors(socket: Socket, *, secured: bool) -> list[Json]:
    names = [*(["original_dst"] if socket.redirected else ()), *(["tls_inspector"] if secured else ())]
    kinds = {"original_dst": "OriginalDst", "tls_inspector": "TlsInspector"}
    return [
        {
            "name": f"envoy.filters.listener.{name}",
            "typed_config": {"@type": f"{_TYPE}filters.listener.{name}.v3.{kinds[name]}"},
        }
        for name in names
    ]


def _manager(direction: str, table: str, filters: Filters) -> Json:
    manager = {
        "@type": f"{_TYPE}filters.network.http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": f"{direction}_HTTP",
        "rds": {"config_source": _ADS, "route_config_name": table},
        "http_filters": [*_before_router(filters), _ROUTER],
        "http_protocol_options": {"accept_http_10": True},
    }
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _before_router(filters: Filters) -> list[Json]:
    found: list[Json] = []
    if filters.demand:
        found.append({"name": ON_DEMAND, "typed_config": {"@type": f"{_TYPE}filters.http.on_demand.v3.OnDemand"}})
    if filters.local:
        local = {
            "@type": f"{_TYPE}filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "http_local_rate_limiter",
        }
        found.append({"name": LOCAL_LIMIT, "typed_config": local})
    if filters.domain:
        shared = {
            "@type": f"{_TYPE}filters.http.ratelimit.v3.RateLimit",
            "domain": filters.domain,
            "stage": GLOBAL_STAGE,
            "request_type": "external",
            "timeout": "2s",
            "rate_limit_service": {
                "grpc_service": {"envoy_grpc": {"cluster_name": filters.limiter}, "timeout": "1s"},
                "transport_api_version": "V3",
            },
        }
        found.append({"name": GLOBAL_LIMIT, "typed_config": shared})
    return found


def passed_on() -> Json:
    """The filter chain of connections that are no business of ours."""
    proxy = {
        "@type": f"{_TYPE}filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": PASSTHROUGH,
        "cluster": PASSTHROUGH,
    }
    return {
        "name": "PassthroughFilterChain",
        "filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}],
    }


# -------------------------------------------------------------------------------------------------- TLS


def downstream_tls() -> Json:
    """Who calls has to show a certificate of the mesh."""
    context = _common([{"prefix": _SPIFFE}])
    context["tls_params"] = {"tls_minimum_protocol_version": "TLSv1_2"}
    return _tls("DownstreamTlsContext", {"common_tls_context": context, "require_client_certificate": True})


def upstream_tls(service: ServiceKey) -> Json:
    """Who is called has to show a certificate of the mesh, and is shown ours."""
    sni = SNI.format(name=service.name, namespace=service.namespace)
    return _tls("UpstreamTlsContext", {"common_tls_context": _common([]), "sni": sni[:255]})


def _tls(kind: str, context: Json) -> Json:
    config = {"@type": f"{_TYPE}transport_sockets.tls.v3.{kind}", **context}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config}


def _common(names: Sequence[Json]) -> Json:
    """Certificates come from the agent beside the Envoy, whom its bootstrap calls ``sds-grpc``."""
    matchers = (
        {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": name} for name in names]} if names else {}
    )
    return {
        "tls_certificate_sds_secret_configs": [_secret("default")],
        "combined_validation_context": {
            "default_validation_context": matchers,
            "validation_context_sds_secret_config": _secret("ROOTCA"),
        },
    }


def _secret(name: str) -> Json:
    source = {
        "api_type": "GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
        "set_node_on_first_message_only": True,
    }
    return {
        "name": name,
        "sds_config": {"api_config_source": source, "resource_api_version": "V3", "initial_fetch_timeout": "0s"},
    }


def _address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
