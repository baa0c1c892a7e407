"""What clients say of the configuration that they hold: asked on their streams, the answers put together.

Java clients answer with what they keep of one file in memory and on disk, or how many files they listen to; others do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from polaris_bridge.adapters.nacos.service.connections import Connection, Connections
from polaris_bridge.adapters.nacos.service.requests import Requests
from polaris_bridge.adapters.nacos.wire.config_payloads import metrics_request, metrics_response
from polaris_bridge.adapters.nacos.wire.payload import Malformed
from polaris_bridge.core.ports import Scheduler

ANSWER_S: Final = 1.0
"""How long clients may take, as on Nacos 2.5.1."""

Metrics = dict[str, object]


class _Question:
    """One question to the clients at an address."""

    __slots__ = ("done", "found", "waiting")

    def __init__(self, waiting: set[Connection], done: Callable[[Metrics], None]) -> None:
        self.waiting = waiting
        self.done = done
        self.found: Metrics = {}


class ClientMetrics:
    """All questions under way."""

    def __init__(self, scheduler: Scheduler, connections: Connections, requests: Requests) -> None:
        self._scheduler = scheduler
        self._connections = connections
        self._requests = requests
        self._open: dict[str, _Question] = {}

    @property
    def waiting(self) -> bool:
        """Whether an answer of a client may be one to a question of ours."""
        return bool(self._open)

    def ask(self, ip: str, group_key: str, done: Callable[[Metrics], None]) -> None:
        """Ask every client at an address of one file (``config_payloads.group_key``), or with "" of all that it listens to.

        ``done`` is told once, when all have answered or their time is over: all answers in one, of equal names the last counts.
        """
        asked = [c for c in self._connections if ip in (c.host, c.client_ip)]
        if not asked:
            done({})
            return
        round = self._requests.begin(
            "ClientConfigMetricRequest", lambda number: metrics_request(number, group_key), asked
        )
        self._open[round.number] = _Question(set(asked), done)
        self._scheduler.later(ANSWER_S, partial(self._finish, round.number))

    def answered(self, connection: Connection, body: bytes) -> None:
        """A ``ClientConfigMetricResponse``. What cannot be read is no answer."""
        try:
            number, metrics = metrics_response(body)
        except Malformed:
            return
        question = self._open.get(number)
        if question is None or connection not in question.waiting:
            return
        question.waiting.discard(connection)
        question.found |= metrics
        if not question.waiting:
            self._finish(number)

    def _finish(self, number: str) -> None:
        question = self._open.pop(number, None)
        if question is not None:
            question.done(question.found)
