"""Lists that a console asks for: pages, names of filters, wildcards (polaris-server 1.19)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.polaris.answers import text
from polaris_bridge.adapters.polaris.wire import v1

MAX_PAGE: Final = 100
_NUMBER: Final = re.compile(r"[0-9]{1,10}\Z", re.ASCII)


class BadQuery(ValueError):
    """A query that is answered 400103; the text says what is wrong with it."""


class Page(Struct, frozen=True):
    """Which part of a list."""

    offset: int = 0
    limit: int = MAX_PAGE


def filters_of(query: Mapping[str, Sequence[str]], allowed: Collection[str]) -> tuple[Page, dict[str, str]]:
    """The page and the filters that have a value. Raises ``BadQuery`` for other names and for pages that are no numbers."""
    first = {name: values[0] for name, values in query.items() if values}
    page = Page(_number(first.pop("offset", ""), 0), min(_number(first.pop("limit", ""), MAX_PAGE), MAX_PAGE))
    for name in first:
        if name not in allowed:
            raise BadQuery(f"{name} is not allowed")
    return page, {name: value for name, value in first.items() if value}


def _number(value: str, default: int) -> int:
    if not value:
        return default
    if _NUMBER.match(value) is None or int(value) > 0xFFFFFFFF:
        raise BadQuery(f"{value} is not a number")
    return int(value)


def bad_query(error: BadQuery) -> v1.BatchQueryResponse:
    """The answer to a bad query."""
    answer = list_answer(v1.InvalidParameter, 0, 0)
    answer.info.value = f"{answer.info.value}: {error}"
    return answer


def list_answer(code: int, amount: int, size: int) -> v1.BatchQueryResponse:
    """The head of a list: how many there are, how many of them follow."""
    answer = v1.BatchQueryResponse()
    answer.code.value = code
    answer.info.value = text(code)
    answer.amount.value = amount
    answer.size.value = size
    return answer


def wild(pattern: str, value: str) -> bool:
    """Whether a name is the one asked for; ``*`` at the beginning or the end stands for anything."""
    if pattern == "*":
        return True
    if pattern.startswith("*") and pattern.endswith("*"):
        return pattern[1:-1] in value
    if pattern.startswith("*"):
        return value.endswith(pattern[1:])
    if pattern.endswith("*"):
        return value.startswith(pattern[:-1])
    return pattern == value


def like(pattern: str, value: str) -> bool:
    """Whether a text contains what was typed; ``*`` around it changes nothing."""
    return pattern.strip("*") in value
