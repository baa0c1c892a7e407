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
    steps: list[Step] = []
    for key, there in names.there.items():
        found = export(source[key], there, task, kind, can)
        steps += found.skipped
        steps += differences(found.copies, target.get(there, ()), there, task, shadows=shadows)
        yield
    steps += deserted(target, names.there.values(), task)
    steps.sort(key=lambda s: (s.service, s.name, s.action))
    return Plan(
        task=task.id,
        at_ms=at_ms,
        steps=tuple(steps),
        renamed={text(key): text(there) for key, there in names.there.items() if key != there},
        refused={text(key): why for key, why in names.refused.items()},
        digest=digest(steps, names.refused),
    )


_encoder: Final = msgspec.msgpack.Encoder(order="deterministic")


def digest(steps: Sequence[Step], refused: Mapping[ServiceKey, str]) -> str:
    """32 hexadecimal digits over what would be written and what would not."""
    found = hashlib.blake2b(digest_size=16)
    for step in steps:
        found.update(_encoder.encode(step))
    found.update(_encoder.encode(sorted(refused.items())))
    return found.hexdigest()


def text(key: ServiceKey) -> str:
    """A service in one word."""
    return f"{key.namespace}/{key.name}"
