"""Finds the live message that belongs to a recorded one: taken by key from a stream or port, with a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

MessageKey = Callable[[bytes], Hashable]


class Inbox:
    """Messages that arrived and were not asked for yet."""

    def __init__(self, key: MessageKey | None = None) -> None:
        self._key: MessageKey = key or (lambda body: None)
        self._waiting: list[bytes] = []
        self._arrived = asyncio.Event()
        self.ended = False

    def put(self, body: bytes) -> None:
        """A message arrived."""
        self._waiting.append(body)
        self._arrived.set()

    def end(self) -> None:
        """No further message can come."""
        self.ended = True
        self._arrived.set()

    def take(self, recorded: bytes) -> bytes | None:
        """The first waiting message with the key of the recorded one; None when there is none yet."""
        wanted = self._key(recorded)
        for index, body in enumerate(self._waiting):
            if self._key(body) == wanted:
                return self._waiting.pop(index)
        return None

    async def wait_for(self, recorded: bytes, deadline_s: float) -> bytes | None:
        """As take, waiting; None when the stream ended or the time ran out."""
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    found = self.take(recorded)
                    if found is not None or self.ended:
                        return found
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return None

    def rest(self) -> list[bytes]:
        """What nobody asked for; afterwards the inbox is empty."""
        rest, self._waiting = self._waiting, []
        return rest
