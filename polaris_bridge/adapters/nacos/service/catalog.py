"""Services and their clusters as operators page through them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, Final

from msgspec import Struct

from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import Host, Refused
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.registry import Registry

from .discovery import Discovery
from .scope import Scope
from .services import Cluster, Service, Services

STRIDE: Final = 200
"""Services that are looked at before others get their turn."""

Sees = Callable[[ServiceKey], bool]
"""Whether a reader may see a service; see ``Admission.sees``."""


class Row(Struct, frozen=True, gc=False):
    """One service in a list."""

    scope: Scope
    clusters: int
    instances: int
    healthy: int
    protected: bool
    """Whether so few are healthy that all are called so."""


class Catalog:
    """What there is, for operators."""

    def __init__(self, registry: Registry, services: Services, discovery: Discovery) -> None:
        self._registry = registry
        self._services = services
        self._discovery = discovery

    def page(
        self, namespace_id: str, group: str, page_no: int, page_size: int, sees: Sees
    ) -> Generator[None, None, tuple[int, list[str]]]:
        """``Services.list`` for a reader who may not see everything. Yields where it may be interrupted."""
        seen = []
        for count, scope in enumerate(self._services.all(namespace_id), 1):
            if scope.group == group and sees(self._services.key(scope)):
                seen.append(scope.name)
            if count % STRIDE == 0:
                yield
        start = max(0, page_no - 1) * max(0, page_size)
        return len(seen), seen[start : start + max(0, page_size)]

    def matching(
        self, namespace_id: str, group: str, name: str, *, filled: bool = False, sees: Sees | None = None
    ) -> Generator[None, None, list[Scope]]:
        """Services whose group and name hold these texts; ``filled``: only those with instances; ``sees``: which of them
        the reader may see, None: all.

        Yields where it may be interrupted.
        """
        found = []
        for count, scope in enumerate(self._services.all(namespace_id), 1):
            if (
                group in scope.group
                and name in scope.name
                and (not filled or self._filled(scope))
                and (sees is None or sees(self._services.key(scope)))
            ):
                found.append(scope)
            if count % STRIDE == 0:
                yield
        return found

    def _filled(self, scope: Scope) -> bool:
        addresses = self._registry.snapshot(self._services.key(scope)).addresses
        return any(address.registrations for address in addresses.values())

    def rows(self, scopes: Iterable[Scope]) -> Generator[None, None, list[Row]]:
        """Services with their numbers. Yields after each."""
        found = []
        for scope in scopes:
            hosts = self._discovery.all(scope)
            healthy = sum(host.healthy for host in hosts)
            service = self._services.find(scope)
            threshold = service.threshold if service is not None else 0.0
            protected = threshold > 0 and bool(hosts) and healthy / len(hosts) <= threshold
            found.append(Row(scope, len({host.cluster for host in hosts}), len(hosts), healthy, protected))
            yield
        return found

    def hosts(self, scope: Scope) -> list[Host]:
        """All instances of a service, the disabled included; by cluster and address."""
        return sorted(self._discovery.all(scope), key=lambda host: (host.cluster, host.ip, host.port))

    def instances(self, scope: Scope, cluster: str) -> list[Host]:
        """All instances of one cluster. Refused when there is no such service or cluster."""
        self.service(scope)
        found = [host for host in self.hosts(scope) if host.cluster == cluster]
        if not found:
            raise Refused(404, codes.RESOURCE_NOT_FOUND, f"cluster {cluster} is not found!")
        return found

    def service(self, scope: Scope) -> Service:
        """A service. Refused when it is not there."""
        found = self._services.find(scope)
        if found is None:
            raise Refused(404, codes.SERVICE_NOT_EXIST, f"service {scope.grouped} is not found!")
        return found

    def clusters(self, scope: Scope, service: Service) -> list[Cluster]:
        """The clusters that a service has instances in, as they were described."""
        described = {cluster.name: cluster for cluster in service.clusters}
        names = dict.fromkeys(host.cluster for host in self.hosts(scope))
        return [described.get(name) or Cluster(name) for name in names]


def page(found: list[Any], page_no: int, page_size: int) -> list[Any]:
    """One page of a list, counted from 1. A page that is larger than the list is all of it."""
    if len(found) < page_size:
        return found
    start = max(0, page_no - 1) * max(0, page_size)
    return found[start : start + max(0, page_size)]
