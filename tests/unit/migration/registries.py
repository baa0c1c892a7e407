"""Workers between registries in memory, with a clock that the test turns, and what to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from model_registries import ALL, ModelRegistry

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.engine.diff import DELETE, Step
from polaris_bridge.migration.model import EUREKA, Instance, LeaseTerms, Record, Services, Task
from polaris_bridge.migration.ports import About, Changes, RegistryError, Unreachable, Written
from polaris_bridge.migration.worker import Worker

MOST_S = 10.0


class Clock:
    """Both times move only when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return int(self.now_s * 1000)


class Fake:
    """A connector to a model registry: answers are right, late, broken or missing, as the test says."""

    kind = EUREKA
    can = ALL

    def __init__(self, model: ModelRegistry, *, renew_s: float = 0.0) -> None:
        self.model = model
        self.shadows = model.shadows
        self.error: RegistryError | None = None
        self.refuses: Callable[[Step], bool] = lambda _step: False
        self.hold: asyncio.Event | None = None
        """While it is there and not set, lists do not come."""
        self.reads = 0
        self.renewed: list[str] = []
        self.ended: frozenset[tuple[ServiceKey, str]] = frozenset()
        self._renew_s = renew_s
        self._known: Services = {}
        self._task = Task(id="", source="", target="")

    async def probe(self) -> About:
        return About()

    async def read(self) -> Services:
        self.reads += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.error is not None:
            raise self.error
        self._known = self.model.listed()
        return dict(self._known)

    async def changes(self) -> Changes:
        while True:
            await asyncio.sleep(0.002)
            if self.error is not None:
                raise self.error
            now = self.model.listed()
            found = {k: now.get(k, ()) for k in now.keys() | self._known.keys() if now.get(k) != self._known.get(k)}
            if found:
                self._known = now
                ended, self.ended = self.ended, frozenset()
                return Changes(found, ended)

    async def held(self, services: Collection[ServiceKey], source: str) -> Services:
        if self.error is not None:
            raise self.error
        return self.model.copies()

    async def write(self, steps: Sequence[Step], task: str, lease: LeaseTerms) -> list[Written]:
        if self.error is not None:
            raise self.error
        found = []
        for step in steps:
            if self.refuses(step):
                found.append(Written(step, error=Unreachable("refused")))
                continue
            self.model.apply(step, Task(id=task, source="", target=""))
            record = None
            if step.action != DELETE and step.copy is not None:
                origin = step.copy.origin
                record = self.model.records[step.service][f"copy/{task}/{origin.registry}/{origin.id}"]
            found.append(Written(step, record))
        return found

    async def renew(self, copies: Sequence[tuple[ServiceKey, Record]]) -> list[tuple[ServiceKey, Record]]:
        self.renewed += [record.id for _, record in copies]
        return [(s, r) for s, r in copies if r.id not in self.model.records.get(s, {})]

    def renew_s(self, lease: LeaseTerms) -> float:
        return self._renew_s

    async def close(self) -> None:
        return None


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(MOST_S):
        for _ in iter(lambda: bool(true()), True):
            await asyncio.sleep(0.002)


class Bench:
    """A worker from ``a`` to ``b``."""

    def __init__(self, *, shadows: bool = False, renew_s: float = 0.0, **task: object) -> None:
        self.clock = Clock()
        self.a, self.b = ModelRegistry("a"), ModelRegistry("b", shadows=shadows)
        self.source, self.target = Fake(self.a), Fake(self.b, renew_s=renew_s)
        self.task = Task(id="t", source="a", target="b", paused=False, **task)  # type: ignore[arg-type]
        self.worker = Worker(self.task, self.source, self.target, self.clock, look_s=0.02)

    def restart(self) -> None:
        """The same task in a new process."""
        self.worker = Worker(self.task, self.source, self.target, self.clock, look_s=0.02)
        self.worker.start()

    def there(self, service: ServiceKey) -> dict[str, Instance]:
        """The copies in the target by their ids in the origin."""
        return {r.origin.id: r.instance for r in self.b.copies().get(service, ()) if r.origin is not None}
