"""Lists of rules: what filters leave, in an order, one page of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from polaris_bridge.adapters.polaris.service.queries import BadQuery, bad_query, filters_of, list_answer
from polaris_bridge.adapters.polaris.service.routes import Query
from polaris_bridge.adapters.polaris.translate.routing import TYPE_URL
from polaris_bridge.adapters.polaris.wire import v1
from polaris_bridge.core.model import Document

from .filters import ORDER
from .kinds import Kind
from .records import listed, message_of


def listing(kind: Kind, documents: Sequence[Document], query: Query) -> v1.BatchQueryResponse:
    """The answer to a query; 400103 for filters that the kind does not know, and for values that mean nothing."""
    try:
        page, filters = filters_of(query, kind.filters)
        wanted = [d for d in documents if _passes(kind, d, filters)]
    except BadQuery as error:
        return bad_query(error)
    wanted.sort(key=lambda d: d.id)
    key, falling = _order(filters)
    wanted.sort(key=key, reverse=falling)
    shown = wanted[page.offset : page.offset + page.limit]
    answer = list_answer(v1.ExecuteSuccess, len(wanted), len(shown))
    for document in shown:
        rule = listed(kind, document)
        if kind.listed == "data":
            value = rule.SerializeToString(deterministic=True)
            answer.data.add(type_url=TYPE_URL + rule.DESCRIPTOR.full_name, value=value)
        else:
            getattr(answer, kind.listed).append(rule)
    return answer


def _passes(kind: Kind, document: Document, filters: dict[str, str]) -> bool:
    if filters.keys() <= ORDER.keys():
        return True
    rule = message_of(kind, document)
    return all(kind.filters[name](rule, value, filters) for name, value in filters.items())


_ORDERS: Final[dict[str, Callable[[Document], Any]]] = {
    "mtime": lambda d: d.updated_ms,
    "ctime": lambda d: d.created_ms,
    "priority": lambda d: d.priority,
    "name": lambda d: d.name,
    "id": lambda d: d.id,
}


def _order(filters: dict[str, str]) -> tuple[Callable[[Document], Any], bool]:
    """What to sort by, and whether the greatest comes first: the latest change, when nothing else is said."""
    field = filters.get("order_field", "")
    field = field if field in _ORDERS else "mtime"
    direction = filters.get("order_type", "desc" if field in ("mtime", "ctime") else "asc").lower()
    return _ORDERS[field], direction != "asc"
