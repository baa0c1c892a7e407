"""All breakers of a node: who tells of calls is judged by the one rule that fits, on each level, and hears what came of it."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, NamedTuple, Protocol, TypeVar

from msgspec import Struct, field

from ..model import AddressKey, ServiceKey
from ..ports import Clock
from ..routing.ports import Patterns
from .breaker import PROBE, Breaker
from .model import (
    CLOSED,
    INSTANCE,
    INTERFACE,
    LEVELS,
    OPEN,
    SERVICE,
    BreakerRule,
    BreakingTerms,
    Calls,
    Resource,
    Told,
    Turn,
)
from .rules import ReadyRule, make_ready

MOST_TURNS: Final = 512
"""Changes of state that are remembered."""
MOST_VOICES: Final = 100_000
"""Voices of all breakers, about 80 MB; beyond, nobody new is heard but probes."""
MOST_CALLERS: Final = 1024
"""Callers of a service for which the choice of a rule is remembered."""
TRIES: Final = 64
"""How many open breakers are passed over when one has to go."""
MOST_SERVICES: Final = 10_000
"""Services whose rules are kept ready; the one that came first goes."""


class BreakerBook(Protocol):
    """Where rules come from."""

    def revision(self) -> int:
        """Moves when any rule does."""
        ...

    def of(self, service: ServiceKey) -> tuple[Hashable, Callable[[], Iterable[BreakerRule]]]:
        """What says which rules are in force for a service (equal: the same ones; false: none), and what reads them."""
        ...


class Standing(NamedTuple):
    """A resource under a rule."""

    resource: Resource
    breaker: Breaker


class _Rules(Struct):
    seen: int
    of: Hashable
    ready: tuple[ReadyRule, ...]
    levels: dict[str, tuple[ReadyRule, ...]]
    """The same, level by level."""
    covering: dict[tuple[str, ServiceKey | None], tuple[ReadyRule, ...]] = field(default_factory=dict)
    """By level and caller, those that are about its calls, as far as services say that."""


_NONE: Final = _Rules(0, None, (), {})


K = TypeVar("K")
_Key = tuple[str, Resource]
"""Id of a rule, and what its calls are counted for."""


class Breakers:
    """The breakers of a node. ``moved`` is told of every service of which an instance's breaker turned."""

    def __init__(
        self,
        book: BreakerBook,
        patterns: Patterns,
        clock: Clock,
        terms: BreakingTerms,
        moved: Callable[[ServiceKey], None] = lambda _service: None,
    ) -> None:
        self.turns: deque[Turn] = deque(maxlen=MOST_TURNS)
        """The last changes of state, the latest last."""
        self.turned: dict[tuple[str, str], int] = {}
        """How often, by level and new state, since the start."""
        self._book = book
        self._patterns = patterns
        self._clock = clock
        self._terms = terms
        self._moved = moved
        self._rules: dict[ServiceKey, _Rules] = {}
        self._levels: dict[str, OrderedDict[_Key, Breaker]] = {level: OrderedDict() for level in LEVELS}
        self._of: dict[ServiceKey, dict[_Key, None]] = {}
        """Breakers of each service."""
        self._at: dict[tuple[ServiceKey, AddressKey], dict[_Key, None]] = {}
        """Breakers of each instance."""
        self._voices = 0
        self._open: dict[_Key, Breaker] = {}
        """Those that wait for their time."""

    def __len__(self) -> int:
        """How many breakers are kept."""
        return sum(map(len, self._levels.values()))

    @property
    def now_ms(self) -> int:
        """Breakers' own time: it does not jump when a clock is set."""
        return int(self._clock.monotonic() * 1000)

    def wall_ms(self, at_ms: int) -> int:
        """Breakers' time as milliseconds since 1970."""
        return self._clock.wall_ms() + at_ms - self.now_ms

    # ------------------------------------------------------------------ what happens

    def tell(self, told: Told) -> list[Standing]:
        """Calls were made. The resources that they count for, as they stand now."""
        kept, service = self._kept(told.service), told.service
        resources = [Resource(SERVICE, service)]
        if told.path:
            resources.append(Resource(INTERFACE, service, told.path))
        if told.place is not None:
            resources.append(Resource(INSTANCE, service, "", told.place))
        found: list[Standing] = []
        for resource in resources:
            ready = _rule(kept, resource.level, told)
            if ready is not None:
                found.append(self._count(ready, told, resource))
        return found

    def probed(self, service: ServiceKey, place: AddressKey, calls: Calls) -> None:
        """The server's own probe called an instance: it counts by the rule that is about whoever calls."""
        rule = self.probing_rule(service)
        if rule is not None:
            told = Told(PROBE, service, calls, place=place)
            self._count(rule, told, Resource(INSTANCE, service, "", place))

    def probing_rule(self, service: ServiceKey) -> ReadyRule | None:
        """The rule of a service's instances that probes count by; None: there is none, so none are wanted."""
        for ready in self._kept(service).levels.get(INSTANCE, ()):
            if ready.everyone:
                return ready if ready.rule.probed else None
        return None

    def tick(self) -> None:
        """Calls that stopped for long enough are tried again. To be called once a second."""
        now_ms = self.now_ms
        for (rule, resource), breaker in list(self._open.items()):
            before = breaker.state
            breaker.pass_time(now_ms)
            self._note((rule, resource), breaker, before)

    # ------------------------------------------------------------------ what ends a breaker

    def review(self) -> None:
        """Rules may have changed: what was counted by one that is gone, off or another one now counts no more."""
        for service in list(self._of):
            current = {ready.rule.id: ready for ready in self.rules(service)}
            for key in list(self._of.get(service, ())):
                breaker = self._levels[key[1].level][key]
                if current.get(key[0]) is not breaker.ready:
                    self._drop(key)
                elif not breaker.ready.rule.probed:
                    self._unprobe(breaker)

    def forget(self, service: ServiceKey, place: AddressKey) -> None:
        """An instance is gone."""
        for key in list(self._at.get((service, place), ())):
            self._drop(key)

    def release(self, service: ServiceKey, place: AddressKey) -> bool:
        """All calls go to an instance again, because somebody says so. Whether they had stopped."""
        now_ms, stopped = self.now_ms, False
        for key in self._at.get((service, place), ()):
            breaker = self._levels[INSTANCE][key]
            if breaker.state != CLOSED:
                before, stopped = breaker.state, True
                breaker.close(now_ms)
                self._note(key, breaker, before)
        return stopped

    def unprobed(self, service: ServiceKey, place: AddressKey) -> None:
        """No probe of an instance is made any more."""
        for key in self._at.get((service, place), ()):
            self._unprobe(self._levels[INSTANCE][key])
            self._moved(service)

    # ------------------------------------------------------------------ reading

    def of(self, service: ServiceKey) -> Iterator[Standing]:
        """The breakers of a service."""
        for key in list(self._of.get(service, ())):
            breaker = self._levels[key[1].level].get(key)
            if breaker is not None:
                yield Standing(key[1], breaker)

    def stopping(self, service: ServiceKey) -> list[Standing]:
        """The breakers of a service's instances that nobody should call, those that opened first first."""
        found = [
            Standing(key[1], breaker)
            for key, breaker in self._open.items()
            if key[1].service == service and key[1].place is not None and breaker.stops
        ]
        return sorted(found, key=lambda each: each.breaker.opened_ms)

    def states(self) -> dict[tuple[str, str], int]:
        """How many breakers are open or half-open, by level and state."""
        found: dict[tuple[str, str], int] = {}
        for (_, resource), breaker in list(self._open.items()):
            key = resource.level, breaker.state
            found[key] = found.get(key, 0) + 1
        return found

    def rules(self, service: ServiceKey) -> tuple[ReadyRule, ...]:
        """The rules of a service, ready, the one to be asked first first."""
        return self._kept(service).ready

    # ------------------------------------------------------------------ pieces

    def _unprobe(self, breaker: Breaker) -> None:
        self._voices -= PROBE in breaker.voices
        breaker.unprobed()

    def _kept(self, service: ServiceKey) -> _Rules:
        """Rules are made ready once for each change."""
        seen = self._book.revision()
        kept = self._rules.get(service)
        if kept is not None and kept.seen == seen:
            return kept
        of, read = self._book.of(service)
        if not of:
            self._rules.pop(service, None)  # names without rules are not kept: there is no end of them
            return _NONE
        if kept is not None and kept.of == of:
            kept.seen = seen
            return kept
        ready = make_ready(read(), self._patterns, () if kept is None else kept.ready)
        levels = {level: tuple(each for each in ready if each.rule.level == level) for level in LEVELS}
        if kept is None and len(self._rules) >= MOST_SERVICES:
            del self._rules[next(iter(self._rules))]
        made = self._rules[service] = _Rules(seen, of, ready, {level: of for level, of in levels.items() if of})
        return made

    def _count(self, ready: ReadyRule, told: Told, resource: Resource) -> Standing:
        now_ms = self.now_ms
        key = ready.rule.id, resource
        breaker = self._breaker(key, ready, now_ms)
        before = breaker.state
        breaker.pass_time(now_ms)
        self._note(key, breaker, before)
        before = breaker.state
        voices = len(breaker.voices)
        well, failed = breaker.tell(told, now_ms, admit=self._voices < MOST_VOICES)
        self._voices += len(breaker.voices) - voices
        ready.calls += well + failed
        ready.errors += failed
        self._note(key, breaker, before)
        return Standing(resource, breaker)

    def _breaker(self, key: _Key, ready: ReadyRule, now_ms: int) -> Breaker:
        level = self._levels[key[1].level]
        breaker = level.get(key)
        if breaker is not None and breaker.ready is not ready:
            self._drop(key)
            breaker = None
        if breaker is None:
            breaker = level[key] = Breaker(ready, self._terms.reporters, now_ms)
            self._of.setdefault(key[1].service, {})[key] = None
            if key[1].place is not None:
                self._at.setdefault((key[1].service, key[1].place), {})[key] = None
            if len(level) > self._terms.resources:
                self._drop(self._oldest(level))
        else:
            level.move_to_end(key)
        return breaker

    def _oldest(self, level: OrderedDict[_Key, Breaker]) -> _Key:
        """The one that was used longest ago; a closed one if possible, for nobody uses what calls do not go to."""
        for _ in range(TRIES):
            key = next(iter(level))
            if key not in self._open:
                return key
            level.move_to_end(key)
        return next(iter(level))

    def _drop(self, key: _Key) -> None:
        resource = key[1]
        breaker = self._levels[resource.level].pop(key)
        self._voices -= len(breaker.voices)
        self._open.pop(key, None)
        _leave(self._of, resource.service, key)
        if resource.place is not None:
            _leave(self._at, (resource.service, resource.place), key)
        if breaker.stops and resource.place is not None:
            self._moved(resource.service)

    def _note(self, key: _Key, breaker: Breaker, before: str) -> None:
        after = breaker.state
        if before == after:
            return
        resource, rule = key[1], breaker.ready.rule
        if after == CLOSED:
            self._open.pop(key, None)
        else:
            self._open[key] = breaker
        counted = resource.level, after
        self.turned[counted] = self.turned.get(counted, 0) + 1
        why = breaker.why if after == OPEN else ""
        self.turns.append(Turn(self._clock.wall_ms(), resource, rule.id, rule.name, before, after, why))
        if resource.place is not None:
            self._moved(resource.service)


def _rule(kept: _Rules, level: str, told: Told) -> ReadyRule | None:
    """The one rule of a level that a call is judged by."""
    for ready in _covering(kept, level, told):
        if level != INTERFACE or ready.about(told):
            return ready
    return None


def _covering(kept: _Rules, level: str, told: Told) -> tuple[ReadyRule, ...]:
    """The rules of a level that are about a caller's calls."""
    key = level, told.caller
    found = kept.covering.get(key)
    if found is None:
        found = tuple(each for each in kept.levels.get(level, ()) if each.covers(told.service, told.caller))
        if kept.levels and len(kept.covering) < MOST_CALLERS:
            kept.covering[key] = found
    return found


def _leave(index: dict[K, dict[_Key, None]], at: K, key: _Key) -> None:
    of = index[at]
    del of[key]
    if not of:
        del index[at]
