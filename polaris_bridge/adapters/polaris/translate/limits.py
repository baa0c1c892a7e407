"""Rate limit rules as the core evaluates them, and calls as labels that their conditions look at. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import add
from typing import Final

from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.limiting.model import Allowance
from polaris_bridge.core.limiting.rules import LimitRule
from polaris_bridge.core.routing.model import ANY, Condition

from .routing_rules import CALLER_IP, CALLER_METADATA, HEADER, METHOD, OPERATORS, PATH, QUERY

CALLER_SERVICE: Final = "$caller_service."
INTERFACE: Final = PATH
"""What a rule calls ``method``: the interface or path that is called. The verb of a call is ``$method``."""

_KEYED: Final = {
    v1.MatchArgument.CUSTOM: "",
    v1.MatchArgument.HEADER: HEADER,
    v1.MatchArgument.QUERY: QUERY,
    v1.MatchArgument.CALLER_SERVICE: CALLER_SERVICE,
    v1.MatchArgument.CALLER_METADATA: CALLER_METADATA,
}
_ALONE: Final = {v1.MatchArgument.METHOD: METHOD, v1.MatchArgument.CALLER_IP: CALLER_IP}
_KINDS: Final = {
    v1.MatchArgument.CUSTOM: "CUSTOM",
    v1.MatchArgument.METHOD: "METHOD",
    v1.MatchArgument.HEADER: "HEADER",
    v1.MatchArgument.QUERY: "QUERY",
    v1.MatchArgument.CALLER_SERVICE: "CALLER_SERVICE",
    v1.MatchArgument.CALLER_IP: "CALLER_IP",
    v1.MatchArgument.CALLER_METADATA: "CALLER_METADATA",
}
"""As they stand in the names of counters."""
_MOST: Final = 2**32 - 1
_WAITS: Final = "unirate"
"""The action of rules by which calls are spread evenly, in any case."""


def limit_rules(rules: Iterable[v1.Rule]) -> tuple[LimitRule, ...]:
    """Rules that are switched on, in the order given. What cannot be decided for somebody else is named as not evaluated:
    how many calls run at a time, which only the one who runs them knows."""
    return tuple(_rule(rule) for rule in rules if not rule.disable.value)


def _rule(rule: v1.Rule) -> LimitRule:
    allowances = tuple(_allowances(rule))
    defect = ""
    if rule.resource != v1.Rule.QPS:
        defect = "it limits how many calls run at a time"
    elif not allowances:
        defect = "it has no amounts"
    return LimitRule(
        rule.id.value,
        rule.name.value,
        allowances,
        tuple(_conditions(rule)),
        rule.regex_combine.value,
        rule.type == v1.Rule.LOCAL,
        rule.type == v1.Rule.GLOBAL and rule.amount_mode == v1.Rule.SHARE_EQUALLY,
        rule.customResponse.body,
        defect,
        _named(rule) if rule.type == v1.Rule.GLOBAL else None,
        _at_once(rule) if rule.resource == v1.Rule.CONCURRENCY else 0,
        rule.action.value.lower() == _WAITS,
    )


def _at_once(rule: v1.Rule) -> int:
    """The field for it is newer than the one that SDKs read."""
    given = rule.concurrencyAmount.maxAmount or max((amount.maxAmount.value for amount in rule.amounts), default=0)
    return min(given, _MOST)


def _named(rule: v1.Rule) -> Callable[[Sequence[str]], str]:
    """What SDKs call a counter of a rule, from the values of its conditions in the order of ``_conditions``: the method, then
    the arguments, sorted (``FormatLabelToStr`` of polaris-go 1.7, and polaris-java the same)."""
    by_method = _has_method(rule)
    before = [_written(argument) for argument in _arguments(rule)]

    def named(values: Sequence[str]) -> str:
        method, of_arguments = (values[0], values[1:]) if by_method else ("", values)
        return f"{method}|{'|'.join(sorted(map(add, before, of_arguments)))}"

    return named


def _written(argument: v1.MatchArgument) -> str:
    """What stands before an argument's value."""
    kind = _KINDS.get(argument.type, "")
    return f"{kind}:" if argument.type in _ALONE else f"{kind}:{argument.key}:"


def _allowances(rule: v1.Rule) -> Iterator[Allowance]:
    for amount in rule.amounts:
        duration_ms = amount.validDuration.seconds * 1000 + amount.validDuration.nanos // 1_000_000
        if duration_ms > 0:
            yield Allowance(min(amount.maxAmount.value, _MOST), duration_ms)


def _conditions(rule: v1.Rule) -> Iterator[Condition]:
    """A method that matches everything is no condition: all methods share a counter then, as for SDKs."""
    if _has_method(rule):
        yield _condition(INTERFACE, rule.method)
    for argument in _arguments(rule):
        yield _condition(argument_key(argument), argument.value)


def _has_method(rule: v1.Rule) -> bool:
    return rule.method.value.value not in ("", ANY)


def _arguments(rule: v1.Rule) -> list[v1.MatchArgument]:
    return sorted(rule.arguments, key=lambda each: (argument_key(each), each.value.value.value))


def _condition(key: str, value: v1.MatchString) -> Condition:
    """SDKs take every value for one that is written in the rule, whatever its ``value_type`` says."""
    return Condition(key, value.value.value, OPERATORS.get(value.type, str(int(value.type))))


def argument_key(argument: v1.MatchArgument) -> str:
    """The label that an argument looks at."""
    alone = _ALONE.get(argument.type)
    return alone if alone is not None else _KEYED.get(argument.type, "") + argument.key
