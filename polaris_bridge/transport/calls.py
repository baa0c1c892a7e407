"""What a header list asks for: the method of the table, or why there is none. ``Application`` of a listener's connections."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Final

from .call import Call, CallLater, Observe, Opening, Shared
from .frames import Layout
from .grpc_framing import GZIPPED, PLAIN, is_grpc, timeout_s, trailers_only
from .headers import Request
from .hpack import encode
from .limits import Limits
from .rpc import Methods, RpcError, Status
from .streaming import StreamCall
from .unary import UnaryCall


class Calls(Shared):
    """The table, resolved once per header block."""

    def __init__(
        self,
        name: str,
        methods: Methods,
        limits: Limits,
        call_later: CallLater,
        *,
        allow: Callable[[str], bool] | None = None,
        observe: Observe | None = None,
    ) -> None:
        """See ``Shared``."""
        super().__init__(name, limits, call_later, allow, observe)
        self._methods = methods
        self._unary = dict(methods.unaries())
        self._streams = dict(methods.streams())

    def opening(self, request: Request) -> Opening:
        """See ``Application``."""
        metadata = request.metadata
        if not is_grpc(metadata.get("content-type", "")):
            return _not_grpc(self, request)
        if request.method != "POST":
            return _plain(self, request, "405", f"gRPC calls are POST, not {request.method}", ("allow", "POST"))
        opening = Opening(self, request, Refused)
        try:
            if "grpc-timeout" in metadata:
                opening.timeout_s = timeout_s(metadata["grpc-timeout"])
            opening.encoding = metadata.get("grpc-encoding", "")
            if opening.encoding not in ("", "identity"):
                opening.layout = _answer_layout(opening.encoding, metadata.get("grpc-accept-encoding", ""))
            unary = self._unary.get(request.path)
            if unary is not None:
                opening.unary, opening.begin = unary, UnaryCall
            elif request.path in self._streams:
                opening.stream, opening.begin = self._streams[request.path], StreamCall
            else:
                opening.refusal = self._methods.unknown(request.path)
        except RpcError as error:
            opening.refusal = error
        return opening

    def too_large(self, size: int) -> Opening:
        """See ``Application``."""
        opening = Opening(self, _NO_ONE, Refused)
        text = f"received metadata size exceeds limit ({size} vs. {self.limits.max_metadata})"
        opening.refusal = RpcError(Status.RESOURCE_EXHAUSTED, text)
        return opening


_NO_ONE: Final = Request("POST", "", "", {}, -1)


def _answer_layout(encoding: str, accepted: str) -> Layout:
    """As servers written in Go, we compress for whom compresses."""
    return GZIPPED if encoding == "gzip" and "gzip" in accepted.split(",") else PLAIN


def _not_grpc(calls: Shared, request: Request) -> Opening:
    if request.method != "POST":
        return _plain(
            calls, request, "405", f"this port speaks gRPC; {request.method} is not for it", ("allow", "POST")
        )
    return _plain(calls, request, "415", "this port speaks gRPC; content-type has to be application/grpc")


def _plain(calls: Shared, request: Request, status: str, text: str, *more: tuple[str, str]) -> Opening:
    opening = Opening(calls, request, PlainAnswer)
    body = f"{text}\n".encode()
    head = (":status", status), ("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(body)))
    opening.answer = encode(*head, *more), b"" if request.method == "HEAD" else body
    return opening


class Refused(Call):
    """A call that is not for any handler."""

    __slots__ = ()

    def opened(self) -> None:
        """See ``Stream``."""
        refusal = self._opening.refusal
        assert refusal is not None
        more = () if refusal.code != Status.UNIMPLEMENTED else (("grpc-accept-encoding", "gzip"),)
        self._opening.shared.refused(self.path, refusal.code, perf_counter())
        self.connection.finish(self, trailers_only(refusal.code, refusal.message, *more))


class PlainAnswer(Call):
    """A request that is no gRPC: an HTTP status and a sentence, once all of it has come."""

    __slots__ = ()

    def on_data(self, octets: bytes, ended: bool) -> None:
        """See ``Stream``."""
        if ended:
            head, body = self._opening.answer
            self.connection.start(self, head)
            self.connection.push(self, body)
            self.connection.finish(self, b"")
