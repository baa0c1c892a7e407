"""What a client says of itself, as the node that decides what it is sent. Conventions of polaris-server's ``xds-v3``: the id is
``runtype~namespace/uuid~ip``, or without a run type, and the metadata says more."""

from __future__ import annotations

import re
from typing import Final

from polaris_bridge.adapters.xds.node import DEFAULT_NAMESPACE, ENVOY, GATEWAY, GRPC, SIDECAR, Node
from polaris_bridge.adapters.xds.wire.node import NodeFields
from polaris_bridge.core.model import NOWHERE, Location

_ID: Final = re.compile(r"(?:(?P<run>[^~/]+)~)?(?P<namespace>[^~/]+)/(?P<uuid>[^~]+)~(?P<ip>[0-9a-fA-F.:]*)")
_OURS: Final = ("sidecar.polarismesh.cn/", "gateway.polarismesh.cn/", "polarismesh.cn/", "gateway_", "polaris-bridge/")
"""How the keys of metadata begin that matter."""
_NAMESPACES: Final = (
    "sidecar.polarismesh.cn/serviceNamespace",
    "gateway.polarismesh.cn/serviceNamespace",
    "gateway_namespace",
)
_GRPC_AGENTS: Final = ("grpc", "@grpc/")
_RESOURCE: Final = "xds.config.resource-in-sotw"


def node_of(fields: NodeFields) -> Node:
    """The node. What it does not say is as of ``Node()``."""
    metadata = {key: value for key, value in fields.metadata.items() if key.startswith(_OURS)}
    found = _ID.fullmatch(fields.id)
    parts = found.groupdict() if found is not None else {}
    namespace = next((metadata[key] for key in _NAMESPACES if metadata.get(key)), "")
    place = Location(fields.region, fields.zone, fields.sub_zone)
    return Node(
        id=fields.id,
        cluster=fields.cluster,
        kind=_kind(fields),
        run_type=GATEWAY if parts.get("run") == GATEWAY else SIDECAR,
        namespace=namespace or parts.get("namespace") or DEFAULT_NAMESPACE,
        uuid=parts.get("uuid") or "",
        ip=parts.get("ip") or "",
        metadata=metadata,
        locality=NOWHERE if place == NOWHERE else place,
        agent=f"{fields.agent} {fields.agent_version}".strip(),
        features=fields.features,
    )


def _kind(fields: NodeFields) -> str:
    """gRPC's libraries name themselves; so does Envoy. Others are taken for gRPC when they announce what only it does."""
    agent = fields.agent.lower()
    return GRPC if agent.startswith(_GRPC_AGENTS) or (not agent and _RESOURCE in fields.features) else ENVOY
