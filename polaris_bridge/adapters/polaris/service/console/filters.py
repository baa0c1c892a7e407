"""Queries of console lists: one value a key, pages, patterns. As polaris-server 1.19 reads them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final

from polaris_bridge.adapters.polaris.service.queries import MAX_PAGE, Page, list_answer
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.adapters.polaris.wire.codes import info

_JOINED: Final = ("keys", "values")
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class Refused(Exception):
    """A query that is not answered: with which code, and what follows the code's text."""

    def __init__(self, code: int, why: str = "") -> None:
        super().__init__(why)
        self.code = code
        self.why = why


def answering(query: Callable[[], v1.BatchQueryResponse]) -> v1.BatchQueryResponse:
    """What a query finds, or the answer to one that is refused."""
    try:
        return query()
    except Refused as refused:
        return refusal(refused)


def refusal(refused: Refused) -> v1.BatchQueryResponse:
    """The answer to a query that is refused."""
    answer = list_answer(refused.code, 0, 0)
    if refused.why:
        answer.info.value = f"{info(refused.code)}: {refused.why}"
    return answer


def single(query: Query) -> dict[str, str]:
    """One value for each key: the first; those of ``keys`` and ``values`` joined by commas."""
    return {key: ",".join(values) if key in _JOINED else values[0] for key, values in query.items() if values}


def only(filters: Mapping[str, str], allowed: Container[str], may_be_empty: Container[str] = ()) -> None:
    """Raises ``Refused`` when there is an unknown key, or one without a value."""
    for key, value in filters.items():
        if key not in allowed:
            raise Refused(v1.InvalidParameter, f"{key} is not allowed")
        if not value and key not in may_be_empty:
            raise Refused(v1.InvalidParameter, f"the value for {key} is empty")


def page(filters: Mapping[str, str]) -> Page:
    """Offset and limit; a limit above 100 is 100. Raises ``Refused`` for what is no number."""
    offset = number(filters.get("offset") or "0")
    limit = number(filters.get("limit") or str(MAX_PAGE))
    if offset is None or limit is None:
        raise Refused(v1.InvalidParameter)
    return Page(offset, min(limit, MAX_PAGE))


def number(text: str) -> int | None:
    """An unsigned number of 32 bits in decimal digits; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    value = int(text)
    return value if value < 1 << 32 else None


def truth(text: str) -> bool | None:
    """A truth value as Go writes and reads it; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None


def pairs(keys: str, values: str) -> dict[str, str] | None:
    """Keys and values that were joined by commas, side by side; None when there are not as many of both."""
    names, texts = keys.split(","), values.split(",")
    if len(names) == 1:
        return {keys: values}
    return dict(zip(names, texts, strict=True)) if len(names) == len(texts) else None
