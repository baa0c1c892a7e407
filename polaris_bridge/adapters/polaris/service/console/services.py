"""What console calls do with services."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.batches import not_a_batch
from polaris_bridge.adapters.polaris.service.queries import list_answer
from polaris_bridge.adapters.polaris.service.routes import Encoded, Query, Result
from polaris_bridge.adapters.polaris.service.visible import ALL, Visible
from polaris_bridge.adapters.polaris.translate.services import (
    EDITED,
    attributes,
    counted,
    exported,
    lift_service,
    render_service,
    service_id,
    service_text,
    service_token,
    with_attributes,
    with_texts,
)
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import Conflict, NotFound
from polaris_bridge.core.model import Caller, NamespaceRecord, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot

from .counting import Counting
from .filters import answering, only, page, single
from .long_work import LongWork
from .names import check_service
from .references import References
from .service_filters import FILTERS, Wanted, has_instances, matches, wanted_of
from .work import OK, each

STEP: Final = 50
"""Services that are encoded without a pause."""


class Services:
    """Create, delete, update, list, count; tokens and owners. Aliases are services that ``Aliases`` makes."""

    def __init__(
        self,
        registry: Registry,
        counting: Counting,
        references: References,
        unique: Callable[[], str],
        routed: Callable[[ServiceKey], bool] = lambda _service: False,
        visible: Visible | None = None,
    ) -> None:
        """``routed`` says whether a route rule names a service, which is then not deleted. ``visible``: to whom."""
        self._visible = visible or Visible()
        self._registry = registry
        self._counting = counting
        self._references = references
        self._unique = unique
        self._routed = routed
        self._long = LongWork(registry.scheduler)

    # ------------------------------------------------------------------ commands

    def create(self, services: Sequence[v1.Service], caller: Caller) -> Outcome:
        """Answers carry id and token; 400201, with the id, for one that exists. The namespace is made on the way."""

        def do(m: v1.Service) -> Outcome:
            known = self._newest(m)
            if known is not None:
                answer = respond(v1.ExistedResource, service=m)
                answer.service.id.value = service_id(known)
                return Outcome(answer)
            record = lift_service(m, self._unique(), self._unique())
            try:
                with self._registry.transaction() as commit:
                    self._ensure_namespace(m, caller)
                    self._registry.put_service(record, caller)
            except NotFound:
                return Outcome(respond(v1.NotFoundNamespace))
            answer = _named(m)
            answer.service.id.value = service_id(record)
            answer.service.token.value = service_token(record)
            return Outcome(answer, commit)

        return each(services, check_service, do, "service")

    def delete(self, services: Sequence[v1.Service], caller: Caller) -> Outcome:
        """Deleting what is not there succeeds; 400204, 400210, 400205 while there are instances, aliases, route rules."""

        def do(m: v1.Service) -> Outcome:
            record = self._newest(m)
            if record is None:
                return Outcome(respond(OK, service=m))
            code = self._needed(record)
            if code == OK:
                try:
                    commit = self._registry.delete_service(record.key, caller)
                    return Outcome(respond(OK, service=m), commit or SETTLED)
                except Conflict:
                    code = v1.ServiceExistedInstances
            answer = respond(code)
            answer.service.name.value = record.name
            answer.service.namespace.value = record.namespace
            return Outcome(answer)

        return each(services, check_service, do, "service")

    def update(self, services: Sequence[v1.Service], caller: Caller, cleared: Collection[int] = frozenset()) -> Outcome:
        """What is given changes; 200002 when nothing does. Visibility becomes what is given, or nothing.

        ``cleared``: positions of services whose metadata was given as empty, which the messages cannot say.
        """
        empty = {id(services[at]) for at in cleared if at < len(services)}

        def do(m: v1.Service) -> Outcome:
            record = self._newest(m)
            if record is None:
                return _answer(v1.NotFoundResource, m)
            if record.reference is not None:
                return _answer(v1.NotAllowAliasUpdate, m)
            changed = _changed(record, m, id(m) in empty)
            if changed == record:
                return _answer(v1.NoNeedUpdate, m)
            return Outcome(respond(OK, service=m), self._registry.put_service(changed, caller))

        return each(services, check_service, do, "service")

    def renew_token(self, m: v1.Service, caller: Caller) -> Outcome:
        """A new token; of an alias, that of the service it stands for."""
        refused, record = self._named(m)
        if record is None:
            return refused
        token = self._unique()
        kept = structs.replace(attributes(record), token=token)
        commit = self._registry.put_service(with_attributes(record, kept), caller)
        answer = _named(m)
        answer.service.token.value = token
        return Outcome(answer, commit)

    # ------------------------------------------------------------------ queries

    def token(self, query: Query, _caller: Caller) -> Outcome:
        """The token of the service called ``name`` in ``namespace``."""
        asked = single(query)
        m = v1.Service(name={"value": asked.get("name", "")}, namespace={"value": asked.get("namespace", "")})
        refused, record = self._named(m)
        if record is None:
            return refused
        answer = _named(m)
        answer.service.token.value = service_token(record)
        return Outcome(answer)

    def owners(self, services: Sequence[v1.Service], _caller: Caller) -> Outcome:
        """Who owns the services named; those that exist are answered."""
        wrong = not_a_batch(services)
        if wrong is not None:
            return Outcome(list_answer(wrong.code.value, 0, 0))
        keys = dict.fromkeys(ServiceKey(m.namespace.value, m.name.value) for m in services)
        records = [record for key in keys if (record := self._registry.snapshot(key).record) is not None]
        answer = list_answer(OK, len(records), len(records))
        for record in records:
            m = answer.services.add()
            m.name.value = record.name
            m.namespace.value = record.namespace
            m.owners.value = record.owners
        return Outcome(answer)

    def count(self, _query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """How many services there are, aliases among them."""
        sees = self._visible.services(caller, "DescribeServicesCount")
        return list_answer(OK, sum(s.record is not None and sees(s.key) for s in self._registry), 0)

    def every(self, query: Query, caller: Caller) -> Result:
        """All services of ``namespace``, or of all, aliases among them: names, metadata, counts. No pages."""
        found = self._registry.services(single(query).get("namespace") or None)
        sees = self._visible.services(caller, "DescribeAllServices")
        if sees is not ALL:
            found = [snapshot for snapshot in found if sees(snapshot.key)]
        return self._long.result(self._every(found), len(found))

    def _every(self, snapshots: Iterable[ServiceSnapshot]) -> Work:
        items: list[bytes] = []
        for snapshot in snapshots:
            if snapshot.record is None:
                continue
            m = v1.Service()
            m.namespace.value = snapshot.key.namespace
            m.name.value = snapshot.key.name
            m.metadata.update(snapshot.record.metadata)
            items.append(json.fragment(counted(m, self._counting.of(snapshot.key))))
            if len(items) % STEP == 0:
                yield
        parts = []
        for part in json.parts(list_answer(OK, len(items), len(items)), "services", items):
            parts.append(part)
            yield
        return Encoded(OK, tuple(parts))

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Services by the filters of ``FILTERS``, latest change first, without aliases."""
        return answering(lambda: self._find(single(query), caller))

    def _find(self, filters: dict[str, str], caller: Caller) -> v1.BatchQueryResponse:
        sees = self._visible.services(caller, "DescribeServices")
        only(filters, FILTERS, may_be_empty=("values",))
        part = page(filters)
        wanted = wanted_of(filters)
        found = [
            s.record
            for s in self._candidates(filters)
            if s.record is not None and self._fits(s, wanted) and sees(s.key)
        ]
        found.sort(key=lambda record: (-record.updated_ms, record.key))
        shown = found[part.offset : part.offset + part.limit]
        answer = list_answer(OK, len(found), len(shown))
        answer.services.extend(map(self._shown, shown))
        return answer

    def _shown(self, record: ServiceRecord) -> v1.Service:
        """A service with its counts; where nobody wrote its ports, those that its instances have."""
        m = counted(render_service(record), self._counting.of(record.key))
        if not m.ports.value:
            m.ports.value = self._counting.ports(record.key)
        return m

    def _candidates(self, filters: Mapping[str, str]) -> Iterable[ServiceSnapshot]:
        """Where to look: one service when it is named, a namespace when that is, else everything."""
        name, namespace = filters.get("name", "*"), filters.get("namespace", "*")
        if "*" in namespace:
            return self._registry
        if "*" in name:
            return self._registry.services(namespace)
        return (self._registry.snapshot(ServiceKey(namespace, name)),)

    def _fits(self, snapshot: ServiceSnapshot, wanted: Wanted) -> bool:
        record = snapshot.record
        if record is None or record.reference is not None or not matches(record, wanted):
            return False
        if wanted.healthy and not self._counting.of(record.key).healthy:
            return False
        if wanted.filled and not self._counting.of(record.key).total:
            return False
        return not wanted.about_instances or has_instances(snapshot, wanted)

    # ------------------------------------------------------------------ pieces

    def _newest(self, m: v1.Service) -> ServiceRecord | None:
        return self._registry.ledger.service(ServiceKey(m.namespace.value, m.name.value)).record

    def _named(self, m: v1.Service) -> tuple[Outcome, ServiceRecord | None]:
        """The service that a request is about, behind an alias the real one; or else what to answer."""
        code = check_service(m)
        record = self._newest(m) if code == OK else None
        if record is not None and record.reference is not None:
            record = self._registry.ledger.service(record.reference).record
        return _answer(v1.NotFoundResource if code == OK else code, m), record

    def _ensure_namespace(self, m: v1.Service, caller: Caller) -> None:
        """A namespace made on the way has the owners of the service that needed it."""
        name = m.namespace.value
        if self._registry.ledger.namespace(name) is None and self._registry.terms.auto_create_namespace:
            record = NamespaceRecord(name, owners=m.owners.value, auto_created=True)
            self._registry.put_namespace(record, caller)

    def _needed(self, record: ServiceRecord) -> int:
        """200000, or why a service cannot go. An alias always can."""
        if record.reference is not None:
            return OK
        newest = self._registry.ledger.service(record.key)
        if any(address.registrations for address in newest.addresses.values()):
            return v1.ServiceExistedInstances
        if self._references.any(record.key):
            return v1.ServiceExistedAlias
        return v1.ServiceExistedRoutings if self._routed(record.key) else OK


def _changed(record: ServiceRecord, m: v1.Service, cleared: bool) -> ServiceRecord:
    """The service as an update makes it; the record itself when that is the same."""
    texts = {name: getattr(m, name).value for name in EDITED if m.HasField(name)}
    texts = {name: value for name, value in texts.items() if service_text(record, name) != value}
    changed = with_texts(record, texts) if texts else record
    if (m.metadata or cleared) and dict(m.metadata) != record.metadata:
        changed = structs.replace(changed, metadata=dict(m.metadata))
    visible = exported(m)
    if set(visible) != set(record.export_to):
        changed = structs.replace(changed, export_to=visible)
    return changed if changed is record else structs.replace(changed, auto_created=False)


def _answer(code: int, m: v1.Service) -> Outcome:
    return Outcome(respond(code, service=m))


def _named(m: v1.Service) -> v1.Response:
    """A successful answer with the service's names."""
    answer = respond(OK)
    answer.service.name.CopyFrom(m.name)
    answer.service.namespace.CopyFrom(m.namespace)
    return answer
