"""One instance of a decision: which group by weight, which of its instances by a policy of load balancing.

Policies are those that rules and SDKs name. Ring hash and Maglev give the same instance for the same key as long as it is there;
other keys move as little as they can when one comes or goes.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import OrderedDict
from itertools import accumulate
from typing import Final, TypeVar

from .model import Decision, Share, Target, Tier
from .ports import Chance

WEIGHTED_RANDOM: Final = "weightedRandom"
ROUND_ROBIN: Final = "roundRobin"
RING_HASH: Final = "ringHash"
MAGLEV: Final = "maglev"
LEAST_REQUEST: Final = "leastRequest"
POLICIES: Final = (WEIGHTED_RANDOM, ROUND_ROBIN, RING_HASH, MAGLEV, LEAST_REQUEST)

PLACES: Final = 40
"""Places on the ring for each instance, on average; heavy ones have more, each has at least one."""
MOST_PLACES: Final = 2500
"""On a ring: with more than 62 instances each has fewer."""
PRIMES: Final = (251, 1009, 4093)
"""Sizes of Maglev tables: the first that is four times the instances."""
MOST_IN_TABLE: Final = 1000
"""Above so many instances the ring is used in place of a table, which would take too long to fill."""
KEPT: Final = 256
"""Groups whose rings, tables and urns are kept."""
TURNS: Final = 4096
"""Groups whose turns are counted; one that comes after so many others begins anew."""

K = TypeVar("K")
V = TypeVar("V")
M = TypeVar("M", "_Urn", "_Ring", "_Table")


class Picker:
    """Picks instances. Turns, rings and tables are kept for the groups that were asked about last."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._turns: OrderedDict[object, _Turns] = OrderedDict()
        self._made: OrderedDict[tuple[int, type], tuple[Share, _Made]] = OrderedDict()

    def pick(self, decision: Decision, policy: str, about: object = None, key: str = "") -> tuple[Share, Target] | None:
        """A group of the best tier and one of its instances; None: there is none.

        ``about``: whose turns are counted for round robin (the service and the kind of caller). ``key``: what is hashed; without
        one the hashing policies are random. ``LEAST_REQUEST`` needs to know what is under way, which only the caller does: of two
        instances drawn, the heavier one is given.
        """
        if not decision.tiers:
            return None
        share = self._share(decision.tiers[0])
        return share, self._target(share, policy, about, key)

    def _share(self, tier: Tier) -> Share:
        shares = tier.shares
        return shares[0] if len(shares) == 1 else shares[self._drawn([share.weight for share in shares])]

    def _target(self, share: Share, policy: str, about: object, key: str) -> Target:
        targets = share.targets
        if len(targets) == 1:
            return targets[0]
        if policy == ROUND_ROBIN:
            return self._turn((about, share.name), targets)
        if policy in (RING_HASH, MAGLEV) and key:
            if policy == MAGLEV and len(targets) <= MOST_IN_TABLE:
                return self._made_of(share, _Table).find(key)
            return self._made_of(share, _Ring).find(key)
        first = self._made_of(share, _Urn).drawn(self._chance)
        if policy != LEAST_REQUEST:
            return first
        second = targets[self._chance(len(targets))]
        return second if second.weight > first.weight else first

    def _drawn(self, weights: list[int]) -> int:
        """A position, each as likely as it weighs."""
        ends = list(accumulate(weights))
        return bisect_left(ends, self._chance(ends[-1]) + 1)

    def _turn(self, about: object, targets: tuple[Target, ...]) -> Target:
        turns = self._turns.get(about)
        if turns is None:
            turns = self._turns[about] = _Turns()
            _trim(self._turns, TURNS)
        return turns.next(targets)

    def _made_of(self, share: Share, kind: type[M]) -> M:
        """What is made of a group once. The group is kept with it, so that its address stays its own."""
        key = id(share), kind
        kept = self._made.get(key)
        if kept is not None and isinstance(kept[1], kind):
            return kept[1]
        made = kind(share.targets)
        self._made[key] = share, made
        _trim(self._made, KEPT)
        return made


def _trim(kept: OrderedDict[K, V], most: int) -> None:
    while len(kept) > most:
        kept.popitem(last=False)


class _Urn:
    """Every instance as often as it weighs."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self._targets = targets
        self._ends = list(accumulate(target.weight for target in targets))

    def drawn(self, chance: Chance) -> Target:
        """One of them."""
        return self._targets[bisect_left(self._ends, chance(self._ends[-1]) + 1)]


class _Turns:
    """Whose turn it is: each instance as often as it weighs, evenly spread (smooth weighted round robin)."""

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def next(self, targets: tuple[Target, ...]) -> Target:
        credit = self._credit
        self._credit = now = {target.id: credit.get(target.id, 0) + target.weight for target in targets}
        best = max(targets, key=lambda target: now[target.id])
        now[best.id] -= sum(target.weight for target in targets)
        return best


class _Ring:
    """Instances at several places of a ring each; a key goes to the next place."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        room, weight = min(MOST_PLACES, PLACES * len(targets)), sum(target.weight for target in targets)
        places = sorted(
            (_hash(f"{target.id}#{i}"), at)
            for at, target in enumerate(targets)
            for i in range(max(1, round(room * target.weight / weight)))
        )
        self._targets = targets
        self._places = [place for place, _ in places]
        self._whose = [at for _, at in places]

    def find(self, key: str) -> Target:
        """Whose place is next."""
        at = bisect_left(self._places, _hash(key))
        return self._targets[self._whose[at % len(self._whose)]]


class _Table:
    """Maglev: every instance fills as much of the table as it weighs, in an order of its own, turn by turn."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        size = next(prime for prime in PRIMES if prime >= 4 * len(targets))
        weight = sum(target.weight for target in targets)
        ends = [size * end // weight for end in accumulate(target.weight for target in targets)]
        quota = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
        table: list[int] = [-1] * size
        turns = []
        for who, target in enumerate(targets):
            if quota[who]:
                skip = _hash(f"{target.id}%") % (size - 1) + 1
                turns.append([who, _hash(f"{target.id}@") % size, skip])
        while turns:
            for turn in turns:
                who, place, skip = turn
                while table[place] >= 0:
                    place = (place + skip) % size
                table[place] = who
                turn[1] = place
                quota[who] -= 1
            turns = [turn for turn in turns if quota[turn[0]]]
        self._targets = targets
        self._table = table

    def find(self, key: str) -> Target:
        """Who is in the place of a key."""
        return self._targets[self._table[_hash(key) % len(self._table)]]


_Made = _Urn | _Ring | _Table


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
