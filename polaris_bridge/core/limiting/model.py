"""What is counted, what is allowed, and what becomes of a request, as values that never change."""

from __future__ import annotations

from enum import Enum
from typing import Final

from msgspec import Struct

MAX_SLOTS: Final = 10
"""Most parts that a client may have its window cut into."""
INDEX_BITS: Final = 24
"""A counter's key is the node's id and, below these bits, a number of the node's own."""
MAX_COUNTERS: Final = (1 << INDEX_BITS) - 1
MAX_NODE: Final = 255

Identity = tuple[str, str, str, int]
"""What makes a counter: namespace, service, labels (rule and values as one text that nobody here reads), seconds of window."""


class Refused(Enum):
    """Why a request was not done."""

    OTHER_CLIENT = "a stream belongs to one client"
    TOO_MANY_CLIENTS = "no room for another client"
    TOO_MANY_COUNTERS = "no room for another counter"
    FOREIGN_COUNTER = "the key was made by another node"
    UNKNOWN_COUNTER = "no such counter, or it was not used for long"


class Quota(Struct, frozen=True, gc=False):
    """So much within a window. ``each``: for every client that counts here, so that the whole grows with their number."""

    duration_s: int
    amount: int
    each: bool = False


class LimiterTerms(Struct, frozen=True, kw_only=True):
    """How a limiter behaves."""

    node: int = 1
    """1..255, different for all nodes that clients choose among: it is part of a counter's key."""
    slots: int = MAX_SLOTS
    """Parts of the window of a client that does not ask for a number."""
    max_clients: int = 20_000
    max_counters: int = 1_000_000
    idle_ms: int = 30_000
    """A counter is kept so long without being used, and for twice its window when that is longer."""


class Left(Struct, frozen=True, gc=False):
    """What is left of one counter; negative when more was used than allowed."""

    key: int
    left: int
    clients: int
    """How many count on it."""


class Allowance(Struct, frozen=True, gc=False):
    """At most ``amount`` within any ``duration_ms``."""

    amount: int
    duration_ms: int


class Decision(Struct, frozen=True, gc=False):
    """Whether somebody may, and what is left, by the allowance that is nearest to its end."""

    allowed: bool
    remaining: int
    """What the nearest allowance still has."""
    reset_ms: int
    """When refused: until as much as was wanted is there; else until the window is as good as new."""
    nearest: int = 0
    """Which of the allowances it was, by its place in what was given."""
