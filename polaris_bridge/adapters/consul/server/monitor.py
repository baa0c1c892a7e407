"""The agent's log as an endless stream: what this process logs, in the form of an agent's lines, until the client leaves.

The call itself is judged as any other (``routes_self.monitor``); this carries what follows its 200.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters._shared.endpoint import Receive, Scope, Send, asgi_endpoint
from polaris_bridge.adapters._shared.exchange import Deferred, Request, Response
from polaris_bridge.adapters.consul.wire.params import Params

if TYPE_CHECKING:
    from .http import ConsulHttp

PATH: Final = "/v1/agent/monitor"
LEVELS: Final = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERR": logging.ERROR,
    "ERROR": logging.ERROR,
}
"""What a client may ask for."""
_WORDS: Final = {logging.DEBUG: "DEBUG", logging.INFO: "INFO", logging.WARNING: "WARN", logging.ERROR: "ERROR"}
_WAITING: Final = 512
"""Lines that wait for a slow client; further ones are dropped."""


class Monitor:
    """``GET /v1/agent/monitor`` beneath the framework."""

    def __init__(self, http: ConsulHttp) -> None:
        self._http = http
        self._streams: set[_Stream] = set()

    @property
    def following(self) -> int:
        """How many clients follow the log."""
        return len(self._streams)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ``asgi_endpoint``; the answer is followed by the log when it is the 200 of a GET."""
        admitted: list[Request] = []

        def judge(request: Request) -> Response | Deferred:
            admitted.append(request)
            return self._http.handle(request)

        async def begin(message: dict[str, object]) -> None:
            held.append(message)

        held: list[dict[str, object]] = []
        await asgi_endpoint(judge)(scope, receive, begin)  # type: ignore[arg-type]
        follows = bool(held) and held[0].get("status") == 200 and scope["method"] == "GET"
        if not follows:
            for message in held:
                await send(message)
            return
        headers = [pair for pair in held[0]["headers"] if pair[0].lower() != b"content-length"]  # type: ignore[attr-defined]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._follow(Params.of(admitted[0].query), receive, send)

    async def _follow(self, params: Params, receive: Receive, send: Send) -> None:
        level = LEVELS[(params.text("loglevel") or "INFO").upper()]
        stream = _Stream(level, as_json=params.has("logjson"))
        self._streams.add(stream)
        root = logging.getLogger("polaris_bridge")
        root.addHandler(stream)
        left = asyncio.ensure_future(_left(receive))
        try:
            while not left.done():
                line = asyncio.ensure_future(stream.lines.get())
                await asyncio.wait((line, left), return_when=asyncio.FIRST_COMPLETED)
                if not line.done():
                    line.cancel()
                    break
                found = line.result()
                if found is None:
                    break
                await send({"type": "http.response.body", "body": found, "more_body": True})
        finally:
            root.removeHandler(stream)
            self._streams.discard(stream)
            left.cancel()
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def leave(self) -> None:
        """The server is about to stop: every stream ends."""
        for stream in self._streams:
            stream.put(None)


class _Stream(logging.Handler):
    """The lines of one client."""

    def __init__(self, level: int, *, as_json: bool) -> None:
        super().__init__(level)
        self.lines: asyncio.Queue[bytes | None] = asyncio.Queue(_WAITING)
        self._loop = asyncio.get_running_loop()
        self._render: Callable[[logging.LogRecord], str] = json_line if as_json else plain_line

    def emit(self, record: logging.LogRecord) -> None:
        """From any thread."""
        line = self._render(record).encode("utf-8", "replace")
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.put, line)

    def put(self, line: bytes | None) -> None:
        """A line, or (None) the end."""
        with contextlib.suppress(asyncio.QueueFull):
            self.lines.put_nowait(line)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _stamp(record: logging.LogRecord) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{moment}.{int(record.msecs):03d}Z"


def plain_line(record: logging.LogRecord) -> str:
    """As an agent prints it: time, level, part, message."""
    word = _WORDS.get(record.levelno, "INFO")
    name = record.name.removeprefix("polaris_bridge.")
    return f"{_stamp(record)} {f'[{word}]':<7} agent.{name}: {record.getMessage()}\n"


def json_line(record: logging.LogRecord) -> str:
    """The same with ``logjson``."""
    said = {
        "@level": _WORDS.get(record.levelno, "INFO").lower(),
        "@message": record.getMessage(),
        "@module": f"agent.{record.name.removeprefix('polaris_bridge.')}",
        "@timestamp": _stamp(record),
    }
    return json.dumps(said) + "\n"
