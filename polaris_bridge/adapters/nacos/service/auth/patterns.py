"""Permissions that Nacos clients have by patterns, and by names of services that are not there yet.

The directory knows namespaces and services; a permission such as ``dev:*:naming/order*`` is none of both. It is asked here, for
Nacos clients alone, and what a policy denies stays denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.translate.auth import pattern, subject, written
from polaris_bridge.adapters.nacos.translate.keys import SOURCE
from polaris_bridge.adapters.nacos.translate.names import Spaces, decode
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_GROUP
from polaris_bridge.core.auth.directory import Directory
from polaris_bridge.core.auth.rights import NO_LABELS, Labels, Rights
from polaris_bridge.core.auth.snapshot import Snapshot
from polaris_bridge.core.auth.values import ANY, CONFIG_GROUP, DENY, NAMESPACE, SERVICE, Grant, Policy
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

MAX_KEPT: Final = 10_000
"""Principals whose permissions are remembered."""


_Question = tuple[str, str, str, str]
"""Action, kind, namespace, service."""


class _Held(Struct, frozen=True):
    """What one principal may do, made once a state of the directory."""

    rights: Rights
    undenied: Rights
    """Everything but what is denied."""
    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    """Actions, and what they hold for."""
    namespaces: frozenset[tuple[str, str]]
    """Kinds and namespaces of what is granted by name."""
    known: set[_Question]
    """What was found allowed by a pattern, for those who come again and again."""


_NAMED: Final = {SERVICE: "naming", CONFIG_GROUP: "config"}
"""What a call is called that is about a resource of a kind."""
_ALL: Final = Policy(
    id="", name="", functions=(ANY,), grants=(Grant(NAMESPACE, ANY), Grant(SERVICE, ANY), Grant(CONFIG_GROUP, ANY))
)


class Patterns:
    """Decides what the authority cannot."""

    def __init__(self, registry: Registry, directory: Directory, spaces: Spaces, *, split_group: bool) -> None:
        """``split_group``: whether another protocol's ``g__s`` is service ``s`` of group ``g``."""
        self._registry = registry
        self._directory = directory
        self._spaces = spaces
        self._split_group = split_group
        self._held: dict[str, _Held] = {}
        self._state: Snapshot | None = None

    def allow(self, principal: str, operation: str, action: str, kind: str, namespace: str, service: str) -> bool:
        """Whether a principal may do an operation, which is Nacos' ``action``, with a service or a configuration file
        (``admission.file_name``); "": with a list."""
        held = self._of(principal)
        if held.rights.everything:
            return True
        if not service:
            return self._list(held, operation, action, kind, namespace)
        if kind == "naming":
            key = ServiceKey(namespace, service)
            group, name = self._names(key) if held.patterns else ("", "")
            resource = Resource(SERVICE, namespace, service)
            labels = self._labels(key) if held.rights.labelled else NO_LABELS
        else:
            group, _, name = service.partition("/")
            resource, labels = Resource(CONFIG_GROUP, namespace, group), NO_LABELS
        if held.rights.allow(operation, resource, labels):
            return True
        if not held.patterns:
            return False
        what = subject(self._spaces.id(namespace), group, kind, name)
        allowed = self._fits(held, action, what) and held.undenied.allow(operation, resource, labels)
        if allowed and not held.rights.labelled and len(held.known) < MAX_KEPT:
            held.known.add((action, kind, namespace, service))
        return allowed

    def knows(self, principal: str, action: str, kind: str, namespace: str, service: str) -> bool:
        """Whether the answer is remembered to be yes, in this state of the directory."""
        held = self._held.get(principal) if self._directory.snapshot is self._state else None
        return held is not None and (action, kind, namespace, service) in held.known

    def whole(self, principal: str, operation: str, namespace: str, kind: str = "naming") -> bool:
        """Whether a principal may read every service, or every configuration file, of a namespace."""
        held = self._of(principal)
        resource = Resource(NAMESPACE, namespace, namespace, namespace)
        if held.rights.everything or held.rights.allow(operation, resource):
            return True
        what = subject(self._spaces.id(namespace), "", kind, "")
        return self._fits(held, "r", what) and held.undenied.allow(operation, resource)

    def _list(self, held: _Held, operation: str, action: str, kind: str, namespace: str) -> bool:
        """A list is open to whoever may see something of it; it holds no more than that."""
        resource = Resource(NAMESPACE, namespace, namespace, namespace)
        if held.rights.allow(operation, resource):
            return True
        if action == "r" and (kind, namespace) in held.namespaces:
            return True
        space = self._spaces.id(namespace)
        if action == "r" and any(
            action in actions and _reaches(compiled.pattern, space) for actions, compiled in held.patterns
        ):
            return True
        return self._fits(held, action, subject(space, "", kind, "")) and held.undenied.allow(operation, resource)

    def _fits(self, held: _Held, action: str, what: str) -> bool:
        return any(action in actions and compiled.fullmatch(what) for actions, compiled in held.patterns)

    def _names(self, key: ServiceKey) -> tuple[str, str]:
        """Group and name of a service, as Nacos clients call it."""
        record = self._registry.snapshot(key).record
        own = None if record is None else record.ext.get(SOURCE)
        if isinstance(own, dict) and "group" in own and "name" in own:
            return str(own["group"]), str(own["name"])
        return decode(key.name) if self._split_group else (DEFAULT_GROUP, key.name)

    def _labels(self, key: ServiceKey) -> Labels:
        record = self._registry.snapshot(key).record
        return NO_LABELS if record is None else record.metadata

    def _of(self, principal: str) -> _Held:
        snapshot = self._directory.snapshot
        if snapshot is not self._state or len(self._held) >= MAX_KEPT:
            self._held, self._state = {}, snapshot
        held = self._held.get(principal)
        if held is None:
            held = self._held[principal] = _held(snapshot, principal)
        return held


def _held(snapshot: Snapshot, principal: str) -> _Held:
    policies = {p.id: p for p in _policies(snapshot, principal)} if snapshot.principal(principal) is not None else {}
    patterns: dict[tuple[str, str], re.Pattern[str]] = {}
    for each in policies.values():
        permission = written(each, "")
        if permission is not None:
            patterns[permission.action, permission.resource] = pattern(permission.resource)
    denials = [p for p in policies.values() if p.effect == DENY]
    granted = [g for p in policies.values() if p.effect != DENY for g in p.grants if g.namespace]
    named = ((kind, g.namespace) for g in granted if (kind := _NAMED.get(g.kind)) is not None)
    return _Held(
        snapshot.rights(principal),
        Rights([*denials, _ALL]),
        tuple((action, compiled) for (action, _resource), compiled in patterns.items()),
        frozenset(named),
        set(),
    )


def _policies(snapshot: Snapshot, principal: str) -> Iterator[Policy]:
    for each in snapshot.everything_of(principal):
        yield from snapshot.policies_of(each)


def _reaches(text: str, space: str) -> bool:
    """Whether a pattern may mean something in a namespace."""
    own = "" if space == "public" else re.escape(space)
    head = text.partition(":")[0]
    return ".*" in head or head == own
