"""The stages of a task, from first look to retirement: what each needs before it begins, and the way back. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

DISCOVERED: Final = "discovered"
PLANNED: Final = "planned"
MIRRORED: Final = "mirrored"
DUAL: Final = "dual"
READING: Final = "reading-new"
WRITING: Final = "writing-new"
DRAINED: Final = "drained"
RETIRED: Final = "retired"

STAGES: Final = (DISCOVERED, PLANNED, MIRRORED, DUAL, READING, WRITING, DRAINED, RETIRED)

RUNNING: Final = frozenset({MIRRORED, DUAL, READING, WRITING, DRAINED})
"""Stages in which the source is copied into the target. It is so until the end, which is why going back needs nothing."""

CLEAN_S: Final = 15 * 60.0
QUIET_S: Final = 24 * 3600.0


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of a task when a stage is asked for. None: nobody can tell."""

    planned: bool = False
    """Whether there is a plan that was not applied yet, or was."""
    applied: bool = False
    complete: bool = False
    """Whether the source was read and copied completely once."""
    clean_s: float | None = None
    """For how long both sides have been equal; None: they are not."""
    reverse: bool = False
    """Whether a task of the opposite direction runs."""
    old_readers: int | None = None
    old_natives: int | None = None
    """Instances that register in the old registry itself."""
    old_quiet_s: float | None = None
    """For how long nobody has registered in the old registry."""
    held: int = 0
    """Removals that wait."""


def _planned(f: Facts) -> list[str]:
    return [] if f.planned else ["there is no plan"]


def _mirrored(f: Facts) -> list[str]:
    return [] if f.applied else ["the plan was not applied"]


def _equal(f: Facts, wanted_s: float) -> list[str]:
    found = [] if f.complete else ["the source was not copied completely yet"]
    if f.clean_s is None:
        found.append("both sides differ")
    elif f.clean_s < wanted_s:
        found.append(f"both sides have been equal for {f.clean_s:.0f} s, {wanted_s:.0f} s are wanted")
    if f.held:
        found.append(f"{f.held} removals wait")
    return found


def _dual(f: Facts) -> list[str]:
    return _equal(f, CLEAN_S)


def _reading(f: Facts) -> list[str]:
    return _equal(f, CLEAN_S) + ([] if f.reverse else ["no task copies back to the old registry"])


def _writing(f: Facts) -> list[str]:
    found = _reading(f)
    if f.old_readers is None:
        found.append("nobody can tell who still reads the old registry")
    elif f.old_readers:
        found.append(f"{f.old_readers} still read the old registry")
    return found


def _drained(f: Facts) -> list[str]:
    found = [f"{f.old_natives} instances still register in the old registry"] if f.old_natives else []
    if f.old_natives is None:
        found.append("nobody can tell who still registers in the old registry")
    if f.old_quiet_s is None or f.old_quiet_s < QUIET_S:
        found.append(f"the old registry has had registrations within {QUIET_S / 3600:.0f} hours")
    return found


def _retired(f: Facts) -> list[str]:
    return [f"{f.held} removals wait"] if f.held else []


_GATES: Final[dict[str, Callable[[Facts], list[str]]]] = {
    PLANNED: _planned,
    MIRRORED: _mirrored,
    DUAL: _dual,
    READING: _reading,
    WRITING: _writing,
    DRAINED: _drained,
    RETIRED: _retired,
}


def following(stage: str) -> str | None:
    """The stage after one; None after the last."""
    at = STAGES.index(stage) + 1
    return STAGES[at] if at < len(STAGES) else None


def preceding(stage: str) -> str | None:
    """The stage to go back to; None when there is none: before the first, and from the last."""
    at = STAGES.index(stage)
    return STAGES[at - 1] if at and stage != RETIRED else None


def objections(stage: str, facts: Facts) -> list[str]:
    """What speaks against entering a stage, in words; nothing when it may begin."""
    gate = _GATES.get(stage)
    return [] if gate is None else gate(facts)
