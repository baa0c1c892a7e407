"""Thousands of connections that wait for an answer, held by one thread: blocking sends, one epoll for what comes back."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


class LongPolls:
    """``count`` connections to a base URL, each with at most one call under way, each from an address of its own (on this
    machine), as clients are. Use as a context manager."""

    def __init__(self, base: str, count: int) -> None:
        where = urlsplit(base)
        self.host = where.netloc
        self._epoll = select.epoll()
        self._sockets: list[socket.socket] = []
        self._by_number: dict[int, int] = {}
        self._parts: dict[int, bytes] = {}
        local = where.hostname == "127.0.0.1"
        for n in range(count):
            place = (where.hostname or "", where.port or 80)
            made = socket.create_connection(place, 60, (f"127.1.{n >> 8}.{n & 255}", 0) if local else None)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sockets.append(made)
            self._by_number[made.fileno()] = n
            self._epoll.register(made, select.EPOLLIN)

    def send(self, request: Callable[[int], bytes]) -> None:
        """One request on each connection, by its number."""
        for n, each in enumerate(self._sockets):
            each.sendall(request(n))

    def answers(self, timeout_s: float, expect: bytes = b"") -> Sequence[float]:
        """Wait until every connection has its answer with status 200 that contains ``expect``; when each came
        (``time.perf_counter``). RuntimeError when one is missing or another."""
        times: list[float] = []
        deadline = time.monotonic() + timeout_s
        while len(times) < len(self._sockets):
            left = deadline - time.monotonic()
            if left <= 0:
                raise RuntimeError(f"{len(self._sockets) - len(times)} of {len(self._sockets)} polls were not answered")
            for number, _ in self._epoll.poll(left, 512):
                body = self._read(number)
                if body is None:
                    continue
                times.append(time.perf_counter())
                if expect not in body:
                    raise RuntimeError(f"a poll was answered {body[:300]!r}")
        return times

    def early(self) -> int:
        """How many were answered, or ended, that should wait."""
        return len(self._epoll.poll(0, 512))

    def _read(self, number: int) -> bytes | None:
        """The body of a whole answer."""
        found = self._parts.pop(number, b"") + self._sockets[self._by_number[number]].recv(1 << 16)
        head, end, body = found.partition(b"\r\n\r\n")
        if not end:
            if not found:
                raise RuntimeError("the server ended a poll's connection")
            self._parts[number] = found
            return None
        length = _LENGTH.search(head)
        if head[9:12] != b"200":
            raise RuntimeError(f"a poll got {found[:300]!r}")
        if length is not None and len(body) < int(length[1]):
            self._parts[number] = found
            return None
        return body

    def close(self) -> None:
        """End all connections."""
        self._epoll.close()
        for each in self._sockets:
            each.close()

    def __enter__(self) -> LongPolls:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
