"""What policies say together, compiled so that a decision costs the same for ten policies and ten thousand. Pure.

Deny first, then allow, over everything a principal is: itself, its groups, its roles. A resource is covered by a grant of its
kind (``*``, its id, its namespace and name) or of its namespace. An operation about no resource in particular (a list, making
something new) is judged by its function alone; a denial reaches it when it names no resource, or all namespaces.
What stands in a default policy was made by its principal, who may do everything with it; with accounts only what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from msgspec import Struct

from polaris_bridge.core.ports import Resource

from .values import ACCOUNTS, ANY, DENY, NAMESPACE, READ, Condition, Grant, Policy

READS: Final = ("Describe", "Discover", "Get", "List", "Watch", "Export")
"""How the names of functions begin that only look."""

Labels = Mapping[str, str]
NO_LABELS: Final[Labels] = {}

COMPARISONS: Final[dict[str, Callable[[str, str], bool]]] = {
    prefix + name: compare
    for prefix in ("", "for_any_value:")
    for name, compare in (
        ("string_equal", lambda a, b: a == b),
        ("string_not_equal", lambda a, b: a != b),
        ("string_equal_ignore_case", lambda a, b: a.casefold() == b.casefold()),
        ("string_not_equal_ignore_case", lambda a, b: a.casefold() != b.casefold()),
    )
}
"""How a label's value is compared with the one demanded: the words of PolarisMesh."""


def fits(pattern: str, function: str) -> bool:
    """Whether a function's name is meant; ``*`` at the beginning or the end stands for anything."""
    if pattern in (ANY, function):
        return True
    if pattern.endswith(ANY):
        rest = pattern[:-1]
        return rest[1:] in function if rest.startswith(ANY) else function.startswith(rest)
    return pattern.startswith(ANY) and function.endswith(pattern[1:])


class Functions:
    """Names of functions, from many policies at once."""

    __slots__ = ("_all", "_exact", "_patterns", "_reads")

    def __init__(self) -> None:
        self._all = False
        self._exact: set[str] = set()
        self._patterns: dict[str, None] = {}
        self._reads: Functions | None = None

    @property
    def is_empty(self) -> bool:
        """Whether none was added."""
        return not (self._all or self._exact or self._patterns or self._reads)

    def add(self, policy: Policy) -> None:
        """The functions of one more policy."""
        if policy.effect == READ:
            if self._reads is None:
                self._reads = Functions()
            self._reads._add(policy.functions)
        else:
            self._add(policy.functions)

    def add_all(self) -> None:
        """Every function there is."""
        self._all = True

    def _add(self, functions: tuple[str, ...]) -> None:
        if not functions or ANY in functions:
            self._all = True
        for function in functions:
            if ANY in function:
                self._patterns[function] = None
            else:
                self._exact.add(function)

    def __contains__(self, function: str) -> bool:
        if self._all or function in self._exact or any(fits(pattern, function) for pattern in self._patterns):
            return True
        return self._reads is not None and function.startswith(READS) and function in self._reads


class Conditional(Struct, frozen=True):
    """A policy about resources with certain labels."""

    functions: Functions
    conditions: tuple[Condition, ...]

    def covers(self, labels: Labels) -> bool:
        """Whether a resource has all the labels."""
        return all(_holds(condition, labels) for condition in self.conditions)


def _holds(condition: Condition, labels: Labels) -> bool:
    value, compare = labels.get(condition.key), COMPARISONS.get(condition.compare)
    return value is not None and compare is not None and compare(value, condition.value)


Key = tuple[str, str, str, str]


class Effect:
    """All policies of one effect."""

    __slots__ = ("anything", "by_key", "conditional", "nothing")

    def __init__(self) -> None:
        self.by_key: dict[Key, Functions] = {}
        self.conditional: list[Conditional] = []
        self.anything = Functions()
        """Of policies about every resource there is: denials that name none."""
        self.nothing = Functions()
        """What counts for operations about no resource."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no policy of this effect."""
        return not self.by_key and not self.conditional and self.anything.is_empty

    def covers(self, function: str, keys: Iterable[Key], labels: Labels) -> bool:
        """Whether one of the policies means this function on this resource."""
        by_key = self.by_key
        for key in keys:
            functions = by_key.get(key)
            if functions is not None and function in functions:
                return True
        if any(function in each.functions and each.covers(labels) for each in self.conditional):
            return True
        return function in self.anything


_EVERYWHERE: Final = Grant(NAMESPACE, ANY)


class Rights:
    """Everything that a principal may and may not do. Never changes once made."""

    __slots__ = ("_allow", "_deny", "everything", "labelled")

    def __init__(self, policies: Iterable[Policy], *, everything: bool = False) -> None:
        """``everything``: an administrator, whom no policy binds."""
        self.everything = everything
        self._allow, self._deny = Effect(), Effect()
        for policy in policies:
            self._enter(policy)
        self.labelled = bool(self._allow.conditional or self._deny.conditional)
        """Whether labels of resources matter."""

    def _enter(self, policy: Policy) -> None:
        denies = policy.effect == DENY
        effect = self._deny if denies else self._allow
        everywhere = not policy.grants and not policy.conditions
        if denies and everywhere:
            effect.anything.add(policy)
        if not denies or everywhere or _EVERYWHERE in policy.grants:
            effect.nothing.add(policy)
        for grant in policy.grants:
            functions = effect.by_key.setdefault(_key(grant), Functions())
            if policy.default and not denies and grant.kind not in ACCOUNTS:
                functions.add_all()
            else:
                functions.add(policy)
        if policy.conditions:
            functions = Functions()
            functions.add(policy)
            effect.conditional.append(Conditional(functions, policy.conditions))

    def oversees(self, function: str) -> bool:
        """Whether a function is allowed with every resource that is in a namespace, and nothing is denied."""
        if self.everything:
            return True
        functions = self._allow.by_key.get(_key(_EVERYWHERE))
        return functions is not None and function in functions and self._deny.is_empty

    def allow(self, function: str, resource: Resource, labels: Labels = NO_LABELS) -> bool:
        """The decision. ``labels``: those that the resource has now."""
        if self.everything:
            return True
        if not resource.kind:
            return function not in self._deny.nothing and function in self._allow.nothing
        keys = tuple(_keys(resource))
        return not self._deny.covers(function, keys, labels) and self._allow.covers(function, keys, labels)


def _key(grant: Grant) -> Key:
    if grant.id:
        return (grant.kind, grant.id, "", "")
    return (grant.kind, "", grant.namespace, grant.name)


def _keys(resource: Resource) -> Iterator[Key]:
    """Every grant that would cover a resource."""
    kind = resource.kind
    yield (kind, ANY, "", "")
    if resource.id:
        yield (kind, resource.id, "", "")
    if resource.name:
        yield (kind, "", resource.namespace, resource.name)
    if resource.namespace:
        if kind != NAMESPACE:
            yield (NAMESPACE, ANY, "", "")
        yield (NAMESPACE, resource.namespace, "", "")
