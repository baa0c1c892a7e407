"""Decisions for many callers: rules are compiled once for each change of them, and equal callers share one decision.

Two callers are equal when they agree in everything that the rules of the two services look at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

from ..model import ServiceKey
from ..ports import Clock
from .compiled import Compiled
from .evaluate import evaluate
from .index import Index
from .lanes import Moment
from .model import Decision, Traveller, Unread
from .ports import Chance, Services
from .ready import ReadyRules

KEPT_SERVICES: Final = 4096
"""Services whose instances are kept."""
KEPT_CLASSES: Final = 256
"""Kinds of callers whose decisions are kept, for each service."""


class _Served:
    """A service, with the decisions about it."""

    __slots__ = ("decisions", "index", "revision", "ruled")

    def __init__(self, revision: object, index: Index) -> None:
        self.revision = revision
        self.index = index
        self.ruled: Compiled | None = None
        """The rules that the decisions were made by."""
        self.decisions: OrderedDict[Hashable, tuple[Compiled | None, Decision]] = OrderedDict()


class Router:
    """Where calls go, for the services of one registry."""

    def __init__(
        self,
        services: Services,
        rules: ReadyRules,
        clock: Clock,
        chance: Chance,
    ) -> None:
        self._services = services
        self._rules = rules
        self._clock = clock
        self._chance = chance
        self._served: OrderedDict[ServiceKey, _Served] = OrderedDict()

    def decide(self, service: ServiceKey, who: Traveller) -> Decision:
        """Where a call may go."""
        served, callee, caller = self._served_of(service), self._rules.of(service), self._rules_of(who)
        if callee.draws or (caller is not None and caller.draws):
            return self._evaluate(served.index, callee, caller, who, False)
        if served.ruled is not callee:
            served.ruled = callee
            served.decisions.clear()
        key = self._class_of(callee, caller, who)
        found = served.decisions.get(key)
        if found is not None and found[0] is caller:
            return found[1]
        decision = self._evaluate(served.index, callee, caller, who, False)
        served.decisions[key] = caller, decision
        if len(served.decisions) > KEPT_CLASSES:
            served.decisions.popitem(last=False)
        return decision

    def explain(self, service: ServiceKey, who: Traveller) -> Decision:
        """The same with every step said, made anew."""
        return self._evaluate(self._served_of(service).index, self._rules.of(service), self._rules_of(who), who, True)

    def unread(self, service: ServiceKey, who: Traveller) -> tuple[Unread, ...]:
        """What of the rules about a call cannot be evaluated here."""
        caller = self._rules_of(who)
        both = (*self._rules.of(service).unread, *(() if caller is None else caller.unread))
        return tuple(dict.fromkeys(both))

    def _evaluate(
        self, index: Index, callee: Compiled, caller: Compiled | None, who: Traveller, explain: bool
    ) -> Decision:
        moment = Moment(self._clock.wall_ms(), self._chance)
        rules = self._rules
        return evaluate(index, callee, caller, who, rules.options, rules.patterns, moment, explain=explain)

    @staticmethod
    def _class_of(callee: Compiled, caller: Compiled | None, who: Traveller) -> Hashable:
        """Everything of a caller that makes a difference."""
        get = who.labels.get
        keys = callee.keys if caller is None else (*callee.keys, *caller.keys)
        variables = callee.variables if caller is None else (*callee.variables, *caller.variables)
        return (
            who.service,
            bool(who.labels),
            tuple(map(get, keys)),
            tuple(map(who.variables.get, variables)) if variables else (),
            who.location,
            tuple(sorted(who.wanted.items())) if who.wanted else (),
            who.canary,
            who.stained,
        )

    # ------------------------------------------------------------------ what is kept

    def _served_of(self, key: ServiceKey) -> _Served:
        revision = self._services.revision(key)
        found = self._served.get(key)
        if found is None or found.revision != revision:
            found = self._served[key] = _Served(revision, Index(self._services.read(key)))
            if len(self._served) > KEPT_SERVICES:
                self._served.popitem(last=False)
        return found

    def _rules_of(self, who: Traveller) -> Compiled | None:
        return None if who.service is None else self._rules.of(who.service)
