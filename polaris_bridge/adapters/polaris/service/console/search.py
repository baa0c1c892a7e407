"""Looking for instances: what is asked for, whether one fits, the page of those that changed last. In steps that may pause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heappush, heapreplace
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.service.queries import Page, wild
from polaris_bridge.adapters.polaris.translate.keys import Document
from polaris_bridge.adapters.polaris.translate.shown import changed_ms, healthy, isolated, seen, shown_id
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Address, AddressKey
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.core.views import Shown

from .filters import Refused, number, only, pairs, truth

FILTERS = (
    "id", "service", "namespace", "host", "port", "keys", "values", "protocol", "version", "health_status", "healthy",
    "isolate", "weight", "logic_set", "cmdb_region", "cmdb_zone", "cmdb_idc", "priority", "offset", "limit",
    "show_last_heartbeat", "show_service_revision",
)  # fmt: skip
"""What ``GET instances`` can be asked for."""
STEP: Final = 200
"""Addresses that are looked at without a pause."""

Test = Callable[[Shown, Address], bool]


class Wanted(Struct, frozen=True):
    """What ``GET instances`` asks for, read once."""

    id: str = "*"
    service: str = "*"
    namespace: str = "*"
    hosts: frozenset[str] = frozenset()
    """Empty = any."""
    port: int | None = None
    tests: tuple[Test, ...] = ()
    """What an instance has to pass besides."""


class Found(Struct, frozen=True, gc=False):
    """One instance that fits."""

    id: str
    shown: Shown
    address: Address


class Search:
    """One search: run ``work`` to its end, then read the page and how many there are."""

    def __init__(self, snapshots: Iterable[ServiceSnapshot], wanted: Wanted, page: Page) -> None:
        self.amount = 0
        self._snapshots = snapshots
        self._wanted = wanted
        self._page = page
        self._latest: list[tuple[int, str, int, Found]] = []
        """A heap of those that the page may need, the earliest change first; equal times by id, as on the original."""

    @property
    def page(self) -> list[Found]:
        """Those of the page, the latest change first."""
        return [entry[3] for entry in sorted(self._latest, reverse=True)[self._page.offset :]]

    def work(self) -> Work:
        """Look at everything. Yields wherever others may run."""
        wanted, tests = self._wanted, self._wanted.tests
        steps = 0
        for snapshot in self._snapshots:
            for place, address in _places(snapshot, wanted):
                steps += 1
                if steps % STEP == 0:
                    yield
                if not address.registrations or (wanted.port is not None and place.port != wanted.port):
                    continue
                for index, s in enumerate(seen(address)):
                    if all(test(s, address) for test in tests):
                        id = shown_id(s, index == 0)
                        if wanted.id == "*" or wild(wanted.id, id):
                            self._take(id, s, address)

    def _take(self, id: str, s: Shown, address: Address) -> None:
        self.amount += 1
        kept, most = self._latest, self._page.offset + self._page.limit
        changed = changed_ms(s.registration, address)
        if len(kept) < most:
            heappush(kept, (changed, id, self.amount, Found(id, s, address)))
        elif kept and (changed, id) > kept[0][:2]:
            heapreplace(kept, (changed, id, self.amount, Found(id, s, address)))


def _places(snapshot: ServiceSnapshot, wanted: Wanted) -> Iterable[tuple[AddressKey, Address]]:
    places = snapshot.addresses.items()
    return ((p, a) for p, a in places if p.host in wanted.hosts) if wanted.hosts else places


def metadata_of(s: Shown) -> Mapping[str, str]:
    """The pairs that a registration has itself."""
    r = s.registration
    internal = r.ext.internal if isinstance(r.ext, Document) else None
    return {**r.metadata, **internal} if internal else r.metadata


def wanted_of(filters: Mapping[str, str]) -> Wanted:
    """Raises ``Refused``. A number or truth value that is none filters nothing, as on the original."""
    if not filters:
        raise Refused(v1.EmptyQueryParameter)
    if ("keys" in filters) != ("values" in filters):
        raise Refused(v1.InvalidQueryInsParameter, "instance metadata key and value must be both provided")
    metadata = pairs(filters["keys"], filters["values"]) if "keys" in filters else {}
    if metadata is None:
        raise Refused(v1.InvalidQueryInsParameter, "instance metadata key and value length are different")
    only(filters, FILTERS)
    hosts = filters.get("host", "").split(",")
    return Wanted(
        filters.get("id", "*"),
        filters.get("service", "*"),
        filters.get("namespace", "*"),
        frozenset(host.strip() for host in hosts if host.strip()),
        number(filters.get("port", "")),
        tuple(_tests(filters, metadata)),
    )


def _tests(filters: Mapping[str, str], metadata: Mapping[str, str]) -> Iterator[Test]:
    for name in ("protocol", "version", "logic_set"):
        if name in filters:
            yield _equals(name, filters[name])
    for name in ("weight", "priority"):
        value = number(filters.get(name, ""))
        if value is not None:
            yield _equals(name, value)
    for name, part in (("cmdb_region", "region"), ("cmdb_zone", "zone"), ("cmdb_idc", "campus")):
        if name in filters:
            yield _located(part, filters[name])
    if metadata:
        yield _has(tuple(metadata.items()))
    off = truth(filters.get("isolate", ""))
    if off is not None:
        yield lambda s, address: isolated(s, address) is off
    well = truth(filters.get("healthy", filters.get("health_status", "")))
    if well is not None:
        yield lambda s, _: healthy(s) is well


def _equals(name: str, value: str | int) -> Test:
    return lambda s, _: getattr(s.registration, name) == value


def _located(part: str, value: str) -> Test:
    return lambda s, _: getattr(s.registration.location, part) == value


def _has(wanted: tuple[tuple[str, str], ...]) -> Test:
    def test(s: Shown, _: Address) -> bool:
        metadata = metadata_of(s)
        return all(metadata.get(key) == value for key, value in wanted)

    return test
