"""What a check came to: the one way in which a status or an output changes, whoever says so.

A status is published at once and stored without waiting, with the output that came with it. An output alone wakes nobody.
"""

from __future__ import annotations

from msgspec import structs

from polaris_bridge.adapters.consul.translate import checks as translating
from polaris_bridge.adapters.consul.translate.keys import NODE_STATE, Marks
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import CRITICAL, SYSTEM, Caller, Checks, Registration
from polaris_bridge.core.registry import Registry

from .index import Index, LiveCheck

EXPIRED = "TTL expired"


class Outcomes:
    """Takes the results of all checks."""

    def __init__(self, registry: Registry, index: Index) -> None:
        self._registry = registry
        self._index = index

    def tell(self, live: LiveCheck, status: str, output: str, caller: Caller = SYSTEM) -> Commit:
        """A check has a status, and says something with it."""
        live.output = translating.cut(output, live.record.output_max)
        if live.owner is None:
            return self._tell_node(live, status, caller)
        r = self._registry.newest(live.owner)
        if r is None or not isinstance(r.liveness, Checks) or r.liveness.states.get(live.record.id) == status:
            return SETTLED
        marks = r.marks if isinstance(r.marks, Marks) else Marks()
        outputs = {**marks.outputs, live.record.id: live.output}
        self._registry.set_check(live.owner, live.record.id, status, structs.replace(marks, outputs=outputs))
        return SETTLED

    def heard(self, live: LiveCheck, status: str, note: str, caller: Caller) -> Commit:
        """A client says how it is: its TTL runs anew."""
        live.note = translating.cut(note, live.record.output_max)
        self._index.run(live)
        return self.tell(live, status, note, caller)

    def expired(self, live: LiveCheck) -> None:
        """A TTL ran out."""
        said = f"{EXPIRED} (last output before timeout follows): {live.note}" if live.note else EXPIRED
        self.tell(live, CRITICAL, said)

    # ------------------------------------------------------------------ checks of nodes

    def _tell_node(self, live: LiveCheck, status: str, caller: Caller) -> Commit:
        if live.status == status:
            return SETTLED
        record = structs.replace(live.record, status=status, output=live.output)
        with self._registry.transaction() as commit:
            self._registry.documents.put(translating.document(live.node, record), caller)
            self.spread(live, status, caller)
        return commit

    def spread(self, live: LiveCheck, status: str | None, caller: Caller) -> None:
        """A check of a node counts for every service on it; None: there is no such check any more."""
        name = f"{NODE_STATE}{live.record.id}"
        for r in list(self._index.services(live.node)):
            self._registry.amend(r.id, lambda newest: with_state(newest, name, status, self._now_ms()), caller, "check")

    def _now_ms(self) -> int:
        return self._registry.clock.wall_ms()


def with_state(r: Registration, name: str, status: str | None, now_ms: int) -> Registration:
    """A registration whose check of a name has another state, or (None) is gone."""
    states = dict(r.liveness.states) if isinstance(r.liveness, Checks) else {}
    states.pop(name, None)
    if status is not None:
        states[name] = status
    return with_states(r, states, now_ms)


def with_states(r: Registration, states: dict[str, str], now_ms: int) -> Registration:
    """A registration with other states of its checks."""
    before = r.liveness.critical_ms if isinstance(r.liveness, Checks) else 0
    failing = CRITICAL in states.values()
    return structs.replace(r, liveness=Checks(states, 0, (before or now_ms) if failing else 0))
