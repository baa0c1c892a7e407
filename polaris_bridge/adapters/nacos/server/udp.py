"""The socket that UDP pushes leave from and acknowledgements come back to: one a listener, on any free port of its host."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING

from polaris_bridge.adapters.nacos.wire.push import acknowledged

if TYPE_CHECKING:
    from polaris_bridge.adapters.nacos.service.nacos import NacosService


class UdpPort(asyncio.DatagramProtocol):
    """See the module. Belongs to the event loop's thread."""

    def __init__(self, service: NacosService, host: str) -> None:
        self._push = service.udp
        self._host = host
        self._transport: asyncio.DatagramTransport | None = None
        self._mapped = False
        self._full = False

    @property
    def port(self) -> int:
        """The port in use; 0 before the start."""
        if self._transport is None:
            return 0
        return int(self._transport.get_extra_info("sockname")[1])

    async def start(self) -> None:
        """Bind; pushes begin. OSError when the host's address cannot be bound to."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host or None, 0, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            self._mapped = family == socket.AF_INET6
            if self._mapped:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(address)
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        except OSError:
            sock.close()
            raise
        self._transport = transport
        self._push.attach(self.send)

    def send(self, packet: bytes, ip: str, port: int) -> None:
        """Send one packet, or drop it: never waits, never raises."""
        transport = self._transport
        if transport is None or self._full:
            return
        if self._mapped and ":" not in ip:
            ip = f"::ffff:{ip}"
        elif not self._mapped and ":" in ip:
            return
        transport.sendto(packet, (ip, port))

    def close(self) -> None:
        """Let go of the socket; pushes end. May be called again, or before ``start``."""
        if self._transport is not None:
            self._push.attach(None)
            self._transport.abort()
            self._transport = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Called by the event loop."""
        ref = acknowledged(data)
        if ref is not None:
            self._push.acknowledge(plain(addr[0]), addr[1], ref)

    def pause_writing(self) -> None:
        """The network does not keep up: what comes now is dropped, as the network itself may do."""
        self._full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False

    def error_received(self, exc: Exception) -> None:
        """A client whose port is closed: it stops acknowledging, and is forgotten for that."""


def plain(ip: str) -> str:
    """An address without a zone, and IPv4 as IPv4."""
    ip = ip.partition("%")[0]
    if ip.startswith("::ffff:"):
        mapped = ipaddress.IPv6Address(ip).ipv4_mapped
        return str(mapped) if mapped is not None else ip
    return ip
