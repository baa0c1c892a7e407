"""A client that sends any bytes: HTTP/2 frames by hand."""

from __future__ import annotations

import asyncio
import struct

WAIT_S = 5

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, DATA = 1, 3, 4, 6, 7, 8, 0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(*headers: tuple[str, str]) -> bytes:
    """A header block of literals without indexing."""
    return b"".join(b"\x00%c%b%c%b" % (len(n), n.encode(), len(v), v.encode()) for n, v in headers)


def opening(path: str, stream: int = 1, *extra: tuple[str, str], content_type: str = "application/grpc") -> bytes:
    """The HEADERS frame of a call."""
    head = ((":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x"))
    rest = (("content-type", content_type), ("te", "trailers"), *extra)
    return frame(HEADERS, 4, stream, block(*head, *rest))


def message(body: bytes, stream: int = 1, *, end: bool = False, flag: int = 0, length: int | None = None) -> bytes:
    """A DATA frame with one message."""
    prefix = struct.pack(">BI", flag, len(body) if length is None else length)
    return frame(DATA, int(end), stream, prefix + body)


class Wire:
    """One TCP connection. ``read_frame`` answers (type, flags, stream, payload), None at the end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def greet(self, settings: bytes = b"") -> None:
        await self.send(PREFACE, frame(SETTINGS, 0, 0, settings), frame(SETTINGS, 1, 0))

    async def read_frame(self) -> tuple[int, int, int, bytes] | None:
        async with asyncio.timeout(WAIT_S):
            try:
                head = await self.reader.readexactly(9)
                length = int.from_bytes(head[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                return kind, flags, stream, await self.reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None

    async def until_kind(self, *kinds: int) -> tuple[int, int, int, bytes] | None:
        """The next frame of one of these kinds; None when the server ends the connection first."""
        while (found := await self.read_frame()) is not None:
            if found[0] in kinds:
                return found
        return None

    async def close(self) -> None:
        self.writer.transport.abort()
