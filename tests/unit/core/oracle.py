"""What the registry ought to hold, said as naively as possible and from the documents alone: facts in a dict, views by
going through the rules one after the other. Time is *lease time*: seconds in which heartbeats could have been heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from polaris_bridge.core.model import (
    CRITICAL,
    DOWN,
    OUT_OF_SERVICE,
    SEVERITY,
    UP,
    AddressKey,
    Checks,
    Lease,
    Liveness,
    RegistrationKey,
    ServiceKey,
    Session,
)

SLACK_S = 2.01
"""How much later than its lease an instance may be found lost or deleted."""
LINGER_S = 60.0
GRACE_S = 30.0

Spot = tuple[ServiceKey, AddressKey]
SwitchId = tuple[str, str]


@dataclass
class Fact:
    """One registration."""

    id: RegistrationKey
    spot: Spot
    tag: str
    reported: str
    liveness: Liveness
    seq: int
    heard: float
    latest: float
    """Its lease runs from some moment between these two: from the call, or from when the store had it."""
    lost: bool = False
    free: float = float("-inf")
    """Since when no write on it waits: what is overdue then goes with the next tick."""
    unsure: bool = False
    """Heard of while a write on it was pending: it may be found live now or after its next renewal."""

    @property
    def source(self) -> str:
        return self.id.source

    @property
    def word(self) -> str:
        failing = isinstance(self.liveness, Checks) and CRITICAL in self.liveness.states.values()
        return max(self.reported, DOWN, key=SEVERITY.__getitem__) if failing else self.reported

    @property
    def says(self) -> tuple[object, ...]:
        """The document; results of checks are no part of it."""
        liveness = None if isinstance(self.liveness, Checks) else self.liveness
        return (self.spot, self.tag, self.reported, liveness)


@dataclass
class Facts:
    """All facts at one moment."""

    by_id: dict[RegistrationKey, Fact] = field(default_factory=dict)
    switches: dict[Spot, dict[SwitchId, tuple[str, bool]]] = field(default_factory=dict)
    """By spot and (source, key): the word, and whether it lingers."""
    emptied: dict[Spot, float] = field(default_factory=dict)
    doubtful: set[Spot] = field(default_factory=set)
    """Spots whose switches depend on the order of things that happened at once."""
    ejected: set[Spot] = field(default_factory=set)

    def copy(self) -> Facts:
        return Facts(
            {k: replace(f) for k, f in self.by_id.items()},
            {s: dict(d) for s, d in self.switches.items()},
            dict(self.emptied),
            set(self.doubtful),
            set(self.ejected),
        )

    def at(self, spot: Spot) -> list[Fact]:
        return [f for f in self.by_id.values() if f.spot == spot]

    def put(self, fact: Fact, now: float, published: float) -> None:
        """Register: new, or in place of what the key held."""
        fact = replace(fact, latest=published)
        before = self.by_id.get(fact.id)
        if before is not None and before.says == fact.says:
            fact = replace(fact, seq=before.seq)
        along = None
        if before is not None and before.spot != fact.spot:  # a switch on a registration goes where it goes
            left = dict(self.switches.get(before.spot, {}))
            along = left.pop((fact.source, fact.id.key), None)
            self.set_switches(before.spot, left)
            self.end(fact.id, now)
        self.by_id[fact.id] = replace(fact)
        self.emptied.pop(fact.spot, None)
        if along is not None:
            here = self.switches.get(fact.spot, {})
            self.set_switches(fact.spot, {**here, (fact.source, fact.id.key): along})

    def end(self, id: RegistrationKey, now: float, *, keep_switches: bool = False) -> None:
        """A registration ends, and with the last one at an address the switches."""
        gone = self.by_id.pop(id, None)
        if gone is None:
            return
        left = self.at(gone.spot)
        switches = self.switches.get(gone.spot, {})
        if not left:
            self.emptied[gone.spot] = now
            self.ejected.discard(gone.spot)
        if keep_switches:
            kept = dict(switches)
        elif not left:
            kept = {k: v for k, v in switches.items() if v[1]}
        elif any(f.source != gone.source for f in left):
            kept = dict(switches)
        else:
            kept = {k: v for k, v in switches.items() if v[1] or k != (gone.source, id.key)}
        self.set_switches(gone.spot, kept)

    def set_switches(self, spot: Spot, switches: dict[SwitchId, tuple[str, bool]]) -> None:
        if switches:
            self.switches[spot] = switches
        else:
            self.switches.pop(spot, None)

    def turn(self, spot: Spot, id: SwitchId, word: str, lingers: bool, on: bool) -> None:
        """An operator's switch; nothing happens where nothing stands."""
        switches = dict(self.switches.get(spot, {}))
        if not self.at(spot):
            self.doubtful.add(spot)
        if on:
            switches[id] = (word, lingers)
        else:
            switches.pop(id, None)
        self.set_switches(spot, switches)

    def stands(self, spot: Spot) -> bool:
        return bool(self.at(spot) or self.switches.get(spot))

    # ------------------------------------------------------------------ what readers see: mapping, section 9

    def view(self, spot: Spot, reader: str, copies: Callable[[Fact], bool] = lambda f: False) -> list[tuple[str, ...]]:
        """(source, key, word, live or lost, own or foreign) of everything shown, sorted."""
        seen = self._view(spot, reader, copies)
        if spot not in self.ejected:
            return seen
        return sorted((source, key, DOWN if word == UP else word, "lost", who) for source, key, word, _, who in seen)

    def _view(self, spot: Spot, reader: str, copies: Callable[[Fact], bool]) -> list[tuple[str, ...]]:
        here = self.at(spot)
        candidates: list[Fact] = []
        for lost, copied in ((False, False), (False, True), (True, False), (True, True)):
            candidates = candidates or [f for f in here if f.lost == lost and copies(f) == copied]
        if not candidates:
            return []
        live = "lost" if candidates[0].lost else "live"
        own = [f for f in candidates if f.source == reader]
        if own:
            return sorted((f.source, f.id.key, self._own_word(spot, f, here), live, "own") for f in own)
        newest = max(candidates, key=lambda f: f.seq).source
        word = max((f.word for f in candidates), key=SEVERITY.__getitem__)
        if any(self._all_off(spot, source, here) for source in self._switching(spot)):
            word = OUT_OF_SERVICE
        return sorted((f.source, f.id.key, word, live, "foreign") for f in candidates if f.source == newest)

    def _switching(self, spot: Spot) -> set[str]:
        return {source for (source, _), (word, _) in self.switches.get(spot, {}).items() if word != UP}

    def _off(self, spot: Spot, source: str) -> set[str]:
        return {k for (s, k), (word, _) in self.switches.get(spot, {}).items() if s == source and word != UP}

    def _all_off(self, spot: Spot, source: str, here: list[Fact]) -> bool:
        """A switch on the address, or on every id that its protocol has there."""
        off = self._off(spot, source)
        return "" in off or {f.id.key for f in here if f.source == source} <= off

    def _own_word(self, spot: Spot, f: Fact, here: list[Fact]) -> str:
        if "" in self._off(spot, f.source):
            return OUT_OF_SERVICE
        if any(self._all_off(spot, source, here) for source in self._switching(spot) - {f.source}):
            return OUT_OF_SERVICE
        if f.word == UP and f.id.key in self._off(spot, f.source):
            return self.switches[spot][(f.source, f.id.key)][0]
        return f.word

    # ------------------------------------------------------------------ time

    def may_be(self, f: Fact, now: float, raw: float, pending: bool, sessions: Sessions) -> set[str]:
        """The states in which a registration may be found now: live, lost, gone."""
        pending = pending or now - f.free < SLACK_S
        if isinstance(f.liveness, Session):
            return sessions.may_be(f.liveness.id, now, raw, pending)
        if not isinstance(f.liveness, Lease):
            return {"live"}
        age, least = now - f.heard, now - f.latest
        unhealthy, delete = f.liveness.unhealthy_ms / 1000, f.liveness.delete_ms / 1000
        states = {"lost"} if f.lost else {"live"}
        if f.unsure:
            states |= {"live", "lost"}
        if age >= unhealthy:
            states.add("lost")
        if least >= unhealthy + SLACK_S and not pending:
            states.discard("live")
        if delete and age >= delete:
            states.add("gone")
        if delete and least >= delete + SLACK_S and not pending:
            states = {"gone"}
        return states


@dataclass
class Sessions:
    """Which connections stand, and since when others are missed."""

    open: set[str] = field(default_factory=set)
    awaited: dict[str, tuple[float, float]] = field(default_factory=dict)
    """After a start: since when (lease time, clock time) a session is waited for."""
    closed: dict[str, float] = field(default_factory=dict)

    def may_be(self, id: str, now: float, raw: float, pending: bool) -> set[str]:
        if id in self.open:
            return {"live"}
        if id in self.awaited:
            since, raw_since = self.awaited[id]
            if now - since >= GRACE_S + SLACK_S and not pending:
                return {"gone"}
            return {"live", "gone"} if raw - raw_since >= GRACE_S else {"live"}
        if pending or now - self.closed.get(id, float("-inf")) < SLACK_S:
            return {"live", "gone"}
        return {"gone"}
