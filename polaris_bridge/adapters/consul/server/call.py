"""One HTTP call as its route sees it, and what a route is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from polaris_bridge.adapters._shared.exchange import Request
from polaris_bridge.adapters.consul.service.movers import Watch
from polaris_bridge.adapters.consul.view import Reading
from polaris_bridge.adapters.consul.wire.params import PLAIN, Options, Params
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.model import Caller
from polaris_bridge.core.watching import Scope

from .answers import Reply

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

NOBODY: Final = Caller("consul")
_OWN: Final = frozenset({"_agent", "_ip"})
"""What ``near`` says for the caller itself."""


class ConsulCall:
    """A call: its parameters, who asks, and what it is about."""

    __slots__ = ("_service", "caller", "options", "params", "request", "rest")

    def __init__(self, service: ConsulService, request: Request, params: Params, rest: str, caller: Caller) -> None:
        self._service = service
        self.request = request
        self.params = params
        self.rest = rest
        """What follows the route's path when that ends in a slash, decoded; may hold slashes itself."""
        self.caller = caller
        """With its principal, when the listener asks for tokens."""
        self.options: Options = PLAIN
        """Index, wait and consistency; read for routes with ``reads``."""

    @property
    def body(self) -> bytes:
        """The request's body."""
        return self.request.body

    @property
    def datacenter(self) -> str:
        """The datacenter that the call names, the own one when it names none."""
        params = self.params
        if not params:
            return self._service.settings.datacenter
        return params.text("datacenter") or params.text("dc") or self._service.settings.datacenter

    @property
    def namespace(self) -> str:
        """The core namespace of that datacenter. Raises ``Refused`` when there is no such datacenter."""
        return self.namespace_of(self.datacenter)

    def namespace_of(self, datacenter: str) -> str:
        """The core namespace of a datacenter ("" = own). Raises ``Refused`` when there is no such one."""
        settings = self._service.settings
        if not datacenter or datacenter == settings.datacenter:
            return settings.namespace
        found = settings.datacenters.get(datacenter)
        if found is None:
            raise failed("No path to datacenter")
        return found

    @property
    def near(self) -> str:
        """The node to sort by distance from; "" = none was named, ``_agent`` is resolved to the caller's node."""
        found = self.params.text("near")
        return self.node if found == "_agent" else found

    @property
    def seen(self) -> Reading:
        """The services as the caller sees them."""
        return self._service.seen_by(self.asker)

    def asker(self) -> Caller:
        """The caller, as far as routing is concerned."""
        near = self.params.text("near")
        return self._service.askers.of_call(self.caller, "" if near in _OWN else near, self.namespace)

    @property
    def node(self) -> str:
        """The name of the caller's node."""
        return self._service.nodes.of_caller(self.caller)

    @property
    def pretty(self) -> bool:
        """Whether JSON is to be indented."""
        return self.params.has("pretty")

    def require(self, right: str, name: str = "", namespace: str | None = None) -> None:
        """Refuse (403) a caller who lacks a right such as ``service:write`` on a name. Nothing is asked with ``auth`` off.

        ``namespace``: of the core; None = that of the call's datacenter.
        """
        admission = self._service.admission
        if admission.on:
            admission.require(self.caller, right, self.namespace if namespace is None else namespace, name)

    def may(self, right: str, name: str = "", namespace: str | None = None) -> bool:
        """Whether the caller has a right: for lists, which leave out what the caller may not see."""
        admission = self._service.admission
        if not admission.on:
            return True
        return admission.may(self.caller, right, self.namespace if namespace is None else namespace, name)


Watched = Callable[["ConsulService", ConsulCall, Callable[[], None]], Watch]
"""From the service, a call and what is to be called at a change to a watch, not armed yet."""


def watching(scopes: Callable[[ConsulService, ConsulCall], tuple[Scope, ...]]) -> Watched:
    """Watch services, namespaces or (None) everything, documents included, through the core's own hub."""

    def watched(service: ConsulService, call: ConsulCall, fire: Callable[[], None]) -> Watch:
        return service.registry.watches.watcher(scopes(service, call), fire)

    return watched


EVERYTHING: Final = watching(lambda _service, _call: (None,))
"""For reads of nodes, of documents, or of whatever has no scope of its own."""


def namespace_scope(_service: ConsulService, call: ConsulCall) -> tuple[Scope, ...]:
    """Every service of the call's datacenter."""
    return (call.namespace,)


class Route(Struct, frozen=True):
    """Who answers a path."""

    run: Callable[[ConsulService, ConsulCall], Reply]
    """May raise ``Refused`` and errors of the core; may be called again (a blocking read reads anew)."""
    rights: str = ""
    """``service:read``, ``key:write``, ``agent:write`` ...: asked for the name that follows the path (for ``agent``, ``node``:
    the caller's node) before ``run``. Empty: the route asks itself (``call.require``, ``call.may``) or anybody may."""
    reads: bool = False
    """Whether it understands the options of reads (``index``, ``wait``, ``stale`` ...), which are judged before ``run``."""
    blocking: Watched | None = None
    """What wakes it, for a read that can wait: then it answers with ``Answer.index``."""
    local: bool = False
    """Whether it is about this agent: ``dc`` is not looked at."""
    streams: bool = False
    """Whether a real agent answers its blocking form from its streaming back end; told in a header."""


Routes = dict[tuple[str, str], Route]
"""By method and path: ``("GET", "/v1/kv/")``. A path that ends in a slash takes all that begins with it, the longest first."""
