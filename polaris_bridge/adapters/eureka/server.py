"""Eureka's HTTP: request -> wire -> service -> wire -> response. No rule of business here.

One function, ``EurekaServer.handle``, answers everything; the listener calls it beneath the framework for what ``hot`` claims
and through Starlette for the rest.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Generator
from typing import Final
from urllib.parse import parse_qsl, unquote

from starlette.applications import Starlette
from starlette.routing import Mount

from polaris_bridge.adapters._shared.asking import Asked
from polaris_bridge.adapters._shared.endpoint import asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Deferred, Handler, Headers, Request, Response
from polaris_bridge.adapters._shared.slices import Slices, Work
from polaris_bridge.adapters._shared.throttle import Excess
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import Busy, Conflict, CoreError, Denied, Invalid, NotFound, Throttled, Unavailable
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Credential, Undecided

from . import page
from .listing import Body
from .reading import Readable
from .service import Anonymous, EurekaService, Outcome
from .translate import SOURCE
from .wire import negotiation
from .wire.decoding import decode_instance
from .wire.messages import Format, Malformed, ReplicationItem, first_defect
from .wire.replication import decode_batch, encode_answers, gunzip
from .wire.variants import VARIANTS, Variant

_JSON: Final = (b"Content-Type", b"application/json")
_XML: Final = (b"Content-Type", b"application/xml")
_HTML: Final = (b"Content-Type", b"text/html;charset=UTF-8")
_GZIP: Final = (b"Content-Encoding", b"gzip")
_TYPES: Final = {"json": (_JSON,), "xml": (_XML,)}
_GZIPPED: Final = {"json": (_GZIP, _JSON), "xml": (_GZIP, _XML)}

_EMPTY: Final = {status: Response(status) for status in (200, 204, 400, 403, 404, 406, 409, 413, 415, 429, 500, 503)}
"""Errors have no body on purpose: 1.x clients take a body of a 404 for an instance and never register again."""
_UNAUTHORIZED: Final = Response(401, b"", ((b"WWW-Authenticate", b'Basic realm="eureka"'),))


def too_many(_request: Request, _found: Excess) -> Response:
    """What who calls too often is answered, as by polaris-server 1.19: a status and nothing more."""
    return _EMPTY[429]


_ERRORS: Final[tuple[tuple[type[CoreError], int], ...]] = (
    (Busy, 503),
    (Unavailable, 503),
    (Denied, 403),
    (Throttled, 429),
    (Invalid, 400),
    (Conflict, 400),
    (NotFound, 400),
)
"""The core's refusals; with 400 the reason is said in the body, as for every incomplete registration."""

_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|%2[Ff]|%5[Cc]|%00")
_NAMESPACE: Final = re.compile(r"[0-9A-Za-z\-./:_]{1,64}\Z", re.ASCII)

Observe = Callable[[str, int, float], None]
"""Told of every finished call: operation, status, seconds."""
_ROUTES: Final[dict[str, tuple[str, str]]] = {
    # resource: (methods as the Allow header lists them, operation that reads need rights for)
    "apps": ("GET,OPTIONS", "service:read"),
    "delta": ("GET,OPTIONS", "service:read"),
    "app": ("POST,GET,OPTIONS", "service:read"),
    "instance": ("GET,DELETE,OPTIONS,PUT", "service:read"),
    "instance-status": ("DELETE,OPTIONS,PUT", "service:read"),
    "instance-metadata": ("OPTIONS,PUT", "service:read"),
    "any-instance": ("GET,OPTIONS", "service:read"),
    "vip": ("GET,OPTIONS", "service:read"),
    "svip": ("GET,OPTIONS", "service:read"),
    "batch": ("POST,OPTIONS", "service:read"),
    "asg": ("OPTIONS,PUT", "service:read"),
    "status": ("GET,OPTIONS", "server:read"),
    "page": ("GET,OPTIONS", "server:read"),
    "lastn": ("GET,OPTIONS", "server:read"),
}


_DISCOVERY: Final = frozenset({"apps", "delta", "app", "instance", "vip", "svip"})


class Target:
    """What a path names: the resource, its names, and the namespace when the path says one."""

    __slots__ = ("app", "id", "namespace", "resource")

    def __init__(self, resource: str, app: str = "", id: str = "", namespace: str | None = None) -> None:
        self.resource = resource
        self.app = app
        self.id = id
        self.namespace = namespace


class Durable:
    """A response that is sent when its commit is durable; 503 when the store did not take it."""

    __slots__ = ("_commit", "_response", "observe")

    def __init__(self, commit: Commit, response: Response) -> None:
        self._commit = commit
        self._response = response
        self.observe: Callable[[int], None] | None = None
        """Told the status when it is known."""

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def settled(error: Exception | None) -> None:
            response = self._response if error is None else _EMPTY[503]
            if self.observe is not None:
                self.observe(response.status)
            reply(response)

        self._commit.then(settled)


class InSlices:
    """A response that is made bit by bit, see ``Slices``; 500 when that fails."""

    __slots__ = ("_begin", "observe")

    def __init__(self, begin: Callable[[Callable[[Response | Durable | None], None]], None]) -> None:
        self._begin = begin
        self.observe: Callable[[int], None] | None = None
        """Told the status when it is known."""

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def answer(response: Response) -> None:
            if self.observe is not None:
                self.observe(response.status)
            reply(response)

        def made(result: Response | Durable | None) -> None:
            if isinstance(result, Durable):
                result.then(answer)
            else:
                answer(_EMPTY[500] if result is None else result)

        self._begin(made)


def _with_headers(work: Work, headers: Headers) -> Work:
    body = yield from work
    return Response(200, body, headers)


def _large_body(view: Readable, what: str, variant: Variant, gzipped: bool) -> Body:
    return view.all(variant, gzipped) if what == "apps" else view.delta(variant, gzipped)


def _after(ahead: Work, view: Readable, what: str, variant: Variant, gzipped: bool) -> Work:
    """A list, once it is up to date."""
    yield from ahead
    long_work = view.long_work(what, variant, gzipped)
    if long_work is None:
        return _large_body(view, what, variant, gzipped)
    body = yield from long_work()
    return body


Answer = Response | Durable | InSlices


class EurekaServer:
    """The HTTP face of one listener."""

    def __init__(
        self,
        service: EurekaService,
        observe: Observe | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
        discovered: Callable[[str, str], None] | None = None,
    ) -> None:
        """``observe`` is told of every finished call, ``discovered`` of every read: namespace and service ("*" = all)."""
        self._service = service
        self._discovered = discovered
        self._default = service.settings.namespace
        self._slices = Slices(service.registry.scheduler)
        self._batches = 0
        self._observe = observe
        self._elapsed = elapsed

    # ------------------------------------------------------------------ entry points

    def hot(self, _method: bytes, target: bytes) -> Handler | None:
        """Claims what makes up nearly all traffic: applications and instances, and peers' batches."""
        if target.startswith((b"/eureka/apps", b"/eureka/v2/apps", b"/eureka/peerreplication")):
            return self.handle
        return None

    def app(self) -> Starlette:
        """The cold path."""
        endpoint = asgi_endpoint(self.handle, max_body_size=self._service.settings.max_body_bytes)
        return Starlette(routes=[Mount("/", app=endpoint)])

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request."""
        began = self._elapsed()
        try:
            operation, answer = self._answer(request)
        except Undecided as undecided:
            return Asked(undecided, lambda: self.handle(request), refusal)
        observe = self._observe
        if observe is not None:
            if isinstance(answer, Response):
                observe(operation, answer.status, self._elapsed() - began)
            else:
                answer.observe = lambda status: observe(operation, status, self._elapsed() - began)
        return answer

    def _answer(self, request: Request) -> tuple[str, Answer]:
        path = request.path
        if "%" in path and _BAD_PERCENT.search(path):
            return "unknown", _EMPTY[400]
        target = locate(path)
        if target is None:
            return "unknown", _EMPTY[404]
        method = "GET" if request.method == "HEAD" else request.method
        allowed, read = _ROUTES[target.resource]
        handler = _HANDLERS.get(f"{method} {target.resource}")
        if handler is None:
            status = 200 if method == "OPTIONS" else 405
            return f"OTHER {target.resource}", Response(status, b"", ((b"Allow", allowed.encode()),))
        operation = f"{method} {target.resource}"
        namespace = target.namespace
        if namespace is None:
            namespace = request.header(b"x-namespace") or self._default
        if namespace is not self._default and not _NAMESPACE.match(namespace):
            return operation, _EMPTY[400]
        try:
            right = read if method == "GET" else "registration:write"
            caller = self._caller(request, right, namespace, target.app)
            if method == "GET" and self._discovered is not None and target.resource in _DISCOVERY:
                self._discovered(namespace, target.app or target.id or "*")
            return operation, handler(self, request, target, namespace, caller)
        except Anonymous:
            return operation, _UNAUTHORIZED
        except CoreError as error:
            return operation, refusal(error)

    # ------------------------------------------------------------------ reads

    def apps(self, request: Request, _target: Target, namespace: str, caller: Caller) -> Answer:
        """GET apps"""
        return self._large(request, self._service.everything(self._service.view(namespace, caller), caller), "apps")

    def delta(self, request: Request, _target: Target, namespace: str, caller: Caller) -> Answer:
        """GET apps/delta"""
        return self._large(request, self._service.changed(self._service.view(namespace, caller), caller), "delta")

    def application(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """GET apps/{app}"""
        view = self._service.looked_up(self._service.view(namespace), caller)
        return self._list(request, lambda variant: view.application(target.app, variant))

    def vip(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """GET vips/{vip} and svips/{vip}"""
        view = self._service.looked_up(self._service.view(namespace, caller), caller)
        secure = target.resource == "svip"
        return self._list(request, lambda variant: view.vip(target.id, secure, variant))

    def instance(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """GET apps/{app}/{id} and instances/{id}"""
        view = self._service.looked_up(self._service.view(namespace, caller), caller)
        entry = view.entry(target.app, target.id) if target.app else view.entry_anywhere(target.id)
        variant = _entity_variant(request)
        if variant is None:
            return _EMPTY[406]
        if entry is None:
            return _EMPTY[404]
        return Response(200, variant.instance_document(view.info(entry)), _TYPES[variant.format])

    def _large(self, request: Request, view: Readable, what: str) -> Answer:
        """A list that may hold everything: gzipped when welcome, made in slices when there is much to encode."""
        variant = negotiation.list_variant(request.header(b"accept"), request.header(b"x-eureka-accept"))
        if variant is None:
            return _EMPTY[406]
        gzipped = negotiation.accepts_gzip(request.header(b"accept-encoding"))
        headers = (_GZIPPED if gzipped else _TYPES)[variant.format]
        key = (view.identity, what, variant.format, variant.detail, gzipped)
        ahead = view.ahead()
        if ahead is not None:
            work = _after(ahead, view, what, variant, gzipped)
            return InSlices(lambda done: self._slices.run(("ahead", *key), lambda: _with_headers(work, headers), done))
        long_work = view.long_work(what, variant, gzipped)
        if long_work is not None:
            return InSlices(lambda done: self._slices.run(key, lambda: _with_headers(long_work(), headers), done))
        return Response(200, _large_body(view, what, variant, gzipped), headers)

    def _list(self, request: Request, body: Callable[[Variant], Body | None]) -> Response:
        variant = negotiation.list_variant(request.header(b"accept"), request.header(b"x-eureka-accept"))
        if variant is None:
            return _EMPTY[406]
        found = body(variant)
        return _EMPTY[404] if found is None else Response(200, found, _TYPES[variant.format])

    # ------------------------------------------------------------------ writes

    def register(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """POST apps/{app}"""
        content_type = request.header(b"content-type")
        body_format = negotiation.body_format(content_type)
        if body_format is None or content_type is None:
            return _EMPTY[415]
        try:
            info = decode_instance(request.body, content_type)
        except Malformed:
            media_type, text = negotiation.parse_error(body_format)
            return Response(400, text, ((b"Content-Type", media_type.encode()),))
        defect = first_defect(info, target.app)
        if defect is not None:
            return Response(400, defect.encode(), (_XML,))
        return _answer(self._service.register(namespace, info, caller, _replicated(request)), request)

    def renew(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """PUT apps/{app}/{id}"""
        query = _query(request.query)
        outcome = self._service.renew(
            namespace,
            target.app,
            target.id,
            query.get("lastDirtyTimestamp"),
            query.get("overriddenstatus"),
            _replicated(request),
            caller,
        )
        return _EMPTY[200] if outcome.status == 200 else _answer(outcome, request)

    def cancel(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """DELETE apps/{app}/{id}"""
        return _answer(
            self._service.cancel(namespace, target.app, target.id, caller, replicated=_replicated(request)), request
        )

    def set_status(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """PUT apps/{app}/{id}/status"""
        query = _query(request.query)
        value, dirty = query.get("value"), query.get("lastDirtyTimestamp")
        outcome = self._service.set_status(
            namespace, target.app, target.id, value, dirty, caller, replicated=_replicated(request)
        )
        return _answer(outcome, request)

    def delete_status(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """DELETE apps/{app}/{id}/status"""
        query = _query(request.query)
        value, dirty = query.get("value"), query.get("lastDirtyTimestamp")
        outcome = self._service.delete_status(
            namespace, target.app, target.id, value, dirty, caller, replicated=_replicated(request)
        )
        return _answer(outcome, request)

    def set_metadata(self, request: Request, target: Target, namespace: str, caller: Caller) -> Answer:
        """PUT apps/{app}/{id}/metadata"""
        pairs = _query(request.query)
        return _answer(self._service.set_metadata(namespace, target.app, target.id, pairs, caller), request)

    def batch(self, request: Request, _target: Target, namespace: str, caller: Caller) -> Answer:
        """POST peerreplication/batch"""
        if negotiation.body_format(request.header(b"content-type")) != "json":
            return _EMPTY[415]
        answer_format = negotiation.entity_format(request.header(b"accept"))
        if answer_format is None:
            return _EMPTY[406]
        try:
            body = request.body
            if "gzip" in (request.header(b"content-encoding") or ""):
                body = gunzip(body, self._service.settings.max_body_bytes)
            items = decode_batch(body).items
        except Malformed:
            media_type, text = negotiation.parse_error("json")
            return Response(400, text, ((b"Content-Type", media_type.encode()),))
        self._batches += 1
        work = self._replicate(namespace, items, caller, answer_format)
        return InSlices(lambda done: self._slices.run(("batch", self._batches), lambda: work, done))

    def _replicate(
        self, namespace: str, items: list[ReplicationItem], caller: Caller, answer_format: Format
    ) -> Generator[None, None, Response | Durable]:
        try:
            answers, commit = yield from self._service.replicate(namespace, items, caller)
        except CoreError as error:
            return refusal(error)
        response = Response(200, encode_answers(answers, answer_format), _TYPES[answer_format])
        return response if commit.done and commit.error is None else Durable(commit, response)

    def asg(self, _request: Request, _target: Target, _namespace: str, _caller: Caller) -> Answer:
        """PUT asg/{name}/status: an Amazon feature; a server elsewhere refuses it."""
        return _EMPTY[400]

    # ------------------------------------------------------------------ about the server

    def status(self, request: Request, _target: Target, namespace: str, _caller: Caller) -> Answer:
        """GET status"""
        answer_format = negotiation.entity_format(request.header(b"accept"))
        if answer_format is None:
            return _EMPTY[406]
        body = page.status_document(page.facts(self._service, namespace), answer_format)
        return Response(200, body, _TYPES[answer_format])

    def page(self, _request: Request, _target: Target, namespace: str, caller: Caller) -> Answer:
        """GET /: the page that people and scrapers know"""
        view = self._service.view(namespace, caller)
        return Response(200, page.home(page.facts(self._service, namespace), view), (_HTML,))

    def lastn(self, _request: Request, _target: Target, _namespace: str, caller: Caller) -> Answer:
        """GET /lastn: the latest registrations and cancellations of what the caller may see"""
        return Response(200, page.last_changes(self._service.seen_changes(caller)), (_HTML,))

    # ------------------------------------------------------------------ pieces

    def _caller(self, request: Request, operation: str, namespace: str, app: str) -> Caller:
        header = request.header
        caller = Caller(SOURCE, request.peer, "", header(b"discoveryidentity-id") or "", header(b"user-agent") or "")
        return self._service.admit(
            _credential(header(b"authorization"), request.peer), operation, namespace, caller, app
        )


_HANDLERS: Final[dict[str, Callable[[EurekaServer, Request, Target, str, Caller], Answer]]] = {
    "GET apps": EurekaServer.apps,
    "GET delta": EurekaServer.delta,
    "GET app": EurekaServer.application,
    "POST app": EurekaServer.register,
    "GET instance": EurekaServer.instance,
    "PUT instance": EurekaServer.renew,
    "DELETE instance": EurekaServer.cancel,
    "PUT instance-status": EurekaServer.set_status,
    "DELETE instance-status": EurekaServer.delete_status,
    "PUT instance-metadata": EurekaServer.set_metadata,
    "GET any-instance": EurekaServer.instance,
    "GET vip": EurekaServer.vip,
    "GET svip": EurekaServer.vip,
    "POST batch": EurekaServer.batch,
    "PUT asg": EurekaServer.asg,
    "GET status": EurekaServer.status,
    "GET page": EurekaServer.page,
    "GET lastn": EurekaServer.lastn,
}


def locate(path: str) -> Target | None:
    """What a raw path names; None = nothing. Names are decoded; applications are upper-case, ids as they are."""
    parts = path.split("/")
    if parts[-1] == "":
        parts.pop()
    namespace = None
    at = 1
    if len(parts) > 3 and parts[1] == "ns":
        namespace = unquote(parts[2])
        at = 3
    if len(parts) <= at:
        return Target("page")
    if parts[at] != "eureka":
        return Target("lastn") if parts[1:] == ["lastn"] else None
    at += 1
    if len(parts) > at and parts[at] == "v2":
        at += 1
    match parts[at:]:
        case ["apps", app, id]:
            return Target("instance", _name(app).upper(), _name(id), namespace)
        case ["apps"]:
            return Target("apps", namespace=namespace)
        case ["apps", "delta"]:
            return Target("delta", namespace=namespace)
        case ["apps", app]:
            return Target("app", _name(app).upper(), namespace=namespace)
        case ["apps", app, id, "status"]:
            return Target("instance-status", _name(app).upper(), _name(id), namespace)
        case ["apps", app, id, "metadata"]:
            return Target("instance-metadata", _name(app).upper(), _name(id), namespace)
        case ["instances", id]:
            return Target("any-instance", id=_name(id), namespace=namespace)
        case ["vips", vip]:
            return Target("vip", id=_name(vip), namespace=namespace)
        case ["svips", vip]:
            return Target("svip", id=_name(vip), namespace=namespace)
        case ["peerreplication", "batch"]:
            return Target("batch", namespace=namespace)
        case ["asg", _, "status"]:
            return Target("asg", namespace=namespace)
        case ["status"]:
            return Target("status", namespace=namespace)
        case _:
            return None


def refusal(error: CoreError) -> Response:
    """The answer to a refusal of the core."""
    status = next((status for kind, status in _ERRORS if isinstance(error, kind)), 500)
    return Response(400, str(error).encode(), (_XML,)) if status == 400 else _EMPTY[status]


def _answer(outcome: Outcome, request: Request) -> Answer:
    if outcome.instance is not None:
        variant = _entity_variant(request) or VARIANTS["xml", "full"]
        return Response(outcome.status, variant.instance_document(outcome.instance), _TYPES[variant.format])
    commit = outcome.commit
    response = _EMPTY[outcome.status]
    return response if commit.done and commit.error is None else Durable(commit, response)


def _entity_variant(request: Request) -> Variant | None:
    entity_format = negotiation.entity_format(request.header(b"accept"))
    return None if entity_format is None else VARIANTS[entity_format, "full"]


def _replicated(request: Request) -> bool:
    return request.header(b"x-netflix-discovery-replication") == "true"


def _name(segment: str) -> str:
    return unquote(segment) if "%" in segment else segment


def _query(query: str) -> dict[str, str]:
    """Pairs of a query; the first value of a repeated key wins."""
    pairs: dict[str, str] = {}
    if "%" not in query and "+" not in query:
        for pair in query.split("&") if query else ():
            key, _, value = pair.partition("=")
            pairs.setdefault(key, value)
        return pairs
    for key, value in parse_qsl(query, keep_blank_values=True):
        pairs.setdefault(key, value)
    return pairs


def _credential(authorization: str | None, address: str = "") -> Credential | None:
    """Basic credentials. What is none (another scheme, no base64, no colon) counts as not shown."""
    if authorization is None or authorization[:6].lower() != "basic ":
        return None
    try:
        name, colon, password = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credential(name, password, address=address) if colon else None
