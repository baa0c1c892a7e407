"""The rules of services, made ready once for each change of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from ..model import ServiceKey
from .compiled import Compiled, compile_rules
from .model import NO_RULES, Options
from .ports import Patterns, Rulebook
from .record import Record

KEPT: Final = 4096
"""Services whose compiled rules are kept."""


class _Ruled:
    """The rules of a service, compiled."""

    __slots__ = ("compiled", "mark", "seen")

    def __init__(self, seen: int, mark: object, compiled: Compiled) -> None:
        self.seen = seen
        self.mark = mark
        self.compiled = compiled


class ReadyRules:
    """What rules say of services. The same object as long as nothing that is said of a service changes."""

    def __init__(self, rulebook: Rulebook, patterns: Patterns, options: Options | None = None) -> None:
        self.rulebook = rulebook
        self.patterns = patterns
        self.options = options or Options()
        self.nothing = compile_rules(NO_RULES, patterns, self.options)
        """The rules of every service of which nothing is said."""
        self.record = Record()
        """What was decided by them."""
        self._ruled: OrderedDict[ServiceKey, _Ruled] = OrderedDict()

    def of(self, key: ServiceKey) -> Compiled:
        """The rules of a service."""
        seen = self.rulebook.revision()
        found = self._ruled.get(key)
        if found is not None and found.seen == seen:
            return found.compiled
        mark, read = self.rulebook.of(key)
        if found is not None and found.mark == mark:
            found.seen = seen
            return found.compiled
        rules = read()
        compiled = self.nothing if rules == NO_RULES else compile_rules(rules, self.patterns, self.options)
        self._ruled[key] = _Ruled(seen, mark, compiled)
        if len(self._ruled) > KEPT:
            self._ruled.popitem(last=False)
        return compiled
