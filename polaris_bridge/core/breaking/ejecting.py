"""Which instances everybody leaves alone, because the breakers say so: never too many of a service, never the last one.

A breaker that opens does not eject beyond the ceiling; as soon as there is room it does. Who calls by a breaker of its own (an
SDK) is not concerned; it goes by what it finds itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from msgspec import structs

from ..events import Published
from ..model import UP, Address, AddressKey, Caller, Ejection, ServiceKey
from ..registry import Registry
from ..views import shown, word_of
from .breaker import Breaker
from .breakers import Breakers

SETTLES_S: Final = 0.2
"""How soon changes of a service count for the ceiling: many at once are looked at once."""
_NOBODY: Final = ""
"""A reader without registrations of its own."""


class Candidate(NamedTuple):
    """An instance that should be ejected."""

    place: AddressKey
    percent: int
    """Ceiling of the rule that says so."""


def within_ceiling(candidates: Sequence[Candidate], alive: Collection[AddressKey]) -> list[AddressKey]:
    """Which of the candidates are ejected: in the order given, while there is room.

    ``alive``: all instances that could be called, were nobody ejected. Of ``n`` at most ``percent`` are ejected, one in any case
    when there are two, and never all. Who could not be called anyway takes no room and is not ejected.
    """
    found: list[AddressKey] = []
    for place, percent in candidates:
        most = min(max(1, len(alive) * percent // 100), len(alive) - 1)
        if place in alive and len(found) < most:
            found.append(place)
    return found


class Ejector:
    """Carries over what breakers say into what readers see."""

    def __init__(self, registry: Registry, percent: int) -> None:
        """``percent``: the ceiling where a rule states none."""
        self.ejected: dict[ServiceKey, int] = {}
        """How many instances of a service are ejected."""
        self.held_back = 0
        """How often the ceiling kept an instance from being ejected."""
        self._registry = registry
        self._percent = percent
        self._breakers: Breakers | None = None
        self._dirty: dict[ServiceKey, None] = {}
        self._settling = False
        self._alive: dict[ServiceKey, set[AddressKey]] = {}
        """The addresses that calls would go to, were none ejected; of services of which somebody is, or should be."""
        self._held: dict[ServiceKey, set[AddressKey]] = {}
        """Instances whose breakers stop calls, and which are not ejected."""

    def follow(self, breakers: Breakers) -> None:
        """Begin: these breakers decide."""
        self._breakers = breakers
        self._registry.observe(self._published)

    def moved(self, service: ServiceKey) -> None:
        """A breaker turned, or ended, at an instance of a service."""
        self._dirty[service] = None
        self._registry.scheduler.soon(self._settle)

    def release(self, service: ServiceKey, place: AddressKey, caller: Caller) -> bool:
        """An operator lets calls go to an instance again. Whether it was ejected, or its breaker open."""
        assert self._breakers is not None
        ejected = place in self._registry.ejections.of(service)
        stopped = self._breakers.release(service, place)
        if ejected:
            self._registry.ejections.put(service, {place: None}, caller)
        return stopped or ejected

    # ------------------------------------------------------------------ pieces

    def _published(self, published: Published) -> None:
        """Instances came, went, or turned: there is more room, or less."""
        breakers = self._breakers
        if breakers is None:
            return
        for change in published.changes:
            gone = change.after is None or not change.after.registrations
            if gone and change.before is not None:
                breakers.forget(change.service, change.address)
            alive = self._alive.get(change.service)
            if alive is not None:
                good = change.after is not None and _callable(change.after)
                (alive.add if good else alive.discard)(change.address)
        concerned = [key for key in published.services if key in self.ejected or key in self._held]
        if concerned:
            self._dirty.update(dict.fromkeys(concerned))
            if not self._settling:
                self._settling = True
                self._registry.scheduler.later(SETTLES_S, self._settle_changes)

    def _settle_changes(self) -> None:
        self._settling = False
        self._settle()

    def _settle(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for service in dirty:
            self._reconcile(service)

    def _reconcile(self, service: ServiceKey) -> None:
        """Make what readers see what the breakers say, as far as the ceiling allows."""
        assert self._breakers is not None
        before = self._registry.ejections.of(service)
        stopped: dict[AddressKey, Breaker] = {}
        for each in self._breakers.stopping(service):
            place = each.resource.place
            if place is not None and each.breaker.ready.everyone:
                stopped.setdefault(place, each.breaker)
        alive = self._callable(service) if before or stopped else set()
        candidates = [Candidate(place, b.ready.rule.percent or self._percent) for place, b in stopped.items()]
        chosen = dict.fromkeys(within_ceiling(candidates, alive))
        held = {place for place in stopped if place not in chosen}
        self.held_back += len((held - self._held.pop(service, set())) & alive)
        if held:
            self._held[service] = held
        changes: dict[AddressKey, Ejection | None] = {place: None for place in before if place not in chosen}
        for place in chosen:
            if place not in before:
                since_ms = self._breakers.wall_ms(stopped[place].opened_ms)
                changes[place] = _ejection(stopped[place], since_ms)
        if changes:
            self._registry.ejections.put(service, changes)
        if chosen:
            self.ejected[service] = len(chosen)
        else:
            self.ejected.pop(service, None)
        if not chosen and not held:
            self._alive.pop(service, None)

    def _callable(self, service: ServiceKey) -> set[AddressKey]:
        known = self._alive.get(service)
        if known is None:
            addresses = self._registry.snapshot(service).addresses
            known = self._alive[service] = {place for place, address in addresses.items() if _callable(address)}
        return known


def _ejection(breaker: Breaker, since_ms: int) -> Ejection:
    rule = breaker.ready.rule
    return Ejection(rule.id, rule.name, breaker.why, since_ms)


def _callable(address: Address) -> bool:
    """Whether calls would go to an address, were it not ejected."""
    if len(address.registrations) == 1 and not address.switches:
        only = address.registrations[0]
        return only.live and word_of(only) == UP
    if address.ejection is not None:
        address = structs.replace(address, ejection=None)
    return any(each.live and each.word == UP for each in shown(address, _NOBODY))
