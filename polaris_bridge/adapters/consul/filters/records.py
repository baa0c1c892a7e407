"""What can be filtered by in each kind of answer of Consul 1.20. Indexes and definitions cannot."""

from __future__ import annotations

from typing import Final

from .fields import Field, ListOf, MapOf, Record, Scalar

_TEXT: Final = Scalar()
_INT: Final = Scalar("int")
_BOOL: Final = Scalar("bool")
_WEIGHTS: Final = Record({"Passing": _INT, "Warning": _INT})
_TAGGED: Final = MapOf(Record({"Address": _TEXT, "Port": _INT}))
_PROXY: Final = Record(
    {
        "DestinationServiceName": _TEXT,
        "DestinationServiceID": _TEXT,
        "LocalServiceAddress": _TEXT,
        "LocalServicePort": _INT,
        "Mode": _TEXT,
        "MeshGateway": Record({"Mode": _TEXT}),
        "Expose": Record({"Checks": _BOOL}),
        "TransparentProxy": Record({"OutboundListenerPort": _INT, "DialedDirectly": _BOOL}),
    }
)
_CONNECT: Final = Record({"Native": _BOOL})

NODE: Final = Record(
    {
        "ID": _TEXT,
        "Node": _TEXT,
        "Address": _TEXT,
        "Datacenter": _TEXT,
        "Partition": _TEXT,
        "PeerName": _TEXT,
        "TaggedAddresses": MapOf(),
        "Meta": MapOf(),
    }
)
"""catalog/nodes."""

_SERVICE: Final[dict[str, Field]] = {
    "Kind": _TEXT,
    "ID": _TEXT,
    "Service": _TEXT,
    "Tags": ListOf(_TEXT),
    "Address": _TEXT,
    "TaggedAddresses": _TAGGED,
    "Meta": MapOf(),
    "Port": _INT,
    "SocketPath": _TEXT,
    "Weights": _WEIGHTS,
    "EnableTagOverride": _BOOL,
    "Proxy": _PROXY,
    "Connect": _CONNECT,
    "PeerName": _TEXT,
}

SERVICE: Final = Record(_SERVICE)
"""Services of catalog/node and catalog/node-services."""

AGENT_SERVICE: Final = Record({**_SERVICE, "ContentHash": _TEXT, "Datacenter": _TEXT})
"""agent/services."""

CATALOG_SERVICE: Final = Record(
    {
        "ID": _TEXT,
        "Node": _TEXT,
        "Address": _TEXT,
        "Datacenter": _TEXT,
        "TaggedAddresses": MapOf(),
        "NodeMeta": MapOf(),
        "ServiceKind": _TEXT,
        "ServiceID": _TEXT,
        "ServiceName": _TEXT,
        "ServiceTags": ListOf(_TEXT),
        "ServiceAddress": _TEXT,
        "ServiceTaggedAddresses": _TAGGED,
        "ServiceWeights": _WEIGHTS,
        "ServiceMeta": MapOf(),
        "ServicePort": _INT,
        "ServiceSocketPath": _TEXT,
        "ServiceEnableTagOverride": _BOOL,
        "ServiceProxy": _PROXY,
        "ServiceConnect": _CONNECT,
        "PeerName": _TEXT,
    }
)
"""catalog/service/:name and catalog/services."""

CHECK: Final = Record(
    {
        "Node": _TEXT,
        "CheckID": _TEXT,
        "Name": _TEXT,
        "Status": _TEXT,
        "Notes": _TEXT,
        "Output": _TEXT,
        "ServiceID": _TEXT,
        "ServiceName": _TEXT,
        "ServiceTags": ListOf(_TEXT),
        "Type": _TEXT,
        "Interval": _TEXT,
        "Timeout": _TEXT,
        "ExposedPort": _INT,
        "PeerName": _TEXT,
    }
)
"""health/node, health/checks, health/state and agent/checks."""

INSTANCE: Final = Record({"Node": NODE, "Service": SERVICE, "Checks": ListOf(CHECK)})
"""health/service/:name."""
