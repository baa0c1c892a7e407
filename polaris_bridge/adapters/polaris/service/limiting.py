"""The token service natively (``RateLimitGRPCV2``): what is checked before the core counts, in the order of polaris-limiter.

Nobody is asked for credentials, as there. Messages about very many counters are done in slices.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.polaris.service.console.long_work import LongWork
from polaris_bridge.adapters.polaris.service.routes import Result
from polaris_bridge.adapters.polaris.translate.quotas import CODES, pushed, quota_counters, quotas
from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.adapters.polaris.wire import limiter_codes as codes
from polaris_bridge.core.limiting.counters import Client, Counter
from polaris_bridge.core.limiting.limiter import Limiter
from polaris_bridge.core.limiting.model import MAX_SLOTS, Left, Refused
from polaris_bridge.core.ports import Clock, Scheduler

BEGINNING: Final = 4
REPORTING: Final = 2
"""How much longer these take than what ``LongWork`` reckons with."""
BACKLOG: Final = 65_536
"""Bytes that a client may have left unread and still be told unasked; its own next report tells it the same."""


class Seat:
    """One stream of a client."""

    __slots__ = ("_push", "client", "open")

    def __init__(self, push: Callable[[bytes], None]) -> None:
        """``push`` sends what was not asked for."""
        self._push = push
        self.client: Client[Any] | None = None
        """Whose stream it is, since the first INIT."""
        self.open = True

    def push(self, message: bytes) -> None:
        """Tell the client."""
        self._push(message)

    def close(self) -> None:
        """Nobody listens any more. What pushes refers to the stream, and the stream to this: nothing is to be left for the
        collector of garbage."""
        self.open = False
        self._push = _nobody


class TokenService:
    """INIT, BATCH_INIT, ACQUIRE and the server's time, for all listeners of a server."""

    def __init__(self, limiter: Limiter[Seat], clock: Clock, scheduler: Scheduler) -> None:
        self.limiter = limiter
        self.clock = clock
        self._long = LongWork(scheduler)
        limiter.told = self._told
        self._last: tuple[Left, bytes] | None = None

    def answer(self, seat: Seat, request: wire.RateLimitRequest) -> Result:
        """The ``RateLimitResponse`` to a message, of the same ``cmd``; later when it is about very many counters. What the
        sender of an unknown ``cmd`` gets back is that."""
        answer = wire.RateLimitResponse(cmd=request.cmd)
        if request.cmd in (wire.ACQUIRE, wire.BATCH_ACQUIRE):
            return self._acquire(seat, request.rateLimitReportRequest, answer)
        if request.cmd == wire.INIT:
            self._init(seat, request.rateLimitInitRequest, answer.rateLimitInitResponse)
        elif request.cmd == wire.BATCH_INIT:
            return self._batch_init(seat, request.rateLimitBatchInitRequest, answer)
        return answer

    # ------------------------------------------------------------------ beginning

    def _init(self, seat: Seat, request: wire.RateLimitInitRequest, answer: wire.RateLimitInitResponse) -> None:
        """A client begins to count something."""
        now_ms = self.clock.wall_ms()
        answer.timestamp = now_ms
        if request.HasField("target"):
            answer.target.CopyFrom(request.target)
        answer.code, client = self._enter(seat, request.clientId)
        if client is None:
            return
        answer.code = _unfit(request) or codes.OK
        if answer.code != codes.OK:
            return
        place = (request.target.namespace, request.target.service, request.target.labels)
        found = self.limiter.begin(client, place, quotas(request.totals), request.slideCount, now_ms)
        if isinstance(found, Refused):
            answer.code = CODES[found]
            return
        answer.clientKey = client.key
        answer.counters.extend(quota_counters(found, now_ms))
        answer.slideCount = found[0].slots

    def _batch_init(
        self, seat: Seat, request: wire.RateLimitBatchInitRequest, answer: wire.RateLimitResponse
    ) -> Result:
        """A client begins to count many things: each has a code of its own."""
        whole = answer.rateLimitBatchInitResponse
        whole.timestamp = self.clock.wall_ms()
        whole.code, client = self._enter(seat, request.clientId)
        if client is not None and not request.request:
            whole.code = codes.EMPTY_BATCH
        if client is None or whole.code != codes.OK:
            return answer
        whole.clientKey = client.key
        size = sum(len(one.totals) * max(1, len(one.target.labels_list)) for one in request.request)
        return self._long.result(self._batch(seat, client, request, answer), size * BEGINNING)

    def _batch(
        self,
        seat: Seat,
        client: Client[Seat],
        request: wire.RateLimitBatchInitRequest,
        answer: wire.RateLimitResponse,
    ) -> Work:
        now_ms = self.clock.wall_ms()
        for one in request.request:
            result = answer.rateLimitBatchInitResponse.result.add()
            result.slideCount = one.slideCount  # what was asked for, even if that is nothing
            result.code = codes.OK if one.target.labels_list else codes.NO_LABELS
            if result.code == codes.OK:
                result.code = _unfit(one) or codes.OK
            if result.code != codes.OK:
                result.target.CopyFrom(one.target)
                continue
            result.target.namespace, result.target.service = one.target.namespace, one.target.service
            totals = quotas(one.totals)
            for labels in one.target.labels_list:
                yield
                if not seat.open:  # the stream ended meanwhile: nobody counts any more
                    return answer
                place = (one.target.namespace, one.target.service, labels)
                found = self.limiter.begin(client, place, totals, one.slideCount, now_ms)
                labelled = result.counters.add()
                labelled.labels = labels
                if isinstance(found, Refused):
                    result.code = CODES[found]
                else:
                    labelled.counters.extend(quota_counters(found, now_ms))
        return answer

    def _enter(self, seat: Seat, id: str) -> tuple[int, Client[Seat] | None]:
        """The stream's client, or why it has none."""
        if seat.client is None and not id:
            return codes.INVALID_CLIENT_ID, None
        found = self.limiter.enter(seat.client, id, seat)
        if isinstance(found, Refused):
            return CODES[found], None
        seat.client = found
        return codes.OK, found

    # ------------------------------------------------------------------ counting

    def _acquire(self, seat: Seat, request: wire.RateLimitReportRequest, answer: wire.RateLimitResponse) -> Result:
        """A client says what it used and learns what is left. It stops at the first key that is wrong; what it gathered until
        then stays."""
        report = answer.rateLimitReportResponse
        report.timestamp = self.clock.wall_ms()
        uses = request.quotaUses
        if not request.clientKey:
            report.code = codes.INVALID_CLIENT_KEY
        elif not request.timestamp:
            report.code = codes.INVALID_TIMESTAMP
        elif not uses:
            report.code = codes.NO_USES
        elif not all(use.counterKey for use in uses):
            report.code = codes.INVALID_COUNTER_KEY
        elif seat.client is None:
            report.code = codes.UNKNOWN_CLIENT
        else:
            report.code = codes.OK
            return self._long.result(self._report(seat.client, request, answer), len(uses) * REPORTING)
        return answer

    def _report(
        self, client: Client[Seat], request: wire.RateLimitReportRequest, answer: wire.RateLimitResponse
    ) -> Work:
        given = answer.rateLimitReportResponse
        now_ms, at_ms = given.timestamp, request.timestamp
        report, add = self.limiter.report, given.quotaLefts.add
        for use in request.quotaUses:
            key = use.counterKey
            counter: Counter[Seat] | Refused = report(client, key, use.used, use.limited, at_ms, now_ms)
            if isinstance(counter, Refused):
                given.code = CODES[counter]
                break
            add(counterKey=key, left=counter.left(now_ms), mode=_MODE, clientCount=counter.sharers)
            yield
        return answer

    def leave(self, seat: Seat) -> None:
        """The stream is over; its client goes with it, unless it came back on another."""
        seat.close()
        client, seat.client = seat.client, None
        if client is not None:
            self.limiter.leave(client, seat)

    def _told(self, seat: Seat, _counter: Counter[Seat], left: Left) -> None:
        """The clients of a counter are told the same, one after the other: it is encoded once."""
        if self._last is None or self._last[0] is not left:
            self._last = left, pushed(left, self.clock.wall_ms())
        seat.push(self._last[1])


_MODE: Final = wire.BATCH_OCCUPY
"""What polaris-limiter says whatever was asked for."""


def _nobody(_message: bytes) -> None:
    """For a seat that was left."""


def _unfit(request: wire.RateLimitInitRequest) -> int:
    """The code of the first thing that is wrong with what is to be counted; 0: nothing is."""
    target = request.target
    if not target.service:
        return codes.INVALID_SERVICE
    if not target.namespace:
        return codes.INVALID_NAMESPACE
    if not request.totals:
        return codes.NO_TOTALS
    if not all(total.duration for total in request.totals):
        return codes.INVALID_DURATION
    if request.slideCount > MAX_SLOTS:
        return codes.INVALID_SLIDE_COUNT
    if request.mode not in (wire.ADAPTIVE, wire.BATCH_OCCUPY):
        return codes.INVALID_MODE
    return 0
