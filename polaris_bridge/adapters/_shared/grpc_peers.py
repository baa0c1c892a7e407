"""Who calls a gRPC listener: addresses, the whitelist, and ``connLimit``.

grpcio accepts connections by itself and says nothing of it. What can be seen is the address and port of a call's client, so a
connection is counted from its first call on, and until it has had no call for ``purgeCounterExpire`` (5 s). A connection
that makes no calls is not counted: it holds some kilobytes, and nothing of the registry. One that is beyond a limit is
not closed: its calls end with RESOURCE_EXHAUSTED, and are let in when others have left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import unquote

from msgspec import Struct

from polaris_bridge.adapters._shared.admission import Admission
from polaris_bridge.adapters._shared.forwarded import plain_address
from polaris_bridge.adapters._shared.listener import Connected
from polaris_bridge.adapters._shared.settings import GrpcSettings
from polaris_bridge.transport.rpc import RpcError, Status

log = logging.getLogger("polaris_bridge.apiserver")

NOT_ALLOWED: Final = "not_allowed"
"""The reason in ``refused`` for an address that may not speak to us at all."""


class Peer(Struct, eq=False):
    """One connection, as far as its calls show it. See ``rpc.Link``: it counts as over when it has been without calls for
    ``purgeCounterExpire``, and all that can be ended of it are its streams."""

    host: str
    """Address of the client; "" when it has none (a Unix socket)."""
    port: int
    calls: int
    """Calls under way."""
    last_s: float
    """When its last call ended, on the clock of the last sweep."""
    over: bool = False
    told: list[Callable[[], None]] = []
    streams: dict[Ending, None] = {}
    """Its streams under way."""

    def closed(self, told: Callable[[], None]) -> None:
        """See ``rpc.Link``."""
        if self.over:
            told()
        else:
            self.told.append(told)

    def close(self) -> None:
        """See ``rpc.Link``."""
        for stream in list(self.streams):
            stream.finish(Status.UNAVAILABLE, "the connection is to end")

    def end(self) -> None:
        """It is over."""
        self.over = True
        told, self.told = self.told, []
        for call in told:
            call()


class Ending(Protocol):
    """A stream under way, as far as its end is concerned."""

    def finish(self, code: Status = Status.OK, message: str = "", /) -> None:
        """See ``rpc.Call``."""
        ...


class Peers:
    """The connections known by their calls."""

    def __init__(
        self,
        settings: GrpcSettings,
        allow: Callable[[str], bool] | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = settings.name
        self._quiet_s = settings.conn_limit.purge_counter_expire_s
        self._allow = allow
        self._monotonic = monotonic
        self._now = monotonic()
        self._known: dict[str, Peer] = {}
        self._admission = Admission(settings.conn_limit, monotonic)
        self.total = 0
        """Connections seen since the start. One that came back after a silence counts again."""

    def enter(self, address: str) -> Peer:
        """A call begins. ``address`` is grpcio's text for the client. RpcError when it must not be answered."""
        peer = self._known.get(address)
        if peer is None:
            peer = self._admit(address)
        peer.calls += 1
        return peer

    def _admit(self, address: str) -> Peer:
        host = client_address(address)
        if self._allow is not None and not self._allow(host):
            self._admission.refused[NOT_ALLOWED] += 1
            raise RpcError(Status.PERMISSION_DENIED, f"{host} is not allowed to call this server")
        reason = self._admission.enter(host, 0)
        if reason is not None:
            self._say(reason, host)
            raise RpcError(Status.RESOURCE_EXHAUSTED, f"too many connections: {reason}")
        self.total += 1
        peer = self._known[address] = Peer(host, _port(address), 0, self._now)
        return peer

    def _say(self, reason: str, host: str) -> None:
        if self._admission.refused[reason] == 1:
            log.warning("%s: call from %s refused: %s (further ones are only counted)", self._name, host, reason)

    def leave(self, peer: Peer) -> None:
        """A call has ended."""
        peer.calls -= 1
        peer.last_s = self._now

    def sweep(self) -> None:
        """Once a second: forget connections that have been silent."""
        self._now = self._monotonic()
        silent = self._now - self._quiet_s
        for address in [text for text, peer in self._known.items() if not peer.calls and peer.last_s < silent]:
            peer = self._known.pop(address)
            self._admission.leave(peer.host)
            peer.end()
        self._admission.purge()

    def connected(self) -> Connected:
        """Who calls, or did so a moment ago."""
        clients = [(peer.host, _port(text)) for text, peer in self._known.items()]
        return Connected(self._admission.limited, clients, self._admission.quiet_s())

    @property
    def open(self) -> int:
        """Connections that call, or did so a moment ago."""
        return len(self._known)

    @property
    def busy(self) -> int:
        """Connections with a call under way."""
        return sum(peer.calls > 0 for peer in self._known.values())

    @property
    def refused(self) -> dict[str, int]:
        """Calls that were not let in, by reason."""
        return dict(self._admission.refused)


def _port(text: str) -> int:
    """The port in grpcio's text for a client; 0 when it has none."""
    digits = text.rpartition(":")[2]
    return int(digits) if digits.isascii() and digits.isdigit() else 0


def client_address(text: str) -> str:
    """The address in grpcio's ``ipv4:10.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``: without port and zone, IPv4 as IPv4."""
    kind, _, rest = text.partition(":")
    if kind not in ("ipv4", "ipv6"):
        return ""
    return plain_address(unquote(rest).rpartition(":")[0].strip("[]"))
