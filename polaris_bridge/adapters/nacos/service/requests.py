"""What the server asks of clients, on their streams: one encoding for all who are asked, answers matched, the silent ones named.

A client answers with the number of the request. Who has too much unread is passed over and counts as silent, so nobody is
waited for; what to do about the silent ones (the naming pushes of 2.5.1: ask again) is for who asked to say.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from polaris_bridge.adapters.nacos.wire.payload import encode
from polaris_bridge.core.ports import Clock, Scheduler

if TYPE_CHECKING:
    from .connections import Connection

PER_PASS: Final = 64
"""Clients told before others get their turn."""
UNREAD: Final = 128 * 1024
"""Bytes that a client may have unread and still be told more."""

Body = Callable[[bytes], bytes]
"""The JSON of a request, from its number."""


class Round:
    """One request to any number of clients."""

    __slots__ = ("_at", "_left", "clients", "due", "late", "number", "payload", "sent", "timeout_s", "waiting")

    def __init__(
        self,
        number: str,
        payload: bytes,
        clients: list[Connection],
        timeout_s: float,
        late: Callable[[list[Connection]], None] | None,
        sent: Callable[[], None] | None,
    ) -> None:
        self.number = number
        self.payload = payload
        self.clients = clients
        """Who is asked; emptied when all were."""
        self.timeout_s = timeout_s
        self.late = late
        self.sent = sent
        self.due = float("inf")
        """Monotonic seconds."""
        self.waiting: dict[Connection, None] = {}
        """Who was asked and has not answered."""
        self._at = 0
        self._left: set[Connection] = set()

    def leave(self, connection: Connection) -> None:
        """One is asked no more, if it was not yet; nor is its answer waited for."""
        self.waiting.pop(connection, None)
        if self.clients:
            self._left.add(connection)

    def tell(self, most: int) -> tuple[int, int]:
        """Send to the next ones, at most so many; how many there were, and how many of them were passed over."""
        clients, payload = self.clients, self.payload
        first, end = self._at, min(self._at + most, len(self.clients))
        waiting = self.waiting if self.late is not None else None
        passed = 0
        left = self._left
        for connection in clients[first:end]:
            stream = connection.stream
            if stream is None or (left and connection in left):
                continue
            if waiting is not None:
                waiting[connection] = None
            if stream.backlog > UNREAD:
                passed += 1
            else:
                stream.send(payload)
        self._at = end
        return end - first, passed

    def rest(self, now: float) -> None:
        """Everybody was asked: from now on answers are waited for, and the rest is forgotten."""
        self.due = now + self.timeout_s
        self.clients = []
        self._left.clear()
        self.payload = b""

    @property
    def told(self) -> bool:
        """Whether nobody is left to be asked."""
        return self._at >= len(self.clients)


class Requests:
    """All rounds under way."""

    def __init__(self, clock: Clock, scheduler: Scheduler) -> None:
        self._clock = clock
        self._scheduler = scheduler
        self._number = 0
        self._rounds: dict[str, Round] = {}
        self._sending: deque[Round] = deque()
        self._pumping = False
        self.sent = 0
        """Requests that went out, counted by client."""
        self.passed_over = 0
        """Clients that had too much unread."""
        self.unanswered = 0
        """Clients that did not answer in time, passed over ones included."""

    def number(self) -> str:
        """Of the next request: increasing."""
        self._number += 1
        return str(self._number)

    def begin(
        self,
        type: str,
        body: Body,
        clients: list[Connection],
        *,
        timeout_s: float = 5.0,
        late: Callable[[list[Connection]], None] | None = None,
        sent: Callable[[], None] | None = None,
    ) -> Round:
        """Ask some clients, in slices, beginning soon.

        ``late`` is told once, ``timeout_s`` after the last was asked, who did not answer and is still connected; without it
        answers are not looked at. ``sent`` is told when all were asked.
        """
        number = self.number()
        round = Round(number, encode(type, body(number.encode())), clients, timeout_s, late, sent)
        if late is not None:
            self._rounds[number] = round
        self._sending.append(round)
        if not self._pumping:
            self._pumping = True
            self._scheduler.soon(self._pump)
        return round

    def drop(self, round: Round) -> None:
        """A round that something newer takes the place of: nobody is asked any more, and ``late`` is not told."""
        self._rounds.pop(round.number, None)
        round.clients = []
        round.waiting = {}
        round.late = None

    def answered(self, connection: Connection, number: str, success: bool) -> None:
        """A client has answered. A failure counts as none: the client is asked again."""
        round = self._rounds.get(number)
        if round is not None and success:
            round.waiting.pop(connection, None)
            if not round.waiting and round.told:
                del self._rounds[number]

    def sweep(self) -> None:
        """To be called once a second: who is late."""
        now = self._clock.monotonic()
        for round in [round for round in self._rounds.values() if round.due <= now]:
            self._rounds.pop(round.number, None)
            silent = [connection for connection in round.waiting if connection.stream is not None]
            self.unanswered += len(silent)
            if silent and round.late is not None:
                round.late(silent)

    @property
    def waiting(self) -> int:
        """Answers that are waited for."""
        return sum(len(round.waiting) for round in self._rounds.values())

    def _pump(self) -> None:
        left = PER_PASS
        sending = self._sending
        while sending and left > 0:
            round = sending[0]
            told, passed = round.tell(left)
            left -= max(told, 1)
            self.sent += told - passed
            self.passed_over += passed
            if round.told:
                sending.popleft()
                self._end(round)
        if sending:
            sending.rotate(-1)
            self._scheduler.soon(self._pump)
        else:
            self._pumping = False

    def _end(self, round: Round) -> None:
        """Everybody was asked."""
        round.rest(self._clock.monotonic())
        if round.late is not None and not round.waiting:
            self._rounds.pop(round.number, None)
        if round.sent is not None:
            round.sent()
