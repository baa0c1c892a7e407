"""SDKs that report themselves: ReportClient, the list of them, and where their metrics can be fetched.

A client with an id is a document with a lease of three report intervals; a report that says nothing new only renews it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import Outcome, code_of, respond
from polaris_bridge.adapters.polaris.settings import PolarisSettings
from polaris_bridge.adapters.polaris.translate.times import local_time
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller, Document, Location
from polaris_bridge.core.registry import Registry

from .queries import BadQuery, bad_query, filters_of, list_answer
from .routes import Query, Route

KIND: Final = "client"
"""The documents that clients are."""
MISSED_REPORTS: Final = 3
PROMETHEUS: Final = "prometheus"
"""``stat.target`` of metrics that a Prometheus server may fetch."""

_MAX_ID: Final = 128
"""Characters, as in the column of the original's database."""
_MAX_BYTES: Final = 16 * 1024
"""Of a whole report; real ones have a few hundred."""
_SCHEMES: Final = frozenset({"http", "https"})
_TYPES: Final = {v.number: v.name for v in v1.Client.DESCRIPTOR.enum_types_by_name["ClientType"].values}
_FILTERS: Final = ("host", "type", "version", "id")


class Target(Struct, frozen=True, gc=False):
    """Where a Prometheus server finds metrics."""

    host: str
    port: int
    path: str
    scheme: str
    client: str


class Known(Struct, frozen=True, gc=False):
    """What lists and scrapes look at, so that they need not decode every client."""

    host: str
    type: str
    version: str
    targets: tuple[Target, ...]


class Clients:
    """The clients of one registry."""

    def __init__(
        self,
        registry: Registry,
        settings: PolarisSettings,
        locate: Callable[[str], Location | None] = lambda _host: None,
    ) -> None:
        """``locate`` tells where a host is."""
        self._documents = registry.documents
        self._locate = locate
        self._lease_ms = round(MISSED_REPORTS * settings.client_report_s * 1000)
        self._known = {document.id: _known(document) for document in self._documents.all(KIND)}
        registry.observe(self._published)

    def _published(self, published: Published) -> None:
        for change in published.documents:
            if change.kind != KIND:
                continue
            if change.after is None:
                self._known.pop(change.id, None)
            else:
                self._known[change.id] = _known(change.after)

    # ------------------------------------------------------------------ report

    def report(self, client: v1.Client, caller: Caller) -> Outcome:
        """ReportClient. Without an id a client only learns where it is; with one it is kept, and its report is echoed.

        What another system knows of the host's location goes before what the client says.
        """
        location = self._locate(client.host.value)
        if location is not None:
            told = v1.Client()
            told.CopyFrom(client)
            told.location.CopyFrom(_message(location))
            client = told
        id = client.id.value
        if not id:
            answer = respond(v1.ExecuteSuccess)
            answer.client.SetInParent()
            if client.HasField("host"):
                answer.client.host.CopyFrom(client.host)
            if client.HasField("location"):
                answer.client.location.CopyFrom(client.location)
            return Outcome(answer)
        if len(id) > _MAX_ID or client.ByteSize() > _MAX_BYTES:
            return Outcome(respond(v1.InvalidParameter, client=client))
        body = _body(client)
        known = self._documents.renew(KIND, id)
        answer = respond(v1.ExecuteSuccess, client=client)
        if known is not None and known.body == body and known.lease_ms == self._lease_ms:
            return Outcome(answer)
        document = Document(KIND, id, name=client.host.value, body=body, lease_ms=self._lease_ms)
        try:
            return Outcome(answer, self._documents.put(document, caller))
        except CoreError as error:
            return Outcome(respond(code_of(error), client=client))

    # ------------------------------------------------------------------ queries

    def listed(self, query: Query, _caller: Caller) -> v1.BatchQueryResponse:
        """Clients by host, type, version and id, the latest change first."""
        try:
            page, filters = filters_of(query, _FILTERS)
        except BadQuery as error:
            return bad_query(error)
        found = [d for d in self._documents.all(KIND) if _passes(d.id, self._known[d.id], filters)]
        found.sort(key=lambda d: (-d.updated_ms, d.id))
        shown = found[page.offset : page.offset + page.limit]
        answer = list_answer(v1.ExecuteSuccess, len(found), len(shown))
        answer.clients.extend(map(_shown, shown))
        return answer

    def targets(self) -> Iterator[Target]:
        """Where the metrics of clients are, of those that say so."""
        for known in list(self._known.values()):
            yield from known.targets

    def routes(self) -> tuple[Route, ...]:
        """Its calls over HTTP."""
        return (
            Route(
                method="GET",
                path="/naming/v1/clients",
                operation="DescribeClients",
                handle=self.listed,
                response="BatchQueryResponse",
                include=frozenset({"default", "default-read"}),
                about="SDKs that report themselves, by host, type, version and id.",
                query=(*_FILTERS, "offset", "limit"),
            ),
        )


def _message(location: Location) -> v1.Location:
    return v1.Location(
        region={"value": location.region}, zone={"value": location.zone}, campus={"value": location.campus}
    )


def _body(client: v1.Client) -> bytes:
    """What is kept of a report: its times are the server's to say."""
    if client.HasField("ctime") or client.HasField("mtime"):
        timeless = v1.Client()
        timeless.CopyFrom(client)
        timeless.ClearField("ctime")
        timeless.ClearField("mtime")
        client = timeless
    return client.SerializeToString(deterministic=True)


def _shown(document: Document) -> v1.Client:
    client = v1.Client.FromString(document.body)
    client.ctime.value = local_time(document.created_ms)
    client.mtime.value = local_time(document.updated_ms)
    return client


def _known(document: Document) -> Known:
    client = v1.Client.FromString(document.body)
    targets = tuple(
        Target(client.host.value, stat.port.value, stat.path.value, stat.protocol.value, document.id)
        for stat in client.stat
        if stat.target.value == PROMETHEUS and stat.protocol.value.lower() in _SCHEMES
    )
    return Known(client.host.value, _TYPES.get(client.type, str(client.type)), client.version.value, targets)


def _passes(id: str, known: Known, filters: dict[str, str]) -> bool:
    return all((id if name == "id" else getattr(known, name)) == value for name, value in filters.items())
