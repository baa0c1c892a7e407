"""Heartbeats kept in Redis, in the form of polaris-server's checker ``heartbeatRedis``, so that nodes can share them.

A beat is ``SET hb_<id> "<seconds>:<server>|<count>"``, with ``compatible`` the older ``<id>`` and
``1:<seconds>:<server>|<count>``; the set ``servers`` holds the addresses of the servers that write. Nothing waits for
Redis: the last beat of an id counts, and is written once a round. While Redis does not answer, and for a lease's length
after that, because clients may not have been heard, nobody is taken for lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from polaris_bridge.core.model import RegistrationKey
from polaris_bridge.core.ports import Clock

from .redis_client import FAILURES, connect, retire, warm
from .redis_settings import RedisSettings

SERVERS: Final = "servers"
KEY_PREFIX: Final = "hb_"
COMMANDS: Final = 500
"""Commands in one round trip."""
SAID_EVERY_S: Final = 60.0
"""A Redis that does not answer is told of so often."""

log = logging.getLogger("polaris_bridge.healthcheck")

Answer = Callable[[Mapping[RegistrationKey, float] | None], None]


class RedisUnreachable(ConnectionError):
    """Redis did not take the first command; the text says what to do."""


class RedisHeartbeats:
    """``core.ports.Witness``. All methods belong to the event loop's thread."""

    def __init__(self, settings: RedisSettings, server: str, clock: Clock) -> None:
        """``server``: the address by which other nodes know this one."""
        self._settings = settings
        self._server = server
        self._clock = clock
        self._beats: dict[str, int] = {}
        """Ids heard of and not written yet, with the second."""
        self._counts: dict[str, int] = {}
        self._gone: dict[str, None] = {}
        self._client: Any = None
        self._lanes = asyncio.Semaphore(settings.concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._writing = False
        self._closing = False
        self._recovered_at = float("-inf")
        self._said_at = float("-inf")
        self.alive = True
        """Whether the last command was answered."""
        self.read_failures = 0
        self.write_failures = 0

    # ------------------------------------------------------------------ start and stop

    async def start(self) -> None:
        """Connect and enter this server. Raises ``RedisUnreachable``."""
        self._client = connect(self._settings)
        try:
            await self._client.sadd(SERVERS, self._server)
            await warm(self._client, min(self._settings.min_idle, self._settings.pool_size))
        except FAILURES as error:
            await self._client.aclose()
            self._client = None
            where = self._settings.address or ", ".join(self._settings.addresses)
            why = str(error).rstrip(".")
            raise RedisUnreachable(
                f"heartbeats are to be kept in Redis at {where or '(no kvAddr)'}, which does not answer: {why}. "
                f"Start it, correct healthcheck.checkers, or use heartbeatMemory."
            ) from error

    async def stop(self) -> None:
        """Write what waits, then let go of the connections."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._client is None:
            return
        for task in tuple(self._tasks):
            await asyncio.wait((task,))
        try:
            await self._write()
            await self._client.srem(SERVERS, self._server)
        except FAILURES as error:
            log.warning("Redis did not take the last heartbeats: %s", error)
        await self._client.aclose()
        self._client = None

    def sweep(self) -> None:
        """Once a second: close connections that are idle or old."""
        if self._client is not None:
            self._spawn(retire(self._client))

    # ------------------------------------------------------------------ what the core says

    def heard(self, key: RegistrationKey) -> None:
        """See ``Witness``."""
        id = key.key
        self._gone.pop(id, None)
        self._beats[id] = self._clock.wall_ms() // 1000
        self._schedule()

    def gone(self, key: RegistrationKey) -> None:
        """See ``Witness``."""
        id = key.key
        self._beats.pop(id, None)
        self._counts.pop(id, None)
        self._gone[id] = None
        self._schedule()

    def ask(self, keys: Sequence[RegistrationKey], answer: Answer) -> None:
        """See ``Witness``."""
        self._spawn(self._ask(tuple(keys), answer))

    # ------------------------------------------------------------------ writing

    def _schedule(self) -> None:
        if self._writing or self._closing or self._client is None:
            return
        waiting = len(self._beats) + len(self._gone)
        if waiting >= self._settings.batch or self._settings.wait_s <= 0:
            if self._timer is not None:
                self._timer.cancel()
            self._begin()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._settings.wait_s, self._begin)

    def _begin(self) -> None:
        self._timer = None
        if not self._writing and not self._closing:
            self._writing = True
            self._spawn(self._round())

    async def _round(self) -> None:
        try:
            await self._write()
        except FAILURES as error:
            self.write_failures += 1
            self._fault("written", error)
        else:
            self._well()
        finally:
            self._writing = False
        if self._beats or self._gone:
            wait_s = self._settings.wait_s if self.alive else 1.0
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._begin)

    async def _write(self) -> None:
        """Everything that waits, in round trips side by side. What a failed one carried waits again, unless newer came."""
        beats, self._beats = list(self._beats.items()), {}
        gone, self._gone = list(self._gone), {}
        trips = [self._set(beats[at : at + COMMANDS]) for at in range(0, len(beats), COMMANDS)]
        trips += [self._delete(gone[at : at + COMMANDS]) for at in range(0, len(gone), COMMANDS)]
        for result in await asyncio.gather(*trips, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _set(self, beats: list[tuple[str, int]]) -> None:
        def fill(pipe: Any) -> None:
            for id, second in beats:
                pipe.set(self._redis_key(id), self._value(id, second))

        try:
            await self._trip(fill)
        except FAILURES:
            for id, second in beats:
                if id not in self._gone:
                    self._beats.setdefault(id, second)
            raise
        for id, _ in beats:
            self._counts[id] = self._counts.get(id, 0) + 1

    async def _delete(self, ids: list[str]) -> None:
        def fill(pipe: Any) -> None:
            for id in ids:
                pipe.delete(self._redis_key(id))

        try:
            await self._trip(fill)
        except FAILURES:
            for id in ids:
                if id not in self._beats:
                    self._gone[id] = None
            raise

    async def _trip(self, fill: Callable[[Any], None]) -> list[Any]:
        """One round trip, tried again at once ``retries`` times."""
        async with self._lanes:
            for left in range(self._settings.retries, -1, -1):
                pipe = self._client.pipeline(transaction=False)
                fill(pipe)
                try:
                    results: list[Any] = await pipe.execute()
                except FAILURES:
                    if not left:
                        raise
                else:
                    return results
        raise AssertionError("unreachable")

    def _redis_key(self, id: str) -> str:
        return id if self._settings.compatible else KEY_PREFIX + id

    def _value(self, id: str, second: int) -> str:
        text = f"{second}:{self._server}|{self._counts.get(id, 0) + 1}"
        return f"1:{text}" if self._settings.compatible else text

    # ------------------------------------------------------------------ asking

    async def _ask(self, keys: tuple[RegistrationKey, ...], answer: Answer) -> None:
        try:
            answer(await self._last_heard(keys))
        except FAILURES as error:
            self.read_failures += 1
            self._fault("read", error)
            answer(None)

    async def _last_heard(self, keys: tuple[RegistrationKey, ...]) -> dict[RegistrationKey, float]:
        found: dict[RegistrationKey, float] = {}
        now_s = self._clock.wall_ms() // 1000
        for at in range(0, len(keys), COMMANDS):
            part = keys[at : at + COMMANDS]

            def fill(pipe: Any, part: tuple[RegistrationKey, ...] = part) -> None:
                for key in part:
                    pipe.get(self._redis_key(key.key))

            for key, value in zip(part, await self._trip(fill), strict=True):
                second = second_of(value, self._settings.compatible)
                if second is not None:
                    found[key] = float(max(0, now_s - second))
        self._well()
        since = self._clock.monotonic() - self._recovered_at
        return {key: min(found.get(key, since), since) for key in keys if key in found or since != float("inf")}

    # ------------------------------------------------------------------ faults

    def _fault(self, what: str, error: BaseException) -> None:
        self.alive = False
        now = self._clock.monotonic()
        if now - self._said_at >= SAID_EVERY_S:
            self._said_at = now
            log.error("heartbeats could not be %s in Redis, nobody is taken for lost meanwhile: %s", what, error)

    def _well(self) -> None:
        if not self.alive:
            self.alive = True
            self._recovered_at = self._clock.monotonic()
            log.warning("Redis answers again; leases that rely on it begin anew")

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def second_of(value: bytes | None, compatible: bool) -> int | None:
    """The second in a stored beat. None when there is none, or what stands there is something else."""
    if value is None:
        return None
    fields = value.decode("utf-8", "replace").split(":")
    at = 1 if compatible else 0
    try:
        return int(fields[at]) if len(fields) > at + 1 else None
    except ValueError:
        return None
