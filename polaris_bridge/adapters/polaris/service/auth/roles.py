"""Roles: created, changed, deleted, listed. (In the original these calls fail in the embedded store, and listing ends it.)"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.console.filters import answering
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.translate.auth import ids, render_role
from polaris_bridge.adapters.polaris.translate.routing import TYPE_URL
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import ROLE, Group, Role, User
from polaris_bridge.core.model import Caller

from .desk import OK, Desk, first_of, latest_first, one_by_one, part
from .names import is_group_name

FILTERS = ("id", "name", "owner", "source", "offset", "limit")


class Roles:
    """The calls about roles. Answers carry a role as ``data``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._directory = desk.directory

    def create(self, roles: Sequence[v1.Role], caller: Caller) -> Outcome:
        """Roles with those who have them. Names differ below one owner."""
        owner = self._desk.operator(caller).owner

        def do(m: v1.Role) -> Outcome:
            code = self._unknown(m) if is_group_name(m.name) else v1.InvalidParameter
            if code != OK:
                return _answer(code, m)
            if any(role.owner == owner for role in self._directory.newest_named(Role, m.name)):
                return _answer(v1.ExistedResource, m)
            if m.id and self._directory.newest(Role, m.id) is not None:
                return _answer(v1.ExistedResource, m)
            role = Role(
                id=m.id or self._directory.unique(),
                name=m.name,
                owner=owner,
                source=m.source,
                comment=m.comment,
                metadata=dict(m.metadata),
                users=ids(m.users),
                groups=ids(m.user_groups),
            )
            commit = self._directory.put(role, caller)
            return Outcome(_answer(OK, v1.Role(id=role.id, name=role.name, owner=owner)).response, commit)

        return one_by_one(roles, do, "role")

    def update(self, roles: Sequence[v1.Role], caller: Caller) -> Outcome:
        """A role is replaced, all but its name and owner."""

        def do(m: v1.Role) -> Outcome:
            role = self._directory.newest(Role, m.id)
            code = v1.NotFoundResource if role is None else self._unknown(m)
            if role is None or code != OK:
                return _answer(code, m)
            changed = structs.replace(
                role,
                source=m.source,
                comment=m.comment,
                metadata=dict(m.metadata),
                users=ids(m.users),
                groups=ids(m.user_groups),
            )
            return Outcome(_answer(OK, m).response, self._directory.put(changed, caller))

        return one_by_one(roles, do, "role")

    def delete(self, roles: Sequence[v1.Role], caller: Caller) -> Outcome:
        """Success also for one that is not there."""

        def do(m: v1.Role) -> Outcome:
            role = self._directory.newest(Role, m.id)
            commit = None if role is None else self._directory.delete(role, caller)
            return Outcome(_answer(OK, m).response, *(() if commit is None else (commit,)))

        return one_by_one(roles, do, "role")

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Roles that the caller may see or has."""
        return answering(lambda: self._find(query, caller))

    def _find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        filters, where = first_of(query, FILTERS)
        snapshot = self._desk.snapshot
        sees, mine = self._desk.sees(caller, "DescribeAuthRoles", ROLE), snapshot.everything_of(caller.principal)
        found = (
            role
            for role in snapshot.roles.values()
            if filters.get("id", role.id) == role.id
            and filters.get("owner", role.owner) == role.owner
            and wild(filters.get("name", "*"), role.name)
            and wild(filters.get("source", "*"), role.source)
            and (role.id in mine or sees(role.id))
        )
        amount, shown = part(found, where, latest_first)
        answer = list_answer(OK, amount, len(shown))
        for role in shown:
            answer.data.append(_packed(render_role(role, self._desk.name_of)))
        return answer

    def _unknown(self, m: v1.Role) -> int:
        if any(self._directory.newest(User, id) is None for id in ids(m.users)):
            return v1.NotFoundUser
        return (
            v1.NotFoundUserGroup if any(self._directory.newest(Group, id) is None for id in ids(m.user_groups)) else OK
        )


def _answer(code: int, m: v1.Role) -> Outcome:
    answer = respond(code)
    answer.data.CopyFrom(_packed(m))
    return Outcome(answer)


def _packed(m: v1.Role) -> v1.Any:
    return v1.Any(type_url=TYPE_URL + m.DESCRIPTOR.full_name, value=m.SerializeToString(deterministic=True))
