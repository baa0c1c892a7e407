"""Whether a target holds what its source has, service by service, with every difference named. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import CONSUL, EUREKA, HERE, NACOS, POLARIS, Record, Services, Task

from .diff import CREATE, DELETE, SKIP, Work, differences, export, is_ours
from .names import naming
from .planning import text
from .reduce import Abilities, Reduction, reduction

IN_FLIGHT_S: Final = {EUREKA: 35.0, NACOS: 6.0, CONSUL: 2.0, POLARIS: 3.0, HERE: 2.0}
"""By kind of target: how long a change may take to be seen there."""

MISSING: Final = "missing"
SURPLUS: Final = "surplus"
DIFFERENT: Final = "different"
_KINDS: Final = {CREATE: MISSING, DELETE: SURPLUS}


class Difference(Struct, frozen=True):
    """One instance on which both sides disagree."""

    service: str
    id: str
    kind: str
    """``missing``, ``surplus`` or ``different``."""
    fields: tuple[str, ...] = ()
    reason: str = ""
    since_ms: int = 0
    in_flight: bool = False
    """So new that it may still be on its way."""


class Side(Struct, frozen=True):
    """One service on both sides."""

    service: str
    there: str
    """Its name in the target."""
    source: Reduction
    target: Reduction
    equal: bool


class Audit(Struct, frozen=True, kw_only=True):
    """One comparison."""

    task: str
    at_ms: int
    services: tuple[Side, ...]
    differences: tuple[Difference, ...]
    clean_since_ms: int = 0
    """Since when nothing but what is in flight differs; 0 while something does."""

    @property
    def equal(self) -> int:
        """How many services are equal."""
        return sum(side.equal for side in self.services)

    @property
    def open(self) -> int:
        """Differences that are not in flight."""
        return sum(not difference.in_flight for difference in self.differences)


def auditing(
    task: Task, kind: str, source: Services, target: Mapping[ServiceKey, Sequence[Record]], target_kind: str,
    can: Abilities, *, shadows: bool, at_ms: int, before: Audit | None,
) -> Work[Audit]:  # fmt: skip
    """Compare. ``before``: the last comparison, from which ages are carried on. Yields after every service."""
    known = {(d.service, d.id, d.kind): d.since_ms for d in before.differences} if before is not None else {}
    budget_ms = IN_FLIGHT_S[target_kind] * 1000
    sides: list[Side] = []
    found: list[Difference] = []
    names = naming(source, task.selector, task.names, target_kind)
    meant = set(names.there.values())
    for key, there in names.there.items():
        exported = export(source[key], there, task, kind, can)
        records = target.get(there, ())
        all_steps = differences(exported.copies, records, there, task, shadows=shadows)
        steps = [s for s in all_steps if s.action != SKIP]
        skipped = {s.name for s in all_steps if s.action == SKIP}
        left = reduction(c.instance for c in exported.copies if c.origin.id not in skipped)
        right = reduction(r.instance for r in records if is_ours(r, task))
        sides.append(Side(text(key), text(there), left, right, not steps and left == right))
        for step in steps:
            kind_ = _KINDS.get(step.action, DIFFERENT)
            since = known.get((text(there), step.name, kind_), at_ms)
            flight = at_ms - since < budget_ms
            found.append(Difference(text(there), step.name, kind_, step.fields, step.reason, since, flight))
        yield
    for there, records in target.items():
        for record in records:
            if there not in meant and is_ours(record, task) and record.origin is not None:
                since = known.get((text(there), record.origin.id, SURPLUS), at_ms)
                flight = at_ms - since < budget_ms
                found.append(Difference(text(there), record.origin.id, SURPLUS, (), "", since, flight))
    clean = not any(not d.in_flight for d in found)
    since_ms = (before.clean_since_ms if before is not None else 0) or at_ms
    return Audit(
        task=task.id,
        at_ms=at_ms,
        services=tuple(sides),
        differences=tuple(found),
        clean_since_ms=since_ms if clean else 0,
    )
