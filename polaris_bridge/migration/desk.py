"""What operators ask for: registries, tasks, plans, stages. One object for the HTTP API, the command line and the console."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct, structs

from polaris_bridge.core.errors import Conflict, Invalid, NotFound
from polaris_bridge.core.model import Caller
from polaris_bridge.core.registry import Registry

from .connectors.here import CALLER, Here
from .connectors.kinds import connect
from .connectors.web import warm
from .engine import stages
from .engine.audit import Audit
from .engine.planning import Plan
from .inventory import Inventory, inventory
from .keeping import KeptPlan, Store, durable
from .model import ADOPT, HERE, KINDS, REMOVALS, WITHDRAW, RegistryEntry, Task
from .ports import About, Connector, Sealer, Written
from .worker import Progress, Worker

_ID: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_SCHEMES: Final = {"http": 80, "https": 443}

OwnAddress = Callable[[str, int], Awaitable[bool]]
"""Whether a host and a port lead back to a listener of this server."""


class Shown(Struct, frozen=True, kw_only=True):
    """A registry without its secret."""

    id: str
    kind: str
    addresses: tuple[str, ...]
    user: str
    secret: bool
    """Whether it has one."""
    namespaces: dict[str, str]
    ca_file: str
    timeout_s: float
    poll_s: float
    created_ms: int


class Status(Struct, frozen=True, kw_only=True):
    """A task and how it fares."""

    task: Task
    running: bool
    complete: bool = False
    services: int = 0
    services_equal: int = 0
    copies: int = 0
    differences: int = 0
    """That are not merely on their way."""
    clean_since_ms: int = 0
    stale_since_ms: int = 0
    target_lost_ms: int = 0
    held: int = 0
    asks: bool = False
    """Whether removals wait for an operator to allow them."""
    refused: dict[str, str] = {}
    queue: int = 0
    lag_s: float = 0.0
    writes: dict[str, int] = {}
    errors: int = 0
    revived: int = 0
    repaired: int = 0
    error: str = ""
    next_stage: str = ""
    objections: tuple[str, ...] = ()
    """What speaks against the next stage."""

    @property
    def percent(self) -> float:
        """How much of the services is equal."""
        return 100.0 * self.services_equal / self.services if self.services else 100.0 if self.complete else 0.0


class Applied(Struct, frozen=True):
    """What came of a plan."""

    done: dict[str, int]
    failed: tuple[str, ...]


class Desk:
    """All registries and tasks of a server. Made when the core is loaded; ``start`` lets tasks work."""

    def __init__(self, registry: Registry, sealer: Sealer, own_address: OwnAddress, own_id: str = HERE) -> None:
        """``own_id``: what this server is called in the marks of copies."""
        self._registry = registry
        self._sealer = sealer
        self._own_address = own_address
        self._own_id = own_id
        self._store = Store(registry)
        self._workers: dict[str, Worker] = {}
        self._open = False

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Let every task work that is to work."""
        self._open = True
        if self._store.registries.all():
            await warm()
        for task in self._store.tasks.all():
            if task.stage in stages.RUNNING:
                self._worker(task).start()

    async def stop(self) -> None:
        """Stop all work. What stands in targets stays as it is."""
        self._open = False
        for worker in self._workers.values():
            await worker.close()
        self._workers.clear()

    # ------------------------------------------------------------------ registries

    def registries(self) -> list[Shown]:
        """Every registry that is known."""
        return [_shown(entry) for entry in self._store.registries.all()]

    def registry(self, id: str) -> Shown:
        """One of them. Raises ``NotFound``."""
        return _shown(self._entry(id))

    async def put_registry(self, entry: RegistryEntry, secret: str | None, caller: Caller) -> Shown:
        """Make a registry known, or change it. ``secret`` None keeps the one that is there.

        Raises ``Invalid`` for what cannot be one, this server itself included.
        """
        if not _ID.fullmatch(entry.id) or entry.id in (HERE, self._own_id):
            raise Invalid("id", f"expected 1 to 32 of a-z, 0-9, '_', '.', '-', and not {HERE!r} or our own id")
        if entry.kind not in KINDS:
            raise Invalid("kind", f"expected one of {', '.join(KINDS)}")
        if not entry.addresses:
            raise Invalid("addresses", "expected at least one, such as http://10.0.0.5:8761/eureka")
        for address in entry.addresses:
            host, port = _place(address)
            if await self._own_address(host, port):
                raise Invalid("addresses", f"{address} is this server itself; it is the registry {HERE!r} already")
        if not 0 < entry.timeout_s <= 300 or not 0 < entry.poll_s <= 3600:
            raise Invalid("timeout_s", "expected seconds above 0, at most 300 (poll_s: 3600)")
        await warm()
        known = self._store.registries.get(entry.id)
        sealed = known.secret if known is not None and secret is None else self._sealer.seal(secret) if secret else b""
        created = known.created_ms if known is not None else self._registry.clock.wall_ms()
        entry = structs.replace(entry, secret=sealed, created_ms=created)
        await durable(self._store.registries.put(entry, caller))
        for task in self._store.tasks.all():
            if entry.id in (task.source, task.target):
                await self._renew(task)
        return _shown(entry)

    async def delete_registry(self, id: str, caller: Caller) -> None:
        """Forget a registry. Raises ``NotFound``, and ``Conflict`` while a task uses it."""
        self._entry(id)
        users = [task.id for task in self._store.tasks.all() if id in (task.source, task.target)]
        if users:
            raise Conflict(f"registry {id} is used by {', '.join(users)}: delete these tasks first")
        await durable(self._store.registries.delete(id, caller))

    async def test_registry(self, id: str) -> About:
        """Whether it answers and takes our credentials. Raises ``NotFound``, ``RegistryError``."""
        connector = self._connector(id)
        try:
            return await connector.probe()
        finally:
            await connector.close()

    async def inventory(self, id: str) -> Inventory:
        """What stands there. Raises ``NotFound``, ``RegistryError``."""
        connector = self._connector(id)
        try:
            return inventory(id, await connector.read(), self._registry.clock.wall_ms())
        finally:
            await connector.close()

    # ------------------------------------------------------------------ tasks

    def task(self, id: str) -> Task:
        """One task. Raises ``NotFound``."""
        found = self._store.tasks.get(id)
        if found is None:
            raise NotFound(f"task {id}")
        return found

    async def put_task(self, task: Task, caller: Caller) -> Task:
        """Make a task, or change one; its stage stays. Raises ``Invalid``, ``NotFound`` for a registry, ``Conflict``."""
        _check_task(task)
        for id in (task.source, task.target):
            if id != HERE:
                self._entry(id)
        now_ms = self._registry.clock.wall_ms()
        known = self._store.tasks.get(task.id)
        if known is not None and (known.source, known.target) != (task.source, task.target):
            raise Conflict(f"task {task.id} goes from {known.source} to {known.target}: make another one")
        for other in self._store.tasks.all():
            if other.id != task.id and (other.source, other.target) == (task.source, task.target):
                raise Conflict(f"task {other.id} goes from {task.source} to {task.target} already: widen its selector")
        stage, stage_ms, created, paused = (
            (known.stage, known.stage_ms, known.created_ms, known.paused)
            if known is not None
            else (stages.DISCOVERED, now_ms, now_ms, True)
        )
        task = structs.replace(task, stage=stage, stage_ms=stage_ms, created_ms=created, paused=paused)
        await durable(self._store.tasks.put(task, caller))
        await self._renew(task)
        return task

    async def delete_task(self, id: str, copies: str, caller: Caller) -> int:
        """Forget a task; ``copies`` says what becomes of what it wrote. How many copies were touched.

        Raises ``NotFound``, ``Invalid``, ``RegistryError``, ``Conflict`` when something could not be removed.
        """
        task = self.task(id)
        if copies not in REMOVALS:
            raise Invalid("copies", f"expected one of {', '.join(REMOVALS)}")
        if copies == ADOPT and task.target != HERE:
            raise Invalid("copies", "copies elsewhere can be withdrawn or left, not adopted")
        touched = 0
        if copies == WITHDRAW:
            touched = await self._withdraw(task)
        elif copies == ADOPT:
            await self._close(id)
            touched = await Here(self._registry).adopt(id)
        await self._close(id)
        await durable(self._store.plans.delete(id, caller))
        await durable(self._store.states.delete(id, caller))
        await durable(self._store.tasks.delete(id, caller))
        return touched

    async def plan(self, id: str, caller: Caller) -> Plan:
        """What the task would do now; kept until it is applied. Raises ``NotFound``, ``RegistryError``."""
        task = self.task(id)
        made = await self._worker(task).plan()
        await durable(self._store.plans.put(KeptPlan(id, made), caller))
        if task.stage == stages.DISCOVERED:
            await self._enter(task, stages.PLANNED, caller)
        return made

    def kept_plan(self, id: str) -> KeptPlan:
        """The plan that was made last. Raises ``NotFound``."""
        self.task(id)
        found = self._store.plans.get(id)
        if found is None:
            raise NotFound(f"plan of task {id}")
        return found

    async def apply(self, id: str, digest: str, caller: Caller) -> Applied:
        """Do what was reviewed, and keep both sides equal from then on. ``digest``: of the plan that was reviewed.

        Raises ``NotFound``, ``Conflict`` (another plan, or something changed since), ``RegistryError``.
        """
        task, kept = self.task(id), self.kept_plan(id)
        if digest and digest != kept.plan.digest:
            raise Conflict(f"the plan of task {id} is another one by now: review {kept.plan.digest}")
        worker = self._worker(task)
        written = await worker.apply(kept.plan)
        applied = structs.replace(kept, applied_ms=self._registry.clock.wall_ms())
        await durable(self._store.plans.put(applied, caller))
        task = structs.replace(task, paused=False)
        await durable(self._store.tasks.put(task, caller))
        if task.stage in (stages.DISCOVERED, stages.PLANNED):
            task = await self._enter(task, stages.MIRRORED, caller)
        worker.task = self._marked(task)
        worker.start()
        return _applied(written)

    async def pause(self, id: str, paused: bool, caller: Caller) -> Task:
        """Write nothing more, or go on. Copies are kept alive meanwhile. Raises ``NotFound``, ``Conflict``."""
        task = self.task(id)
        if task.stage not in stages.RUNNING:
            raise Conflict(f"task {id} does not run: its stage is {task.stage}; make a plan and apply it")
        task = structs.replace(task, paused=paused)
        await durable(self._store.tasks.put(task, caller))
        worker = self._worker(task)
        worker.task = self._marked(task)
        worker.start()
        worker.hurry()
        return task

    def allow(self, id: str) -> None:
        """Let the removals that wait be done. Raises ``NotFound``."""
        worker = self._worker(self.task(id))
        worker.allow = True
        worker.hurry()

    async def verify(self, id: str) -> Audit:
        """Compare both sides now. Raises ``NotFound``, ``RegistryError``."""
        return await self._worker(self.task(id)).compare()

    # ------------------------------------------------------------------ stages

    async def promote(self, id: str, caller: Caller, *, force: bool = False) -> Task:
        """Enter the next stage. Raises ``NotFound``, and ``Conflict`` with everything that speaks against it."""
        task = self.task(id)
        stage = stages.following(task.stage)
        if stage is None:
            raise Conflict(f"task {id} is retired")
        if stage in (stages.PLANNED, stages.MIRRORED):
            raise Conflict("make a plan and apply it" if stage == stages.MIRRORED else "make a plan")
        against = [] if force else stages.objections(stage, self._facts(task))
        if against:
            raise Conflict("; ".join(against))
        if stage == stages.RETIRED:
            await self._withdraw(task)
        return await self._enter(task, stage, caller)

    async def rollback(self, id: str, caller: Caller) -> Task:
        """Go back to the stage before. Copies are withdrawn when that one has none. Raises ``NotFound``, ``Conflict``."""
        task = self.task(id)
        stage = stages.preceding(task.stage)
        if stage is None:
            raise Conflict(f"there is no way back from {task.stage}")
        if task.stage in stages.RUNNING and stage not in stages.RUNNING:
            await self._withdraw(task)
            task = structs.replace(task, paused=True)
        return await self._enter(task, stage, caller)

    async def _withdraw(self, task: Task) -> int:
        """Stop a task and remove its copies; how many. When that fails it goes on as before, and the reason is raised."""
        worker = self._worker(task)
        running = worker.running
        await worker.stop()
        try:
            written = await worker.withdraw()
            failed = [w for w in written if w.error is not None]
            if failed:
                raise Conflict(f"{len(failed)} copies could not be removed: {failed[0].error}")
        except BaseException:
            if running:
                worker.start()
            raise
        await self._close(task.id)
        return len(written)

    async def _enter(self, task: Task, stage: str, caller: Caller) -> Task:
        task = structs.replace(task, stage=stage, stage_ms=self._registry.clock.wall_ms())
        await durable(self._store.tasks.put(task, caller))
        worker = self._workers.get(task.id)
        if worker is not None:
            worker.task = self._marked(task)
        return task

    # ------------------------------------------------------------------ status

    def status(self, id: str) -> Status:
        """How one task fares. Raises ``NotFound``."""
        return self._status(self.task(id))

    def workers(self) -> list[Worker]:
        """The tasks that are at work, or were asked about since the start."""
        return list(self._workers.values())

    def statuses(self) -> list[Status]:
        """How all tasks fare."""
        return [self._status(task) for task in self._store.tasks.all()]

    def progress(self, id: str) -> Progress:
        """Everything that is known of a task. Raises ``NotFound``."""
        return self._worker(self.task(id)).progress

    def _status(self, task: Task) -> Status:
        worker = self._workers.get(task.id)
        following = stages.following(task.stage)
        against = () if following is None else tuple(stages.objections(following, self._facts(task)))
        if worker is None:
            return Status(task=task, running=False, next_stage=following or "", objections=against)
        p = worker.progress
        audit = p.audit
        return Status(
            task=task,
            running=worker.running and not task.paused,
            complete=p.complete,
            services=len(audit.services) if audit is not None else 0,
            services_equal=audit.equal if audit is not None else 0,
            copies=p.copies,
            differences=audit.open if audit is not None else 0,
            clean_since_ms=audit.clean_since_ms if audit is not None else 0,
            stale_since_ms=p.stale_since_ms,
            target_lost_ms=p.target_lost_ms,
            held=len(p.held),
            asks=p.asks,
            refused={f"{key.namespace}/{key.name}": why for key, why in p.refused.items()},
            queue=p.queue,
            lag_s=p.lag_s,
            writes=dict(p.writes),
            errors=p.errors,
            revived=p.revived,
            repaired=p.repaired,
            error=p.error,
            next_stage=following or "",
            objections=against,
        )

    def _facts(self, task: Task) -> stages.Facts:
        kept = self._store.plans.get(task.id)
        worker = self._workers.get(task.id)
        now_ms = self._registry.clock.wall_ms()
        reverse = any(
            (t.source, t.target) == (task.target, task.source) and t.stage in stages.RUNNING and not t.paused
            for t in self._store.tasks.all()
        )
        state = self._store.states.get(task.id)
        quiet_ms = state.quiet_since_ms if state is not None else 0
        p = worker.progress if worker is not None else None
        clean_ms = p.audit.clean_since_ms if p is not None and p.audit is not None else 0
        if p is not None and (p.stale_since_ms or p.target_lost_ms):
            clean_ms = 0
        return stages.Facts(
            planned=kept is not None,
            applied=kept is not None and kept.applied_ms > 0,
            complete=p is not None and p.complete,
            clean_s=(now_ms - clean_ms) / 1000 if clean_ms else None,
            reverse=reverse,
            old_natives=None if worker is None else worker.natives,
            old_quiet_s=(now_ms - quiet_ms) / 1000 if quiet_ms else None,
            held=0 if p is None else len(p.held),
        )

    # ------------------------------------------------------------------ pieces

    def _entry(self, id: str) -> RegistryEntry:
        found = self._store.registries.get(id)
        if found is None:
            raise NotFound(f"registry {id}")
        return found

    def _connector(self, id: str) -> Connector:
        if id == HERE:
            return Here(self._registry)
        entry = self._entry(id)
        secret = self._sealer.open(entry.secret) if entry.secret else ""
        return connect(entry, secret, self._registry.clock.wall_ms)

    def _worker(self, task: Task) -> Worker:
        worker = self._workers.get(task.id)
        if worker is None:
            if not self._open:
                raise Conflict("the server is starting or stopping")
            source, target = self._connector(task.source), self._connector(task.target)
            worker = Worker(
                self._marked(task), source, target, self._registry.clock, noted=lambda: self._noted(task.id)
            )
            kept = self._store.states.get(task.id)
            if kept is not None and kept.clean_since_ms:
                worker.progress.audit = Audit(
                    task=task.id, at_ms=0, services=(), differences=(), clean_since_ms=kept.clean_since_ms
                )
            self._workers[task.id] = worker
        return worker

    def _marked(self, task: Task) -> Task:
        """A task as its copies are marked."""
        names = {HERE: self._own_id}
        return structs.replace(
            task, source=names.get(task.source, task.source), target=names.get(task.target, task.target)
        )

    def _noted(self, id: str) -> None:
        """Remember what a comparison showed, so that a restart does not begin to count anew."""
        worker = self._workers.get(id)
        audit = worker.progress.audit if worker is not None else None
        if worker is None or audit is None:
            return
        kept = self._store.states.get(id)
        quiet_ms = (kept.quiet_since_ms if kept is not None else 0) or audit.at_ms if worker.natives == 0 else 0
        self._store.remember(id, CALLER, clean_since_ms=audit.clean_since_ms, quiet_since_ms=quiet_ms)

    async def _renew(self, task: Task) -> None:
        """A task, or a registry of it, was changed: begin anew with what is said now."""
        await self._close(task.id)
        if task.stage in stages.RUNNING:
            self._worker(task).start()

    async def _close(self, id: str) -> None:
        worker = self._workers.pop(id, None)
        if worker is not None:
            await worker.close()


def _shown(entry: RegistryEntry) -> Shown:
    fields = {name: getattr(entry, name) for name in Shown.__struct_fields__ if name != "secret"}
    return Shown(**fields, secret=bool(entry.secret))


def _place(address: str) -> tuple[str, int]:
    """Host and port of a base URL. Raises ``Invalid``."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        raise Invalid("addresses", f"{address!r} is no URL") from None
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise Invalid("addresses", f"{address!r}: expected http://host:port or https://host:port")
    if parts.username or parts.password:
        raise Invalid("addresses", "credentials do not belong into an address: give user and secret")
    return parts.hostname, port or _SCHEMES[parts.scheme]


def _check_task(task: Task) -> None:
    """Raises ``Invalid``."""
    if not _ID.fullmatch(task.id):
        raise Invalid("id", "expected 1 to 32 of a-z, 0-9, '_', '.', '-'")
    if task.source == task.target:
        raise Invalid("target", "expected another registry than the source")
    if not 1 <= task.audit_s <= 86_400:
        raise Invalid("audit_s", "expected 1 to 86400 seconds")
    bounds, lease = task.bounds, task.lease
    if min(bounds.hold_s, bounds.confirm_s, bounds.mass_least, bounds.mass_percent) < 0 or bounds.mass_percent > 100:
        raise Invalid("bounds", "expected nothing below 0, and at most 100 percent")
    if min(lease.interval_s, lease.duration_s, lease.remove_s) < 0 or 0 < lease.duration_s < lease.interval_s:
        raise Invalid("lease", "expected seconds, duration_s not below interval_s")
    if not task.selector.namespaces or not task.selector.services:
        raise Invalid("selector", "expected at least one pattern each of namespaces and services")


def _applied(written: list[Written]) -> Applied:
    done: dict[str, int] = {}
    for one in written:
        if one.error is None:
            done[one.step.action] = done.get(one.step.action, 0) + 1
    failed = tuple(f"{w.step.action} {w.step.name} in {w.step.service.name}: {w.error}" for w in written if w.error)
    return Applied(done, failed)
