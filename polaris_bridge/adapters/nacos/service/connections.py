"""gRPC connections of clients: known by the TCP connection, set up by a stream, and gone with either of them.

What was measured of Nacos 2.5.1: the connection's id is made by ServerCheck, ``<epoch ms>_<ip>_<port>``; until a
ConnectionSetupRequest came on a stream, calls are refused; who says nothing for 20 s is asked on the stream (looked at each
3 s) and has 5 s to answer; who does not is ended.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from heapq import heappop, heappush
from sys import intern
from typing import TYPE_CHECKING, Final

from msgspec.json import encode as json

from polaris_bridge.adapters._shared.slices import SLICE_S
from polaris_bridge.adapters.nacos.wire.payload import encode
from polaris_bridge.core.config.model import Asker
from polaris_bridge.core.registry import Registry
from polaris_bridge.transport.rpc import Call, Link

from .requests import Requests
from .scope import Held

if TYPE_CHECKING:
    from .config.listeners import Listened
    from .topics import Variant

log = logging.getLogger("polaris_bridge.apiserver")

BACK_S: Final = 0.5
"""How long what a lost connection published waits for its client: some replace a connection by closing it a moment before they
register anew. The real server takes it from its lists at once, but gathers changes for as long before it tells anybody."""
SETTLES_S: Final = 5.0
"""A client that was told twice to reconnect (by the server that leaves, and by the end of its stream) does it twice: Java clients
that find the server back register by the first connection, give it up for a second one, and register there up to 3 s later."""
LOOK_S: Final = 3.0
"""How often connections are looked at."""
QUIET_S: Final = 20.0
"""After so much silence a client is asked whether it is there."""
ANSWER_S: Final = 5.0
"""How long it may take to say so."""
MAX_IP: Final = 128
"""Characters of the address that a client gives."""
_PER_PASS: Final = 1000
"""Connections looked at before others get their turn."""

NO_LABELS: Final[Mapping[str, str]] = {}


class Connection:
    """One client's connection."""

    __slots__ = (
        "active",
        "app",
        "asked",
        "asker",
        "client_ip",
        "configs",
        "held",
        "host",
        "id",
        "labels",
        "link",
        "made_ms",
        "port",
        "sent_away",
        "stream",
        "subscriptions",
        "tenant",
        "version",
    )

    def __init__(self, id: str, link: Link, made_ms: int, now: float) -> None:
        self.id = id
        self.link = link
        self.host = link.host
        self.port = link.port
        self.made_ms = made_ms
        self.active = now
        """Monotonic seconds of the last thing that came in."""
        self.asked = 0.0
        """When it was asked whether it is there; 0: it was not, or has answered."""
        self.sent_away = False
        """Whether it was told to come back by another connection."""
        self.stream: Call | None = None
        """Where pushes go; None: not set up."""
        self.version = ""
        """As it calls itself: ``Nacos-Java-Client:v2.5.1``."""
        self.labels: Mapping[str, str] = NO_LABELS
        self.tenant = ""
        self.app = ""
        self.held: Held | None = None
        """What it publishes; None: not set up."""
        self.subscriptions: dict[Variant, None] | None = None
        self.client_ip = ""
        """What it says that its address is; others may be between it and us."""
        self.asker: Asker | None = None
        """What is known of it when a gray release of a configuration file is chosen."""
        self.configs: dict[Listened, None] | None = None
        """Configuration files that it listens to."""

    def __repr__(self) -> str:
        return f"<Connection {self.id}{'' if self.stream is not None else ' not set up'}>"


class Setup:
    """What a client says of itself when it comes."""

    __slots__ = ("client_ip", "labels", "tenant", "version")

    def __init__(self, version: str, tenant: str, labels: Mapping[str, str], client_ip: str = "") -> None:
        self.version = version
        self.tenant = tenant
        self.labels = labels
        self.client_ip = client_ip


class Connections:
    """All connections of one listener. One that is set up is a session of the core under its id."""

    def __init__(
        self, registry: Registry, requests: Requests, elapsed: Callable[[], float] = time.perf_counter
    ) -> None:
        self._registry = registry
        self._clock = registry.clock
        self._requests = requests
        self._elapsed = elapsed
        self._by_link: dict[Link, Connection] = {}
        self._by_id: dict[str, Connection] = {}
        self._asked: dict[Connection, None] = {}
        self._labels: dict[frozenset[tuple[str, str]], dict[str, str]] = {}
        """Labels that connections have in common: most clients of a fleet say the same."""
        self._looked = self._swept = self._clock.monotonic()
        self._going: dict[Connection, None] = {}
        """Who is gone, and whose publications are still to end."""
        self._clearing = False
        self._awaited: dict[str, float] = {}
        """Connections that are gone, and whose publications wait for their clients to come back by others: until when (monotonic
        seconds)."""
        self._due: list[tuple[float, str]] = []
        """The same as a heap."""
        self._next_due = float("inf")
        """When that is looked at next."""
        self._leaving = False
        self.left: list[Callable[[Connection], None]] = []
        """Told of every connection that was set up and is gone, while it still has its subscriptions."""
        self.ended: Counter[str] = Counter()
        """Connections that were ended here, by reason."""

    def __len__(self) -> int:
        """How many are set up."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[Connection]:
        """Those that are set up, oldest first."""
        return iter(list(self._by_id.values()))

    # ------------------------------------------------------------------ coming

    def check(self, link: Link) -> Connection:
        """A client has just connected, or asks again: its connection, with an id from now on."""
        known = self._by_link.get(link)
        if known is not None:
            return known
        made_ms = self._clock.wall_ms()
        id = f"{made_ms}_{link.host}_{link.port}"
        while id in self._by_id:  # a port that is used again within a millisecond, or the wall clock went back
            made_ms += 1
            id = f"{made_ms}_{link.host}_{link.port}"
        connection = Connection(id, link, made_ms, self._clock.monotonic())
        self._by_link[link] = connection
        link.closed(lambda: self._link_over(connection))
        return connection

    def known(self, link: Link) -> Connection | None:
        """The connection that a call came by, if it is set up. Counts as a sign of life."""
        connection = self._by_link.get(link)
        if connection is None or connection.stream is None:
            return None
        connection.active = self._clock.monotonic()
        return connection

    def heard(self, connection: Connection) -> None:
        """A sign of life on its stream."""
        connection.active = self._clock.monotonic()

    def get(self, id: str) -> Connection | None:
        """A connection that is set up, by its id."""
        return self._by_id.get(id)

    def set_up(self, stream: Call, setup: Setup) -> Connection:
        """A stream was opened and says whose it is. The first stream of a connection counts; for one that is set up already
        nothing changes."""
        connection = self.check(stream.link)
        connection.active = self._clock.monotonic()
        if connection.stream is not None:
            return connection
        if connection in self._going:
            self._end_of(connection)
        if connection.id in self._awaited:  # the same connection, but what it had before was its last stream's
            self._close_session(connection.id)
        connection.stream = stream
        connection.version = intern(setup.version)
        connection.tenant = intern(setup.tenant)
        connection.labels = self._shared(setup.labels)
        connection.client_ip = intern(setup.client_ip[:MAX_IP])
        connection.app = connection.labels.get("AppName", "")
        connection.held = Held(connection.id, connection.host, connection.port)
        self._by_id[connection.id] = connection
        self._registry.open_session(connection.id)
        return connection

    def _shared(self, labels: Mapping[str, str]) -> Mapping[str, str]:
        if not labels:
            return NO_LABELS
        key = frozenset(labels.items())
        known = self._labels.get(key)
        if known is None:
            if len(self._labels) >= 1024:  # clients that make up labels get copies of their own
                return dict(labels)
            known = self._labels[key] = dict(labels)
        return known

    # ------------------------------------------------------------------ going

    def stream_over(self, stream: Call) -> None:
        """A stream has ended. If it was the one of its connection, the client is gone."""
        connection = self._by_link.get(stream.link)
        if connection is not None and connection.stream is stream:
            self._gone(connection)

    def _link_over(self, connection: Connection) -> None:
        self._by_link.pop(connection.link, None)
        self._gone(connection)

    def _gone(self, connection: Connection) -> None:
        """A client is gone: nothing is sent to it any more, and what it had ends as soon as its turn comes. Thousands may go at
        once, and what one publishes takes 100 microseconds to take back."""
        if connection.stream is None:
            return
        connection.stream = None
        self._by_id.pop(connection.id, None)
        self._asked.pop(connection, None)
        self._going[connection] = None
        if not self._clearing:
            self._clearing = True
            self._registry.scheduler.soon(self._clear)

    def _clear(self) -> None:
        until = self._elapsed() + SLICE_S
        while self._going:
            self._end_of(next(iter(self._going)))
            if self._elapsed() >= until:
                self._registry.scheduler.soon(self._clear)
                return
        self._clearing = False

    def _end_of(self, connection: Connection) -> None:
        """What a client had ends, unless it is us who leave: then it waits in the store for the client to come back."""
        del self._going[connection]
        for told in self.left:
            told(connection)
        held, connection.held = connection.held, None
        if self._leaving:
            return
        wait_s = 0.0
        if connection.sent_away:
            wait_s = self._registry.terms.session_grace_s
        elif held is not None and held.published:
            wait_s = self._wait_s(held)
        connection.sent_away = False
        if wait_s:
            self._await(connection.id, wait_s)
        else:
            self._registry.close_session(connection.id)

    def _wait_s(self, held: Held) -> float:
        """How long what a lost connection published waits. One that had just taken over what was waiting may not be the one that
        stays: then its client has the rest of the time that it had before."""
        now = self._clock.monotonic()
        return max(BACK_S, held.awaited_until - now) if now - held.back_at <= SETTLES_S else BACK_S

    def _await(self, id: str, wait_s: float) -> None:
        """Its client has so long to come back by another connection."""
        due = self._awaited[id] = self._clock.monotonic() + wait_s
        heappush(self._due, (due, id))
        if due < self._next_due:
            self._next_due = due
            self._registry.scheduler.later(wait_s, self._close_due)

    def _close_due(self) -> None:
        """End what was waited for in vain, some milliseconds at a time: thousands may have gone at once."""
        until = self._elapsed() + SLICE_S
        now = self._registry.clock.monotonic() + 0.001
        while self._due and self._due[0][0] <= now:
            self._close_session(heappop(self._due)[1])
            if self._elapsed() >= until:
                self._registry.scheduler.soon(self._close_due)
                return
        self._next_due = self._due[0][0] if self._due else float("inf")
        if self._due:
            self._registry.scheduler.later(self._next_due - now, self._close_due)

    def left_s(self, id: str) -> float | None:
        """For how long what a connection published still waits for its client to come back by another one. None: it stands."""
        due = self._awaited.get(id)
        if due is not None:
            return due - self._clock.monotonic()
        return None if self._registry.session_open(id) else self._registry.session_left_s(id)

    def _close_session(self, id: str) -> None:
        self._awaited.pop(id, None)
        if id not in self._by_id and not self._leaving:
            self._registry.close_session(id)

    def end(self, connection: Connection, reason: str) -> None:
        """End a connection: its stream is completed, then the socket is closed."""
        self.ended[reason] += 1
        log.info("connection %s of %s is ended: %s", connection.id, connection.version or "a client", reason)
        stream = connection.stream
        if stream is not None:
            stream.finish()
            self._gone(connection)
        connection.link.close()

    def reset(self, connection: Connection, ip: str = "", port: str | int = "") -> None:
        """Send a client away: it reconnects to the server named, or to any that it knows.

        Without a server named it is most likely us again: what it publishes waits for it as after a start, so that its
        subscribers do not see it go in between, as they do on the real server.
        """
        self._send_away([connection], ip, str(port))
        connection.sent_away = not ip

    def _send_away(self, connections: list[Connection], ip: str, port: str) -> None:
        number = self._requests.number()
        where = b',"serverIp":%b,"serverPort":%b' % (json(ip), json(port)) if ip else b""
        body = b'{"headers":{},"requestId":"%b"%b,"module":"internal"}' % (number.encode(), where)
        payload = encode("ConnectResetRequest", body)
        for connection in connections:
            if connection.stream is not None:
                connection.stream.send(payload)

    def leave(self) -> None:
        """The server stops: clients are told to reconnect. What they published stays in the store, and counts as theirs for
        a while after the next start. To be called before the listeners drain."""
        if not self._leaving:
            self._leaving = True
            self._send_away(list(self._by_id.values()), "", "")

    # ------------------------------------------------------------------ silence

    def sweep(self) -> None:
        """To be called once a second: ask the silent ones, end those that were asked and stay silent."""
        now = self._clock.monotonic()
        late = now - self._swept - 1.0
        self._swept = now
        for connection in list(self._asked):
            if connection.active >= connection.asked:
                connection.asked = 0.0
                del self._asked[connection]
                continue
            if late > 1.0:  # while we stood still no answer could be read
                connection.asked += late
            if now - connection.asked >= ANSWER_S:
                del self._asked[connection]
                self.end(connection, "silent")
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._look(iter(list(self._by_id.values())))

    def _look(self, connections: Iterator[Connection]) -> None:
        now = self._clock.monotonic()
        payload = b""
        for count, connection in enumerate(connections, 1):
            stream = connection.stream
            if stream is not None and now - connection.active >= QUIET_S and not connection.asked:
                if not payload:
                    body = b'{"headers":{},"requestId":"%b","module":"internal"}' % self._requests.number().encode()
                    payload = encode("ClientDetectionRequest", body)
                connection.asked = now
                self._asked[connection] = None
                stream.send(payload)
            if count >= _PER_PASS:
                self._registry.scheduler.soon(lambda: self._look(connections))
                return
