"""Native HTTP in a bottle: requests go to ``NativeHttp`` in this process, answers come when the registry says they are true."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bottle import Bottle

from polaris_bridge.adapters._shared.exchange import Request, Response
from polaris_bridge.adapters.polaris.server.http import NativeHttp
from polaris_bridge.adapters.polaris.service.polaris import PolarisService
from polaris_bridge.adapters.polaris.service.routes import Route
from polaris_bridge.adapters.polaris.service.routing.sources import discovery_routing
from polaris_bridge.adapters.polaris.settings import GroupSettings, PolarisSettings
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.ports import Authority, OpenDoor
from polaris_bridge.core.terms import Terms


class UniqueIds:
    """Numbers that look like what a server draws."""

    def __init__(self) -> None:
        self._count = 0

    def unique(self) -> str:
        self._count += 1
        return f"{self._count:032x}"


class World(Bottle):
    """A server's native HTTP port."""

    def __init__(
        self,
        terms: Terms | None = None,
        *,
        authority: Authority | None = None,
        groups: GroupSettings | None = None,
        more: Sequence[Route] = (),
    ) -> None:
        super().__init__(terms)
        self._options = authority, groups, more
        self.open()

    def open(self) -> None:
        """Put the parts together over the registry as it is now."""
        authority, groups, more = self._options
        self.service = PolarisService(
            self.registry,
            authority or OpenDoor(),
            PolarisSettings(),
            ids=UniqueIds(),
            pairs={},
            locate=lambda _host: None,
            routing=discovery_routing(self.registry, {}, lambda _host: None, everywhere=True),
        )
        self.seen: list[tuple[str, int]] = []
        self.http = NativeHttp(
            (*self.service.routes(), *more),
            self.service.admission,
            groups,
            lambda operation, status, _seconds: self.seen.append((operation, status)),
        )

    def send(self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None) -> Response:
        """The answer to one request. ``body``: bytes as they are, anything else as JSON."""
        path, _, query = target.partition("?")
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"content-type": "application/json", **{k.lower(): v for k, v in (headers or {}).items()}}
        lines = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
        reply = self.http.handle(Request(method, path, query, lines, content, "10.9.9.9"))
        if isinstance(reply, Response):
            self.queue.settle()
            return reply
        found: list[Response] = []
        reply.then(found.append)
        self.queue.settle()
        assert len(found) == 1, "answered once"
        return found[0]

    def answer_all(self, commits: Iterable[Commit]) -> None:
        """Let what was done become true."""
        for commit in list(commits):
            self.queue.settle()
            assert commit.done
            assert commit.error is None

    def call(self, method: str, target: str, body: object = None) -> Any:
        """The document that answers a request."""
        return document(self.send(method, target, body))

    def code(self, method: str, target: str, body: object = None) -> int:
        """The code that answers a request."""
        found: int = self.call(method, target, body)["code"]
        return found


def document(response: Response) -> Any:
    """The JSON in an answer."""
    body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    return json.loads(body)


def header(response: Response, name: str) -> str | None:
    """A header of an answer."""
    return next((value.decode() for key, value in response.headers if key.decode() == name), None)
