"""Who creates something may use it: it is added to the creator's default policy.

Followed are the records of operations, which say who asked. Until the policy is published, what was created just now is
remembered here, so a creator's next call is not refused.
"""

from __future__ import annotations

from typing import Final

from msgspec import structs

from polaris_bridge.core.events import OperationRecord
from polaris_bridge.core.model import SYSTEM, ServiceKey
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

from .directory import Directory
from .values import ACCOUNTS, ANY, NAMESPACE, SERVICE, Grant, Policy

CREATED: Final = "create"
REGISTERED: Final = "register"
MAX_GRANTS: Final = 10_000
"""A default policy grows no further: a client that makes services without end must not fill the directory."""


class Ownership:
    """Adds what is created to default policies, and takes out what was deleted."""

    def __init__(self, registry: Registry, directory: Directory, kinds: frozenset[str]) -> None:
        """``kinds``: documents that are owned (rules), besides namespaces and services."""
        self._registry = registry
        self._directory = directory
        self._kinds = kinds
        self._fresh: set[tuple[str, Grant]] = set()
        registry.operations.append(self.note)

    def owns(self, principal: str, resource: Resource) -> bool:
        """Whether a principal created a resource this moment."""
        fresh = self._fresh
        if not fresh:
            return False
        by_name = Grant(resource.kind, "", resource.namespace, resource.name)
        return (principal, by_name) in fresh or (principal, Grant(resource.kind, resource.id)) in fresh

    def note(self, record: OperationRecord) -> None:
        """Called for every operation."""
        principal = record.caller.principal
        if not principal or record.result != "ok" or record.resource in ACCOUNTS:
            return
        grant = self._created(record)
        if grant is not None:
            self._give(principal, grant)

    def _created(self, record: OperationRecord) -> Grant | None:
        if record.operation == REGISTERED:
            made = self._registry.snapshot(ServiceKey(record.namespace, record.name)).record
            if made is None or not made.auto_created or made.owners != record.caller.principal:
                return None
            return Grant(SERVICE, "", record.namespace, record.name)
        if record.operation != CREATED:
            return None
        if record.resource == NAMESPACE:
            return Grant(NAMESPACE, record.name)
        if record.resource == SERVICE:
            return Grant(SERVICE, "", record.namespace, record.name)
        return Grant(record.resource, record.detail) if record.resource in self._kinds else None

    def _give(self, principal: str, grant: Grant) -> None:
        directory = self._directory
        shown = directory.snapshot.default_policy(principal)
        policy = None if shown is None else directory.newest(Policy, shown.id)
        if policy is None or len(policy.grants) >= MAX_GRANTS:
            return
        if grant in policy.grants or Grant(grant.kind, ANY) in policy.grants:
            return
        given = (principal, grant)
        self._fresh.add(given)
        commit = directory.put(structs.replace(policy, grants=(*policy.grants, grant)), SYSTEM)
        commit.then(lambda _error: self._fresh.discard(given))
