"""Accounts and policies: entries of the directory as native messages and back. Pure. No message made here holds a secret."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.auth.values import (
    ALLOW,
    ANY,
    CONFIG_GROUP,
    DENY,
    GROUP,
    NAMESPACE,
    POLICY,
    READ,
    ROLE,
    SERVICE,
    USER,
    Condition,
    Grant,
    Group,
    Policy,
    Role,
    User,
)

from .times import local_time

EFFECTS: Final = {"ONLY_READ": READ, "READ_WRITE": ALLOW, "ALLOW": ALLOW, "DENY": DENY}
"""What the native words for an action mean. READ_WRITE is the older word for ALLOW."""

RESOURCE_FIELDS: Final = {
    "namespaces": NAMESPACE,
    "services": SERVICE,
    "config_groups": CONFIG_GROUP,
    "route_rules": "routing",
    "ratelimit_rules": "rate_limit",
    "circuitbreaker_rules": "circuit_breaker",
    "faultdetect_rules": "fault_detect",
    "lane_rules": "lane",
    "users": USER,
    "user_groups": GROUP,
    "roles": ROLE,
    "auth_policies": POLICY,
}
"""The lists of ``StrategyResources``, and the kinds of resources in them."""
_FIELD_OF: Final = {kind: field for field, kind in RESOURCE_FIELDS.items()}

_WORDS: Final = {number: name for name, number in ((n, getattr(v1, n)) for n in EFFECTS)}
_NUMBERS: Final = {name: number for number, name in _WORDS.items()}
_WORD_OF: Final = {READ: "ONLY_READ", ALLOW: "ALLOW", DENY: "DENY"}

Shown = Callable[[Grant], tuple[str, str, str] | None]
"""Id, namespace and name of a resource that is granted, as they are now; None when there is none."""
Named = Callable[[str, str], str | None]
"""The name of a user, group or role (kind, id); None when there is none."""


def ids(messages: Iterable[Any]) -> tuple[str, ...]:
    """The ids of what is listed, each once."""
    return tuple(dict.fromkeys(_text(m.id) for m in messages))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value.value)


# ---------------------------------------------------------------------- users, groups, roles


def render_user(user: User) -> v1.User:
    """A user as lists show it."""
    m = render_member(user)
    m.owner.value = user.owner
    m.user_type.value = user.rank
    if user.mobile:
        m.mobile.value = user.mobile
    if user.email:
        m.email.value = user.email
    m.metadata.update(user.metadata)
    return m


def render_member(user: User) -> v1.User:
    """A user as its group shows it."""
    m = v1.User()
    m.id.value = user.id
    m.name.value = user.name
    m.source.value = user.source
    m.comment.value = user.comment
    m.token_enable.value = user.token_enabled
    m.ctime.value = local_time(user.created_ms)
    m.mtime.value = local_time(user.updated_ms)
    return m


def render_group(group: Group) -> v1.UserGroup:
    """A group as lists show it."""
    m = v1.UserGroup()
    m.id.value = group.id
    m.name.value = group.name
    m.owner.value = group.owner
    m.token_enable.value = group.token_enabled
    m.comment.value = group.comment
    m.ctime.value = local_time(group.created_ms)
    m.mtime.value = local_time(group.updated_ms)
    m.user_count.value = len(group.members)
    m.metadata.update(group.metadata)
    return m


def render_role(role: Role, named: Named) -> v1.Role:
    """A role with the names of those who have it."""
    m = v1.Role(
        id=role.id,
        name=role.name,
        owner=role.owner,
        source=role.source,
        default_role=role.default,
        comment=role.comment,
        metadata=role.metadata,
        ctime=local_time(role.created_ms),
        mtime=local_time(role.updated_ms),
    )
    for list_, kind, members in ((m.users, USER, role.users), (m.user_groups, GROUP, role.groups)):
        for id, name in _known(kind, members, named):
            entry: Any = list_.add()
            entry.id.value, entry.name.value = id, name
    return m


def _known(kind: str, members: Iterable[str], named: Named) -> Iterator[tuple[str, str]]:
    for id in members:
        name = named(kind, id)
        if name is not None:
            yield id, name


# ---------------------------------------------------------------------- policies


def lift_policy(m: v1.AuthStrategy, id: str, owner: str, grants: tuple[Grant, ...]) -> Policy:
    """A new policy."""
    word = _WORDS.get(m.action, "ONLY_READ")
    return Policy(
        id=id,
        name=m.name.value,
        owner=owner,
        effect=EFFECTS[word],
        word=word,
        comment=m.comment.value,
        source=m.source.value,
        metadata=dict(m.metadata),
        functions=tuple(dict.fromkeys(m.functions)),
        users=ids(m.principals.users),
        groups=ids(m.principals.groups),
        roles=ids(m.principals.roles),
        grants=grants,
        conditions=lift_conditions(m.resource_labels),
    )


def action_of(number: int) -> tuple[str, str]:
    """The effect that an action means, and its word."""
    word = _WORDS.get(number, "ONLY_READ")
    return EFFECTS[word], word


def lift_conditions(labels: Iterable[v1.StrategyResourceLabel]) -> tuple[Condition, ...]:
    """Labels that resources must have."""
    return tuple(Condition(label.key, label.value, label.compare_type) for label in labels)


def entries(resources: v1.StrategyResources) -> Iterator[tuple[str, v1.StrategyResourceEntry]]:
    """Every resource that is named, with its kind; of those where all are meant only one, with the id ``*``."""
    for field, kind in RESOURCE_FIELDS.items():
        found = list(getattr(resources, field))
        everything = [entry for entry in found if ANY in (entry.id.value, entry.name.value)]
        for entry in everything[:1] or found:
            yield kind, v1.StrategyResourceEntry(id={"value": ANY}) if everything else entry


def render_policy(policy: Policy) -> v1.AuthStrategy:
    """A policy as lists show it."""
    m = v1.AuthStrategy()
    m.id.value = policy.id
    m.name.value = policy.name
    m.owner.value = policy.owner
    m.comment.value = policy.comment
    m.ctime.value = local_time(policy.created_ms)
    m.mtime.value = local_time(policy.updated_ms)
    m.action = _NUMBERS[policy.word or _WORD_OF[policy.effect]]
    m.default_strategy.value = policy.default
    return m


def render_policy_in_full(policy: Policy, named: Named, shown: Shown) -> v1.AuthStrategy:
    """A policy with everything that it says."""
    m = render_policy(policy)
    if policy.source:
        m.source.value = policy.source
    m.functions.extend(policy.functions)
    m.metadata.update(policy.metadata)
    for condition in policy.conditions:
        m.resource_labels.add(key=condition.key, value=condition.value, compare_type=condition.compare)
    m.principals.SetInParent()
    lists: tuple[tuple[Any, str, tuple[str, ...]], ...] = (
        (m.principals.users, USER, policy.users),
        (m.principals.groups, GROUP, policy.groups),
        (m.principals.roles, ROLE, policy.roles),
    )
    for list_, kind, members in lists:
        for id, name in _known(kind, members, named):
            entry = list_.add()
            entry.id.value, entry.name.value = id, name
    m.resources.CopyFrom(render_grants(policy.grants, shown))
    return m


def render_grants(grants: Iterable[Grant], shown: Shown) -> v1.StrategyResources:
    """Resources by kind; where all of a kind are granted, nothing else of the kind. Those that are gone are left out."""
    m = v1.StrategyResources()
    by_field: dict[str, dict[Grant, None]] = {}
    for grant in grants:
        field = _FIELD_OF.get(grant.kind)
        if field is not None:
            by_field.setdefault(field, {})[grant] = None
    for field, found in by_field.items():
        list_ = getattr(m, field)
        if any(grant.id == ANY for grant in found):
            list_.add(id={"value": ANY}, namespace={"value": ANY}, name={"value": ANY})
            continue
        for grant in found:
            what = shown(grant)
            if what is None:
                continue
            id, namespace, name = what
            entry = list_.add(id={"value": id}, name={"value": name})
            if namespace:
                entry.namespace.value = namespace
    return m
