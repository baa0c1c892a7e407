"""A registry in a bottle: a clock that is turned by hand, a run queue, a store whose answers the test gives, and five
made-up protocols with the kinds of liveness that real ones have."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import structs

from polaris_bridge.core.batches import Commit
from polaris_bridge.core.model import (
    UP,
    AddressKey,
    Caller,
    Checks,
    Lease,
    Liveness,
    Registration,
    RegistrationKey,
    ServiceKey,
    Session,
    Switch,
)
from polaris_bridge.core.ports import TABLES, Loaded, Row
from polaris_bridge.core.registry import Registered, Registry
from polaris_bridge.core.terms import Terms
from polaris_bridge.core.views import Shown, shown
from polaris_bridge.core.watching import Scope, Watcher

NAMESPACE = "default"
START_S = 1000.0
START_MS = 1_700_000_000_000

LEASED = "a"
"""Renewed every 30 s, unhealthy and deleted at 90 s: the two are one, as Eureka has it."""
BEATING = "b"
"""Renewed every 5 s, unhealthy at 15 s, deleted at 30 s."""
CONNECTED = "c"
"""Lives as long as a connection."""
LASTING = "d"
"""Renewed every 5 s, unhealthy at 15 s, never deleted."""
STANDING = "e"
"""No liveness at all."""
CHECKED = "f"
"""Named checks."""

SOURCES = (LEASED, BEATING, CONNECTED, LASTING, STANDING, CHECKED)

LIVENESS: dict[str, Liveness] = {
    LEASED: Lease(30_000, 90_000, 90_000),
    BEATING: Lease(5_000, 15_000, 30_000),
    CONNECTED: Session("s1"),
    LASTING: Lease(5_000, 15_000, 0),
    STANDING: None,
    CHECKED: Checks({}),
}

CALLER = Caller("test", "127.0.0.1")


class Clock:
    """Both times move only when told."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.now_ms = START_MS

    def monotonic(self) -> float:
        return self.now_s

    def wall_ms(self) -> int:
        return self.now_ms

    def move(self, seconds: float) -> None:
        """Let time pass without anybody running."""
        self.now_s += seconds
        self.now_ms += round(seconds * 1000)


class Runs:
    """What is to run soon or later; the test says when."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], None]] = deque()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def soon(self, run: Callable[[], None]) -> None:
        self._soon.append(run)

    def later(self, delay_s: float, run: Callable[[], None]) -> Any:
        self._count += 1
        heapq.heappush(self._later, (self._clock.monotonic() + delay_s, self._count, run))

    def step(self) -> bool:
        """Run the next of what is to run soon; False when there is none."""
        if self._soon:
            self._soon.popleft()()
            return True
        return False

    def settle(self) -> None:
        """Run everything that is due now, and what comes of it."""
        for _ in range(100_000):
            if self._soon:
                self._soon.popleft()()
            elif self._later and self._later[0][0] <= self._clock.monotonic():
                heapq.heappop(self._later)[2]()
            else:
                return
        raise AssertionError("it never comes to rest")

    @property
    def next_timer(self) -> float | None:
        """When the next timer is due."""
        return self._later[0][0] if self._later else None


class DiskFull(Exception):
    """What the store says when the test wants it to fail."""


class Bench:
    """A store on the workbench: ``hold`` keeps answers back, ``fail`` makes that many next writes fail."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], Row] = {}
        self.reserved = 0
        self.epoch = 0
        self.hold = False
        self.fail = 0
        self.refuse_reservations = False
        self.appends: list[list[Row]] = []
        """Every write that was taken to the disk, in order."""
        self.asked: list[tuple[list[Row], int, Callable[[Exception | None], None]]] = []
        """Writes that wait for ``answer``."""

    def load(self) -> Loaded:
        self.epoch += 1
        alive = [row.value for row in self.rows.values() if row.value is not None]
        values = [structs.replace(v, held=False) if isinstance(v, Registration) else v for v in alive]
        return Loaded(values, self.reserved, self.epoch, "node-1")

    def append(self, rows: Sequence[Row], reserve: int, done: Callable[[Exception | None], None]) -> None:
        self.asked.append((list(rows), reserve, done))
        if not self.hold:
            self.answer()

    def answer(self) -> None:
        """Do (or fail) the oldest write that waits."""
        rows, reserve, done = self.asked.pop(0)
        if self.fail:
            self.fail -= 1
            done(DiskFull("no space left"))
            return
        for row in rows:
            self.rows[(row.table, *row.key)] = row
        self.reserved = max(self.reserved, reserve)
        self.appends.append(rows)
        done(None)

    def reserve(self, revision: int) -> None:
        if self.refuse_reservations:
            raise DiskFull("no space left")
        self.reserved = max(self.reserved, revision)

    def purge(
        self,
        before_ms: int,
        tables: Sequence[str] = TABLES,
        limit: int = 0,
        done: Callable[[int], None] | None = None,
    ) -> None:
        self.rows = {
            k: r
            for k, r in self.rows.items()
            if r.value is not None or r.changed_ms >= before_ms or r.table not in tables
        }

    def flush(self) -> None:
        while self.asked:
            self.answer()

    def close(self) -> None:
        self.flush()


class Fate:
    """What became of a commit: None while it waits, "ok", or the error's name."""

    def __init__(self, commit: Commit) -> None:
        self.told: list[str] = []
        commit.then(lambda error: self.told.append("ok" if error is None else type(error).__name__))

    @property
    def result(self) -> str | None:
        assert len(self.told) <= 1, "told twice"
        return self.told[0] if self.told else None


class Ear:
    """A watcher that counts how often it fired, and (``again``) arms itself anew with what it has seen by then."""

    def __init__(self, registry: Registry, *scopes: Scope, again: bool = False, min_interval_s: float = 0.05) -> None:
        self._registry = registry
        self._again = again
        self.fired = 0
        self.seen: list[int] = []
        self.watcher: Watcher = registry.watches.watcher(scopes, self._fire, min_interval_s)

    def _fire(self) -> None:
        self.fired += 1
        self.seen.append(self.newest())
        if self._again:
            self.watcher.arm(self.newest())

    def newest(self) -> int:
        """The newest revision of what it watches."""
        return max(map(self._registry.revision_of, self.watcher.scopes))

    def arm(self, since: int | None = None) -> None:
        """Arm with a revision; without one with the newest."""
        self.watcher.arm(self.newest() if since is None else since)


def doc(source: str, key: str = "k1", **changes: Any) -> Registration:
    """What a client of a made-up protocol says."""
    fields: dict[str, Any] = {
        "service": "orders", "host": "10.0.0.1", "port": 8080, "liveness": LIVENESS.get(source),
    } | changes  # fmt: skip
    return Registration(source=source, namespace=fields.pop("namespace", NAMESPACE), key=key, **fields)


ORDERS = ServiceKey(NAMESPACE, "orders")
PLACE = AddressKey("10.0.0.1", 8080)


class World:
    """Registry, clock, runs and store, with words for what tests do all the time."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.clock = Clock()
        self.runs = Runs(self.clock)
        self.store = Bench()
        self.terms = terms or Terms()
        self.registry = self.start()

    def start(self) -> Registry:
        """A registry that has loaded what the store holds."""
        registry = Registry(self.store, self.clock, self.runs, self.terms)
        registry.load()
        return registry

    def restart(self) -> Registry:
        """The process is killed and another one comes up: unanswered writes are lost."""
        self.store.asked.clear()
        self.store.hold = False
        self.runs = Runs(self.clock)
        self.registry = self.start()
        return self.registry

    def settle(self) -> None:
        self.runs.settle()

    @contextmanager
    def slow_store(self) -> Iterator[None]:
        """Commands inside stay pending; all are answered at the end."""
        self.store.hold = True
        yield
        self.store.hold = False
        self.answer_all()

    def answer_all(self) -> None:
        """The store answers whatever waits, and what comes of it."""
        self.settle()
        while self.store.asked:
            self.store.answer()
            self.settle()

    def fail_all(self) -> None:
        """The store refuses the write that waits (and with it everything queued)."""
        self.settle()
        self.store.fail = 1
        self.store.answer()
        self.settle()

    def register(self, r: Registration, *, exact: bool = True) -> Registered:
        done = self.registry.register(r, CALLER, exact=exact)
        self.settle()
        return done

    def amend(self, key: RegistrationKey, **changes: Any) -> Registered | None:
        done = self.registry.amend(key, lambda r: structs.replace(r, **changes), CALLER, "amend")
        self.settle()
        return done

    def deregister(self, key: RegistrationKey) -> Registered | None:
        done = self.registry.deregister(key, CALLER)
        self.settle()
        return done

    def renew(self, key: RegistrationKey) -> Registration | None:
        found = self.registry.renew(key)
        self.settle()
        return found

    def switch(
        self, source: str, key: str = "", *, on: bool = True, word: str = "out_of_service", lingers: bool = False,
        service: ServiceKey = ORDERS, place: AddressKey = PLACE,
    ) -> Commit | None:  # fmt: skip
        done = self.registry.switch(service, place, Switch(source, key, word, lingers), CALLER, on=on)
        self.settle()
        return done

    def pass_time(self, seconds: float, step_s: float = 1.0) -> None:
        """Time passes and the tick runs once a second, as it should."""
        end = self.clock.now_s + seconds
        while self.clock.now_s < end - 1e-9:
            self.clock.move(min(step_s, end - self.clock.now_s))
            self.registry.tick()
            self.settle()

    def keep(self, seconds: float, *keys: RegistrationKey) -> None:
        """Time passes while these are renewed every second."""
        for _ in range(int(seconds)):
            for key in keys:
                self.registry.renew(key)
            self.pass_time(1)

    def stall(self, seconds: float) -> None:
        """Time passes while nobody runs; then the tick comes, late."""
        self.clock.move(seconds)
        self.registry.tick()
        self.settle()

    def view(self, reader: str, service: ServiceKey = ORDERS, place: AddressKey = PLACE) -> tuple[Shown, ...]:
        """What a reader sees at an address."""
        address = self.registry.snapshot(service).addresses.get(place)
        return () if address is None else shown(address, reader)

    def says(self, reader: str, service: ServiceKey = ORDERS, place: AddressKey = PLACE) -> list[str]:
        """The same in short: ``source/key word`` and, when silent, ``lost``."""
        return [
            f"{s.registration.source}/{s.registration.key} {s.word}{'' if s.live else ' lost'}"
            for s in self.view(reader, service, place)
        ]


def plain(shown: Sequence[Shown]) -> list[tuple[str, str, str, bool, bool]]:
    """A view that can be compared across registries: without revisions and times."""
    return sorted((s.registration.source, s.registration.key, s.word, s.live, s.own) for s in shown)


__all__ = ["UP", "Bench", "Clock", "Ear", "Fate", "Runs", "World"]
