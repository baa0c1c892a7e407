"""A gRPC listener on a free port, and real grpcio clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from frames import WAIT_S, Wire

from polaris_bridge.adapters._shared.grpc_listener import GrpcListener
from polaris_bridge.adapters._shared.native_grpc import NativeGrpcListener
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import Call, Methods, RpcError

UNARY = "/test.Echo/Unary"
STREAM = "/test.Echo/Stream"


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Answer:
    """A Later that a test decides."""

    def __init__(self) -> None:
        self.reply: Callable[[bytes | RpcError], None] | None = None
        self.asked = asyncio.Event()

    def then(self, reply: Callable[[bytes | RpcError], None]) -> None:
        self.reply = reply
        self.asked.set()

    async def settle(self, answer: bytes | RpcError) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.asked.wait()
        assert self.reply is not None
        self.reply(answer)


class Echo:
    """A stream that answers what it is told, and notes what happens to it. ``script`` may answer in its place."""

    def __init__(self, call: Call, script: Callable[[Call, bytes], Any] | None = None) -> None:
        self.call = call
        self.seen: list[bytes] = []
        self.events: list[str] = []
        self.stays = False
        self.closed = asyncio.Event()
        self._script = script

    def on_message(self, message: bytes) -> Any:
        self.seen.append(message)
        return message if self._script is None else self._script(self.call, message)

    def on_end(self) -> bool:
        self.events.append("end")
        return self.stays

    def on_close(self) -> None:
        self.events.append("close")
        self.closed.set()


class Bench:
    """Starts listeners and clients, and ends them with the test."""

    def __init__(self, kind: type[GrpcListener] | type[NativeGrpcListener]) -> None:
        self.kind = kind
        self._ends: list[Callable[[], Any]] = []
        self.clock = Clock()
        self.streams: list[Echo] = []
        self.opened = asyncio.Event()
        self.observed: list[tuple[str, int, float]] = []
        self.script: Callable[[Call, bytes], Any] | None = None
        """What streams answer."""
        self.unary: Callable[[bytes, Call], Any] = lambda message, _call: message
        """What unary calls answer."""

    def methods(self) -> Methods:
        methods = Methods()
        methods.unary(UNARY, lambda message, call: self.unary(message, call))
        methods.stream(STREAM, self._open)
        return methods

    def _open(self, call: Call) -> Echo:
        self.streams.append(Echo(call, self.script))
        self.opened.set()
        return self.streams[-1]

    async def listen(self, methods: Methods | None = None, **options: Any) -> Any:
        """Options are GrpcListener's or GrpcSettings'."""
        wiring = {name: options.pop(name) for name in ("allow", "pool") if name in options}
        settings = GrpcSettings(**{"name": "test", "host": "127.0.0.1", "port": 0, **options})
        listener = self.kind(
            settings,
            methods or self.methods(),
            monotonic=self.clock,
            observe=lambda *what: self.observed.append(what),
            **wiring,
        )
        await listener.start()
        self._ends.append(lambda: listener.stop(0))
        return listener

    def channel(
        self, listener: Any, *, credentials: grpc.ChannelCredentials | None = None, **options: Any
    ) -> grpc.aio.Channel:
        """A client with a connection of its own."""
        where = f"{options.pop('host', '127.0.0.1')}:{listener.port}"
        arguments = [
            ("grpc.use_local_subchannel_pool", 1),
            *((f"grpc.{name}", value) for name, value in options.items()),
        ]
        if credentials is None:
            channel = grpc.aio.insecure_channel(where, options=arguments)
        else:
            channel = grpc.aio.secure_channel(where, credentials, options=arguments)
        self._ends.append(channel.close)
        return channel

    async def wire(self, listener: Any) -> Wire:
        """A client that sends any bytes."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", listener.port))
        self._ends.append(wire.close)
        return wire

    async def stream_opened(self, count: int = 1) -> Echo:
        """The last stream, once so many have come."""
        async with asyncio.timeout(WAIT_S):
            while len(self.streams) < count:
                self.opened.clear()
                await self.opened.wait()
        return self.streams[count - 1]

    async def pass_time(self, listener: Any, seconds: float) -> None:
        self.clock.now += seconds
        listener.sweep()

    async def end(self) -> None:
        for end in reversed(self._ends):
            await end()


async def until(condition: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Look after every round of the loop until it is so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # conditions of what is measured, not of this program
            await asyncio.sleep(0.001)


async def failure(awaitable: Any) -> tuple[int, str]:
    """Status and text of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await asyncio.wait_for(awaitable, WAIT_S)
    return caught.value.code().value[0], caught.value.details() or ""


async def ending(stream: Any) -> tuple[int, str]:
    """Status and text with which a stream ends."""
    async with asyncio.timeout(WAIT_S):
        return (await stream.code()).value[0], await stream.details()


def streams_of(listener: Any) -> Any:
    """The streams that are open; empty when there are none."""
    return listener._calls.streams if isinstance(listener, GrpcListener) else listener._listener.calls.open


only_grpcio = pytest.mark.parametrize("bench", [GrpcListener], ids=["grpcio"], indirect=True)
"""For what is grpcio's own doing."""
