"""DNS over UDP: datagrams in, answers out, from the address that was asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from polaris_bridge.adapters._shared.forwarded import plain_address

_AT_ONCE: Final = 64
"""Datagrams taken in one go, so that others have their turn."""
_LARGEST: Final = 4096
"""Bytes of a question that are looked at; more than one question never has."""
_BUFFER: Final = 4 * 1024 * 1024
"""Bytes that the kernel is asked to hold for us while the loop is busy."""
_ANCILLARY: Final = 128
_PKTINFO: Final = struct.Struct("=I4s4s")
_IP_PKTINFO: Final = getattr(socket, "IP_PKTINFO", 8)  # Python 3.11 has no name for it
_IPV6_PKTINFO: Final = getattr(socket, "IPV6_PKTINFO", 50)
_IPV6_RECVPKTINFO: Final = getattr(socket, "IPV6_RECVPKTINFO", 49)

Address = tuple[str, int] | tuple[str, int, int, int]
Ancillary = list[tuple[int, int, bytes]]


class Pending(Protocol):
    """An answer that comes later, from somewhere else."""

    def then(self, reply: Callable[[bytes], None]) -> None:
        """Register the one receiver; it is called at most once."""
        ...


Resolve = Callable[[bytes, str, bool], "bytes | Pending | None"]
"""From a message, the client's address, and whether it came by TCP, to the answer; None: there is none. Does not raise."""


class UdpSocket:
    """One bound socket. Belongs to the event loop's thread."""

    def __init__(self, sock: socket.socket, resolve: Resolve, allow: Callable[[str], bool] | None) -> None:
        self._sock = sock
        self._resolve = resolve
        self._allow = allow
        self.answered = 0
        self.dropped = 0
        """Datagrams that got no answer, and answers that the network did not take."""
        self._wildcard = _asks_for_address(sock)
        asyncio.get_running_loop().add_reader(sock.fileno(), self._wildcard_round if self._wildcard else self._round)

    def close(self) -> None:
        """Let go of the socket."""
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._sock.close()

    def _round(self) -> None:
        """What waits at a socket that is bound to one address."""
        receive = self._sock.recvfrom
        for _ in range(_AT_ONCE):
            try:
                data, address = receive(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # word of an earlier answer that reached nobody
                continue
            self._take(data, address, ())

    def _wildcard_round(self) -> None:
        """What waits at a socket that is bound to all addresses: each answer has to say from which one it leaves."""
        receive = self._sock.recvmsg
        for _ in range(_AT_ONCE):
            try:
                data, ancillary, _flags, address = receive(_LARGEST, _ANCILLARY)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                continue
            self._take(data, address, ancillary)

    def _take(self, data: bytes, address: Address, ancillary: Ancillary | tuple[()]) -> None:
        peer = plain_address(address[0])
        if self._allow is not None and not self._allow(peer):
            self.dropped += 1
            return
        reply = self._resolve(data, peer, False)
        if isinstance(reply, bytes):
            self._send(address, ancillary, reply)
        elif reply is None:
            self.dropped += 1
        else:
            reply.then(partial(self._send, address, ancillary))

    def _send(self, address: Address, ancillary: Ancillary | tuple[()], message: bytes) -> None:
        """Send, or drop: never waits, never raises."""
        try:
            if ancillary:
                self._sock.sendmsg([message], [_from(one) for one in ancillary], 0, address)
            else:
                self._sock.sendto(message, address)
        except OSError:  # the network does not keep up, or the socket is closed
            self.dropped += 1
        else:
            self.answered += 1


def bound(family: int, address: tuple[str, int]) -> socket.socket:
    """A socket bound to an address. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _asks_for_address(sock: socket.socket) -> bool:
    """Whether the socket is bound to every address of the host; then the kernel is told to say which one was asked."""
    host = sock.getsockname()[0]
    if host not in ("0.0.0.0", "::"):
        return False
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
    return True


def _from(asked: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """What says that an answer leaves from the address that was asked, by whichever way leads to the client."""
    level, type, data = asked
    if level == socket.IPPROTO_IP and type == _IP_PKTINFO:
        _interface, local, destination = _PKTINFO.unpack_from(data)
        return level, type, _PKTINFO.pack(0, local if any(local) else destination, b"\0\0\0\0")
    return level, type, data
