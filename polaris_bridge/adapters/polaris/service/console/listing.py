"""Instances as the console lists, counts and labels them. Filters look at what the core has; only a page becomes messages.

What many instances have to be looked at for is done in slices: nobody waits for an operator's search.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.answers import respond
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query, Result
from polaris_bridge.adapters.polaris.service.visible import ALL, Visible
from polaris_bridge.adapters.polaris.translate.services import counted, render_service, service_id, service_token
from polaris_bridge.adapters.polaris.translate.shown import Pairs, render, seen
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Caller, Lease, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.core.views import Shown

from .counting import Counting
from .filters import Refused, page, refusal, single
from .long_work import LongWork
from .search import STEP, Found, Search, Wanted, metadata_of, wanted_of
from .work import OK

COPIED: Final = ("version", "protocol", "region", "zone", "campus")
"""Keys that Discover copies from the fields, and that console lists never show."""
DEFAULT_NAMESPACE: Final = "default"
SHOWN: Final = 16
"""Instances that become messages without a pause."""
ServiceRevision = Callable[[ServiceKey], Work]
"""Returns a text, in slices."""


def unrevised(_service: ServiceKey) -> Work:
    """Where nobody tells revisions."""
    yield from ()
    return ""


class Listing:
    """The queries of the console on instances."""

    def __init__(
        self,
        registry: Registry,
        counting: Counting,
        pairs: Pairs,
        revision: ServiceRevision = unrevised,
        visible: Visible | None = None,
    ) -> None:
        """``pairs``: see ``translate.shown``; ``revision`` tells the revision that Discover gives of a service's instances."""
        self._registry = registry
        self._counting = counting
        self._pairs = pairs
        self._revision = revision
        self._visible = visible or Visible()
        self._long = LongWork(registry.scheduler)

    # ------------------------------------------------------------------ queries

    def count(self, _query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """How many instances there are."""
        sees = self._visible.services(caller, "DescribeInstancesCount")
        if sees is not ALL:
            return list_answer(OK, self._counting.sum(s.key for s in self._registry if sees(s.key)).total, 0)
        return list_answer(OK, self._counting.all().total, 0)

    def labels(self, query: Query, caller: Caller) -> Result:
        """The keys of the metadata of a service's instances, with all their values."""
        key = self._labelled(single(query))
        if key is None or not self._visible.services(caller, "DescribeInstanceLabels")(key):
            answer = respond(OK)
            answer.instanceLabels.SetInParent()
            return answer
        snapshot = self._registry.snapshot(key)
        return self._long.result(self._label(snapshot), len(snapshot.addresses))

    def find(self, query: Query, caller: Caller) -> Result:
        """Instances by the filters of ``search.FILTERS``, latest change first. Without any filter: 400104."""
        filters = single(query)
        try:
            wanted, part = wanted_of(filters), page(filters)
        except Refused as refused:
            return refusal(refused)
        sees = self._visible.services(caller, "DescribeInstances")
        snapshots = [snapshot for snapshot in self._snapshots(wanted) if sees(snapshot.key)]
        search = Search(snapshots, wanted, part)
        return self._long.result(self._found(search, filters), sum(len(s.addresses) for s in snapshots))

    # ------------------------------------------------------------------ work

    def _found(self, search: Search, filters: Mapping[str, str]) -> Work:
        yield from search.work()
        found = search.page
        answer = list_answer(OK, search.amount, len(found))
        services: dict[ServiceKey, ServiceRecord] = {}
        for at, one in enumerate(found, 1):
            if at % SHOWN == 0:
                yield
            record = self._registry.snapshot(one.shown.registration.service_key).record
            if record is not None:
                services[record.key] = record
            answer.instances.append(self._shown(one, record, filters.get("show_last_heartbeat") == "true"))
        if filters.get("show_service_revision") == "true":
            for record in services.values():
                m = counted(render_service(record), self._counting.of(record.key))
                m.revision.value = (yield from self._revision(record.key)) or m.revision.value
                answer.services.append(m)
        return answer

    def _label(self, snapshot: ServiceSnapshot) -> Work:
        labels: dict[str, dict[str, None]] = {}
        for step, address in enumerate(snapshot.addresses.values(), 1):
            if step % STEP == 0:
                yield
            for s in seen(address):
                for name, value in self._discovered(s):
                    labels.setdefault(name, {})[value] = None
        answer = respond(OK)
        answer.instanceLabels.SetInParent()
        for name in sorted(labels):
            answer.instanceLabels.labels[name].values.extend(labels[name])
        return answer

    # ------------------------------------------------------------------ finding

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

    def _shown(self, one: Found, record: ServiceRecord | None, beats: bool) -> v1.Instance:
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
        return m

    def _discovered(self, s: Shown) -> Iterator[tuple[str, str]]:
        """The metadata of an instance as Discover has it, version, protocol and location included."""
        r = s.registration
        yield from metadata_of(s).items()
        if not s.own and r.source in self._pairs:
            yield from self._pairs[r.source](r).items()
        for name in ("version", "protocol"):
            if getattr(r, name):
                yield name, getattr(r, name)
        place = r.location
        if place.region or place.zone or place.campus:
            yield from (("region", place.region), ("zone", place.zone), ("campus", place.campus))
