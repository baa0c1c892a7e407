"""Native HTTP: finds the route, decodes, asks whether the caller may, lets the service answer, encodes. No rule of business here.

Statuses, headers and texts are those of polaris-server 1.19 (go-restful): the status is the first three digits of the code,
bodies are protobuf JSON of the content type that Go sniffs, codes other than 200000 stand in headers too, and what has no route
gets the words of the router.
"""

from __future__ import annotations

import json as plain_json
import logging
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import unquote, unquote_to_bytes

from google.protobuf.message import Message
from msgspec import structs

from polaris_bridge.adapters._shared.exchange import Deferred, Request, Response, abandoning
from polaris_bridge.adapters.polaris.answers import Outcome, code_of, failed, respond
from polaris_bridge.adapters.polaris.server.openapi import Description
from polaris_bridge.adapters.polaris.service.admission import Admission
from polaris_bridge.adapters.polaris.service.routes import (
    ADMIN,
    CLIENT,
    CONSOLE,
    Encoded,
    Query,
    Result,
    Route,
    Text,
    Unreadable,
    Upload,
)
from polaris_bridge.adapters.polaris.settings import GroupSettings
from polaris_bridge.adapters.polaris.translate.keys import SOURCE
from polaris_bridge.adapters.polaris.wire import codes, json, v1
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import CoreError
from polaris_bridge.core.model import Caller

Observe = Callable[[str, int, float], None]
"""Told of every finished call: operation, status, seconds."""

UNKNOWN: Final = "unknown"
"""The operation of a request that no route takes."""

_PLAIN: Final = (b"Content-Type", b"text/plain; charset=utf-8")
_JSON: Final = "application/json"
_NOT_FOUND: Final = Response(404, b"404: Page Not Found", (_PLAIN,))
_MEDIA: Final = Response(415, b"415: Unsupported Media Type", (_PLAIN,))
_NOT_ACCEPTABLE: Final = Response(406, b"406: Not Acceptable\n\nAvailable representations: application/json", (_PLAIN,))
_FORM: Final = "multipart/form-data"
_ZIP: Final = "application/zip"
_PRINTABLE: Final = re.compile(r"[\x20-\x7e\x80-\xff]{0,1024}")
_BROKEN_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PREFLIGHT_METHODS: Final = ("GET", "POST", "PUT")
_PREFLIGHT_HEADERS: Final = frozenset({"content-type", "accept", "request-id"})

log = logging.getLogger(__name__)


class NativeHttp:
    """The HTTP face of one listener."""

    def __init__(
        self,
        routes: Iterable[Route],
        admission: Admission,
        groups: GroupSettings | None = None,
        observe: Observe | None = None,
        elapsed: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Of the routes those are served whose group is open. ``observe`` is told of every finished call."""
        groups = groups or GroupSettings()
        self.routes = tuple(route for route in routes if is_open(route, groups))
        """What is served, in the order given."""
        if groups.swagger:
            self.routes += (Description(self.routes).route(),)
        self._admission = admission
        self._observe = observe
        self._elapsed = elapsed
        self._table: dict[str, dict[str, Route]] = {}
        for route in self.routes:
            self._table.setdefault(route.path.strip("/"), {}).setdefault(route.method, route)

    # ------------------------------------------------------------------ entry

    def handle(self, request: Request) -> Response | Deferred:
        """Answer one request; 404 for what is none of ours."""
        began = self._elapsed()
        methods = self._table.get(_decoded(request.path).strip("/"))
        route = methods.get("GET" if request.method == "HEAD" else request.method) if methods else None
        refused = self._unserved(request, methods) if route is None else _unacceptable(request, route)
        if route is None or refused is not None:
            answer: Response | Deferred = _NOT_FOUND if refused is None else refused
        else:
            answer = self._answer(request, route)
        if request.method != "OPTIONS":
            answer = _allowing(request, answer)
        return self._observed(UNKNOWN if route is None else route.operation, answer, began)

    def _answer(self, request: Request, route: Route) -> Response | Deferred:
        reply = _Reply(request, route)
        try:
            return reply.of(self._called(request, route))
        except Exception:  # the listener's one net: a fault of ours ends a call, it never ends the server
            log.exception("%s %s failed", request.method, route.path)
            return reply.fault()

    def _called(self, request: Request, route: Route) -> Result:
        """What the service says, or what is said for it when it refuses."""
        try:
            asked, messages = _asked(request, route)
            arguments = [asked]
            caller = Caller(SOURCE, request.peer, agent=request.header(b"user-agent") or "")
            token = request.header(b"x-polaris-token") or ""
            operation = route.operation if route.named is None else route.named(asked)
            resources = None if route.resources is None else route.resources(asked)
            arguments.append(
                self._admission.admit(token, operation, messages, caller, route.door or route.group, resources)
            )
            if route.clears:
                arguments.append(_cleared(request.body, route.clears))
            return route.handle(*arguments)
        except (json.Malformed, Unreadable) as error:
            return refusal(route, v1.ParseException, f"{route.unread_prefix}{error}", route.unread)
        except CoreError as error:
            return refusal(route, code_of(error))

    def _unserved(self, request: Request, methods: dict[str, Route] | None) -> Response:
        """The answer where no route is: to OPTIONS, to a method that a path has not, to a path that is not there."""
        if request.method == "OPTIONS":
            return _options(request, tuple(methods or ()))
        if methods is None:
            return _NOT_FOUND
        return Response(405, b"405: Method Not Allowed", ((b"Allow", ", ".join(methods).encode()), _PLAIN))

    def _observed(self, operation: str, answer: Response | Deferred, began: float) -> Response | Deferred:
        observe = self._observe
        if observe is None:
            return answer
        if isinstance(answer, Response):
            observe(operation, answer.status, self._elapsed() - began)
            return answer
        return _Then(answer, lambda response: observe(operation, response.status, self._elapsed() - began))


def is_open(route: Route, groups: GroupSettings) -> bool:
    """Whether a listener with these groups has the route. A group of which nothing is named is closed."""
    if route.group == ADMIN:
        return groups.admin
    named = groups.client if route.group == CLIENT else groups.console if route.group == CONSOLE else frozenset()
    return bool(named & route.include) if route.include else bool(named)


def refusal(route: Route, code: int, info: str | None = None, kind: str = "") -> Message:
    """An error in the shape that the route's answers have: batches and lists are empty then. ``kind``: in another shape."""
    if not kind and route.response.startswith(_OWN_SHAPES):
        kind = route.response
    elif not kind:
        kind = {"list": "BatchWriteResponse", "query": route.response or "Response"}.get(route.takes, "Response")
        if kind not in _SHAPES:
            kind = "Response"
    answer: Any = getattr(v1, kind)()
    said = codes.info(code) if info is None else info
    if answer.DESCRIPTOR.fields_by_name["code"].message_type is None:
        answer.code, answer.info = code, said
    else:
        answer.code.value, answer.info.value = code, said
    for count in ("amount", "size"):
        if count in answer.DESCRIPTOR.fields_by_name:
            getattr(answer, count).value = 0
    return answer  # type: ignore[no-any-return]


_SHAPES: Final = frozenset({"Response", "BatchWriteResponse", "BatchQueryResponse"})
_OWN_SHAPES: Final = "Config"
"""How the names of messages begin that the configuration centre answers with, errors too."""


# ---------------------------------------------------------------------- requests


def _asked(request: Request, route: Route) -> tuple[Any, tuple[Message, ...]]:
    """What a route's handler takes, and the messages in it. Raises ``Malformed``."""
    if route.takes == "query":
        return parsed_query(request.query), ()
    if route.takes == "bytes":
        return request.body, ()
    if route.takes == "upload":
        return Upload(parsed_query(request.query), request.header(b"content-type") or "", request.body), ()
    kind = getattr(v1, route.request)
    if route.takes == "list":
        messages = json.decode_list(kind, request.body)
        return messages, tuple(messages)
    message = json.decode(kind, request.body)
    return message, (message,)


def parsed_query(query: str) -> Query:
    """The pairs of a query. As in Go, a pair with a semicolon or a broken escape is left out."""
    found: Query = {}
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if not pair or ";" in pair or _BROKEN_PERCENT.search(pair):
            continue
        found.setdefault(_decoded(key.replace("+", " ")), []).append(_decoded(value.replace("+", " ")))
    return found


def _decoded(text: str) -> str:
    """Percent-encoded UTF-8 as text. Bytes that are none become replacement characters."""
    if text.isascii():
        return unquote(text) if "%" in text else text
    return unquote_to_bytes(text.encode("latin-1", "replace")).decode("utf-8", "replace")


def _cleared(body: bytes, name: str) -> frozenset[int]:
    """The positions in a JSON array of objects whose member ``name`` is an empty object."""
    if name.encode() not in body:
        return frozenset()
    try:
        items = plain_json.loads(body)
    except ValueError:
        return frozenset()
    return frozenset(at for at, item in enumerate(items) if isinstance(item, dict) and item.get(name) == {})


def _unacceptable(request: Request, route: Route) -> Response | None:
    """The refusal of a body that says it is no JSON, or of a client that wants no JSON. A body that says nothing is taken."""
    if route.takes != "query":
        kind = request.header(b"content-type")
        if kind and request.body and not _taken(route) & set(_media(kind)):
            return _MEDIA
    accept = request.header(b"accept")
    if accept and not _given(route) & set(_media(accept)):
        return _NOT_ACCEPTABLE
    return None


def _taken(route: Route) -> frozenset[str]:
    """The media types of bodies that a route takes: where one call takes uploads, the original lets all of them."""
    return _UPLOADED if route.response.startswith(_OWN_SHAPES) else _TAKEN


def _given(route: Route) -> frozenset[str]:
    """The media types that satisfy a route's clients."""
    return _DOWNLOADED if route.response.startswith(_OWN_SHAPES) else _GIVEN


_TAKEN: Final = frozenset({_JSON})
_UPLOADED: Final = frozenset({_JSON, _FORM})
_GIVEN: Final = frozenset({_JSON, "*/*"})
_DOWNLOADED: Final = frozenset({_JSON, _ZIP, "*/*"})


def _media(header: str) -> list[str]:
    """The media types in a header, without their parameters."""
    return [part.partition(";")[0].strip(" ") for part in header.split(",")]


def _options(request: Request, methods: tuple[str, ...]) -> Response:
    """What may be done with a path; a browser's question before a call from another site is answered by the rules of such."""
    header = request.header
    origin, asked = header(b"origin") or "", header(b"access-control-request-method")
    if origin and asked:
        wanted = header(b"access-control-request-headers") or ""
        names = {name.strip().lower() for name in wanted.split(",") if name.strip()}
        if asked not in _PREFLIGHT_METHODS or not names <= _PREFLIGHT_HEADERS:
            return Response(200)
        return Response(
            200,
            b"",
            (
                (b"Access-Control-Allow-Methods", ",".join(_PREFLIGHT_METHODS).encode()),
                (b"Access-Control-Allow-Headers", _safe(wanted)),
                (b"Access-Control-Allow-Origin", _safe(origin)),
            ),
        )
    allowed = ",".join(methods).encode()
    return Response(
        200,
        b"",
        (
            (b"Allow", allowed),
            (b"Access-Control-Allow-Origin", _safe(origin)),
            (b"Access-Control-Allow-Headers", _safe(header(b"access-control-request-headers") or "")),
            (b"Access-Control-Allow-Methods", allowed),
        ),
    )


def _safe(value: str) -> bytes:
    """A header's value that came from a client, as it may go back; nothing when it may not."""
    return value.encode("latin-1", "replace") if _PRINTABLE.fullmatch(value) else b""


# ---------------------------------------------------------------------- answers


class _Reply:
    """Makes responses of what the service says to one request."""

    __slots__ = ("_id", "_lang", "_route", "_wishes")

    def __init__(self, request: Request, route: Route) -> None:
        self._route = route
        self._id = _safe(request.header(b"request-id") or "")
        self._wishes = request.header(b"accept-language") or ""
        self._lang = parsed_query(request.query).get("lang", [""])[0] if "lang=" in request.query else ""

    def of(self, result: Result) -> Response | Deferred:
        """The response, or the promise of one."""
        if isinstance(result, Outcome):
            commit = result.commit
            if commit.done and commit.error is None:
                return self.message(result.response)
            return _Durable(commit, result.response, self._later)
        if isinstance(result, (Message, Text, Encoded)):
            return self._now(result)
        return _Made(result, self._later)

    def fault(self) -> Response:
        """What is answered when we fail."""
        return self._now(refusal(self._route, v1.ExecuteException))

    def _later(self, result: Message | Text | Encoded | None) -> Response:
        """What comes later is answered whatever happens. None: making it failed, which was logged there."""
        try:
            return self.fault() if result is None else self._now(result)
        except Exception:  # the same net as for what is answered at once
            log.exception("%s %s failed", self._route.method, self._route.path)
            return self.fault()

    def _now(self, result: Message | Text | Encoded) -> Response:
        if isinstance(result, Text):
            return Response(
                result.status, result.body, ((b"Content-Type", result.content_type.encode()), *result.headers)
            )
        if isinstance(result, Encoded):
            return Response(codes.http_status(result.code), result.body, self._headers(result.code))
        return self.message(result)

    def message(self, message: Any) -> Response:
        """A message that is there."""
        plain = isinstance(message.code, int)  # as in ConfigDiscoverResponse, which has no wrappers
        code: int = message.code if plain else message.code.value
        if code != v1.ExecuteSuccess and (self._lang or self._wishes) and not plain:
            language = codes.language(self._lang, self._wishes)
            message.info.value = codes.translate(code, message.info.value, language)
        return Response(codes.http_status(code), json.encode(message), self._headers(code))

    def _headers(self, code: int) -> tuple[tuple[bytes, bytes], ...]:
        if code == v1.ExecuteSuccess:
            return (b"Request-Id", self._id), _PLAIN
        return (
            (b"Request-Id", self._id),
            (b"X-Polaris-Code", str(code).encode()),
            (b"X-Polaris-Message", codes.info(code).encode()),
            _PLAIN,
        )


_NOWHERE: Final = Route(
    method="", path="", operation=UNKNOWN, handle=lambda *_: respond(v1.NotFoundResource), about="What has no route."
)


def coded(request: Request, code: int) -> Response:
    """The answer to a request that no route was asked about."""
    return _Reply(request, _NOWHERE).message(respond(code))


class _Durable:
    """An answer that is given when its commit is durable; another one when the store did not take it."""

    __slots__ = ("_commit", "_encode", "_message")

    def __init__(self, commit: Commit, message: Message, encode: Callable[[Any], Response]) -> None:
        self._commit = commit
        self._message = message
        self._encode = encode

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def settled(error: Exception | None) -> None:
            reply(self._encode(self._message if error is None else failed(self._message, error)))

        self._commit.then(settled)


class _Made:
    """An answer that takes a while to make. ``abandon`` is there when what makes it wants to know that nobody waits."""

    __slots__ = ("_begin", "_encode", "abandon")

    def __init__(self, later: Any, encode: Callable[[Any], Response]) -> None:
        self._begin: Callable[[Callable[[Any], None]], None] = later.then
        self._encode = encode
        self.abandon = abandoning(later)

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""
        self._begin(lambda result: reply(self._encode(result)))


class _Then:
    """A deferred answer that somebody else is told of first."""

    __slots__ = ("_answer", "_told", "abandon")

    def __init__(self, answer: Deferred, told: Callable[[Response], None]) -> None:
        self._answer = answer
        self._told = told
        self.abandon = abandoning(answer)

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""

        def arrived(response: Response) -> None:
            self._told(response)
            reply(response)

        self._answer.then(arrived)


def _allowing(request: Request, answer: Response | Deferred) -> Response | Deferred:
    """Browsers on other sites may read answers: the original names whoever asks. It never lets them send cookies."""
    origin = request.header(b"origin")
    if not origin:
        return answer
    header = (b"Access-Control-Allow-Origin", _safe(origin))

    def with_header(response: Response) -> Response:
        return structs.replace(response, headers=(header, *response.headers))

    return with_header(answer) if isinstance(answer, Response) else _Made(answer, with_header)


__all__ = ["UNKNOWN", "NativeHttp", "Observe", "is_open", "parsed_query", "refusal"]
