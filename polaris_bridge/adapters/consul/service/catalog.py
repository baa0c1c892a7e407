"""Reads of the catalog: datacenters, services, nodes and what stands on them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping

from msgspec import Struct

from polaris_bridge.adapters.consul.filters import Filter
from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.view import Found, Reading, View
from polaris_bridge.adapters.consul.view_instances import Instance, NodeView, joined
from polaris_bridge.adapters.consul.wire.shapes import ServiceShape, encode

from .nodes import Nodes
from .selecting import Wanted, has_meta, select

SERVER: str = "consul"
"""The service that every Consul server is an instance of."""

May = Callable[[str, str], bool]
"""Whether the caller has a right (``service:read``) on a name."""


class Listed(Struct, frozen=True):
    """A list, its index, and whether something was left out for want of rights."""

    body: bytes | tuple[bytes, ...]
    index: int
    filtered: bool = False


class Catalog:
    """See the module."""

    def __init__(self, view: View, nodes: Nodes, settings: ConsulSettings) -> None:
        self._view = view
        self._nodes = nodes
        self._settings = settings

    def datacenters(self) -> list[str]:
        """The names, the own one first."""
        own = self._settings.datacenter
        return [own, *sorted(name for name in self._settings.datacenters if name != own)]

    def services(self, namespace: str, wanted: Wanted, may: May) -> Listed:
        """Names with all tags of their instances; the server's own service is there unless nodes or a filter leave it out."""
        found: dict[str, tuple[str, ...]] = {}
        hidden = False
        if may("service:read", SERVER) and (
            wanted.everything
            or select(self.instances(self._view, namespace, SERVER), wanted, lambda i: i.catalog_plain)
        ):
            found[SERVER] = ()
        for name, tags in self._view.names(namespace):
            if not may("service:read", name):
                hidden = True
                continue
            if wanted.everything:
                found[name] = tags
                continue
            chosen = select(self._view.service(namespace, name).instances, wanted, lambda i: i.catalog_plain)
            if chosen:
                found[name] = tuple(dict.fromkeys(tag for i in chosen for tag in i.service.tags))
        return Listed(encode(found), self._view.space(namespace).catalog, hidden)

    def service(self, found: Found, namespace: str, name: str, wanted: Wanted, may: May) -> Listed:
        """The instances of a service. ``found``: it, as its reader sees it."""
        service, index = found[0], found[1].catalog
        if not may("service:read", name):
            return Listed(b"[]", index, True)
        if wanted.everything and not wanted.passing and not self._is_server(name):
            return Listed(service.body("catalog", lambda all: joined(i.catalog for i in all)), index)
        chosen = select(self.with_server(namespace, name, service.instances), wanted, lambda i: i.catalog_plain)
        return Listed(joined(i.catalog for i in chosen), index)

    def instances(self, seen: Reading, namespace: str, name: str) -> list[Instance]:
        """Every instance of a service that a reader sees, the server itself included."""
        return self.with_server(namespace, name, seen.read(namespace, name)[0].instances)

    def with_server(self, namespace: str, name: str, instances: list[Instance]) -> list[Instance]:
        """Instances with the server itself in front, if it is one of the service."""
        if not self._is_server(name):
            return instances
        own = self._view.node(self._nodes.own(namespace))
        return instances if own is None else [self._server(own), *instances]

    def nodes(
        self, namespace: str, meta: Mapping[str, str], keeps: Filter | None, near: str, may: May
    ) -> Generator[None, None, tuple[list[NodeView], bool]]:
        """The nodes of a datacenter, and whether some were hidden for want of rights. Yields where it may be interrupted."""
        found, hidden = [], False
        for node in self._listed(namespace):
            if node is None:
                pass
            elif not may("node:read", node.shape.node):
                hidden = True
            elif has_meta(node.shape.meta, meta) and (keeps is None or keeps(plain_node(node))):
                found.append(node)
            yield
        found.sort(key=lambda n: (n.shape.node.lower() != near.lower() if near else False, n.shape.node.lower()))
        return found, hidden

    def listed(self, namespace: str) -> list[NodeView]:
        """Every node of a datacenter that is to be seen; the one of other protocols while it holds something."""
        return [node for node in self._listed(namespace) if node is not None]

    def _listed(self, namespace: str) -> Iterator[NodeView | None]:
        given: set[NodeKey] = set()
        for node in self._nodes.listed(namespace):
            given.add(node.key.folded)
            yield self._view.node(node.key)
        foreign = NodeKey(namespace, self._settings.foreign_node)
        if self._view.has_foreign(namespace) and foreign.folded not in given:
            yield self._view.node(foreign)

    def fixed(self, namespace: str) -> tuple[NodeKey, NodeKey]:
        """The nodes that need no documents, folded: this server's own and the one of other protocols."""
        return self._nodes.own(namespace).folded, NodeKey(namespace, self._settings.foreign_node).folded

    def is_listed(self, key: NodeKey) -> bool:
        """Whether a node is among these."""
        if key.name.lower() == self._settings.foreign_node.lower() and self._view.has_foreign(key.namespace):
            return True
        return self._nodes.is_listed(key)

    def node(self, namespace: str, name: str) -> NodeView | None:
        """A node by its name in any case, or its id."""
        found = self._view.node(NodeKey(namespace, name))
        if found is not None:
            return found
        return next((n for n in self.listed(namespace) if name and n.shape.id.lower() == name.lower()), None)

    def standing(self, node: NodeView) -> Generator[None, None, list[tuple[ServiceShape, Instance]]]:
        """What stands on a node, by service and id. Yields where it may be interrupted."""
        namespace = node.key.namespace
        found: list[Instance] = []
        if node.key.name.lower() == self._settings.foreign_node.lower():
            services = yield from self._view.services(namespace)
            for service in services:
                found += [i for i in service.instances if i.node is node]
                yield
        else:
            for name in self._names_on(node.key):
                yield from self._view.build(namespace, name)
                found += [
                    i for i in self._view.service(namespace, name).instances if i.order[0] == node.key.folded.name
                ]
            if self._nodes.is_own(node.key):
                found.append(self._server(node))
        return [(i.service, i) for i in sorted(found, key=lambda i: (i.service.name.lower(), i.order))]

    # ------------------------------------------------------------------ pieces

    def _names_on(self, key: NodeKey) -> set[str]:
        return {r.service.lower() for r in self._view.registered_on(key)}

    def _is_server(self, name: str) -> bool:
        return name.lower() == SERVER

    def _server(self, own: NodeView) -> Instance:
        index = own.shape.create_index
        shape = ServiceShape(
            SERVER, SERVER, "", self._settings.server_port, meta={"non_voter": "false", "read_replica": "false"},
            created=index, modified=index,
        )  # fmt: skip
        return Instance(own, shape, [], None)


def plain_node(node: NodeView) -> Mapping[str, object]:
    """A node as a filter is asked about it."""
    s = node.shape
    return {
        "ID": s.id,
        "Node": s.node,
        "Address": s.address,
        "Datacenter": s.datacenter,
        "TaggedAddresses": s.tagged_addresses,
        "Meta": s.meta,
    }
