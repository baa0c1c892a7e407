"""Rules that limit calls, made ready once for all calls: which of them are about a call, and which counter it counts on.

Semantics of polaris-go 1.7.0: every rule whose conditions all hold counts, and a call needs quota of all of them. Each value that
a condition let through has a counter of its own, unless the rule says that what a pattern covers counts together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from ..routing.matching import Test, ready
from ..routing.model import EXACT, Condition
from ..routing.ports import Patterns
from .model import Allowance

LAST: Final = 16
"""Decisions of a rule that are remembered."""
VALUES: Final = 2
"""Where the values begin in a counter's key: behind the rule and the caller."""


class LimitRule(Struct, frozen=True):
    """One rule. Labels are opaque texts."""

    id: str
    name: str
    allowances: tuple[Allowance, ...]
    """All must have quota; none: it cannot be evaluated here, see ``defect``."""
    conditions: tuple[Condition, ...] = ()
    together: bool = False
    """Whether all values that a pattern covers share a counter."""
    alone: bool = False
    """Whether every caller counts for itself."""
    each: bool = False
    """Whether the amounts are those of one instance of the service, so that all together have them times their number."""
    body: str = ""
    """What a refused call is to be answered with; empty: the rule does not say."""
    defect: str = ""
    """Why it is not evaluated here."""
    named: Callable[[Sequence[str]], str] | None = None
    """What clients that count for themselves call the counter of these values, one for each condition; None: they do not share
    what they count of this rule."""
    at_once: int = 0
    """How many calls may run at a time, which only the one who runs them can count; 0: that is not what is limited."""
    waits: bool = False
    """Whether calls above the limit are to wait for their turn, which only the one who makes or takes them can have them do."""


class Made(NamedTuple):
    """A decision that was made."""

    at_ms: int
    allowed: bool
    tokens: int
    values: tuple[str, ...]
    """Of the labels that the rule looks at, in the order of its conditions."""


class Part(Struct, frozen=True):
    """A condition made ready."""

    key: str
    text: str
    test: Test
    fixed: bool
    """Whether all its values share a counter."""


class ReadyRule:
    """A rule made ready, and what became of the calls that it was about."""

    __slots__ = ("_scaled", "allowed", "defect", "last", "parts", "refused", "rule")

    def __init__(self, rule: LimitRule, patterns: Patterns) -> None:
        self.rule = rule
        self.defect = rule.defect
        self.allowed = 0
        """Tokens that calls were given."""
        self.refused = 0
        """Calls that were refused because of this rule."""
        self.last: deque[Made] = deque(maxlen=LAST)
        """The last decisions by this rule, the newest at the end."""
        self._scaled: tuple[int, tuple[Allowance, ...]] = (1, rule.allowances)
        parts: list[Part] = []
        for condition in rule.conditions:
            made = ready(condition, patterns, whole=True)
            if made.defect:
                self.defect = self.defect or f"{condition.key}: {made.defect}"
            elif made.test is not None:
                fixed = rule.together and condition.operator != EXACT
                parts.append(Part(condition.key, condition.value, made.test, fixed))
        self.parts = tuple(parts)

    def counter(self, labels: Mapping[str, str], texts: frozenset[str], caller: str) -> tuple[str, ...] | None:
        """Which counter a call counts on; None: the rule is not about it.

        ``texts``: labels whose value may be the text of a condition instead, because somebody else compared already.
        """
        values: list[str] = []
        for part in self.parts:
            value = labels.get(part.key)
            if value is None:
                return None
            if not (part.test(value) or (part.key in texts and value == part.text)):
                return None
            values.append(part.text if part.fixed else value)
        return (self.rule.id, caller if self.rule.alone else "", *values)

    def name(self, counter: tuple[str, ...]) -> str | None:
        """What clients call a counter; None: they have no such counter."""
        named = self.rule.named
        return None if named is None or len(counter) < VALUES else named(counter[VALUES:])

    def unmet(self, labels: Mapping[str, str], texts: frozenset[str]) -> str:
        """The label of the first condition that does not hold; empty when all do."""
        for part in self.parts:
            value = labels.get(part.key)
            if value is None or not (part.test(value) or (part.key in texts and value == part.text)):
                return part.key
        return ""

    def allowances(self, instances: int) -> tuple[Allowance, ...]:
        """What is allowed while the service has so many instances; the same object for the same number."""
        if not self.rule.each:
            return self.rule.allowances
        times = max(1, instances)
        if self._scaled[0] != times:
            scaled = tuple(Allowance(a.amount * times, a.duration_ms) for a in self.rule.allowances)
            self._scaled = (times, scaled)
        return self._scaled[1]


class ReadyRules(Struct, frozen=True):
    """All rules of a service, the one to be asked first first."""

    rules: tuple[ReadyRule, ...]
    scaled: bool
    """Whether the number of instances matters."""


def make_ready(rules: tuple[LimitRule, ...], patterns: Patterns, before: ReadyRules | None) -> ReadyRules:
    """Rules made ready. What was counted of a rule that was there before stays counted."""
    known = {each.rule.id: each for each in before.rules} if before is not None else {}
    made = []
    for rule in rules:
        each = ReadyRule(rule, patterns)
        old = known.get(rule.id)
        if old is not None:
            each.allowed, each.refused, each.last = old.allowed, old.refused, old.last
        made.append(each)
    return ReadyRules(tuple(made), any(rule.each for rule in rules))
