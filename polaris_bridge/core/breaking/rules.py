"""Rules made ready: which rule calls are judged by, and which of them are errors.

The first rule that fits is the only one, in the order of polaris-go 1.7.0: the smallest priority, then named services before
any; what is left equal is settled as polaris-java does it, named callers before any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..model import ServiceKey
from ..routing.matching import Test, ready
from ..routing.model import ANY, EXACT
from ..routing.ports import Patterns
from .model import BROKEN_CODE, INTERFACE, BadCode, BreakerRule, Calls, Error, Interface, Part, Slow, Told
from .voices import remembered_ms

_Judge = Callable[[Calls], bool]
"""Whether calls whose code and time are known are errors."""

_GROWS: Final = 8
"""An instance that fails again is left alone for longer each time, up to so many times as long as its rule says …"""
_LONGEST_MS: Final = 300_000
"""… but no longer than this, unless the rule says so at once."""
_SHORTEST_MS: Final = 1000


def any_of(name: str) -> bool:
    """Whether a name stands for all."""
    return name in ("", ANY)


def covers(pattern: ServiceKey, key: ServiceKey | None) -> bool:
    """Whether a rule for such services is about this one; None: about one that nobody knows."""
    namespace, name = key if key is not None else ("", "")
    return (any_of(pattern.namespace) or pattern.namespace == namespace) and (
        any_of(pattern.name) or pattern.name == name
    )


def named_first(pattern: ServiceKey) -> tuple[tuple[bool, str], tuple[bool, str]]:
    """Order of rules: those that name a namespace and a service before those for any."""
    return (any_of(pattern.namespace), pattern.namespace), (any_of(pattern.name), pattern.name)


class ReadyPart:
    """A part of a rule made ready."""

    __slots__ = ("_interface", "_judges", "_path", "part")

    def __init__(self, part: Part, patterns: Patterns, defects: list[str]) -> None:
        self.part = part
        self._judges = tuple(_judge(error, patterns, defects) for error in part.errors)
        self._interface = part.interface
        condition = part.interface.path if part.interface is not None else None
        self._path: Test | None = None
        if condition is not None:
            made = ready(condition, patterns)
            self._path = made.test
            if made.defect:
                defects.append(f"{part.name or 'part'}: {made.defect}")

    def about(self, told: Told) -> bool:
        """Whether it is about calls of an interface."""
        interface = self._interface
        if interface is None:
            return True
        return (
            _same(interface.protocol, told.protocol)
            and _same(interface.method, told.method)
            and (self._path is None or self._path(told.path))
        )

    def judged(self, calls: Calls) -> tuple[int, int]:
        """How many went well, and how many failed."""
        if calls.code is None or not self._judges:
            return calls.well, calls.failed
        number = calls.well + calls.failed
        failed = any(judge(calls) for judge in self._judges)
        return (0, number) if failed else (number, 0)


def _same(wanted: str, given: str) -> bool:
    return any_of(wanted) or wanted.lower() == given.lower()


def _judge(error: Error, patterns: Patterns, defects: list[str]) -> _Judge:
    if isinstance(error, Slow):
        return lambda calls: calls.delay_ms > error.above_ms
    return _by_code(error, patterns, defects)


def _by_code(error: BadCode, patterns: Patterns, defects: list[str]) -> _Judge:
    made = ready(error.condition, patterns)
    if made.defect:
        defects.append(f"code: {made.defect}")
    test = made.test
    return lambda calls: calls.code == BROKEN_CODE or (test is not None and test(calls.code or ""))


class ReadyRule:
    """A rule made ready, and what became of the calls that it was about."""

    __slots__ = ("calls", "defect", "errors", "everyone", "opened", "parts", "rule", "stands_ms", "triggers")

    def __init__(self, rule: BreakerRule, patterns: Patterns) -> None:
        self.rule = rule
        defects: list[str] = []
        self.parts = tuple(ReadyPart(part, patterns, defects) for part in rule.parts)
        self.defect = "; ".join(defects)
        """What of it cannot be evaluated here; no call is an error for that."""
        self.triggers = tuple(part.triggers for part in rule.parts)
        self.stands_ms = remembered_ms(self.triggers, rule.sleep_ms)
        """How long an objection of a voice stands."""
        self.everyone = any_of(rule.caller.namespace) and any_of(rule.caller.name)
        """Whether it is about whoever calls."""
        self.calls = 0
        self.errors = 0
        self.opened = 0

    def covers(self, service: ServiceKey, caller: ServiceKey | None) -> bool:
        """Whether calls from there to here are judged by it."""
        return covers(self.rule.service, service) and covers(self.rule.caller, caller)

    def about(self, told: Told) -> bool:
        """Whether it is about calls of an interface."""
        return any(part.about(told) for part in self.parts)

    def judged(self, told: Told) -> list[tuple[int, int] | None]:
        """By part, how many calls went well, and how many failed; None: it is not about them."""
        looks = self.rule.level == INTERFACE
        return [part.judged(told.calls) if not looks or part.about(told) else None for part in self.parts]

    def sleep_ms(self, times: int) -> int:
        """How long calls stop, when it is for the so-manieth time in a row, beginning with 0."""
        base = max(_SHORTEST_MS, self.rule.sleep_ms)
        return min(base * min(1 << min(times, 30), _GROWS), max(base, _LONGEST_MS))


def make_ready(rules: Iterable[BreakerRule], patterns: Patterns, before: Iterable[ReadyRule]) -> tuple[ReadyRule, ...]:
    """Rules made ready, the one to be asked first first. One that did not change stays the one it was."""
    known = {(each.rule.id, each.rule.revision): each for each in before}
    made = [known.get((rule.id, rule.revision)) or ReadyRule(rule, patterns) for rule in rules]
    return tuple(sorted(made, key=_order))


def _order(ready_rule: ReadyRule) -> tuple[object, ...]:
    rule = ready_rule.rule
    return rule.priority, named_first(rule.service), named_first(rule.caller), _vague(rule), rule.id


def _vague(rule: BreakerRule) -> bool:
    """Whether a rule for interfaces names none exactly."""
    return not any(_exact(part.interface) for part in rule.parts)


def _exact(interface: Interface | None) -> bool:
    path = interface.path if interface is not None else None
    return path is not None and path.operator == EXACT and not any_of(path.value)
