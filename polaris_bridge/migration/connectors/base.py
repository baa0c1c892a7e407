"""What the connectors of registries elsewhere have in common: writes one by one, some at a time, each with its own fate."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.engine import markers
from polaris_bridge.migration.engine.diff import DELETE, Copy, Step
from polaris_bridge.migration.engine.reduce import Abilities
from polaris_bridge.migration.model import Instance, LeaseTerms, Record, RegistryEntry, Services
from polaris_bridge.migration.ports import RefusedThere, RegistryError, Written

from .web import Web, each


class Remote:
    """One registry elsewhere. Subclasses say how one copy is written, renewed and removed."""

    kind: str
    can: Abilities
    shadows = False
    usual = LeaseTerms()
    """How long copies live there when the task does not say."""

    def __init__(self, entry: RegistryEntry, web: Web) -> None:
        self.entry = entry
        self.web = web
        self.lease = self.usual
        self.known: Services = {}
        """What was read last; ``changes`` compares with it."""

    async def read(self) -> Services:
        """See ``Connector``."""
        raise NotImplementedError

    async def put(self, service: ServiceKey, copy: Copy, before: Record | None) -> str:
        """Write one copy; its id there. ``before``: what stood there for it."""
        raise NotImplementedError

    async def remove(self, service: ServiceKey, record: Record) -> None:
        """Remove one copy; one that is gone already is removed."""
        raise NotImplementedError

    async def beat(self, service: ServiceKey, record: Record) -> bool:
        """One sign of life; False when the registry does not know the copy."""
        raise NotImplementedError

    async def held(self, services: Collection[ServiceKey], source: str) -> Services:
        """See ``Connector``: everything, for nobody says elsewhere where copies are."""
        return await self.read()

    async def write(self, steps: Sequence[Step], task: str, lease: LeaseTerms) -> list[Written]:
        """See ``Connector``. Steps about one service go one after another."""
        self.lease = self.terms(lease)
        by_service: dict[ServiceKey, list[Step]] = {}
        for step in steps:
            by_service.setdefault(step.service, []).append(step)
        found: list[list[Written]] = await each(list(by_service.values()), self._write_service)
        return [written for service in found for written in service]

    async def _write_service(self, steps: Sequence[Step]) -> list[Written]:
        found = []
        for step in steps:
            try:
                found.append(await self._do(step))
            except RegistryError as error:
                found.append(Written(step, error=error))
        return found

    async def _do(self, step: Step) -> Written:
        copy, record = step.copy, step.record
        if step.action == DELETE or copy is None:
            if record is not None:
                await self.remove(step.service, record)
            return Written(step)
        id = await self.put(step.service, copy, record)
        return Written(step, Record(id, copy.instance, copy.origin))

    async def renew(self, copies: Sequence[tuple[ServiceKey, Record]]) -> list[tuple[ServiceKey, Record]]:
        """See ``Connector``."""

        async def one(copy: tuple[ServiceKey, Record]) -> tuple[ServiceKey, Record] | None:
            try:
                return None if await self.beat(*copy) else copy
            except RefusedThere:
                return copy

        return [copy for copy in await each(list(copies), one) if copy is not None]

    def terms(self, lease: LeaseTerms) -> LeaseTerms:
        """A task's terms with the usual ones where it says nothing."""
        usual = self.usual
        return LeaseTerms(
            interval_s=lease.interval_s or usual.interval_s,
            duration_s=lease.duration_s or usual.duration_s,
            remove_s=lease.remove_s,
        )

    def renew_s(self, lease: LeaseTerms) -> float:
        """See ``Connector``."""
        return float(self.terms(lease).interval_s)

    async def close(self) -> None:
        """See ``Connector``."""
        await self.web.close()

    # ------------------------------------------------------------------ for subclasses

    def compared(self, now: Services) -> Services:
        """What became different since the last time; remembers ``now``."""
        before, self.known = self.known, now
        return {
            service: now.get(service, ())
            for service in before.keys() | now.keys()
            if before.get(service, ()) != now.get(service, ())
        }


def place_id(service: ServiceKey, copy: Copy, form: str = "{host}:{name}:{port}") -> str:
    """An id for a copy that is the same whenever it is made: by its address, and by its origin when it is not alone there."""
    id = form.format(host=copy.instance.host, port=copy.instance.port, name=service.name)
    if copy.alone:
        return id
    return f"{id}:{hashlib.sha1(f'{copy.origin.registry}/{copy.origin.id}'.encode()).hexdigest()[:6]}"


def marked(copy: Copy) -> dict[str, str]:
    """The metadata of a copy, with what marks it as one."""
    return {**copy.instance.metadata, **markers.written(copy.origin)}


def record(id: str, instance: Instance, metadata: Mapping[str, str], tags: Sequence[str] = ()) -> Record:
    """An instance as it was read. ``metadata``: all of it, markers included."""
    origin = markers.origin_of(metadata)
    return Record(id, instance, origin, "" if origin is not None else markers.foreign(metadata, tags))
