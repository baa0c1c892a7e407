"""Nodes, services and checks as Consul 1.20 writes them in the answers of catalog and health: names, order, what is left out."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct, field

encode: Final = msgspec.json.Encoder().encode


class NodeShape(Struct, frozen=True, rename="pascal"):
    """A node (sheet section 4.1)."""

    id: str = field(name="ID")
    node: str
    address: str
    datacenter: str
    tagged_addresses: dict[str, str] | None
    meta: dict[str, str] | None
    create_index: int
    modify_index: int


class Weights(Struct, frozen=True, gc=False, rename="pascal"):
    """How much traffic an instance takes, by its state."""

    passing: int
    warning: int


class TaggedAddress(Struct, frozen=True, gc=False, rename="pascal"):
    """An address of a service under a name such as ``wan_ipv4``."""

    address: str
    port: int


class CheckShape(Struct, frozen=True, gc=False, rename="pascal"):
    """A check with its state (section 4.3)."""

    node: str
    check_id: str = field(name="CheckID")
    name: str
    status: str
    notes: str = ""
    output: str = ""
    service_id: str = field(name="ServiceID", default="")
    service_name: str = ""
    service_tags: tuple[str, ...] = ()
    type: str = ""
    interval: str = ""
    timeout: str = ""
    exposed_port: int = 0
    definition: msgspec.Raw = msgspec.Raw(b"{}")
    create_index: int = 0
    modify_index: int = 0


class ServiceShape(Struct, frozen=True, gc=False):
    """One instance, for both of its forms."""

    id: str
    name: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: dict[str, str] = {}
    tagged: dict[str, TaggedAddress] = {}
    weights: Weights = Weights(1, 1)
    tag_override: bool = False
    kind: str = ""
    socket_path: str = ""
    extra: dict[str, Any] = {}
    """Proxy, Connect, Locality and Ports, as they came."""
    created: int = 0
    modified: int = 0


_PROXY: Final = {"Mode": "", "MeshGateway": {}, "Expose": {}}
_CONNECT: Final[dict[str, Any]] = {}


def service_json(s: ServiceShape) -> bytes:
    """As health/service and catalog/node write it (``NodeService``)."""
    found: dict[str, Any] = {"Kind": s.kind} if s.kind else {}
    found |= {"ID": s.id, "Service": s.name, "Tags": s.tags, "Address": s.address}
    if s.tagged:
        found["TaggedAddresses"] = s.tagged
    found |= {"Meta": s.meta, "Port": s.port}
    if s.socket_path:
        found["SocketPath"] = s.socket_path
    if "Ports" in s.extra:
        found["Ports"] = s.extra["Ports"]
    found |= {
        "Weights": s.weights,
        "EnableTagOverride": s.tag_override,
        "Proxy": {**_PROXY, **s.extra.get("Proxy", {})},
        "Connect": s.extra.get("Connect", _CONNECT),
    }
    if "Locality" in s.extra:
        found["Locality"] = s.extra["Locality"]
    found |= {"PeerName": "", "CreateIndex": s.created, "ModifyIndex": s.modified}
    return encode(found)


def catalog_json(node: NodeShape, s: ServiceShape) -> bytes:
    """As catalog/service writes it (``CatalogService``)."""
    found: dict[str, Any] = {
        "ID": node.id,
        "Node": node.node,
        "Address": node.address,
        "Datacenter": node.datacenter,
        "TaggedAddresses": node.tagged_addresses,
        "NodeMeta": node.meta,
        "ServiceKind": s.kind,
        "ServiceID": s.id,
        "ServiceName": s.name,
        "ServiceTags": s.tags,
        "ServiceAddress": s.address,
    }
    if s.tagged:
        found["ServiceTaggedAddresses"] = s.tagged
    found |= {
        "ServiceWeights": s.weights,
        "ServiceMeta": s.meta,
        "ServicePort": s.port,
        "ServiceSocketPath": s.socket_path,
        "ServiceEnableTagOverride": s.tag_override,
        "ServiceProxy": {**_PROXY, **s.extra.get("Proxy", {})},
        "ServiceConnect": s.extra.get("Connect", _CONNECT),
    }
    if "Locality" in s.extra:
        found["ServiceLocality"] = s.extra["Locality"]
    found |= {"CreateIndex": s.created, "ModifyIndex": s.modified}
    return encode(found)


def instance_json(node: bytes, service: bytes, checks: list[bytes]) -> bytes:
    """As health/service writes it, from its encoded parts."""
    return b'{"Node":' + node + b',"Service":' + service + b',"Checks":[' + b",".join(checks) + b"]}"
