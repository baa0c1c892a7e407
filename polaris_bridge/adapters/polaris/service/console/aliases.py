"""What console calls do with aliases: second names of services, one step deep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, respond
from polaris_bridge.adapters.polaris.service.queries import list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.service.visible import Visible
from polaris_bridge.adapters.polaris.translate.services import lift_alias, render_alias, service_token
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import CoreError, NotFound
from polaris_bridge.core.model import Caller, Document, ServiceKey, ServiceRecord
from polaris_bridge.core.registry import Registry

from .filters import Refused, answering, page, single
from .names import check_alias, check_changed_alias, check_new_alias
from .references import References
from .work import OK, each

FILTERS = ("alias", "alias_namespace", "service", "namespace", "owner", "offset", "limit")
"""What ``GET service/aliases`` can be asked for."""

SID_KIND: Final = "sid-sequence"
"""The document that says which CL5 sid was allotted last."""
LAYOUTS: Final = {"Production": 1, "Development": 2, "Pre-release": 3, "Test": 4, "Polaris": 5, "default": 6}
"""The namespaces that can have CL5 sids, with the number that stands for them in the lowest six bits of a sid's module."""
_FIRST: Final = (3_000_001, 1, 0)
_RANGE: Final = 65_536
_INTERFACES: Final = 4096


class Aliases:
    """Create, delete, update, list."""

    def __init__(
        self,
        registry: Registry,
        references: References,
        unique: Callable[[], str],
        visible: Visible | None = None,
    ) -> None:
        self._visible = visible or Visible()
        self._registry = registry
        self._references = references
        self._unique = unique

    # ------------------------------------------------------------------ commands

    def create(self, m: v1.ServiceAlias, caller: Caller) -> Outcome:
        """The answer carries the alias' token, and the name of one of type CL5SID."""
        code = check_new_alias(m)
        if code == OK:
            code = self._target_code(m)
        if code == OK and m.alias.value and self._newest(m) is not None:
            code = v1.ExistedResource
        if code == OK and m.type == v1.CL5SID and m.alias_namespace.value not in LAYOUTS:
            code = v1.InvalidNamespaceWithAlias
        if code != OK:
            return _answer(code, m)
        try:
            with self._registry.transaction() as commit:
                name = self._sid(m.alias_namespace.value, caller) if m.type == v1.CL5SID else m.alias.value
                record = lift_alias(m, name, self._unique(), self._unique())
                self._registry.put_service(record, caller)
        except NotFound:
            return _answer(v1.NotFoundNamespace, m)
        except CoreError as error:
            return _answer(code_of(error), m)
        self._references.expect(record.key, ServiceKey(m.namespace.value, m.service.value))
        answer = respond(OK)
        alias = answer.alias
        alias.service.CopyFrom(m.service)
        alias.namespace.CopyFrom(m.namespace)
        alias.alias.value = m.alias.value or name
        alias.alias_namespace.CopyFrom(m.alias_namespace)
        alias.service_token.value = service_token(record)
        return Outcome(answer, commit)

    def delete(self, aliases: Sequence[v1.ServiceAlias], caller: Caller) -> Outcome:
        """400304 for what is no alias."""

        def do(m: v1.ServiceAlias) -> Outcome:
            record = self._newest(m)
            if record is None or record.reference is None:
                return _answer(v1.NotFoundServiceAlias, m)
            commit = self._registry.delete_service(record.key, caller)
            return Outcome(respond(OK, alias=m), commit or SETTLED)

        return each(aliases, check_alias, do, "alias")

    def update(self, m: v1.ServiceAlias, caller: Caller) -> Outcome:
        """Another service behind it, another owner (not none), another comment; 200002 when nothing changes."""
        code = check_changed_alias(m)
        if code != OK:
            return _answer(code, m)
        record = self._newest(m)
        if record is None or record.reference is None:
            return _answer(v1.NotFoundServiceAlias, m)
        code = self._target_code(m)
        if code != OK:
            return _answer(code, m)
        target = ServiceKey(m.namespace.value, m.service.value)
        changed = structs.replace(
            record,
            reference=target,
            owners=m.owners.value or record.owners,
            comment=m.comment.value if m.HasField("comment") else record.comment,
        )
        if changed == record:
            return _answer(v1.NoNeedUpdate, m)
        try:
            commit = self._registry.put_service(changed, caller)
        except CoreError as error:
            return _answer(code_of(error), m)
        self._references.expect(record.key, target)
        return Outcome(respond(OK, alias=m), commit)

    # ------------------------------------------------------------------ queries

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Aliases by the filters of ``FILTERS``, latest change first. An alias whose service is gone is not listed."""
        return answering(lambda: self._find(single(query), caller))

    def _find(self, filters: dict[str, str], caller: Caller) -> v1.BatchQueryResponse:
        sees = self._visible.services(caller, "DescribeServiceAliases")
        part = page(filters)
        if any(key not in FILTERS for key in filters):
            raise Refused(v1.InvalidParameter)
        found: list[tuple[ServiceRecord, ServiceKey]] = []
        for snapshot in self._registry:
            record = snapshot.record
            if record is None or record.reference is None or not _matches(record, record.reference, filters):
                continue
            if self._registry.snapshot(record.reference).record is not None and sees(record.key):
                found.append((record, record.reference))
        found.sort(key=lambda one: (-one[0].updated_ms, one[0].key))
        shown = found[part.offset : part.offset + part.limit]
        answer = list_answer(OK, len(found), len(shown))
        answer.aliases.extend(render_alias(record, target) for record, target in shown)
        return answer

    # ------------------------------------------------------------------ pieces

    def _newest(self, m: v1.ServiceAlias) -> ServiceRecord | None:
        return self._registry.ledger.service(ServiceKey(m.alias_namespace.value, m.alias.value)).record

    def _target_code(self, m: v1.ServiceAlias) -> int:
        """200000, or why there can be no alias of that service."""
        target = self._registry.ledger.service(ServiceKey(m.namespace.value, m.service.value)).record
        if target is None:
            return v1.NotFoundService
        return OK if target.reference is None else v1.NotAllowCreateAliasForAlias

    def _sid(self, namespace: str, caller: Caller) -> str:
        """The next CL5 sid: ``module:command``. None is given twice."""
        documents = self._registry.documents
        last = documents.newest(SID_KIND, SID_KIND)
        module, interface, at = _FIRST if last is None else map(int, last.body.split(b","))
        at += 1
        if at >= _RANGE:
            at, interface = 0, interface + 1
        if interface >= _INTERFACES:
            interface, module = 1, module + 1
        documents.put(Document(SID_KIND, SID_KIND, body=b"%d,%d,%d" % (module, interface, at)), caller)
        return f"{(module << 6) + LAYOUTS[namespace]}:{(interface << 16) + at}"


def _matches(record: ServiceRecord, target: ServiceKey, filters: dict[str, str]) -> bool:
    return (
        wild(filters.get("alias", "*"), record.name)
        and wild(filters.get("alias_namespace", "*"), record.namespace)
        and wild(filters.get("service", "*"), target.name)
        and wild(filters.get("namespace", "*"), target.namespace)
        and filters.get("owner", "") in record.owners
    )


def _answer(code: int, m: v1.ServiceAlias) -> Outcome:
    return Outcome(respond(code, alias=m))
