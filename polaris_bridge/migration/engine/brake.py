"""What may be removed now: nothing on the word of a reading that may be wrong. Pure.

A registry that does not answer, answers half, or comes back empty after a restart must not empty anything. So removals pass
only when somebody said explicitly that an instance ended, or when complete readings agree for long enough and the removals are
not too many at once; for these an operator is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from polaris_bridge.core.model import ServiceKey
from polaris_bridge.migration.model import Bounds

from .diff import GONE, Step

EMPTY_SOURCE: Final = "the source holds nothing"
EMPTY_SERVICE: Final = "the service holds nothing there; waiting for a second reading"
MANY: Final = "too many removals at once; allow them to go on"

Missing = dict[tuple[ServiceKey, str], int]
"""Copies that are missing in the source -> when that was first seen."""


class Reading(Struct, frozen=True):
    """What removals rest on."""

    at_ms: int
    copies: int
    """How many copies the task has in its target."""
    source: int
    """How many instances the source holds."""
    remaining: Mapping[ServiceKey, int]
    """How many instances are left in the source of each service (of the target) that has something to remove."""
    ended: Collection[tuple[ServiceKey, str]] = frozenset()
    """Instances (service in the target, id in the source) that the source said explicitly have ended."""
    full: bool = True
    """Whether all of the source was read; False: only some of its services."""


class Verdict(Struct, frozen=True):
    """Removals that may be done now, those that wait and why, and what to remember until the next reading."""

    passed: tuple[Step, ...]
    held: dict[tuple[ServiceKey, str], str]
    missing: Missing

    @property
    def asks(self) -> bool:
        """Whether it is an operator who has to allow them."""
        return MANY in self.held.values()


def judge(
    steps: Sequence[Step],
    reading: Reading,
    missing: Mapping[tuple[ServiceKey, str], int],
    bounds: Bounds,
    *,
    allow: bool,
) -> Verdict:
    """Which of some removals may be done. ``missing`` is what the last verdict said to remember; ``allow``: an operator did."""
    passed = [s for s in steps if s.reason != GONE or (s.service, s.name) in reading.ended]
    doubted = [s for s in steps if s.reason == GONE and (s.service, s.name) not in reading.ended]
    now_missing = {(s.service, s.name): missing.get((s.service, s.name), reading.at_ms) for s in doubted}
    held: dict[tuple[ServiceKey, str], str] = {}
    many = len(doubted) > max(bounds.mass_least, reading.copies * bounds.mass_percent // 100)
    for step in doubted:
        key = (step.service, step.name)
        reason = (
            "" if allow else _reason(reading, now_missing[key], bounds, reading.remaining.get(step.service, 0), many)
        )
        if reason:
            held[key] = reason
        else:
            passed.append(step)
    kept = now_missing if reading.full else {**missing, **now_missing}
    return Verdict(tuple(passed), held, {key: since for key, since in kept.items() if key in held or not reading.full})


def _reason(reading: Reading, since_ms: int, bounds: Bounds, remaining: int, many: bool) -> str:
    """Why a removal waits; empty when it need not."""
    age_s = (reading.at_ms - since_ms) / 1000
    if reading.source == 0 and age_s < bounds.hold_s:
        return EMPTY_SOURCE
    if many:
        return MANY
    return EMPTY_SERVICE if remaining == 0 and age_s < bounds.confirm_s else ""
