"""Going round a large table bit by bit, so that no turn of the event loop looks at all of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Round(Generic[K]):
    """Where somebody who goes round stands."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[K] = []

    def some(self, table: Iterable[K], most: int) -> list[K]:
        """The next ``most`` keys. Each key that stays comes up once a round; some may be gone by the time they come up."""
        if not self._waiting:
            self._waiting = list(table)
        taken = self._waiting[-most:]
        del self._waiting[-most:]
        return taken
