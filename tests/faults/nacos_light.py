"""Nacos clients that cost next to nothing: thousands of gRPC connections in one process, by frames made by hand, and calls over
HTTP that are kept alive."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from polaris_bridge.adapters.nacos.wire.payload import decode, encode

Json = dict[str, Any]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
WIDE_OPEN = 2**31 - 1
"""A window that no test fills."""
GROUP = "DEFAULT_GROUP"
NO_HEADERS: Mapping[str, str] = {}


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def head(path: str) -> bytes:
    """The header block of a call."""
    headers = (
        (":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"),
        ("content-type", "application/grpc"), ("te", "trailers"),
    )  # fmt: skip
    return b"".join(b"\x00%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in headers)


OPENING = (
    PREFACE
    + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WIDE_OPEN))
    + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WIDE_OPEN - 65535))
)
REQUEST = head("/Request/request")
STREAM = head("/BiRequestStream/requestBiStream")


def message(body: bytes) -> bytes:
    """One message of a call."""
    return struct.pack(">BI", 0, len(body)) + body


def named(service: str) -> Json:
    """How a request names a service."""
    return {"namespace": "public", "serviceName": service, "groupName": GROUP, "module": "naming", "headers": {}}


def hosts(info: Json) -> list[tuple[str, int]]:
    """Addresses of a list."""
    return sorted((host["ip"], host["port"]) for host in info["hosts"])


_open: set[Client | Http] = set()


async def leave() -> None:
    """Cut what connections of any test are still there."""
    for client in list(_open):
        client.abort()
    await asyncio.sleep(0)


class Lost(Exception):
    """The connection or the call is over, and no answer came."""


class Client(asyncio.Protocol):
    """One gRPC connection. It acknowledges what is pushed, and answers when it is asked whether it lives."""

    def __init__(self, pushed: Callable[[bytes], None] | None = None) -> None:
        self.id = ""
        self.lists: list[bytes] = []
        """What was pushed, as JSON, unless somebody else takes it."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.resets: list[Json] = []
        """The times it was sent away."""
        self._pushed = pushed or self.lists.append
        self._buffer = bytearray()
        self._partial: dict[int, bytearray] = {}
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._next = 1
        self._stream = 0
        self._set_up: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport

    # ------------------------------------------------------------------ connection

    @classmethod
    async def connected(
        cls, port: int, pushed: Callable[[bytes], None] | None = None, receive_buffer: int = 0
    ) -> Client:
        """A connection, and nothing said yet."""
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await loop.sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        _, client = await loop.create_connection(lambda: cls(pushed), sock=sock)
        client.transport.write(OPENING)
        return client

    @classmethod
    async def arrived(cls, port: int, pushed: Callable[[bytes], None] | None = None, receive_buffer: int = 0) -> Client:
        """A client that is set up."""
        client = await cls.connected(port, pushed, receive_buffer)
        await client.set_up()
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        _open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        _open.discard(self)
        for waiting in (*self._waiting.values(), self._set_up):
            if waiting is not None and not waiting.done():
                waiting.set_exception(Lost(f"the connection is over: {exc}"))
        self._waiting.clear()
        if not self.over.done():
            self.over.set_result(None)

    def abort(self) -> None:
        """Cut it."""
        self.transport.abort()

    def reset(self) -> None:
        """Vanish: the kernel answers with RST."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            end = at + 9 + size
            if len(buffer) < end:
                break
            self._frame(
                buffer[at + 3],
                buffer[at + 4],
                int.from_bytes(buffer[at + 5 : at + 9], "big"),
                bytes(buffer[at + 9 : end]),
            )
            at = end
        del buffer[:at]

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            held = self._partial.setdefault(stream, bytearray())
            held += payload
            while len(held) >= 5 and len(held) >= 5 + (size := int.from_bytes(held[1:5], "big")):
                found = bytes(held[5 : 5 + size])
                del held[: 5 + size]
                self._message(stream, found)
        elif kind == SETTINGS and not flags & ACK:
            self.transport.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.transport.write(frame(PING, ACK, 0, payload))
        if kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM):
            self._partial.pop(stream, None)
            waiting = self._waiting.pop(stream, None)
            if waiting is not None and not waiting.done():
                waiting.set_exception(Lost(f"the call ended without an answer: {payload!r}"))

    def _message(self, stream: int, data: bytes) -> None:
        if stream != self._stream:
            waiting = self._waiting.pop(stream, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(data)
            return
        payload = decode(data)
        if payload.type == "SetupAckRequest":
            if self._set_up is not None and not self._set_up.done():
                self._set_up.set_result(data)
            return
        body = json.loads(payload.body) if payload.type != "NotifySubscriberRequest" else {}
        if payload.type == "ConnectResetRequest":
            self.resets.append(body)
            return
        if payload.type == "NotifySubscriberRequest":
            self._pushed(payload.body)
            at = payload.body.index(b'"requestId":"') + 13
            number = payload.body[at : payload.body.index(b'"', at)]
        else:
            number = str(body["requestId"]).encode()
        self.say(
            payload.type.replace("Request", "Response"),
            b'{"resultCode":200,"errorCode":0,"requestId":"%b","success":true}' % number,
        )

    # ------------------------------------------------------------------ calls

    async def call(self, data: bytes) -> bytes:
        """Any bytes to ``Request/request``; the answer's bytes. Raises Lost."""
        if self.over.done():
            raise Lost("the connection is over")
        stream, self._next = self._next, self._next + 2
        waiting = self._waiting[stream] = asyncio.get_running_loop().create_future()
        self.transport.write(
            frame(HEADERS, END_HEADERS, stream, REQUEST) + frame(DATA, END_STREAM, stream, message(data))
        )
        return await waiting

    async def ask(self, type: str, body: Json) -> Json:
        """A request and the JSON of its answer."""
        found: Json = json.loads(decode(await self.call(encode(type, json.dumps(body).encode()))).body)
        return found

    def say(self, type: str, body: bytes) -> None:
        """Something on the stream."""
        self.transport.write(frame(DATA, 0, self._stream, message(encode(type, body))))

    async def set_up(self) -> None:
        """ServerCheck, then the stream."""
        self.id = (await self.ask("ServerCheckRequest", {}))["connectionId"]
        self._stream, self._next = self._next, self._next + 2
        self._set_up = asyncio.get_running_loop().create_future()
        self.transport.write(frame(HEADERS, END_HEADERS, self._stream, STREAM))
        said = {"clientVersion": "Nacos-Java-Client:v2.5.1", "abilityTable": {}, "labels": {"source": "sdk"}}
        self.say("ConnectionSetupRequest", json.dumps(said).encode())
        await self._set_up

    async def register(self, service: str, ip: str, port: int, **members: Any) -> None:
        """An ephemeral instance, or with ``ephemeral=False`` a persistent one."""
        instance = {"ip": ip, "port": port, "clusterName": "DEFAULT", "metadata": {}} | members
        type = "InstanceRequest" if instance.get("ephemeral", True) else "PersistentInstanceRequest"
        answer = await self.ask(type, named(service) | {"type": "registerInstance", "instance": instance})
        assert answer["resultCode"] == 200, answer

    async def subscribe(self, service: str) -> Json:
        """The list, and from now on its changes."""
        answer = await self.ask("SubscribeServiceRequest", named(service) | {"subscribe": True, "clusters": ""})
        assert answer["resultCode"] == 200, answer
        info: Json = answer["serviceInfo"]
        return info

    async def query(self, service: str) -> list[tuple[str, int]]:
        """Addresses of a list."""
        answer = await self.ask("ServiceQueryRequest", named(service) | {"cluster": "", "healthyOnly": False})
        assert answer["resultCode"] == 200, answer
        return hosts(answer["serviceInfo"])


class Http:
    """One connection, kept alive."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        _open.add(self)

    @classmethod
    async def connected(cls, port: int) -> Http:
        """To this port."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(
        self, method: str, path: str, /, headers: Mapping[str, str] = NO_HEADERS, **params: object
    ) -> tuple[int, bytes]:
        """Status and body. Raises OSError or IncompleteReadError when the connection is over."""
        query = f"?{urlencode(params)}" if params else ""
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(
            f"{method} /nacos{path}{query} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: 0\r\n\r\n".encode()
        )
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answered = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        body = await self._reader.readexactly(int(answered.get("content-length", 0)))
        return int(lines[0].split()[1]), body

    def close(self) -> None:
        """No more calls."""
        self._writer.close()
        _open.discard(self)

    abort = close


async def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look again and again until it is so."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        assert loop.time() < deadline, f"within {seconds} s it did not come about: {what}"
        await asyncio.sleep(0.02)


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, max(count, hard)))


def median(values: Iterable[float]) -> float:
    """The middle one."""
    found = sorted(values)
    return found[len(found) // 2]
