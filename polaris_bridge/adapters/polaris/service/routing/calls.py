"""Two calls of our own on the HTTP port: where a call would go and why, and one instance for a call.

For clients that have no SDK to evaluate rules, and for whoever wonders what the rules do. Who may discover a service may ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from google.protobuf.message import Message

from polaris_bridge.adapters._shared.catalog import Catalog
from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.polaris.answers import respond, text
from polaris_bridge.adapters.polaris.service.discovery import Later
from polaris_bridge.adapters.polaris.service.routes import CLIENT, Query, Result, Route, Text, Unreadable
from polaris_bridge.adapters.polaris.settings import DISCOVER
from polaris_bridge.adapters.polaris.translate.routing_asked import (
    caller_service,
    explanation,
    looking,
    picked,
    traveller,
)
from polaris_bridge.adapters.polaris.translate.shown import Pairs
from polaris_bridge.adapters.polaris.wire import routing_asked, v1
from polaris_bridge.adapters.polaris.wire.routing_asked import PARAMETERS, Malformed, Question
from polaris_bridge.core.model import Caller, Location, ServiceKey
from polaris_bridge.core.ports import Ids, Resource
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.routing.model import Target, Traveller
from polaris_bridge.core.routing.picking import POLICIES, WEIGHTED_RANDOM, Picker
from polaris_bridge.core.routing.record import PICK as BY_PICK
from polaris_bridge.core.routing.router import Router

from .sources import ReadTargets, SeenServices, routing_rules

MOST_SHOWN: Final = 100
"""Instances of each group that an explanation shows."""
OPERATION: Final = "DiscoverInstances"
EXPLAIN: Final = "/naming/v1/routing/explain"
PICK: Final = "/naming/v1/instances/pick"


class RoutingCalls:
    """Routing for whoever asks."""

    def __init__(
        self,
        registry: Registry,
        catalog: Catalog,
        pairs: Pairs,
        ids: Ids,
        locate: Callable[[str], Location | None] = lambda _host: None,
        discovery: DiscoveryRouting | None = None,
    ) -> None:
        """``pairs``: see ``translate.shown``; ``locate`` tells where a host is. ``discovery``: by what look-ups are answered."""

        def chance(below: int) -> int:
            return int(ids.unique()[-15:], 16) % below

        self._catalog = catalog
        self._discovery = discovery
        self._locate = locate
        self._services = SeenServices(registry, catalog, ReadTargets(registry, pairs))
        rules = routing_rules(registry) if discovery is None else discovery.rules
        self._rules = rules
        self._clock = registry.clock
        self.router = Router(self._services, rules, registry.clock, chance)
        self._picker = Picker(chance)
        self._slices = Slices(registry.scheduler)

    # ------------------------------------------------------------------ calls

    def explain(self, asked: bytes | Query, _caller: Caller) -> Result:
        """Where a call would go, and why. Raises ``Unreadable``."""
        return self._answered(question_of(asked), self._explained)

    def pick(self, asked: bytes, _caller: Caller) -> Result:
        """One instance for a call. Raises ``Unreadable``."""
        question = question_of(asked)
        if question.policy and question.policy not in POLICIES:
            raise Unreadable(f"policy: expected one of {', '.join(POLICIES)}")
        return self._answered(question, self._picked)

    def _answered(self, question: Question, answer: Callable[[Question, ServiceKey], Message | Text]) -> Result:
        """The answer; later when there are many instances to read for it."""
        service = self._service(question)
        if service is None:
            return respond(v1.NotFoundResource if question.service else v1.InvalidServiceName)
        work = self._services.ahead(service)
        if work is None:
            return answer(question, service)
        return Later(
            lambda reply: self._slices.run(
                service, lambda: work, lambda done: reply(answer(question, service) if done else None)
            )
        )

    def _explained(self, question: Question, service: ServiceKey) -> Text:
        who = self._who(question)
        decision, unread = self.router.explain(service, who), self.router.unread(service, who)
        decided = self._rules.record.of(service)
        told = None if self._discovery is None else self._discovery.explain(service, looking(question))
        return _answer(
            explanation(
                v1.ExecuteSuccess, text(v1.ExecuteSuccess), service, decision, unread, MOST_SHOWN, decided, told
            )
        )

    def _picked(self, question: Question, service: ServiceKey) -> Message | Text:
        who, policy = self._who(question), question.policy or WEIGHTED_RANDOM
        decision = self.router.decide(service, who)
        self._rules.record.note(service, BY_PICK, who, decision, self._clock.wall_ms())
        found = self._picker.pick(decision, policy, (service, who.service, decision.rule), question.key)
        if found is None:
            return respond(v1.NotFoundInstance, f"{text(v1.NotFoundInstance)}: {decision.why}")
        return _answer(picked(v1.ExecuteSuccess, text(v1.ExecuteSuccess), policy, decision, *found))

    # ------------------------------------------------------------------ who and where

    def _service(self, question: Question) -> ServiceKey | None:
        """The name that was asked for, if something stands behind it."""
        if not question.service:
            return None
        key = ServiceKey(question.namespace, question.service)
        return None if self._catalog.sight(key) is None else self._catalog.target(key)

    def _who(self, question: Question) -> Traveller:
        host = question.caller.host
        located = self._locate(host) if host and question.caller.location is None else None
        return traveller(question, self._own(question), located)

    def _own(self, question: Question) -> Target | None:
        """The caller's own instance: of its service, at its address."""
        key, host, port = caller_service(question), question.caller.host, question.caller.port
        if key is None or not host:
            return None
        return next((t for t in self._services.at(key, host) if port in (0, t.port)), None)

    def _about(self, asked: Any) -> tuple[Resource, ...]:
        """Discovery is of the called service; what the caller registered is read too, so its services count as well."""
        question = question_of(asked)
        keys = [ServiceKey(question.namespace, question.service)]
        own = caller_service(question)
        if own is not None and question.caller.host:
            keys.append(own)
        if self._discovery is not None:
            keys += self._discovery.known.who(looking(question)).services
        return tuple(Resource("service", *key) for key in dict.fromkeys(keys) if key.name)

    # ------------------------------------------------------------------ routes

    def routes(self) -> tuple[Route, ...]:
        """Both calls; the first also as a URL that can be typed."""
        return (
            _route(
                "GET",
                EXPLAIN,
                self.explain,
                self._about,
                "Where a call would go, what a look-up gives, and why: groups of instances and every step.",
            ),
            _route("POST", EXPLAIN, self.explain, self._about, "The same, asked in JSON."),
            _route(
                "POST",
                PICK,
                self.pick,
                self._about,
                "One instance for a call, by the rules and a policy of load balancing.",
            ),
        )


def question_of(asked: bytes | Query) -> Question:
    """What was asked. Raises ``Unreadable``."""
    try:
        return routing_asked.read(asked) if isinstance(asked, bytes) else routing_asked.read_query(asked)
    except Malformed as error:
        raise Unreadable(str(error)) from None


def _route(
    method: str, path: str, handle: Callable[..., Result], resources: Callable[[Any], tuple[Resource, ...]], about: str
) -> Route:
    typed = method == "GET"
    return Route(
        method=method,
        path=path,
        operation=OPERATION,
        handle=handle,
        takes="query" if typed else "bytes",
        response="",
        group=CLIENT,
        include=frozenset({DISCOVER}),
        resources=resources,
        about=about,
        query=PARAMETERS if typed else (),
        unread="Response",
    )


def _answer(answer: routing_asked.Explanation | routing_asked.Picked) -> Text:
    return Text(routing_asked.encode(answer))
