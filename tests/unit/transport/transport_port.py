"""The listener on a free port, with real grpcio clients and raw sockets; all ends with the test."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
from peer import STREAM, UNARY, Echo, Frame

from polaris_bridge.transport.frames import PREFACE, SETTINGS, frame
from polaris_bridge.transport.limits import Limits
from polaris_bridge.transport.listener import NativeListener
from polaris_bridge.transport.rpc import Call, Methods

WAIT_S = 5


class Clock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Wire:
    """One TCP connection that sends any bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def greet(self) -> None:
        await self.send(PREFACE, frame(SETTINGS, 0, 0), frame(SETTINGS, 1, 0))

    async def read_frame(self) -> Frame | None:
        """The next frame; None when the server has ended the connection."""
        async with asyncio.timeout(WAIT_S):
            try:
                size, flags, stream = struct.unpack(">IBI", await self.reader.readexactly(9))
                return size & 0xFF, flags, stream, await self.reader.readexactly(size >> 8)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None

    async def until(self, kind: int) -> Frame:
        """The next frame of this type; the test fails when the connection ends first."""
        while (found := await self.read_frame()) is not None:
            if found[0] == kind:
                return found
        raise AssertionError(f"the connection ended before frame {kind}")

    async def rest(self) -> bytes:
        """Whatever comes until the server ends the connection."""
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.transport.abort()


class Files:
    """Certificates from files."""

    def __init__(self, cert: Path, key: Path, authorities: Path | None = None) -> None:
        self.cert, self.key, self.authorities = cert, key, authorities
        self.context = self._load()
        self.looked = 0

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        if self.authorities:
            context.load_verify_locations(self.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def reload(self) -> bool:
        self.context = self._load()
        return True

    def reload_if_changed(self) -> None:
        self.looked += 1


class Port:
    """Starts listeners and clients, and ends them with the test."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], Any]] = []
        self.clock = Clock()
        self.streams: list[Echo] = []
        self.observed: list[tuple[str, int, float]] = []
        self.script: Callable[[Call, bytes], Any] | None = None
        self.unary: Callable[[bytes, Call], Any] = lambda message, _call: message

    def _open(self, call: Call) -> Echo:
        self.streams.append(Echo(call, self.script))
        return self.streams[-1]

    async def listen(self, host: str = "127.0.0.1", number: int = 0, **options: Any) -> NativeListener:
        """Options are NativeListener's; those of Limits go there."""
        methods = Methods()
        methods.unary(UNARY, lambda message, call: self.unary(message, call))
        methods.stream(STREAM, self._open)
        wiring = {n: options.pop(n) for n in ("admission", "certificates", "allow", "address_of") if n in options}
        listener = NativeListener(
            "test",
            methods,
            limits=Limits(**options),
            observe=lambda *what: self.observed.append(what),
            monotonic=self.clock,
            **wiring,
        )
        sock = socket.create_server((host, number), backlog=2048)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.start([sock])
        self._ends.append(lambda: listener.stop(0))
        return listener

    def channel(self, listener: NativeListener, credentials: Any = None, **options: Any) -> grpc.aio.Channel:
        """A client with a connection of its own."""
        arguments = [
            ("grpc.use_local_subchannel_pool", 1),
            *((f"grpc.{name}", value) for name, value in options.items()),
        ]
        where = f"localhost:{listener.port}" if credentials else f"127.0.0.1:{listener.port}"
        if credentials:
            channel = grpc.aio.secure_channel(where, credentials, options=arguments)
        else:
            channel = grpc.aio.insecure_channel(where, options=arguments)
        self._ends.append(channel.close)
        return channel

    async def wire(self, listener: NativeListener) -> Wire:
        """A client that sends any bytes."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", listener.port))
        self._ends.append(wire.close)
        return wire

    async def pass_time(self, listener: NativeListener, seconds: float) -> None:
        """Move the clock, look after connections, and let what follows happen."""
        self.clock.now += seconds
        listener.sweep()
        await asyncio.sleep(0)

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
    try:
        await asyncio.wait_for(awaitable, WAIT_S)
    except grpc.aio.AioRpcError as error:
        return error.code().value[0], error.details() or ""
    raise AssertionError("the call did not fail")
