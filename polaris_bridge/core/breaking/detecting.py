"""The server's own probes: by which rules, of which instances, and who hears what they found.

Probes are made of the instances of services for which both a rule says how and a breaker's rule says that they count; they start
and stop with rules and instances. The check engine runs them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import Struct, structs

from ..events import Published
from ..health import Check, HealthEngine, Outcome
from ..model import PASSING, Address, AddressKey, ServiceKey
from ..registry import Registry
from .breakers import Breakers
from .model import BROKEN_CODE, Calls
from .rules import named_first

MOST: Final = 10_000
"""Instances that are probed at a time; there are more only where a rule is for any service."""
SETTLES_S: Final = 0.2
"""How soon probes follow instances that come and go: many at once are looked at once."""
PIECE: Final = 64
"""Services that are looked at in one go."""
_PLAIN: Final = "0"
"""The code of a probe that went well and has none of its own, as SDKs have it."""

Target = tuple[str, ServiceKey, AddressKey, str]
"""Id of a probe: a word that tells it from other checks, the instance, and the rule."""
_WORD: Final = "breaking"


class DetectRule(Struct, frozen=True):
    """How instances are probed."""

    id: str
    name: str
    service: ServiceKey
    """An empty namespace or name stands for any, like ``*``."""
    check: Check
    """Of an instance; its host and, where this is 0, its port are filled in."""
    protocol: str
    """Of the rules for a service the first of each protocol counts."""


class DetectBook(Protocol):
    """Where rules come from."""

    def of(self, service: ServiceKey) -> Iterable[DetectRule]:
        """Those of a service."""
        ...


def chosen(rules: Iterable[DetectRule]) -> tuple[DetectRule, ...]:
    """One rule a protocol, those that name the service first: as polaris-go 1.7.0 does it."""
    found: dict[str, DetectRule] = {}
    for rule in sorted(rules, key=lambda rule: (named_first(rule.service), rule.id)):
        found.setdefault(rule.protocol, rule)
    return tuple(found.values())


class Detector:
    """Starts and stops probes, and hands on what they found."""

    def __init__(self, registry: Registry, engine: HealthEngine, book: DetectBook, breakers: Breakers) -> None:
        self._registry = registry
        self._engine = engine
        self._book = book
        self._breakers = breakers
        self._running: dict[ServiceKey, dict[Target, Check]] = {}
        self._count = 0
        self._short: dict[ServiceKey, int] = {}
        """How many probes of a service there was no room for."""
        self._dirty: dict[ServiceKey, None] = {}
        registry.observe(self._published)

    def __len__(self) -> int:
        """How many probes there are to make, again and again."""
        return self._count

    @property
    def left_out(self) -> int:
        """Probes that are not made, because there are too many."""
        return sum(list(self._short.values()))  # metrics are taken beside the core's thread

    def review(self, services: Iterable[ServiceKey] | None = None) -> None:
        """The rules of some services, or (None) of any, may have changed."""
        known = services if services is not None else (s.key for s in self._registry.services())
        self._look_at((*known, *(self._running if services is None else ())), 0.0)

    def of(self, service: ServiceKey) -> list[tuple[AddressKey, str]]:
        """The probes of a service: of which instance, by which rule."""
        return [(place, rule) for _, _, place, rule in self._running.get(service, ())]

    # ------------------------------------------------------------------ pieces

    def _published(self, published: Published) -> None:
        changed = [c.service for c in published.changes if _registered(c.before) != _registered(c.after)]
        if changed:
            self._look_at(changed, SETTLES_S)

    def _look_at(self, services: Iterable[ServiceKey], within_s: float) -> None:
        if not self._dirty:
            self._registry.scheduler.later(within_s, self._settle)
        self._dirty.update(dict.fromkeys(services))

    def _settle(self) -> None:
        """A piece at a time: there may be very many services."""
        dirty = self._dirty
        for service in (*itertools.islice(dirty, PIECE), *self._short):
            dirty.pop(service, None)
            self._adopt(service)
        if dirty:
            self._registry.scheduler.soon(self._settle)

    def _adopt(self, service: ServiceKey) -> None:
        """Bring the probes of a service in line with its rules and instances."""
        known = self._running.pop(service, {})
        wanted = self._wanted(service)
        room = MOST - self._count + len(known)
        self._short.pop(service, None)
        if len(wanted) > room:
            self._short[service] = len(wanted) - room
            wanted = dict(list(wanted.items())[:room])
        for target in known:
            if target not in wanted:
                self._engine.unwatch(target)
                self._breakers.unprobed(service, target[2])
        for target, check in wanted.items():
            if known.get(target) != check:
                self._engine.watch(target, service, check, self._told(service, target[2]))
        self._count += len(wanted) - len(known)
        if wanted:
            self._running[service] = wanted

    def _wanted(self, service: ServiceKey) -> dict[Target, Check]:
        if self._breakers.probing_rule(service) is None:
            return {}
        rules = chosen(self._book.of(service))
        return {
            (_WORD, service, place, rule.id): structs.replace(
                rule.check, host=place.host, port=rule.check.port or place.port
            )
            for place, address in self._registry.snapshot(service).addresses.items()
            if _registered(address)
            for rule in rules
        }

    def _told(self, service: ServiceKey, place: AddressKey) -> Callable[[Outcome], None]:
        def told(outcome: Outcome) -> None:
            self._breakers.probed(service, place, calls_of(outcome))

        return told


def calls_of(outcome: Outcome) -> Calls:
    """A probe as a call: without an answer it failed, whatever codes a rule looks at."""
    well = outcome.state == PASSING
    code = outcome.code or (_PLAIN if well else BROKEN_CODE)
    return Calls(int(well), int(not well), code, outcome.elapsed_ms)


def _registered(address: Address | None) -> bool:
    """Whether somebody who lives stands there."""
    return address is not None and any(r.live for r in address.registrations)
