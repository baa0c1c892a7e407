"""Accepting connections on one port, whatever is spoken on it: who is let in, how many there are, what happens without files.

A connection is closed at once when the admission says so; the first refusal of each kind is logged, all are counted. Out of
file descriptors the port is left alone for a second: the connection stays in the backlog, and asking again at once would spin.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

log = logging.getLogger("polaris_bridge.apiserver")

_ACCEPTS_PER_WAKEUP: Final = 64
_ROUND_S: Final = 1.0
_OUT_OF_FILES: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Admission(Protocol):
    """Which connections are let in, and how many there are."""

    open: int
    refused: Counter[str]

    def enter(self, host: str, fileno: int, /) -> str | None:
        """Count a connection in; the reason when it must be closed instead."""
        ...

    def leave(self, host: str, /) -> None:
        """A connection that was let in has ended."""
        ...

    def purge(self) -> None:
        """Once a second."""
        ...


class Everybody:
    """An ``Admission`` that counts and refuses nobody."""

    def __init__(self) -> None:
        self.open = 0
        self.refused: Counter[str] = Counter()

    def enter(self, _host: str, _fileno: int, /) -> str | None:
        """See ``Admission``."""
        self.open += 1
        return None

    def leave(self, _host: str, /) -> None:
        """See ``Admission``."""
        self.open -= 1

    def purge(self) -> None:
        """See ``Admission``."""


class Certificates(Protocol):
    """TLS for the next connection. ``context`` is replaced by a reload."""

    context: ssl.SSLContext

    def reload(self) -> bool:
        """Read the files now; whether that worked."""
        ...

    def reload_if_changed(self) -> None:
        """Once a second."""
        ...


Serve = Callable[[socket.socket, tuple[str, int]], Coroutine[Any, Any, None]]
"""From an accepted socket and its client's address to a connection; it ends when the handshake does."""


class Acceptor:
    """The listening sockets of one port. All methods belong to the event loop's thread."""

    def __init__(
        self,
        name: str,
        admission: Admission,
        serve: Serve,
        sweep: Callable[[], None],
        address_of: Callable[[str], str],
    ) -> None:
        """``sweep`` is called once a second until ``stop``. ``address_of`` is how an address is written."""
        self.name = name
        self.admission = admission
        self.sockets: list[socket.socket] = []
        self.total = 0
        """Connections that were let in."""
        self.handshakes: set[asyncio.Task[None]] = set()
        """Connections that are about to be."""
        self._serve = serve
        self._sweep = sweep
        self._address_of = address_of
        self._said_out_of_files = False
        self._paused: set[socket.socket] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port in use; 0 before ``start`` and after ``close``."""
        return int(self.sockets[0].getsockname()[1]) if self.sockets else 0

    @property
    def started(self) -> bool:
        """Whether ``start`` was called."""
        return self._loop is not None

    def start(self, sockets: list[socket.socket]) -> None:
        """Accept on sockets that listen and do not block; they are the acceptor's from now on."""
        self._loop = asyncio.get_running_loop()
        self.sockets = sockets
        for sock in sockets:
            self._loop.add_reader(sock.fileno(), self.accept, sock)
        self._timer = self._loop.call_later(_ROUND_S, self._round)

    def accept(self, listening: socket.socket) -> None:
        """Take what waits at a socket."""
        for _ in range(_ACCEPTS_PER_WAKEUP):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _OUT_OF_FILES:
                    self._pause(listening, error)
                    return
                continue  # this one connection broke before we took it
            self._take(sock, (self._address_of(address[0]), address[1]))

    def _pause(self, listening: socket.socket, error: OSError) -> None:
        assert self._loop is not None
        self.admission.refused["open_files"] += 1
        if not self._said_out_of_files:
            self._said_out_of_files = True
            log.error("%s: accept failed: %s; raise the limit of open files (ulimit -n)", self.name, error)
        self._loop.remove_reader(listening.fileno())
        self._paused.add(listening)

    def _take(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        assert self._loop is not None
        reason = self.admission.enter(peer[0], sock.fileno())
        if reason is not None:
            sock.close()
            if self.admission.refused[reason] == 1:
                log.warning(
                    "%s: connection from %s refused: %s (further ones are only counted)", self.name, peer[0], reason
                )
            return
        self.total += 1
        sock.setblocking(False)
        task = self._loop.create_task(self._serve(sock, peer))
        self.handshakes.add(task)
        task.add_done_callback(self.handshakes.discard)

    def _round(self) -> None:
        assert self._loop is not None
        self._timer = self._loop.call_later(_ROUND_S, self._round)
        self.resume()
        self._sweep()

    def resume(self) -> None:
        """Once a second: accept again where descriptors had run out."""
        assert self._loop is not None
        while self._paused:
            listening = self._paused.pop()
            if listening in self.sockets:
                self._loop.add_reader(listening.fileno(), self.accept, listening)

    def close(self) -> None:
        """Accept nothing more. Connections stay."""
        assert self._loop is not None, "start() comes first"
        for sock in self.sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()
        self.sockets = []

    def cancel_handshakes(self) -> None:
        """Give up those who are about to be connections."""
        for task in list(self.handshakes):
            task.cancel()

    def stop(self) -> None:
        """No further rounds."""
        self.cancel_handshakes()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
