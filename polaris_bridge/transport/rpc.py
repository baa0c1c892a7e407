"""What a gRPC adapter sees of calls: bytes in, bytes out, no transport. A table of methods that any gRPC server can serve.

Handlers are plain functions, called on the event loop, and must not block. Messages of a stream are handled one after
another: the next one is read when the answer to the last one has been taken by the connection, so that a client which
never reads holds one answer, however much it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Protocol


class Status(IntEnum):
    """How a call ends (https://grpc.github.io/grpc/core/md_doc_statuscodes.html)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(Exception):
    """Ends the call with a status of the handler's choice. Raised by a handler, or given to the callback of ``Later``."""

    def __init__(self, code: Status, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message


class Link(Protocol):
    """The connection that calls come by: one object for all calls of one TCP connection, hashable."""

    @property
    def host(self) -> str:
        """Address of the client, as ``Call.peer``."""
        ...

    @property
    def port(self) -> int:
        """Port of the client; 0 when it has none."""
        ...

    def closed(self, told: Callable[[], None], /) -> None:
        """Be told once when the connection is over; at once when it is already."""
        ...

    def close(self) -> None:
        """End it: what was sent goes out, calls under way may finish, the client is asked to go and then cut."""
        ...


class Call(Protocol):
    """One call as its handler sees it."""

    @property
    def link(self) -> Link:
        """The connection that it came by."""
        ...

    @property
    def path(self) -> str:
        """``/package.Service/Method``."""
        ...

    @property
    def peer(self) -> str:
        """Address of the client without port, an IPv4 address that came over an IPv6 socket as IPv4; "" when it has none."""
        ...

    def metadata(self, name: str) -> str | None:
        """First value of a request header given in lower case, None when absent. Binary ones (``-bin``) read as latin-1."""
        ...

    def send(self, message: bytes) -> None:
        """Push a message down a stream, after what was sent before. Never blocks. A client that lets more than the
        listener's ``max_backlog`` bytes pile up is ended with RESOURCE_EXHAUSTED. Nothing happens after the end."""
        ...

    @property
    def backlog(self) -> int:
        """Bytes given to ``send`` that the connection has not taken yet."""
        ...

    def finish(self, code: Status = Status.OK, message: str = "") -> None:
        """End a stream, once what was answered and sent before has gone out. The first of several calls counts."""
        ...


class Later(Protocol):
    """An answer that comes later, when a write is durable for example."""

    def then(self, reply: Callable[[bytes | RpcError], None], /) -> None:
        """Register the one receiver. It is called once, on the event loop; at once when the answer is there already."""
        ...


class Parked(Later, Protocol):
    """An answer that may take long (a watch): it holds something that is let go when nobody waits."""

    def abandon(self) -> None:
        """The call is over before the answer (the client left, or its deadline has passed). The receiver is not called any
        more."""
        ...


def abandoning(reply: Later) -> Callable[[], None] | None:
    """What to call when a call ends before its answer; None when the answer does not care."""
    found: Callable[[], None] | None = getattr(reply, "abandon", None)
    return found


class StreamHandler(Protocol):
    """What one stream of a client talks to. An exception other than ``RpcError`` is logged and ends the stream."""

    def on_message(self, message: bytes, /) -> bytes | Later | None:
        """Answer a message; None sends nothing. The next message waits until the answer is on its way."""
        ...

    def on_end(self) -> bool | None:
        """The client sends no more (or is gone: ``on_close`` follows). The stream then ends with OK; True keeps it open for
        pushes, until ``Call.finish``."""
        ...

    def on_close(self) -> None:
        """The stream is over, whoever ended it and however. Called exactly once, last."""
        ...


Unary = Callable[[bytes, Call], "bytes | Later"]
Open = Callable[[Call], StreamHandler]


class Methods:
    """The methods of one port, by path. Paths are ``/package.Service/Method``; ValueError for others and for doubles."""

    def __init__(self) -> None:
        self._unary: dict[str, Unary] = {}
        self._streams: dict[str, Open] = {}

    def unary(self, path: str, answer: Unary) -> None:
        """A method with one request and one answer."""
        self._check(path)
        self._unary[path] = answer

    def stream(self, path: str, open: Open) -> None:
        """A method with any number of messages either way. ``open`` is called when a client begins one."""
        self._check(path)
        self._streams[path] = open

    def include(self, other: Methods) -> None:
        """Take over all methods of another table."""
        for path, answer in other._unary.items():
            self.unary(path, answer)
        for path, open in other._streams.items():
            self.stream(path, open)

    def _check(self, path: str) -> None:
        if path.count("/") != 2 or not path.startswith("/") or path.endswith("/"):
            raise ValueError(f"{path!r} is no gRPC path; it has to look like /package.Service/Method")
        if path in self._unary or path in self._streams:
            raise ValueError(f"{path} has a handler already")

    def unaries(self) -> Iterator[tuple[str, Unary]]:
        """Every unary method."""
        return iter(self._unary.items())

    def streams(self) -> Iterator[tuple[str, Open]]:
        """Every streaming method."""
        return iter(self._streams.items())

    @property
    def services(self) -> list[str]:
        """Full names of the services that have a method here, sorted."""
        return sorted({path.split("/")[1] for path in (*self._unary, *self._streams)})

    def unknown(self, path: str) -> RpcError:
        """What a path without a handler is answered with; the texts are those of servers written in Go."""
        _, _, rest = path.partition("/")
        service, _, method = rest.rpartition("/")
        if service in self.services:
            return RpcError(Status.UNIMPLEMENTED, f"unknown method {method} for service {service}")
        return RpcError(Status.UNIMPLEMENTED, f"unknown service {service}")
