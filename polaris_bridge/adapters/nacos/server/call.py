"""One HTTP call as its route sees it, and what a route is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from polaris_bridge.adapters._shared.exchange import Request
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_GROUP, PUBLIC, Refused
from polaris_bridge.adapters.nacos.wire.params import Params
from polaris_bridge.core.model import Caller

from .answers import Contained, Reply

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

Generation = Literal[1, 2, 3]

_SEPARATOR: Final = "@@"
_NO_GROUP: Final = "groupName can't be empty"
_NO_NAME: Final = "it should be format as 'groupName@@serviceName'"


class HttpCall:
    """A call: its parameters, who asks, and what it is about."""

    __slots__ = ("caller", "generation", "heartbeat", "params", "request", "scope", "service")

    def __init__(self, service: NacosService, request: Request, params: Params, generation: int) -> None:
        self.service = service
        self.request = request
        self.params = params
        self.generation = generation
        """1, 2 or 3: in whose words refusals are said."""
        self.caller: Caller = NOBODY
        """Set when the call was let in."""
        self.scope: Scope = NOTHING
        """The service or the list that the route's ``names`` found."""
        self.heartbeat = ""
        """What a heartbeat came to, for the counters: ``ok`` or ``unknown``; empty: the call was none."""

    def named(self, service: str = "serviceName", group: str = "groupName", space: str = "namespaceId") -> Scope:
        """The scope that three parameters name; the service's name may carry the group, or be absent."""
        values = self.params
        name, of = values.text(service), values.text(group) or DEFAULT_GROUP
        if _SEPARATOR in name or _SEPARATOR in of:
            name = self._grouped(name, of)
        return self.service.scope(values.text(space, PUBLIC), name, of)

    def _grouped(self, name: str, group: str) -> str:
        """A name with its group, of which neither may be missing. Raises ``Refused``."""
        grouped = name if _SEPARATOR in name or not name else f"{group}{_SEPARATOR}{name}"
        head, _, tail = grouped.partition(_SEPARATOR)
        if head and tail:
            return grouped
        text = f"Param 'serviceName' is illegal, {_NO_GROUP if tail else _NO_NAME}"
        if not grouped:
            return ""
        if self.generation == 1:
            raise Contained(400, f"Service name filter error,caused: {text};")
        raise Refused(400, codes.PARAMETER_VALIDATE, text)

    def scope_of(self, namespace_id: str, service: str, group: str = "") -> Scope:
        """The scope that these name."""
        return self.service.scope(namespace_id, service, group)

    def filed(self, tenant: str = "tenant", group: str = "group", data_id: str = "dataId") -> Scope:
        """The configuration that three parameters name, as they were sent; none of them need be there."""
        params = self.params
        space = params.raw(tenant) or ""
        return Scope(space, self.service.configs.namespace(space), params.raw(group) or "", params.raw(data_id) or "")


NOBODY: Final = Caller("nacos")
NOTHING: Final = Scope("", "", "", "")

Names = Callable[[HttpCall], Scope]
"""What a call is about. ``name`` empty: all services of the namespace. May raise ``Refused``."""


def by_service(call: HttpCall) -> Scope:
    """``namespaceId``, ``groupName`` and ``serviceName``."""
    return call.named()


def by_namespace(call: HttpCall) -> Scope:
    """``namespaceId`` alone."""
    return call.named("")


class Route(Struct, frozen=True):
    """Who answers a path, and what a caller must be allowed to: ``rights`` "" = nothing."""

    run: Callable[[NacosService, HttpCall], Reply]
    rights: Literal["r", "w", ""] = "r"
    names: Names = by_service
    generation: Generation = 1
    kind: Literal["naming", "config"] = "naming"
    discovers: bool = False
    """Whether it is a read of a service's instances, for the records of who looks for what."""

    variants: tuple[tuple[str, str, Route], ...] = ()
    """Other routes of the same path: the first whose parameter has that value is meant."""

    def meant(self, params: Params) -> Route:
        """The route that parameters select."""
        for name, value, route in self.variants:
            if params.raw(name) == value:
                return route
        return self


Routes = dict[tuple[str, str], Route]
"""By method and path without the context path: ``("GET", "/v1/ns/instance/list")``."""
