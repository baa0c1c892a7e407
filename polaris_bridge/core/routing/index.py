"""The instances of a service, ready to be asked for by label: sets of them are whole numbers, one bit for each.

"And" of two sets of a thousand instances is one operation on 16 machine words; labels are read once for each key that rules use.
"""

from __future__ import annotations

from collections.abc import Callable

from ..model import Location
from .matching import Test
from .model import Service, Target


class Index:
    """One service at one revision. Instances that are isolated or have no weight are never used, so they are not in it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.targets = tuple(t for t in service.targets if not t.isolated and t.weight > 0)
        self.all = (1 << len(self.targets)) - 1
        self.healthy = _bits(self.targets, lambda t: t.healthy)
        self._values: dict[str, dict[str, int]] = {}
        self._near: dict[Location, int] = {}

    def values(self, key: str) -> dict[str, int]:
        """By value of a label: who has it."""
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = {}
            bit = 1
            for target in self.targets:
                value = target.labels.get(key)
                if value is not None:
                    found[value] = found.get(value, 0) | bit
                bit <<= 1
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
            found = self._near[place] = _bits(self.targets, lambda t: _at(t.location, place))
        return found

    def pick(self, bits: int) -> tuple[Target, ...]:
        """The instances of a set, in their order."""
        if bits == self.all:
            return self.targets
        found = []
        targets = self.targets
        while bits:
            low = bits & -bits
            found.append(targets[low.bit_length() - 1])
            bits ^= low
        return tuple(found)


def _bits(targets: tuple[Target, ...], wanted: Callable[[Target], bool]) -> int:
    digits = "".join("1" if wanted(target) else "0" for target in reversed(targets))
    return int(digits, 2) if digits else 0


def _at(own: Location, place: Location) -> bool:
    return (
        (not place.region or not own.region or own.region == place.region)
        and (not place.zone or not own.zone or own.zone == place.zone)
        and (not place.campus or not own.campus or own.campus == place.campus)
    )
