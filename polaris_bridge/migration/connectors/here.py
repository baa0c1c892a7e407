"""Our own registry. Nothing goes over a wire: reads are snapshots, a write is a transaction, changes are told."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

from msgspec import structs

from polaris_bridge import __version__
from polaris_bridge.core.batches import Commit
from polaris_bridge.core.errors import CoreError, Unavailable
from polaris_bridge.core.model import Caller, Registration, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.snapshot import ServiceSnapshot
from polaris_bridge.migration.breath import Breath
from polaris_bridge.migration.copies import SOURCE, copy_record, is_copy, key_of, listed, registration
from polaris_bridge.migration.engine.diff import DELETE, Step
from polaris_bridge.migration.engine.reduce import APART, Abilities
from polaris_bridge.migration.keeping import durable
from polaris_bridge.migration.model import HERE, LeaseTerms, Record, Services
from polaris_bridge.migration.ports import About, Changes, RefusedThere, Written

T = TypeVar("T")

CALLER: Final = Caller(SOURCE, principal=SOURCE)
CHUNK: Final = 50
"""Writes before others have their turn."""
WAIT_S: Final = 55.0
"""Longest wait for a change."""


class Here:
    """The core as one registry among others."""

    kind = HERE
    can = Abilities(tags=True, cluster=True, location=APART, version=True)
    shadows = True

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._seen = registry.revision
        self._known: Services = {}

    async def probe(self) -> About:
        """See ``Connector``."""
        return About(version=__version__, address=HERE)

    async def read(self) -> Services:
        """See ``Connector``. Of services that are aliases nothing is told."""
        self._seen = self._registry.revision
        found: Services = {}
        breath = Breath()
        for snapshot in self._registry.services():
            records = _listed(snapshot)
            if records:
                found[snapshot.key] = records
            await breath.take()
        self._known = found
        return found

    async def changes(self) -> Changes:
        """See ``Connector``."""
        woken = asyncio.Event()
        watcher = self._registry.watches.watcher((None,), woken.set)
        watcher.arm(self._seen)
        try:
            async with asyncio.timeout(WAIT_S):
                await woken.wait()
        except TimeoutError:
            return Changes()
        finally:
            watcher.cancel()
        since, self._seen = self._seen, self._registry.revision
        changed: Services = {}
        breath = Breath()
        for snapshot in self._registry.services():
            if snapshot.revision > since:
                records = _listed(snapshot)
                if records != self._known.get(snapshot.key, ()):
                    changed[snapshot.key] = records
                await breath.take()
        present = {snapshot.key for snapshot in self._registry.services()}
        changed.update({key: () for key in self._known if key not in present})
        ended = frozenset(
            (key, record.id)
            for key, records in changed.items()
            for record in self._known.get(key, ())
            if record.id not in {r.id for r in records}
        )
        for key, records in changed.items():
            if records:
                self._known[key] = records
            else:
                self._known.pop(key, None)
        return Changes(changed, ended)

    async def held(self, services: Collection[ServiceKey], source: str) -> Services:
        """See ``Connector``."""
        found: Services = {}
        breath = Breath()
        for snapshot in self._registry.services():
            copies = tuple(copy_record(r) for r in _copies(snapshot) if r.copied_from == source)
            if copies:
                found[snapshot.key] = copies
            await breath.take()
        return found

    async def write(self, steps: Sequence[Step], task: str, lease: LeaseTerms) -> list[Written]:
        """See ``Connector``."""
        found: list[Written] = []
        for chunk in _chunks(steps):
            commits: dict[int, tuple[Commit, list[Written]]] = {}
            for step in chunk:
                try:
                    commit = self._do(step, task)
                except CoreError as error:
                    found.append(Written(step, error=RefusedThere(f"{type(error).__name__}: {error}")))
                else:
                    commits.setdefault(id(commit), (commit, []))[1].append(_written(step, task))
            for commit, done in commits.values():
                try:
                    await durable(commit)
                    found += done
                except Unavailable as lost:
                    found += [Written(w.step, error=RefusedThere(f"not stored: {lost}")) for w in done]
        return found

    def _do(self, step: Step, task: str) -> Commit:
        registry = self._registry
        with registry.transaction() as commit:
            record = step.record
            if step.action == DELETE or (record is not None and step.copy is not None):
                self._drop(step, task)
            if step.copy is not None and step.action != DELETE:
                r = registration(step.service, step.copy, task, registry.clock.wall_ms())
                made = registry.register(r, CALLER)
                if r.lost_ms:
                    registry.amend(made.now.id, lambda now: structs.replace(now, lost_ms=r.lost_ms), CALLER, "lost")
        return commit

    def _drop(self, step: Step, task: str) -> None:
        """End the registration that a step is about, unless it is the one that is to be written."""
        record = step.record
        if record is None or record.origin is None:
            return
        key = key_of(step.service, record.task or task, record.origin)
        if step.copy is None or key != key_of(step.service, task, step.copy.origin):
            self._registry.deregister(key, CALLER)

    async def adopt(self, task: str) -> int:
        """Make a task's copies native: they stay when their origin goes, until somebody deletes them. How many."""
        keys = [r.id for snapshot in self._registry.services() for r in _copies(snapshot) if r.ext.task == task]
        for chunk in _chunks(keys):
            commit: Commit | None = None
            for key in chunk:
                made = self._registry.amend(
                    key, lambda r: structs.replace(r, copied_from="", ext=None), CALLER, "adopt"
                )
                commit = commit if made is None else made.commit
            await durable(commit)
        return len(keys)

    async def renew(self, copies: Sequence[tuple[ServiceKey, Record]]) -> list[tuple[ServiceKey, Record]]:
        """See ``Connector``: not needed."""
        return []

    def renew_s(self, lease: LeaseTerms) -> float:
        """See ``Connector``."""
        return 0.0

    async def close(self) -> None:
        """See ``Connector``: there are none."""


def _written(step: Step, task: str) -> Written:
    copy = step.copy
    if step.action == DELETE or copy is None:
        return Written(step)
    key = key_of(step.service, task, copy.origin).key
    return Written(step, Record(key, copy.instance, copy.origin, task=task))


def _listed(snapshot: ServiceSnapshot) -> tuple[Record, ...]:
    if snapshot.record is not None and snapshot.record.reference is not None:
        return ()
    found = [record for address in list(snapshot.addresses.values()) for record in listed(address)]
    return tuple(sorted(found, key=lambda r: r.id))


def _copies(snapshot: ServiceSnapshot) -> Iterator[Registration]:
    for address in list(snapshot.addresses.values()):
        for r in address.registrations:
            if is_copy(r):
                yield r


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
