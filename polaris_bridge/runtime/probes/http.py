"""The HTTP check: a request, of whose answer the status counts. Nothing else of the answer is read, no redirect followed."""

from __future__ import annotations

import asyncio
import re
from typing import Final
from urllib.parse import quote

from polaris_bridge.core.health import Check, Outcome
from polaris_bridge.core.model import CRITICAL, PASSING

AGENT: Final = "polaris-bridge"
LINE_LIMIT: Final = 8192
"""Bytes of a status line; more is no HTTP."""

_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: |\r?\n)")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


async def perform(check: Check) -> Outcome:
    """Ask and judge the status. Raises ``OSError`` (``TimeoutError`` included) when nobody answers."""
    head = request(check)
    async with asyncio.timeout(check.timeout_ms / 1000):
        reader, writer = await asyncio.open_connection(check.host, check.port, limit=LINE_LIMIT)
        try:
            writer.write(head)
            status = await _status(reader)
        finally:
            writer.transport.abort()  # the body, if one comes, is of no interest
    if not status:
        return Outcome(CRITICAL, "the answer is not HTTP")
    return Outcome(PASSING if status in check.expected else CRITICAL, f"status {status}", str(status))


async def _status(reader: asyncio.StreamReader) -> int:
    """The status of the final answer, interim ones skipped; 0 when it is no HTTP."""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return 0
        found = _STATUS.match(line)
        status = int(found[1]) if found else 0
        if not 100 <= status < 200:
            return status
        while line.strip():
            line = await reader.readline()


def request(check: Check) -> bytes:
    """The bytes of a check's request. Raises ``ValueError`` for what cannot be said in HTTP."""
    path = quote(check.path or "/", safe="/?:@!$&'()*+,;=%-._~#[]").partition("#")[0]
    host = f"[{check.host}]" if ":" in check.host else check.host
    headers = {"Host": f"{host}:{check.port}", "User-Agent": AGENT, "Accept": "*/*", "Connection": "close"}
    own = {name.lower() for name, _ in check.headers}
    lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in own]
    for name, value in check.headers:
        if not _TOKEN.fullmatch(name) or _UNSENDABLE.search(value):
            raise ValueError(f"header {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    if not _TOKEN.fullmatch(check.method):
        raise ValueError(f"method {check.method!r} cannot be sent")
    path = path if path.startswith("/") else f"/{path}"
    body = check.body.encode("utf-8")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join((f"{check.method} {path} HTTP/1.1", *lines, "", "")).encode("utf-8") + body
