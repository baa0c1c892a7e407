"""Discover: what stands behind a name, at a revision. One request, one answer, for every type there is.

Behaviour of polaris-server 1.19 as recorded, with these differences on purpose: a request without a service is told so for every
type that is served (SDKs take "invalid discover resource" for "never ask again"), the types 100 to 106 are served, and a
service that exists in another namespace only is found when it is exported.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from polaris_bridge.adapters._shared.catalog import Catalog, Sight
from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters.polaris.service.discover_answers import (
    DEFAULT_NAMESPACE,
    INSTANCE,
    NAMESPACES,
    OK,
    ROUTING,
    RULES,
    SERVICE,
    SERVICES,
    as_json,
    begin,
    direction,
    fault,
    headed,
    joined,
    refusal,
    services_as_json,
    unchanged,
)
from polaris_bridge.adapters.polaris.service.routes import Encoded
from polaris_bridge.adapters.polaris.service.visible import ALL, Visible
from polaris_bridge.adapters.polaris.translate.namespaces import render_namespace
from polaris_bridge.adapters.polaris.translate.services import Counts, render_service, service_revision
from polaris_bridge.adapters.polaris.translate.shown import Pairs
from polaris_bridge.adapters.polaris.view import LONG, NOTHING, ServiceView, Views, field
from polaris_bridge.adapters.polaris.view_services import ServiceLists, parts, refresh_in_slices, revision
from polaris_bridge.adapters.polaris.wire import json, v1
from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.registry import Registry

T = TypeVar("T")
log = logging.getLogger(__name__)

ALWAYS_REVISED: Final[int] = v1.DiscoverRequest.LANE
"""Types from this number on have a revision also when there is no rule: their readers wait for one."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Encoded answers that are kept, all together."""
KEPT_RULES: Final = 16_384
"""Answers about rules that are kept: small ones, one for each type and service that somebody asks for."""
KEPT_RULES_BYTES: Final = 4096
"""Of larger ones the revision alone is kept; they are put together for every reader that has another one."""
KEPT_NAME: Final = 512
"""Answers about longer names are not kept. No service has one: 128 characters and a namespace of 64 are the most."""
LONG_LIST: Final = 4 * LONG
"""More services than this to encode for one answer are encoded in slices."""

LONG_BYTES: Final = 16 * 1024
"""A list of services of more bytes than this becomes JSON in slices."""

_ALIAS_FOR: Final[int] = v1.DiscoverResponse.DESCRIPTOR.fields_by_name["aliasFor"].number


class Delivered(Struct, frozen=True):
    """The rules of one type for one service."""

    revision: str
    """Empty when there is nothing."""
    message: v1.DiscoverResponse
    """The fields that hold them, and no other."""


Deliver = Callable[[int, ServiceKey, ServiceKey], Delivered]
"""The rules of a type (a number of ``DiscoverRequest.type``) for a service; first the name that was asked for, then the service
that it means."""


def no_rules(type: int, asked: ServiceKey, _target: ServiceKey) -> Delivered:
    """What there is to deliver where there are no rules at all."""
    message = v1.DiscoverResponse()
    if type != ROUTING:
        return Delivered("", message)
    message.routing.service.value = asked.name
    message.routing.namespace.value = asked.namespace
    message.routing.revision.value = NOTHING
    return Delivered(NOTHING, message)


class Later(Generic[T]):
    """An answer that takes long to make: it comes when it is made, and others run meanwhile."""

    __slots__ = ("_begin",)

    def __init__(self, begin: Callable[[Callable[[T], None]], None]) -> None:
        self._begin = begin

    def then(self, reply: Callable[[T], None]) -> None:
        """Begin, and call back once."""
        self._begin(reply)


class _Answer:
    """What INSTANCE answers under one name."""

    __slots__ = ("body", "changes", "generation", "revision", "sight", "views")

    def __init__(self, generation: int, sight: Sight, views: list[ServiceView]) -> None:
        self.generation = generation
        self.sight = sight
        self.views = views
        self.changes = -1
        """Of the views, when the revision was made."""
        self.revision = ""
        self.body: bytes | None = None


_Ruled = tuple[tuple[int, int], str, bytes | None]
"""State of services and rules, the revision that rules had then, and the encoded answer if it is kept."""


class Discovering:
    """Everything that can be discovered. ``cache_size``: encoded answers of instances that are kept (``sizeCacheProto``)."""

    def __init__(
        self,
        registry: Registry,
        pairs: Pairs,
        deliver: Deliver = no_rules,
        *,
        cache_size: int = 128,
        visible: Visible | None = None,
    ) -> None:
        """``pairs``: see ``translate.shown``; ``visible``: what readers of lists see."""
        self._visible = visible or Visible()
        self.catalog = Catalog(registry)
        self._registry = registry
        self._deliver = deliver
        self._cache_size = cache_size
        self._views = Views(registry, pairs)
        self._lists = ServiceLists(self.catalog)
        self._slices = Slices(registry.scheduler)
        self._answers: dict[ServiceKey, _Answer] = {}
        self._kept: dict[ServiceKey, int] = {}
        """Names whose encoded answer is kept, the one that was used last at the end, with its size."""
        self._kept_bytes = 0
        self._rules: dict[tuple[int, ServiceKey], _Ruled] = {}
        self._rules_changed = 0
        self._namespaces: tuple[int, str, bytes] = (-1, "", b"")
        registry.observe(self._published)

    # ------------------------------------------------------------------ doors

    def discover(self, request: v1.DiscoverRequest, caller: Caller) -> bytes | Later[bytes]:
        """An encoded ``DiscoverResponse``. ``Filter`` is not looked at, as on the real server's gRPC port."""
        type, service = request.type, request.service
        if type == INSTANCE and request.HasField("service") and service.name.value:
            return self._instances(request, caller)
        if type in RULES and service.name.value and service.namespace.value:
            return self._rule(request)
        if type == SERVICES and request.HasField("service"):
            return self._services(request, caller)
        if type == NAMESPACES and request.HasField("service"):
            return self._all_namespaces(request, caller)
        return refusal(request, fault(request))

    def discover_json(self, request: v1.DiscoverRequest, caller: Caller) -> Encoded | Later[Encoded]:
        """The same as JSON; here ``Filter`` counts."""
        if request.type == INSTANCE and request.HasField("service") and request.service.name.value:
            return self._instances_json(request, caller)
        found = self.discover(request, caller)
        if not isinstance(found, Later):
            return self._as_json(request, found)

        def then(body: bytes, reply: Callable[[Encoded], None]) -> None:
            answer = self._as_json(request, body)
            if isinstance(answer, Later):
                answer.then(reply)
            else:
                reply(answer)

        return Later(lambda reply: found.then(lambda body: then(body, reply)))

    def revision(self, service: ServiceKey) -> Work:
        """What an answer about a service's instances says its revision is; empty when there is no such service. In slices: when
        nobody read the service lately, all of it has to be encoded for that."""
        answer = self._answer(service)
        if answer is not None:
            for view in list(answer.views):
                yield from view.refresh_in_slices(as_json=False)
        return self._revision(service)

    def _revision(self, service: ServiceKey) -> str:
        answer = self._answer(service)
        if answer is None:
            return ""
        self._bring_up(answer)
        return answer.revision

    @property
    def kept(self) -> int:
        """Services whose instances are kept encoded."""
        return len(self._views)

    def sweep(self) -> None:
        """Once a second: forget what nobody reads."""
        self._views.sweep(self._registry.clock.monotonic())
        for asked in [asked for asked, answer in self._answers.items() if any(v.dropped for v in answer.views)]:
            self._forget(asked)
            del self._answers[asked]

    # ------------------------------------------------------------------ instances

    def _instances(self, request: v1.DiscoverRequest, caller: Caller) -> bytes | Later[bytes]:
        service = request.service
        asked = ServiceKey(service.namespace.value or DEFAULT_NAMESPACE, service.name.value)
        answer = self._answer(asked)
        if answer is None:
            return refusal(request, v1.NotFoundResource)
        if sum(view.outdated for view in answer.views) > LONG:
            return self._in_slices(
                answer,
                lambda: self._instances(request, caller),
                lambda: refusal(request, v1.ExecuteException),
                as_json=False,
            )
        self._bring_up(answer)
        if answer.revision == service.revision.value:
            return unchanged(request)
        return self._body(asked, answer)

    def _instances_json(self, request: v1.DiscoverRequest, caller: Caller) -> Encoded | Later[Encoded]:
        service = request.service
        asked = ServiceKey(service.namespace.value or DEFAULT_NAMESPACE, service.name.value)
        answer = self._answer(asked)
        if answer is None:
            return as_json(refusal(request, v1.NotFoundResource))
        if sum(view.outdated + view.without_json() for view in answer.views) > LONG:
            return self._in_slices(
                answer,
                lambda: self._instances_json(request, caller),
                lambda: as_json(refusal(request, v1.ExecuteException)),
                as_json=True,
            )
        self._bring_up(answer)
        if answer.revision == service.revision.value:
            return as_json(unchanged(request))
        healthy_only = request.Filter.OnlyHealthyInstance
        items = [item for view in answer.views for item in view.json_items(healthy_only=healthy_only)]
        message = v1.DiscoverResponse.FromString(self._head(asked, answer) + self._tail(answer))
        if len(items) <= LONG:
            return Encoded(OK, json.encode(message, {"instances": items}))
        key = (INSTANCE, asked, answer.revision, healthy_only)
        return self._joined(key, lambda: joined(message, "instances", items), request)

    def _as_json(self, request: v1.DiscoverRequest, body: bytes) -> Encoded | Later[Encoded]:
        """An encoded answer as JSON, bit by bit when it is a long list."""
        if request.type != SERVICES or len(body) <= LONG_BYTES:
            return as_json(body)
        return self._joined(object(), lambda: services_as_json(body), request)

    def _joined(self, key: object, work: Callable[[], Work], request: v1.DiscoverRequest) -> Later[Encoded]:
        """What the work makes; whoever asks for the same meanwhile gets the same."""

        def start(reply: Callable[[Encoded], None]) -> None:
            self._slices.run(
                key,
                work,
                lambda made: reply(as_json(refusal(request, v1.ExecuteException)) if made is None else made),
            )

        return Later(start)

    def _answer(self, asked: ServiceKey) -> _Answer | None:
        """What is known of a name, its views read now; None when there is no such service."""
        generation = self.catalog.generation
        answer = self._answers.get(asked)
        if answer is None or answer.generation != generation:
            sight = self.catalog.sight(asked)
            if sight is None:
                if answer is not None:
                    self._forget(asked)
                    del self._answers[asked]
                return None
            if answer is not None and answer.sight.of is sight.of and answer.sight.sources == sight.sources:
                answer.generation = generation
            else:
                self._forget(asked)
                answer = _Answer(generation, sight, [self._views.of(key) for key in sight.sources])
                self._answers[asked] = answer
        now = self._registry.clock.monotonic()
        for view in answer.views:
            view.read_at = now
        return answer

    def _bring_up(self, answer: _Answer) -> None:
        """Its revision, as of now."""
        changes = 0
        for view in answer.views:
            if view.outdated:
                view.refresh()
            changes += view.changes
        if changes == answer.changes:
            return
        answer.changes = changes
        answer.body = None
        filled = [view for view in answer.views if len(view)]
        if not filled:
            answer.revision = NOTHING
            return
        digest = hashlib.blake2b(service_revision(answer.sight.of).encode(), digest_size=20)
        for view in filled:
            digest.update(f"{view.key.namespace}##{view.key.name}##".encode() + view.digest)
        answer.revision = digest.hexdigest()

    def _body(self, asked: ServiceKey, answer: _Answer) -> bytes:
        body = answer.body
        if body is None:
            self._forget(asked)
            parts = [self._head(asked, answer)]
            for view in answer.views:
                parts += view.contents()
            parts.append(self._tail(answer))
            body = b"".join(parts)
            if len(body) > KEPT_BYTES or not self._cache_size:
                return body
            answer.body = body
            self._kept_bytes += len(body)
        else:
            del self._kept[asked]
        self._kept[asked] = len(body)
        while len(self._kept) > self._cache_size or self._kept_bytes > KEPT_BYTES:
            self._forget(next(iter(self._kept)))
        return body

    def _head(self, asked: ServiceKey, answer: _Answer) -> bytes:
        """Everything before the instances: the service has the attributes of the target and the name that was asked for."""
        m = render_service(answer.sight.of)
        m.name.value, m.namespace.value = asked.name, asked.namespace
        m.revision.value = answer.revision
        self._fill_ports(m, answer)
        return begin(OK, INSTANCE) + field(SERVICE, m.SerializeToString(deterministic=True))

    def _tail(self, answer: _Answer) -> bytes:
        """What comes after them: the service itself."""
        m = render_service(answer.sight.of)
        self._fill_ports(m, answer)
        return field(_ALIAS_FOR, m.SerializeToString(deterministic=True))

    def _fill_ports(self, m: v1.Service, answer: _Answer) -> None:
        for view in answer.views:
            if view.key == answer.sight.of.key and view.ports and not m.ports.value:  # what somebody wrote there stays
                m.ports.value = view.ports

    def _forget(self, asked: ServiceKey) -> None:
        size = self._kept.pop(asked, None)
        if size is not None:
            self._kept_bytes -= size
            answer = self._answers.get(asked)
            if answer is not None:
                answer.body = None

    def _in_slices(
        self, answer: _Answer, again: Callable[[], T | Later[T]], failed: Callable[[], T], *, as_json: bool
    ) -> Later[T]:
        views = list(answer.views)

        def work() -> Work:
            for view in views:
                yield from view.refresh_in_slices(as_json=as_json)
            return True

        return self._after((tuple(view.key for view in views), as_json), work, again, failed)

    def _after(
        self, key: object, work: Callable[[], Work], again: Callable[[], T | Later[T]], failed: Callable[[], T]
    ) -> Later[T]:
        """The answer that can be made once the work is done. More may have come up meanwhile: then it is done again."""

        def start(reply: Callable[[T], None]) -> None:
            def done(complete: Any) -> None:
                try:
                    found = again() if complete else failed()
                except Exception:  # whoever waits must get an answer
                    log.exception("an answer to Discover could not be made")
                    found = failed()
                if isinstance(found, Later):
                    found.then(reply)
                else:
                    reply(found)

            self._slices.run(key, work, done)

        return Later(start)

    # ------------------------------------------------------------------ services and namespaces

    def _services(self, request: v1.DiscoverRequest, caller: Caller) -> bytes | Later[bytes]:
        service = request.service
        lists = self._lists.of(service.namespace.value)
        if sum(each.outdated for each in lists) > LONG_LIST:
            return self._after(
                (SERVICES, service.namespace.value),
                lambda: refresh_in_slices(lists),
                lambda: self._services(request, caller),
                lambda: refusal(request, v1.ExecuteException),
            )
        for each in lists:
            each.refresh()
        sees = self._visible.services(caller, "DiscoverServices")
        now, part = (revision(lists), None) if sees is ALL else parts(lists, sees)
        if not now:
            return begin(OK, SERVICES) + field(SERVICE, service.SerializeToString())
        if now == service.revision.value:
            return unchanged(request)
        contents = (each.content for each in lists) if part is None else (part,)
        return b"".join((headed(SERVICES, service, now), *contents))

    def _all_namespaces(self, request: v1.DiscoverRequest, caller: Caller) -> bytes:
        sees = self._visible.namespaces(caller, "Discover")
        generation, now, content = self._namespaces
        if sees is not ALL:
            now, content = self._namespaces_that(sees)
        elif generation != self.catalog.namespace_generation:
            now, content = self._namespaces_that(sees)
            self._namespaces = (self.catalog.namespace_generation, now, content)
        if now == request.service.revision.value:
            return unchanged(request)
        return headed(NAMESPACES, request.service, now) + content

    def _namespaces_that(self, sees: Callable[[str], bool]) -> tuple[str, bytes]:
        """The revision and the content of the namespaces that a reader may see."""
        m = v1.DiscoverResponse()
        for record in sorted(self._registry.namespaces(), key=lambda record: record.name):
            if not sees(record.name):
                continue
            namespace = m.namespaces.add()
            namespace.CopyFrom(render_namespace(record, 0, Counts()))
            for count in ("total_service_count", "total_instance_count", "total_health_instance_count"):
                namespace.ClearField(count)
        content = m.SerializeToString(deterministic=True)
        return hashlib.blake2b(content, digest_size=20).hexdigest() if content else NOTHING, content

    # ------------------------------------------------------------------ rules

    def _rule(self, request: v1.DiscoverRequest) -> bytes:
        service = request.service
        asked = ServiceKey(service.namespace.value, service.name.value)
        stamp = (self.catalog.generation, self._rules_changed)
        known = self._rules.get((request.type, asked))
        if known is None or known[0] != stamp:
            now, made = self._ruled(request.type, asked)
            known = self._keep_rules((request.type, asked), (stamp, now, made))
        _, now, body = known
        if now and now == service.revision.value:
            return unchanged(request)
        if body is None:
            body = self._ruled(request.type, asked)[1]
        return body + direction(request) if request.Direction else body

    def _keep_rules(self, key: tuple[int, ServiceKey], found: _Ruled) -> _Ruled:
        """Anybody may ask for any name, however long, and a rule for all services is in every answer."""
        self._rules.pop(key, None)
        if len(key[1].name) + len(key[1].namespace) <= KEPT_NAME:
            stamp, now, body = found
            self._rules[key] = found if body is None or len(body) <= KEPT_RULES_BYTES else (stamp, now, None)
            if len(self._rules) > KEPT_RULES:
                del self._rules[next(iter(self._rules))]
        return found

    def _ruled(self, type: int, asked: ServiceKey) -> tuple[str, bytes]:
        """Revision and answer for a type of rules."""
        target = self.catalog.target(asked)
        delivered = self._deliver(type, asked, target)
        now = delivered.revision or (NOTHING if type >= ALWAYS_REVISED else "")
        m = v1.DiscoverResponse()
        m.service.name.value, m.service.namespace.value = asked.name, asked.namespace
        if now:
            m.service.revision.value = now
            m.aliasFor.name.value, m.aliasFor.namespace.value = target.name, target.namespace
        head = begin(OK, type)
        return now, b"".join((head, m.SerializeToString(), delivered.message.SerializeToString(deterministic=True)))

    def _published(self, published: Published) -> None:
        for change in published.documents:
            document = change.after or change.before
            if document is not None and not document.lease_ms:  # what has a lease is no rule
                self._rules_changed += 1


__all__ = ["RULES", "Deliver", "Delivered", "Discovering", "Later", "no_rules"]
