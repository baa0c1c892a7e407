"""Services come and go: registrations with their checks, deregistrations, maintenance.

What was there before keeps what it knows: a check that is registered again keeps its status and output, a service its
maintenance; the same registration again changes nothing and wakes nobody.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import structs

from polaris_bridge.adapters.consul.translate import checks as checking
from polaris_bridge.adapters.consul.translate import services as translating
from polaris_bridge.adapters.consul.translate.keys import (
    NODE_STATE,
    SOURCE,
    CheckRecord,
    Document,
    Marks,
    NodeKey,
    registration_key,
)
from polaris_bridge.adapters.consul.wire.definitions import CRITICAL, PASSING, SCRIPTS, ServiceDefinition
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import OUT_OF_SERVICE, Caller, Checks, Registration, Switch, same_document
from polaris_bridge.core.registry import Registry

from .index import Index, LiveCheck
from .nodes import Nodes
from .outcomes import Outcomes, with_states

NO_SCRIPTS = "Scripts are disabled on this agent from remote calls; to enable, configure 'enable_script_checks' to true"
_NO_MARKS = Marks()


class Registering:
    """Services of one listener's datacenters."""

    def __init__(self, registry: Registry, index: Index, nodes: Nodes, outcomes: Outcomes) -> None:
        self._registry = registry
        self._index = index
        self._nodes = nodes
        self._outcomes = outcomes

    # ------------------------------------------------------------------ come

    def register(
        self, node: NodeKey, definition: ServiceDefinition, caller: Caller, *, replace_checks: bool = False
    ) -> Commit:
        """Register a service on a node, or change it. ``replace_checks``: checks it does not bring along go.

        Raises ``Refused`` for what an agent refuses at this point, and what the core raises.
        """
        registry = self._registry
        key = registration_key(node, definition.id)
        before = registry.newest(key)
        merged = _Merged(before, replace_checks=replace_checks)
        moved = []
        for record, status in checking.records_of(definition):
            refuse_script(record)
            live = self._index.check(node, record.id)
            if live is not None and live.owner != key:
                moved.append(live)
                merged.put(record, live.status, live.output)
            else:
                merged.put(record, status or CRITICAL)
        taken = {f"{NODE_STATE}{live.record.id}" for live in moved}
        merged.states |= {name: state for name, state in self._index.node_states(node).items() if name not in taken}
        host = definition.address or self._nodes.address_of(node, caller)
        r = translating.registration(node, definition, host, merged.checks, merged.states, merged.marks)
        if before is not None and not moved and same_document(before, r) and not registry.ledger.is_pending(key):
            self._index.restart(node, merged.fresh)
            return SETTLED
        with registry.transaction() as commit:
            self._nodes.ensure(node, caller)
            for live in moved:
                self.drop_check(live, caller)
            registry.register(r, caller)
            if before is None:
                self._join_maintenance(node, r, caller)
        self._index.restart(node, merged.fresh)
        return commit

    def drop_check(self, live: LiveCheck, caller: Caller) -> None:
        """Take a check from whom it belongs to; within a transaction."""
        if live.owner is None:
            self._registry.documents.delete(*checking.document_id(live.node, live.record.id), caller)
            if live.status != PASSING:
                self._outcomes.spread(live, None, caller)
            return
        id, now_ms = live.record.id, self._registry.clock.wall_ms()
        self._registry.amend(live.owner, lambda newest: without_check(newest, id, now_ms), caller, "check")

    # ------------------------------------------------------------------ go

    def deregister(self, node: NodeKey, service_id: str, caller: Caller) -> Commit | None:
        """End a service and its checks. None when there is none of that id on the node."""
        ended = self._registry.deregister(registration_key(node, service_id), caller)
        return None if ended is None else ended.commit

    # ------------------------------------------------------------------ maintenance

    def maintain(self, node: NodeKey, service_id: str, reason: str | None, caller: Caller) -> Commit | None:
        """Put a service into maintenance, or (None) take it out; a reason that stands stays. None: there is no such service."""
        key = registration_key(node, service_id)
        r = self._registry.newest(key)
        if r is None:
            return None
        marks = _marks(r)
        if (marks.maintenance is None) == (reason is None):
            return SETTLED
        kept = self._nodes.newest(node)
        whole = kept is not None and kept.maintenance is not None
        with self._registry.transaction() as commit:
            self._registry.amend(
                key, lambda newest: structs.replace(newest, marks=_maintained(newest, reason)), caller, "maintenance"
            )
            if not whole:
                self._switch(r, caller, on=reason is not None)
        return commit

    def maintain_node(self, node: NodeKey, reason: str | None, caller: Caller) -> Commit:
        """Put everything on a node into maintenance, or (None) take it out."""
        known = self._nodes.newest(node)
        standing = None if known is None else known.maintenance
        if (standing is None) == (reason is None):
            return SETTLED
        with self._registry.transaction() as commit:
            self._nodes.maintain(node, reason, caller)
            for r in self.newest_on(node):
                if _marks(r).maintenance is None:
                    self._switch(r, caller, on=reason is not None)
        return commit

    def newest_on(self, node: NodeKey) -> Iterator[Registration]:
        """The services on a node, in the newest state."""
        for r in list(self._index.services(node)):
            newest = self._registry.newest(r.id)
            if newest is not None:
                yield newest

    def _join_maintenance(self, node: NodeKey, r: Registration, caller: Caller) -> None:
        """A service that comes to a node in maintenance."""
        known = self._nodes.newest(node)
        if known is not None and known.maintenance is not None:
            self._switch(r, caller, on=True)

    def _switch(self, r: Registration, caller: Caller, *, on: bool) -> None:
        switch = Switch(SOURCE, r.key, OUT_OF_SERVICE)
        self._registry.switch(r.service_key, r.address, switch, caller, on=on)


class _Merged:
    """The checks of a registration that comes, with those it had: their states and outputs."""

    def __init__(self, before: Registration | None, *, replace_checks: bool) -> None:
        self._before: dict[str, CheckRecord] = {}
        self._states: dict[str, str] = {}
        marks = _NO_MARKS
        if before is not None and isinstance(before.ext, Document):
            self._before = {record.id: record for record in before.ext.checks}
            self._states = before.liveness.states if isinstance(before.liveness, Checks) else {}
            marks = _marks(before)
            marks = marks if marks.created else structs.replace(marks, created=before.seq)
        self._marks = marks
        self._outputs = dict(marks.outputs)
        self._checks = {} if replace_checks else dict(self._before)
        self.fresh: list[str] = []
        """The checks that were registered just now."""
        self.states = {id: self._states.get(id, CRITICAL) for id in self._checks}

    def put(self, record: CheckRecord, status: str, output: str = "") -> None:
        """A check that comes along. What it had before counts more than what it brings."""
        id = record.id
        known = id in self._before
        self._checks[id] = record
        self.states[id] = self._states.get(id, status) if known else status
        if output and not known:
            self._outputs[id] = output
        self.fresh.append(id)

    @property
    def checks(self) -> tuple[CheckRecord, ...]:
        """All of them."""
        return tuple(self._checks.values())

    @property
    def marks(self) -> Marks:
        """The bookkeeping of the registration."""
        outputs = {id: output for id, output in self._outputs.items() if id in self._checks}
        return self._marks if outputs == self._marks.outputs else structs.replace(self._marks, outputs=outputs)


def refuse_script(record: CheckRecord) -> None:
    """Commands are not run for those who ask over the network, as on an agent by default. Raises ``Refused``."""
    if record.type in SCRIPTS:
        raise failed(NO_SCRIPTS)


def without_check(r: Registration, id: str, now_ms: int) -> Registration:
    """A registration without one of its checks."""
    document = r.ext
    assert isinstance(document, Document)
    states = dict(r.liveness.states) if isinstance(r.liveness, Checks) else {}
    states.pop(id, None)
    kept = tuple(record for record in document.checks if record.id != id)
    marks = _marks(r)
    outputs = {each: output for each, output in marks.outputs.items() if each != id}
    r = structs.replace(r, ext=structs.replace(document, checks=kept), marks=structs.replace(marks, outputs=outputs))
    return with_states(r, states, now_ms)


def with_check(r: Registration, record: CheckRecord, status: str, output: str, now_ms: int) -> Registration:
    """A registration with a check more, or another in its place; one that was there keeps its state."""
    document = r.ext
    assert isinstance(document, Document)
    states = dict(r.liveness.states) if isinstance(r.liveness, Checks) else {}
    states.setdefault(record.id, status)
    known = {each.id: each for each in document.checks}
    marks = _marks(r)
    if record.id not in known and output:
        marks = structs.replace(marks, outputs={**marks.outputs, record.id: output})
    known[record.id] = record
    r = structs.replace(r, ext=structs.replace(document, checks=tuple(known.values())), marks=marks)
    return with_states(r, states, now_ms)


def _marks(r: Registration) -> Marks:
    return r.marks if isinstance(r.marks, Marks) else _NO_MARKS


def _maintained(r: Registration, reason: str | None) -> Marks:
    return structs.replace(_marks(r), maintenance=reason)
