"""Nacos' HTTP, all generations: request -> parameters -> route -> answer. No rule of business here.

One function, ``NacosHttp.handle``, answers everything; the listener calls it beneath the framework for what ``hot`` claims and
through Starlette for the rest. It is the one place where calls are let in and where refusals become answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.routing import Mount

from polaris_bridge.adapters._shared.asking import Asked
from polaris_bridge.adapters._shared.endpoint import asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Deferred, Handler, Headers, Request, Response
from polaris_bridge.adapters._shared.slices import Slices
from polaris_bridge.adapters.nacos.service.admission import Forbidden, Kind, file_name
from polaris_bridge.adapters.nacos.service.scope import Scope
from polaris_bridge.adapters.nacos.wire.config import Unreadable
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.adapters.nacos.wire.params import IllegalParam, Params
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import CoreError, Unavailable
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Undecided

from .answers import (
    JSON,
    JSON_UTF8,
    Answer,
    Contained,
    Held,
    Later,
    Reply,
    Sliced,
    container_error,
    failure,
    parameter_error,
    refused,
    summary,
    text_headers,
)
from .call import NOBODY, HttpCall, Route, Routes

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService

CONTEXT: Final = "/nacos"
_NAMING: Final = "/nacos/v1/ns/"
_CONSOLE: Final = ("/v3/console/", "/v3/auth/")
"""What the console of 3.x has on a port of its own, without a context path; here both spellings are answered."""
_CONFIG: Final = "/nacos/v1/cs/"
_HOT: Final = (
    b"/nacos/v1/ns/instance",
    b"/nacos/v1/cs/configs",
    b"/nacos/v2/ns/instance",
    b"/nacos/v3/client/ns/instance",
)
_SAME_AS_GET: Final = {"HEAD": "GET"}

Observe = Callable[[str, int, float], None]
"""Told of every finished call: operation, status, seconds."""


class NacosHttp:
    """The HTTP face of one listener."""

    def __init__(
        self,
        service: NacosService,
        routes: Routes,
        *,
        observe: Observe | None = None,
        heartbeat: Callable[[str], None] | None = None,
        discovered: Callable[[str, str], None] | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``heartbeat`` is told what each came to, ``discovered`` of every read: namespace and service of the core."""
        self._service = service
        self._routes = {
            (method, context + path): (route, f"{method} {path}")
            for (method, path), route in routes.items()
            for context in ((CONTEXT, "") if path.startswith(_CONSOLE) else (CONTEXT,))
        }
        self._methods: dict[str, list[str]] = {}
        for method, path in self._routes:
            self._methods.setdefault(path, []).append(method)
        self._slices = Slices(service.registry.scheduler)
        self._sliced = 0
        self._observe = observe
        self._heartbeat = heartbeat
        self._discovered = discovered
        self._elapsed = elapsed

    # ------------------------------------------------------------------ entry points

    def hot(self, _method: bytes, target: bytes) -> Handler | None:
        """Claims what makes up nearly all traffic: instances, their lists and heartbeats, configurations and long polls."""
        return self.handle if target.startswith(_HOT) else None

    def app(self) -> Starlette:
        """The cold path."""
        endpoint = asgi_endpoint(self.handle, max_body_size=self._service.settings.max_body_bytes)
        return Starlette(routes=[Mount("/", app=endpoint)])

    def internal_error(self, request: Request) -> Response:
        """What the listener says when a route fails unexpectedly."""
        return self._container(request, 500, "Internal Server Error")

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request."""
        began = self._elapsed()
        method, path = request.method, request.path
        found = self._routes.get((_SAME_AS_GET.get(method, method), path))
        if found is None and len(path) > len(CONTEXT) and path[-1] == "/":
            found = self._routes.get((_SAME_AS_GET.get(method, method), path[:-1]))
        if found is None:
            response = self._unknown(request)
            if self._observe is not None:
                self._observe("unknown", response.status, self._elapsed() - began)
            return response
        route, operation = found
        return self._run(request, route, operation, began)

    def _run(self, request: Request, route: Route, operation: str, began: float) -> Response | Deferred:
        try:
            reply = self._reply(request, route)
        except Undecided as undecided:
            return Asked(
                undecided,
                lambda: self._run(request, route, operation, began),
                lambda error: self._unasked(error, request, route),
            )
        except (Refused, CoreError) as error:
            reply = self.refusal(error, request, route)
        observe = self._observe
        if isinstance(reply, Answer):
            commit = reply.commit
            if commit.done and commit.error is None:
                reply = _response(reply, request)
            else:
                return _Pending(self, request, route, _durable(reply), self._observer(operation, began))
        if isinstance(reply, Response):
            if observe is not None:
                observe(operation, reply.status, self._elapsed() - began)
            return reply
        if isinstance(reply, Held):
            return self._held(reply, request, route, operation, self._elapsed() - began)
        return _Pending(self, request, route, self._beginning(reply), self._observer(operation, began))

    def _unasked(self, error: CoreError, request: Request, route: Route) -> Response:
        """What is said when a password cannot be checked."""
        found = self.refusal(error, request, route)
        return _response(found, request) if isinstance(found, Answer) else found

    def _reply(self, request: Request, route: Route) -> Reply:
        """Let the call in and run its route. The one place that asks ``Admission``."""
        service = self._service
        content_type = request.header(b"content-type") or "" if request.body else ""
        params = Params.of(request.query, request.body, content_type, route.generation)
        if route.variants:
            route = route.meant(params)
        call = HttpCall(service, request, params, route.generation)
        scope = call.scope = route.names(call)
        agent = request.header(b"user-agent") or request.header(b"client-version") or ""
        caller = Caller(NOBODY.protocol, request.peer, "", "", agent)
        if route.rights:
            admission = service.admission
            shown = admission.shown(params.raw, lambda name: request.header(name.encode("latin-1")), request.peer)
            name = _named(service, scope, route.kind)
            caller = admission.admit(shown, route.rights, route.kind, scope.namespace, name, caller)
            if route.discovers and self._discovered is not None:
                self._discovered(scope.namespace, name or "*")
        call.caller = caller
        reply = route.run(service, call)
        if call.heartbeat and self._heartbeat is not None:
            self._heartbeat(call.heartbeat)
        return reply

    # ------------------------------------------------------------------ refusals

    def refusal(self, error: Exception, request: Request, route: Route) -> Answer | Response:
        """A refusal in the words of the route's generation."""
        if isinstance(error, CoreError):
            error = refused(error)
        if isinstance(error, (Forbidden, Contained, Unreadable)):
            return self._container(request, error.status, error.text)
        if isinstance(error, IllegalParam):
            return parameter_error(error.text, JSON_UTF8 if request.path.startswith(_CONFIG) else ())
        if not isinstance(error, Refused):
            return self.internal_error(request)
        if route.generation == 1:
            text = f"caused: {error.text};" if route.kind == "config" else error.text
            return Answer(text.encode("utf-8", "replace"), None, error.status)
        return failure(error.status, error.code, summary(error.code), error.text)

    def _unknown(self, request: Request) -> Response:
        """A path or a method that nobody answers."""
        method, path = request.method, request.path
        allowed = self._methods.get(path)
        if allowed is not None and method == "OPTIONS":
            return Response(200, b"", ((b"Allow", ",".join([*allowed, "OPTIONS"]).encode()),))
        if path.startswith(_NAMING) or path == _NAMING[:-1]:
            return self._container(request, 501, f"no such api:{method}:{path}")
        if allowed is not None and path.startswith(_CONFIG):
            text = f"caused: Request method &#39;{method}&#39; not supported;"
            return Response(500, text.encode("utf-8", "replace"), text_headers(request))
        if allowed is not None:
            response = self._container(request, 405, f"Request method '{method}' not supported")
            return Response(405, response.body, (*response.headers, (b"Allow", ",".join(allowed).encode())))
        return self._container(request, 404, "No message available")

    def _container(self, request: Request, status: int, message: str) -> Response:
        headers: Headers = JSON_UTF8 if request.path.startswith(_CONFIG) else JSON
        return container_error(status, message, request.path, self._service.registry.clock.wall_ms(), headers)

    def as_response(self, error: Exception, request: Request, route: Route) -> Response:
        """A refusal as it goes out."""
        found = self.refusal(error, request, route)
        return _response(found, request) if isinstance(found, Answer) else found

    # ------------------------------------------------------------------ answers that come later

    def _held(self, held: Held, request: Request, route: Route, operation: str, seconds: float) -> Held:
        """A long poll is counted with the time that it took to understand, not with the time that it waited."""
        observe = self._observe
        if held.working:
            held.refuse = lambda error: self.as_response(error, request, route)
        if observe is not None:
            held.observe = lambda status: observe(operation, status, seconds)
        return held

    def _beginning(self, reply: Later | Sliced | Deferred) -> Begin:
        if isinstance(reply, Later):
            return reply.begin
        if isinstance(reply, Sliced):
            self._sliced += 1
            key, work = self._sliced, reply.work
            return lambda done: self._slices.run(
                key, lambda: _refusable(work), lambda made: done(RuntimeError("it failed") if made is None else made)
            )
        return reply.then

    def _observer(self, operation: str, began: float) -> Callable[[int], None]:
        observe = self._observe
        if observe is None:
            return lambda _status: None
        return lambda status: observe(operation, status, self._elapsed() - began)


Begin = Callable[[Callable[[Answer | Response | Exception], None]], None]
"""Called once with who takes the answer."""


class _Pending:
    """An answer that is not there yet."""

    __slots__ = ("_begin", "_http", "_observe", "_request", "_route")

    def __init__(
        self, http: NacosHttp, request: Request, route: Route, begin: Begin, observe: Callable[[int], None]
    ) -> None:
        self._http = http
        self._request = request
        self._route = route
        self._begin = begin
        self._observe = observe

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def arrive(found: Answer | Response | Exception) -> None:
            if isinstance(found, Exception):
                found = self._http.refusal(found, self._request, self._route)
            if isinstance(found, Answer):
                if not (found.commit.done and found.commit.error is None):
                    _durable(found)(arrive)
                    return
                found = _response(found, self._request)
            self._observe(found.status)
            reply(found)

        self._begin(arrive)


def _named(service: NacosService, scope: Scope, kind: Kind) -> str:
    """What a call is about, as ``Admission`` calls it; "": all of a namespace."""
    if kind == "config":
        return file_name(scope.group, scope.name) if scope.group or scope.name else ""
    return service.key(scope).name if scope.name else ""


def _refusable(work: Generator[Commit | None, None, Answer]) -> Generator[Commit | None, None, Answer | Exception]:
    """Work whose refusal is an answer."""
    try:
        return (yield from work)
    except (Refused, CoreError) as error:
        return error


def _durable(answer: Answer) -> Begin:
    """The answer when its write is durable; the refusal when the store did not take it."""

    def begin(done: Callable[[Answer | Response | Exception], None]) -> None:
        def settled(error: Exception | None) -> None:
            if error is None:
                done(Answer(answer.body, answer.headers, answer.status))
            else:
                done(error if isinstance(error, CoreError) else Unavailable(str(error)))

        answer.commit.then(settled)

    return begin


def _response(answer: Answer, request: Request) -> Response:
    headers = answer.headers
    return Response(answer.status, answer.body, text_headers(request) if headers is None else headers)
