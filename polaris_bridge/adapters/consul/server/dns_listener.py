"""One DNS port: UDP and TCP of the same number, as a listener like every other."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from typing import Final

from msgspec import structs

from polaris_bridge.adapters._shared.accepting import cannot_listen, listening_sockets
from polaris_bridge.adapters._shared.admission import Admission
from polaris_bridge.adapters._shared.forwarded import plain_address
from polaris_bridge.adapters._shared.listener import Connected, ListenerCounters, ListenerDescription
from polaris_bridge.adapters._shared.settings import HttpSettings
from polaris_bridge.transport.accepting import Acceptor

from .dns_tcp import TcpConnection
from .dns_udp import Resolve, UdpSocket, bound

log = logging.getLogger("polaris_bridge.apiserver")

_ATTEMPTS: Final = 50
"""To find a port that is free for both."""
MOST_CONNECTIONS: Final = 1000
"""TCP connections at once when ``connLimit`` says nothing."""


class DnsListener:
    """See ``start``, ``drain``, ``stop``, as of ``HttpListener``. All methods belong to the event loop's thread."""

    def __init__(
        self,
        settings: HttpSettings,
        resolve: Resolve,
        *,
        allow: Callable[[str], bool] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Of the settings name, host, port, backlog and ``conn_limit`` count. ``allow`` says whether a client address may
        speak to us at all; who may not gets no answer."""
        self.settings = settings
        self._resolve = resolve
        self._allow = allow
        self._monotonic = monotonic
        limit = settings.conn_limit
        if not limit.open_conn_limit:
            limit = structs.replace(limit, open_conn_limit=True, max_conn_limit=MOST_CONNECTIONS, max_conn_per_host=256)
        self._admission = Admission(limit, monotonic)
        self._acceptor = Acceptor(settings.name, self._admission, self._serve, self.sweep, plain_address)
        self._udp: list[UdpSocket] = []
        self._tcp: set[TcpConnection] = set()
        self._answered = self._refused = 0
        self._emptied = asyncio.Event()
        self._started = False

    @property
    def port(self) -> int:
        """The port in use; the kernel's choice when the settings say 0."""
        return self._acceptor.port or self.settings.port

    def describe(self) -> ListenerDescription:
        """For the table of listeners at start-up."""
        return ListenerDescription(self.settings.name, self.settings.host, self.port, "dns", False)

    def counters(self) -> ListenerCounters:
        """For metrics: connections are those of TCP, requests the answers given by both."""
        answered = self._answered + sum(u.answered for u in self._udp) + sum(t.answered for t in self._tcp)
        dropped = self._refused + sum(u.dropped for u in self._udp)
        return ListenerCounters(
            self._admission.open,
            self._acceptor.total,
            dict(self._admission.refused),
            answered,
            {0: dropped} if dropped else {},
            0,
        )

    def connected(self) -> Connected:
        """For operators who ask."""
        return Connected(self._admission.limited, [c.peer for c in self._tcp], self._admission.quiet_s())

    def cut(self, host: str, port: int = 0) -> int:
        """End the TCP connections of a client address, or the one from this port; how many there were."""
        found = [c for c in self._tcp if c.peer[0] == host and port in (0, c.peer[1])]
        for connection in found:
            connection.cut()
        return len(found)

    async def start(self) -> None:
        """Bind both and answer. OSError with host, port and what to do when that is not possible."""
        for attempt in range(_ATTEMPTS):
            listening = await listening_sockets(self.settings)
            try:
                self._udp = _datagram_sockets(listening, self._resolve, self._allow)
                break
            except OSError as error:
                for sock in listening:
                    sock.close()
                if self.settings.port or attempt == _ATTEMPTS - 1:
                    raise cannot_listen(self.settings, error) from error
        self._started = True
        self._acceptor.start(listening)

    async def _serve(self, sock: socket.socket, address: tuple[str, int]) -> None:
        if self._allow is not None and not self._allow(address[0]):
            self._refused += 1
            sock.close()
            self._leave(address[0])
            return
        connection = TcpConnection(self._resolve, address, self._monotonic, self._gone)
        self._tcp.add(connection)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, sock)
        except OSError:
            sock.close()
            self._gone(connection)

    def _gone(self, connection: TcpConnection) -> None:
        if connection in self._tcp:
            self._tcp.discard(connection)
            self._answered += connection.answered
            self._leave(connection.peer[0])

    def _leave(self, host: str) -> None:
        self._admission.leave(host)
        if not self._admission.open:
            self._emptied.set()

    def sweep(self) -> None:
        """Once a second."""
        self._admission.purge()
        for connection in list(self._tcp):
            connection.sweep()

    def reload_tls(self) -> bool:
        """There is nothing to read."""
        return True

    async def drain(self) -> None:
        """Take no more questions, answer those that are there."""
        self._acceptor.close()
        for one in self._udp:
            one.close()
            self._answered += one.answered
            self._refused += one.dropped
        self._udp = []
        for connection in list(self._tcp):
            connection.drain()
        while self._admission.open:
            self._emptied.clear()
            await self._emptied.wait()

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left. May be called again, or before ``start``."""
        if not self._started:
            return
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            log.warning("%s: %d connections cut after %g s", self.settings.name, len(self._tcp), grace)
        for connection in list(self._tcp):
            connection.cut()
        self._acceptor.stop()
        await asyncio.sleep(0)


def _datagram_sockets(
    listening: list[socket.socket], resolve: Resolve, allow: Callable[[str], bool] | None
) -> list[UdpSocket]:
    """One for each listening socket, of the same address and port; raises OSError, and then none is left open."""
    sockets: list[socket.socket] = []
    try:
        for sock in listening:
            address = sock.getsockname()
            sockets.append(bound(sock.family, (address[0], address[1])))
    except OSError:
        for sock in sockets:
            sock.close()
        raise
    return [UdpSocket(sock, resolve, allow) for sock in sockets]
