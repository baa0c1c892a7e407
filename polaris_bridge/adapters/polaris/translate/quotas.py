"""What limiter clients say, as the core's quotas, and what the core answers, as messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from polaris_bridge.adapters.polaris.wire import limiter as wire
from polaris_bridge.adapters.polaris.wire import limiter_codes as codes
from polaris_bridge.core.limiting.counters import Counter
from polaris_bridge.core.limiting.model import Left, Quota, Refused

CODES: dict[Refused, int] = {
    Refused.OTHER_CLIENT: codes.OTHER_CLIENT,
    Refused.TOO_MANY_CLIENTS: codes.TOO_MANY_CLIENTS,
    Refused.TOO_MANY_COUNTERS: codes.TOO_MANY_COUNTERS,
    Refused.FOREIGN_COUNTER: codes.INVALID_COUNTER_KEY,
    Refused.UNKNOWN_COUNTER: codes.UNKNOWN_COUNTER,
}


def quotas(totals: Iterable[wire.QuotaTotal]) -> list[Quota]:
    """The limits of an INIT, in order."""
    return [Quota(total.duration, total.maxAmount, total.mode == wire.DIVIDE) for total in totals]


def quota_counters(counters: Iterable[Counter[Any]], now_ms: int) -> list[wire.QuotaCounter]:
    """What an INIT is answered about each of its counters. The mode is what polaris-limiter says whatever was asked for."""
    return [
        wire.QuotaCounter(
            duration=counter.identity[3],
            counterKey=counter.key,
            left=counter.left(now_ms),
            mode=wire.BATCH_OCCUPY,
            clientCount=counter.sharers,
        )
        for counter in counters
    ]


def pushed(left: Left, now_ms: int) -> bytes:
    """What clients are told unasked: an answer to a report that they did not make."""
    word = wire.QuotaLeft(counterKey=left.key, left=left.left, mode=wire.BATCH_OCCUPY, clientCount=left.clients)
    report = wire.RateLimitReportResponse(code=codes.OK, quotaLefts=(word,), timestamp=now_ms)
    return wire.RateLimitResponse(cmd=wire.ACQUIRE, rateLimitReportResponse=report).SerializeToString()
