"""Whether a call may go ahead by the rules of the service that it is for: decided here, for callers that do not count themselves.

Never more than a rule allows within any stretch of its time, whoever asks through whichever door: all count on the same windows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Struct

from ..model import ServiceKey
from ..routing.ports import Patterns
from .deciding import Gates, Place
from .limiter import Limiter
from .model import Allowance, Decision
from .rules import VALUES, LimitRule, Made, ReadyRule, ReadyRules, make_ready

MOST_COUNTERS: Final = 100_000
"""Counters at a time (about 85 MB). Values of a rule that come when there is no room count together: never is too much let
through."""
MOST_SERVICES: Final = 10_000
"""Services whose rules are kept ready; the one that came first goes."""
OWN: Final = "own"
"""The name of a limit that came with the call."""
NO_TEXTS: Final[frozenset[str]] = frozenset()


class LimitBook(Protocol):
    """Where rules come from."""

    def revision(self) -> int:
        """Moves when any rule does."""
        ...

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], tuple[LimitRule, ...]]]:
        """What says which rules there are for a service (equal: the same ones), and what reads them in order."""
        ...


class Asked(Struct, frozen=True):
    """A call that somebody wants to make."""

    service: ServiceKey
    labels: Mapping[str, str]
    caller: str = ""
    """Who counts for itself where a rule says so."""
    tokens: int = 1
    """0: only look."""
    texts: frozenset[str] = NO_TEXTS
    """See ``ReadyRule.counter``."""
    limit: Allowance | None = None
    """What is allowed of calls with exactly these labels, whatever the rules of the service say."""


class Verdict(Struct, frozen=True):
    """What becomes of a call. Without a rule that is about it, it may go ahead."""

    allowed: bool
    rule: ReadyRule | None = None
    """The one that refuses it, else the one that is nearest to do so."""
    allowance: Allowance | None = None
    remaining: int = 0
    reset_ms: int = 0
    """When refused: until as much is there as was wanted; else until the window is as good as new."""


class Told(Struct, frozen=True):
    """What one rule says of a call, for people."""

    rule: ReadyRule
    unmet: str
    """The label that is not as the rule wants it; empty: the rule is about the call."""
    allowances: tuple[Allowance, ...] = ()
    verdict: Verdict | None = None


FREE: Final = Verdict(True)

_Found = tuple[ReadyRule, tuple[Any, ...], tuple[Allowance, ...], Place | None]


class _Kept(Struct):
    seen: int
    of: Hashable
    rules: ReadyRules


class Judge:
    """All decisions of a process. Belongs to the event loop's thread; times are milliseconds since 1970."""

    def __init__(
        self,
        book: LimitBook,
        patterns: Patterns,
        instances: Callable[[ServiceKey], int],
        limiter: Limiter[Any] | None = None,
    ) -> None:
        """``instances``: how many a service has, for rules that say what one of them may take. ``limiter``: where clients count
        by the same rules; what they and others use is one number then."""
        self._book = book
        self._patterns = patterns
        self._instances = instances
        self._limiter = limiter
        self.gates = Gates(limiter=limiter)
        self._ready: dict[ServiceKey, _Kept] = {}

    # ------------------------------------------------------------------ deciding

    def decide(self, asked: Asked, now_ms: int) -> Verdict:
        """Take the tokens of a call from all rules that are about it, or from none."""
        return self.decide_all([asked], now_ms)[0]

    def decide_all(self, wanted: Sequence[Asked], now_ms: int) -> list[Verdict]:
        """The same of several descriptions of one call: it goes ahead when none is refused. A counter that several of them meet
        counts once, with the most tokens that one of them asks for."""
        found = [self._found(asked) for asked in wanted]
        tokens: dict[Hashable, int] = {}
        by_counter: dict[tuple[Any, ...], _Found] = {}
        for asked, rules in zip(wanted, found, strict=True):
            for each in rules:
                counter = each[1]
                by_counter[counter] = each
                tokens[counter] = max(tokens.get(counter, 0), asked.tokens)
        decisions = self._decisions(by_counter, tokens, now_ms)
        self._count(by_counter, tokens, decisions, now_ms)
        return [_verdict(rules, decisions) for rules in found]

    def _decisions(
        self, by_counter: Mapping[tuple[Any, ...], _Found], tokens: Mapping[Hashable, int], now_ms: int
    ) -> dict[Hashable, Decision]:
        """Groups of equal need, the smallest first; a group that is refused keeps the larger ones from taking anything."""
        decisions: dict[Hashable, Decision] = {}
        may = True
        for amount in sorted(set(tokens.values())):
            counters = [counter for counter in by_counter if tokens[counter] == amount]
            wanted = [(counter, by_counter[counter][2], by_counter[counter][3]) for counter in counters]
            taken = self.gates.take_all(wanted, amount if may else 0, now_ms)
            decisions.update(zip(counters, taken, strict=True))
            may = may and all(decision.allowed for decision in taken)
        return decisions

    def _count(
        self,
        by_counter: Mapping[tuple[Any, ...], _Found],
        tokens: Mapping[Hashable, int],
        decisions: Mapping[Hashable, Decision],
        now_ms: int,
    ) -> None:
        may = all(decision.allowed for decision in decisions.values())
        for counter, (rule, *_) in by_counter.items():
            if may:
                rule.allowed += tokens[counter]
            elif decisions[counter].allowed:
                continue  # another rule refused the call
            else:
                rule.refused += 1
            if tokens[counter]:
                rule.last.append(Made(now_ms, may, tokens[counter], counter[VALUES:]))

    def _found(self, asked: Asked) -> list[_Found]:
        """The rules that are about a call, with the counters that it counts on."""
        if asked.limit is not None:
            rule = ReadyRule(LimitRule("", OWN, (asked.limit,)), self._patterns)
            own = ("", asked.service, *sorted(asked.labels.items()))
            return [(rule, self._room_for(rule, own), rule.rule.allowances, None)]
        ready = self.rules(asked.service)
        if ready is None:
            return []
        instances = self._instances(asked.service) if ready.scaled else 1
        found: list[_Found] = []
        alone = self._limiter is None or self._limiter.alone
        for rule in ready.rules:
            if not rule.defect:
                counter = rule.counter(asked.labels, asked.texts, asked.caller)
                if counter is not None:
                    room = self._room_for(rule, counter)
                    name = None if alone or room is not counter else rule.name(counter)
                    place = None if name is None else (*asked.service, name)
                    found.append((rule, room, rule.allowances(instances), place))
        return found

    def _room_for(self, rule: ReadyRule, counter: tuple[Any, ...]) -> tuple[Any, ...]:
        """A counter of its own while there is room. Who was counted with others stays with them until that is forgotten, so
        that nobody has both."""
        if counter in self.gates:
            return counter
        others = (rule.rule.id,)
        return others if len(self.gates) >= MOST_COUNTERS or others in self.gates else counter

    # ------------------------------------------------------------------ looking

    def tell(self, asked: Asked, now_ms: int) -> list[Told]:
        """What every rule of the service says of a call. Nothing is taken."""
        ready = self.rules(asked.service)
        if ready is None:
            return []
        instances = self._instances(asked.service) if ready.scaled else 1
        return [self._told(rule, asked, instances, now_ms) for rule in ready.rules]

    def _told(self, rule: ReadyRule, asked: Asked, instances: int, now_ms: int) -> Told:
        allowances = rule.allowances(instances)
        unmet = rule.unmet(asked.labels, asked.texts)
        counter = None if unmet or rule.defect else rule.counter(asked.labels, asked.texts, asked.caller)
        if counter is None:
            return Told(rule, unmet, allowances)
        decision = self.gates.peek(self._room_for(rule, counter), allowances, asked.tokens, now_ms)
        verdict = Verdict(decision.allowed, rule, allowances[decision.nearest], decision.remaining, decision.reset_ms)
        return Told(rule, "", allowances, verdict)

    def rules(self, service: ServiceKey) -> ReadyRules | None:
        """The rules of a service, ready; None: there are none. They are made ready once for each change."""
        seen = self._book.revision()
        kept = self._ready.get(service)
        if kept is not None and kept.seen == seen:
            return kept.rules
        of, read = self._book.of(service)
        if not of:
            self._ready.pop(service, None)  # names without rules are not kept: there is no end of them
            return None
        if kept is not None and kept.of == of:
            kept.seen = seen
            return kept.rules
        made = make_ready(read(), self._patterns, None if kept is None else kept.rules)
        if kept is None and len(self._ready) >= MOST_SERVICES:
            del self._ready[next(iter(self._ready))]
        self._ready[service] = _Kept(seen, of, made)
        return made

    def sweep(self, now_ms: int) -> int:
        """Let go of some counters that nobody asked for long; to be called once a second."""
        return self.gates.sweep(now_ms)


def _verdict(rules: Sequence[_Found], decisions: Mapping[Hashable, Decision]) -> Verdict:
    """Of several rules the first that refuses, else the one with the least left."""
    nearest: Verdict | None = None
    for rule, counter, allowances, _ in rules:
        decision = decisions[counter]
        made = Verdict(decision.allowed, rule, allowances[decision.nearest], decision.remaining, decision.reset_ms)
        if not decision.allowed:
            return made
        if nearest is None or made.remaining < nearest.remaining:
            nearest = made
    return nearest or FREE
