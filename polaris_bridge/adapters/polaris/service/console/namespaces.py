"""What console calls do with namespaces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import structs

from polaris_bridge.adapters.polaris.answers import Outcome, respond
from polaris_bridge.adapters.polaris.service.queries import MAX_PAGE, list_answer, wild
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.service.visible import Visible
from polaris_bridge.adapters.polaris.translate.namespaces import (
    exported,
    lift_namespace,
    namespace_token,
    render_namespace,
    with_token,
)
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.batches import SETTLED
from polaris_bridge.core.errors import Conflict
from polaris_bridge.core.model import Caller, NamespaceRecord, ServiceKey
from polaris_bridge.core.registry import Registry

from .counting import Counting
from .filters import Refused, answering, single
from .names import check_namespace
from .work import OK, one_by_one


class Namespaces:
    """Create, delete, update, list, and tokens."""

    def __init__(
        self, registry: Registry, counting: Counting, unique: Callable[[], str], visible: Visible | None = None
    ) -> None:
        self._visible = visible or Visible()
        self._registry = registry
        self._counting = counting
        self._unique = unique

    # ------------------------------------------------------------------ commands

    def create(self, namespaces: Sequence[v1.Namespace], caller: Caller) -> Outcome:
        """Answers carry name and token; 400201 for one that exists."""

        def do(m: v1.Namespace) -> Outcome:
            if self._newest(m) is not None:
                return _answer(v1.ExistedResource, m)
            record = lift_namespace(m, self._unique())
            commit = self._registry.put_namespace(record, caller)
            return Outcome(_named(m, namespace_token(record)), commit)

        return _each(namespaces, do)

    def delete(self, namespaces: Sequence[v1.Namespace], caller: Caller) -> Outcome:
        """Deleting what is not there succeeds; 400203 while there are services, 400219 while there are groups of files."""

        def do(m: v1.Namespace) -> Outcome:
            try:
                commit = self._registry.delete_namespace(m.name.value, caller)
            except Conflict:
                services = self._registry.ledger.service_keys(m.name.value)
                return _answer(v1.NamespaceExistedServices if services else v1.NamespaceExistedConfigGroups, m)
            return Outcome(respond(OK, namespace=m), commit or SETTLED)

        return _each(namespaces, do)

    def update(self, namespaces: Sequence[v1.Namespace], caller: Caller) -> Outcome:
        """Comment and owners change when they are given; metadata and visibility become what is given, or nothing.

        That is how the original does it, so a client that means to keep them sends them along.
        """

        def do(m: v1.Namespace) -> Outcome:
            record = self._newest(m)
            if record is None:
                return _answer(v1.NotFoundResource, m)
            changed = structs.replace(
                record,
                comment=m.comment.value if m.HasField("comment") else record.comment,
                owners=m.owners.value if m.HasField("owners") else record.owners,
                metadata=dict(m.metadata),
                export_to=exported(m),
                auto_created=False,
            )
            return Outcome(respond(OK, namespace=m), self._registry.put_namespace(changed, caller))

        return _each(namespaces, do)

    def renew_token(self, m: v1.Namespace, caller: Caller) -> Outcome:
        """A new token."""
        refused, record = self._named(m)
        if record is None:
            return refused
        token = self._unique()
        commit = self._registry.put_namespace(with_token(record, token), caller)
        return Outcome(_named(m, token), commit)

    # ------------------------------------------------------------------ queries

    def token(self, query: Query, _caller: Caller) -> Outcome:
        """The token of the namespace called ``name``."""
        m = v1.Namespace(name={"value": single(query).get("name", "")})
        refused, record = self._named(m)
        return refused if record is None else Outcome(_named(m, namespace_token(record)))

    def find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        """Namespaces by ``name`` and ``owner`` (several values each, patterns), latest change first. A limit of 0: all."""
        return answering(lambda: self._find(query, caller))

    def _find(self, query: Query, caller: Caller) -> v1.BatchQueryResponse:
        sees = self._visible.namespaces(caller, "DescribeNamespaces")
        offset = _whole(query.get("offset"), 0)
        limit = min(_whole(query.get("limit"), MAX_PAGE), MAX_PAGE)
        names, owners = query.get("name"), query.get("owner")
        found = [
            record
            for record in self._registry.namespaces()
            if (not names or any(wild(name, record.name) for name in names))
            and (not owners or any(wild(owner, record.owners) for owner in owners))
            and sees(record.name)
        ]
        found.sort(key=lambda record: (-record.updated_ms, record.name))
        shown = found[offset : offset + limit] if limit else found
        answer = list_answer(OK, len(found), len(shown))
        answer.summary.SetInParent()
        services_of = self._services()
        for record in shown:
            services = services_of.get(record.name, [])
            counts = self._counting.sum(services)
            answer.namespaces.append(render_namespace(record, len(services), counts))
            answer.summary.total_service_count += len(services)
            answer.summary.total_instance_count += counts.total
            answer.summary.total_health_instance_count += counts.healthy
        return answer

    # ------------------------------------------------------------------ pieces

    def _services(self) -> dict[str, list[ServiceKey]]:
        """The services of every namespace."""
        found: dict[str, list[ServiceKey]] = {}
        for snapshot in self._registry:
            if snapshot.record is not None:
                found.setdefault(snapshot.key.namespace, []).append(snapshot.key)
        return found

    def _newest(self, m: v1.Namespace) -> NamespaceRecord | None:
        return self._registry.ledger.namespace(m.name.value)

    def _named(self, m: v1.Namespace) -> tuple[Outcome, NamespaceRecord | None]:
        """The namespace that a request is about, or else what to answer."""
        code = check_namespace(m)
        record = self._newest(m) if code == OK else None
        return _answer(v1.NotFoundResource if code == OK else code, m), record


def _each(namespaces: Sequence[v1.Namespace], do: Callable[[v1.Namespace], Outcome]) -> Outcome:
    """In the original namespaces have no round of checks before the work."""

    def judged(m: v1.Namespace) -> Outcome:
        code = check_namespace(m)
        return do(m) if code == OK else _answer(code, m)

    return one_by_one(namespaces, judged, "namespace")


def _answer(code: int, m: v1.Namespace) -> Outcome:
    return Outcome(respond(code, namespace=m))


def _named(m: v1.Namespace, token: str) -> v1.Response:
    answer = respond(OK)
    answer.namespace.name.CopyFrom(m.name)
    answer.namespace.token.value = token
    return answer


def _whole(values: list[str] | None, default: int) -> int:
    """A number that stands in a query at most once. Raises ``Refused`` else."""
    if not values:
        return default
    text: Any = values[0].removeprefix("+")
    if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(v1.InvalidParameter)
    return int(text)
