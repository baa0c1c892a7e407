"""A Consul client over one kept-alive connection that says nothing it was not told to, and names over UDP and TCP."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

_open: list[Http] = []


class Answer(NamedTuple):
    """Of one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def index(self) -> int:
        return int(self.headers["x-consul-index"])


class Http:
    """One connection. OSError or EOFError when the server is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        _open.append(self)

    @classmethod
    async def connected(cls, port: int) -> Http:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=64 * 1024 * 1024))

    def send(self, method: str, target: str, body: bytes | object = b"", more: str = "") -> None:
        """A request; a body that is no bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(sent)}\r\n\r\n"
        self.writer.write(head.encode("latin-1") + sent)

    async def answer(self, timeout_s: float = 20) -> Answer:
        """The next one."""
        async with asyncio.timeout(timeout_s):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answer(int(head[0].split()[1]), headers, body)

    async def ask(self, method: str, target: str, body: bytes | object = b"", more: str = "") -> Answer:
        self.send(method, target, body, more)
        return await self.answer()

    async def get(self, target: str) -> Answer:
        return await self.ask("GET", target)

    async def put(self, target: str, body: bytes | object = b"") -> Answer:
        return await self.ask("PUT", target, body)

    async def done(self, target: str, body: bytes | object = b"") -> Answer:
        """A PUT that works."""
        answer = await self.put(target, body)
        assert answer.status == 200, answer
        return answer

    def close(self) -> None:
        self.writer.transport.abort()


async def leave() -> None:
    """Cut every connection that there is."""
    for http in _open:
        http.close()
        with suppress(OSError):
            await http.writer.wait_closed()
    _open.clear()


async def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look again and again until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"within {seconds} s it did not come about: {what}"
        await asyncio.sleep(0.02)
