"""One listening gRPC port: accepting, limits on connections, certificates, the once-a-second sweep, draining.

What a client meets that breaks a rule:

* more connections than allowed, or an address that is not: closed at once, or each call answered with PERMISSION_DENIED;
* HTTP/1.1, or TLS on a plain port: an HTTP/1.1 answer that says so, or the end;
* a frame that breaks HTTP/2: RST_STREAM or GOAWAY, as RFC 9113 says, with a sentence for whoever reads the client's log;
* a client that does not read: its calls wait, its pushes end (``limits``); one that takes nothing for a minute is closed;
* floods of what costs us and says nothing: GOAWAY ENHANCE_YOUR_CALM.

All of it is counted by reason, none of it is logged above DEBUG but the first refusal of each kind.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from .accepting import Acceptor, Admission, Certificates, Everybody
from .call import Observe
from .calls import Calls
from .limits import Budget, Limits
from .link import Flusher, Link
from .rpc import Methods, Status

log = logging.getLogger("polaris_bridge.apiserver")


@dataclass(slots=True, frozen=True)
class Counters:
    """Numbers since the start (``..._open``, ``unsent``, ``held``: now)."""

    connections_open: int
    connections_total: int
    connections_refused: dict[str, int]
    """By reason of the admission, ``tls`` for handshakes that failed, ``open_files``, ``reset``."""
    answered: int
    """Unary calls and messages of streams that were answered."""
    refusals: dict[int, int]
    """Calls that ended other than OK, by status."""
    errors: int
    """Calls that ended in an unexpected exception."""
    streams_open: int
    """Streaming calls under way."""
    unsent: int
    """Bytes that wait for clients to read."""
    held: int
    """Bytes of unfinished and unhandled messages."""
    reasons: dict[str, int]
    """Connections and calls set aside, refused or closed, by reason."""


class NativeListener:
    """See ``start``, ``drain``, ``stop``. All methods belong to the event loop's thread."""

    def __init__(
        self,
        name: str,
        methods: Methods,
        *,
        limits: Limits | None = None,
        admission: Admission | None = None,
        certificates: Certificates | None = None,
        allow: Callable[[str], bool] | None = None,
        observe: Observe | None = None,
        address_of: Callable[[str], str] = lambda host: host,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``allow`` says whether a client address may call at all (else PERMISSION_DENIED). ``address_of`` is how an address
        is written (an IPv4 one that came over IPv6). ``certificates`` serve TLS; None: plain."""
        self.name = name
        self.limits = limits or Limits()
        self.admission: Admission = admission or Everybody()
        self.budget = Budget()
        self.links: set[Link] = set()
        """Connections that exist."""
        self.calls = Calls(name, methods, self.limits, self._call_later, allow=allow, observe=observe)
        self._certificates = certificates
        self._offered: ssl.SSLContext | None = None
        self._acceptor = Acceptor(name, self.admission, self._serve, self.sweep, address_of)
        self._monotonic = monotonic
        self._swept_at = monotonic()
        self._emptied = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._flusher: Flusher | None = None

    @property
    def port(self) -> int:
        """The port in use; 0 before ``start`` and after ``drain``."""
        return self._acceptor.port

    def counters(self) -> Counters:
        """For metrics."""
        calls = self.calls
        return Counters(
            len(self.links),
            self._acceptor.total,
            dict(self.admission.refused),
            calls.answered,
            dict(calls.refusals),
            calls.errors,
            len(calls.open),
            self.budget.unsent,
            self.budget.held,
            dict(self.budget.reasons),
        )

    def cut(self, host: str, port: int = 0) -> int:
        """End the connections of a client address, or the one from this port, whatever is in flight; how many there were."""
        found = [link for link in self.links if link.host == host and port in (0, link.port)]
        for link in found:
            link.cut()
        return len(found)

    def start(self, sockets: list[socket.socket]) -> None:
        """Accept on sockets that listen and do not block; they are the listener's from now on."""
        self._loop = asyncio.get_running_loop()
        self._flusher = Flusher()
        self._acceptor.start(sockets)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        assert self._loop is not None
        return self._loop.call_later(seconds, callback)

    async def _serve(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        """From an accepted socket to a connection, through the TLS handshake when there is one."""
        assert self._loop is not None
        assert self._flusher is not None
        link = Link(self.calls, self.limits, self.budget, self._flusher, peer, self._monotonic(), self._gone)
        self.links.add(link)
        secure = self._certificates is not None
        try:
            if secure:
                await self._loop.connect_accepted_socket(
                    lambda: link, sock, ssl=self._context(), ssl_handshake_timeout=self.limits.handshake_timeout_s
                )
            else:
                await self._loop.connect_accepted_socket(lambda: link, sock)
        except OSError as error:  # ssl.SSLError, a reset, a handshake that took too long
            self.admission.refused["tls" if secure else "reset"] += 1
            log.debug("%s: connection from %s did not come about: %s", self.name, peer[0], error)
        finally:
            if link in self.links and not link.made:
                sock.close()
                self._gone(link)

    def _context(self) -> ssl.SSLContext:
        assert self._certificates is not None
        context = self._certificates.context
        if context is not self._offered:
            self._offered = context
            context.set_alpn_protocols(["h2"])
        return context

    def _gone(self, link: Link) -> None:
        self.links.discard(link)
        self.admission.leave(link.host)
        if not self.links:
            self._emptied.set()

    def sweep(self) -> None:
        """Once a second: time of all connections, counters of hosts, changed certificates."""
        now = self._monotonic()
        seconds, self._swept_at = now - self._swept_at, now
        for link in list(self.links):
            link.tick(now, seconds)
        self.admission.purge()
        if self._certificates is not None:
            self._certificates.reload_if_changed()

    def reload_tls(self) -> bool:
        """Read the certificate files now. True when there is nothing to read or it worked."""
        return self._certificates is None or self._certificates.reload()

    # Ending

    async def drain(self) -> None:
        """Accept nothing more, ask every client to go (two GOAWAYs), answer what is in flight, end streams with UNAVAILABLE so
        that their clients go elsewhere; returns when no connection is left. Bound it, or use ``stop``."""
        self._acceptor.close()
        await asyncio.sleep(0)  # requests that have arrived already count as in flight
        for link in list(self.links):
            link.drain()
        self.calls.stopping = True
        for stream in list(self.calls.open):
            stream.finish(Status.UNAVAILABLE, "the server is stopping")
        if self._certificates is not None:
            self._acceptor.cancel_handshakes()
        while self.links:
            self._emptied.clear()
            await self._emptied.wait()

    async def stop(self, grace: float) -> None:
        """``drain`` for at most ``grace`` seconds, then cut what is left. May be called again, or before ``start``."""
        if self._loop is None:
            return
        try:
            async with asyncio.timeout(grace):
                await self.drain()
        except TimeoutError:
            if self.links:
                log.warning("%s: calls of %d connections cut after %g s", self.name, len(self.links), grace)
        for link in list(self.links):
            link.cut()
        self._acceptor.stop()
        await asyncio.sleep(0)
