"""Reading a service's instances: whole lists as bytes, lists of values, and one instance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.nacos.translate.names import service_key
from polaris_bridge.adapters.nacos.view import ServiceView, Views
from polaris_bridge.adapters.nacos.wire.messages import DEFAULT_CLUSTER, Host
from polaris_bridge.adapters.nacos.wire.service_info import Form
from polaris_bridge.core.model import Address, AddressKey, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.discovery import DiscoveryRouting

from .scope import Scope

LONG: Final = 256
"""More addresses than this to encode for one answer are better encoded in slices (10 microseconds each)."""


def encoded(scope: Scope) -> ServiceKey:
    """Where a service lives by its group and name alone."""
    return service_key(scope.namespace, scope.group, scope.name)


class Discovery:
    """What readers get. Nothing here waits; a service that does not exist is one without instances."""

    def __init__(
        self,
        registry: Registry,
        key: Callable[[Scope], ServiceKey] = encoded,
        routing: DiscoveryRouting | None = None,
    ) -> None:
        """``key``: where a service lives in the core. ``routing``: what kinds of callers are given, where rules say so."""
        self._registry = registry
        self._routing = routing
        self.key = key
        self.views = Views(registry)

    def view(self, scope: Scope) -> ServiceView:
        """The kept list of a service."""
        return self.views.of(self.key(scope), scope.group, scope.name)

    def revision(self, scope: Scope) -> int:
        """Of the service's newest publication: what a watch is armed with."""
        return self._registry.revision_of(self.key(scope))

    def info(
        self,
        scope: Scope,
        clusters: str = "",
        healthy_only: bool = False,
        form: Form = "v1",
        kind: RoutingClass | None = None,
    ) -> bytes:
        """A whole list, the disabled left out. Equal lists are the same object until something in them changes.

        ``clusters``: comma list, empty for all; it is echoed. ``form``: see ``wire.service_info``. ``kind``: of whom it is for,
        where rules leave each kind of callers a part of it (see ``Readers``).
        """
        view = self.view(scope)
        if kind is None or self._routing is None:
            return view.info(clusters, healthy_only, form)
        return view.routed(kind, self._routing.subset(view.key, kind), clusters, healthy_only, form)

    def told(self, scope: Scope, clusters: str, form: Form, kind: RoutingClass | None = None) -> bytes:
        """The same for subscribers: later than whatever they were given before, also those who were of another kind then."""
        if kind is not None:
            self.view(scope).renew()
        return self.info(scope, clusters, False, form, kind)

    def long(self, scope: Scope, kind: RoutingClass | None = None) -> bool:
        """Whether so much changed since the last read that ``prepare`` should be run in slices before ``info``."""
        view = self.view(scope)
        return view.outdated > LONG or (kind is not None and self._ahead(view.key) is not None)

    def prepare(self, scope: Scope, kind: RoutingClass | None = None) -> Work:
        """The work that ``info`` would do at once, to be run in slices."""
        view = self.view(scope)
        yield from view.refresh_in_slices()
        if kind is not None:
            yield from self._ahead(view.key) or ()

    def hosts(self, scope: Scope, clusters: str = "", healthy_only: bool = False) -> list[Host]:
        """The same instances as values; each is made anew."""
        return self.view(scope).hosts(clusters, healthy_only)

    def all(self, scope: Scope) -> list[Host]:
        """Every instance, the disabled included: for catalogs."""
        view = self.view(scope)
        return [h for address in self._addresses(scope).values() for h in view.at(address)]

    def one(self, scope: Scope, ip: str, port: int, cluster: str = DEFAULT_CLUSTER) -> Host | None:
        """One instance, also when it is disabled; None when there is none at this place in this cluster."""
        addresses = self._addresses(scope)
        found: Address | None = addresses.get(AddressKey(ip, port))
        places = [found] if found is not None else [a for a in addresses.values() if a.host == ip and a.port == port]
        view = self.view(scope)
        return next((h for a in places for h in view.at(a) if h.cluster == cluster), None)

    def sweep(self, now: float) -> None:
        """Drop what nobody reads. ``now``: of the monotonic clock."""
        self.views.sweep(now)

    def _ahead(self, key: ServiceKey) -> Work | None:
        return None if self._routing is None else self._routing.ahead(key)

    def _addresses(self, scope: Scope) -> dict[AddressKey, Address]:
        return self._registry.snapshot(self.key(scope)).addresses
