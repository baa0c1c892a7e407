"""What a route answers, before it is an HTTP response: a body, of which kind it is, and the write that it waits for.

Content types as Nacos 2.5.1 sends them: objects are JSON; texts take the first type of ``Accept`` that a text can be, which
makes ``ok`` HTML for Java clients and plain text for Python's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, Final

import msgspec
from msgspec import Struct

from polaris_bridge.adapters._shared.exchange import Deferred, Headers, Request, Response
from polaris_bridge.adapters.nacos.wire import codes
from polaris_bridge.adapters.nacos.wire.messages import Refused
from polaris_bridge.core.batches import SETTLED, Commit
from polaris_bridge.core.errors import Busy, Conflict, CoreError, Denied, Invalid, NotFound, Throttled, Unavailable

JSON: Final[Headers] = ((b"Content-Type", b"application/json"),)
JSON_UTF8: Final[Headers] = ((b"Content-Type", b"application/json;charset=UTF-8"),)
"""What everything about configurations has that is no text."""
PLAIN: Final[Headers] = ((b"Content-Type", b"text/plain;charset=UTF-8"),)
HTML: Final[Headers] = ((b"Content-Type", b"text/html;charset=UTF-8"),)
NO_CACHE: Final[Headers] = (
    (b"Pragma", b"no-cache"),
    (b"Expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
    (b"Cache-Control", b"no-cache,no-store"),
)

encode: Final = msgspec.json.Encoder().encode


class Answer(Struct, frozen=True, gc=False):
    """One answer. ``headers`` None: a text whose type the client chooses."""

    body: bytes | tuple[bytes, ...] = b""
    headers: Headers | None = None
    status: int = 200
    commit: Commit = SETTLED


class Later:
    """An answer that takes a while: ``begin`` is called once, and calls back once with the answer or why there is none."""

    __slots__ = ("begin",)

    def __init__(self, begin: Callable[[Callable[[Answer | Exception], None]], None]) -> None:
        self.begin = begin


class Sliced:
    """An answer that is made a few milliseconds at a time: a generator that yields where it may be interrupted or has to wait."""

    __slots__ = ("work",)

    def __init__(self, work: Generator[Commit | None, None, Answer]) -> None:
        self.work = work


class Held:
    """An answer that may take as long as a client waits; nothing of its request is kept meanwhile. See ``Parked``."""

    __slots__ = ("_cancel", "_reply", "_response", "observe", "refuse", "working")

    def __init__(self, *, working: bool = False) -> None:
        """``working``: what it waits for is still being found out, and may be refused."""
        self.working = working
        self._reply: Callable[[Response], None] | None = None
        self._response: Response | None = None
        self._cancel: Callable[[], None] = _nothing
        self.observe: Callable[[int], None] | None = None
        """Told of the status."""
        self.refuse: Callable[[Exception], Response] | None = None
        """What makes an answer of a refusal. It keeps the request, so it goes when the wait begins."""

    def wait(self, cancel: Callable[[], None]) -> None:
        """The wait begins; ``cancel`` lets go of what waits, when the client has gone."""
        self._cancel, self.refuse = cancel, None

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""
        if self._response is not None:
            reply(self._response)
        else:
            self._reply = reply

    def abandon(self) -> None:
        """See ``Parked``."""
        self._reply = None
        cancel, self._cancel = self._cancel, _nothing
        cancel()

    def answer(self, response: Response) -> None:
        """The answer, once."""
        self._response, self._cancel, self.refuse = response, _nothing, None
        if self.observe is not None:
            self.observe(response.status)
        reply, self._reply = self._reply, None
        if reply is not None:
            reply(response)


def _nothing() -> None:
    """Nothing waits."""


Reply = Answer | Response | Deferred | Later | Sliced | Held
"""What routes return. Responses go out as they are."""

OK: Final = Answer(b"ok")


def text(body: str, status: int = 200, commit: Commit = SETTLED) -> Answer:
    """A text."""
    return Answer(body.encode("utf-8", "replace"), None, status, commit)


def ok(commit: Commit = SETTLED) -> Answer:
    """``ok``, as soon as the write is durable."""
    return OK if commit is SETTLED else Answer(b"ok", None, 200, commit)


def json(value: Any, status: int = 200, commit: Commit = SETTLED) -> Answer:
    """An object, bare; bytes are taken for JSON already."""
    return Answer(value if isinstance(value, bytes | tuple) else encode(value), JSON, status, commit)


def result(data: Any = "ok", commit: Commit = SETTLED) -> Answer:
    """Success in the envelope of v2 and v3; bytes are taken for JSON already."""
    body = data if isinstance(data, bytes) else encode(data)
    return Answer(b'{"code":0,"message":"success","data":%b}' % body, JSON, 200, commit)


def failure(status: int, code: int, message: str, data: Any) -> Answer:
    """A failure in the envelope of v2 and v3."""
    return Answer(encode({"code": code, "message": message, "data": data}), JSON, status)


def rest_result(data: Any, message: str | None = None, code: int = 200, commit: Commit = SETTLED) -> Answer:
    """The older envelope of the v1 console and core API: ``code`` 200, ``message`` null."""
    return Answer(encode({"code": code, "message": message, "data": data}), JSON, 200, commit)


# ---------------------------------------------------------------------- refusals


def summary(code: int) -> str:
    """``message`` of an envelope."""
    return codes.MESSAGES.get(code, codes.MESSAGES[codes.SERVER_ERROR])


_CORE: Final[tuple[tuple[type[CoreError], int, int], ...]] = (
    (Busy, 503, codes.SERVER_ERROR),
    (Unavailable, 503, codes.SERVER_ERROR),
    (Denied, 403, codes.ACCESS_DENIED),
    (Throttled, 429, codes.ACCESS_DENIED),
    (Invalid, 400, codes.PARAMETER_VALIDATE),
    (Conflict, 400, codes.RESOURCE_CONFLICT),
    (NotFound, 404, codes.RESOURCE_NOT_FOUND),
)
"""The core's refusals in the protocol's words; the first that fits."""


def refused(error: CoreError) -> Refused:
    """A refusal of the core as one of this protocol."""
    status, code = next(
        ((status, code) for kind, status, code in _CORE if isinstance(error, kind)), (500, codes.SERVER_ERROR)
    )
    return Refused(status, code, str(error))


_REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    429: "Too Many Requests",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
}


class Contained(Refused):
    """A refusal that is said as the servlet container's error page says it, whatever the generation."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, codes.PARAMETER_VALIDATE, text)


def container_error(status: int, message: str, path: str, wall_ms: int, headers: Headers = JSON) -> Response:
    """An error as the servlet container's page says it: what no handler of the protocol has caught, and calls not let in."""
    seconds, ms = divmod(wall_ms, 1000)
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{ms:03d}+00:00"
    reason = _REASONS.get(status, "")
    said = {"timestamp": stamp, "status": status, "error": reason, "message": message, "path": path}
    return Response(status, encode(said), headers)


def parameter_error(message: str, headers: Headers = ()) -> Response:
    """An illegal parameter: plain text with an end of line, whatever the generation."""
    return Response(400, message.encode("utf-8", "replace") + b"\r\n", (*NO_CACHE, *headers))


_TEXT_TYPES: Final = {
    "text/html": HTML,
    "text/plain": PLAIN,
    "application/json": JSON,
    "*/*": PLAIN,
    "text/*": PLAIN,
}


def text_headers(request: Request) -> Headers:
    """Headers of a text for this client."""
    accept = request.header(b"accept")
    if accept is None or accept == "*/*":
        return PLAIN
    for part in accept.split(","):
        found = _TEXT_TYPES.get(part.partition(";")[0].strip().lower())
        if found is not None:
            return found
    return PLAIN
