"""Other servers that resolve what is nobody's here, when there are any. Through dnspython: this path is not a hot one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from polaris_bridge.adapters.consul.wire import dns as wire
from polaris_bridge.adapters.consul.wire.dns import Answer, Question

log = logging.getLogger("polaris_bridge.apiserver")

PORT: Final = 53
_MOST_AT_ONCE: Final = 500
"""Questions under way; more are answered SERVFAIL at once."""


class Recursors:
    """Asks one after another until one answers."""

    def __init__(self, servers: Sequence[str], timeout_s: float) -> None:
        self._servers = [_place(server) for server in servers]
        self._timeout_s = timeout_s
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, data: bytes, question: Question, tcp: bool) -> Asked | bytes:
        """The answer of the first server that has one."""
        if len(self._tasks) >= _MOST_AT_ONCE:
            return _failed(question)
        return Asked(self, data, question, tcp)

    def begin(self, data: bytes, question: Question, tcp: bool, reply: Callable[[bytes], None]) -> None:
        """Ask; ``reply`` is called once."""
        task = asyncio.get_running_loop().create_task(self._ask(data, question, tcp, reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Ask nobody any more."""
        for task in list(self._tasks):
            task.cancel()

    async def _ask(self, data: bytes, question: Question, tcp: bool, reply: Callable[[bytes], None]) -> None:
        from dns import asyncquery as query  # with the first question for others
        from dns import exception as exceptions
        from dns import message as messages

        try:
            message = messages.from_wire(data)
        except exceptions.DNSException:
            reply(_failed(question, wire.FORMERR))
            return
        for host, port in self._servers:
            try:
                if tcp:
                    found = await query.tcp(message, host, self._timeout_s, port)
                else:
                    found = await query.udp(message, host, self._timeout_s, port, ignore_unexpected=True)
            except (exceptions.DNSException, OSError, EOFError) as error:
                log.debug("recursor %s:%d: %s", host, port, error)
                continue
            answer = found.to_wire()
            fits = tcp or len(answer) <= (question.size or wire.PLAIN_SIZE)
            reply(answer if fits else _failed(question, truncated=True))
            return
        reply(_failed(question))


class Asked:
    """An answer from another server (``dns_udp.Pending``)."""

    __slots__ = ("_data", "_question", "_recursors", "_tcp")

    def __init__(self, recursors: Recursors, data: bytes, question: Question, tcp: bool) -> None:
        self._recursors = recursors
        self._data = data
        self._question = question
        self._tcp = tcp

    def then(self, reply: Callable[[bytes], None]) -> None:
        """See ``dns_udp.Pending``."""
        self._recursors.begin(self._data, self._question, self._tcp, reply)


def _failed(question: Question, rcode: int = wire.SERVFAIL, *, truncated: bool = False) -> bytes:
    rcode = wire.NOERROR if truncated else rcode
    return wire.write(question, Answer(rcode, authoritative=False), recursors=True, truncated=truncated)


def _place(server: str) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port`` or ``[v6]:port``."""
    if server.startswith("["):
        host, _, port = server[1:].partition("]")
        return host, int(port[1:] or PORT)
    if server.count(":") == 1:
        host, _, port = server.partition(":")
        return host, int(port)
    return server, PORT
