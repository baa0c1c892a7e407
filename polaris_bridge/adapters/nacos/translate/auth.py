"""Permissions of Nacos (``namespace:group:type/name`` with ``r``, ``w`` or ``rw``) as policies of the directory. Pure.

What the directory can say (a namespace, a service, everything) becomes grants, which hold through every protocol. A pattern
that it cannot say (``order*``, one group of a namespace) stays a pattern, which holds for Nacos clients.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from polaris_bridge.core.auth.values import (
    ADMINISTRATOR,
    ALLOW,
    ANY,
    CONFIG_GROUP,
    MAIN,
    NAMESPACE,
    READ,
    SERVICE,
    Grant,
    Policy,
    Role,
    User,
)

from .keys import SOURCE

ADMIN_ROLE: Final = "ROLE_ADMIN"
"""What administrators and main users have."""
ACTIONS: Final = ("r", "w", "rw")
MASKED: Final = "******"
"""Shown in lists instead of a password's hash."""

RESOURCE_KEY: Final = "nacos.resource"
ACTION_KEY: Final = "nacos.action"
"""Metadata of policies made here: what was written, for lists and for patterns."""

_LOOKING: Final = ("Describe*", "Discover*", "Get*", "List*", "Watch*", "Export*")
_WRITING: Final = (
    "RegisterInstance",
    "DeregisterInstance",
    "CreateInstances",
    "UpdateInstances",
    "UpdateInstancesIsolate",
    "DeleteInstances",
    "DeleteInstancesByHost",
    "CreateServices",
    "UpdateServices",
    "DeleteServices",
    "CreateConfigGroup",
    "UpdateConfigGroup",
    "CreateConfigFile",
    "UpdateConfigFile",
    "DeleteConfigFile",
    "PublishConfigFile",
    "UpsertAndReleaseConfigFile",
    "DeleteConfigFileReleases",
    "LockOperation",
)
"""What ``w`` allows in a namespace: using it, not deleting it."""
FUNCTIONS: Final[dict[str, tuple[str, ...]]] = {
    "r": _LOOKING,
    "w": _WRITING,
    "rw": (*_LOOKING, *_WRITING),
}

_PARTS: Final = re.compile(r"([^:]*):([^:]*):(.*)", re.DOTALL)
_EVERYTHING: Final = ("*", "*/*", "naming/*")


class Permission(Struct, frozen=True, gc=False):
    """One permission of a role, as it was written."""

    role: str
    resource: str
    action: str


class Names(Struct, frozen=True):
    """How namespaces and services are called in the core."""

    namespace: Callable[[str], str]
    """By the id of a Nacos namespace; "" and ``public`` are the default one."""
    service: Callable[[str, str], str]
    """By group and name."""


def grants(resource: str, names: Names) -> tuple[Grant, ...]:
    """What the directory can say of a resource; empty for a pattern."""
    found = _PARTS.fullmatch(resource)
    if found is None:
        return (Grant(NAMESPACE, ANY), Grant(SERVICE, ANY)) if resource == ANY else ()
    namespace_id, group, what = found.groups()
    if namespace_id == ANY and group == ANY and what in _EVERYTHING:
        return (Grant(SERVICE, ANY),) if what == "naming/*" else (Grant(NAMESPACE, ANY), Grant(SERVICE, ANY))
    if ANY in namespace_id:
        return ()
    namespace = names.namespace(namespace_id)
    if group == ANY and what in ("*", "*/*"):
        return (Grant(NAMESPACE, namespace),)
    kind, slash, name = what.partition("/")
    if not slash or not group or ANY in group:
        return ()
    if kind == "naming" and name and ANY not in name:
        return (Grant(SERVICE, "", namespace, names.service(group, name)),)
    if kind == "config" and name == ANY:
        return (Grant(CONFIG_GROUP, "", namespace, group),)
    return ()


def policy(permission: Permission, role: Role, id: str, names: Names) -> Policy:
    """The policy that keeps a permission."""
    given = grants(permission.resource, names)
    return Policy(
        id=id,
        name=f"({role.name}) {permission.action} {permission.resource}",
        owner=role.owner,
        effect=READ if permission.action == "r" else ALLOW,
        source=SOURCE,
        metadata={RESOURCE_KEY: permission.resource, ACTION_KEY: permission.action},
        functions=FUNCTIONS[permission.action] if given else NOWHERE,
        roles=(role.id,),
        grants=given,
    )


NOWHERE: Final = ("NacosPattern",)
"""The functions of a policy that grants nothing to other protocols: the name of no call."""


def written(policy: Policy, role: str) -> Permission | None:
    """The permission that a policy keeps; None for a policy that was made otherwise."""
    resource = policy.metadata.get(RESOURCE_KEY)
    action = policy.metadata.get(ACTION_KEY)
    if policy.source != SOURCE or resource is None or action not in ACTIONS:
        return None
    return Permission(role, resource, action)


def pattern(resource: str) -> re.Pattern[str]:
    """A resource as a pattern of what ``subject`` makes; ``*`` stands for anything. Nothing else in it is special.

    (Nacos takes the rest for a regular expression; a dot is only a dot here.)
    """
    namespace_id, colon, rest = resource.partition(":")
    if colon and namespace_id == "public":
        resource = f":{rest}"
    return re.compile(".*".join(map(re.escape, resource.split(ANY))), re.DOTALL)


def subject(namespace_id: str, group: str, kind: str, name: str) -> str:
    """What a call is about, as Nacos 2.5.1 spells it: public is empty, an unknown group or name is ``*``."""
    return f"{'' if namespace_id == 'public' else namespace_id}:{group or ANY}:{kind}/{name or ANY}"


def is_admin(user: User) -> bool:
    """Whether a user is a global administrator for Nacos clients."""
    return user.rank in (ADMINISTRATOR, MAIN)


def like(pattern_: str) -> Callable[[str], bool]:
    """The filter of a ``search=blur``: ``*`` stands for anything; empty means all."""
    if not pattern_:
        return lambda _name: True
    compiled = re.compile(".*".join(map(re.escape, pattern_.split(ANY))), re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None
