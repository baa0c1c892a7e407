"""Runs one task: watches its source, writes what differs into its target, keeps copies alive, and compares both sides regularly.

Everything it does follows from what stands on both sides, so nothing is lost when it dies: it begins again by reading both. It
writes nothing before it has read its source completely, and removes nothing that the brake holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from polaris_bridge.core.errors import Conflict
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.ports import Clock

from .breath import Breath, ended, sliced
from .engine import brake
from .engine.audit import Audit, Difference, auditing
from .engine.diff import DELETE, SKIP, Step, deserted, differences, export, is_ours
from .engine.names import Naming, naming
from .engine.planning import Plan, planning
from .model import Record, Services, Task
from .ports import Changes, Connector, RegistryError, Written

RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 10.0
LOOK_S: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """What a task has done and what troubles it."""

    complete: bool = False
    """Whether both sides were read and made equal once since this start, except for what is held or refused."""
    stale_since_ms: int = 0
    """Since when the source does not answer; 0: it does."""
    target_lost_ms: int = 0
    """Since when the target does not answer; 0: it does."""
    error: str = ""
    """The latest trouble; empty when the last round had none."""
    copies: int = 0
    """Copies in the target."""
    writes: dict[str, int] = field(default_factory=dict)
    """By action: what was done since this start."""
    errors: int = 0
    """Rounds and writes that failed since this start."""
    revived: int = 0
    """Copies that the target had forgotten and that were written again."""
    queue: int = 0
    """Services that wait to be written."""
    lag_s: float = 0.0
    """From hearing of the last change to having written it."""
    held: dict[tuple[ServiceKey, str], str] = field(default_factory=dict)
    """Removals that wait, and why."""
    refused: dict[ServiceKey, str] = field(default_factory=dict)
    """Services that cannot be copied, and why."""
    asks: bool = False
    """Whether some of them wait for an operator."""
    audit: Audit | None = None
    """The latest comparison."""
    found: tuple[Difference, ...] = ()
    """What the latest comparison that found something found, before it was put right."""
    repaired: int = 0
    """Writes that comparisons led to since this start."""


class PlanChanged(Conflict):
    """What is there now asks for other writes than the plan that was reviewed."""


class Worker:
    """One task at work. All methods run on the event loop; those that read or write take turns."""

    def __init__(
        self,
        task: Task,
        source: Connector,
        target: Connector,
        clock: Clock,
        *,
        noted: Callable[[], None] = lambda: None,
        look_s: float = LOOK_S,
    ) -> None:
        """``noted`` is called after every comparison. ``look_s``: longest wait between two looks at the clock."""
        self.task = task
        self.source = source
        self.target = target
        self.progress = Progress()
        self._clock = clock
        self._noted = noted
        self._look_s = look_s
        self._gate = asyncio.Lock()
        self._wanted: Services = {}
        self._held: Services = {}
        self._count: dict[ServiceKey, int] = {}
        """Copies of this task by service of the target."""
        self._named = Naming({}, {})
        self._named_for: set[ServiceKey] = set()
        self._missing: brake.Missing = {}
        self._running: list[asyncio.Task[None]] = []
        self._again = asyncio.Event()
        self._asked: asyncio.Task[Changes] | None = None
        """The open question for changes."""
        self.allow = False
        """Whether an operator allowed the removals that wait; taken back once they are done."""

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Begin to work in the background."""
        if not self._running:
            self._running = [asyncio.ensure_future(self._follow()), asyncio.ensure_future(self._keep_alive())]

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return bool(self._running)

    @property
    def natives(self) -> int | None:
        """Instances that register in the source itself, of those that the task means; None: it was not read yet."""
        if not self.progress.complete and self.progress.audit is None:
            return None
        return sum(r.native for key in self._naming().there for r in self._wanted.get(key, ()))

    async def stop(self) -> None:
        """Stop working. What stands in the target stays."""
        running, self._running = self._running, []
        await ended(running)
        await self._let_go()

    async def close(self) -> None:
        """Stop, and let go of both registries."""
        await self.stop()
        await self.source.close()
        await self.target.close()

    def hurry(self) -> None:
        """Read both sides again as soon as possible."""
        self._again.set()

    # ------------------------------------------------------------------ asked for

    async def plan(self) -> Plan:
        """What would be done now. Raises ``RegistryError``."""
        async with self._gate:
            return await self._plan()

    async def apply(self, reviewed: Plan) -> list[Written]:
        """Do exactly what was reviewed. Raises ``PlanChanged`` when something else would have to be done now."""
        async with self._gate:
            now = await self._plan()
            if now.digest != reviewed.digest:
                raise PlanChanged("something changed since the plan was made: make a new one and review it")
            steps = [step for step in now.steps if step.action != SKIP]
            written = await self._write(steps)
            self.progress.complete = not any(w.error for w in written)
            return written

    async def compare(self) -> Audit:
        """Read both sides and name every difference. Raises ``RegistryError``."""
        async with self._gate:
            await self._read()
            return await self._audited()

    async def withdraw(self) -> list[Written]:
        """Remove every copy of this task from its target."""
        async with self._gate:
            await self._hold_all(await self.target.held((), self.task.source))
            steps = [
                Step(DELETE, service, record=record, reason="withdrawn")
                for service, records in self._held.items()
                for record in records
                if is_ours(record, self.task)
            ]
            return await self._write(steps)

    # ------------------------------------------------------------------ at work

    async def _follow(self) -> None:
        wait_s = RETRY_S
        while True:
            try:
                await self._round()
                wait_s = RETRY_S
            except RegistryError as error:
                self._troubled(str(error))
                wait_s = await self._pause(wait_s)
            except Exception:  # a fault of ours must not end the task for ever
                log.exception("task %s failed", self.task.id)
                self._troubled("an error of ours; see the log")
                wait_s = await self._pause(wait_s)

    async def _pause(self, wait_s: float) -> float:
        """Wait, and how long to wait the next time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._again.wait()
        return min(LONGEST_RETRY_S, wait_s * 2)

    def _troubled(self, text: str) -> None:
        if self.progress.error != text:
            log.warning("task %s: %s", self.task.id, text)
        self.progress.error = text
        self.progress.errors += 1

    async def _round(self) -> None:
        """Everything once, then what changes, until everything is due again."""
        self._again.clear()
        async with self._gate:
            await self._read()
            known = self.progress.complete
            found = await self._audited()
            if not self.task.paused:
                done = sum(self.progress.writes.values())
                await self._settle(self._wanted, full=True)
                if (
                    known and found.differences
                ):  # what nobody told of: somebody else changed the target, or missed a change
                    self.progress.found = found.differences
                    self.progress.repaired += sum(self.progress.writes.values()) - done
                await self._audited()
        if not self.progress.queue:
            self.progress.error = ""
        due = self._clock.monotonic() + self._interval_s()
        while not self._again.is_set() and (left := due - self._clock.monotonic()) > 0:
            changes = await self._changes(min(left, self._look_s))
            if changes is None:
                continue
            services, ended = changes
            began = self._clock.monotonic()
            async with self._gate:
                for key, records in services.items():
                    if records:
                        self._wanted[key] = records
                    else:
                        self._wanted.pop(key, None)
                if not self.task.paused:
                    await self._settle(services, full=False, ended=ended)
            self.progress.lag_s = self._clock.monotonic() - began
            if self.progress.held:
                due = min(due, self._clock.monotonic() + self.task.bounds.confirm_s)

    def _interval_s(self) -> float:
        """Until the next full reading: sooner when removals wait for one, or writes failed."""
        interval = self.task.audit_s
        if self.progress.queue:
            interval = min(interval, RETRY_S)
        return min(interval, self.task.bounds.confirm_s) if self.progress.held else interval

    async def _changes(self, wait_s: float) -> tuple[Services, frozenset[tuple[ServiceKey, str]]] | None:
        """What changed in the source; None when nothing did for a while. The question stays open meanwhile."""
        asked = self._asked
        if asked is None:
            asked = self._asked = asyncio.ensure_future(self.source.changes())
        again = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait({asked, again}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            asked.cancel()
            raise
        finally:
            again.cancel()
        if not asked.done() or asked.cancelled():  # cancelled: everything was read anew meanwhile
            return None
        self._asked = None
        try:
            changes = asked.result()
        except RegistryError:
            self.progress.stale_since_ms = self.progress.stale_since_ms or self._clock.wall_ms()
            raise
        return (changes.services, changes.ended) if changes.services else None

    async def _read(self) -> None:
        """Both sides completely; the target first, so that copies are kept alive while the source is away."""
        progress, now_ms = self.progress, self._clock.wall_ms()
        try:
            await self._hold_all(await self.target.held(self._meant(), self.task.source))
            progress.target_lost_ms = 0
        except RegistryError:
            progress.target_lost_ms = progress.target_lost_ms or now_ms
            raise
        await self._let_go()
        try:
            self._wanted = dict(await self.source.read())
            progress.stale_since_ms = 0
        except RegistryError:
            progress.stale_since_ms = progress.stale_since_ms or now_ms
            raise

    async def _let_go(self) -> None:
        """The open question for changes ends: everything is read anew."""
        asked, self._asked = self._asked, None
        if asked is not None:
            await ended({asked})

    def _meant(self) -> list[ServiceKey]:
        return list(self._naming().there.values())

    def _naming(self) -> Naming:
        """What the services of the source are called in the target."""
        if self._wanted.keys() != self._named_for:
            self._named_for = set(self._wanted)
            self._named = naming(self._wanted, self.task.selector, self.task.names, self.target.kind)
        return self._named

    async def _settle(self, services: Services, *, full: bool, ended: Iterable[tuple[ServiceKey, str]] = ()) -> None:
        """Make the target hold what these services of the source hold. ``full``: they are everything."""
        task, progress = self.task, self.progress
        before, names = self._named.there, self._naming()
        progress.refused = names.refused
        steps: list[Step] = []
        remaining: dict[ServiceKey, int] = {}
        breath = Breath()
        for key in services:
            await breath.take()
            there = names.there.get(key) or before.get(key)
            if there is None:
                continue
            found = export(self._wanted.get(key, ()), there, task, self.source.kind, self.target.can)
            remaining[there] = len(self._wanted.get(key, ()))
            steps += differences(found.copies, self._held.get(there, ()), there, task, shadows=self.target.shadows)
        if full:
            steps += deserted(self._held, [names.there[key] for key in services if key in names.there], task)
        reading = brake.Reading(
            at_ms=self._clock.wall_ms(),
            copies=progress.copies,
            source=sum(map(len, self._wanted.values())),
            remaining=remaining,
            ended=frozenset((names.there.get(key) or before.get(key, key), id) for key, id in ended),
            full=full,
        )
        removals = [step for step in steps if step.action == DELETE]
        verdict = brake.judge(removals, reading, self._missing, task.bounds, allow=self.allow)
        self._missing = verdict.missing
        if full:
            progress.held = verdict.held
            self.allow = False
        else:
            progress.held = {k: why for k, why in progress.held.items() if k[0] not in remaining} | verdict.held
        progress.asks = brake.MANY in progress.held.values()
        writes = [step for step in steps if step.action not in (DELETE, SKIP)]
        written = await self._write([*writes, *verdict.passed])
        failed = {w.step.service for w in written if w.error is not None}
        progress.queue = len(failed)
        if full:
            progress.complete = True

    async def _write(self, steps: Sequence[Step]) -> list[Written]:
        """Do some steps, and know what stands in the target afterwards."""
        if not steps:
            return []
        progress = self.progress
        progress.queue = len({step.service for step in steps})
        try:
            written = await self.target.write(steps, self.task.id, self.task.lease)
            progress.target_lost_ms = 0
        except RegistryError:
            progress.target_lost_ms = progress.target_lost_ms or self._clock.wall_ms()
            raise
        changed: dict[ServiceKey, dict[str, Record]] = {}
        breath = Breath()
        for one in written:
            await breath.take()
            step = one.step
            if one.error is not None:
                self._troubled(f"{step.action} {step.name} in {step.service.name}: {one.error}")
                continue
            progress.writes[step.action] = progress.writes.get(step.action, 0) + 1
            records = changed.setdefault(step.service, {r.id: r for r in self._held.get(step.service, ())})
            if step.record is not None:
                records.pop(step.record.id, None)
            if one.record is not None:
                records[one.record.id] = one.record
        for service, held in changed.items():
            await breath.take()
            self._hold(service, tuple(held.values()))
        progress.queue = 0
        return written

    async def _hold_all(self, found: Services) -> None:
        """Know what stands in the target."""
        self._held, self._count, self.progress.copies = {}, {}, 0
        breath = Breath()
        for service, records in found.items():
            self._hold(service, records)
            await breath.take()

    def _hold(self, service: ServiceKey, records: tuple[Record, ...]) -> None:
        """Know what stands in one service of the target."""
        count = sum(is_ours(record, self.task) for record in records)
        self.progress.copies += count - self._count.get(service, 0)
        self._held[service], self._count[service] = records, count

    def _copies(self) -> Iterable[tuple[ServiceKey, Record]]:
        """The copies of this task that stand in the target as far as is known."""
        for service, records in self._held.items():
            for record in records:
                if is_ours(record, self.task):
                    yield service, record

    # ------------------------------------------------------------------ alive

    async def _keep_alive(self) -> None:
        """Renew every copy once an interval, a part of them every second."""
        interval_s = self.target.renew_s(self.task.lease)
        if not interval_s:
            return
        done: dict[tuple[ServiceKey, str], float] = {}
        while True:
            now = self._clock.monotonic()
            copies = list(self._copies())
            present = {(service, record.id) for service, record in copies}
            done = {key: at for key, at in done.items() if key in present}
            due = [(s, r) for s, r in copies if now - done.get((s, r.id), 0.0) >= interval_s * 0.9]
            due = due[: max(1, -(-len(copies) // max(1, int(interval_s * 0.8))))] if done else due
            try:
                for service, record in await self.target.renew(due):
                    await self._forgotten(service, record)
                done.update({(s, r.id): now for s, r in due})
            except RegistryError as error:
                self._troubled(str(error))
            except Exception:  # heartbeats go on, whatever one round met
                log.exception("heartbeats of task %s failed", self.task.id)
            await asyncio.sleep(1.0)

    async def _forgotten(self, service: ServiceKey, record: Record) -> None:
        """The target does not know a copy any more: it is written again."""
        if not self.progress.revived:
            log.warning(
                "task %s: the target forgot %s of %s; it is written again", self.task.id, record.id, service.name
            )
        self.progress.revived += 1
        async with self._gate:
            left = tuple(r for r in self._held.get(service, ()) if r.id != record.id)
            self._hold(service, left)
        self.hurry()

    # ------------------------------------------------------------------ comparing

    async def _plan(self) -> Plan:
        await self._read()
        work = planning(
            self.task,
            self.source.kind,
            self._wanted,
            self._held,
            self.target.kind,
            self.target.can,
            shadows=self.target.shadows,
            at_ms=self._clock.wall_ms(),
        )
        return await sliced(work)

    async def _audited(self) -> Audit:
        work = auditing(
            self.task,
            self.source.kind,
            self._wanted,
            self._held,
            self.target.kind,
            self.target.can,
            shadows=self.target.shadows,
            at_ms=self._clock.wall_ms(),
            before=self.progress.audit,
        )
        found = await sliced(work)
        self.progress.audit = found
        self._noted()
        return found
