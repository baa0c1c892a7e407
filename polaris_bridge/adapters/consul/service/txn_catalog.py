"""Operations of transactions on nodes, services and checks: each decides against the newest state, earlier operations of the
same transaction included, and writes into the command under way.

Rules and texts of Consul 1.20.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import structs

from polaris_bridge.adapters.consul.translate import checks as checking
from polaris_bridge.adapters.consul.translate.keys import (
    CHECK,
    NODE,
    CheckRecord,
    Document,
    Marks,
    NodeKey,
    registration_key,
)
from polaris_bridge.adapters.consul.translate.nodes import NodeRecord, record
from polaris_bridge.adapters.consul.translate.shown import SERF, check_shape, own_service, serf_check
from polaris_bridge.adapters.consul.wire.definitions import CRITICAL, PASSING, STATUSES, ServiceDefinition, is_any
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.adapters.consul.wire.shapes import NodeShape, encode, service_json
from polaris_bridge.adapters.consul.wire.txn import CheckOp, NodeOp, ServiceOp
from polaris_bridge.core.model import Caller, Checks, Registration

from .index import LiveCheck
from .outcomes import with_states
from .registering import with_check

if TYPE_CHECKING:
    from .consul import ConsulService

NO_NODE: Final = "Missing node registration"
NO_SERVICE: Final = "Missing service registration"
_VERBS: Final = frozenset({"get", "set", "cas", "delete", "delete-cas"})


class CatalogOps:
    """Nodes, services and checks of one datacenter's namespace."""

    def __init__(self, service: ConsulService) -> None:
        self._service = service
        self._registry = service.registry

    # ------------------------------------------------------------------ what can be said beforehand

    def objection(self, operation: NodeOp | ServiceOp | CheckOp) -> str:
        """What is wrong with an operation whatever the state is; empty: nothing."""
        kind = {NodeOp: "node", ServiceOp: "service", CheckOp: "check"}[type(operation)]
        if operation.verb not in _VERBS:
            return f"unknown {kind} operation: {operation.verb}"
        if operation.verb == "get":
            return ""
        if isinstance(operation, NodeOp):
            return _node_objection(operation)
        if isinstance(operation, ServiceOp):
            if operation.id and not operation.name:
                return "Must provide service name (Service.Service) when service ID is provided"
            return "Invalid service address" if is_any(operation.address) else ""
        return ""

    # ------------------------------------------------------------------ nodes

    def node(self, namespace: str, op: NodeOp, caller: Caller) -> bytes | None:
        """Perform one; its result as JSON, None when it has none. Raises ``Refused`` with what it says."""
        key = NodeKey(namespace, self._name_of(namespace, op) or op.node)
        if op.verb == "get":
            shown = self._node_shape(key)
            if shown is None:
                raise failed(f"node {quoted(op.node)} doesn't exist")
            return encode(shown)
        if op.verb in ("cas", "delete-cas"):
            index = self._node_index(key)
            if op.verb == "delete-cas" and not index:
                return None
            if op.modify_index != index:
                what = "set" if op.verb == "cas" else "delete"
                raise failed(f"failed to {what} node {quoted(op.node)}, index is stale")
        if op.verb in ("set", "cas"):
            known = self._service.nodes.newest(key)
            changed = NodeRecord(
                op.node,
                op.address,
                op.id or (known.id if known is not None else ""),
                op.tagged,
                op.meta,
                known.maintenance if known is not None else None,
            )
            self._service.nodes.put(key, changed, caller)
            shown = self._node_shape(key)
            return None if shown is None else encode(shown)
        self._delete_node(key, caller)
        return None

    def _name_of(self, namespace: str, op: NodeOp) -> str:
        """The name of the node with an id that is asked for by it."""
        if op.verb != "get" or not op.id:
            return ""
        for kept in self._registry.documents.newest_all(NODE):
            if kept.namespace == namespace and record(kept).id == op.id:
                return record(kept).name
        return op.node

    def _node_index(self, key: NodeKey) -> int:
        kept = self._registry.documents.newest(NODE, key.document)
        return kept.revision if kept is not None else 0

    def _node_shape(self, key: NodeKey) -> NodeShape | None:
        found = self._service.nodes.newest(key)
        if found is None:
            return None
        index = self._node_index(key) or max(1, self._registry.ledger.floor)
        datacenter = self._service.nodeviews.datacenter(key.namespace)
        return NodeShape(found.id, found.name, found.address, datacenter, found.tagged, found.meta, index, index)

    def _delete_node(self, key: NodeKey, caller: Caller) -> None:
        """A node goes with everything that stands on it."""
        for r in list(self._service.registering.newest_on(key)):
            self._registry.deregister(r.id, caller)
        for kept in self._registry.documents.newest_all(CHECK):
            if checking.node_of(kept).folded == key.folded:
                self._registry.documents.delete(CHECK, kept.id, caller)
        self._service.nodes.delete(key, caller)

    # ------------------------------------------------------------------ services

    def service(self, namespace: str, op: ServiceOp, caller: Caller) -> bytes | None:
        """Perform one; see ``node``."""
        node = NodeKey(namespace, op.node)
        id = op.id or op.name
        known = self._newest_service(node, id)
        if op.verb == "get":
            if known is None:
                raise failed(f"service {quoted(id)} on node {quoted(op.node)} doesn't exist")
            return service_json(own_service(*known))
        if op.verb in ("cas", "delete-cas"):
            index = known[0].seq if known is not None else 0
            if op.verb == "delete-cas" and known is None:
                return None
            if op.modify_index != index:
                what = "set" if op.verb == "cas" else "delete"
                raise failed(f"failed to {what} service {quoted(id)} on node {quoted(op.node)}, index is stale")
        if op.verb in ("delete", "delete-cas"):
            self._service.registering.deregister(node, id, caller)
            return None
        if self._service.nodes.newest(node) is None:
            raise failed(NO_NODE)
        weights = (op.passing, op.warning) if op.passing or op.warning else None
        definition = ServiceDefinition(
            name=op.name,
            id=id,
            kind=op.kind,
            tags=op.tags,
            address=op.address,
            port=op.port,
            meta=op.meta,
            weights=weights,
            tag_override=op.tag_override,
        )
        self._service.registering.register(node, definition, caller)
        known = self._newest_service(node, id)
        return None if known is None else service_json(own_service(*known))

    def _newest_service(self, node: NodeKey, id: str) -> tuple[Registration, Document] | None:
        r = self._registry.newest(registration_key(node, id))
        return (r, r.ext) if r is not None and isinstance(r.ext, Document) else None

    # ------------------------------------------------------------------ checks

    def check(
        self, namespace: str, op: CheckOp, caller: Caller, later: Callable[[Callable[[], None]], None]
    ) -> bytes | None:
        """Perform one; see ``node``. ``later``: takes what is to be done once all is durable."""
        node, id = NodeKey(namespace, op.node), op.id or op.name
        known = self._newest_check(node, id, op.service_id)
        if op.verb == "get":
            if known is None:
                raise failed(f"check {quoted(id)} on node {quoted(op.node)} doesn't exist")
            return known[0]
        if op.verb in ("cas", "delete-cas"):
            if op.verb == "delete-cas" and known is None:
                return None
            if op.modify_index != (known[1] if known is not None else 0):
                what = "set" if op.verb == "cas" else "delete"
                raise failed(f"failed to {what} check {quoted(id)} on node {quoted(op.node)}, index is stale")
        if op.verb in ("delete", "delete-cas"):
            self._delete_check(node, id, caller)
            return None
        if self._service.nodes.newest(node) is None:
            raise failed(NO_NODE)
        self._set_check(node, id, op, caller, later)
        found = self._newest_check(node, id, op.service_id)
        return None if found is None else found[0]

    def _newest_check(self, node: NodeKey, id: str, service_id: str) -> tuple[bytes, int] | None:
        """A check as JSON, with its index."""
        kept = self._registry.documents.newest(*checking.document_id(node, id))
        if kept is not None:
            c = checking.of_document(kept)
            shape = check_shape(
                c, kept.name, c.status or CRITICAL, c.output, created=kept.revision, modified=kept.revision
            )
            return encode(shape), kept.revision
        found = [self._newest_service(node, service_id)] if service_id else []
        live = self._service.index.check(node, id)
        if live is not None and live.owner is not None:
            r = self._registry.newest(live.owner)
            found.append((r, r.ext) if r is not None and isinstance(r.ext, Document) else None)
        for each in found:
            if each is None:
                continue
            r, doc = each
            c_ = next((c for c in doc.checks if c.id == id), None)
            if c_ is None:
                continue
            states = r.liveness.states if isinstance(r.liveness, Checks) else {}
            outputs = r.marks.outputs if isinstance(r.marks, Marks) else {}
            made = check_shape(
                c_,
                doc.node,
                states.get(id, CRITICAL),
                outputs.get(id, ""),
                doc.id,
                r.service,
                r.tags,
                r.seq,
                r.revision,
            )
            return encode(made), r.revision
        known = self._service.nodes.newest(node)
        if id == SERF and known is not None:
            index = max(1, self._registry.ledger.floor)
            return encode(serf_check(known.name, index)), index
        return None

    def _set_check(
        self, node: NodeKey, id: str, op: CheckOp, caller: Caller, later: Callable[[Callable[[], None]], None]
    ) -> None:
        status = op.status or CRITICAL
        if status not in STATUSES:
            raise failed(f"Invalid check status: {quoted(status)}")
        output = checking.cut(op.output, checking.OUTPUT_MAX)
        check = CheckRecord(id=id, name=op.name, type="", notes=op.notes, definition=op.definition)
        live = self._service.index.check(node, id)
        if live is not None and live.record.type:  # an agent's check keeps what it is, and gets another state
            check = live.record
        key = registration_key(node, op.service_id) if op.service_id else None
        if key is not None and self._registry.newest(key) is None:
            raise failed(NO_SERVICE)
        if live is not None and live.owner != key:
            self._service.registering.drop_check(live, caller)
        if key is None:
            kept = structs.replace(check, status=status, output=output)
            if live is None or live.owner is not None or live.record != kept:
                self._registry.documents.put(checking.document(node, kept), caller)
                if status != PASSING or live is not None:
                    self._service.state.outcomes.spread(LiveCheck(node, None, kept, output), status, caller)
        else:
            newest, now_ms = self._registry.newest(key), self._registry.clock.wall_ms()
            assert newest is not None
            after = _with_state(newest, check, status, output, now_ms)
            if after != newest:
                self._registry.amend(key, lambda _: after, caller, "check")
        later(lambda: self._said(node, id, output))

    def _said(self, node: NodeKey, id: str, output: str) -> None:
        live = self._service.index.check(node, id)
        if live is not None:
            live.output = output

    def _delete_check(self, node: NodeKey, id: str, caller: Caller) -> None:
        live = self._service.index.check(node, id)
        if live is not None:
            self._service.registering.drop_check(live, caller)
            return
        kind, document = checking.document_id(node, id)
        self._registry.documents.delete(kind, document, caller)


def _with_state(r: Registration, check: CheckRecord, status: str, output: str, now_ms: int) -> Registration:
    r = with_check(r, check, status, output, now_ms)
    states = dict(r.liveness.states) if isinstance(r.liveness, Checks) else {}
    states[check.id] = status
    marks = r.marks if isinstance(r.marks, Marks) else Marks()
    r = structs.replace(r, marks=structs.replace(marks, outputs={**marks.outputs, check.id: output}))
    return with_states(r, states, now_ms)


def _node_objection(op: NodeOp) -> str:
    if not op.node:
        return "Must provide node"
    if not op.id:
        return ""
    try:
        well = len(op.id) == 36 and str(uuid.UUID(op.id)) == op.id.lower()
    except ValueError:
        well = False
    return (
        "" if well else "Bad node ID: uuid string is wrong length" if len(op.id) != 36 else "Bad node ID: invalid uuid"
    )
