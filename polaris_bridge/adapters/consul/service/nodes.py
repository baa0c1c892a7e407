"""Nodes: whose a caller's is, which ones there are, and what is kept of them.

A real agent runs on every host; here one server stands in for all of them, so a caller's address makes its node. Such a node
is listed while it holds something; what the catalog registered stays until it is deregistered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec import Struct, structs

from polaris_bridge.adapters.consul.settings import ConsulSettings
from polaris_bridge.adapters.consul.translate.keys import NODE, NodeKey
from polaris_bridge.adapters.consul.translate.nodes import (
    NodeRecord,
    caller_name,
    document,
    is_loopback,
    record,
    stable_id,
    tagged_of,
)
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import SYSTEM, Caller, Document
from polaris_bridge.core.registry import Registry

VERSION = "1.20.6"
"""What this agent says its version is, beside ``build.CLAIM``."""
_MOST_CALLERS = 10_000
_LOOK_S = 60.0
"""How often nodes that hold nothing are looked for."""
_AT_ONCE = 200
"""Nodes looked at in one round."""
_EMPTY_MS = 60_000
"""How old a node at least is that goes for holding nothing."""


class Node(Struct, frozen=True, gc=False):
    """A node as readers see it."""

    key: NodeKey
    record: NodeRecord
    revision: int
    """Of its last change; 0 for one that no document describes."""
    created: int = 0


class Nodes:
    """The nodes of one listener's datacenters."""

    def __init__(self, registry: Registry, settings: ConsulSettings, own_name: str, address: Callable[[], str]) -> None:
        """``own_name``: of the server's own node; ``address``: under which others reach this machine."""
        self._registry = registry
        self._settings = settings
        self._address = address
        self._names: dict[str, str] = {}
        self._known_address = ""
        self._looking: list[Document] = []
        self._looked = registry.clock.monotonic()
        self.own_name = own_name
        self.holders: list[Callable[[NodeKey], bool]] = []
        """Who may say that a node holds something (services, checks, sessions); asked with folded keys."""

    @property
    def address(self) -> str:
        """Where others reach this machine."""
        return self._address()

    @property
    def own_id(self) -> str:
        """The id of the server's own node."""
        return self._own_record(self._settings.namespace).id

    # ------------------------------------------------------------------ callers

    def of_caller(self, caller: Caller) -> str:
        """The name of the node that a caller's registrations stand on."""
        own = self._address()
        if own != self._known_address:  # others reach this machine by another address than a moment ago
            self._known_address = own
            self._names.clear()
        name = self._names.get(caller.address)
        if name is None:
            if len(self._names) >= _MOST_CALLERS:
                self._names.clear()
            here = self._settings.single_node or is_loopback(caller.address) or caller.address == own
            name = self._names[caller.address] = self.own_name if here else caller_name(caller.address)
        return name

    def key_of(self, caller: Caller) -> NodeKey:
        """The caller's node, in the datacenter of this listener."""
        return NodeKey(self._settings.namespace, self.of_caller(caller))

    def own(self, namespace: str) -> NodeKey:
        """The server's own node in a datacenter."""
        return NodeKey(namespace, self.own_name)

    def is_own(self, key: NodeKey) -> bool:
        """Whether it is the server's own node."""
        return key.name.lower() == self.own_name.lower()

    def address_of(self, key: NodeKey, caller: Caller) -> str:
        """The address of a node; that of its caller for one that is not there yet."""
        found = self.newest(key)
        return caller.address if found is None else found.address

    # ------------------------------------------------------------------ queries

    def get(self, key: NodeKey) -> Node | None:
        """A node as readers see it, whether it holds something or not; None when there is none of that name."""
        kept = self._registry.documents.get(NODE, key.document)
        if kept is not None:
            return Node(key, self._own(key, record(kept)), kept.revision, kept.revision)
        if self.is_own(key):
            return Node(self.own(key.namespace), self._own_record(key.namespace), 0)
        return None

    def newest(self, key: NodeKey) -> NodeRecord | None:
        """The same in the newest state, uncommitted included: what a command has to be computed against."""
        kept = self._registry.documents.newest(NODE, key.document)
        if kept is not None:
            return self._own(key, record(kept))
        return self._own_record(key.namespace) if self.is_own(key) else None

    def imagined(self, key: NodeKey, address: str) -> Node:
        """A caller's node as it would be, on which nothing was registered yet."""
        id = stable_id(f"{self._registry.node}|{key.namespace}|{key.name}")
        meta = {"consul-network-segment": "", "consul-version": VERSION}
        return Node(key, NodeRecord(key.name, address, id, tagged_of(address), meta, implied=True), 0)

    def listed(self, namespace: str) -> Iterator[Node]:
        """Every node of a datacenter that readers are shown, the own one first. The node of foreign instances is not among
        them."""
        own = self.get(self.own(namespace))
        if own is not None:
            yield own
        for kept in self._registry.documents.all(NODE):
            if kept.namespace != namespace:
                continue
            found = record(kept)
            key = NodeKey(namespace, found.name)
            if not self.is_own(key) and (not found.implied or self.holds(key)):
                yield Node(key, found, kept.revision, kept.revision)

    def is_listed(self, key: NodeKey) -> bool:
        """Whether a node is among these."""
        found = self.get(key)
        return found is not None and (self.is_own(key) or not found.record.implied or self.holds(key))

    def holds(self, key: NodeKey) -> bool:
        """Whether something stands on a node."""
        folded = key.folded
        return any(holds(folded) for holds in self.holders)

    def _own(self, key: NodeKey, found: NodeRecord) -> NodeRecord:
        """The own node is where this machine is now, unless the catalog was told otherwise."""
        if found.implied and self.is_own(key):
            return structs.replace(self._own_record(key.namespace), maintenance=found.maintenance, implied=True)
        return found

    def _own_record(self, namespace: str) -> NodeRecord:
        address = self._address()
        meta = {"consul-network-segment": "", "consul-version": VERSION}
        id = stable_id(f"{self._registry.node}|{namespace}|{self.own_name}")
        return NodeRecord(self.own_name, address, id, tagged_of(address), meta)

    # ------------------------------------------------------------------ commands

    def ensure(self, key: NodeKey, caller: Caller) -> Commit | None:
        """See to it that a caller's node has its document. None when it has, or needs none."""
        if self.is_own(key) or self._registry.documents.newest(NODE, key.document) is not None:
            return None
        made = self.imagined(key, caller.address).record
        return self._registry.documents.put(document(key, made), caller)

    def put(self, key: NodeKey, changed: NodeRecord, caller: Caller) -> Commit | None:
        """Create or replace a node; None when that changes nothing. Whose services stand on it is touched by its caller."""
        kept = self._registry.documents.newest(NODE, key.document)
        if kept is not None and record(kept) == changed:
            return None
        return self._registry.documents.put(document(key, changed), caller)

    def delete(self, key: NodeKey, caller: Caller) -> Commit | None:
        """Forget a node; None when no document describes it. What stands on it is removed by its caller."""
        return self._registry.documents.delete(NODE, key.document, caller)

    def maintain(self, key: NodeKey, reason: str | None, caller: Caller) -> Commit | None:
        """Put a node into maintenance, or (None) take it out; None when that changes nothing."""
        known = self.newest(key)
        if known is None:
            self.ensure(key, caller)
            known = self.newest(key)
        if known is None or known.maintenance == reason:
            return None
        implied = known.implied or (self.is_own(key) and self._registry.documents.newest(NODE, key.document) is None)
        return self.put(key, structs.replace(known, maintenance=reason, implied=implied), caller)

    # ------------------------------------------------------------------ time

    def sweep(self) -> None:
        """Once a second: forget nodes of callers that hold nothing any more, a few at a time."""
        if not self._looking:
            now = self._registry.clock.monotonic()
            if now - self._looked < _LOOK_S:
                return
            self._looked = now
            self._looking = self._registry.documents.all(NODE)
        these, self._looking = self._looking[:_AT_ONCE], self._looking[_AT_ONCE:]
        before_ms = self._registry.clock.wall_ms() - _EMPTY_MS
        gone = [kept for kept in these if kept.updated_ms < before_ms and self._is_over(kept)]
        if gone:
            with self._registry.transaction():
                for kept in gone:
                    self._registry.documents.delete(NODE, kept.id, SYSTEM)

    def _is_over(self, kept: Document) -> bool:
        if self._registry.documents.newest(NODE, kept.id) is not kept:
            return False
        found = record(kept)
        key = NodeKey(kept.namespace, found.name)
        return found.implied and found.maintenance is None and not self.is_own(key) and not self.holds(key)
