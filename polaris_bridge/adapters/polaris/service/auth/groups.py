"""Groups of users: created, changed, deleted, listed; their tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.batches import batch_answer
from polaris_bridge.adapters.polaris.service.console.filters import answering, single
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.translate.auth import ids, render_group, render_member
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import GROUP, Group, User
from polaris_bridge.core.model import Caller

from .desk import OK, Desk, Operator, first_of, is_administrator, latest_first, one_by_one, part
from .names import is_group_name

FILTERS = ("id", "user_id", "user_name", "group_id", "name", "owner", "offset", "limit")


class Groups:
    """The calls about groups."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._directory = desk.directory

    # ------------------------------------------------------------------ commands

    def create(self, m: v1.UserGroup, caller: Caller) -> Outcome:
        """A group with members and a token. Names differ below one owner."""
        operator = self._desk.operator(caller)
        refused = self._unknown(m.relation)
        if refused is not None:
            return refused
        echo = v1.UserGroup()
        echo.CopyFrom(m)
        echo.ClearField("auth_token")
        echo.owner.value = operator.owner
        name = m.name.value
        if not is_group_name(name):
            return Outcome(respond(v1.InvalidParameter, userGroup=echo))
        if any(group.owner == operator.owner for group in self._directory.newest_named(Group, name)):
            return Outcome(respond(v1.UserGroupExisted, userGroup=echo))
        id = self._directory.unique()
        group = Group(
            id=id,
            name=name,
            owner=operator.owner,
            token=self._desk.accounts.tokens.make(Group, id),
            source=m.source.value,
            comment=m.comment.value,
            metadata=dict(m.metadata),
            members=ids(m.relation.users),
        )
        echo.id.value = id
        return Outcome(respond(OK, userGroup=echo), self._directory.create(group, caller))

    def update(self, groups: Sequence[v1.ModifyUserGroup], caller: Caller) -> Outcome:
        """Members come and go; main users change the comment too. 200002 when nothing is asked for."""
        if any(self._directory.newest(Group, m.id.value) is None for m in groups):
            return Outcome(batch_answer(v1.NotFoundUserGroup, ()))
        operator = self._desk.operator(caller)
        return one_by_one(groups, lambda m: self._update(m, operator, caller), "modifyUserGroup")

    def _update(self, m: v1.ModifyUserGroup, operator: Operator, caller: Caller) -> Outcome:
        refused = self._unknown(m.add_relations)
        if refused is not None:
            return refused
        group = self._directory.newest(Group, m.id.value)
        if group is None:
            return Outcome(respond(v1.NotFoundUserGroup, modifyUserGroup=m))
        changes: dict[str, Any] = {}
        if operator.is_main and m.comment.value and m.comment.value != group.comment:
            changes["comment"] = m.comment.value
        if m.metadata:
            changes["metadata"] = dict(m.metadata)
        more, fewer = ids(m.add_relations.users), frozenset(ids(m.remove_relations.users))
        if more or fewer:
            members = dict.fromkeys((*group.members, *more))
            changes["members"] = tuple(id for id in members if id not in fewer)
        echo = v1.ModifyUserGroup()
        echo.CopyFrom(m)
        echo.ClearField("auth_token")
        if not changes:
            return Outcome(respond(v1.NoNeedUpdate, modifyUserGroup=echo))
        commit = self._directory.put(structs.replace(group, **changes), caller)
        return Outcome(respond(OK, modifyUserGroup=echo), commit)

    def delete(self, groups: Sequence[v1.UserGroup], caller: Caller) -> Outcome:
        """Nothing is deleted when one of them is not there."""
        if any(self._directory.newest(Group, m.id.value) is None for m in groups):
            return Outcome(batch_answer(v1.NotFoundUserGroup, ()))

        def do(m: v1.UserGroup) -> Outcome:
            group = self._directory.newest(Group, m.id.value)
            commit = None if group is None else self._directory.delete(group, caller)
            return Outcome(respond(OK, userGroup=m), *(() if commit is None else (commit,)))

        return one_by_one(groups, do, "userGroup")

    # ------------------------------------------------------------------ tokens

    def token(self, query: Query, _caller: Caller) -> v1.Response:
        """The token of the group with an id."""
        group = self._desk.snapshot.groups.get(single(query).get("id", ""))
        if group is None:
            return respond(v1.NotFoundUserGroup)
        answer = respond(OK)
        answer.userGroup.id.value = group.id
        answer.userGroup.auth_token.value = group.token
        answer.userGroup.token_enable.value = group.token_enabled
        return answer

    def enable_token(self, m: v1.UserGroup, caller: Caller) -> Outcome:
        """Switch a token on or off."""
        group = self._directory.newest(Group, m.id.value)
        if group is None:
            return Outcome(respond(v1.NotFoundUserGroup))
        commit = self._directory.put(structs.replace(group, token_enabled=m.token_enable.value), caller)
        return Outcome(respond(OK, userGroup=m), commit)

    def refresh_token(self, m: v1.UserGroup, caller: Caller) -> Outcome:
        """A new token, for the group's owner; the old one ends at once."""
        group = self._directory.newest(Group, m.id.value)
        if group is None:
            return Outcome(respond(v1.NotFoundUserGroup))
        operator = self._desk.operator(caller)
        if not is_administrator(operator) and group.owner != operator.id:
            return Outcome(respond(v1.NotAllowedAccess))
        token = self._desk.accounts.tokens.make(Group, group.id)
        commit = self._directory.put(structs.replace(group, token=token), caller)
        answer = respond(OK, userGroup=m)
        answer.userGroup.auth_token.value = token
        return Outcome(answer, commit)

    # ------------------------------------------------------------------ queries

    def detail(self, query: Query, caller: Caller) -> v1.Response:
        """A group with its members, for those who may see it and for members."""
        group = self._desk.snapshot.groups.get(single(query).get("id", ""))
        if group is None:
            return respond(v1.NotFoundUserGroup)
        if not self._visible(group, caller, "DescribeUserGroupDetail"):
            return respond(v1.NotAllowedAccess)
        m = render_group(group)
        m.relation.SetInParent()
        for id in group.members:
            user = self._desk.snapshot.users.get(id)
            if user is not None:
                m.relation.users.append(render_member(user))
        return respond(OK, userGroup=m)

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Groups that the caller may see or is a member of."""
        return answering(lambda: self._find(query, caller))

    def _find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        filters, where = first_of(query, FILTERS)
        users = self._desk.snapshot.users
        found = (
            group
            for group in self._desk.snapshot.groups.values()
            if all(filters.get(name, group.id) == group.id for name in ("id", "group_id"))
            and filters.get("owner", group.owner) == group.owner
            and wild(filters.get("name", "*"), group.name)
            and ("user_id" not in filters or filters["user_id"] in group.members)
            and ("user_name" not in filters or _has(group, filters["user_name"], users))
            and self._visible(group, caller, "DescribeUserGroups")
        )
        amount, shown = part(found, where, latest_first)
        answer = list_answer(OK, amount, len(shown))
        answer.userGroups.extend(map(render_group, shown))
        return answer

    # ------------------------------------------------------------------ pieces

    def _visible(self, group: Group, caller: Caller, operation: str) -> bool:
        return caller.principal in group.members or self._desk.sees(caller, operation, GROUP)(group.id)

    def _unknown(self, relation: v1.UserGroupRelation) -> Outcome | None:
        """The refusal of members that are no users."""
        if all(self._directory.newest(User, id) is not None for id in ids(relation.users)):
            return None
        return Outcome(respond(v1.NotFoundUser, relation=relation))


def _has(group: Group, pattern: str, users: Any) -> bool:
    return any(id in users and wild(pattern, users[id].name) for id in group.members)
