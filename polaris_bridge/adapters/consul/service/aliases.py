"""Alias checks: how a service or a node is by the checks of another one. Followed, not asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from polaris_bridge.adapters.consul.translate.keys import NodeKey
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING
from polaris_bridge.core.registry import Registry

from .index import Index, LiveCheck
from .outcomes import Outcomes

ALIAS: Final = "alias"


class Aliases:
    """All alias checks; after every publication those are looked at that may be about it."""

    def __init__(self, registry: Registry, index: Index, outcomes: Outcomes) -> None:
        self._registry = registry
        self._index = index
        self._outcomes = outcomes
        self._all: dict[LiveCheck, None] = {}
        self._due = False
        registry.observe(self._published)

    def came(self, live: LiveCheck) -> None:
        """A check is there, or is another one than before."""
        if live.record.type == ALIAS:
            self._all[live] = None
            self._look_soon()
        else:
            self._all.pop(live, None)

    def went(self, live: LiveCheck) -> None:
        """A check is gone."""
        self._all.pop(live, None)

    def _published(self, published: Published) -> None:
        if self._all and (published.changes or published.documents):
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._due:
            self._due = True
            self._registry.scheduler.soon(self._look)

    def _look(self) -> None:
        self._due = False
        for live in list(self._all):
            status, output = self._state(live)
            if (live.status, live.output) != (status, output):
                self._outcomes.tell(live, status, output)

    def _state(self, live: LiveCheck) -> tuple[str, str]:
        record = live.record
        node = NodeKey(live.node.namespace, record.alias_node) if record.alias_node else live.node
        if record.target and self._index.service(node, record.target) is None:
            return CRITICAL, f"Service {record.target} could not be found on node {node.name}"
        status, output = PASSING, "No checks found."
        for check in self._of(node, record.target, live):
            if check.status in (CRITICAL, WARNING):
                status = check.status
                output = f'Aliased check "{check.record.name}" failing: {check.output}'
                if status == CRITICAL:
                    break
            elif status == PASSING:
                output = "All checks passing."
        return status, output

    def _of(self, node: NodeKey, service_id: str, but: LiveCheck) -> Iterator[LiveCheck]:
        """The checks of a node and of a service on it."""
        found = self._index.on(node)
        owner = None if found is None else found.services.get(service_id)
        for check in found.checks.values() if found is not None else ():
            if check is not but and (check.owner is None or check.owner == owner):
                yield check
