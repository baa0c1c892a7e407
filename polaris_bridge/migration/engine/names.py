"""Which services a task is about and what they are called in its target. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import CONSUL, EUREKA, HERE, NACOS, POLARIS, Instance, NameRules, Selector

_POLARIS: Final = re.compile(r"[0-9A-Za-z\-./:_]{1,128}\Z", re.ASCII)
_POLARIS_NAMESPACE: Final = re.compile(r"[0-9A-Za-z\-./:_]{1,64}\Z", re.ASCII)
_NACOS: Final = re.compile(r"(?!@)(?!.*@@)[^\s\u4e00-\u9fa5]{1,512}\Z")
_NACOS_NAMESPACE: Final = re.compile(r"[0-9A-Za-z_\-]{1,64}\Z", re.ASCII)
_PATH: Final = re.compile(r"[^/\s?#]{1,512}\Z")


def selected(selector: Selector, key: ServiceKey) -> bool:
    """Whether a service is meant."""
    return (
        _any(selector.namespaces, key.namespace)
        and _any(selector.services, key.name)
        and not _any(selector.exclude, key.name)
        and not _any(selector.exclude, f"{key.namespace}/{key.name}")
    )


def wanted(selector: Selector, instance: Instance) -> bool:
    """Whether an instance of a service that is meant is meant too."""
    return all(instance.metadata.get(key) == value for key, value in selector.metadata.items())


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def renamed(rules: NameRules, key: ServiceKey) -> ServiceKey:
    """What a service is called in the target."""
    name = rules.services.get(key.name) or f"{rules.prefix}{key.name}{rules.suffix}"
    return ServiceKey(rules.namespaces.get(key.namespace, key.namespace), name)


def _legal_polaris(key: ServiceKey) -> str:
    if not _POLARIS_NAMESPACE.match(key.namespace):
        return "no legal namespace of Polaris"
    return "" if _POLARIS.match(key.name) else "no legal service name of Polaris"


def _legal_nacos(key: ServiceKey) -> str:
    if not _NACOS_NAMESPACE.match(key.namespace):
        return "no legal namespace of Nacos"
    return "" if _NACOS.match(key.name) else "no legal service name of Nacos"


def _legal_path(key: ServiceKey) -> str:
    return "" if _PATH.match(key.name) else "cannot stand in a URL of that registry"


_LEGAL: Final[dict[str, Callable[[ServiceKey], str]]] = {
    POLARIS: _legal_polaris,
    NACOS: _legal_nacos,
    EUREKA: _legal_path,
    CONSUL: _legal_path,
    HERE: lambda _key: "",
}
_FOLDING: Final = frozenset({EUREKA, CONSUL})
"""Kinds to which ``A`` and ``a`` are one service."""


class Naming(Struct, frozen=True):
    """What a task's services are called in its target, and those that cannot be."""

    there: dict[ServiceKey, ServiceKey]
    """Service in the source -> in the target."""
    refused: dict[ServiceKey, str]
    """Service in the source -> why it cannot be copied."""


def naming(keys: Iterable[ServiceKey], selector: Selector, rules: NameRules, kind: str) -> Naming:
    """Names for a target of a kind. Of several services that would get one name the first in order gets it."""
    there: dict[ServiceKey, ServiceKey] = {}
    refused: dict[ServiceKey, str] = {}
    taken: dict[ServiceKey, ServiceKey] = {}
    for key in sorted(keys):
        if not selected(selector, key):
            continue
        target = renamed(rules, key)
        objection = _LEGAL[kind](target)
        folded = ServiceKey(target.namespace, target.name.lower() if kind in _FOLDING else target.name)
        if objection:
            refused[key] = f"{target.name!r} is {objection}" if objection.startswith("no") else objection
        elif folded in taken:
            refused[key] = f"{taken[folded].name!r} has the name {target.name!r} there already"
        else:
            taken[folded] = key
            there[key] = target
    return Naming(there, refused)
