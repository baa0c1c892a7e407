"""A listener on a free port, and a client that sees every byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop

from polaris_bridge.adapters._shared.exchange import Handler, Request, Response
from polaris_bridge.adapters._shared.listener import HttpListener
from polaris_bridge.adapters._shared.settings import HttpSettings


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every test here runs on the standard loop and on the one we serve with."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)


class Client:
    """One connection. Every wait has a deadline, so that a missing answer is a failure and not a hang."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes | str) -> None:
        self.writer.write(b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in parts))
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer:
        async with asyncio.timeout(4):
            head = await self.reader.readuntil(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
            headers = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
            answer = Answer(int(first.split(" ")[1]), headers, b"")
            if answer.header("transfer-encoding") == "chunked":
                answer.body = await self._chunks()
            elif method != "HEAD":
                answer.body = await self.reader.readexactly(int(answer.header("content-length") or 0))
            return answer

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()
        return body

    async def ask(self, request: bytes | str) -> Answer:
        await self.send(request)
        return await self.answer(request[:4].strip() if isinstance(request, str) else request[:4].strip().decode())

    async def closed(self) -> bytes:
        """What comes until the server ends the connection."""
        async with asyncio.timeout(4):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Later:
    """A Deferred that a test decides."""

    def __init__(self) -> None:
        self.reply: Callable[[Response], None] | None = None

    def then(self, reply: Callable[[Response], None]) -> None:
        self.reply = reply

    def settle(self, response: Response) -> None:
        assert self.reply is not None, "nobody asked for this answer yet"
        self.reply(response)


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """Starts listeners and clients, and ends them with the test."""

    def __init__(self) -> None:
        self._listeners: list[HttpListener] = []
        self._clients: list[Client] = []
        self.clock = Clock()

    async def listen(self, handler: Handler, *, hot: bool = True, **options: Any) -> HttpListener:
        """``hot``: whether every request takes the hot path; other options are HttpListener's or HttpSettings'."""
        wiring = {name: options.pop(name) for name in ("allow", "app", "internal_error") if name in options}
        claim = options.pop("claim", lambda _method, _target: handler if hot else None)
        settings = HttpSettings(**{"name": "test", "host": "127.0.0.1", "port": 0, **options})
        listener = HttpListener(settings, handler, hot=claim, monotonic=self.clock, wall=lambda: 0.0, **wiring)
        await listener.start()
        self._listeners.append(listener)
        return listener

    async def connect(self, listener: HttpListener, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection(options.pop("host", "127.0.0.1"), listener.port, **options))
        self._clients.append(client)
        return client

    async def pass_time(self, listener: HttpListener, seconds: float) -> None:
        self.clock.now += seconds
        listener.sweep()

    async def end(self) -> None:
        for client in self._clients:
            await client.close()
        for listener in self._listeners:
            await listener.stop(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    it = Bench()
    yield it
    await it.end()


@pytest.fixture(params=["hot", "cold"])
def hot(request: pytest.FixtureRequest) -> bool:
    """Run a test on both paths."""
    return bool(request.param == "hot")


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait until a condition holds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(4):
            while not condition():  # noqa: ASYNC110  # the conditions are counters, not events
                await asyncio.sleep(0.001)

    return wait


@pytest.fixture
def later() -> type[Later]:
    return Later


@pytest.fixture
def new_bench() -> type[Bench]:
    return Bench


def told(request: Request) -> Response:
    """Tells what the handler saw; ``status`` and ``parts`` of the query shape the answer."""
    wishes = dict(pair.split("=", 1) for pair in request.query.split("&") if "=" in pair)
    seen = repr((request.method, request.path, request.query, list(request.headers), request.body, request.scheme))
    body = f"{request.peer} {seen}".encode()
    size = int(wishes.get("parts", 0))
    parts = tuple(body[i :: size or 1] for i in range(size))
    status = int(wishes["status"]) if wishes.get("status", "").isdecimal() else 200
    return Response(status, parts or body, ((b"Content-Type", b"text/plain"), (b"X-Size", b"%d" % len(body))))


@pytest.fixture
def echo() -> Handler:
    return told
