"""What an HTTP adapter sees of a request and says in an answer: plain values, no framework and no socket.

An adapter is one function ``handle(request) -> Response | Deferred``. The hot path (a protocol class beneath the framework)
and the cold path (Starlette) both call it, which is why both answer the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

Headers = Sequence[tuple[bytes, bytes]]


class Request(Struct, frozen=True, gc=False):
    """One decoded HTTP request. Header names are lower-case; ``path`` is raw (still percent-encoded), without the query."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes
    peer: str
    """Address of the client, after ``trustedProxies`` was applied; no port."""
    scheme: str = "http"

    def header(self, name: bytes) -> str | None:
        """First value of a header, decoded as latin-1 as RFC 9110 allows; None when absent."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None


class Response(Struct, frozen=True, gc=False):
    """One answer. ``body`` may be several parts that are written one after another without being joined."""

    status: int
    body: bytes | tuple[bytes, ...] = b""
    headers: Headers = ()
    """Without content-length and date, which the listener adds. Names as they are to appear on the wire."""

    @property
    def length(self) -> int:
        """Size of the body in bytes."""
        return len(self.body) if isinstance(self.body, bytes) else sum(map(len, self.body))


class Deferred(Protocol):
    """An answer that comes later (a write that is not durable yet). ``then`` calls back exactly once, from the event loop."""

    def then(self, reply: Callable[[Response], None]) -> None:
        """Register the one receiver; called at once when the answer is there already."""
        ...


class Parked(Deferred, Protocol):
    """An answer that may take long (a long poll, a blocking query): it holds something that is let go when nobody waits."""

    def abandon(self) -> None:
        """The client went away before the answer: what waits for it can go. The receiver is not called any more."""
        ...


def abandoning(reply: Deferred) -> Callable[[], None] | None:
    """What to call when the client of an answer goes away; None when the answer does not care."""
    found: Callable[[], None] | None = getattr(
        reply, "abandon", None
    )  # a look at the protocol class costs 30 times as much
    return found


Handler = Callable[[Request], "Response | Deferred"]
