"""Calls of our own on the HTTP port: tell of calls, ask which breakers are open and why, let an instance go.

SDKs have no native call to tell a server of their calls (``ReportClient`` carries none): they break circuits themselves.
Who may discover a service may tell of calls to it, and is answerable for it: under the account that a token proves, else under
the address that the report comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from google.protobuf.message import Message

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.polaris.answers import respond, text
from polaris_bridge.adapters.polaris.service.discovery import Later
from polaris_bridge.adapters.polaris.service.routes import CLIENT, CONSOLE, Query, Result, Route, Text, Unreadable
from polaris_bridge.adapters.polaris.settings import DISCOVER
from polaris_bridge.adapters.polaris.translate.breaking_shown import explained, state_of, told_of
from polaris_bridge.adapters.polaris.wire import breaking_told, v1
from polaris_bridge.adapters.polaris.wire.breaking_told import PARAMETERS, Malformed, Question, Report, ShownState
from polaris_bridge.core.breaking.breakers import Standing
from polaris_bridge.core.breaking.model import CLOSED
from polaris_bridge.core.breaking.model import Resource as Counted
from polaris_bridge.core.model import AddressKey, Caller, ServiceKey
from polaris_bridge.core.ports import Resource
from polaris_bridge.core.registry import Registry

from .breaking import CircuitBreaking

REPORT: Final = "/naming/v1/circuitbreaker/report"
EXPLAIN: Final = "/naming/v1/circuitbreaker/explain"
RELEASE: Final = "/naming/v1/circuitbreaker/release"
MAY_REPORT: Final = "DiscoverInstances"
MAY_EXPLAIN: Final = "DiscoverCircuitBreakerRule"
MAY_RELEASE: Final = "UpdateInstancesIsolate"
"""The rights that are asked for: policies know no finer ones."""
PIECE: Final = 64
"""Results that are counted in one go."""
KEPT: Final = 256
"""Services whose addresses in networks of their own are kept by host and port."""
_OK: Final[int] = v1.ExecuteSuccess


class BreakingCalls:
    """Circuit breaking over HTTP."""

    def __init__(self, registry: Registry, catalog: Catalog, breaking: CircuitBreaking) -> None:
        self._registry = registry
        self._catalog = catalog
        self._breaking = breaking
        self._slices = Slices(registry.scheduler)
        self._networks: dict[ServiceKey, tuple[int, Mapping[tuple[str, int], Sequence[AddressKey]]]] = {}
        """Addresses in networks of their own, as of a revision of the service."""

    def report(self, body: bytes, caller: Caller) -> Result:
        """Calls were made. Raises ``Unreadable``."""
        breaking = self._breaking
        try:
            report = breaking_told.read_report(body)
        except Malformed as error:
            breaking.counters.malformed += 1
            raise Unreadable(str(error)) from None
        service = self._service(report.namespace, report.service)
        if isinstance(service, Message):
            return service
        if not report.results:
            breaking.counters.malformed += 1
            raise Unreadable("results: expected at least one")
        voice = f"account {caller.principal}" if caller.principal else f"address {caller.address}"
        if not breaking.room_for(voice, len(report.results)):
            breaking.counters.too_many += 1
            return respond(v1.IPRateLimit)
        work = self._count(report, service, voice)
        if len(report.results) <= PIECE:
            return _finished(work)
        return Later(lambda reply: self._slices.run(object(), lambda: work, reply))

    def _count(self, report: Report, service: ServiceKey, voice: str) -> Generator[None, None, Text]:
        """Count what was told; the answer."""
        found: dict[Counted, Standing] = {}
        for at, told in enumerate(told_of(report, service, voice, partial(self._places, service))):
            found.update((standing.resource, standing) for standing in self._breaking.tell(told))
            if at % PIECE == PIECE - 1:
                yield
        addresses = self._registry.snapshot(service).addresses
        states: list[ShownState] = []
        for each in found.values():
            if each.breaker.state != CLOSED:
                place = each.resource.place
                address = None if place is None else addresses.get(place)
                states.append(state_of(each, ejected=address is not None and address.ejection is not None))
        return Text(breaking_told.encode(breaking_told.Told(_OK, text(_OK), states)))

    def explain(self, asked: bytes | Query, _caller: Caller) -> Result:
        """Which breakers there are of a service, and why. Raises ``Unreadable``."""
        question = question_of(asked)
        service = self._service(question.namespace, question.service)
        if isinstance(service, Message):
            return service
        return Text(
            breaking_told.encode(
                explained(
                    (_OK, text(_OK)),
                    question,
                    service,
                    self._breaking.breakers,
                    () if self._breaking.detector is None else self._breaking.detector.of(service),
                    self._registry.ejections.of(service),
                )
            )
        )

    def release(self, body: bytes, caller: Caller) -> Result:
        """All calls go to an instance again. 200002 when they did. Raises ``Unreadable``."""
        question = question_of(body)
        service = self._service(question.namespace, question.service)
        if isinstance(service, Message):
            return service
        found = self._places(service, question.host, question.port)
        if not found:
            return respond(v1.NotFoundInstance)
        released = [self._breaking.release(service, place, caller) for place in found]
        return respond(_OK if any(released) else v1.NoNeedUpdate)

    # ------------------------------------------------------------------ pieces

    def _service(self, namespace: str, name: str) -> ServiceKey | Message:
        """The service that a name means, or what is answered when there is none."""
        if not name:
            return respond(v1.InvalidServiceName)
        key = ServiceKey(namespace, name)
        sight = self._catalog.sight(key)
        return respond(v1.NotFoundResource) if sight is None else sight.of.key

    def _places(self, service: ServiceKey, host: str, port: int) -> Sequence[AddressKey]:
        """The addresses of a service that a caller may mean: without a network, else in any that somebody named."""
        snapshot = self._registry.snapshot(service)
        plain = AddressKey(host, port)
        if plain in snapshot.addresses:
            return (plain,)
        kept = self._networks.get(service)
        if kept is None or kept[0] != snapshot.revision:
            by_place: dict[tuple[str, int], list[AddressKey]] = {}
            for place in snapshot.addresses:
                if place.vpc:
                    by_place.setdefault((place.host, place.port), []).append(place)
            if len(self._networks) >= KEPT:
                self._networks.pop(next(iter(self._networks)))
            kept = self._networks[service] = snapshot.revision, by_place
        return kept[1].get((host, port), ())

    # ------------------------------------------------------------------ routes

    def routes(self) -> tuple[Route, ...]:
        """All of them; ``explain`` also as a URL that can be typed."""
        explain, why = (
            ("ExplainCircuitBreakers", MAY_EXPLAIN, self.explain, _asked),
            "The breakers of a service, and why.",
        )
        return (
            _route(
                "POST", REPORT, "ReportCalls", MAY_REPORT, self.report, _reported, "Tell how calls to a service went."
            ),
            _route("GET", EXPLAIN, *explain, why),
            _route("POST", EXPLAIN, *explain, "The same, asked in JSON."),
            _route(
                "POST", RELEASE, "ReleaseInstance", MAY_RELEASE, self.release, _asked, "Let an instance go.", CONSOLE
            ),
        )


def _finished(work: Generator[None, None, Text]) -> Text:
    """The result of work that is not worth slices."""
    while True:
        try:
            next(work)
        except StopIteration as stop:
            found: Text = stop.value
            return found


def question_of(asked: bytes | Query) -> Question:
    """What was asked. Raises ``Unreadable``."""
    try:
        return breaking_told.read_question(asked) if isinstance(asked, bytes) else breaking_told.read_query(asked)
    except Malformed as error:
        raise Unreadable(str(error)) from None


def _asked(asked: Any) -> tuple[Resource, ...]:
    question = question_of(asked)
    return (Resource("service", question.namespace, question.service),) if question.service else ()


def _reported(body: Any) -> tuple[Resource, ...]:
    """The called service, and the one that the caller says to be: its own rules count then."""
    try:
        report: Report = breaking_told.read_report(body)
    except Malformed as error:
        raise Unreadable(str(error)) from None
    caller = report.caller
    named = ((report.namespace, report.service), (caller.namespace or report.namespace, caller.service))
    return tuple(Resource("service", *key) for key in dict.fromkeys(named) if key[1])


def _route(
    method: str,
    path: str,
    operation: str,
    right: str,
    handle: Callable[..., Result],
    about: Callable[[Any], tuple[Resource, ...]],
    words: str,
    group: str = CLIENT,
) -> Route:
    typed = method == "GET"
    return Route(
        method=method,
        path=path,
        operation=operation,
        named=lambda _asked: right,
        handle=handle,
        takes="query" if typed else "bytes",
        response="",
        group=group,
        include=frozenset({DISCOVER}) if group == CLIENT else frozenset({"default"}),
        resources=about,
        about=words,
        query=PARAMETERS if typed else (),
        unread="Response",
    )
