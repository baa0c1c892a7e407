"""Reads of health: instances with their checks, and checks by service, node or state."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import Final

import msgspec

from polaris_bridge.adapters.consul.filters import Filter
from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.adapters.consul.view import Found, View
from polaris_bridge.adapters.consul.view_instances import Instance, joined
from polaris_bridge.adapters.consul.wire.shapes import CheckShape, encode
from polaris_bridge.core.model import PASSING

from .catalog import SERVER, Catalog, Listed, May
from .selecting import Wanted, select

ANY: str = "any"
_CHUNK: Final = 500
"""Checks that are put together in one go: a list of all is tens of megabytes."""


class Health:
    """See the module."""

    def __init__(self, view: View, catalog: Catalog) -> None:
        self._view = view
        self._catalog = catalog

    def service(self, found: Found, namespace: str, name: str, wanted: Wanted, may: May) -> Listed:
        """The instances of a service with their checks. ``found``: it, as its reader sees it."""
        service, index = found[0], found[1].any
        if not may("service:read", name):
            return Listed(b"[]", index, True)
        if wanted.everything and name.lower() != SERVER:
            variant, make = ("passing", _passing) if wanted.passing else ("health", _all)
            return Listed(service.body(variant, make), index)
        instances = self._catalog.with_server(namespace, name, service.instances)
        return Listed(joined(i.health for i in select(instances, wanted, lambda i: i.health_plain)), index)

    def checks(self, found: Found, name: str, wanted: Wanted, keeps: Filter | None, may: May) -> Listed:
        """The checks of a service, without those of nodes."""
        service, index = found[0], found[1].any
        if not may("service:read", name):
            return Listed(b"[]", index, True)
        instances = select(service.instances, wanted, lambda i: i.health_plain)
        return Listed(_checks((check for i in instances for check in i.checks), keeps), index)

    def node(self, namespace: str, name: str, keeps: Filter | None, may: May) -> Generator[None, None, Listed]:
        """The checks of a node and of what stands on it; none for one that is not there. Yields where it may be interrupted."""
        node, index = self._catalog.node(namespace, name), self.node_index(namespace, name)
        if node is None:
            return Listed(b"[]", index)
        if not may("node:read", node.shape.node):
            return Listed(b"[]", index, True)
        standing = yield from self._catalog.standing(node)
        found = [*node.checks, *(check for _, i in standing for check in i.checks)]
        seen = [c for c in found if not c.service_name or may("service:read", c.service_name)]
        return Listed(_checks(seen, keeps), index, len(seen) < len(found))

    def node_index(self, namespace: str, name: str) -> int:
        """Since when a node is as it is; since when there has been none."""
        if self._catalog.node(namespace, name) is None:
            return self._view.nodes_index(namespace)
        return self._view.node_indexes(NodeKey(namespace, name)).any

    def state(
        self, namespace: str, state: str, wanted: Wanted, keeps: Filter | None, may: May
    ) -> Generator[None, None, Listed]:
        """Every check in a state. Yields where it may be interrupted; its index is that of before the first time."""
        index = self._view.space(namespace).any
        found: list[CheckShape] = []
        nodes, hidden = yield from self._catalog.nodes(namespace, wanted.node_meta, None, wanted.near, may)
        for node in nodes:
            found += [check for check in node.checks if state in (ANY, check.status)]
        services = yield from self._view.services(namespace)
        for service in services:
            yield
            if not may("service:read", service.name):
                hidden = True
                continue
            for i in select(service.instances, wanted, lambda i: i.health_plain):
                found += [check for check in i.checks if state in (ANY, check.status)]
        if wanted.near:
            near = wanted.near.lower()
            found.sort(key=lambda c: c.node.lower() != near)
        chunks: list[bytes] = [b"["]
        parts: list[bytes] = []
        for check in found:
            if keeps is not None and not keeps(_plain(check)):
                continue
            parts.append(encode(check))
            if len(parts) == _CHUNK:
                chunks += (b",".join(parts), b",")
                parts.clear()
            yield
        if parts or len(chunks) == 1:
            chunks.append(b",".join(parts))
        else:
            chunks.pop()
        return Listed((*chunks, b"]"), index, hidden)


def _all(instances: list[Instance]) -> bytes:
    return joined(i.health for i in instances)


def _passing(instances: list[Instance]) -> bytes:
    return joined(i.health for i in instances if i.status == PASSING)


def _checks(found: Iterable[CheckShape], keeps: Filter | None) -> bytes:
    return joined(encode(check) for check in found if keeps is None or keeps(_plain(check)))


def _plain(check: CheckShape) -> Mapping[str, object]:
    """A check as a filter is asked about it."""
    plain: dict[str, object] = msgspec.to_builtins(check, builtin_types=(msgspec.Raw,))
    return plain
