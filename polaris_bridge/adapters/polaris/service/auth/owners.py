"""Who owns what a console creates without saying so: the main user for whom the caller acts, as in polaris-server 1.19.

There the id also replaces owners that were named; here what somebody wrote stays (polaris-controller writes its own name).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import structs

from polaris_bridge.adapters.polaris.service.routes import Handle, Result, Route
from polaris_bridge.core.model import Caller

from .desk import Desk

_CREATING: Final = frozenset({"CreateNamespaces", "CreateServices", "CreateServiceAlias"})


class Owners:
    """Stands around the calls that create something with an owner."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def around(self, route: Route) -> Route:
        """The route, with owners filled in before its work: a refusal echoes them too."""
        if route.operation not in _CREATING:
            return route
        return structs.replace(route, handle=self._owning(route.handle, batch=route.takes == "list"))

    def _owning(self, handle: Handle, *, batch: bool) -> Handle:
        def owning(body: Any, caller: Caller, *more: Any) -> Result:
            owner = self._desk.operator(caller).owner if caller.principal else ""
            if owner:
                messages: Sequence[Any] = body if batch else (body,)
                for m in messages:
                    if not m.owners.value:
                        m.owners.value = owner
            return handle(body, caller, *more)

        return owning
