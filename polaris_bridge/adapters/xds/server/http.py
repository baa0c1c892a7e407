"""What the main HTTP port answers of xDS: Envoys that poll, and operators who ask how clients fare (GET, JSON).

| Path | What |
|---|---|
| `/xds/v1/clients?node=&refusing=true&offset=&limit=` | streams, what each was told of every type, and what it has against it |
| `/xds/v1/refusals` | the last refusals, also of clients that are gone |
| `/xds/v1/problems` | rules and resources that could not be sent as they are meant |
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import parse_qs

import orjson

from polaris_bridge.adapters._shared.exchange import Deferred, Request, Response
from polaris_bridge.adapters._shared.throttle import TOO_MANY, Excess
from polaris_bridge.adapters.xds.service import shown
from polaris_bridge.adapters.xds.service.admission import Admission
from polaris_bridge.adapters.xds.service.plane import Plane
from polaris_bridge.core.errors import Denied
from polaris_bridge.core.ports import Authority, Credential, Resource

from . import polling
from .loading import Loading

OPERATION: Final = "DescribeServerConnections"
"""What policies call this: the original has no such call, and who may see connections may see what they carry."""
PREFIX: Final = "/xds/"
MOST: Final = 1_000

_JSON: Final = ((b"Content-Type", b"application/json"),)
_TEXT: Final = ((b"Content-Type", b"text/plain; charset=utf-8"),)
_NOT_FOUND: Final = Response(404)
_NOTHING: Final = Resource("")


def too_many(_request: Request, _found: Excess) -> Response:
    """What who asks too often is answered."""
    return Response(429, f"{TOO_MANY}\n".encode(), _TEXT)


class XdsHttp:
    """The paths of one main HTTP port."""

    def __init__(self, plane: Plane, admission: Admission, console: Authority, loading: Loading) -> None:
        """``console`` judges operators, ``admission`` Envoys."""
        self._plane = plane
        self._admission = admission
        self._console = console
        self._loading = loading

    def handle(self, request: Request) -> Response | Deferred:
        """See ``Handler``."""
        wanted = polling.type_of(request.path)
        if wanted is not None:
            if request.method != "POST":
                return Response(405, headers=((b"Allow", b"POST"),))
            header = lambda name: request.header(name.encode())  # noqa: E731  # a name for the protocol's way to look
            return polling.Polled(
                self._plane.telling, self._admission, self._loading, wanted, request.body, header, request.peer
            )
        found = {
            "/xds/v1/clients": self._clients,
            "/xds/v1/refusals": self._refusals,
            "/xds/v1/problems": self._problems,
        }.get(request.path)
        if found is None:
            return _NOT_FOUND
        if request.method not in ("GET", "HEAD"):
            return Response(405, headers=((b"Allow", b"GET"),))
        try:
            self._admit(request)
            return _json(200, found({name: values[0] for name, values in parse_qs(request.query).items()}))
        except Denied as error:
            return _json(401, {"code": 401001, "info": str(error)})
        except ValueError as error:
            return _json(400, {"code": 400101, "info": f"a number is expected: {error}"})

    def _admit(self, request: Request) -> None:
        token = request.header(b"x-polaris-token") or ""
        principal = self._console.authenticate(Credential(token=token, address=request.peer)) if token else ""
        if principal is None:
            raise Denied("the token is not known")
        if not self._console.allow(principal, OPERATION, _NOTHING):
            raise Denied(f"{principal or 'anonymous'} may not {OPERATION}")

    def _clients(self, query: dict[str, str]) -> Any:
        offset, limit = int(query.get("offset", 0)), min(int(query.get("limit", 100)), MOST)
        found = list(shown.clients(self._plane.telling, query.get("node", ""), query.get("refusing") == "true"))
        return {"amount": len(found), "clients": found[max(0, offset) :][: max(0, limit)]}

    def _refusals(self, _query: dict[str, str]) -> Any:
        return {"refusals": shown.refusals(self._plane.telling)}

    def _problems(self, _query: dict[str, str]) -> Any:
        return {"problems": shown.problems(self._plane.problems)}


def _json(status: int, body: Any) -> Response:
    return Response(status, orjson.dumps(body), _JSON)
