"""Who a client is, as far as it matters to what it is sent: read from the ``node`` of its first request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import NOWHERE, Location

GRPC: Final = "grpc"
ENVOY: Final = "envoy"

SIDECAR: Final = "sidecar"
GATEWAY: Final = "gateway"

DEFAULT_NAMESPACE: Final = "default"


class Node(Struct, frozen=True, gc=False):
    """One client. The defaults are those of a client that says nothing: an Envoy beside an application."""

    id: str = ""
    cluster: str = ""
    kind: str = ENVOY
    """``grpc`` (a gRPC library itself) or ``envoy``."""
    run_type: str = SIDECAR
    """``sidecar`` or ``gateway``."""
    namespace: str = DEFAULT_NAMESPACE
    uuid: str = ""
    ip: str = ""
    metadata: Mapping[str, str] = {}
    """What of the metadata matters."""
    locality: Location = NOWHERE
    agent: str = ""
    """Name and version of the client's software."""
    features: frozenset[str] = frozenset()

    @property
    def view_key(self) -> tuple[object, ...]:
        """Nodes with equal keys are sent the same resources."""
        return (self.kind, self.run_type, self.namespace, self.locality, *sorted(self.metadata.items()))
