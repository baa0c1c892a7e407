"""What the core breaks circuits by: rules of the console for breakers, and for probes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Final

from polaris_bridge.adapters.polaris.service.rules.kinds import CIRCUIT_BREAKER, FAULT_DETECT
from polaris_bridge.adapters.polaris.service.rules.records import message_of
from polaris_bridge.adapters.polaris.translate.breaking import breaker_rules, detect_rules
from polaris_bridge.core.breaking.detecting import DetectRule
from polaris_bridge.core.breaking.model import BreakerRule
from polaris_bridge.core.model import Document, ServiceKey
from polaris_bridge.core.registry import Registry

KINDS: Final = frozenset({CIRCUIT_BREAKER.name, FAULT_DETECT.name})
SERVERS: Final = "Polaris"
"""The namespace of servers themselves: rules for any service are not about it. SDKs leave out their servers as well."""


def _about(registry: Registry, kind: str, service: ServiceKey) -> list[Document]:
    found = registry.documents.about(kind, service)
    if service.namespace != SERVERS:
        return found
    return [document for document in found if any(target.namespace == SERVERS for target in document.targets)]


class StoredBreakers:
    """``core.breaking.breakers.BreakerBook``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def revision(self) -> int:
        """The publication that last changed one."""
        return self._registry.documents.revision(CIRCUIT_BREAKER.name)

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], Iterable[BreakerRule]]]:
        """The revisions of the rules in force, and what reads them."""
        about = [document for document in _about(self._registry, CIRCUIT_BREAKER.name, service) if document.enabled]
        mark = tuple(document.revision for document in about)
        return mark, lambda: breaker_rules(message_of(CIRCUIT_BREAKER, document) for document in about)


class StoredDetects:
    """``core.breaking.detecting.DetectBook``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._read: dict[str, tuple[int, tuple[DetectRule, ...]]] = {}
        """By id, what was read of a rule and at which revision."""

    def of(self, service: ServiceKey) -> Iterable[DetectRule]:
        """Those of a service, its namespace, and everything."""
        for document in _about(self._registry, FAULT_DETECT.name, service):
            known = self._read.get(document.id)
            if known is None or known[0] != document.revision:
                known = document.revision, detect_rules([message_of(FAULT_DETECT, document)])
                self._read[document.id] = known
            yield from known[1]

    def forget(self, id: str) -> None:
        """A rule is gone."""
        self._read.pop(id, None)
