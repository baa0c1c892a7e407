"""One kept-alive HTTP connection that costs the load's core little: blocking, bodies read and by default kept."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_CHUNKED = re.compile(rb"(?i)\r\ntransfer-encoding: *chunked")
_CLOSE = re.compile(rb"(?i)\r\nconnection: *close")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Answer:
    """Status, body (empty when it was not to be kept), size of the body, and the head as it came."""

    status: int
    body: bytes
    size: int
    head: bytes = field(default=b"", compare=False)

    def header(self, name: str) -> str:
        """The value of a header; empty when it is missing."""
        found = re.search(rb"(?i)\r\n%b: *([^\r]*)" % re.escape(name.encode()), self.head)
        return found[1].decode("latin-1") if found else ""


class Connection:
    """A connection to a base URL. Use as a context manager."""

    def __init__(self, url: str, timeout_s: float = 60) -> None:
        self._where = urlsplit(url)
        self._host = self._where.netloc
        self._timeout_s = timeout_s
        self._connect()

    def _connect(self) -> None:
        self._socket = socket.create_connection((self._where.hostname, self._where.port or 80), self._timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._closing = False

    def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *, keep: bool = True
    ) -> Answer:
        """Send one request and read its whole answer."""
        if self._closing:  # some servers end a connection after so many requests
            self.close()
            self._connect()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("POST", "PUT"):
            lines.append(f"Content-Length: {len(body)}")
        self._socket.sendall("\r\n".join((*lines, "", "")).encode() + body)
        return self._answer(method, keep)

    def _answer(self, method: str, keep: bool) -> Answer:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._more()
        head, self._buffer = self._buffer[: end + 2], self._buffer[end + 4 :]
        status = int(head[9:12])
        self._closing = _CLOSE.search(head) is not None
        length = _LENGTH.search(head)
        if method == "HEAD" or status in (204, 304):
            return Answer(status, b"", 0, head)
        if length is not None:
            found = self._exactly(int(length[1]), keep)
            return Answer(status, found, int(length[1]), head)
        if _CHUNKED.search(head) is None:
            return Answer(status, b"", 0, head)
        return self._chunks(status, keep)

    def _chunks(self, status: int, keep: bool) -> Answer:
        kept: list[bytes] = []
        size = 0
        while True:
            while (end := self._buffer.find(b"\r\n")) < 0:
                self._more()
            length = int(self._buffer[:end].partition(b";")[0], 16)
            self._buffer = self._buffer[end + 2 :]
            kept.append(self._exactly(length, keep))
            self._exactly(2, False)
            size += length
            if not length:
                return Answer(status, b"".join(kept), size)

    def _exactly(self, length: int, keep: bool) -> bytes:
        """Take so many bytes off the connection."""
        head, self._buffer = self._buffer[:length], self._buffer[length:]
        left = length - len(head)
        kept = [head] if keep else []
        while left:
            data = self._socket.recv(min(left, _CHUNK))
            if not data:
                raise ConnectionError("the server closed the connection in an answer")
            left -= len(data)
            if keep:
                kept.append(data)
        return b"".join(kept)

    def _more(self) -> None:
        data = self._socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
