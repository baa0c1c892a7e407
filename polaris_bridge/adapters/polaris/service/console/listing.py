"""Instances as the console lists, counts and labels them. Filters look at what the core has; only a page becomes messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nlargest

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import respond
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.translate.keys import Document
from polaris_bridge.adapters.polaris.translate.services import (
    counted,
    render_service,
    service_id,
    service_token,
)
from polaris_bridge.adapters.polaris.translate.shown import (
    Pairs,
    changed_ms,
    healthy,
    isolated,
    render,
    seen,
    shown_id,
)
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Address, AddressKey, Caller, Lease, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.core.views import Shown

from .counting import Counting
from .filters import Refused, answering, number, only, page, pairs, single, truth
from .work import OK

FILTERS = (
    "id", "service", "namespace", "host", "port", "keys", "values", "protocol", "version", "health_status", "healthy",
    "isolate", "weight", "logic_set", "cmdb_region", "cmdb_zone", "cmdb_idc", "priority", "offset", "limit",
    "show_last_heartbeat", "show_service_revision",
)  # fmt: skip
"""What ``GET instances`` can be asked for."""
COPIED = ("version", "protocol", "region", "zone", "campus")
"""Keys that Discover copies from the fields, and that console lists never show."""
DEFAULT_NAMESPACE = "default"

ServiceRevision = Callable[[ServiceKey], str]


class Wanted(Struct, frozen=True):
    """What ``GET instances`` asks for, read once. None, or empty, = anything."""

    id: str = "*"
    service: str = "*"
    namespace: str = "*"
    hosts: frozenset[str] = frozenset()
    port: int | None = None
    weight: int | None = None
    priority: int | None = None
    healthy: bool | None = None
    isolated: bool | None = None
    protocol: str | None = None
    version: str | None = None
    logic_set: str | None = None
    region: str | None = None
    zone: str | None = None
    campus: str | None = None
    metadata: tuple[tuple[str, str], ...] = ()


class Found(Struct, frozen=True, gc=False):
    """One instance that fits."""

    changed_ms: int
    id: str
    shown: Shown
    address: Address


class Listing:
    """The queries of the console on instances."""

    def __init__(
        self,
        registry: Registry,
        counting: Counting,
        pairs: Pairs,
        revision: ServiceRevision = lambda _service: "",
    ) -> None:
        """``pairs``: see ``translate.shown``; ``revision`` tells the revision that Discover gives of a service's instances."""
        self._registry = registry
        self._counting = counting
        self._pairs = pairs
        self._revision = revision

    # ------------------------------------------------------------------ queries

    def count(self, _query: Query, _caller: Caller) -> v1.BatchQueryResponse:
        """How many instances there are."""
        return list_answer(OK, self._counting.all().total, 0)

    def labels(self, query: Query, _caller: Caller) -> v1.Response:
        """The keys of the metadata of a service's instances, with all their values."""
        asked = single(query)
        key = self._labelled(asked)
        answer = respond(OK)
        answer.instanceLabels.SetInParent()
        if key is None:
            return answer
        labels: dict[str, dict[str, None]] = {}
        for address in self._registry.snapshot(key).addresses.values():
            for s in seen(address):
                for name, value in self._discovered(s):
                    labels.setdefault(name, {})[value] = None
        for name in sorted(labels):
            answer.instanceLabels.labels[name].values.extend(labels[name])
        return answer

    def find(self, query: Query, _caller: Caller) -> v1.BatchQueryResponse:
        """Instances by the filters of ``FILTERS``, latest change first. Without any filter: 400104."""
        return answering(lambda: self._find(single(query)))

    def _find(self, filters: dict[str, str]) -> v1.BatchQueryResponse:
        wanted = _wanted(filters)
        part = page(filters)
        found = list(self._matching(wanted))
        shown = nlargest(part.offset + part.limit, found, key=lambda one: (one.changed_ms, one.id))[part.offset :]
        answer = list_answer(OK, len(found), len(shown))
        services: dict[ServiceKey, ServiceRecord] = {}
        for one in shown:
            record = self._registry.snapshot(one.shown.registration.service_key).record
            if record is not None:
                services[record.key] = record
            self._add(answer, one, record, filters.get("show_last_heartbeat") == "true")
        if filters.get("show_service_revision") == "true":
            for record in services.values():
                m = counted(render_service(record), self._counting.of(record.key))
                m.revision.value = self._revision(record.key) or m.revision.value
                answer.services.append(m)
        return answer

    # ------------------------------------------------------------------ finding

    def _matching(self, wanted: Wanted) -> Iterator[Found]:
        for snapshot in self._snapshots(wanted):
            for place, address in _places(snapshot, wanted):
                if not address.registrations or (wanted.port is not None and place.port != wanted.port):
                    continue
                for index, s in enumerate(seen(address)):
                    if not _fits(s, address, wanted):
                        continue
                    id = shown_id(s, index == 0)
                    if wanted.id == "*" or wild(wanted.id, id):
                        yield Found(changed_ms(s.registration, address), id, s, address)

    def _snapshots(self, wanted: Wanted) -> Iterable[ServiceSnapshot]:
        if "*" not in wanted.service and "*" not in wanted.namespace:
            return (self._registry.snapshot(ServiceKey(wanted.namespace, wanted.service)),)
        return (
            s
            for s in self._registry.services(None if "*" in wanted.namespace else wanted.namespace)
            if wild(wanted.service, s.key.name) and wild(wanted.namespace, s.key.namespace)
        )

    def _labelled(self, asked: Mapping[str, str]) -> ServiceKey | None:
        """The service whose labels are asked for: by name, or by id."""
        if "service_id" in asked:
            records = (s.record for s in self._registry if s.record is not None)
            return next((r.key for r in records if service_id(r) == asked["service_id"]), None)
        if "service" not in asked:
            return None
        key = ServiceKey(asked.get("namespace", DEFAULT_NAMESPACE), asked["service"])
        return key if self._registry.snapshot(key).record is not None else None

    # ------------------------------------------------------------------ showing

    def _add(self, answer: v1.BatchQueryResponse, one: Found, record: ServiceRecord | None, beats: bool) -> None:
        m = render(one.shown, one.address, one.id, self._pairs, discovered=False)
        for key in COPIED:
            m.metadata.pop(key, None)
        if record is not None:
            m.service_token.value = service_token(record)
        r = one.shown.registration
        if beats and isinstance(r.liveness, Lease):
            heard_ms = self._registry.last_renewed_ms(r)
            m.metadata["last-heartbeat-timestamp"] = str(heard_ms // 1000)
            m.metadata["last-heartbeat-time"] = local_time(heard_ms)
        answer.instances.append(m)

    def _discovered(self, s: Shown) -> Iterator[tuple[str, str]]:
        """The metadata of an instance as Discover has it, version, protocol and location included."""
        r = s.registration
        yield from _metadata(s).items()
        if not s.own and r.source in self._pairs:
            yield from self._pairs[r.source](r).items()
        for name in ("version", "protocol"):
            if getattr(r, name):
                yield name, getattr(r, name)
        place = r.location
        if place.region or place.zone or place.campus:
            yield from (("region", place.region), ("zone", place.zone), ("campus", place.campus))


def _places(snapshot: ServiceSnapshot, wanted: Wanted) -> Iterable[tuple[AddressKey, Address]]:
    places = snapshot.addresses.items()
    return ((p, a) for p, a in places if p.host in wanted.hosts) if wanted.hosts else places


def _fits(s: Shown, address: Address, wanted: Wanted) -> bool:
    r = s.registration
    place = r.location
    return (
        (wanted.weight is None or r.weight == wanted.weight)
        and (wanted.protocol is None or r.protocol == wanted.protocol)
        and (wanted.version is None or r.version == wanted.version)
        and (wanted.logic_set is None or r.logic_set == wanted.logic_set)
        and (wanted.priority is None or r.priority == wanted.priority)
        and (wanted.region is None or place.region == wanted.region)
        and (wanted.zone is None or place.zone == wanted.zone)
        and (wanted.campus is None or place.campus == wanted.campus)
        and (not wanted.metadata or _has(_metadata(s), wanted.metadata))
        and (wanted.isolated is None or isolated(s, address) is wanted.isolated)
        and (wanted.healthy is None or healthy(s) is wanted.healthy)
    )


def _has(metadata: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> bool:
    return all(metadata.get(key) == value for key, value in wanted)


def _metadata(s: Shown) -> Mapping[str, str]:
    """The pairs that a registration has itself."""
    r = s.registration
    internal = r.ext.internal if isinstance(r.ext, Document) else None
    return {**r.metadata, **internal} if internal else r.metadata


def _wanted(filters: Mapping[str, str]) -> Wanted:
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
        number(filters.get("weight", "")),
        number(filters.get("priority", "")),
        truth(filters.get("healthy", filters.get("health_status", ""))),
        truth(filters.get("isolate", "")),
        filters.get("protocol"),
        filters.get("version"),
        filters.get("logic_set"),
        filters.get("cmdb_region"),
        filters.get("cmdb_zone"),
        filters.get("cmdb_idc"),
        tuple(metadata.items()),
    )
