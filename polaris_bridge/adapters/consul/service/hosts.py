"""Which nodes and services are at an address: for names that are asked backwards. Followed only once somebody asked."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Generator, Iterable

from polaris_bridge.adapters.consul.translate.keys import NODE, NodeKey
from polaris_bridge.adapters.consul.translate.nodes import record
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Document, ServiceKey
from polaris_bridge.core.registry import Registry


class HostIndex:
    """By namespace and host: the services there, each with its number of addresses."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._at: dict[tuple[str, str], dict[str, int]] = {}
        self._nodes: dict[tuple[str, str], dict[NodeKey, None]] = {}
        self._waiting: set[ServiceKey] = set()
        """While looking: the services that will be looked at as they will be then."""
        self._looking = False
        self.ready = False
        """Whether ``services_at`` is cheap; else ``look`` should have run."""
        registry.observe(self._published)

    def look(self) -> Generator[None, None, None]:
        """Look at every service once. Yields in between; changes meanwhile are followed."""
        if self.ready or self._looking:
            return
        self._looking = True
        for kept in self._registry.documents.all(NODE):
            newest = self._registry.documents.get(NODE, kept.id)
            if newest is not None:
                self._enter(newest)
            yield
        self._waiting = {snapshot.key for snapshot in self._registry.services()}
        while self._waiting:
            service = self._waiting.pop()
            for address in self._registry.snapshot(service).addresses.values():
                if address.registrations:
                    self._count(service, address.host, 1)
            yield
        self.ready, self._looking = True, False

    def nodes_at(self, namespace: str, address: str) -> Iterable[NodeKey]:
        """The nodes whose documents give this address, an IP as Python writes it."""
        if not self.ready:
            for _ in self.look():
                pass
        return tuple(self._nodes.get((namespace, address), ()))

    def services_at(self, namespace: str, host: str) -> Iterable[str]:
        """The names of the services that have an instance at a host, written as it was registered."""
        if not self.ready:
            for _ in self.look():
                pass
        return sorted(self._at.get((namespace, host), ()))

    def _count(self, service: ServiceKey, host: str, more: int) -> None:
        here = self._at.setdefault((service.namespace, host), {})
        here[service.name] = here.get(service.name, 0) + more
        if here[service.name] <= 0:
            del here[service.name]
            if not here:
                del self._at[service.namespace, host]

    def _enter(self, kept: Document) -> None:
        self._nodes.setdefault(_place(kept), {})[NodeKey(kept.namespace, kept.name).folded] = None

    def _leave(self, kept: Document) -> None:
        place = _place(kept)
        here = self._nodes.get(place)
        if here is not None:
            here.pop(NodeKey(kept.namespace, kept.name).folded, None)
            if not here:
                del self._nodes[place]

    def _published(self, published: Published) -> None:
        if not self.ready and not self._looking:
            return
        for document in published.documents:
            if document.kind == NODE:
                if document.before is not None:
                    self._leave(document.before)
                if document.after is not None:
                    self._enter(document.after)
        for change in published.changes:
            if change.service in self._waiting:
                continue
            before = change.before is not None and bool(change.before.registrations)
            after = change.after is not None and bool(change.after.registrations)
            if before != after:
                self._count(change.service, change.address.host, 1 if after else -1)


def _place(kept: Document) -> tuple[str, str]:
    """Where the node of a document is."""
    address = record(kept).address
    with contextlib.suppress(ValueError):
        address = str(ipaddress.ip_address(address))
    return kept.namespace, address
