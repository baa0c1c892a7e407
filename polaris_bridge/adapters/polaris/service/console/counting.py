"""How many instances there are, as native readers see them: in a service, in a namespace, everywhere.

Kept in step with every publication, so that a console's lists of services cost nothing by the size of the services.
"""

from __future__ import annotations

from collections.abc import Iterable

from polaris_bridge.adapters.polaris.translate.services import Counts
from polaris_bridge.adapters.polaris.translate.shown import healthy, isolated, seen
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import UP, Address, Checks, ServiceKey
from polaris_bridge.core.registry import Registry

NONE = Counts()


class Counting:
    """The numbers of one registry. Made when it is loaded."""

    def __init__(self, registry: Registry) -> None:
        self._counts: dict[ServiceKey, Counts] = {}
        self._ports: dict[ServiceKey, dict[int, int]] = {}
        """How many addresses with instances a service has at each port."""
        for snapshot in registry:
            if snapshot.addresses:
                self._counts[snapshot.key] = _sum(map(count, snapshot.addresses.values()))
                for place, address in snapshot.addresses.items():
                    if address.registrations:
                        self._use(snapshot.key, place.port, 1)
        registry.observe(self._published)

    def of(self, service: ServiceKey) -> Counts:
        """Instances of one service."""
        return self._counts.get(service, NONE)

    def ports(self, service: ServiceKey) -> str:
        """The ports that a service's instances have, ascending, separated by commas."""
        return ",".join(map(str, sorted(self._ports.get(service, ()))))

    def sum(self, services: Iterable[ServiceKey]) -> Counts:
        """Instances of several services."""
        return _sum(self._counts.get(service, NONE) for service in services)

    def all(self) -> Counts:
        """Instances of all services."""
        return _sum(self._counts.values())

    def _published(self, published: Published) -> None:
        counts = self._counts
        for change in published.changes:
            before = NONE if change.before is None else count(change.before)
            after = NONE if change.after is None else count(change.after)
            if before == after:
                continue
            self._use(change.service, change.address.port, (after.total > 0) - (before.total > 0))
            known = counts.get(change.service, NONE)
            now = Counts(
                known.total + after.total - before.total,
                known.healthy + after.healthy - before.healthy,
                known.isolated + after.isolated - before.isolated,
            )
            if now == NONE:
                counts.pop(change.service, None)
            else:
                counts[change.service] = now

    def _use(self, service: ServiceKey, port: int, more: int) -> None:
        """``more`` addresses at a port. Port 0 is none."""
        if more == 0 or port == 0:
            return
        ports = self._ports.setdefault(service, {})
        ports[port] = ports.get(port, 0) + more
        if not ports[port]:
            del ports[port]
            if not ports:
                del self._ports[service]


def count(address: Address) -> Counts:
    """The instances at one address."""
    registrations = address.registrations
    if not address.switches and len(registrations) == 1:
        only = registrations[0]
        if only.lost_ms == 0 and only.reported == UP and not isinstance(only.liveness, Checks):
            return _ONE_HEALTHY
    total = good = off = 0
    for s in seen(address):
        withdrawn = isolated(s, address)
        total += 1
        off += withdrawn
        good += healthy(s) and not withdrawn
    return Counts(total, good, off)


_ONE_HEALTHY = Counts(1, 1, 0)


def _sum(counts: Iterable[Counts]) -> Counts:
    total = good = off = 0
    for c in counts:
        total += c.total
        good += c.healthy
        off += c.isolated
    return Counts(total, good, off)
