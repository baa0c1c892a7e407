"""What has to be written so that a target holds what its source has: creations, changes, removals, and why others are left.

Loops cannot arise: a copy carries the ids of all registries that it was read from, and none of them is its target. A native
registration is never touched: only records that say that this task's source is where they were read from are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import LONGEST_PATH, Instance, Origin, Place, Record, Task

from .names import wanted
from .reduce import Abilities, changed_fields, expressed

T = TypeVar("T")
Work = Generator[None, None, T]
"""Long work: yields wherever it may be interrupted, returns its result."""

CREATE: Final = "create"
UPDATE: Final = "update"
DELETE: Final = "delete"
SKIP: Final = "skip"

GONE: Final = "gone from the source"
NATIVE: Final = "registered there itself"
COPIED: Final = "copied there by another way"
LOOP: Final = "comes from the target"
FAR: Final = "came through too many registries"
FOREIGN: Final = "copy made by"
TWIN: Final = "another one at its address is copied"
UNWANTED: Final = "metadata does not fit the task"


class Copy(Struct, frozen=True, gc=False):
    """What is to stand in the target."""

    instance: Instance
    origin: Origin
    alone: bool = True
    """Whether no other one of its service is to stand at its address."""


class Step(Struct, frozen=True, gc=False):
    """One thing to do in one service of the target, or not to do."""

    action: str
    service: ServiceKey
    copy: Copy | None = None
    """What is to stand there; None with ``delete``."""
    record: Record | None = None
    """What stands there; None with ``create``."""
    reason: str = ""
    fields: tuple[str, ...] = ()
    """With ``update``: what differs."""

    @property
    def name(self) -> str:
        """The id in the origin of what it is about."""
        if self.copy is not None:
            return self.copy.origin.id
        origin = self.record.origin if self.record is not None else None
        return origin.id if origin is not None else self.record.id if self.record is not None else ""


class Export(Struct, frozen=True):
    """What of one service of a source is to be copied, and what is not."""

    copies: tuple[Copy, ...] = ()
    skipped: tuple[Step, ...] = ()


def export(records: Iterable[Record], service: ServiceKey, task: Task, source_kind: str, can: Abilities) -> Export:
    """What a target is to get of a service. ``service``: its name there; ``can``: what that kind of registry can hold."""
    copies: list[Copy] = []
    skipped: list[Step] = []
    for record in records:
        objection = _objection(record, task)
        if objection:
            skipped.append(
                Step(SKIP, service, Copy(record.instance, _origin(record, task, source_kind)), reason=objection)
            )
        else:
            copies.append(Copy(expressed(record.instance, can), _origin(record, task, source_kind)))
    copies.sort(key=lambda c: c.origin.id)
    if not can.twins:
        copies, folded = _folded(copies)
        skipped += [Step(SKIP, service, copy, reason=TWIN) for copy in folded]
    counts: dict[Place, int] = {}
    for copy in copies:
        counts[copy.instance.place] = counts.get(copy.instance.place, 0) + 1
    marked = [
        copy if counts[copy.instance.place] == 1 else Copy(copy.instance, copy.origin, alone=False) for copy in copies
    ]
    return Export(tuple(marked), tuple(skipped))


def _folded(copies: Iterable[Copy]) -> tuple[list[Copy], list[Copy]]:
    """The first of each address and cluster, and the others."""
    kept: dict[tuple[Place, str], Copy] = {}
    others = [c for c in copies if kept.setdefault((c.instance.place, c.instance.cluster), c) is not c]
    return list(kept.values()), others


def _objection(record: Record, task: Task) -> str:
    """Why a record is not copied; empty when it is."""
    if not wanted(task.selector, record.instance):
        return UNWANTED
    if record.foreign and not task.chain:
        return f"{FOREIGN} {record.foreign}"
    origin = record.origin
    if origin is None:
        return ""
    if task.target in origin.path or task.target == origin.registry or task.source in origin.path:
        return LOOP
    return FAR if len(origin.path) + 1 >= LONGEST_PATH else ""


def _origin(record: Record, task: Task, source_kind: str) -> Origin:
    known = record.origin
    if known is None:
        return Origin(source_kind, task.source, record.id, (task.source,))
    return Origin(known.kind, known.registry, known.id, (*known.path, task.source))


def is_ours(record: Record, task: Task) -> bool:
    """Whether a record of the target is a copy that this task made, or one like it before it."""
    origin = record.origin
    if origin is None or not origin.path or origin.path[-1] != task.source:
        return False
    return not record.task or record.task == task.id


def differences(
    copies: Sequence[Copy], found: Iterable[Record], service: ServiceKey, task: Task, *, shadows: bool
) -> list[Step]:
    """What to do in one service of the target.

    ``shadows``: the target keeps copies beside native registrations and hides them itself. Elsewhere a native registration
    and the copy of another bridge keep their address, and ours steps aside.
    """
    mine: dict[tuple[str, str], Record] = {}
    natives: set[Place] = set()
    others: dict[Place, Record] = {}
    steps: list[Step] = []
    for record in found:
        origin = record.origin
        if is_ours(record, task) and origin is not None:
            key = (origin.registry, origin.id)
            if key in mine:  # made twice, for example by two bridges: one is enough
                steps.append(Step(DELETE, service, record=record, reason=COPIED))
            else:
                mine[key] = record
        elif record.native:
            natives.add(record.instance.place)
        else:
            others[record.instance.place] = record
    for copy in copies:
        known = mine.pop((copy.origin.registry, copy.origin.id), None)
        reason = "" if shadows else _yields(copy, known, natives, others)
        if reason:
            if known is not None:
                steps.append(Step(DELETE, service, record=known, reason=reason))
            steps.append(Step(SKIP, service, copy, reason=reason))
        elif known is None:
            steps.append(Step(CREATE, service, copy))
        else:
            fields = changed_fields(known.instance, copy.instance)
            if known.origin != copy.origin:
                fields = (*fields, "origin")
            if fields:
                steps.append(Step(UPDATE, service, copy, known, fields=fields))
    return _moved(steps, mine.values(), service)


def _moved(steps: list[Step], left: Iterable[Record], service: ServiceKey) -> list[Step]:
    """With the removals of copies that have no origin any more. One whose address another instance has taken over (a client
    that came back under a new id) is changed into that one: a removal could hit what was just written."""
    places: dict[tuple[Place, str], list[Record]] = {}
    for record in left:
        places.setdefault((record.instance.place, record.instance.cluster), []).append(record)
    found = []
    for step in steps:
        copy = step.copy
        heirs = places.get((copy.instance.place, copy.instance.cluster)) if copy is not None else None
        if step.action == CREATE and copy is not None and heirs:
            known = heirs.pop(0)
            step = Step(UPDATE, service, copy, known, fields=(*changed_fields(known.instance, copy.instance), "origin"))
        found.append(step)
    found += [Step(DELETE, service, record=r, reason=GONE) for records in places.values() for r in records]
    return found


def _yields(copy: Copy, known: Record | None, natives: set[Place], others: Mapping[Place, Record]) -> str:
    """Why a copy gives way at its address; empty when it need not."""
    place = copy.instance.place
    if place in natives:
        return NATIVE
    other = others.get(place)
    if other is None:
        return ""
    if known is None:
        return COPIED
    theirs = other.origin.path if other.origin is not None else ()
    return COPIED if (len(theirs), theirs) < (len(copy.origin.path), copy.origin.path) else ""


def deserted(found: Mapping[ServiceKey, Iterable[Record]], meant: Iterable[ServiceKey], task: Task) -> list[Step]:
    """Removals of this task's copies from services of the target that the source, or the task, knows no more."""
    kept = set(meant)
    return [
        Step(DELETE, service, record=record, reason=GONE)
        for service, records in found.items()
        if service not in kept
        for record in records
        if is_ours(record, task)
    ]
