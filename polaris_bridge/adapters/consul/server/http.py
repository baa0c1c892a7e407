"""Consul's HTTP: request -> parameters -> route -> answer. No rule of business here.

One function, ``ConsulHttp.handle``, answers everything; the listener calls it beneath the framework. It is the one place where
callers are let in, where refusals become answers and where answers get their headers. Behaviour of an agent 1.20.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import structs
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.routing import Route as Path

from polaris_bridge.adapters._shared.asking import Asked
from polaris_bridge.adapters._shared.endpoint import asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Deferred, Handler, Headers, Request, Response, abandoning
from polaris_bridge.adapters.consul.wire import params as reading
from polaris_bridge.adapters.consul.wire.params import Params
from polaris_bridge.adapters.consul.wire.refusals import Refused
from polaris_bridge.core.errors import CoreError, Unavailable
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Undecided

from .answers import JSON, PLAIN, Answer, Later, Reply, refused
from .blocking import Blocked, seen
from .call import ConsulCall, Route, Routes
from .gzipping import Gzipping
from .monitor import PATH, Monitor
from .paths import Found, Paths, cleaned

if TYPE_CHECKING:
    from polaris_bridge.adapters.consul.service.consul import ConsulService

_VARY: Final = (b"Vary", b"Accept-Encoding")
_LEADER: Final = ((b"X-Consul-KnownLeader", b"true"), (b"X-Consul-LastContact", b"0"))
_CONSISTENCY: Final = {
    word: (b"X-Consul-Effective-Consistency", word.encode()) for word in ("leader", "stale", "consistent")
}
_BACKEND: Final = (b"X-Consul-Query-Backend", b"blocking-query")
_STREAMING: Final = (b"X-Consul-Query-Backend", b"streaming")
_MISS: Final = (b"X-Cache", b"MISS")
_FILTERED: Final = (b"X-Consul-Results-Filtered-By-ACLs", b"true")
_NO_ENDPOINT: Final = b"Invalid URL path: not a recognized HTTP API endpoint\n"
_NO_V1: Final = b"Invalid URL path: if attempting to use the HTTP API, ensure the path starts with '/v1/'\n"
_INDEX_PAGE: Final = (
    b"Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart."
)
_STREAM: Final = PATH.encode()
_OWN_NODE: Final = frozenset({"agent", "node"})
_ENTERPRISE: Final = (("ns", b"x-consul-namespace", "Namespace"), ("partition", b"x-consul-partition", "Partition"))

Observe = Callable[[str, int, float], None]
"""Told of every finished call: operation, status, seconds."""


class ConsulHttp:
    """The HTTP face of one listener."""

    def __init__(
        self,
        service: ConsulService,
        routes: Routes,
        *,
        random: Callable[[], float],
        observe: Observe | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        """``random`` gives numbers from 0 to below 1."""
        self.service = service
        self.random = random
        self.blocked: dict[Blocked, None] = {}
        """The reads that wait."""
        self._stopping = False
        self._paths = Paths(routes)
        self._gzip = Gzipping()
        self._observe = observe
        self._monitor = Monitor(self)
        self._elapsed = elapsed
        self._policy = (b"X-Consul-Default-ACL-Policy", b"deny" if service.settings.auth else b"allow")

    # ------------------------------------------------------------------ entry points

    def hot(self, _method: bytes, target: bytes) -> Handler | None:
        """Claims everything that is no endless stream."""
        return None if target.startswith(_STREAM) else self.handle

    def app(self) -> Starlette:
        """The cold path."""
        endpoint = asgi_endpoint(self.handle, max_body_size=self.service.settings.max_body_bytes)
        return Starlette(routes=[Path(PATH, self._monitor), Mount("/", app=endpoint)])

    def internal_error(self, _request: Request) -> Response:
        """What the listener says when a route fails unexpectedly."""
        return Response(500, b"An unexpected error occurred", PLAIN)

    def leave(self) -> None:
        """The server is about to stop: who waits is answered with what there is, and nobody waits any more."""
        self._stopping = True
        self._monitor.leave()
        for each in list(self.blocked):
            each.release()

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request."""
        began = self._elapsed()
        path = reading.path(request.path)
        if path is None:
            return self._refuse(Response(400, b"400 Bad Request", PLAIN), began)
        if not path.isprintable():
            return self._refuse(Response(400), began)
        if "//" in path or "/." in path:
            clean = cleaned(path)
            if clean != path:
                return self._refuse(_moved(clean, request), began)
        found = self._paths.find(path)
        if found is None:
            if self._paths.find(path + "/", exact=True):
                return self._refuse(_moved(path + "/", request), began)
            return self._refuse(_unknown(path), began)
        return self._methods(request, found, began)

    def _refuse(self, response: Response, began: float) -> Response:
        if self._observe is not None:
            self._observe("unknown", response.status, self._elapsed() - began)
        return response

    def _methods(self, request: Request, found: Found, began: float) -> Response | Deferred:
        route = found.entry.routes.get(request.method) or found.entry.routes.get("")
        if route is None:
            headers = (*PLAIN, _VARY, self._policy, (b"Allow", found.entry.allow))
            if request.method == "OPTIONS":
                return self._refuse(Response(200, b"", headers), began)
            text = f"method {request.method} not allowed".encode("latin-1", "replace")
            return self._refuse(Response(405, text, headers), began)
        return self._run(request, route, found.entry.path, found.rest, began)

    # ------------------------------------------------------------------ one call

    def _run(self, request: Request, route: Route, path: str, rest: str, began: float) -> Response | Deferred:
        call: ConsulCall | None = None
        since = self.service.registry.revision
        reply: Reply
        try:
            call = self._call(request, route, rest)
            reply = route.run(self.service, call)
        except Undecided as undecided:
            return Asked(undecided, lambda: self._run(request, route, path, rest, began), self._refusal)
        except (Refused, CoreError) as error:
            reply = self._refusal(error)
        if isinstance(reply, Answer):
            commit = reply.commit
            if not (commit.done and commit.error is None):
                return _Pending(self, call, route, _durable(reply), self._observer(request, path, began))
            waits = call is not None and route.blocking is not None and seen(reply, call)
            if call is not None and waits and not self._stopping:
                if 0 < reply.most_wait_s < call.options.wait_s:
                    call.options = structs.replace(call.options, wait_s=reply.most_wait_s)
                return Blocked(self, call, route, since)
            whole = self.read_whole(route, call) if call is not None and waits else reply
            reply = whole if isinstance(whole, Later) else self.response(whole, route, call)
        if isinstance(reply, Response):
            if self._observe is not None:
                self._observe(f"{request.method} {path}", reply.status, self._elapsed() - began)
            return reply
        if isinstance(reply, Later):
            if call is not None and route.blocking is not None and call.options.index and not self._stopping:
                return Blocked(self, call, route, since, reply)
            return _Pending(self, call, route, reply.begin, self._observer(request, path, began))
        return reply if abandoning(reply) else _Pending(self, call, route, reply.then, None)

    def _call(self, request: Request, route: Route, rest: str) -> ConsulCall:
        """Read the parameters and let the caller in."""
        service = self.service
        params = Params.of(request.query)
        caller = Caller("consul", request.peer, "", "", request.header(b"user-agent") or "")
        admission = service.admission
        if admission.on:
            caller = admission.identify(params, request, caller)
        call = ConsulCall(service, request, params, rest, caller)
        _check_enterprise(params, request)
        if route.reads:
            call.options = reading.options(params, request.header(b"cache-control"))
        if route.rights and admission.on:
            own = route.rights.partition(":")[0] in _OWN_NODE
            call.require(route.rights, call.node if own else rest, service.settings.namespace if route.local else None)
        return call

    def read_whole(self, route: Route, call: ConsulCall) -> Answer | Response | Later:
        """The same, for a client that is answered whatever it has seen: what is long may be left out otherwise."""
        options = call.options
        call.options = structs.replace(options, index=0)
        found = self.read_again(route, call)
        call.options = options
        return found

    def read_again(self, route: Route, call: ConsulCall) -> Answer | Response | Later:
        """What a read comes to now, for one that waited."""
        try:
            found = route.run(self.service, call)
        except (Refused, CoreError, Undecided) as error:
            return self._refusal(error)
        return found if isinstance(found, Answer | Response | Later) else self.internal_error(call.request)

    def _observer(self, request: Request, path: str, began: float) -> Callable[[int], None] | None:
        observe = self._observe
        if observe is None:
            return None
        return lambda status: observe(f"{request.method} {path}", status, self._elapsed() - began)

    # ------------------------------------------------------------------ answers

    def _refusal(self, error: Exception) -> Response:
        if isinstance(error, CoreError):
            error = refused(error)
        if not isinstance(error, Refused):
            error = Refused(500, str(error))
        headers = (*PLAIN, _VARY, self._policy, *error.headers)
        return Response(error.status, error.text.encode("utf-8", "replace"), headers)

    def refusal(self, error: Exception) -> Response:
        """A refusal that came late."""
        return self._refusal(error)

    def response(self, answer: Answer | Response, route: Route, call: ConsulCall | None) -> Response:
        """An answer with its headers, compressed when the client takes that."""
        if isinstance(answer, Response):
            return answer
        body, headers = answer.body, answer.headers
        if call is not None and headers is JSON and body and call.params and call.pretty:
            joined = body if isinstance(body, bytes) else b"".join(body)
            body = msgspec.json.format(joined, indent=4) + b"\n"
        if answer.index:
            headers = (*headers, _VARY, self._policy, *self._meta(answer, route, call))
        else:
            headers = (*headers, _VARY, self._policy)
        if call is not None:
            body, headers = self._gzip.applied(call.request, body, headers)
        return Response(answer.status, body, headers)

    def _meta(self, answer: Answer, route: Route, call: ConsulCall | None) -> Headers:
        """The headers of a read."""
        index = (b"X-Consul-Index", b"%d" % answer.index)
        if call is None:
            return (index, *_LEADER)
        options = call.options
        streaming = route.streams and (options.index or options.cached)
        found: list[tuple[bytes, bytes]] = [index, *_LEADER, _CONSISTENCY[options.consistency]]
        found.append(_STREAMING if streaming else _BACKEND)
        if options.cached:
            found.append(_MISS)
        if answer.filtered:
            found.append(_FILTERED)
        return found


def _check_enterprise(params: Params, request: Request) -> None:
    """Namespaces and partitions: there is one of each, called ``default``."""
    for name, header, what in _ENTERPRISE:
        if params and params.text(name) not in ("", "default"):
            text = f'Invalid query parameter: "{name}" - {what}s are a Consul Enterprise feature'
            raise Refused(400, text)
        if (request.header(header) or "") not in ("", "default"):
            raise Refused(400, f'Invalid header: "X-Consul-{what}" - {what}s are a Consul Enterprise feature')


def _unknown(path: str) -> Response:
    """A path that nobody answers."""
    if path == "/":
        return Response(200, _INDEX_PAGE, PLAIN)
    return Response(404, _NO_ENDPOINT if "/v1/" in path else _NO_V1, PLAIN)


def _moved(path: str, request: Request) -> Response:
    """A path with superfluous slashes or dots: the client is sent to the one without."""
    target = reading.quoted(path) + (f"?{request.query}" if request.query else "")
    location = (b"Location", target.encode("latin-1", "replace"))
    if request.method not in ("GET", "HEAD"):
        return Response(301, b"", (location,))
    page = f'<a href="{reading.escaped(target)}">Moved Permanently</a>.\n\n'
    return Response(301, page.encode("utf-8", "replace"), ((b"Content-Type", b"text/html; charset=utf-8"), location))


Begin = Callable[[Callable[["Answer | Response | Exception"], None]], None]
"""Called once with who takes the answer."""


class _Pending:
    """An answer that is not there yet."""

    __slots__ = ("_begin", "_call", "_http", "_observe", "_route")

    def __init__(
        self,
        http: ConsulHttp,
        call: ConsulCall | None,
        route: Route,
        begin: Begin,
        observe: Callable[[int], None] | None,
    ) -> None:
        self._http = http
        self._call = call
        self._route = route
        self._begin = begin
        self._observe = observe

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def arrive(found: Answer | Response | Exception) -> None:
            if isinstance(found, Exception):
                found = self._http.refusal(found)
            if isinstance(found, Answer):
                if not (found.commit.done and found.commit.error is None):
                    _durable(found)(arrive)
                    return
                found = self._http.response(found, self._route, self._call)
            if self._observe is not None:
                self._observe(found.status)
            reply(found)

        self._begin(arrive)


def _durable(answer: Answer) -> Begin:
    """The answer when its write is durable; the refusal when the store did not take it."""

    def begin(done: Callable[[Answer | Response | Exception], None]) -> None:
        def settled(error: Exception | None) -> None:
            if error is None:
                done(Answer(answer.body, answer.index, answer.status, answer.headers))
            else:
                done(error if isinstance(error, CoreError) else Unavailable(str(error)))

        answer.commit.then(settled)

    return begin
