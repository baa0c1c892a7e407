"""Letting in the calls of operators: they are known to policies by the names that the native console's calls have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.service.admission import Kind
from polaris_bridge.core.auth.values import NAMESPACE
from polaris_bridge.core.ports import Resource

from .answers import Reply
from .call import NOTHING, Generation, HttpCall, Names, Route

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

CLIENTS: Final = "DescribeClients"
CONNECTIONS: Final = "DescribeServerConnections"
CLOSE: Final = "CloseConnections"
NODES: Final = "DescribeServerConnections"
"""Who may see connections may see where they lead to."""
SWITCHES: Final = "UpdateSwitches"

_EVERYWHERE: Final = frozenset({CLIENTS, CONNECTIONS, NODES})
"""What shows clients and services of every namespace at once: permissions on some of them are not enough, as in Nacos."""

Run = Callable[["NacosService", HttpCall], Reply]


def guarded(operation: str, run: Run, *, about: str = "") -> Run:
    """A route that runs when its caller may do an operation. ``about``: the parameter that names a namespace.

    Raises what ``Admission.admit_operation`` and ``check_everywhere`` raise.
    """

    def admitted(service: NacosService, call: HttpCall) -> Reply:
        request = call.request
        shown = service.admission.shown(
            call.params.raw, lambda name: request.header(name.encode("latin-1")), request.peer
        )
        namespace = service.spaces.core(call.params.text(about)) if about else ""
        resource = Resource(NAMESPACE, namespace, namespace) if namespace else Resource("")
        call.caller = service.admission.admit_operation(shown, operation, resource, call.caller)
        if operation in _EVERYWHERE:
            service.admission.check_everywhere(call.caller, operation)
        return run(service, call)

    return admitted


def operated(
    operation: str,
    run: Run,
    generation: Generation,
    *,
    about: str = "",
    names: Names = lambda _call: NOTHING,
    kind: Kind = "naming",
) -> Route:
    """The route of such a call."""
    return Route(guarded(operation, run, about=about), "", names, generation, kind)
