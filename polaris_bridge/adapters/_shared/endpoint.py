"""The cold path's end: a Handler as an ASGI application, to be used as a Starlette endpoint or alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from polaris_bridge.adapters._shared.answers import BODILESS
from polaris_bridge.adapters._shared.exchange import Deferred, Handler, Request, Response, abandoning
from polaris_bridge.adapters._shared.state import SCOPE_KEY, ListenerState

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class HandlerEndpoint:
    """See ``asgi_endpoint``. An object and not a function, so that Starlette's ``Route`` takes it as an ASGI application."""

    __slots__ = ("_handler", "_max_body_size")

    def __init__(self, handler: Handler, max_body_size: int) -> None:
        self._handler = handler
        self._max_body_size = max_body_size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body, call the handler, send its answer; silent when the client left before it was complete."""
        body = await _read_body(receive, self._max_body_size)
        if body is None:
            return
        if isinstance(body, Response):
            await _send(send, body)
            return
        request = _request(scope, body)
        state: ListenerState | None = scope.get("state", {}).get(SCOPE_KEY)
        reply = self._handler(request) if state is None else state.dispatch(self._handler, request)
        response = reply if isinstance(reply, Response) else await _arrival(reply, receive)
        if response is None:
            return
        if state is not None:
            _, response = state.head(request, response)
        await _send(send, response, _keep_old(scope, request, state))


def asgi_endpoint(handler: Handler, *, max_body_size: int = 10 * 1024 * 1024) -> HandlerEndpoint:
    """An ASGI application that answers as ``handler`` does: same Request, Deferred awaited, tuple bodies part by part.

    ``max_body_size``: bytes above which the answer is 413; beneath a listener its own limit applies before that.
    """
    return HandlerEndpoint(handler, max_body_size)


async def _read_body(receive: Receive, limit: int) -> bytes | Response | None:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            return Response(413, headers=((b"connection", b"close"),))
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _request(scope: Scope, body: bytes) -> Request:
    client = scope.get("client")
    return Request(
        scope["method"],
        scope["raw_path"].decode("latin-1"),
        scope["query_string"].decode("latin-1"),
        tuple(scope["headers"]),
        body,
        client[0] if client else "",
        scope["scheme"],
    )


async def _arrival(deferred: Deferred, receive: Receive) -> Response | None:
    """The answer when it comes; None when it is one that may take long and the client left meanwhile."""
    arrived: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    def arrive(response: Response) -> None:
        if not arrived.done():
            arrived.set_result(response)

    deferred.then(arrive)
    abandon = abandoning(deferred)
    if arrived.done() or abandon is None:
        return await arrived
    left = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((arrived, left), return_when=asyncio.FIRST_COMPLETED)
        if arrived.done():
            return arrived.result()
        abandon()
        return None
    finally:
        left.cancel()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _keep_old(scope: Scope, request: Request, state: ListenerState | None) -> bool:
    """Whether an HTTP/1.0 client must be told that the connection stays open."""
    if scope["http_version"] != "1.0" or state is None or state.draining:
        return False
    return "keep-alive" in (request.header(b"connection") or "").lower()


async def _send(send: Send, response: Response, keep_old: bool = False) -> None:
    headers = list(response.headers)
    bodiless = response.status in BODILESS
    if not bodiless:
        headers.append((b"content-length", b"%d" % response.length))
    if keep_old:
        headers.append((b"connection", b"keep-alive"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    parts = (response.body,) if isinstance(response.body, bytes) else response.body
    if bodiless or not parts:
        parts = (b"",)
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1], "more_body": False})
