"""Services as clusters, in the JSON of Envoy's messages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.xds.wire.assignments import delimited, text
from polaris_bridge.core.model import ServiceKey

from .endpoints import TLS_MODES
from .hosts import unframed
from .listeners import EXTENSIONS, upstream_tls
from .names import PASSTHROUGH, inbound
from .rules.subsets import Subset

Json = dict[str, Any]

CONNECT_TIMEOUT: Final = "5s"
_UNLIMITED: Final = 2**32 - 1


class Care(Struct, frozen=True):
    """How calls to a service are watched over: parts of ``Cluster``, of rules."""

    outlier_detection: Json | None = None
    thresholds: Json | None = None
    """Of ``CircuitBreakers``, for ordinary calls."""
    health_checks: tuple[Json, ...] = ()


CARELESS: Final = Care()


def grpc_cluster(name: str, care: Care = CARELESS) -> Json:
    """A cluster as gRPC clients take it."""
    return {**eds_cluster(name), "lb_policy": "ROUND_ROBIN", **_care(care)}


def envoy_cluster(
    name: str, service: ServiceKey, subsets: Iterable[Subset], tls_mode: str, care: Care = CARELESS
) -> Json:
    """A cluster that Envoy calls. ``subsets``: those that it chooses by label itself."""
    found = {**eds_cluster(name), "lb_policy": "ROUND_ROBIN", **_care(care), **_AS_ASKED}
    found["common_lb_config"] = {"healthy_panic_threshold": {"value": 1}}
    selectors = _selectors(subsets)
    if selectors:
        found["lb_subset_config"] = {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": selectors}
    if tls_mode in TLS_MODES:
        found["transport_socket_matches"] = _sockets(service, strict=tls_mode == "strict")
    return found


def inbound_cluster(service: ServiceKey, port: int = 0, care: Care = CARELESS) -> Json:
    """The service beside an Envoy; ``port``: one of its ports."""
    return {**eds_cluster(inbound(service, port)), "lb_policy": "ROUND_ROBIN", **_care(care), **_AS_ASKED}


def passthrough() -> Json:
    """Where calls go that are for no known service: to where they were going."""
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests", "max_retries"), _UNLIMITED)
    return {
        "name": PASSTHROUGH,
        "type": "ORIGINAL_DST",
        "connect_timeout": CONNECT_TIMEOUT,
        "lb_policy": "CLUSTER_PROVIDED",
        "circuit_breakers": {"thresholds": [most]},
        **_AS_ASKED,
    }


def http2(cluster: Json) -> Json:
    """A cluster that is spoken to by HTTP/2."""
    return {**cluster, **_protocol({"explicit_http_config": {"http2_protocol_options": {}}})}


def _protocol(options: Json) -> Json:
    kind = f"{EXTENSIONS}upstreams.http.v3.HttpProtocolOptions"
    return {"typed_extension_protocol_options": {kind: {"@type": f"type.googleapis.com/{kind}", **options}}}


_AS_ASKED: Final = _protocol(
    {"use_downstream_protocol_config": {"http_protocol_options": {}, "http2_protocol_options": {}}}
)
"""Whoever is called is spoken to as the caller speaks: gRPC stays HTTP/2."""


def pieces(cluster: Json, encode: Callable[[Json], bytes]) -> tuple[bytes, bytes]:
    """A cluster without its name, encoded: where its endpoints come from, and the rest. ``with_name`` makes many of them."""
    source = {"eds_cluster_config": {"eds_config": cluster["eds_cluster_config"]["eds_config"]}}
    rest = {key: value for key, value in cluster.items() if key not in ("name", "eds_cluster_config")}
    return unframed(encode(source)), encode(rest)


def with_name(name: str, source: bytes, rest: bytes) -> bytes:
    """A cluster of pieces."""
    return text(b"\x0a", name) + delimited(b"\x1a", source + text(b"\x12", name)) + rest


def eds_cluster(name: str) -> Json:
    """A cluster whose endpoints are told on the same stream."""
    return {
        "name": name,
        "type": "EDS",
        "connect_timeout": CONNECT_TIMEOUT,
        "eds_cluster_config": {"service_name": name, "eds_config": {"ads": {}, "resource_api_version": "V3"}},
    }


def _care(care: Care) -> Json:
    found: Json = {}
    if care.outlier_detection is not None:
        found["outlier_detection"] = care.outlier_detection
    if care.thresholds is not None:
        found["circuit_breakers"] = {"thresholds": [care.thresholds]}
    if care.health_checks:
        found["health_checks"] = list(care.health_checks)
    return found


def _selectors(subsets: Iterable[Subset]) -> list[Json]:
    """One for each set of labels that is chosen by."""
    keys = {tuple(sorted(subset.exact)) for subset in subsets if subset.exact}
    return [{"keys": list(each), "fallback_policy": "ANY_ENDPOINT"} for each in sorted(keys)]


def _sockets(service: ServiceKey, *, strict: bool) -> Sequence[Json]:
    tls: Json = {"name": "tls-mode", "transport_socket": upstream_tls(service)}
    if strict:
        return [tls]
    plain = {"name": "envoy.transport_sockets.raw_buffer"}
    plain["typed_config"] = {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}  # type: ignore[assignment]
    return [{**tls, "match": {"acceptMTLS": "true"}}, {"name": "rawbuffer", "match": {}, "transport_socket": plain}]
