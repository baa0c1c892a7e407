"""What names and texts of namespaces, services and aliases may be. Limits and order are those of polaris-server 1.19; lengths are
counted in characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from polaris_bridge.adapters.polaris.wire import v1

from .work import OK

_NAME: Final = re.compile(r"[0-9A-Za-z\-./:_]+", re.ASCII)
_MAX_PAIRS: Final = 64
_MAX_KEY: Final = 128
_MAX_VALUE: Final = 4096

Lengths = tuple[tuple[str, int, int], ...]
"""Field, most characters, code of one that is longer."""

_SERVICE_NAMES: Final[Lengths] = (("name", 128, v1.InvalidServiceName), ("namespace", 64, v1.InvalidNamespaceName))
_SERVICE_TEXTS: Final[Lengths] = (
    ("ports", 8192, v1.InvalidServicePorts),
    ("business", 128, v1.InvalidServiceBusiness),
    ("department", 1024, v1.InvalidServiceDepartment),
    ("cmdb_mod1", 1024, v1.InvalidServiceCMDB),
    ("cmdb_mod2", 1024, v1.InvalidServiceCMDB),
    ("cmdb_mod3", 1024, v1.InvalidServiceCMDB),
    ("comment", 1024, v1.InvalidServiceComment),
    ("owners", 1024, v1.InvalidServiceOwners),
    ("token", 2048, v1.InvalidServiceToken),
    ("platform_id", 32, v1.InvalidPlatformID),
)
_ALIAS_TEXTS: Final[Lengths] = (
    ("service", 128, v1.InvalidServiceName),
    ("namespace", 64, v1.InvalidNamespaceName),
    ("alias", 128, v1.InvalidServiceAlias),
    ("alias_namespace", 64, v1.InvalidNamespaceWithAlias),
    ("comment", 1024, v1.InvalidServiceAliasComment),
    ("owners", 1024, v1.InvalidServiceAliasOwners),
)
_NAMESPACE_TEXTS: Final[Lengths] = (
    ("name", 64, v1.InvalidNamespaceName),
    ("comment", 1024, v1.InvalidParameter),
    ("owners", 1024, v1.InvalidNamespaceOwners),
)


def is_name(text: str) -> bool:
    """Whether it may name a namespace, a service or an alias."""
    return _NAME.fullmatch(text) is not None


def check_namespace(m: v1.Namespace) -> int:
    """200000, or what is wrong with a namespace. Lengths and metadata are those of its columns; the original has no check."""
    if not is_name(m.name.value):
        return v1.InvalidNamespaceName
    return _first(lambda: _lengths(m, _NAMESPACE_TEXTS), lambda: _pairs(m.metadata))


def check_service(m: v1.Service) -> int:
    """200000, or what is wrong with a service, whatever is to be done with it."""
    if not is_name(m.name.value):
        return v1.InvalidServiceName
    if not is_name(m.namespace.value):
        return v1.InvalidNamespaceName
    if len(m.metadata) > _MAX_PAIRS:
        return v1.InvalidMetadata
    return _first(
        lambda: _lengths(m, _SERVICE_NAMES),
        lambda: _pairs(m.metadata),
        lambda: _lengths(m, _SERVICE_TEXTS),
        lambda: _visible(m.export_to),
    )


def check_new_alias(m: v1.ServiceAlias) -> int:
    """200000, or what is wrong with an alias to be made. One of type CL5SID gets its name here."""
    if not is_name(m.service.value):
        return v1.InvalidServiceName
    if not (is_name(m.namespace.value) and is_name(m.alias_namespace.value)):
        return v1.InvalidNamespaceName
    if m.type == v1.DEFAULT and not is_name(m.alias.value):
        return v1.InvalidServiceAlias
    return _lengths(m, _ALIAS_TEXTS)


def check_alias(m: v1.ServiceAlias) -> int:
    """200000, or what is wrong with the name of an alias."""
    if not is_name(m.alias.value):
        return v1.InvalidServiceAlias
    if not is_name(m.alias_namespace.value):
        return v1.InvalidNamespaceWithAlias
    return _lengths(m, _ALIAS_TEXTS)


def check_changed_alias(m: v1.ServiceAlias) -> int:
    """200000, or what is wrong with a change of an alias."""
    code = check_alias(m)
    if code != OK:
        return code
    if not is_name(m.service.value):
        return v1.InvalidServiceName
    return OK if is_name(m.namespace.value) else v1.InvalidNamespaceName


def _lengths(m: Any, limits: Lengths) -> int:
    return next((code for field, longest, code in limits if len(getattr(m, field).value) > longest), OK)


def _pairs(metadata: Mapping[str, str]) -> int:
    if len(metadata) > _MAX_PAIRS:
        return v1.InvalidMetadata
    fits = all(len(key) <= _MAX_KEY and len(value) <= _MAX_VALUE for key, value in metadata.items())
    return OK if fits else v1.InvalidMetadata


def _visible(namespaces: Iterable[Any]) -> int:
    fits = all(namespace.value == "*" or is_name(namespace.value) for namespace in namespaces)
    return OK if fits else v1.InvalidNamespaceName


def _first(*checks: Callable[[], int]) -> int:
    """The first code that is no success."""
    return next((code for check in checks if (code := check()) != OK), OK)
