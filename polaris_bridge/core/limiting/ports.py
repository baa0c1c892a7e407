"""What the token service needs from outside: a place where nodes share what was used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from .model import Identity


class Used(Struct, frozen=True, gc=False):
    """What this node used of one counter and nobody outside knows yet."""

    identity: Identity
    slots: int
    """Parts of the window: nodes that cut it otherwise count for themselves."""
    oldest: int
    """Number of the oldest slot that still counts."""
    kept_ms: int
    """How long others may want to know of it."""
    added: Mapping[int, int]
    """By slot; may be empty: then only the totals are wanted."""
    newest: int = 0
    """Number of the slot now under way."""
    clients: int | None = None
    """How many count on it here; None: their number makes no difference."""


class Totals(Struct, frozen=True, gc=False):
    """What all nodes know of one counter."""

    used: Mapping[int, int]
    """By slot."""
    elsewhere: int = 0
    """Clients that count on it on other nodes, as those said within the last window."""


class Exchange(Protocol):
    """A place outside where counters are added up. Calls never block nor raise."""

    def exchange(self, batch: Sequence[Used], answer: Callable[[Sequence[Totals] | None], None], /) -> None:
        """Add what was used, all of the batch at once, and learn the totals of all nodes by slot, in the order of the batch.

        ``answer`` is called exactly once, on the core's thread. None: it did not work, or nobody knows whether it did.
        """
        ...
