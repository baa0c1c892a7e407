"""A plan: everything that the next run of a task would write, and what it would not and why. Saved, reviewed, applied exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import Record, Services, Task

from .diff import CREATE, DELETE, SKIP, UPDATE, Step, Work, deserted, differences, export
from .names import naming
from .reduce import Abilities

COUNTED: Final = (CREATE, UPDATE, DELETE, SKIP)


class Plan(Struct, frozen=True, kw_only=True):
    """What one task would do."""

    task: str
    at_ms: int
    steps: tuple[Step, ...]
    """In order of service and id."""
    renamed: dict[str, str] = {}
    """``namespace/service`` in the source -> in the target, where the two differ."""
    refused: dict[str, str] = {}
    """Services that cannot be copied -> why."""
    digest: str = ""
    """Equal plans have equal digests, whenever they were made."""

    @property
    def counts(self) -> dict[str, int]:
        """How many steps of each kind there are."""
        return {action: sum(step.action == action for step in self.steps) for action in COUNTED}


def planning(
    task: Task, kind: str, source: Services, target: Mapping[ServiceKey, Sequence[Record]], target_kind: str,
    can: Abilities, *, shadows: bool, at_ms: int,
) -> Work[Plan]:  # fmt: skip
    """What a task would do with these contents of source and target. ``kind``: the source's. Yields after every service."""
    names = naming(source, task.selector, task.names, target_kind)
    by_service: dict[ServiceKey, list[Step]] = {}
    for key, there in names.there.items():
        found = export(source[key], there, task, kind, can)
        steps = by_service.setdefault(there, [])
        steps += found.skipped
        steps += differences(found.copies, target.get(there, ()), there, task, shadows=shadows)
        yield
    for step in deserted(target, names.there.values(), task):
        by_service.setdefault(step.service, []).append(step)
    ordered: list[Step] = []
    digest = hashlib.blake2b(digest_size=16)
    for service in sorted(by_service):
        steps = sorted(by_service[service], key=lambda s: (s.name, s.action))
        ordered += steps
        for step in steps:
            digest.update(_encoder.encode(step))
        yield
    digest.update(_encoder.encode(sorted(names.refused.items())))
    return Plan(
        task=task.id,
        at_ms=at_ms,
        steps=tuple(ordered),
        renamed={text(key): text(there) for key, there in names.there.items() if key != there},
        refused={text(key): why for key, why in names.refused.items()},
        digest=digest.hexdigest(),
    )


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


def text(key: ServiceKey) -> str:
    """A service in one word."""
    return f"{key.namespace}/{key.name}"
