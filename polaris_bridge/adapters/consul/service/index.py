"""What stands on every node, in step with every publication: its services by id, its checks with their outputs and clocks.

The state of a check is the core's (or a document's, for checks of nodes); what changes too often to be stored lives here: the
newest output, when a TTL runs out, since when a check is critical.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from msgspec import structs

from polaris_bridge.adapters.consul.translate import checks as translating
from polaris_bridge.adapters.consul.translate.keys import (
    CHECK,
    NODE_STATE,
    SOURCE,
    CheckRecord,
    Document,
    Marks,
    NodeKey,
)
from polaris_bridge.core import model
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import CRITICAL, PASSING, Checks, Registration, RegistrationKey
from polaris_bridge.core.registry import Registry

_NOTHING: Final[dict[str, str]] = {}


class LiveCheck:
    """One check as it is just now. Times are seconds of the registry's monotonic clock, less stalls."""

    __slots__ = ("critical_since", "due", "node", "note", "output", "owner", "record", "revision", "status", "timed")

    def __init__(self, node: NodeKey, owner: RegistrationKey | None, record: CheckRecord, output: str) -> None:
        self.node = node
        self.owner = owner
        """The registration it belongs to; None: the node itself."""
        self.record = record
        self.status = CRITICAL
        self.output = output
        self.note = ""
        """The output that came with the last sign of life since it was registered, for TTL checks."""
        self.due = 0.0
        """When its TTL runs out; 0: it has none, or it ran out."""
        self.timed = 0.0
        """When the clock looks at it next; 0: not at all."""
        self.critical_since = 0.0
        """0: it is not critical."""
        self.revision = 0
        """Of the publication that last changed it."""


class Follower(Protocol):
    """Whoever does something for checks."""

    def came(self, live: LiveCheck) -> None:
        """A check is there, or is another one than before."""
        ...

    def went(self, live: LiveCheck) -> None:
        """A check is gone."""
        ...


class OnNode:
    """What stands on one node."""

    __slots__ = ("checks", "own", "services")

    def __init__(self) -> None:
        self.services: dict[str, RegistrationKey] = {}
        self.checks: dict[str, LiveCheck] = {}
        self.own: dict[str, LiveCheck] = {}
        """Those among them that are the node's."""


class Index:
    """What stands on every node of every datacenter. ``now`` is the time that checks live by."""

    def __init__(self, registry: Registry, now: Callable[[], float]) -> None:
        self._registry = registry
        self._now = now
        self._nodes: dict[NodeKey, OnNode] = {}
        self._foreign: dict[str, int] = {}
        """By namespace: the registrations of other protocols."""
        self.timed: Callable[[LiveCheck], None] = _ignore
        """Told of every check whose TTL began to run."""
        self.doomed: dict[LiveCheck, None] = {}
        """Critical checks whose service goes when they stay so."""
        self.followers: list[Follower] = []
        """Told of every check that comes, becomes another one, or goes."""
        registry.observe(self._published)

    def load(self) -> None:
        """Begin with what the registry holds: every TTL anew and whole."""
        for snapshot in self._registry.services():
            for address in snapshot.addresses.values():
                for r in address.registrations:
                    if r.source == SOURCE:
                        self._enter(r, None)
                    else:
                        self._count_foreign(r.namespace, 1)
        for kept in self._registry.documents.all(CHECK):
            self._enter_document(kept)

    # ------------------------------------------------------------------ queries

    def on(self, node: NodeKey) -> OnNode | None:
        """What stands on a node; None: nothing. Not to be changed."""
        return self._nodes.get(node.folded)

    def holds(self, folded: NodeKey) -> bool:
        """Whether something stands on a node."""
        return folded in self._nodes

    def holding(self) -> Iterable[NodeKey]:
        """The nodes, folded, that something stands on."""
        return self._nodes

    def has_foreign(self, namespace: str) -> bool:
        """Whether a namespace has a registration of another protocol."""
        return self._foreign.get(namespace, 0) > 0

    def with_foreign(self) -> Iterable[str]:
        """The namespaces that have one."""
        return [namespace for namespace, count in self._foreign.items() if count > 0]

    def check(self, node: NodeKey, id: str) -> LiveCheck | None:
        """A check of a node or of a service on it."""
        found = self._nodes.get(node.folded)
        return None if found is None else found.checks.get(id)

    def service(self, node: NodeKey, id: str) -> Registration | None:
        """A service on a node, as readers see it."""
        found = self._nodes.get(node.folded)
        key = None if found is None else found.services.get(id)
        return None if key is None else self._registry.registration(key)

    def services(self, node: NodeKey) -> Iterator[Registration]:
        """The services on a node, as readers see them, by id."""
        found = self._nodes.get(node.folded)
        for _, key in sorted(found.services.items()) if found is not None else ():
            r = self._registry.registration(key)
            if r is not None:
                yield r

    def node_states(self, node: NodeKey) -> dict[str, str]:
        """The node's own checks that do not pass, as states of the registrations on it."""
        found = self._nodes.get(node.folded)
        if found is None or not found.own:
            return _NOTHING
        return {f"{NODE_STATE}{id}": live.status for id, live in found.own.items() if live.status != PASSING}

    def size(self, namespace: str) -> int:
        """How many services stand on the nodes of a datacenter."""
        return sum(len(found.services) for key, found in self._nodes.items() if key.namespace == namespace)

    # ------------------------------------------------------------------ clocks

    def restart(self, node: NodeKey, ids: Iterable[str]) -> None:
        """Some checks were registered again: their TTLs run anew, and what was said before is forgotten."""
        found = self._nodes.get(node.folded)
        for id in ids if found is not None else ():
            live = found.checks.get(id) if found is not None else None
            if live is not None:
                live.note = ""
                self.run(live)

    def run(self, live: LiveCheck) -> None:
        """A TTL begins to run, whole."""
        ttl_ns = live.record.ttl_ns
        if ttl_ns > 0:
            live.due = self._now() + ttl_ns / 1_000_000_000
            self.timed(live)

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        for change in published.changes:
            before = change.before.registrations if change.before is not None else ()
            after = change.after.registrations if change.after is not None else ()
            known = {r.key: r for r in before if r.source == SOURCE}
            self._count_foreign(change.service.namespace, len(known) - len(before))
            for r in after:
                if r.source == SOURCE:
                    was = known.pop(r.key, None)
                    if was is not r:
                        self._enter(r, was)
                else:
                    self._count_foreign(r.namespace, 1)
            for r in known.values():
                if self._registry.registration(r.id) is None:
                    self._leave(r)
        for document in published.documents:
            if document.kind != CHECK:
                continue
            if document.after is not None:
                self._enter_document(document.after)
            elif document.before is not None:
                self._leave_document(document.before)

    def _count_foreign(self, namespace: str, more: int) -> None:
        if more:
            self._foreign[namespace] = self._foreign.get(namespace, 0) + more

    def _enter(self, r: Registration, was: Registration | None) -> None:
        if not isinstance(r.ext, Document):
            return
        node = NodeKey(r.namespace, r.ext.node)
        found = self._nodes.setdefault(node.folded, OnNode())
        found.services[r.ext.id] = r.id
        states = r.liveness.states if isinstance(r.liveness, Checks) else _NOTHING
        outputs = r.marks.outputs if isinstance(r.marks, Marks) else _NOTHING
        for record in r.ext.checks:
            live = found.checks.get(record.id)
            if live is None or live.owner != r.id:
                self._gone(live)
                live = found.checks[record.id] = LiveCheck(node, r.id, record, outputs.get(record.id, ""))
                found.own.pop(record.id, None)
                self.run(live)
                self._here(live)
            elif live.record != record:
                live.record = record
                live.due = 0.0
                self.run(live)
                self._here(live)
            self._set(live, states.get(record.id, CRITICAL), r.revision)
        if was is not None and isinstance(was.ext, Document) and was.ext.checks != r.ext.checks:
            kept = {record.id for record in r.ext.checks}
            self._drop(found, r.id, (record.id for record in was.ext.checks if record.id not in kept))

    def _leave(self, r: Registration) -> None:
        if not isinstance(r.ext, Document):
            return
        node = NodeKey(r.namespace, r.ext.node).folded
        found = self._nodes.get(node)
        if found is None:
            return
        found.services.pop(r.ext.id, None)
        self._drop(found, r.id, (record.id for record in r.ext.checks))
        self._tidy(node, found)

    def _drop(self, found: OnNode, owner: RegistrationKey | None, ids: Iterable[str]) -> None:
        for id in ids:
            live = found.checks.get(id)
            if live is not None and live.owner == owner:
                live.due = 0.0
                self.doomed.pop(live, None)
                del found.checks[id]
                found.own.pop(id, None)
                self._gone(live)

    def _enter_document(self, kept: model.Document) -> None:
        node = translating.node_of(kept)
        record = translating.of_document(kept)
        found = self._nodes.setdefault(node.folded, OnNode())
        live = found.checks.get(record.id)
        if live is None or live.owner is not None:
            self._gone(live)
            live = found.own[record.id] = found.checks[record.id] = LiveCheck(node, None, record, record.output)
            self.run(live)
            self._here(live)
        elif structs.replace(live.record, status="", output="") != structs.replace(record, status="", output=""):
            live.record = record
            live.due = 0.0
            self.run(live)
            self._here(live)
        live.record = record
        self._set(live, record.status, kept.revision)

    def _leave_document(self, kept: model.Document) -> None:
        node = translating.node_of(kept).folded
        found = self._nodes.get(node)
        if found is not None:
            self._drop(found, None, (translating.of_document(kept).id,))
            self._tidy(node, found)

    def _here(self, live: LiveCheck) -> None:
        for follower in self.followers:
            follower.came(live)

    def _gone(self, live: LiveCheck | None) -> None:
        if live is not None:
            for follower in self.followers:
                follower.went(live)

    def _tidy(self, node: NodeKey, found: OnNode) -> None:
        if not found.services and not found.checks:
            del self._nodes[node]

    def _set(self, live: LiveCheck, status: str, revision: int) -> None:
        live.status = status
        live.revision = revision
        if status != CRITICAL:
            live.critical_since = 0.0
        elif not live.critical_since:
            live.critical_since = self._now() or 1e-9
        if status == CRITICAL and live.owner is not None and live.record.deregister_ns:
            self.doomed[live] = None
        else:
            self.doomed.pop(live, None)


def _ignore(_live: LiveCheck) -> None:
    """Nobody follows the clocks."""
