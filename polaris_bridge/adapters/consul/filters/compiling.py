"""Expression + fields -> a function that says whether an answer is wanted, or why the expression makes no sense."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from .expressions import EQUAL, IN, IS_EMPTY, MATCHES, BadFilter, Both, Comparison, Expression, Not
from .fields import Field, ListOf, MapOf, Record, Scalar, operators, value_of, within
from .parsing import parse

Filter = Callable[[Mapping[str, Any]], bool]
"""Takes an answer as plain values (JSON's)."""
Patterns = Callable[[str], Callable[[str], bool]]
"""A regular expression -> whether some part of a text matches; takes linear time. Raises ``ValueError``."""

Test = Callable[[Any], bool]


class Filters:
    """Compiles filters and keeps those last used."""

    def __init__(self, patterns: Patterns, most: int = 256) -> None:
        self._patterns = patterns
        self._most = most
        self._kept: OrderedDict[tuple[int, str], Filter] = OrderedDict()

    def get(self, text: str, record: Record) -> Filter:
        """The function that a text means for answers with these fields. Raises ``BadFilter``."""
        key = id(record), text  # records are constants of the process
        found = self._kept.get(key)
        if found is None:
            found = self._kept[key] = compiled(parse(text), record, self._patterns)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return found


def compiled(expression: Expression, record: Record, patterns: Patterns) -> Filter:
    """A function over answers. Raises ``BadFilter`` when the expression does not fit the fields."""
    if isinstance(expression, Not):
        operand = compiled(expression.operand, record, patterns)
        return lambda answer: not operand(answer)
    if isinstance(expression, Comparison):
        return _comparison(expression, record, patterns)
    operands = [compiled(one, record, patterns) for one in expression.operands]
    if isinstance(expression, Both):
        return lambda answer: all(one(answer) for one in operands)
    return lambda answer: any(one(answer) for one in operands)


def _comparison(c: Comparison, record: Record, patterns: Patterns) -> Filter:
    field = _selected(c, record)
    if c.operator not in operators(field):
        raise BadFilter(f'Invalid match operator "{c.word}" for selector "{c.selected}"')
    return _path(c, 0, record, _test(c, field, patterns))


def _selected(c: Comparison, record: Record) -> Field:
    field: Field = record
    for place, name in enumerate(c.selector):
        found = within(field, name)
        if found is None:
            raise BadFilter(f'Selector "{".".join(c.selector[: place + 1])}" is not valid')
        field = found
    return field


def _test(c: Comparison, field: Field, patterns: Patterns) -> Test:
    """What is asked of the value that was reached."""
    test = _TESTS[c.operator](c, field, patterns)
    return (lambda value: not test(value)) if c.negated else test


def _equal(c: Comparison, field: Field, _patterns: Patterns) -> Test:
    wanted = _wanted(c, field)
    absent = wanted == _ZERO[type(wanted)]  # what an answer leaves out because it is empty
    return lambda value: absent if value is None else bool(value == wanted)


def _in(c: Comparison, field: Field, _patterns: Patterns) -> Test:
    wanted = _wanted(c, field)
    if isinstance(field, Scalar):
        return lambda value: wanted in (value or "")
    return lambda value: value is not None and wanted in value


def _empty(_c: Comparison, _field: Field, _patterns: Patterns) -> Test:
    return lambda value: not value


def _matches(c: Comparison, _field: Field, patterns: Patterns) -> Test:
    assert c.value is not None
    try:
        search = patterns(c.value)
    except ValueError as error:
        raise BadFilter(f'Failed to compile regular expression "{c.value}": {error}') from None
    return lambda value: search(value or "")


def _wanted(c: Comparison, field: Field) -> str | int | bool:
    assert c.value is not None
    try:
        return value_of(field, c.value)
    except ValueError as error:
        raise BadFilter(f'Failed to coerce value "{c.value}" for selector "{c.selected}": {error}') from None


def _path(c: Comparison, depth: int, field: Field, test: Test) -> Test:
    """The test on what the selector reaches from a place on: through records and maps by name, through lists to any item."""
    if depth == len(c.selector):
        return test
    name = c.selector[depth]
    if isinstance(field, Record):
        inner = _path(c, depth + 1, field.fields[name], test)
        return lambda record: inner(record.get(name) if record else None)
    if isinstance(field, MapOf):
        inner = _path(c, depth + 1, field.item, test)
        missing = _without_key(c)
        return lambda values: inner(values[name]) if values and name in values else missing
    assert isinstance(field, ListOf)
    each = _path(c, depth, field.item, test)

    def any_item(items: Sequence[Any] | None) -> bool:
        return any(map(each, items or ()))

    return any_item


def _without_key(c: Comparison) -> bool:
    """What a comparison says of a key that a map does not have. go-bexpr 0.1.2 says yes to ``matches`` too."""
    return (c.operator, c.negated) not in ((EQUAL, False), (IN, False), (IS_EMPTY, True))


_TESTS: Final = {EQUAL: _equal, IN: _in, IS_EMPTY: _empty, MATCHES: _matches}
_ZERO: Final[dict[type, str | int | bool]] = {str: "", int: 0, bool: False}
