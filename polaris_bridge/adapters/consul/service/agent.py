"""What an agent says of itself and of what is registered with it: the services and checks on the caller's node."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.keys import Document, Marks, NodeKey
from polaris_bridge.adapters.consul.wire import agent as wire
from polaris_bridge.adapters.consul.wire.definitions import CRITICAL, PASSING, WARNING
from polaris_bridge.core.model import Registration
from polaris_bridge.core.registry import Registry

from .index import Index, LiveCheck
from .nodes import VERSION, Node, Nodes

SERVICE_MAINTENANCE: Final = "_service_maintenance:"
NODE_MAINTENANCE: Final = "_node_maintenance"
MAINTENANCE: Final = "maintenance"
"""The status of what is in maintenance, worse than critical."""
NO_SERVICE_REASON: Final = (
    "Maintenance mode is enabled for this service, but no reason was provided. This is a default message."
)
NO_NODE_REASON: Final = (
    "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."
)
BUILD: Final = {"SHA": "", "BuildDate": "1970-01-01T00:00:01Z", "HumanVersion": VERSION, "FIPS": ""}

_SEVERITY: Final = {PASSING: 0, WARNING: 1, CRITICAL: 2, MAINTENANCE: 3}
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder(order="deterministic").encode

Plain = wire.Plain


class Agent:
    """The agents of all callers of one listener."""

    def __init__(self, registry: Registry, settings: ConsulSettings, index: Index, nodes: Nodes) -> None:
        self._registry = registry
        self._settings = settings
        self._index = index
        self._nodes = nodes

    # ------------------------------------------------------------------ services

    def services(self, node: NodeKey) -> Iterator[tuple[Registration, Plain]]:
        """The services on a node, by id."""
        for r in self._index.services(node):
            yield r, self.plain(r)

    def plain(self, r: Registration) -> Plain:
        """A service as the agent shows it."""
        document = r.ext
        assert isinstance(document, Document)
        return wire.service(
            id=document.id,
            name=r.service,
            tags=r.tags,
            meta=dict(sorted(r.metadata.items())),
            port=r.port,
            address=document.address,
            tagged={name: (at.address, at.port) for name, at in document.tagged.items()},
            weights=wire.Weights(document.passing, document.warning),
            tag_override=document.tag_override,
            datacenter=self._settings.datacenter,
            kind=document.kind,
            socket_path=document.socket_path,
            extra=_decode(document.extra) if document.extra else None,
        )

    @staticmethod
    def content_hash(plain: Plain) -> str:
        """16 hexadecimal digits that are the same for the same content."""
        return hashlib.blake2b(_encode(plain), digest_size=8).hexdigest()

    # ------------------------------------------------------------------ checks

    def checks(self, node: NodeKey) -> Iterator[tuple[str, Plain]]:
        """The checks of the services on a node, by service, then the node's own, maintenance included; each with its
        service's name."""
        standing = self._index.on(node)
        if standing is not None:
            for r in self._index.services(node):
                for found in self._own_checks(node, r, standing.checks):
                    yield r.service, found
            for live in list(standing.own.values()):
                yield "", self._check(node.name, live, None)
        shown = self.node_maintenance(node)
        if shown is not None:
            yield "", shown

    def _own_checks(self, node: NodeKey, r: Registration, lives: dict[str, LiveCheck]) -> Iterator[Plain]:
        document = r.ext
        assert isinstance(document, Document)
        for record in document.checks:
            live = lives.get(record.id)
            if live is not None and live.owner == r.id:
                yield self._check(node.name, live, r)
        shown = self._maintenance(node.name, r)
        if shown is not None:
            yield shown

    def checks_of(self, node: NodeKey, r: Registration) -> list[Plain]:
        """The checks that count for a service: its own, then its node's."""
        standing = self._index.on(node)
        if standing is None:
            return []
        found = list(self._own_checks(node, r, standing.checks))
        shown = self.node_maintenance(node)
        if shown is not None:
            found.append(shown)
        return found + [self._check(node.name, live, None) for live in standing.own.values()]

    def _check(self, node: str, live: LiveCheck, r: Registration | None) -> Plain:
        record = live.record
        id = r.ext.id if r is not None and isinstance(r.ext, Document) else ""
        name, tags = (r.service, r.tags) if r is not None else ("", ())
        return wire.check(
            node=node,
            id=record.id,
            name=record.name,
            status=live.status,
            notes=record.notes,
            output=live.output,
            service_id=id,
            service_name=name,
            tags=tags,
            type=record.type,
            interval=record.interval,
            timeout=record.timeout,
        )

    @staticmethod
    def maintained(r: Registration) -> bool:
        """Whether a service is in maintenance."""
        return isinstance(r.marks, Marks) and r.marks.maintenance is not None

    def _maintenance(self, node: str, r: Registration) -> Plain | None:
        reason = r.marks.maintenance if isinstance(r.marks, Marks) else None
        if reason is None or not isinstance(r.ext, Document):
            return None
        return wire.check(
            node=node,
            id=f"{SERVICE_MAINTENANCE}{r.ext.id}",
            name="Service Maintenance Mode",
            status=CRITICAL,
            notes=reason,
            output="",
            service_id=r.ext.id,
            service_name=r.service,
            tags=r.tags,
            type=MAINTENANCE,
        )

    def node_maintenance(self, node: NodeKey) -> Plain | None:
        """The check that says that a node is in maintenance; None: it is not."""
        kept = self._nodes.get(node)
        if kept is None or kept.record.maintenance is None:
            return None
        return wire.check(
            node=node.name,
            id=NODE_MAINTENANCE,
            name="Node Maintenance Mode",
            status=CRITICAL,
            notes=kept.record.maintenance,
            output="",
            service_id="",
            service_name="",
            tags=(),
            type=MAINTENANCE,
        )

    # ------------------------------------------------------------------ health

    @staticmethod
    def aggregated(checks: list[Plain]) -> str:
        """The worst of some checks; maintenance is worse than critical."""
        worst = PASSING
        for each in checks:
            id = each["CheckID"]
            held = id == NODE_MAINTENANCE or id.startswith(SERVICE_MAINTENANCE)
            status = MAINTENANCE if held else each["Status"]
            worst = max(worst, status, key=lambda word: _SEVERITY.get(word, 2))
        return worst

    # ------------------------------------------------------------------ the agent itself

    def node(self, key: NodeKey) -> Node | None:
        """A caller's node, as far as there is one."""
        return self._nodes.get(key)

    def member(self, node: Node) -> Plain:
        """A node as one of the cluster's members."""
        own = self._nodes.is_own(node.key)
        return wire.member(
            node.record.name, node.record.address, self._settings.datacenter, node.record.id, VERSION, server=own
        )

    def members(self, *, wan: bool) -> list[Plain]:
        """The server, and (LAN) an agent for every host that something is registered from."""
        found = []
        for node in self._nodes.listed(self._settings.namespace):
            if self._nodes.is_own(node.key):
                shown = self.member(node)
                if wan:
                    shown |= {"Name": f"{node.record.name}.{self._settings.datacenter}", "Port": 8302}
                found.append(shown)
            elif node.record.implied and not wan:
                found.append(self.member(node))
        return found

    def self(self, caller_node: NodeKey, address: str) -> Plain:
        """agent/self, as the agent of a caller's host says it."""
        settings = self._settings
        node = self._nodes.get(caller_node) or self._nodes.imagined(caller_node, address)
        id = node.record.id
        standing = self._index.on(caller_node)
        services = 0 if standing is None else len(standing.services)
        checks = 0 if standing is None else len(standing.checks)
        meta = {"consul-network-segment": "", "consul-version": VERSION}
        return {
            "Config": {
                "Datacenter": settings.datacenter,
                "PrimaryDatacenter": settings.datacenter,
                "NodeName": node.record.name,
                "NodeID": id,
                "Revision": BUILD["SHA"],
                "Server": True,
                "Version": VERSION,
                "BuildDate": BUILD["BuildDate"],
            },
            "DebugConfig": {
                "ACLsEnabled": settings.auth,
                "AdvertiseAddrLAN": node.record.address,
                "Bootstrap": True,
                "Datacenter": settings.datacenter,
                "NodeID": id,
                "NodeName": node.record.name,
                "ServerMode": True,
                "Version": VERSION,
            },
            "Coord": coordinate(),
            "Member": self.member(node),
            "Stats": {
                "agent": {
                    "check_monitors": "0",
                    "check_ttls": str(
                        sum(live.record.ttl_ns > 0 for live in standing.checks.values()) if standing else 0
                    ),
                    "checks": str(checks),
                    "services": str(services),
                },
                "build": {"prerelease": "", "revision": "", "version": VERSION, "version_metadata": ""},
                "consul": {"acl": "enabled" if settings.auth else "disabled", "bootstrap": "true", "leader": "true"},
                "runtime": {"arch": "amd64", "os": sys.platform},
            },
            "Meta": meta if node.record.meta is None else node.record.meta,
            "xDS": {
                "SupportedProxies": {"envoy": []},
                "Port": 0,
                "Ports": {"Plaintext": 0, "TLS": 0},
            },
        }


def coordinate() -> Plain:
    """The network coordinate of a node that has measured nothing yet."""
    return {"Vec": [0.0] * 8, "Error": 1.5, "Adjustment": 0.0, "Height": 1e-05}
