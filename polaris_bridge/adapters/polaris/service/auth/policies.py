"""Policies: created, changed, deleted, listed, and what somebody may do with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.console.filters import answering, single
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.translate.auth import (
    action_of,
    ids,
    lift_conditions,
    lift_policy,
    render_grants,
    render_policy,
    render_policy_in_full,
)
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import (
    ANONYMOUS,
    CONFIG_GROUP,
    DENY,
    MAIN,
    NAMESPACE,
    POLICY,
    SERVICE,
    Group,
    Policy,
    Role,
    User,
)
from polaris_bridge.core.model import Caller

from .desk import OK, Desk, Operator, first_of, is_administrator, latest_first, one_by_one, part
from .names import is_name
from .resources import Resources

FILTERS = (
    "id", "name", "owner", "offset", "limit", "principal_id", "principal_type", "res_id", "res_type", "default", "show_detail",
)  # fmt: skip
_RESOURCE_TYPES = {"namespace": NAMESPACE, "service": SERVICE, "config_group": CONFIG_GROUP}
_GROUP_WORDS = ("group", "groups")


class Policies:
    """The calls about policies."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._directory = desk.directory
        self._resources = Resources(desk)

    # ------------------------------------------------------------------ commands

    def create(self, m: v1.AuthStrategy, caller: Caller) -> Outcome:
        """A policy of the caller's main user. Those whom it names, and the resources, have to be there."""
        code = v1.InvalidUserName if not is_name(m.name.value) else self._unknown(m.principals)
        if code != OK:
            return Outcome(respond(code, authStrategy=m))
        grants, code = self._resources.grants(m.resources)
        if code != OK:
            return Outcome(respond(code))
        policy = lift_policy(m, self._directory.unique(), self._desk.operator(caller).owner, grants)
        answer = respond(OK, authStrategy=m)
        answer.authStrategy.id.value = policy.id
        answer.authStrategy.owner.value = policy.owner
        answer.authStrategy.resources.SetInParent()
        return Outcome(answer, self._directory.put(policy, caller))

    def update(self, policies: Sequence[v1.ModifyAuthStrategy], caller: Caller) -> Outcome:
        """What is given changes; principals and resources come and go. An action that is not given (or the outdated one of
        reading only, which looks the same) stays."""
        operator = self._desk.operator(caller)
        return one_by_one(policies, lambda m: self._update(m, operator, caller), "modifyAuthStrategy")

    def _update(self, m: v1.ModifyAuthStrategy, operator: Operator, caller: Caller) -> Outcome:
        policy = self._directory.newest(Policy, m.id.value)
        if policy is None:
            return Outcome(respond(v1.NotFoundAuthStrategyRule, modifyAuthStrategy=m))
        code = self._fixed(m, policy, operator)
        if code == OK:
            code = self._unknown(m.add_principals)
        if code != OK:
            return Outcome(respond(code, modifyAuthStrategy=m))
        added, code = self._resources.grants(m.add_resources)
        if code != OK:
            return Outcome(respond(code))
        changes = _attributes(m, operator)
        removed = self._resources.removed(m.remove_resources, policy.grants)
        changes["grants"] = tuple(g for g in dict.fromkeys((*policy.grants, *added)) if g not in removed)
        for name in ("users", "groups", "roles"):
            gone = ids(getattr(m.remove_principals, name))
            members = dict.fromkeys((*getattr(policy, name), *ids(getattr(m.add_principals, name))))
            changes[name] = tuple(id for id in members if id not in gone)
        changed = structs.replace(policy, **changes)
        answer = respond(OK if changed != policy else v1.NoNeedUpdate, modifyAuthStrategy=m)
        answer.modifyAuthStrategy.add_resources.SetInParent()
        return Outcome(answer, *(() if changed == policy else (self._directory.put(changed, caller),)))

    def _fixed(self, m: v1.ModifyAuthStrategy, policy: Policy, operator: Operator) -> int:
        """What of a default policy stays as it is: whom it speaks of (400508), and all of a main user's own (400509)."""
        if not policy.default:
            return OK
        if any(
            getattr(each, name)
            for each in (m.add_principals, m.remove_principals)
            for name in ("users", "groups", "roles")
        ):
            return v1.NotAllowModifyDefaultStrategyPrincipal
        owners = [self._directory.newest(User, id) for id in policy.users]
        if any(user is not None and user.rank == MAIN for user in owners) and not is_administrator(operator):
            return v1.NotAllowModifyOwnerDefaultStrategy
        return OK

    def delete(self, policies: Sequence[v1.AuthStrategy], caller: Caller) -> Outcome:
        """By the policy's owner. Default policies end with their principals. Success also for one that is not there."""
        operator = self._desk.operator(caller)

        def do(m: v1.AuthStrategy) -> Outcome:
            policy = self._directory.newest(Policy, m.id.value)
            if policy is None:
                return Outcome(respond(OK, authStrategy=m))
            if policy.default:
                return Outcome(respond(v1.BadRequest, "default strategy can't delete", authStrategy=m))
            if policy.owner != operator.id and not is_administrator(operator):
                return Outcome(respond(v1.NotAllowedAccess, authStrategy=m))
            commit = self._directory.delete(policy, caller)
            return Outcome(respond(OK, authStrategy=m), *(() if commit is None else (commit,)))

        return one_by_one(policies, do, "authStrategy")

    # ------------------------------------------------------------------ queries

    def detail(self, query: Query, caller: Caller) -> v1.Response:
        """A policy in full, for its owner, for whom it speaks of, and for administrators."""
        id = single(query).get("id", "")
        if not id:
            return respond(v1.EmptyQueryParameter)
        policy = self._desk.snapshot.policies.get(id)
        if policy is None:
            answer = respond(v1.NotFoundAuthStrategyRule)
            answer.authStrategy.id.value = id
            return answer
        if not self._concerned(policy, caller):
            return respond(v1.NotAllowedAccess, authStrategy=v1.AuthStrategy(id={"value": id}))
        return respond(OK, authStrategy=self._in_full(policy))

    def _concerned(self, policy: Policy, caller: Caller) -> bool:
        operator = self._desk.operator(caller)
        if is_administrator(operator) or policy.owner == operator.id:
            return True
        return not set(self._desk.snapshot.everything_of(caller.principal)).isdisjoint(policy.principals)

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Policies that the caller may see, or that speak of it."""
        return answering(lambda: self._find(query, caller))

    def _find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        filters, where = first_of(query, FILTERS)
        sees, mine = (
            self._desk.sees(caller, "DescribeAuthPolicies", POLICY),
            self._desk.snapshot.everything_of(caller.principal),
        )
        found = (
            policy
            for policy in self._desk.snapshot.policies.values()
            if self._wanted(policy, filters) and (not set(mine).isdisjoint(policy.principals) or sees(policy.id))
        )
        amount, shown = part(found, where, latest_first)
        answer = list_answer(OK, amount, len(shown))
        full = filters.get("show_detail") == "true"
        answer.authStrategies.extend(self._in_full(p) if full else render_policy(p) for p in shown)
        return answer

    def _wanted(self, policy: Policy, filters: dict[str, str]) -> bool:
        principal = filters.get("principal_id")
        about = principal is None or principal in _named(policy, filters.get("principal_type", ""))
        kind = _RESOURCE_TYPES.get(filters.get("res_type", ""), NAMESPACE)
        return (
            filters.get("id", policy.id) == policy.id
            and wild(filters.get("name", "*"), policy.name)
            and (filters.get("owner", policy.owner) == policy.owner or (principal is not None and about))
            and filters.get("default", _truth(policy.default)) == _truth(policy.default)
            and about
            and (
                "res_type" not in filters
                or any(self._resources.matches(g, kind, filters.get("res_id", "")) for g in policy.grants)
            )
        )

    def principal_resources(self, query: Query, _caller: Caller) -> v1.Response:
        """What policies give a user (through its groups too) or a group."""
        filters = single(query)
        if not filters:
            return respond(v1.EmptyRequest)
        id = filters.get("principal_id", "")
        if not id:
            return respond(v1.EmptyQueryParameter)
        snapshot = self._desk.snapshot
        groups = () if filters.get("principal_type") in _GROUP_WORDS else snapshot.groups_of(id)
        policies = [p for each in (*groups, id) for p in snapshot.policies_of(each) if p.effect != DENY]
        grants = [grant for policy in policies for grant in policy.grants]
        return respond(OK, resources=render_grants(grants, self._resources.shown))

    # ------------------------------------------------------------------ pieces

    def _in_full(self, policy: Policy) -> v1.AuthStrategy:
        return render_policy_in_full(policy, self._desk.name_of, self._resources.shown)

    def _unknown(self, principals: v1.Principals) -> int:
        """200000, or the code for somebody who is not there. Callers who show nothing are there; in the original they are not."""
        users = (id for id in ids(principals.users) if id != ANONYMOUS)
        if any(self._directory.newest(User, id) is None for id in users):
            return v1.NotFoundUser
        if any(self._directory.newest(Group, id) is None for id in ids(principals.groups)):
            return v1.NotFoundUserGroup
        return (
            v1.NotFoundResource if any(self._directory.newest(Role, id) is None for id in ids(principals.roles)) else OK
        )


def _attributes(m: v1.ModifyAuthStrategy, operator: Operator) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if operator.is_main:
        if m.HasField("comment"):
            changes["comment"] = m.comment.value
        if m.name.value and is_name(m.name.value):
            changes["name"] = m.name.value
    if m.functions:
        changes["functions"] = tuple(dict.fromkeys(m.functions))
    if m.metadata:
        changes["metadata"] = dict(m.metadata)
    if m.action != v1.ONLY_READ:
        changes["effect"], changes["word"] = action_of(m.action)
    if m.resource_labels:
        changes["conditions"] = lift_conditions(m.resource_labels)
    return changes


def _named(policy: Policy, type_: str) -> tuple[str, ...]:
    return policy.groups if type_ in _GROUP_WORDS else policy.roles if type_ == "role" else policy.users


def _truth(value: bool) -> str:
    return "true" if value else "false"
