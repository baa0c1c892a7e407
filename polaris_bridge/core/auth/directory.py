"""The one directory of users, groups, roles and policies: a snapshot that follows what is published, and the commands on it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final

import msgspec

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller, Document
from polaris_bridge.core.registry import Registry

from .snapshot import Snapshot
from .values import ALLOW, KIND_OF, KINDS, POLICY, USER, E, Entry, Grant, Group, Policy, Role, User
from .values import from_document as entry_in
from .values import to_document as document_of

log = logging.getLogger(__name__)

OWN_FUNCTIONS: Final = (
    "DescribeUsers",
    "DescribeUserToken",
    "UpdateUser",
    "UpdateUserPassword",
    "EnableUserToken",
    "ResetUserToken",
    "DescribeAuthPolicies",
    "DescribeAuthPolicyDetail",
    "DescribeAuthRoles",
)
"""What everybody may do about itself, as in polaris-server 1.19."""


class Directory:
    """Made when the registry is loaded."""

    def __init__(self, registry: Registry, unique: Callable[[], str]) -> None:
        """Raises ``Unreadable`` when a stored entry cannot be read: half a directory would refuse or allow the wrong things."""
        self._registry = registry
        self._documents = registry.documents
        self._unique = unique
        self.followers: list[Callable[[], None]] = []
        """Called after the snapshot changed."""
        self.snapshot = Snapshot().changed(
            registry.revision, _read(d for kind in KINDS for d in self._documents.all(kind))
        )
        registry.observe(self._published)

    # ------------------------------------------------------------------ the newest state

    def newest(self, kind: type[E], id: str) -> E | None:
        """An entry in the newest state, which commands are computed against."""
        document = self._documents.newest(KIND_OF[kind], id)
        found: E | None = None if document is None else entry_in(document)
        return found

    def newest_all(self, kind: type[E]) -> Iterator[E]:
        """Every entry of a kind in the newest state."""
        return (entry_in(document) for document in self._documents.newest_all(KIND_OF[kind]))

    def newest_named(self, kind: type[E], name: str) -> list[E]:
        """The entries of a name in the newest state, whoever owns them."""
        found = [document for document in self._documents.newest_all(KIND_OF[kind]) if document.name == name]
        return [entry_in(document) for document in found]

    # ------------------------------------------------------------------ commands

    def transaction(self) -> AbstractContextManager[Commit]:
        """Several commands, all or none."""
        return self._registry.transaction()

    def unique(self) -> str:
        """A new id."""
        return self._unique()

    def put(self, entry: Entry, caller: Caller) -> Commit:
        """Create or replace an entry."""
        return self._documents.put(document_of(entry), caller)

    def create(self, principal: User | Group, caller: Caller) -> Commit:
        """A user or a group with its default policy."""
        with self._registry.transaction() as commit:
            self.put(principal, caller)
            self.put(self.policy_for(principal), caller)
        return commit

    def policy_for(self, principal: User | Group) -> Policy:
        """The default policy of somebody new: what concerns itself, and what it will create."""
        user = isinstance(principal, User)
        return Policy(
            id=self._unique(),
            name=default_name(principal),
            owner=principal.owner or principal.id,
            effect=ALLOW,
            default=True,
            comment="default principal auth policy rule",
            source="Polaris",
            functions=OWN_FUNCTIONS,
            users=(principal.id,) if user else (),
            groups=() if user else (principal.id,),
            grants=(Grant(USER, principal.id),) if user else (),
        )

    def delete(self, entry: Entry, caller: Caller) -> Commit | None:
        """An entry and everything that would point to nothing without it. None when it is gone already."""
        with self._registry.transaction() as commit:
            done = self._documents.delete(KIND_OF[type(entry)], entry.id, caller)
            if isinstance(entry, User | Group | Role):
                self._forget(entry, caller)
        return None if done is None else commit

    def _forget(self, gone: User | Group | Role, caller: Caller) -> None:
        """Take a principal out of groups, roles and policies; its default policy ends with it."""
        id = gone.id
        if isinstance(gone, User):
            for group in list(self.newest_all(Group)):
                if id in group.members:
                    self.put(msgspec.structs.replace(group, members=_without(group.members, id)), caller)
        for role in list(self.newest_all(Role)):
            if id in role.users or id in role.groups:
                left = {"users": _without(role.users, id), "groups": _without(role.groups, id)}
                self.put(msgspec.structs.replace(role, **left), caller)
        for policy in list(self.newest_all(Policy)):
            if id not in policy.principals:
                continue
            if policy.default:
                self._documents.delete(POLICY, policy.id, caller)
            else:
                lists = {name: _without(getattr(policy, name), id) for name in ("users", "groups", "roles")}
                self.put(msgspec.structs.replace(policy, **lists), caller)

    # ------------------------------------------------------------------ after a publication

    def _published(self, published: Published) -> None:
        changes = [(c.kind, c.id, _entry(c.after)) for c in published.documents if c.kind in KINDS]
        if changes:
            self.snapshot = self.snapshot.changed(published.revision, changes)
            for follower in self.followers:
                follower()


class Unreadable(ValueError):
    """A stored entry that cannot be read."""


def default_name(principal: User | Group) -> str:
    """The name of a default policy. The original calls those of groups "user" too by mistake."""
    return f"({'用户' if isinstance(principal, User) else '用户组'}) {principal.name}的默认策略"


def _read(documents: Iterable[Document]) -> Iterator[tuple[str, str, Entry | None]]:
    for document in documents:
        try:
            yield document.kind, document.id, entry_in(document)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise Unreadable(f"{document.kind} {document.id} in the store cannot be read: {error}") from None


def _entry(document: Document | None) -> Any:
    return None if document is None else entry_in(document)


def _without(ids: tuple[str, ...], id: str) -> tuple[str, ...]:
    return tuple(each for each in ids if each != id)
