"""Who of a service is told to whom: endpoints by place and rank, as an assignment. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from polaris_bridge.adapters.xds.wire import assignments as wire
from polaris_bridge.core.model import Location
from polaris_bridge.core.routing.index import is_at
from polaris_bridge.core.routing.model import Nearby
from polaris_bridge.core.routing.nearby import place_at

from .endpoints import MOST_WEIGHT, Endpoint

Rank = Callable[[Endpoint], int | None]
"""How soon an endpoint is used, 0 first; None: never."""

_OTHER_WEIGHT: Final = "~"
_LATER: Final = "~~"


def assignment(name: str, endpoints: Sequence[Endpoint], rank: Rank | None = None, *, rich: bool) -> bytes:
    """The assignment of a cluster, encoded. ``endpoints`` in their order, each place once.

    ``rich`` is for Envoy, which looks at labels, and at the weight of each endpoint. gRPC clients look at weights of localities
    only, so that for them those of one place with different weights are told as several localities; and of those that are used
    later at the same place too, since grpc-java keeps one of each name, the last.
    """
    groups: dict[tuple[int, Location, int], list[Endpoint]] = {}
    for each in endpoints:
        at = 0 if rank is None else rank(each)
        if at is not None:
            groups.setdefault((at, each.location, 0 if rich else each.weight), []).append(each)
    return wire.assignment(name, _localities(groups, rich=rich))


def _localities(groups: dict[tuple[int, Location, int], list[Endpoint]], *, rich: bool) -> Iterator[wire.Locality]:
    total = sum(each.weight for group in groups.values() for each in group)
    shrink = -(-total // (MOST_WEIGHT // 2)) if total > MOST_WEIGHT else 1  # half, for nobody becomes weightless
    priorities = {at: priority for priority, at in enumerate(sorted({at for at, _, _ in groups}))}
    largest: dict[tuple[int, Location], int] = {}
    for (at, place, weight), group in groups.items():
        known = largest.get((at, place))
        if known is None or len(group) > len(groups[at, place, known]):
            largest[at, place] = weight
    taken: set[tuple[str, str, str]] = set()
    for at, place, weight in sorted(groups, key=_order):
        group = groups[at, place, weight]
        campus = place.campus
        if weight != largest[at, place]:
            campus = f"{campus}{_OTHER_WEIGHT}{weight}"
        if not rich and (place.region, place.zone, campus) in taken:
            campus = f"{campus}{_LATER}{priorities[at]}"
        taken.add((place.region, place.zone, campus))
        encoded = (
            tuple([each.encoded(rich=rich) for each in group])
            if shrink == 1
            else tuple([each.weighing(max(1, each.weight // shrink), rich=rich) for each in group])
        )
        yield wire.Locality(place.region, place.zone, campus, priorities[at], _weight(group, shrink), encoded)


def _order(key: tuple[int, Location, int]) -> tuple[int, str, str, str, int]:
    at, place, weight = key
    return at, place.region, place.zone, place.campus, weight


def _weight(group: list[Endpoint], shrink: int) -> int:
    """What the healthy ones weigh, for they get the calls; all of them when there are none."""
    healthy = sum(each.weight for each in group if each.healthy)
    return max(1, (healthy or sum(each.weight for each in group)) // shrink)


def nearness(rule: Nearby, place: Location) -> Rank:
    """Ranks by how near an endpoint is to a place, from where the rule begins to how far it goes."""
    levels = [place_at(place, level) for level in range(rule.match, rule.widest - 1, -1)]
    known: dict[Location, int | None] = {}

    def rank(endpoint: Endpoint) -> int | None:
        where = endpoint.location
        if where not in known:
            known[where] = next((at for at, level in enumerate(levels) if is_at(where, level)), None)
        return known[where]

    return rank
