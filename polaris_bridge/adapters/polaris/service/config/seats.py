"""Names for clients that wait without saying who they are: one who comes back from the same address for the same files gets
the name that was left there. So the core can say who holds which version, although every watch is a call of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from msgspec import Struct, field

KEPT_S: Final = 120.0
"""How long a name waits for who left it; SDKs come back within seconds, after failures within two minutes."""

Place = tuple[str, Hashable]
"""An address, and for which files."""


class _Numbers(Struct):
    """Those of one address: up to ``highest``, but for the ``free`` ones."""

    highest: int = 0
    free: list[int] = field(default_factory=list)


class Seats:
    """Names in use and left."""

    def __init__(self, forgotten: Callable[[str], None]) -> None:
        """``forgotten`` is told of every name that nobody came back for."""
        self._forgotten = forgotten
        self._left: dict[str, tuple[float, Place]] = {}
        """When it was left and where; the one that was left first at the beginning."""
        self._free: dict[Place, dict[str, None]] = {}
        self._numbers: dict[str, _Numbers] = {}

    def __len__(self) -> int:
        return sum(numbers.highest - len(numbers.free) for numbers in self._numbers.values())

    def take(self, place: Place) -> str:
        """A name for one who waits there."""
        free = self._free.get(place)
        if free:
            name, _ = free.popitem()
            if not free:
                del self._free[place]
            del self._left[name]
            return name
        numbers = self._numbers.get(place[0])
        if numbers is None:
            numbers = self._numbers[place[0]] = _Numbers()
        if numbers.free:
            return f"{place[0]}#{numbers.free.pop()}"
        numbers.highest += 1
        return f"{place[0]}#{numbers.highest}"

    def leave(self, name: str, place: Place, now_s: float) -> None:
        """It was answered, and will come back."""
        self._left[name] = now_s, place
        self._free.setdefault(place, {})[name] = None

    def give_up(self, name: str, place: Place) -> None:
        """It hung up, or did not come back."""
        numbers = self._numbers[place[0]]
        numbers.free.append(int(name.rpartition("#")[2]))
        if len(numbers.free) == numbers.highest:
            del self._numbers[place[0]]
        self._forgotten(name)

    def sweep(self, now_s: float) -> None:
        """Give up names that nobody came back for."""
        gone = []
        for name, (left_s, place) in self._left.items():
            if left_s + KEPT_S > now_s:
                break
            gone.append((name, place))
        for name, place in gone:
            del self._left[name]
            free = self._free[place]
            del free[name]
            if not free:
                del self._free[place]
            self.give_up(name, place)
