"""Rules as values, for adapters that make something of their own out of them: who reads them is given by the runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from polaris_bridge.core.breaking.breakers import BreakerBook
from polaris_bridge.core.breaking.detecting import DetectBook
from polaris_bridge.core.limiting.judging import LimitBook
from polaris_bridge.core.model import ServiceKey
from polaris_bridge.core.routing.model import Unread
from polaris_bridge.core.routing.ports import Rulebook


class Governance(Struct, frozen=True):
    """Where rules come from."""

    routes: Rulebook
    limits: LimitBook
    breakers: BreakerBook
    detects: DetectBook
    others: Callable[[ServiceKey], Iterable[Unread]]
    """Rules of a service that libraries alone do something by."""
    kinds: frozenset[str]
    """The kinds of documents that rules are kept as."""
