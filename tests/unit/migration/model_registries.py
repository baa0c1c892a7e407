"""Registries in memory, with the habits that matter to whoever copies between them, and a bridge that may crash anywhere."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.engine import brake
from polaris_bridge.migration.engine.diff import CREATE, DELETE, UPDATE, Step, deserted, differences, export
from polaris_bridge.migration.engine.names import naming
from polaris_bridge.migration.engine.reduce import Abilities
from polaris_bridge.migration.model import EUREKA, HERE, Instance, Place, Record, Services, Task

ALL = Abilities(tags=True, cluster=True, location="apart", version=True)


class ModelRegistry:
    """Records by service and id. One that ``shadows`` keeps copies beside natives and lists one of them a place."""

    def __init__(self, id: str, *, shadows: bool = False, can: Abilities = ALL) -> None:
        self.id = id
        self.kind = HERE if shadows else EUREKA
        self.shadows = shadows
        self.can = can
        self.records: dict[ServiceKey, dict[str, Record]] = {}
        self.up = True
        self.writes: list[Step] = []

    def register(self, service: ServiceKey, instance: Instance, id: str = "") -> None:
        """What a client does."""
        id = id or f"{instance.host}:{instance.port}"
        self.records.setdefault(service, {})[id] = Record(id, instance)

    def deregister(self, service: ServiceKey, id: str) -> None:
        """What a client does; a copy under its id goes with it, as registries have one record an id."""
        self.records.get(service, {}).pop(id, None)

    def natives(self) -> dict[tuple[ServiceKey, Place], Instance]:
        """Everything that registered here itself."""
        return {
            (service, r.instance.place): r.instance
            for service, records in self.records.items()
            for r in records.values()
            if r.native
        }

    def copies(self) -> Services:
        """Every record, hidden ones too."""
        return {service: tuple(records.values()) for service, records in self.records.items() if records}

    def listed(self) -> Services:
        """What readers see."""
        if not self.shadows:
            return self.copies()
        found: Services = {}
        for service, records in self.copies().items():
            places: dict[Place, Record] = {}
            for record in records:
                known = places.get(record.instance.place)
                if known is None or (record.native and not known.native):
                    places[record.instance.place] = record
            found[service] = tuple(places.values())
        return found

    def apply(self, step: Step, task: Task) -> None:
        """What a bridge does."""
        self.writes.append(step)
        records = self.records.setdefault(step.service, {})
        if step.action == DELETE:
            assert step.record is not None
            assert not step.record.native, "a native registration was to be deleted"
            records.pop(step.record.id, None)
        elif step.action in (CREATE, UPDATE):
            assert step.copy is not None
            origin = step.copy.origin
            if step.record is not None:
                records.pop(step.record.id, None)
            id = f"copy/{task.id}/{origin.registry}/{origin.id}"
            records[id] = Record(id, step.copy.instance, origin, task=task.id if self.shadows else "")


class Crash(Exception):
    """The bridge died here."""


class Bridge:
    """One task between two models. What it remembers is gone after a crash."""

    def __init__(self, task: Task, source: ModelRegistry, target: ModelRegistry) -> None:
        self.task = task
        self.source = source
        self.target = target
        self.missing: brake.Missing = {}
        self.held: dict[tuple[ServiceKey, str], str] = {}

    def run(self, now_ms: int, survives: Callable[[], bool] = lambda: True, *, allow: bool = False) -> int:
        """One full round; how many writes it did. Raises ``Crash`` when it does not survive a write."""
        if not self.source.up or not self.target.up:
            return 0
        source, target, task = self.source.listed(), self.target.copies(), self.task
        names = naming(source, task.selector, task.names, self.target.kind)
        steps: list[Step] = []
        remaining = dict.fromkeys(names.there.values(), 0)
        for key, there in names.there.items():
            exported = export(source[key], there, task, self.source.kind, self.target.can)
            remaining[there] = len(source[key])
            steps += differences(exported.copies, target.get(there, ()), there, task, shadows=self.target.shadows)
        steps += deserted(target, names.there.values(), task)
        copies = sum(r.origin is not None for records in target.values() for r in records)
        reading = brake.Reading(at_ms=now_ms, copies=copies, source=sum(map(len, source.values())), remaining=remaining)
        deletes = [s for s in steps if s.action == DELETE]
        verdict = brake.judge(deletes, reading, self.missing, task.bounds, allow=allow)
        self.missing, self.held = verdict.missing, verdict.held
        writes = [*verdict.passed, *(s for s in steps if s.action in (CREATE, UPDATE))]
        for step in writes:
            if not survives():
                self.missing, self.held = {}, {}
                raise Crash
            self.target.apply(step, task)
        return len(writes)


def at(host: int, port: int = 80, **more: object) -> Instance:
    """An instance."""
    return structs.replace(Instance(f"10.0.0.{host}", port), **more)
