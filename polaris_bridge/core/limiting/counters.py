"""One counter of the token service: a window, what is allowed within it, and who counts on it."""

from __future__ import annotations

from typing import Generic, TypeVar

from .model import Identity, Quota
from .windows import Window

H = TypeVar("H")


class Client(Generic[H]):
    """Somebody who counts. ``seat`` is the stream that it is told by now: a client may come back on another one."""

    __slots__ = ("counters", "id", "key", "seat")

    def __init__(self, key: int, id: str, seat: H) -> None:
        self.key = key
        """Small, positive, of nobody else who is here."""
        self.id = id
        self.seat = seat
        self.counters: dict[int, Counter[H]] = {}


class Counter(Generic[H]):
    """What clients used together of one quota. Times are milliseconds since 1970."""

    __slots__ = (
        "amount",
        "clients",
        "each",
        "elsewhere",
        "exhausted",
        "identity",
        "kept_ms",
        "key",
        "limited",
        "used_ms",
        "waiting",
        "window",
    )

    def __init__(self, key: int, identity: Identity, slots: int) -> None:
        self.key = key
        self.identity = identity
        self.window = Window(identity[3] * 1000, slots)
        self.amount = 0
        self.each = False
        self.clients: tuple[Client[H], ...] = ()
        """Mostly few, and a tuple takes a quarter of the memory of anything that is quicker to change."""
        self.elsewhere = 0
        """Clients that count on it on other nodes."""
        self.exhausted = False
        """Whether everybody was told that nothing is left, since something was."""
        self.limited = 0
        """Requests that clients said they refused."""
        self.used_ms = 0
        self.kept_ms = 0
        self.waiting: dict[int, int] | None = None
        """Use by slot that other nodes were not told of yet; None: there is none."""

    @property
    def slots(self) -> int:
        """Parts of its window."""
        return self.window.slots

    @property
    def sharers(self) -> int:
        """How many clients count on it, on all nodes."""
        return len(self.clients) + self.elsewhere

    def load(self, quota: Quota, kept_ms: int) -> None:
        """What is allowed from now on; whoever asked last is right."""
        self.amount = quota.amount
        self.each = quota.each
        self.kept_ms = kept_ms

    def left(self, now_ms: int) -> int:
        """Negative when more was used than allowed."""
        limit = self.amount * self.sharers if self.each else self.amount
        return limit - self.window.roll(now_ms)
