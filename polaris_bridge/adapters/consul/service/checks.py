"""Checks that are registered by themselves: for a service, or for a node; and what clients say of TTL checks."""

from __future__ import annotations

from msgspec import structs

from polaris_bridge.adapters.consul.translate import checks as translating
from polaris_bridge.adapters.consul.translate.keys import CheckRecord, NodeKey, registration_key
from polaris_bridge.adapters.consul.wire.definitions import CRITICAL, PASSING, TTL, CheckDefinition
from polaris_bridge.adapters.consul.wire.durations import quoted
from polaris_bridge.adapters.consul.wire.refusals import failed, missing
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .index import Index, LiveCheck
from .nodes import Nodes
from .outcomes import Outcomes
from .registering import Registering, refuse_script, with_check


class CheckCalls:
    """Checks of one listener's datacenters."""

    def __init__(
        self, registry: Registry, index: Index, nodes: Nodes, outcomes: Outcomes, registering: Registering
    ) -> None:
        self._registry = registry
        self._index = index
        self._nodes = nodes
        self._outcomes = outcomes
        self._registering = registering

    def find(self, node: NodeKey, id: str) -> LiveCheck:
        """A check on a node. Raises ``Refused`` (404) when there is none of that id."""
        live = self._index.check(node, id)
        if live is None:
            hint = "Ensure that the check ID is passed, not the check name."
            raise missing(f"Unknown check ID {quoted(id)}. {hint}")
        return live

    # ------------------------------------------------------------------ come and go

    def register(self, node: NodeKey, definition: CheckDefinition, caller: Caller) -> Commit:
        """Register a check for a service on a node, or for the node; one that is there keeps status and output.

        Raises ``Refused`` (404) when there is no such service.
        """
        record = translating.record(definition, definition.id or definition.name, definition.name)
        refuse_script(record)
        status = definition.status or CRITICAL
        return self.put(node, definition.service_id, record, status, "", caller)

    def put(
        self, node: NodeKey, service_id: str, record: CheckRecord, status: str, output: str, caller: Caller
    ) -> Commit:
        """The same with a check as it is kept; ``service_id`` "" = for the node."""
        live = self._index.check(node, record.id)
        if live is not None:
            status, output = live.status, live.output
        if not service_id:
            return self._put_on_node(node, record, status, output, live, caller)
        key = registration_key(node, service_id)
        before = self._registry.newest(key)
        if before is None:
            raise missing(f"ServiceID {quoted(service_id)} does not exist")
        now_ms = self._registry.clock.wall_ms()
        after = with_check(before, record, status, output, now_ms)
        elsewhere = live is not None and live.owner != key
        if after == before and not elsewhere:
            self._index.restart(node, (record.id,))
            return SETTLED
        with self._registry.transaction() as commit:
            if live is not None and elsewhere:
                self._registering.drop_check(live, caller)
            # of the newest: while it was the node's check, its state counted for this service too, and that is gone now
            self._registry.amend(
                key, lambda newest: with_check(newest, record, status, output, now_ms), caller, "check"
            )
        self._index.restart(node, (record.id,))
        return commit

    def _put_on_node(
        self,
        node: NodeKey,
        record: CheckRecord,
        status: str,
        output: str,
        live: LiveCheck | None,
        caller: Caller,
    ) -> Commit:
        record = structs.replace(record, status=status, output=output)
        if live is not None and live.owner is None and _same(live.record, record):
            self._index.restart(node, (record.id,))
            return SETTLED
        with self._registry.transaction() as commit:
            self._nodes.ensure(node, caller)
            if live is not None and live.owner is not None:
                self._registering.drop_check(live, caller)
            self._registry.documents.put(translating.document(node, record), caller)
            if status != PASSING:
                self._outcomes.spread(LiveCheck(node, None, record, output), status, caller)
        self._index.restart(node, (record.id,))
        return commit

    def deregister(self, node: NodeKey, id: str, caller: Caller) -> Commit | None:
        """End a check. None when there is none of that id on the node."""
        live = self._index.check(node, id)
        if live is None:
            return None
        with self._registry.transaction() as commit:
            self._registering.drop_check(live, caller)
        return commit

    # ------------------------------------------------------------------ what clients say

    def heard(self, live: LiveCheck, status: str, output: str, caller: Caller) -> Commit:
        """A client says how a TTL check is. Raises ``Refused`` (500) for another kind of check."""
        if live.record.type != TTL:
            raise failed(f"CheckID {quoted(live.record.id)} does not have associated TTL")
        return self._outcomes.heard(live, status, output, caller)

    def set(self, node: NodeKey, id: str, status: str, output: str, caller: Caller) -> Commit:
        """A check has another status, whatever its kind: catalog and transactions say so. Raises ``Refused`` (404)."""
        return self._outcomes.tell(self.find(node, id), status, output, caller)


def _same(known: CheckRecord, given: CheckRecord) -> bool:
    return structs.replace(known, status="", output="") == structs.replace(given, status="", output="")
