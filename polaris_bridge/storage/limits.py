"""Counters of rate limits in Redis, so that nodes can share them: one script for a batch of them.

A counter is a hash, ``{polaris-limiter}:<namespace>|<service>|<seconds>|<slots>|<labels>``, of numbers by slot, where a slot is
a time divided by its length: clocks of nodes may differ by less than that. It expires when nobody asked for a window's length.
Beside the slots a field ``n<node>`` says ``<slot>:<clients>``: how many clients counted on that node, and when it said so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from polaris_bridge.core.limiting.ports import Totals, Used
from polaris_bridge.core.ports import Clock

from .redis_client import FAILURES, connect
from .redis_settings import RedisSettings

PREFIX: Final = "{polaris-limiter}:"
"""The braces keep all counters on one node of a cluster, where a script may have them together."""
SAID_EVERY_S: Final = 60.0
"""A Redis that does not answer is told of so often."""

SCRIPT: Final = """
local own, found, at = ARGV[1], {}, 2
for n = 1, #KEYS do
  local key, kept, oldest, clients, count = KEYS[n], ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 4
  for _ = 1, count do
    redis.call('HINCRBY', key, ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  if clients ~= '' then
    redis.call('HSET', key, own, clients)
  end
  local held, live = redis.call('HGETALL', key), {0}
  for m = 1, #held, 2 do
    local field, value = held[m], held[m + 1]
    local slot = tonumber(field)
    local colon = slot == nil and string.find(value, ':', 1, true)
    local said = colon and tonumber(string.sub(value, 1, colon - 1)) or slot
    if said < oldest then
      redis.call('HDEL', key, field)
    elseif slot then
      live[#live + 1] = slot
      live[#live + 1] = tonumber(value)
    elseif field ~= own then
      live[1] = live[1] + tonumber(string.sub(value, colon + 1))
    end
  end
  redis.call('PEXPIRE', key, kept)
  found[n] = live
end
return found
"""

log = logging.getLogger(__name__)


class RedisCounters:
    """``core.limiting.ports.Exchange``. All methods belong to the event loop's thread."""

    def __init__(self, settings: RedisSettings, clock: Clock, node: int) -> None:
        """``node``: the number of this one, which others do not have."""
        self._node = f"n{node}"
        self._client: Any = connect(settings)
        self._script: Any = self._client.register_script(SCRIPT)
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._said_at = float("-inf")
        self.alive = True
        """Whether the last exchange was answered."""

    def exchange(self, batch: Sequence[Used], answer: Callable[[Sequence[Totals] | None], None], /) -> None:
        """See ``Exchange``."""
        task = asyncio.get_running_loop().create_task(self._exchange(batch, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _exchange(self, batch: Sequence[Used], answer: Callable[[Sequence[Totals] | None], None]) -> None:
        keys: list[str] = []
        arguments: list[str | int] = [self._node]
        for used in batch:
            keys.append(key_of(used))
            clients = "" if used.clients is None else f"{used.newest}:{used.clients}"
            arguments += [used.kept_ms, used.oldest, clients, len(used.added)]
            for slot, amount in used.added.items():
                arguments += [slot, amount]
        try:
            found = await self._script(keys=keys, args=arguments)
        except FAILURES as error:
            self._fault(error)
            answer(None)
            return
        if not self.alive:
            self.alive = True
            log.warning("Redis answers again; rate limits are shared")
        answer([Totals(dict(zip(live[1::2], live[2::2], strict=True)), live[0]) for live in found])

    async def stop(self) -> None:
        """Finish what is under way, then let go of the connections."""
        for task in tuple(self._tasks):
            await asyncio.wait((task,))
        await self._client.aclose()

    def _fault(self, error: BaseException) -> None:
        self.alive = False
        now = self._clock.monotonic()
        if now - self._said_at >= SAID_EVERY_S:
            self._said_at = now
            log.error("Redis does not take rate limits, each node keeps them by itself meanwhile: %s", error)


def key_of(used: Used) -> str:
    """Where a counter is kept."""
    namespace, service, labels, seconds = used.identity
    return f"{PREFIX}{namespace}|{service}|{seconds}|{used.slots}|{labels}"
