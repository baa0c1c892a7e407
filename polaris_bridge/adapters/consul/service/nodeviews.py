"""Nodes as readers see them: with the checks that every node has, those that were registered on it, and its maintenance."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.translate.nodes import NodeRecord, stable_id, tagged_of
from polaris_bridge.adapters.consul.translate.shown import check_shape, serf_check, worst
from polaris_bridge.adapters.consul.view_instances import NodeView
from polaris_bridge.adapters.consul.wire.shapes import CheckShape, NodeShape, encode
from polaris_bridge.core.model import CRITICAL
from polaris_bridge.core.registry import Registry

from .index import Index
from .nodes import VERSION, Node, Nodes

NODE_MAINTENANCE: Final = "_node_maintenance"
NODE_MAINTENANCE_NAME: Final = "Node Maintenance Mode"
_NOTES: Final = "Maintenance mode is enabled for this node, but no reason was provided. This is a default message."


class NodeViews:
    """Makes the nodes that ``view.View`` keeps."""

    def __init__(self, registry: Registry, settings: ConsulSettings, nodes: Nodes, index: Index) -> None:
        """``index``: what stands on nodes, in step before whoever asks for a node is."""
        self._registry = registry
        self._index = index
        self._settings = settings
        self._nodes = nodes
        self._datacenters = {namespace: name for name, namespace in reversed(settings.datacenters.items())}
        self._foreign: dict[str, NodeView] = {}

    def datacenter(self, namespace: str) -> str:
        """The datacenter that shows a namespace."""
        return self._datacenters.get(namespace, self._settings.datacenter)

    def make(self, key: NodeKey) -> NodeView | None:
        """A node as it is now; None when there is none. Also the one of other protocols' instances."""
        if key.name.lower() == self._settings.foreign_node.lower():
            return self.foreign(key.namespace)
        found = self._nodes.get(key)
        return None if found is None else self._view(found)

    def foreign(self, namespace: str) -> NodeView:
        """The node that instances of other protocols stand on."""
        found = self._foreign.get(namespace)
        if found is None:
            name = self._settings.foreign_node
            address = self._nodes.address
            id = stable_id(f"{self._registry.node}|{namespace}|{name}")
            meta = {"consul-network-segment": "", "consul-version": VERSION, "external-source": "polaris-bridge"}
            record = NodeRecord(name, address, id, tagged_of(address), meta)
            found = self._foreign[namespace] = self._view(Node(NodeKey(namespace, name), record, 0))
        return found

    def moved(self) -> None:
        """The server has another address."""
        self._foreign.clear()

    def _view(self, node: Node) -> NodeView:
        record, floor = node.record, max(1, self._registry.ledger.floor)
        created, modified = node.created or floor, node.revision or floor
        shape = NodeShape(
            record.id,
            record.name,
            record.address,
            self.datacenter(node.key.namespace),
            record.tagged,
            record.meta,
            created,
            modified,
        )
        checks = self._checks(node, created)
        return NodeView(
            node.key,
            shape,
            checks,
            worst(c.status for c in checks),
            encode(shape),
            tuple(map(encode, checks)),
            record.maintenance is not None,
        )

    def _checks(self, node: Node, created: int) -> tuple[CheckShape, ...]:
        name = node.record.name
        found = [serf_check(name, created)]
        standing = self._index.on(node.key)
        for live in standing.own.values() if standing is not None else ():
            c = live.record
            found.append(check_shape(c, name, c.status or CRITICAL, c.output, created=created, modified=live.revision))
        if node.record.maintenance is not None:
            found.append(
                CheckShape(
                    name, NODE_MAINTENANCE, NODE_MAINTENANCE_NAME, CRITICAL, node.record.maintenance or _NOTES,
                    type="maintenance", create_index=node.revision, modify_index=node.revision,
                )
            )  # fmt: skip
        return tuple(found)
