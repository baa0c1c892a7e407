"""The main HTTP port: health and metrics now; other owners hand it their routes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .metrics.exposition import CONTENT_TYPE, Metrics

_ALWAYS: Final = frozenset({"/livez", "/readyz", "/metrics"})


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


def application(readiness: Readiness, metrics: Metrics, routes: Sequence[BaseRoute] = ()) -> ASGIApp:
    """The port's routes. ``routes`` answer 503 until the server is ready; ``/livez``, ``/readyz``, ``/metrics`` always do."""

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
            *routes,
        ]
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if readiness.missing and scope["type"] == "http" and scope["path"] not in _ALWAYS:
            await PlainTextResponse("not ready\n", 503)(scope, receive, send)
        else:
            await served(scope, receive, send)

    return guarded
