"""Names of resources and of hosts: PolarisMesh's for Envoy, so that its bootstraps work, and what gRPC clients may dial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import unquote

from polaris_bridge.core.model import ServiceKey

DEFAULT_NAMESPACE: Final = "default"
PASSTHROUGH: Final = "PassthroughCluster"
OUTBOUND: Final = "OUTBOUND"
INBOUND: Final = "INBOUND"
OUTBOUND_ROUTES: Final = "polaris-outbound-router"
INBOUND_ROUTES: Final = "polaris-inbound-cluster"
SUFFIXES: Final = ("", ".svc", ".svc.cluster", ".svc.cluster.local")
"""What may follow ``service.namespace``, as in Kubernetes."""
_LISTENER_TYPE: Final = "envoy.config.listener.v3.Listener"
_SCHEME: Final = "xdstp://"

# -------------------------------------------------------------------------------------------------- clusters


def outbound(service: ServiceKey, subset: str = "") -> str:
    """The cluster, and the assignment, of a service that is called; ``subset``: of some of its instances."""
    name = f"{OUTBOUND}|{service.namespace}|{service.name}"
    return f"{name}|{subset}" if subset else name


def inbound(service: ServiceKey, port: int = 0) -> str:
    """The cluster of the service beside the node; ``port``: of one of its ports."""
    name = f"{INBOUND}|{service.namespace}|{service.name}"
    return f"{name}|{port}" if port else name


def outbound_of(name: str, has: Callable[[ServiceKey], bool]) -> tuple[ServiceKey, str] | None:
    """The service and the subset of an outbound cluster; None when the name is no such one. ``has``: whether there is a service,
    since names may hold bars."""
    direction, _, rest = name.partition("|")
    namespace, bar, service = rest.partition("|")
    if direction != OUTBOUND or not bar or not service:
        return None
    whole = ServiceKey(namespace, service)
    if "|" in service and not has(whole):
        head, _, subset = service.rpartition("|")
        return ServiceKey(namespace, head), subset
    return whole, ""


# -------------------------------------------------------------------------------------------------- routes


def domain(service: ServiceKey) -> str:
    """``service.namespace``."""
    return f"{service.name}.{service.namespace}"


def grpc_routes(service: ServiceKey) -> str:
    """The route table of one service, for gRPC clients."""
    return f"{OUTBOUND_ROUTES}|{domain(service)}"


def outbound_routes(namespace: str, *, demand: bool = False, gateway: bool = False) -> str:
    """The route table of all services, for Envoy."""
    name = f"{OUTBOUND_ROUTES}|{namespace}|demand" if demand else OUTBOUND_ROUTES
    return f"{name}-gateway" if gateway else name


def inbound_routes(service: ServiceKey, *, demand: bool = False) -> str:
    """The route table of the service beside an Envoy."""
    return f"{INBOUND_ROUTES}|{domain(service)}{'|DEMAND' if demand else ''}"


def domains(service: ServiceKey, ports: tuple[int, ...], *, bare: bool) -> Iterator[str]:
    """Every host that a service is called by, each also with every port. ``bare``: also by its name alone."""
    full = domain(service)
    names = [f"{full}{suffix}" for suffix in SUFFIXES]
    if bare:
        names.insert(0, service.name)
    yield from names
    for port in ports:
        for name in names:
            yield f"{name}:{port}"


# -------------------------------------------------------------------------------------------------- what gRPC clients ask for


def dialled(name: str) -> str | None:
    """What a gRPC client dials, out of the name of the listener that it asks for: an ``xdstp`` name holds it as its last part.
    None when the name is one of another type, or nothing."""
    if not name.startswith(_SCHEME):
        return name or None
    _authority, _, rest = name[len(_SCHEME) :].partition("/")
    kind, _, id = rest.partition("?")[0].partition("/")
    return unquote(id) or None if kind == _LISTENER_TYPE else None


def services_of(host: str) -> Iterator[ServiceKey]:
    """The services that a dialled host may mean, the likeliest first: ``service.namespace``, or all of it is the name of one in
    the default namespace. A port does not matter, nor do Kubernetes' endings."""
    yield from _forms(host)
    bare, colon, port = host.rpartition(":")
    if colon and port.isdecimal():
        yield from _forms(bare)


def _forms(host: str) -> Iterator[ServiceKey]:
    for suffix in reversed(SUFFIXES):
        if not host.endswith(suffix):
            continue
        stem = host.removesuffix(suffix)
        service, dot, namespace = stem.rpartition(".")
        if dot and service:
            yield ServiceKey(namespace, service)
        if stem:
            yield ServiceKey(DEFAULT_NAMESPACE, stem)
