"""The console API as a table: namespaces, services, aliases, instances."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

from polaris_bridge.adapters.polaris.service.index import InstanceIndex
from polaris_bridge.adapters.polaris.service.registration import Registering
from polaris_bridge.adapters.polaris.service.routes import Handle, Query, Result, Route
from polaris_bridge.adapters.polaris.service.visible import Visible
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.shown import Pairs
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

from . import aliases, search, service_filters
from .aliases import Aliases
from .counting import Counting
from .filters import single
from .instances import Instances
from .listing import Listing, ServiceRevision, unrevised
from .namespaces import Namespaces
from .references import References
from .services import Services

_WRITES = frozenset({"default", "service"})
_READS = _WRITES | {"default-read"}
_CORE = frozenset({"default"})
_CORE_READS = _CORE | {"default-read"}


def _namespace_named(query: Query) -> tuple[Resource, ...]:
    name = single(query).get("name", "")
    return (Resource("namespace", name, name),)


def _service_named(query: Query) -> tuple[Resource, ...]:
    asked = single(query)
    return (Resource("service", asked.get("namespace", ""), asked.get("name", "")),)


class Console:
    """What operators and their tools can do, over one registry."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        index: InstanceIndex,
        registering: Registering,
        pairs: Pairs,
        *,
        routed: Callable[[ServiceKey], bool] = lambda _service: False,
        revision: ServiceRevision = unrevised,
        unique: Callable[[], str] = lambda: uuid4().hex,
        visible: Visible | None = None,
    ) -> None:
        """``pairs``: see ``translate.shown``. ``routed``: whether a route rule names a service. ``revision``: what Discover
        says of a service's instances. ``unique``: ids and tokens, 32 hexadecimal digits. ``visible``: what readers see."""
        self.counting = Counting(registry)
        self.namespaces = Namespaces(registry, self.counting, unique, visible)
        references = References(registry)
        self.services = Services(registry, self.counting, references, unique, routed, visible)
        self.aliases = Aliases(registry, references, unique, visible)
        self._index = index
        self.instances = Instances(registry, settings, index, registering)
        self.listing = Listing(registry, self.counting, pairs, revision, visible)

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        return (*self._namespaces("/core/v1"), *self._namespaces("/naming/v1"), *self._services(), *self._instances())

    def _namespaces(self, root: str) -> tuple[Route, ...]:
        calls = self.namespaces
        core = root == "/core/v1"
        writes, reads = (_CORE, _CORE_READS) if core else (_WRITES, _READS)
        token = f"{root}/namespaces/token" if core else f"{root}/namespace/token"

        def batch(method: str, path: str, operation: str, handle: Handle, about: str) -> Route:
            return Route(
                method=method,
                path=f"{root}/{path}",
                operation=operation,
                handle=handle,
                takes="list",
                request="Namespace",
                include=writes,
                about=about,
            )

        return (
            batch(
                "POST", "namespaces", "CreateNamespaces", calls.create, "Create namespaces; answers carry their tokens."
            ),
            batch(
                "POST",
                "namespaces/delete",
                "DeleteNamespaces",
                calls.delete,
                "Delete namespaces that have no services.",
            ),
            batch(
                "PUT",
                "namespaces",
                "UpdateNamespaces",
                calls.update,
                "Change comment, owners, metadata and visibility.",
            ),
            Route(
                method="GET",
                path=f"{root}/namespaces",
                operation="DescribeNamespaces",
                handle=calls.find,
                response="BatchQueryResponse",
                include=reads,
                about="List namespaces with the numbers of their services and instances.",
                query=("name", "owner", "offset", "limit"),
            ),
            Route(
                method="GET",
                path=token,
                operation="DescribeNamespaceToken",
                handle=calls.token,
                resources=_namespace_named,
                response="Response",
                include=reads,
                about="The token of a namespace.",
                query=("name", "token"),
            ),
            Route(
                method="PUT",
                path=token,
                operation="UpdateNamespaceToken",
                handle=calls.renew_token,
                takes="one",
                request="Namespace",
                response="Response",
                include=writes,
                about="Give a namespace a new token.",
            ),
        )

    def _services(self) -> tuple[Route, ...]:
        calls, others = self.services, self.aliases
        return (
            _batch(
                "POST",
                "services",
                "CreateServices",
                calls.create,
                "Service",
                "Create services; answers carry id and token.",
            ),
            _batch(
                "POST",
                "services/delete",
                "DeleteServices",
                calls.delete,
                "Service",
                "Delete services that nothing needs.",
            ),
            _batch(
                "PUT", "services", "UpdateServices", calls.update, "Service", "Change what is given.", clears="metadata"
            ),
            _read("services", "DescribeServices", calls.find, "List services by filters.", service_filters.FILTERS),
            _read("services/all", "DescribeAllServices", calls.every, "All services, without pages.", ("namespace",)),
            _read("services/count", "DescribeServicesCount", calls.count, "How many services there are."),
            Route(
                method="GET",
                path="/naming/v1/service/token",
                operation="DescribeServiceToken",
                handle=calls.token,
                resources=_service_named,
                response="Response",
                include=_READS,
                about="The token of a service.",
                query=("name", "namespace", "token"),
            ),
            _one(
                "PUT",
                "service/token",
                "UpdateServiceToken",
                calls.renew_token,
                "Service",
                "Give a service a new token.",
            ),
            Route(
                method="POST",
                path="/naming/v1/service/owner",
                operation="DescribeServiceOwner",
                handle=calls.owners,
                takes="list",
                request="Service",
                response="BatchQueryResponse",
                include=_READS,
                about="Who owns the services named.",
            ),
            _one(
                "POST",
                "service/alias",
                "CreateServiceAlias",
                others.create,
                "ServiceAlias",
                "Give a service a second name.",
            ),
            _one(
                "PUT",
                "service/alias",
                "UpdateServiceAlias",
                others.update,
                "ServiceAlias",
                "Change what an alias stands for.",
            ),
            _read(
                "service/aliases", "DescribeServiceAliases", others.find, "List aliases by filters.", aliases.FILTERS
            ),
            _batch(
                "POST",
                "service/aliases/delete",
                "DeleteServiceAliases",
                others.delete,
                "ServiceAlias",
                "Delete aliases.",
            ),
        )

    def _find(self, query: Query, caller: Caller) -> Result:
        self._index.prepare()  # what is listed may be named by its id next
        return self.listing.find(query, caller)

    def _instances(self) -> tuple[Route, ...]:
        calls, lists = self.instances, self.listing
        kind = "Instance"
        return (
            _batch("POST", "instances", "CreateInstances", calls.create, kind, "Register instances."),
            _batch(
                "POST",
                "instances/delete",
                "DeleteInstances",
                calls.delete,
                kind,
                "End everything at the instances' places.",
            ),
            _batch(
                "POST",
                "instances/delete/host",
                "DeleteInstancesByHost",
                calls.delete_host,
                kind,
                "The same for whole hosts.",
            ),
            _batch(
                "PUT", "instances", "UpdateInstances", calls.update, kind, "Change what is given.", clears="metadata"
            ),
            _batch(
                "PUT",
                "instances/isolate/host",
                "UpdateInstancesIsolate",
                calls.isolate_host,
                kind,
                "Isolate whole hosts.",
            ),
            _read("instances", "DescribeInstances", self._find, "List instances by filters.", search.FILTERS),
            _read("instances/count", "DescribeInstancesCount", lists.count, "How many instances there are."),
            Route(
                method="GET",
                path="/naming/v1/instances/labels",
                operation="DescribeInstanceLabels",
                handle=lists.labels,
                response="Response",
                include=_WRITES,
                about="Keys and values in the metadata of a service's instances.",
                query=("namespace", "service", "service_id"),
            ),
        )


def _batch(
    method: str, path: str, operation: str, handle: Handle, request: str, about: str, *, clears: str = ""
) -> Route:
    return Route(
        method=method,
        path=f"/naming/v1/{path}",
        operation=operation,
        handle=handle,
        takes="list",
        request=request,
        include=_WRITES,
        about=about,
        clears=clears,
    )


def _one(method: str, path: str, operation: str, handle: Handle, request: str, about: str) -> Route:
    return Route(
        method=method,
        path=f"/naming/v1/{path}",
        operation=operation,
        handle=handle,
        takes="one",
        request=request,
        response="Response",
        include=_WRITES,
        about=about,
    )


def _read(path: str, operation: str, handle: Handle, about: str, query: tuple[str, ...] = ()) -> Route:
    only_here = path in ("services/all",)
    return Route(
        method="GET",
        path=f"/naming/v1/{path}",
        operation=operation,
        handle=handle,
        response="BatchQueryResponse",
        include=_WRITES if only_here else _READS,
        about=about,
        query=query,
    )
