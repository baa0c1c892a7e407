"""Puts the adapter together: settings in, something that listens out."""

from __future__ import annotations

from functools import partial
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.adapter import PROXY_LIMITS, Adapter, OnePort, Surroundings
from polaris_bridge.adapters._shared.exchange import Handler, Response
from polaris_bridge.adapters._shared.grpc_port import grpc_port
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.adapters._shared.throttle import http_limit, limited, limited_openings

from .server import grpc, health, http, polling
from .server.http import XdsHttp
from .server.loading import Loading
from .service.admission import Admission
from .service.plane import plane_of
from .settings import MAX_BACKLOG, XdsSettings
from .translate.keys import SOURCE, Health, Marks

CLAIM: Final = "polaris-server 1.19.0"


class XdsFace(OnePort):
    """One port."""

    def __init__(self, around: Surroundings, port: GrpcSettings, settings: XdsSettings) -> None:
        self._plane = plane_of(around, settings)
        self._first = around.share(f"{SOURCE}-face", lambda: self) is self
        loading = loading_of(around)
        admission = Admission(around.authority, settings)
        observe = partial(around.observe, SOURCE)
        table = grpc.methods(self._plane.telling, admission, loading, observe)
        table.include(health.methods(around.registry, admission, loading, observe))
        table = limited_openings(table, around.throttle, SOURCE)
        limits = around.offers.get(PROXY_LIMITS)
        if limits is not None:
            table.include(limits(around))
        port = structs.replace(port, max_backlog=MAX_BACKLOG)
        self.listener = grpc_port(port, table, allow=around.allow, pool=None)

    def sweep(self) -> None:
        """See ``Face``. What the listeners share has its turn with the first of them."""
        if self._first:
            self._plane.sweep()


def routes(around: Surroundings, settings: XdsSettings | None) -> Handler:
    """What one main HTTP port answers. ``settings``: of the first listener; None: there is none, and nothing to answer."""
    if settings is None:
        return lambda _request: Response(404)
    console = around.doors.console if around.doors is not None else around.authority
    admission = Admission(around.authority, settings)
    asked = XdsHttp(plane_of(around, settings), admission, console, loading_of(around))
    return limited(asked.handle, http_limit(around.throttle, SOURCE, http.too_many))


def loading_of(around: Surroundings) -> Loading:
    """The one of a server."""
    return around.share(f"{SOURCE}-loading", Loading)


ADAPTER: Final = Adapter(
    "xds-v3", SOURCE, CLAIM, Health, Marks, XdsFace, routes=routes, paths=(http.PREFIX, polling.PREFIX)
)
