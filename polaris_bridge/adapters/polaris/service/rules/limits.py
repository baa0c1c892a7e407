"""Rate limits speak two languages: arguments, and the labels that clients before 1.11 read. Each is made from the other."""

from __future__ import annotations

from typing import Final

from polaris_bridge.adapters.polaris.wire import v1

DEFAULT_ACTION: Final = "REJECT"

_KEYED: Final = {
    v1.MatchArgument.HEADER: "$header.",
    v1.MatchArgument.QUERY: "$query.",
    v1.MatchArgument.CALLER_SERVICE: "$caller_service.",
}
_ALONE: Final = {v1.MatchArgument.METHOD: "$method", v1.MatchArgument.CALLER_IP: "$caller_ip"}


def dress(rule: v1.Rule) -> None:
    """Fill in what the rule says only in one language, and what it leaves to the server."""
    if not rule.labels:
        for argument in rule.arguments:
            rule.labels[label_key(argument)].CopyFrom(argument.value)
    elif not rule.arguments:
        for key in sorted(rule.labels):
            rule.arguments.append(argument_of(key, rule.labels[key]))
    if not rule.action.value:
        rule.action.value = DEFAULT_ACTION
    for wrapper in ("name", "priority", "disable"):
        getattr(rule, wrapper).SetInParent()


def label_key(argument: v1.MatchArgument) -> str:
    """The label that stands for an argument."""
    alone = _ALONE.get(argument.type)
    return alone if alone is not None else _KEYED.get(argument.type, "") + argument.key


def argument_of(key: str, value: v1.MatchString) -> v1.MatchArgument:
    """The argument that a label stands for."""
    for type_, alone in _ALONE.items():
        if key == alone:
            return v1.MatchArgument(type=type_, value=value)
    for type_, prefix in _KEYED.items():
        if key.startswith(prefix):
            return v1.MatchArgument(type=type_, key=key.removeprefix(prefix), value=value)
    return v1.MatchArgument(type=v1.MatchArgument.CUSTOM, key=key, value=value)
