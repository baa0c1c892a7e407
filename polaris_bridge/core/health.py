"""The check engine decides: which checks run when, and when their results change a registration. A ``Probe`` performs.

It follows the registrations whose liveness is ``Checks``. Each of their checks has its turn once an interval, the first
after a random delay so that a start is no storm; so many of a kind are under way at most as the probe can bear, and who has
many due waits behind who has few. A result changes the registration only after ``rise`` or ``fall`` of its kind came in a
row. Nothing runs unless ``start`` was called: a server that serves nobody has no business knocking at anybody's door.

A new kind of check needs a probe that performs it, nothing here. Kinds that no probe performs (a lease, none, what clients
report themselves) are left to whoever calls ``Registry.set_check``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Protocol

from msgspec import Struct, field

from .events import Published
from .model import CRITICAL, Checks, Registration, RegistrationKey, ServiceKey
from .registry import Registry


class Check(Struct, frozen=True, gc=False):
    """What is to be asked, how often, and how much of an answer it takes to believe it."""

    kind: str
    """How it is asked: a word that probes know."""
    host: str = ""
    port: int = 0
    path: str = "/"
    """Of an HTTP request, query included."""
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    expected: tuple[int, ...] = (200,)
    """HTTP statuses that pass."""
    query: str = ""
    """SQL that has to succeed."""
    unwanted: tuple[str, ...] = ()
    """What the second column of the query's first row must not say."""
    user: str = ""
    password: str = ""
    body: str = ""
    """Of an HTTP request."""
    tls: bool = False
    """Whether the target is spoken to over TLS."""
    verify: bool = True
    """Whether its certificate has to be good."""
    server_name: str = ""
    """The name that its certificate has to bear, when that is not ``host``."""
    redirects: int = 0
    """How many redirects of an HTTP request are followed."""
    service: str = ""
    """What a health service is asked about."""
    send: bytes = b""
    """What a connection is sent."""
    receive: tuple[bytes, ...] = ()
    """What it may answer; none: anything."""
    kept_bytes: int = 0
    """How much of an answer's body ``Outcome.why`` repeats, at most."""
    first_ms: tuple[int, int] = (0, 10_000)
    """The first probe comes after a random time between these."""
    interval_ms: int = 10_000
    """From the end of a probe to the next one."""
    timeout_ms: int = 10_000
    rise: int = 1
    """Results in a row that turn it passing (or warning)."""
    fall: int = 1
    """Results in a row that turn it critical."""

    def __repr__(self) -> str:
        """Without secrets."""
        return f"Check({self.kind} {self.host}:{self.port}{self.path})"


class Outcome(Struct, frozen=True, gc=False):
    """What one probe found: passing, warning or critical, and why."""

    state: str
    why: str = ""
    """For people; what is repeated of an answer ends it."""
    code: str = ""
    """Of the answer, where answers have one."""
    elapsed_ms: int = 0
    """How long it took, where somebody measured it."""


class Probe(Protocol):
    """Performs checks. Calls come and answers go on the core's thread."""

    @property
    def kinds(self) -> Mapping[str, int]:
        """The kinds it performs, and how many of each at once. Never changes."""
        ...

    def begin(self, check: Check, done: Callable[[Outcome], None]) -> Callable[[], None]:
        """Perform a check of one of its kinds. ``done`` is called once, soon after ``timeout_ms`` at the latest.

        What is returned cancels: ``done`` is not called afterwards. Never blocks nor raises.
        """
        ...


class HealthCounters(Struct):
    """What happened since the start, for metrics."""

    probes: dict[tuple[str, str], int] = field(default_factory=dict)
    """Finished probes by kind and result (passing, warning, critical)."""
    turns: dict[str, int] = field(default_factory=dict)
    """Changes of a registration's check, by the state it turned to."""


Told = Callable[[Outcome], None]
"""Takes every result of one check. Must be quick and not raise."""

ChecksOf = Callable[[Registration], Mapping[str, Check]]
"""The checks of a registration by name; the names are those of ``Checks.states``."""

_TIMED, _WAITING, _RUNNING, _OVER = range(4)


class _Task:
    """One check of one registration. It is in exactly one phase; its timer is told from older ones by ``turn``."""

    __slots__ = ("cancel", "check", "key", "name", "phase", "service", "streak", "streak_state", "told", "turn")

    def __init__(
        self, key: RegistrationKey | None, service: ServiceKey, name: str, check: Check, told: Told | None = None
    ) -> None:
        self.key = key
        """None with ``told``."""
        self.told = told
        """Who judges the results instead of the engine."""
        self.service = service
        self.name = name
        self.check = check
        self.phase = _OVER
        self.turn = 0
        self.streak = 0
        self.streak_state = ""
        self.cancel: Callable[[], None] | None = None


class HealthEngine:
    """All checks that this node runs. ``random`` gives numbers from 0 to below 1."""

    def __init__(self, registry: Registry, probe: Probe, random: Callable[[], float]) -> None:
        self.counters = HealthCounters()
        self.running = 0
        """Probes under way."""
        self.waiting = 0
        """Checks that are due and wait for their turn."""
        self._registry = registry
        self._probe = probe
        self._random = random
        self._busy = dict.fromkeys(probe.kinds, 0)
        """Probes under way, by kind."""
        self._sources: dict[str, ChecksOf] = {}
        self._tasks: dict[RegistrationKey, dict[str, _Task]] = {}
        self._watched: dict[Hashable, _Task] = {}
        """Checks whose results somebody else judges."""
        self._queues: dict[str, dict[ServiceKey, deque[_Task]]] = {kind: {} for kind in probe.kinds}
        """Due checks by kind and service; the services take turns in the order of their dictionary."""
        self._on = False
        registry.observe(self._published)

    def __len__(self) -> int:
        """How many checks there are to run."""
        return len(self._watched) + sum(
            map(len, list(self._tasks.values()))
        )  # metrics are taken beside the core's thread

    # ------------------------------------------------------------------ what there is to check

    def follow(self, source: str, checks_of: ChecksOf) -> None:
        """Run the checks of a source's registrations, those that exist included. ``checks_of`` must be quick."""
        self._sources[source] = checks_of
        self.review_source(source)

    def watch(self, id: Hashable, group: ServiceKey, check: Check, told: Told) -> None:
        """Run a check that belongs to no registration, or whose results are judged elsewhere; every result is told.

        One of the same id takes its place; an equal one goes on. Checks of one group wait behind each other.
        """
        if check.kind not in self._probe.kinds:
            self.unwatch(id)
            return
        known = self._watched.get(id)
        if known is not None and known.check == check:
            known.told = told
            return
        self.unwatch(id)
        task = self._watched[id] = _Task(None, group, "", check, told)
        if self._on:
            self._begin(task)

    def unwatch(self, id: Hashable) -> None:
        """Run it no more, if it ran."""
        task = self._watched.pop(id, None)
        if task is not None:
            self._end(task)

    def review(self, service: ServiceKey) -> None:
        """The definitions of a service's checks may have changed."""
        for address in self._registry.snapshot(service).addresses.values():
            for r in address.registrations:
                self._adopt(r)

    def review_source(self, source: str) -> None:
        """The definitions of all checks of a source may have changed."""
        for snapshot in self._registry.services():
            for address in snapshot.addresses.values():
                for r in address.registrations:
                    if r.source == source:
                        self._adopt(r)

    def _published(self, published: Published) -> None:
        if not self._sources:
            return
        for change in published.changes:
            after = change.after.registrations if change.after is not None else ()
            for r in after:
                if isinstance(r.liveness, Checks) or (self._tasks and r.id in self._tasks):
                    self._adopt(r)
            if self._tasks and change.before is not None:
                for r in change.before.registrations:
                    if r.id in self._tasks and self._registry.registration(r.id) is None:
                        self._drop(r.id)

    def _adopt(self, r: Registration) -> None:
        """Bring the checks that run in line with what a registration is now. One that did not change goes on."""
        checks_of = self._sources.get(r.source)
        if checks_of is None:
            return
        wanted = checks_of(r) if isinstance(r.liveness, Checks) else {}
        wanted = {name: check for name, check in wanted.items() if check.kind in self._probe.kinds}
        known = self._tasks.get(r.id, {})
        for name, task in list(known.items()):
            if wanted.get(name) != task.check or task.service != r.service_key:
                del known[name]
                self._end(task)
        if not wanted:
            self._tasks.pop(r.id, None)
            return
        self._tasks[r.id] = known
        for name, check in wanted.items():
            if name not in known:
                known[name] = task = _Task(r.id, r.service_key, name, check)
                if self._on:
                    self._begin(task)

    def _drop(self, key: RegistrationKey) -> None:
        for task in self._tasks.pop(key, {}).values():
            self._end(task)

    # ------------------------------------------------------------------ start and stop

    def start(self) -> None:
        """Begin: every check has its first turn after its random delay."""
        if self._on:
            return
        self._on = True
        for task in self._all():
            self._begin(task)

    def stop(self) -> None:
        """No probe from here on; those under way are cancelled. What was counted of results in a row is forgotten."""
        self._on = False
        for task in self._all():
            self._end(task)

    def _all(self) -> list[_Task]:
        return [*self._watched.values(), *(task for tasks in self._tasks.values() for task in tasks.values())]

    # ------------------------------------------------------------------ turns

    def _begin(self, task: _Task) -> None:
        least, most = task.check.first_ms
        task.streak = 0
        self._sleep(task, (least + self._random() * (most - least)) / 1000)

    def _sleep(self, task: _Task, delay_s: float) -> None:
        task.phase = _TIMED
        task.turn += 1
        self._registry.scheduler.later(delay_s, partial(self._due, task, task.turn))

    def _due(self, task: _Task, turn: int) -> None:
        if task.phase != _TIMED or task.turn != turn:
            return
        task.phase = _WAITING
        self.waiting += 1
        kind = task.check.kind
        self._queues[kind].setdefault(task.service, deque()).append(task)
        self._fill(kind)

    def _fill(self, kind: str) -> None:
        """Give free places to who waits: services in turn, the checks of each in the order they became due."""
        queues = self._queues[kind]
        while queues and self._busy[kind] < self._probe.kinds[kind]:
            service = next(iter(queues))
            queue = queues.pop(service)
            task = queue.popleft()
            if queue:
                queues[service] = queue
            self.waiting -= 1
            self._run(task)

    def _run(self, task: _Task) -> None:
        task.phase = _RUNNING
        task.turn += 1
        turn = task.turn
        self.running += 1
        self._busy[task.check.kind] += 1
        cancel = self._probe.begin(task.check, lambda outcome: self._done(task, turn, outcome))
        if task.phase == _RUNNING and task.turn == turn:
            task.cancel = cancel

    def _end(self, task: _Task) -> None:
        """Take a check out of whatever phase it is in."""
        phase, task.phase = task.phase, _OVER
        task.turn += 1
        if phase == _WAITING:
            queues = self._queues[task.check.kind]
            queues[task.service].remove(task)
            self.waiting -= 1
            if not queues[task.service]:
                del queues[task.service]
        elif phase == _RUNNING:
            cancel, task.cancel = task.cancel, None
            if cancel is not None:
                cancel()
            self._leave(task.check.kind)

    def _leave(self, kind: str) -> None:
        """A place is free. Who waits gets it a little later, so that a probe that answers at once cannot nest."""
        self.running -= 1
        self._busy[kind] -= 1
        if self._queues[kind]:
            self._registry.scheduler.soon(partial(self._fill, kind))

    # ------------------------------------------------------------------ results

    def _done(self, task: _Task, turn: int, outcome: Outcome) -> None:
        if task.phase != _RUNNING or task.turn != turn:
            return
        task.cancel = None
        counted = (task.check.kind, outcome.state)
        self.counters.probes[counted] = self.counters.probes.get(counted, 0) + 1
        self._leave(task.check.kind)
        self._sleep(task, task.check.interval_ms / 1000)
        if task.told is not None:
            task.told(outcome)
        elif task.key is not None:
            self._judge(task, task.key, outcome.state)

    def _judge(self, task: _Task, key: RegistrationKey, state: str) -> None:
        """Count results in a row that contradict what the registration says; enough of them change it."""
        r = self._registry.newest(key)
        if r is None or not isinstance(r.liveness, Checks):
            return
        known = r.liveness.states.get(task.name)
        if state == known:
            task.streak = 0
            return
        task.streak = task.streak + 1 if state == task.streak_state and task.streak else 1
        task.streak_state = state
        needed = task.check.fall if state == CRITICAL else task.check.rise
        if known is None or task.streak >= needed:
            task.streak = 0
            self.counters.turns[state] = self.counters.turns.get(state, 0) + 1
            self._registry.set_check(key, task.name, state)
