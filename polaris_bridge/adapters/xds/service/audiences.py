"""For whom resources are made: of a node, what makes a difference to them."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.xds.node import GATEWAY, GRPC, Node
from polaris_bridge.adapters.xds.translate.endpoints import TLS_MODES, is_literal
from polaris_bridge.adapters.xds.translate.listeners import ANYWHERE, INBOUND_PORT, OUTBOUND_PORT
from polaris_bridge.core.model import NOWHERE, Location, ServiceKey

_SIDECAR: Final = "sidecar.polarismesh.cn/"
_GATEWAY: Final = "gateway.polarismesh.cn/"
TLS_KEYS: Final = ("polarismesh.cn/tls-mode", "sidecar.polarismesh.cn/tlsMode")


class Reader(Struct, frozen=True):
    """What of a node makes a difference."""

    kind: str
    namespace: str = "default"
    service: ServiceKey | None = None
    """The service that it stands beside, or is."""
    place: Location = NOWHERE
    gateway: bool = False
    tls_mode: str = "none"
    demand: bool = False
    """Whether it fetches clusters with the first call to them."""
    demand_source: str = "polaris_xds_server"
    """The cluster in its bootstrap where it fetches them."""
    bind_ports: tuple[int, ...] = ()
    """Ports of the service beside it, where that is not registered."""
    outbound_port: int = OUTBOUND_PORT
    inbound_port: int = INBOUND_PORT
    address: str = ANYWHERE
    """Where it listens."""
    redirected: bool = True
    """Whether connections are redirected to it."""
    limiter: str = ""
    """The cluster in its bootstrap that counts calls; empty: the limiter that is registered."""


def reader_of(node: Node) -> Reader:
    """Who reads. A gRPC client that does not say which service it is may say it by the name of its cluster."""
    told = node.metadata.get
    service = _service(node)
    if node.kind == GRPC:
        if service is None and node.cluster:
            service = ServiceKey(node.namespace, node.cluster)
        return Reader(GRPC, service=service, place=node.locality)
    gateway = node.run_type == GATEWAY
    tls_mode = next((mode for key in TLS_KEYS if (mode := told(key, "").lower())), "none")
    return Reader(
        node.kind,
        node.namespace,
        service,
        node.locality,
        gateway=gateway,
        tls_mode=tls_mode if tls_mode in TLS_MODES else "none",
        demand=told(f"{_SIDECAR}openOnDemand", "").lower() == "true",
        bind_ports=tuple(sorted(_ports(told(f"{_SIDECAR}bindPorts", "")))),
        outbound_port=_port(told(f"{_GATEWAY}listenPort" if gateway else f"{_SIDECAR}outboundPort", ""), OUTBOUND_PORT),
        inbound_port=_port(told(f"{_SIDECAR}inboundPort", ""), INBOUND_PORT),
        address=address if is_literal(address := told(f"{_SIDECAR}listenAddress", "")) else ANYWHERE,
        redirected=told(f"{_SIDECAR}redirected", "").lower() != "false",
        limiter=told(f"{_SIDECAR}limiterCluster", ""),
    )


def _service(node: Node) -> ServiceKey | None:
    told = node.metadata.get
    for names, namespaces in (
        ((f"{_GATEWAY}serviceName", "gateway_service"), (f"{_GATEWAY}serviceNamespace", "gateway_namespace")),
        ((f"{_SIDECAR}serviceName",), (f"{_SIDECAR}serviceNamespace",)),
    ):
        for name, namespace in zip(names, namespaces, strict=True):
            if told(name):
                return ServiceKey(told(namespace) or node.namespace, told(name, ""))
    return None


def _ports(text: str) -> set[int]:
    return {port for each in text.split(",") if (port := _port(each.strip(), 0))}


def _port(text: str, otherwise: int) -> int:
    """A port in digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536 else otherwise
