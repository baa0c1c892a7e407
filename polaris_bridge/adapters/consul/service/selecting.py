"""Choosing among instances as reads of catalog and health ask: tags, node metadata, state, filter, distance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from polaris_bridge.adapters.consul.filters import BadFilter, Filter, Filters, Record
from polaris_bridge.adapters.consul.view_instances import Instance
from polaris_bridge.adapters.consul.wire.refusals import failed
from polaris_bridge.core.model import PASSING

Plain = Callable[[Instance], Mapping[str, Any]]


class Wanted(Struct, frozen=True):
    """What a read asks for."""

    passing: bool = False
    tags: tuple[str, ...] = ()
    """All of them, in any case."""
    node_meta: Mapping[str, str] = {}
    near: str = ""
    """A node's name; "": in the usual order."""
    filter: Filter | None = None

    @property
    def everything(self) -> bool:
        """Whether it is the plain list."""
        return not (self.tags or self.node_meta or self.near or self.filter)


def compiled(filters: Filters, text: str, record: Record) -> Filter | None:
    """A filter; None when none was given. Raises ``Refused`` in the agent's words."""
    if not text:
        return None
    try:
        return filters.get(text, record)
    except BadFilter as error:
        raise failed(f"Failed to create boolean expression evaluator: {error}") from None


def select(instances: Sequence[Instance], wanted: Wanted, plain: Plain) -> list[Instance]:
    """The instances that a read asks for, the near ones first. ``plain``: the answer that the filter is asked about."""
    found: Iterable[Instance] = instances
    if wanted.passing:
        found = [i for i in found if i.status == PASSING]
    for tag in wanted.tags:
        folded = tag.lower()
        found = [i for i in found if any(t.lower() == folded for t in i.service.tags)]
    if wanted.node_meta:
        found = [i for i in found if has_meta(i.node.shape.meta, wanted.node_meta)]
    if wanted.filter is not None:
        keeps = wanted.filter
        found = [i for i in found if keeps(plain(i))]
    if wanted.near:
        near = wanted.near.lower()
        return sorted(found, key=lambda i: i.order[0] != near)
    return list(found)


def has_meta(meta: Mapping[str, str] | None, wanted: Mapping[str, str]) -> bool:
    """Whether a node has all of these metadata."""
    have = meta or {}
    return all(have.get(key) == value for key, value in wanted.items())
