"""What was decided lately about the calls to each service, for people: how often by which rule, and the last ones whole."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from typing import Final, NamedTuple

from ..model import ServiceKey
from .model import Decision, Traveller

LAST: Final = 16
"""Decisions about a service that are remembered whole."""
KEPT_SERVICES: Final = 1024
KEPT_RULES: Final = 256
"""Rules of a service that are counted; more can only be had by changing them."""

PICK: Final = "pick"
"""One instance for one call."""
LOOK_UP: Final = "look-up"
"""What one kind of callers is given; again only when something changes."""


class Made(NamedTuple):
    """A decision that was made."""

    at_ms: int
    how: str
    """``PICK`` or ``LOOK_UP``."""
    caller: ServiceKey | None
    rule: str
    """Empty: no rule decided."""
    targets: int
    """Instances of the best groups."""
    why: str
    """Why there were none."""


class Decided:
    """What was decided about one service."""

    __slots__ = ("by_rule", "last")

    def __init__(self) -> None:
        self.by_rule: Counter[str] = Counter()
        """Decisions by the rule's id; under the empty text those that no rule made."""
        self.last: deque[Made] = deque(maxlen=LAST)
        """The newest at the end."""


NOTHING: Final = Decided()


class Record:
    """Decisions by service. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._services: OrderedDict[ServiceKey, Decided] = OrderedDict()

    def note(self, service: ServiceKey, how: str, who: Traveller, decision: Decision, now_ms: int) -> None:
        """Something was decided."""
        decided = self._services.get(service)
        if decided is None:
            decided = self._services[service] = Decided()
            if len(self._services) > KEPT_SERVICES:
                self._services.popitem(last=False)
        rule = decision.rule
        if rule not in decided.by_rule and len(decided.by_rule) >= KEPT_RULES:
            decided.by_rule.clear()
        decided.by_rule[rule] += 1
        size = sum(len(share.targets) for share in decision.tiers[0].shares) if decision.tiers else 0
        decided.last.append(Made(now_ms, how, who.service, rule, size, decision.why))

    def of(self, service: ServiceKey) -> Decided:
        """What was decided about a service."""
        return self._services.get(service, NOTHING)
