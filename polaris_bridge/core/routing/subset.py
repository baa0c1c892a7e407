"""The instances of a service that one kind of callers is given, and the service as they see it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from ..model import Address, AddressKey
from ..snapshot import ServiceSnapshot


class Subset:
    """The instances of a service that one kind of callers is given. What it says never changes."""

    __slots__ = ("_addresses", "_routed", "_snapshot", "_weighed", "revision", "weighted", "whole", "why")

    def __init__(
        self,
        snapshot: ServiceSnapshot,
        revision: int,
        addresses: dict[AddressKey, int] | None = None,
        *,
        weighted: bool = False,
        why: str = "",
    ) -> None:
        """``addresses`` None: all of them."""
        self.revision = revision
        """Since when it is so: greater when something else is given."""
        self.whole = addresses is None
        """Whether nothing was taken away and no weight is another one."""
        self.weighted = weighted
        """Whether the weights are the rule's; if not, instances keep those that they have."""
        self.why = why
        """Why it is empty, where rules say so."""
        self._addresses = addresses
        self._snapshot = snapshot
        self._routed: tuple[ServiceSnapshot, ServiceSnapshot] | None = None
        self._weighed: dict[AddressKey, tuple[Address, int, Address]] = {}

    @property
    def addresses(self) -> Mapping[AddressKey, int]:
        """The weight of every address in it; 100 is normal, 0 only where an instance itself or a rule says so."""
        if self._addresses is None:
            self._addresses = {place: weight_of(address) for place, address in self._snapshot.addresses.items()}
        return self._addresses

    def of(self, snapshot: ServiceSnapshot) -> ServiceSnapshot:
        """The service as this kind of callers sees it: what is left, with the weights. Made once for each snapshot.

        An address whose weight is its own is the same object. Registrations with another weight are equal to the originals in
        all else, their revisions too: what is made of them must not be kept under these alone.
        """
        if self.whole:
            return snapshot
        made = self._routed
        if made is None or made[0] is not snapshot:
            given = self.addresses
            found = {place: address for place, address in snapshot.addresses.items() if place in given}
            if self.weighted:
                found = self._weigh(found)
            routed = ServiceSnapshot(snapshot.key, snapshot.record, found, max(snapshot.revision, self.revision))
            made = self._routed = snapshot, routed
        return made[1]

    def follow(self, before: Subset) -> None:
        """Take over what was made for the one before it."""
        self._weighed = before._weighed

    def same(self, other: Subset) -> bool:
        """Whether the same is given."""
        if self.whole or other.whole:
            return self.whole is other.whole
        return self.weighted is other.weighted and self._addresses == other._addresses

    def _weigh(self, addresses: dict[AddressKey, Address]) -> dict[AddressKey, Address]:
        """With the weights; what was weighed before is the same object again."""
        before, now, given = self._weighed, {}, self.addresses
        for place, address in addresses.items():
            known = before.get(place)
            if known is None or known[0] is not address or known[1] != given[place]:
                known = address, given[place], weighing(address, given[place])
            now[place] = known
        self._weighed = now
        return {place: known[2] for place, known in now.items()}


def weight_of(address: Address) -> int:
    """What an address says of its own weight."""
    return max((r.weight for r in address.registrations), default=0)


def weighing(address: Address, weight: int) -> Address:
    """An address whose registrations have another weight; one without weight stays so."""
    changed = tuple(r if r.weight <= 0 else structs.replace(r, weight=weight) for r in address.registrations)
    return structs.replace(address, registrations=changed)
