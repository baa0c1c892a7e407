"""The main HTTP port: health and metrics of its own; adapters hand it what they answer there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from polaris_bridge.adapters._shared.exchange import Deferred, Handler
from polaris_bridge.adapters._shared.exchange import Request as WireRequest
from polaris_bridge.adapters._shared.exchange import Response as WireResponse
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.settings import HttpSettings

from .metrics.exposition import CONTENT_TYPE, Metrics

_ALWAYS: Final = frozenset({"/livez", "/readyz", "/metrics"})
_OURS: Final = frozenset({b"/livez", b"/readyz", b"/metrics", b"/"})


class Readiness:
    """What a start still waits for. Ready when nothing is left."""

    def __init__(self, *missing: str) -> None:
        self._missing = list(missing)

    @property
    def missing(self) -> tuple[str, ...]:
        """What is not there yet, in order."""
        return tuple(self._missing)

    def done(self, what: str) -> None:
        """One of them is there."""
        self._missing.remove(what)

    def lost(self, what: str) -> None:
        """Something is gone (again): not ready any more."""
        if what not in self._missing:
            self._missing.append(what)


class Front:
    """One main HTTP port. Until the server is ready, everything but health and metrics answers 503."""

    def __init__(
        self,
        settings: HttpSettings,
        readiness: Readiness,
        metrics: Metrics,
        *,
        allow: Callable[[str], bool] | None = None,
    ) -> None:
        self._readiness = readiness
        self._owners: list[Handler] = []
        self._under: dict[bytes, Handler] = {}
        """By how a path begins."""
        self._beginnings: tuple[bytes, ...] = ()
        app = application(readiness, metrics)
        self.listener = HttpListener(settings, self._answer, hot=self._hot, app=app, allow=allow)

    def serve(self, owner: Handler, beginnings: Sequence[str] = ()) -> None:
        """Let somebody answer the paths that begin so; without beginnings, all that are neither ours nor anybody else's. Of
        several such owners each is asked until one does not say 404."""
        if not beginnings:
            self._owners.append(owner)
        self._under |= {beginning.encode(): owner for beginning in beginnings}
        self._beginnings = tuple(self._under)

    def _hot(self, _method: bytes, target: bytes) -> Handler | None:
        if self._readiness.missing or not self._owners or target.partition(b"?")[0] in _OURS:
            return None
        if target.startswith(self._beginnings):
            return self._owner_of(target)
        return self._owners[0] if len(self._owners) == 1 else self._answer

    def _owner_of(self, target: bytes) -> Handler:
        return next(owner for beginning, owner in self._under.items() if target.startswith(beginning))

    def _answer(self, request: WireRequest) -> WireResponse | Deferred:
        path = request.path.encode("latin-1")
        if path.startswith(self._beginnings):
            return self._owner_of(path)(request)
        answer: WireResponse | Deferred = WireResponse(404)
        for owner in self._owners:
            answer = owner(request)
            if not (isinstance(answer, WireResponse) and answer.status == 404):
                break
        return answer


def application(readiness: Readiness, metrics: Metrics) -> ASGIApp:
    """The port's own routes; ``/livez``, ``/readyz``, ``/metrics`` always answer, all other paths 503 until it is ready."""

    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_request: Request) -> Response:
        missing = readiness.missing
        return JSONResponse({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)

    async def scrape(_request: Request) -> Response:
        return Response(await metrics.scrape(), media_type=None, headers={"content-type": CONTENT_TYPE})

    async def home(_request: Request) -> Response:
        return PlainTextResponse("Polaris Server")

    served = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", scrape),
            Route("/", home),
        ]
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if readiness.missing and scope["type"] == "http" and scope["path"] not in _ALWAYS:
            await PlainTextResponse("not ready\n", 503)(scope, receive, send)
        else:
            await served(scope, receive, send)

    return guarded
