"""A registry in a bottle for native tests: a clock turned by hand, a run queue, a store in memory that survives restarts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from polaris_bridge.adapters.polaris.answers import Outcome, failed
from polaris_bridge.core.model import Caller
from polaris_bridge.core.ports import Row
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.storage.memory import MemoryStore

START_MS = 1_700_000_000_000
CALLER = Caller("polaris", "10.9.9.9")


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms


class Queue:
    """What is to run soon. Timers are kept and never come due."""

    def __init__(self) -> None:
        self._soon: deque[Callable[[], None]] = deque()

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Nothing in these tests waits for a timer."""

    def step(self) -> None:
        """One turn of the loop: what is due now, and nothing that comes up meanwhile."""
        for _ in range(len(self._soon)):
            self._soon.popleft()()

    def settle(self) -> None:
        while self._soon:
            self._soon.popleft()()


class Store(MemoryStore):
    """Counts what is written; ``broken`` makes writes fail."""

    def __init__(self) -> None:
        super().__init__(post=lambda run: run(), unique=lambda: "node-1")
        self.writes = 0
        self.broken = False

    def append(self, rows: Sequence[Row], reserve: int, done: Callable[[Exception | None], None]) -> None:
        self.writes += len(rows)
        if self.broken:
            done(OSError("no space left"))
        else:
            super().append(rows, reserve, done)


class Bottle:
    """The registry, and how its clients experience it."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = terms or Terms(caseless=frozenset({"eureka"}))
        self.clock = Clock()
        self.store = Store()
        self.restart()

    def restart(self) -> None:
        """Another process on the same store."""
        self.queue = Queue()
        self.registry = Registry(self.store, self.clock, self.queue, self.terms)
        self.registry.load()

    def answer(self, result: Outcome | Message) -> Any:
        """What the client gets in the end."""
        if not isinstance(result, Outcome):
            self.queue.settle()
            return result
        found: list[Message] = []
        result.commit.then(
            lambda error: found.append(result.response if error is None else failed(result.response, error))
        )
        self.queue.settle()
        assert len(found) == 1, "answered once"
        return found[0]

    def pass_time(self, seconds: float) -> None:
        """Let time pass as it does, second by second."""
        for _ in range(round(seconds)):
            self.clock.now_s += 1
            self.clock.now_ms += 1000
            self.registry.tick()
            self.queue.settle()
