"""Roles and their permissions as Nacos' console and tools manage them: roles of the directory, and a policy for each permission.

A change counts at once (on Nacos 2.5.1 within 15 s).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.nacos.service.admission import Shown
from polaris_bridge.adapters.nacos.translate.auth import (
    ACTIONS,
    ADMIN_ROLE,
    Names,
    Permission,
    is_admin,
    policy,
    written,
)
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.translate.names import Spaces, encode
from polaris_bridge.core.auth.values import POLICY, ROLE, USER, Policy, Role
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Resource

from .desk import Desk, Illegal, Listed, Operator, Page, paged

_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,64}")
_RESOURCE: Final = re.compile(r"[^\x00-\x1f\x7f]{1,512}")


class Roles:
    """The calls about roles and permissions."""

    def __init__(self, desk: Desk, spaces: Spaces) -> None:
        self._desk = desk
        self._directory = desk.directory
        self._names = Names(spaces.core, encode)

    # ------------------------------------------------------------------ roles

    def add(self, shown: Shown | None, name: str, username: str, caller: Caller) -> Commit:
        """Give a user a role, which is made when it is not there. Raises ``Illegal``, and like ``Admission.admit``."""
        operator = self._desk.admit(shown, "CreateAuthRoles", Resource(""), caller)
        user = self._desk.user(username)
        if user is None:
            raise Illegal(f"user '{username}' not found!")
        if name == ADMIN_ROLE:
            raise Illegal(f"role '{ADMIN_ROLE}' is not permitted to create!")
        if not _NAME.fullmatch(name):
            raise Illegal(f"role name '{name[:80]}' is illegal")
        role = self._desk.role(name, operator)
        if role is None:
            id = self._directory.unique()
            new = Role(id=id, name=name, owner=operator.owner, source=SOURCE, users=(user.id,))
            return self._directory.put(new, operator.caller)
        if user.id in role.users:
            raise Illegal(f"user '{username}' already bound to the role '{name}'!")
        self._desk.may(operator, "UpdateAuthRoles", Resource(ROLE, id=role.id))
        return self._directory.put(structs.replace(role, users=(*role.users, user.id)), operator.caller)

    def take(self, shown: Shown | None, name: str, username: str, caller: Caller) -> Commit:
        """Take a role from a user; with ``username`` "" delete it with its permissions. Success also when there is none."""
        operator = self._desk.admit(shown, "DeleteAuthRoles", Resource(""), caller)
        if name == ADMIN_ROLE:
            raise Illegal(f"role '{ADMIN_ROLE}' is not permitted to delete!")
        role = self._desk.role(name, operator)
        if role is None:
            return SETTLED
        if not username:
            self._desk.may(operator, "DeleteAuthRoles", Resource(ROLE, id=role.id))
            return self._delete(role, operator)
        self._desk.may(operator, "UpdateAuthRoles", Resource(ROLE, id=role.id))
        user = self._desk.user(username)
        if user is None or user.id not in role.users:
            return SETTLED
        left = tuple(id for id in role.users if id != user.id)
        return self._directory.put(structs.replace(role, users=left), operator.caller)

    def _delete(self, role: Role, operator: Operator) -> Commit:
        with self._directory.transaction() as commit:
            for each in self._desk.snapshot.policies_of(role.id):
                kept = self._directory.newest(Policy, each.id)
                if kept is not None and written(kept, role.name) is not None:
                    self._directory.delete(kept, operator.caller)
            self._directory.delete(role, operator.caller)
        return commit

    def find(self, shown: Shown | None, page: Page, name: str, username: str, caller: Caller) -> Listed:
        """Who has which role, as far as the caller may see."""
        operator = self._desk.admit(shown, "DescribeAuthRoles", Resource(""), caller)
        wanted, whose = page.wanted(name), page.wanted(username)
        found = ((role, user) for role, user in self._bound(operator) if wanted(role) and whose(user))
        return paged(({"role": role, "username": user} for role, user in found), page)

    def search(self, shown: Shown | None, part: str, caller: Caller) -> list[str]:
        """Names of roles with something in them."""
        operator = self._desk.admit(shown, "DescribeAuthRoles", Resource(""), caller)
        return list(dict.fromkeys(role for role, _user in self._bound(operator) if part in role))

    def _bound(self, operator: Operator) -> Iterator[tuple[str, str]]:
        snapshot, name_of = self._desk.snapshot, self._desk.name_of
        sees_user = self._desk.sees(operator, "DescribeUsers", USER)
        for user in sorted(snapshot.users.values(), key=lambda user: (user.created_ms, user.id)):
            if is_admin(user) and (user.id == operator.id or sees_user(user.id)):
                yield ADMIN_ROLE, name_of(user.id)
        for role in self._visible(operator):
            for id in role.users:
                name = name_of(id)
                if name:
                    yield role.name, name

    def _visible(self, operator: Operator) -> Iterator[Role]:
        snapshot = self._desk.snapshot
        sees, mine = self._desk.sees(operator, "DescribeAuthRoles", ROLE), snapshot.roles_of(operator.id)
        for role in sorted(snapshot.roles.values(), key=lambda role: (role.created_ms, role.id)):
            if role.id in mine or sees(role.id):
                yield role

    # ------------------------------------------------------------------ permissions

    def allow(self, shown: Shown | None, permission: Permission, caller: Caller) -> Commit:
        """Give a role a permission; giving it again changes nothing. Raises ``Illegal`` when there is no such role."""
        operator = self._desk.admit(shown, "CreateAuthPolicy", Resource(""), caller)
        role = self._desk.role(permission.role, operator)
        if role is None:
            raise Illegal(f"role {permission.role} not found!")
        self._desk.may(operator, "UpdateAuthRoles", Resource(ROLE, id=role.id))
        if permission.action not in ACTIONS:
            raise Illegal(f"action '{permission.action[:80]}' is illegal: r, w or rw")
        if not _RESOURCE.fullmatch(permission.resource):
            raise Illegal("resource is illegal")
        id = _policy_id(role, permission)
        if self._directory.newest(Policy, id) is not None:
            return SETTLED
        return self._directory.put(policy(permission, role, id, self._names), operator.caller)

    def revoke(self, shown: Shown | None, permission: Permission, caller: Caller) -> Commit:
        """Take a permission away. Success also when there is none."""
        operator = self._desk.admit(shown, "DeleteAuthPolicies", Resource(""), caller)
        role = self._desk.role(permission.role, operator)
        kept = None if role is None else self._directory.newest(Policy, _policy_id(role, permission))
        if kept is None:
            return SETTLED
        self._desk.may(operator, "DeleteAuthPolicies", Resource(POLICY, id=kept.id))
        return self._directory.delete(kept, operator.caller) or SETTLED

    def permissions(self, shown: Shown | None, page: Page, name: str, caller: Caller) -> Listed:
        """What roles may do, as it was written through Nacos."""
        operator = self._desk.admit(shown, "DescribeAuthPolicies", Resource(""), caller)
        wanted = page.wanted(name)
        found = (each for role in self._visible(operator) if wanted(role.name) for each in self._written(role))
        return paged(({"role": p.role, "resource": p.resource, "action": p.action} for p in found), page)

    def has(self, shown: Shown | None, permission: Permission, caller: Caller) -> bool:
        """Whether a role has a permission already, or ``rw`` for the same resource."""
        operator = self._desk.admit(shown, "DescribeAuthPolicies", Resource(""), caller)
        role = self._desk.role(permission.role, operator)
        return role is not None and any(
            each.resource == permission.resource and each.action in (permission.action, "rw")
            for each in self._written(role)
        )

    def _written(self, role: Role) -> Iterator[Permission]:
        for each in self._desk.snapshot.policies_of(role.id):
            found = written(each, role.name)
            if found is not None:
                yield found


def _policy_id(role: Role, permission: Permission) -> str:
    """The same for the same permission of a role."""
    text = f"{role.id}\0{permission.resource}\0{permission.action}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
