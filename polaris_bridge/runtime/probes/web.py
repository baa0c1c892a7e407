"""The WEB check: a request whose answer people want to read: status, reason, the beginning of the body. As Consul's agent asks:
2xx passes, 429 warns, everything else fails; redirects are followed while the check allows it."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urljoin, urlsplit

import httptools
from msgspec import structs

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING, WARNING

from . import http, tls

_READ: Final = 16 * 1024
_MOST_HEAD: Final = 64 * 1024
"""Bytes of an answer's head."""
_MOST_BODY: Final = 1024 * 1024
"""Bytes of a body that are read past what is kept, so that its sender need not fail."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_SAME_METHOD: Final = frozenset({307, 308})
_PORTS: Final = {"http": 80, "https": 443}


class _Answer:
    """Callbacks of the parser."""

    def __init__(self, keep: int) -> None:
        self.reason = ""
        self.location = ""
        self.body = bytearray()
        self.size = 0
        self.over = False
        self.head = False
        self._keep = keep

    def on_status(self, status: bytes) -> None:
        """Called by the parser."""
        self.reason += status.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        if name.lower() == b"location":
            self.location = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.head = True

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self.size += len(body)
        if len(self.body) < self._keep:
            self.body += body[: self._keep - len(self.body)]

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.over = True


async def perform(check: Check) -> Outcome:
    """Ask and judge. Raises ``OSError`` (``TimeoutError`` included) when nobody answers."""
    asked = _url(check)
    async with asyncio.timeout(check.timeout_ms / 1000):
        followed = 0
        while True:
            status, answer = await _ask(check)
            if status not in _REDIRECTS or followed >= check.redirects or not answer.location:
                break
            followed += 1
            found = _redirected(check, status, answer.location)
            if found is None:
                break
            check = found
    state = PASSING if 200 <= status < 300 else WARNING if status == 429 else CRITICAL
    body = bytes(answer.body).decode("utf-8", "replace")
    return Outcome(state, f"HTTP {check.method} {asked}: {status} {answer.reason} Output: {body}")


async def _ask(check: Check) -> tuple[int, _Answer]:
    reader, writer = await asyncio.open_connection(
        check.host, check.port, ssl=tls.context(check), server_hostname=tls.name(check)
    )
    answer = _Answer(check.kept_bytes)
    parser = httptools.HttpResponseParser(answer)
    received = 0
    try:
        writer.write(http.request(check))
        while not answer.over and answer.size < _MOST_BODY:
            data = await reader.read(_READ)
            if not data:
                break
            received += len(data)
            if not answer.head and received > _MOST_HEAD:
                raise OSError("the head of the answer is too long")
            parser.feed_data(data)
    except httptools.HttpParserError as error:
        raise OSError(f"malformed HTTP response: {error}") from None
    finally:
        writer.transport.abort()
    if not answer.head:
        raise OSError("EOF")
    return parser.get_status_code(), answer


def _url(check: Check) -> str:
    scheme = "https" if check.tls else "http"
    host = f"[{check.host}]" if ":" in check.host else check.host
    place = host if check.port == _PORTS[scheme] else f"{host}:{check.port}"
    return f"{scheme}://{place}{check.path}"


def _redirected(check: Check, status: int, location: str) -> Check | None:
    """The request that a redirect asks for; None: it leads nowhere."""
    try:
        to = urlsplit(urljoin(_url(check), location))
        port = to.port
    except ValueError:
        return None
    if to.scheme not in _PORTS or not to.hostname:
        return None
    keep = status in _SAME_METHOD or check.method in ("GET", "HEAD")
    path = (to.path or "/") + (f"?{to.query}" if to.query else "")
    return structs.replace(
        check,
        host=to.hostname,
        port=port or _PORTS[to.scheme],
        path=path,
        tls=to.scheme == "https",
        method=check.method if keep else "GET",
        body=check.body if keep else "",
    )
