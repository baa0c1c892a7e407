"""Envoys that poll: ``POST /v3/discovery:<type>`` with a request in JSON, answered like the first one of a stream; 304 when the
client has that version."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.adapters._shared.exchange import Response
from polaris_bridge.adapters.xds.service.admission import Admission, Unproven
from polaris_bridge.adapters.xds.service.stream import Stream, TooMuch
from polaris_bridge.adapters.xds.service.telling import Telling
from polaris_bridge.adapters.xds.wire import messages, types
from polaris_bridge.core.errors import Denied, Throttled

from .loading import Loading

PREFIX: Final = "/v3/discovery"
TYPES: Final = {
    "listeners": types.LISTENER,
    "routes": types.ROUTES,
    "clusters": types.CLUSTER,
    "endpoints": types.ASSIGNMENT,
    "secrets": types.SECRET,
    "runtime": types.RUNTIME,
}
"""By the last part of the path."""

_JSON: Final = ((b"Content-Type", b"application/json"),)
_TEXT: Final = ((b"Content-Type", b"text/plain; charset=utf-8"),)
Header = Callable[[str], str | None]


def type_of(path: str) -> str | None:
    """The type that a path asks for. None when it is no such path."""
    return TYPES.get(path.replace("%3A", ":").replace("%3a", ":").removeprefix(PREFIX + ":"))


class Polled:
    """One request and its answer (``exchange.Parked``): a stream that ends with its first answer is complete."""

    def __init__(
        self,
        telling: Telling,
        admission: Admission,
        loading: Loading,
        type_url: str,
        body: bytes,
        header: Header,
        peer: str,
    ) -> None:
        self.peer = peer
        self.backlog = 0
        self._telling = telling
        self._admission = admission
        self._loading = loading
        self._type = type_url
        self._body = body
        self._header = header
        self._parts: list[bytes] = []
        self._stream: Stream | None = None
        self._reply: Callable[[Response], None] | None = None
        self._known = ""

    def then(self, reply: Callable[[Response], None]) -> None:
        """See ``Deferred``."""
        self._reply = reply
        self._loading.then(self._begin)

    def abandon(self) -> None:
        """See ``Parked``."""
        self._reply = None
        self._close()

    def _begin(self) -> None:
        if self._reply is None:
            return
        from google.protobuf.json_format import Parse, ParseError

        try:
            request = Parse(self._body, messages.discovery.DiscoveryRequest(), ignore_unknown_fields=True)
        except (ParseError, UnicodeDecodeError) as error:
            self._finish(Response(400, f"{error}\n".encode(), _TEXT))
            return
        try:
            principal = self._admission.enter(self._header, self.peer)
            self._known = request.version_info
            request.ClearField("response_nonce")
            request.ClearField("error_detail")
            request.type_url = self._type
            self._ask(request, principal)
        except Throttled as error:
            self._finish(Response(429, f"{error}\n".encode(), _TEXT))
        except Unproven as error:
            self._finish(Response(401, f"{error}\n".encode(), _TEXT))
        except Denied as error:
            self._finish(Response(403, f"{error}\n".encode(), _TEXT))
        except TooMuch as error:
            self._finish(Response(400, f"{error}\n".encode(), _TEXT))

    def _ask(self, request: Any, principal: str | None) -> None:
        admission = self._admission
        self._stream = Stream(
            self._telling,
            self,
            delta=False,
            only=self._type,
            admit=lambda node: admission.reads(principal, node.namespace),
        )
        answer = self._stream.receive(request.SerializeToString())
        if answer is not None:
            self.send(answer)
        self._look()

    def send(self, message: bytes, /) -> None:
        """See ``Sink``."""
        self._parts.append(message)
        if self._stream is not None:
            self._telling.later(self._look)

    def drop(self, reason: str, /) -> None:
        """See ``Sink``."""
        self._finish(Response(503, f"{reason}\n".encode(), _TEXT))

    def _look(self) -> None:
        """Answer, if the answer is complete."""
        stream = self._stream
        if stream is None or self._reply is None:
            return
        if not stream.answered:
            return
        merged = messages.discovery.DiscoveryResponse(type_url=self._type)
        for part in self._parts:
            merged.MergeFromString(part)
        merged.ClearField("nonce")
        if self._parts and merged.version_info == self._known:
            self._finish(Response(304))
            return
        from google.protobuf.json_format import MessageToJson

        self._finish(Response(200, MessageToJson(merged, indent=None).encode(), _JSON))

    def _finish(self, response: Response) -> None:
        reply, self._reply = self._reply, None
        self._close()
        if reply is not None:
            reply(response)

    def _close(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
