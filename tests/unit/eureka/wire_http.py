"""HTTP/1.1 by hand: bytes of one request, and its answer, on a connection that stays open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
ANSWER_S = 8.0


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def stable_headers(self) -> list[tuple[str, str]]:
        """In any order and case, without the date and the length of texts that hold times."""
        return sorted((k, v) for k, v in self.headers if k not in ("date", "content-length"))


_opened: list[Stream] = []


async def connect(port: int) -> Stream:
    stream = await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024)
    _opened.append(stream)
    return stream


async def close_all() -> None:
    """End every connection of a test."""
    for _, writer in _opened:
        writer.transport.abort()
    for _, writer in _opened:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    _opened.clear()


def request(
    method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, chunked: bool = False
) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    elif body or method in ("PUT", "POST"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


async def exchange(stream: Stream, method: str, raw: bytes) -> Answer:
    """Send and wait for the answer; a server that answers and cuts before it has read all is fine."""
    reader, writer = stream
    writer.write(raw)
    async with asyncio.timeout(ANSWER_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = [(k.lower(), v) for k, _, v in (line.partition(": ") for line in head[1:] if line)]
        status = int(head[0].split(" ")[1])
        length = int(dict(headers).get("content-length", "0"))
        body = b"" if method == "HEAD" or status in (204, 304) else await reader.readexactly(length)
    return Answer(status, headers, body)
