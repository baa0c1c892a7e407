"""What all connections of one listener share."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from polaris_bridge.adapters._shared.admission import Admission
from polaris_bridge.adapters._shared.answers import Heads, tails
from polaris_bridge.adapters._shared.exchange import Deferred, Handler, Request, Response
from polaris_bridge.adapters._shared.forwarded import TrustedProxies, forwarded_scheme
from polaris_bridge.adapters._shared.settings import HttpSettings
from polaris_bridge.adapters._shared.throttle import HttpLimit, limited

log = logging.getLogger("polaris_bridge.apiserver")

Hot = Callable[[bytes, bytes], "Handler | None"]
"""Decides, when the head of a request is complete, who answers it beneath the framework: (method, raw target) -> handler.
None = through the ASGI application. Called for every request, so it must cost next to nothing and not raise."""

SCOPE_KEY = "listener"
"""Where an ASGI endpoint finds this state: ``scope["state"][SCOPE_KEY]``."""


def no_hot_requests(_method: bytes, _target: bytes) -> Handler | None:
    """The hook of a listener without hot requests."""
    return None


def empty_500(_request: Request) -> Response:
    """An answer that gives nothing away."""
    return Response(500)


class ListenerState(ServerState):
    """Settings, counters and small caches; uvicorn's protocol finds its connection and task sets here too."""

    def __init__(
        self,
        settings: HttpSettings,
        hot: Hot,
        internal_error: Callable[[Request], Response],
        allow: Callable[[str], bool] | None,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        super().__init__()
        self.settings = settings
        self.hot = hot
        self.internal_error = internal_error
        self.allow = allow
        self.monotonic = monotonic
        self.wall = wall
        self.admission = Admission(settings.conn_limit, monotonic)
        self.proxies = TrustedProxies(settings.trusted_proxies) if settings.trusted_proxies else None
        self.heads = Heads()
        self.draining = False
        self.errors = 0
        """Requests that ended in an unexpected exception."""
        self.refusals: Counter[int] = Counter()
        """Requests the listener itself answered, by status: 400, 403, 405, 408, 413, 431, 500, 503."""
        self.now = 0.0
        """Monotonic seconds of the last ``tick``: exact enough for timeouts, and free to read."""
        self.tick()

    def tick(self) -> None:
        """Once a second: move the coarse clock and prepare the date header."""
        self.now = self.monotonic()
        date = formatdate(self.wall(), usegmt=True).encode()
        self.tails = tails(date)
        self.default_headers = [(b"date", date)]  # the cold path's, written by uvicorn

    def caller(self, socket_peer: str, scheme: str, headers: list[tuple[bytes, bytes]]) -> tuple[str, str]:
        """Address and scheme of the client behind a trusted proxy."""
        assert self.proxies is not None
        return self.proxies.caller(socket_peer, headers), forwarded_scheme(headers, scheme)

    def dispatch(self, handler: Handler, request: Request) -> Response | Deferred:
        """Call a handler. The one place of a listener where any exception ends: logged once, counted, answered."""
        try:
            return handler(request)
        except Exception as error:  # noqa: BLE001  # the listener's one catch-all
            self.fault(request.method, _target(request), error)
            return self.internal_error(request)

    def head(self, request: Request, response: Response) -> tuple[bytes, Response]:
        """The rendered head, and the response it belongs to: another one when a header could not be sent."""
        try:
            return self.heads.of(response), response
        except ValueError as error:
            self.fault(request.method, _target(request), error)
            replaced = self.internal_error(request)
            return self.heads.of(replaced), replaced

    def fault(self, method: str, target: str, error: BaseException | None, what: str = "") -> None:
        """Count and log an unexpected error with its request."""
        self.errors += 1
        log.error("%s: %s %s failed: %s", self.settings.name, method, target, what or repr(error), exc_info=error)


class LimitedState(ListenerState):
    """Of a listener whose requests are counted before anybody is asked, hot and cold ones."""

    limit: HttpLimit

    def dispatch(self, handler: Handler, request: Request) -> Response | Deferred:
        """See ``ListenerState``."""
        return super().dispatch(limited(handler, self.limit), request)


class FrameworkLog:
    """Stands in for uvicorn's logger during one cold request, so that what fails above a handler is told with its request."""

    __slots__ = ("_method", "_state", "_target")

    level = logging.CRITICAL

    def __init__(self, state: ListenerState, method: str, target: str) -> None:
        self._state = state
        self._method = method
        self._target = target

    def error(self, message: str, *args: object, exc_info: BaseException | None = None) -> None:
        """Called by uvicorn when the application raised or did not answer. A client that left is no error,
        nor is the end of the listener."""
        if (
            not isinstance(exc_info, (ClientDisconnected, asyncio.CancelledError))
            and type(exc_info).__name__ != "ClientDisconnect"
        ):
            self._state.fault(self._method, self._target, exc_info, message % args if args else message.strip())


def _target(request: Request) -> str:
    return f"{request.path}?{request.query}" if request.query else request.path
