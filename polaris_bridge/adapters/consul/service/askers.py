"""Who looks something up, as far as routing is concerned.

A call says no more than where it comes from. Who that is, the core finds by what was registered; here is said what only Consul
knows: that services of a caller's node may have other addresses than the node, and where the node is that ``near`` names.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters.consul.translate.keys import SOURCE, NodeKey
from polaris_bridge.adapters.consul.view import View
from polaris_bridge.core.model import NOWHERE, Caller, Location
from polaris_bridge.core.registry import Registry

from .index import Index
from .nodes import Nodes

Locate = Callable[[str], Location | None]
"""Where an address is, as far as somebody knows."""

_MOST_KEPT: Final = 10_000
_FEW: Final = 16
"""A node with more services than this is a host of many, of whom none is the caller."""
_FAMILIES: Final = {1: 4, 2: 16}
"""Bytes of an address by family (RFC 7871)."""


class Askers:
    """See the module."""

    def __init__(self, registry: Registry, view: View, index: Index, nodes: Nodes, locate: Locate) -> None:
        self._registry = registry
        self._view = view
        self._index = index
        self._nodes = nodes
        self._locate = locate
        self._hosts: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """By address: where the services of that caller's node are, and since which publication. Only of those who had such."""

    def of_call(self, caller: Caller, near: str, namespace: str) -> Caller:
        """Who made a call. ``near``: the node that it names in a datacenter; empty: its own, or none."""
        location = self._location(NodeKey(namespace, near)) if near else NOWHERE
        return Caller(
            SOURCE, caller.address, caller.principal, self._elsewhere(caller), caller.agent, location=location
        )

    def of_question(self, peer: str, subnet: bytes) -> Caller:
        """Who asks a question. A resolver that says for whom it asks (RFC 7871) is not who calls: a whole address is the
        caller's; of a part of one it is known where that is."""
        if not subnet:
            caller = Caller(SOURCE, peer)
            return Caller(SOURCE, peer, client=self._elsewhere(caller))
        address, whole = subnet_of(subnet)
        if whole:
            return self.of_question(address, b"")
        return Caller(SOURCE, location=(self._locate(address) if address else None) or NOWHERE)

    def turned(self, caller: Caller) -> int:
        """The publication since which the services of a caller's node are where they are, if they are elsewhere."""
        kept = self._hosts.get(caller.address)
        return 0 if kept is None else kept[1]

    def node(self, caller: Caller) -> NodeKey | None:
        """The node of a caller, folded; None for a host of many, of whom none is the caller."""
        node = self._nodes.key_of(caller).folded
        on = self._index.on(node)
        return node if on is None or len(on.services) <= _FEW else None

    def _elsewhere(self, caller: Caller) -> str:
        """The address that the services of a caller's node have when it is another one than the caller's; empty: none, or
        several."""
        host, kept = self._found(caller), self._hosts.get(caller.address)
        if (host and kept is None) or (kept is not None and kept[0] != host):
            self._hosts[caller.address] = host, self._registry.revision
            if len(self._hosts) > _MOST_KEPT:
                self._hosts.popitem(last=False)
        return host

    def _found(self, caller: Caller) -> str:
        on = self._index.on(self._nodes.key_of(caller))
        if on is None or not 0 < len(on.services) <= _FEW:
            return ""
        found = (self._registry.registration(key) for key in on.services.values())
        hosts = {r.host for r in found if r is not None}
        return "" if len(hosts) != 1 or caller.address in hosts else hosts.pop()

    def _location(self, node: NodeKey) -> Location:
        """Where a node is: what all that stands on it agrees on, else what somebody knows of its address."""
        places = {r.location for r in self._index.services(node)}
        own = places.pop() if len(places) == 1 else NOWHERE
        if own != NOWHERE:
            return own
        known = self._view.node(node)
        return NOWHERE if known is None else self._locate(known.shape.address) or NOWHERE


def subnet_of(option: bytes) -> tuple[str, bool]:
    """The address in a client subnet option, and whether it is a whole one. Empty: it is none."""
    size = _FAMILIES.get(int.from_bytes(option[:2], "big"), 0)
    if not size or len(option) < 4:
        return "", False
    prefix, given = option[2], option[4 : 4 + size]
    if not prefix:  # the client does not want to be known
        return "", False
    return str(ipaddress.ip_address(given.ljust(size, b"\0"))), prefix >= size * 8
