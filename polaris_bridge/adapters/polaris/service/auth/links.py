"""Services, namespaces and groups of files that are given to users and groups with the call that creates or changes them.

``user_ids`` and ``group_ids`` add what was written to the default policies of those named, ``remove_user_ids`` and
``remove_group_ids`` take it out, as in polaris-server 1.19.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome
from polaris_bridge.adapters.polaris.service.routes import Handle, Result, Route
from polaris_bridge.core.auth.values import CONFIG_GROUP, NAMESPACE, SERVICE, Grant, Policy
from polaris_bridge.core.model import Caller

from .desk import Desk

_GRANTS: Final[dict[str, Callable[[Any], Grant]]] = {
    "Service": lambda m: Grant(SERVICE, "", m.namespace.value, m.name.value),
    "Namespace": lambda m: Grant(NAMESPACE, m.name.value),
    "ConfigFileGroup": lambda m: Grant(CONFIG_GROUP, "", m.namespace.value, m.name.value),
}
_LINKING: Final = frozenset({
    "CreateServices", "UpdateServices", "CreateNamespaces", "UpdateNamespaces",
    "CreateConfigFileGroup", "UpdateConfigFileGroup",
})  # fmt: skip


class Links:
    """Stands around the calls that can give something away."""

    def __init__(self, desk: Desk) -> None:
        self._directory = desk.directory

    def around(self, route: Route) -> Route:
        """The route, with links made after its work."""
        if route.operation not in _LINKING:
            return route
        return structs.replace(route, handle=self._linking(route.handle, batch=route.takes == "list"))

    def _linking(self, handle: Handle, *, batch: bool) -> Handle:
        def linked(body: Any, caller: Caller, *more: Any) -> Result:
            result = handle(body, caller, *more)
            messages: Sequence[Any] = body if batch else (body,)
            if isinstance(result, Outcome) and any(map(_has_links, messages)):
                response: Any = result.response
                answers: Sequence[Any] = response.responses if batch else (response,)
                for m, answer in zip(messages, answers, strict=False):
                    if answer.code.value < 300_000:
                        self._link(m, caller)
            return result

        return linked

    def _link(self, m: Any, caller: Caller) -> None:
        grant = _GRANTS[m.DESCRIPTOR.name](m)
        for id, given in _links(m):
            shown = self._directory.snapshot.default_policy(id)
            policy = None if shown is None else self._directory.newest(Policy, shown.id)
            if policy is None or (grant in policy.grants) == given:
                continue
            others = tuple(g for g in policy.grants if g != grant)
            self._directory.put(structs.replace(policy, grants=(*others, grant) if given else others), caller)


def _links(m: Any) -> Iterator[tuple[str, bool]]:
    for field, given in (
        ("user_ids", True),
        ("group_ids", True),
        ("remove_user_ids", False),
        ("remove_group_ids", False),
    ):
        for id in getattr(m, field):
            yield id.value, given


def _has_links(m: Any) -> bool:
    return next(_links(m), None) is not None
