"""What an Envoy offers at its own machine, as its node says, and how it is told to check it. Conventions of polaris-server's
``xds-v3``: ``sidecar.polarismesh.cn/registerServices`` in the metadata is a JSON list of services with their ports."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.xds.node import Node
from polaris_bridge.adapters.xds.wire import messages
from polaris_bridge.core.model import Lease, Registration

from .keys import SOURCE, Health

OFFERS: Final = "sidecar.polarismesh.cn/registerServices"
_INTERNAL: Final = ("sidecar.polarismesh.cn/", "gateway.polarismesh.cn/", "polaris-bridge/")
"""How the keys of a node's metadata begin that say nothing of its instances."""

TTL_S: Final = 10
MISSED: Final = 3
"""Reports that may be missing."""
DELETE_MS: Final = 600_000
"""How long a silent instance is kept: an Envoy cannot say that it goes for good."""
MAX_OFFERS: Final = 100
MAX_KEY, MAX_VALUE = 128, 4096

CHECK_S: Final = 5
TIMEOUT_S: Final = 1


class Offer(Struct, frozen=True, gc=False):
    """One port of one service at the machine of an Envoy."""

    service: str
    port: int
    protocol: str = ""
    path: str = ""
    """Of an HTTP check; "" = whether a TCP connection is taken."""
    check_port: int = 0
    """Where it is checked; 0 = at ``port``."""
    ttl_s: int = TTL_S

    @property
    def cluster(self) -> str:
        """What Envoy and we call it in health checks."""
        return f"INBOUND|{self.port}|{self.service}"


def offers_of(node: Node) -> tuple[Offer, ...]:
    """What a node offers, each port once. ``ValueError`` for metadata that cannot be read."""
    written = node.metadata.get(OFFERS, "")
    if not written:
        return ()
    try:
        services = json.loads(written)
        found = {offer.cluster: offer for service in services for offer in _offers(service)}
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise ValueError(f"metadata {OFFERS}: {error}") from None
    if len(found) > MAX_OFFERS:
        raise ValueError(f"metadata {OFFERS}: more than {MAX_OFFERS} ports")
    return tuple(found.values())


def _offers(service: Mapping[str, Any]) -> Iterable[Offer]:
    name = str(service["name"])
    ttl_s = int(service.get("health_check_ttl") or TTL_S)
    check_port = int(service.get("health_check_port") or 0)
    path = str(service.get("health_check_path") or "")
    for protocol, ports in (service.get("ports") or {}).items():
        for port in ports:
            if not 0 < int(port) < 65536 or not 0 <= check_port < 65536 or not 0 < ttl_s <= 3600 or not name:
                raise ValueError(f"a port, ttl or name of {name or 'a service'} is out of range")
            yield Offer(name, int(port), str(protocol), path, check_port, ttl_s)


def lease_of(offer: Offer) -> Lease:
    """How long an instance lives without a report."""
    ttl_ms = offer.ttl_s * 1000
    return Lease(ttl_ms, MISSED * ttl_ms, DELETE_MS, protectable=False)


def registration_of(node: Node, offer: Offer, said: Mapping[str, str]) -> Registration:
    """The instance. ``said``: the whole metadata of the node, which its instances have as far as it is not about the Envoy."""
    metadata = {
        key: value
        for key, value in said.items()
        if not key.startswith(_INTERNAL) and len(key) <= MAX_KEY and len(value) <= MAX_VALUE
    }
    return Registration(
        source=SOURCE,
        namespace=node.namespace,
        key=f"{offer.service}##{node.ip}##{offer.port}",
        service=offer.service,
        host=node.ip,
        port=offer.port,
        liveness=lease_of(offer),
        protocol=offer.protocol.lower(),
        metadata=metadata,
        location=node.locality,
        ext=Health(offer.path, offer.check_port or offer.port),
    )


def specifier(node: Node, offers: Iterable[Offer]) -> bytes:
    """What an Envoy is to check, and how often it is to say how that goes: a ``HealthCheckSpecifier``."""
    found = messages.hds.HealthCheckSpecifier()
    interval_s = TTL_S
    for offer in offers:
        interval_s = min(interval_s, offer.ttl_s)
        cluster = found.cluster_health_checks.add(cluster_name=offer.cluster)
        check = cluster.health_checks.add()
        check.timeout.seconds, check.interval.seconds = TIMEOUT_S, CHECK_S
        check.no_traffic_interval.seconds = CHECK_S  # else a minute: to these clusters Envoy sends no calls
        check.unhealthy_threshold.value, check.healthy_threshold.value = 2, 1
        if offer.path:
            check.http_health_check.path = offer.path
        else:
            check.tcp_health_check.SetInParent()
        endpoint = cluster.locality_endpoints.add().endpoints.add()
        endpoint.address.socket_address.address = node.ip
        endpoint.address.socket_address.port_value = offer.port
        if offer.check_port:
            endpoint.health_check_config.port_value = offer.check_port
    found.interval.seconds = interval_s
    data: bytes = found.SerializeToString()
    return data
