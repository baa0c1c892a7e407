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

EMPTY_SOURCE: Final = "the source held nothing; waiting for it to fill again"
EMPTY_SERVICE: Final = "the service holds nothing there; waiting for a second reading"
MANY: Final = "too many removals at once; allow them to go on"


class Doubt(Struct, frozen=True):
    """One copy that is missing in the source."""

    since_ms: int
    """When that was first seen."""
    patience_s: float
    """For how long it is not believed: as long as the most doubtful reading since then asks for."""


Missing = dict[tuple[ServiceKey, str], Doubt]
"""The copies that are missing in the source."""


class Reading(Struct, frozen=True):
    """What removals rest on."""

    at_ms: int
    copies: int
    """How many copies the task has in its target."""
    source: int
    """How many instances the source holds."""
    remaining: Mapping[ServiceKey, int]
    """How many instances are left in the source of each service (of the target) that was looked at."""
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
    missing: Mapping[tuple[ServiceKey, str], Doubt],
    bounds: Bounds,
    *,
    allow: bool,
) -> Verdict:
    """Which of some removals may be done. ``missing`` is what the last verdict said to remember; ``allow``: an operator did."""
    passed = [s for s in steps if s.reason != GONE or (s.service, s.name) in reading.ended]
    doubted = [s for s in steps if s.reason == GONE and (s.service, s.name) not in reading.ended]
    many = len(doubted) > max(bounds.mass_least, reading.copies * bounds.mass_percent // 100)
    held: dict[tuple[ServiceKey, str], str] = {}
    doubts: Missing = {}
    for step in doubted:
        key = (step.service, step.name)
        doubt = _doubt(missing.get(key), reading, reading.remaining.get(step.service, 0), bounds)
        reason = "" if allow else _reason(doubt, reading.at_ms, bounds, many)
        if reason:
            held[key], doubts[key] = reason, doubt
        else:
            passed.append(step)
    if not reading.full:
        doubts |= {key: doubt for key, doubt in missing.items() if key[0] not in reading.remaining}
    return Verdict(tuple(passed), held, doubts)


def _doubt(known: Doubt | None, reading: Reading, remaining: int, bounds: Bounds) -> Doubt:
    patience_s = bounds.hold_s if reading.source == 0 else 0.0 if remaining else bounds.confirm_s
    if known is None:
        return Doubt(reading.at_ms, patience_s)
    return Doubt(known.since_ms, max(known.patience_s, patience_s))


def _reason(doubt: Doubt, now_ms: int, bounds: Bounds, many: bool) -> str:
    """Why a removal waits; empty when it need not."""
    early = now_ms - doubt.since_ms < doubt.patience_s * 1000
    if early and doubt.patience_s >= bounds.hold_s:
        return EMPTY_SOURCE
    return MANY if many else EMPTY_SERVICE if early else ""
