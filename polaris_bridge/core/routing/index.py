"""The instances of a service, ready to be asked for by label: sets of them are whole numbers, one bit for each.

"And" of two sets of a thousand instances is one operation on 16 machine words; labels are read once for each key that rules use.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import compress
from typing import Final, TypeVar

from ..model import Location
from .matching import Test
from .model import Service, Target

K = TypeVar("K", bound=Hashable)
NEAR: Final = 1024
"""Places of callers that are kept."""
FEW: Final = 8
"""Up to so many bits are set one by one."""
_ONE: Final = ord("1")
_DIGITS: Final = bytes(byte - 48 if byte in b"01" else 0 for byte in range(256))


class Index:
    """One service at one revision."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.targets = service.targets
        self.all = (1 << len(self.targets)) - 1
        self.usable = _set_of([at for at, target in enumerate(self.targets) if target.usable])
        """Instances that are isolated or have no weight are never used."""
        self.healthy = self.usable & _set_of([at for at, target in enumerate(self.targets) if target.healthy])
        self._values: dict[str, dict[str, int]] = {}
        self._places: dict[Location, int] | None = None
        self._near: dict[Location, int] = {}

    def values(self, key: str) -> dict[str, int]:
        """By value of a label: who has it."""
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = _grouped(target.labels.get(key) for target in self.targets)
        return found

    def having(self, key: str) -> int:
        """Who has a label, whatever its value."""
        found = 0
        for bits in self.values(key).values():
            found |= bits
        return found

    def matching(self, key: str, test: Test) -> int:
        """Who has a label with a value that passes a test."""
        found = 0
        for value, bits in self.values(key).items():
            if test(value):
                found |= bits
        return found

    def with_labels(self, labels: dict[str, str]) -> int:
        """Who has every one of these labels."""
        found = self.all
        for key, value in labels.items():
            found &= self.values(key).get(value, 0)
        return found

    def near(self, place: Location) -> int:
        """Who is at a place; an empty part of it, or of an instance's own, is anywhere (as in polaris-go)."""
        found = self._near.get(place)
        if found is None:
            if self._places is None:
                self._places = _grouped(target.location for target in self.targets)
            found = 0
            for own, bits in self._places.items():
                if is_at(own, place):
                    found |= bits
            if len(self._near) < NEAR:
                self._near[place] = found
        return found

    def pick(self, bits: int) -> tuple[Target, ...]:
        """The instances of a set, in their order."""
        if bits == self.all:
            return self.targets
        return tuple(compress(self.targets, f"{bits:b}"[::-1].encode().translate(_DIGITS)))


def _grouped(keys: Iterable[K | None]) -> dict[K, int]:
    """By key: the set of the positions that have it."""
    found: dict[K, list[int]] = {}
    for at, key in enumerate(keys):
        if key is None:
            continue
        places = found.get(key)
        if places is None:
            found[key] = [at]
        else:
            places.append(at)
    return {key: _set_of(places) for key, places in found.items()}


def _set_of(places: list[int]) -> int:
    """Positions in rising order as a set; the time that it takes is in proportion to the last one."""
    if len(places) <= FEW:
        return sum(1 << at for at in places)
    digits = bytearray(b"0") * (places[-1] + 1)
    for at in places:
        digits[at] = _ONE
    return int(digits[::-1], 2)


def is_at(own: Location, place: Location) -> bool:
    """Whether somebody is at a place. An empty part of either is anywhere."""
    return (
        (not place.region or not own.region or own.region == place.region)
        and (not place.zone or not own.zone or own.zone == place.zone)
        and (not place.campus or not own.campus or own.campus == place.campus)
    )
