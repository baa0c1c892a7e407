"""Whether a call comes from a source: its service, its labels.

A call of which something is not known does not match a source that asks for it; what was missing is said.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..model import ServiceKey
from .compiled import ReadySource
from .matching import Ready, Test, make_test, nothing
from .model import ANY, PARAMETER, TEXT, VARIABLE, Condition, Traveller
from .ports import Patterns


class Asked:
    """One call, asked whether it is from this or that source. ``patterns`` serve values that come with a call."""

    def __init__(self, who: Traveller, patterns: Patterns) -> None:
        self.who = who
        self.missing: dict[str, None] = {}
        """Labels and variables that some source asks for and nobody told; a further match would have needed them."""
        self._patterns = patterns

    def is_from(self, sources: tuple[ReadySource, ...], *, by_service: bool) -> bool:
        """Whether it is from one of these. None of them: every call is. ``by_service``: their services count."""
        if not sources:
            return True
        return any(
            (not by_service or self.calls_as(s.source.namespace, s.source.service)) and self.has(s) for s in sources
        )

    def calls_as(self, namespace: str, service: str) -> bool:
        """Whether the caller is a service of this name."""
        return is_service(self.who.service, namespace, service)

    def has(self, source: ReadySource) -> bool:
        """Whether it has all labels that a source asks for."""
        if not source.conditions:
            return True
        labels = self.who.labels
        if not labels:
            self._miss(source.conditions)
            return False
        for each in source.conditions:
            key = each.condition.key
            if key == ANY:
                continue
            given = labels.get(key)
            if given is None:
                self.missing[key] = None
                return False
            if each.condition.value != ANY and not self.source_test(each)(given):
                return False
        return True

    def source_test(self, each: Ready) -> Test:
        """The test of a source's condition for this call; a parameter has to be there and no more."""
        if each.test is not None:
            return each.test
        if each.condition.origin == PARAMETER:
            return _present
        return self._test_of(each.condition, literal=False)

    def group_test(self, condition: Condition) -> Test:
        """The test of a group's condition whose value comes with this call; None of it: it does not hold."""
        return self._test_of(condition, literal=True)

    def _test_of(self, condition: Condition, *, literal: bool) -> Test:
        """As polaris-go, what comes with a call is taken as it is: only in sources ``*`` and nothing mean anything."""
        found = self._told(condition)
        if found is None:
            self.missing[condition.value] = None
            return nothing
        try:
            return make_test(condition.operator, found, self._patterns, whole=literal, literal=literal)
        except ValueError:
            return nothing

    def _told(self, condition: Condition) -> str | None:
        told = {PARAMETER: self.who.labels, VARIABLE: self.who.variables}.get(condition.origin, {})
        return told.get(condition.value) if condition.origin != TEXT else condition.value

    def _miss(self, conditions: Iterable[Ready]) -> None:
        self.missing.update(dict.fromkeys(each.condition.key for each in conditions))


def _present(_value: str) -> bool:
    return True


def is_service(key: ServiceKey | None, namespace: str, service: str) -> bool:
    """Whether a service has a name; ``*`` is any, also that of nobody."""
    if namespace == ANY and service == ANY:
        return True
    return key is not None and namespace in (ANY, key.namespace) and service in (ANY, key.name)
