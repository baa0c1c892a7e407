"""What may differ between a recorded answer and ours: one named line a deliberate difference, and who used it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from .bodies import Tree
from .exchange import Exchange


class _Missing:
    def __repr__(self) -> str:
        return "(absent)"


MISSING = _Missing()
"""Stands for a value that one side does not have."""


@dataclass(frozen=True)
class Difference:
    """One place where two answers differ: ``status``, ``header.<name>``, ``format`` or ``body.<path>``."""

    path: str
    expected: Any
    got: Any


class Verdict(Enum):
    """How a rule judges a difference. Without a rule everything must be equal."""

    SHAPE = "same shape"
    """Type and textual form agree, the value is the server's own."""
    MOMENT = "same moment"
    """A time or counter the server assigns: same shape, one live value for one recorded value, and in the same order."""
    DIFFERS = "differs because"
    """We answer something else on purpose; ``allows`` says exactly what."""


@dataclass
class Story:
    """What a recording's replay has shown so far; rules read it to judge by what happened before."""

    earlier: list[Exchange] = field(default_factory=list)
    moments: dict[Hashable, dict[int, int]] = field(default_factory=dict)
    notes: dict[Hashable, Any] = field(default_factory=dict)
    """Free room for invariants that look at several answers."""


@dataclass(frozen=True)
class Seen:
    """A difference with everything around it."""

    difference: Difference
    exchange: Exchange
    expected: Tree
    got: Tree
    story: Story
    recording: str


@dataclass(frozen=True)
class Rule:
    """One named difference. All patterns must match in full; the first rule that accepts a difference wins."""

    id: str
    path: str
    verdict: Verdict
    reason: str
    source: str
    method: str = ".*"
    target: str = ".*"
    status: str = ".*"
    """The recorded status."""
    recording: str = ".*"
    allows: Callable[[Seen], bool] | None = None
    """A further condition; needed for DIFFERS."""
    subject: Callable[[Seen], Hashable] = lambda seen: seen.difference.path
    """Whose moment it is (MOMENT only)."""

    def covers(self, seen: Seen) -> bool:
        """Whether this rule is about such a difference at all."""
        asked = seen.exchange.request
        return (
            re.fullmatch(self.path, seen.difference.path) is not None
            and re.fullmatch(self.method, asked.method) is not None
            and re.fullmatch(self.target, asked.target) is not None
            and re.fullmatch(self.status, seen.exchange.expected.status) is not None
            and re.fullmatch(self.recording, seen.recording) is not None
        )

    def accepts(self, seen: Seen) -> bool:
        """Whether the difference is of the kind that the rule names."""
        if self.verdict is not Verdict.DIFFERS and not same_shape(seen.difference.expected, seen.difference.got):
            return False
        if self.allows is not None and not self.allows(seen):
            return False
        return self.verdict is not Verdict.MOMENT or _same_moment(self, seen)


@dataclass(frozen=True)
class Invariant:
    """Something every live answer must satisfy, recorded or not; ``broken`` answers what is wrong, or None."""

    id: str
    reason: str
    broken: Callable[[Exchange, Tree, Story], str | None]


class RuleBook:
    """The rules of one protocol and how often each was used."""

    def __init__(self, rules: Iterable[Rule], invariants: Iterable[Invariant] = ()) -> None:
        self.rules = tuple(rules)
        self.invariants = tuple(invariants)
        self.used: Counter[str] = Counter()
        _refuse_bad_table(self.rules)

    def judge(self, seen: Seen) -> tuple[Rule | None, list[str]]:
        """The rule that explains the difference, and the names of rules that looked at it and refused."""
        refused: list[str] = []
        for rule in self.rules:
            if not rule.covers(seen):
                continue
            if rule.accepts(seen):
                self.used[rule.id] += 1
                return rule, refused
            refused.append(rule.id)
        return None, refused

    def unused(self) -> list[str]:
        """Rules that no difference of the whole run needed: they hide nothing today and would hide a defect tomorrow."""
        return [rule.id for rule in self.rules if not self.used[rule.id]]


def same_shape(expected: Any, got: Any) -> bool:
    """Same JSON type and, for text, both or neither a whole number."""
    if type(expected) is not type(got):
        return False
    return not isinstance(expected, str) or bool(_WHOLE.fullmatch(expected)) == bool(_WHOLE.fullmatch(got))


_WHOLE = re.compile(r"-?\d+")


def _same_moment(rule: Rule, seen: Seen) -> bool:
    try:
        recorded, live = int(seen.difference.expected), int(seen.difference.got)
    except (TypeError, ValueError):
        return False
    if 0 in (recorded, live):
        return False  # zero says "never": no clock makes that differ
    known = seen.story.moments.setdefault((rule.id, rule.subject(seen)), {})
    if known.setdefault(recorded, live) != live:
        return False
    return all(
        (other < recorded) == (value < live) or value == live for other, value in known.items() if other != recorded
    )


def _refuse_bad_table(rules: tuple[Rule, ...]) -> None:
    double = [name for name, times in Counter(rule.id for rule in rules).items() if times > 1]
    if double:
        raise ValueError(f"rule names stand twice: {', '.join(double)}")
    for rule in rules:
        if not rule.reason or not rule.source:
            raise ValueError(f"rule {rule.id}: needs a reason and a source")
        if rule.verdict is Verdict.DIFFERS and rule.allows is None:
            raise ValueError(f"rule {rule.id}: 'differs because' must say what is answered instead (allows)")
