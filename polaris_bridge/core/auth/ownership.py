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
from .snapshot import Snapshot
from .values import ACCOUNTS, ANY, CONFIG_GROUP, NAMESPACE, SERVICE, Grant, Policy

CREATED: Final = "create"
REGISTERED: Final = "register"
DELETED: Final = "delete"
CONFIG_RECORD: Final = "config-group"
"""What groups of configuration files are called in records."""
MAX_GRANTS: Final = 10_000
"""A default policy grows no further: a client that makes services without end must not fill the directory."""
MAX_SETTLED: Final = 100_000


class Ownership:
    """Adds what is created to default policies, and takes out what was deleted."""

    def __init__(self, registry: Registry, directory: Directory, kinds: frozenset[str]) -> None:
        """``kinds``: documents that are owned (rules), besides namespaces and services."""
        self._registry = registry
        self._directory = directory
        self._kinds = kinds
        self._fresh: set[tuple[str, Grant]] = set()
        self._settled: set[tuple[str, Grant]] = set()
        """What needs no change as the directory is: those who register again and again are not looked up each time."""
        self._owners: tuple[Snapshot, dict[Grant, list[str]]] | None = None
        """By grant, the default policies with it, in one state of the directory."""
        directory.followers.append(self._settled.clear)
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
        if record.result != "ok" or record.resource in ACCOUNTS:
            return
        if record.operation == DELETED:
            gone = self._meant(record)
            if gone is not None:
                self._take(gone)
            return
        principal = record.caller.principal
        if not principal:
            return
        grant = self._created(record)
        if grant is not None and (principal, grant) not in self._settled:
            self._give(principal, grant)

    def _created(self, record: OperationRecord) -> Grant | None:
        if record.operation == REGISTERED:
            made = self._registry.snapshot(ServiceKey(record.namespace, record.name)).record
            if made is None or not made.auto_created or made.owners != record.caller.principal:
                return None
            return Grant(SERVICE, "", record.namespace, record.name)
        return self._meant(record) if record.operation == CREATED else None

    def _meant(self, record: OperationRecord) -> Grant | None:
        """What a record is about, when it is something that is owned."""
        if record.resource == NAMESPACE:
            return Grant(NAMESPACE, record.name)
        if record.resource == SERVICE:
            return Grant(SERVICE, "", record.namespace, record.name)
        if record.resource == CONFIG_RECORD:
            return Grant(CONFIG_GROUP, "", record.namespace, record.name)
        return Grant(record.resource, record.detail) if record.resource in self._kinds else None

    def _give(self, principal: str, grant: Grant) -> None:
        directory, given = self._directory, (principal, grant)
        if len(self._settled) < MAX_SETTLED:
            self._settled.add(given)
        shown = directory.snapshot.default_policy(principal)
        policy = None if shown is None else directory.newest(Policy, shown.id)
        if policy is None or len(policy.grants) >= MAX_GRANTS:
            return
        if grant in policy.grants or Grant(grant.kind, ANY) in policy.grants:
            return
        self._fresh.add(given)

        def done(error: Exception | None) -> None:
            self._fresh.discard(given)
            if error is not None:
                self._settled.discard(given)

        directory.put(structs.replace(policy, grants=(*policy.grants, grant)), SYSTEM).then(done)

    def _take(self, grant: Grant) -> None:
        """Whoever makes something of the same name later is its owner, and nobody who had the old one."""
        directory = self._directory
        snapshot = directory.snapshot
        if self._owners is None or self._owners[0] is not snapshot:
            owners: dict[Grant, list[str]] = {}
            for policy in snapshot.policies.values():
                for each in policy.grants if policy.default else ():
                    owners.setdefault(each, []).append(policy.id)
            self._owners = snapshot, owners
        for id in self._owners[1].get(grant, ()):
            now = directory.newest(Policy, id)
            if now is not None and grant in now.grants:
                directory.put(structs.replace(now, grants=tuple(g for g in now.grants if g != grant)), SYSTEM)
