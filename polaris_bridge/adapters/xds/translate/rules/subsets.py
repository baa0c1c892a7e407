"""Parts of a service's instances: what rules choose by label, in tiers of which the first with somebody healthy is used. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from polaris_bridge.core.routing.matching import Test, make_test
from polaris_bridge.core.routing.model import ANY, EXACT, TEXT, Condition
from polaris_bridge.core.routing.ports import Patterns

_encoder: Final = msgspec.json.Encoder(order="deterministic")


class Pick(Struct, frozen=True, gc=False):
    """Instances with certain labels; all conditions must hold."""

    has: tuple[Condition, ...] = ()
    lacks: tuple[str, ...] = ()
    """Labels that they must not have, whatever the value."""

    def also(self, other: Pick) -> Pick:
        """What both choose."""
        return Pick(tuple(dict.fromkeys((*self.has, *other.has))), tuple(dict.fromkeys((*self.lacks, *other.lacks))))


EVERYBODY: Final = Pick()


class Subset(Struct, frozen=True, gc=False):
    """Instances that calls go to: of the first tier in which somebody is healthy."""

    tiers: tuple[tuple[Pick, ...], ...] = ((EVERYBODY,),)
    strict: bool = False
    """Whether nobody else will ever do."""

    @property
    def id(self) -> str:
        """Its name among the subsets of a service, which follows from what it chooses; empty for all, ``none`` for nobody."""
        if self in (WHOLE, NOBODY):
            return "" if self == WHOLE else "none"
        return blake2b(_encoder.encode((self.tiers, self.strict)), digest_size=6).hexdigest()

    @property
    def exact(self) -> dict[str, str] | None:
        """The labels by which an Envoy can choose itself; None when it is not as simple as that."""
        if self.strict or len(self.tiers) != 1 or len(self.tiers[0]) != 1:
            return None
        pick = self.tiers[0][0]
        if pick.lacks or not all(each.operator == EXACT for each in pick.has):
            return None
        labels = {each.key: each.value for each in pick.has}
        return labels if len(labels) == len(pick.has) else None


WHOLE: Final = Subset()
NOBODY: Final = Subset((), True)
"""Where calls go that go nowhere."""


def constrains(condition: Condition) -> bool:
    """Whether a condition on instances wants anything."""
    return condition.origin != TEXT or condition.value not in ("", ANY)


class Chooser:
    """Decides who is chosen. Conditions are made ready once."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._tests: dict[Condition, Test] = {}

    def chosen(self, pick: Pick, labels: Mapping[str, str]) -> bool:
        """Whether an instance with these labels is meant."""
        for condition in pick.has:
            value = labels.get(condition.key)
            if value is None or not self._test(condition)(value):
                return False
        return not any(key in labels for key in pick.lacks)

    def tier(self, subset: Subset, labels: Mapping[str, str]) -> int | None:
        """The first tier that an instance is in."""
        for at, picks in enumerate(subset.tiers):
            if any(self.chosen(pick, labels) for pick in picks):
                return at
        return None

    def decides(self, pick: Pick) -> bool:
        """Whether its conditions can be evaluated."""
        try:
            for condition in pick.has:
                self._test(condition)
        except ValueError:
            return False
        return all(condition.origin == TEXT for condition in pick.has)

    def _test(self, condition: Condition) -> Test:
        """Raises ``ValueError`` for a pattern that cannot be evaluated."""
        test = self._tests.get(condition)
        if test is None:
            test = self._tests[condition] = make_test(condition.operator, condition.value, self._patterns, whole=True)
        return test


Populated = Callable[[Pick], bool]
"""Whether somebody is in a choice."""
