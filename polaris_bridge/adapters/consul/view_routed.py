"""What kinds of callers see of services whose answers are routed: of the whole, the instances that rules leave them, with the
weights that rules give them.

Made for a kind when somebody of it asks, kept for all of it, and made anew when the whole or what it is given of it changes.
Instances are those of the whole, with their encoded forms; only one whose weight is another one is an object of its own.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from math import gcd
from operator import is_
from typing import Final

from msgspec import Struct

from polaris_bridge.core.events import Published
from polaris_bridge.core.model import Caller, ServiceKey
from polaris_bridge.core.registry import Registry
from polaris_bridge.core.routing.classes import RoutingClass
from polaris_bridge.core.routing.discovery import DiscoveryRouting
from polaris_bridge.core.routing.subset import Subset

from .view import SMALL, Found, Indexes, View
from .view_instances import At, Instance, Listing, ServiceView
from .wire.shapes import Weights

_MOST_KEPT: Final = 1024
"""Parts of services; the one that was asked for longest ago goes first."""
_PIECE: Final = 128
"""Instances that are looked at before a slice may end."""
_HEAVIEST: Final = 65_535
_NEVER: Final = Indexes(0, 0)

Kinds = tuple[RoutingClass | None, ...]
"""What a caller is for each spelling of a service's name; None: for that one answers are not routed."""


class _Part(Struct):
    """What one kind of callers sees of a service."""

    whole: Sequence[Instance]
    """Of which it is a part: another list after each change."""
    revisions: tuple[int, ...]
    """Since when the kind is given just this."""
    listing: Listing
    instances: Sequence[Instance]
    """Those of the listing, as it was then."""
    indexes: Indexes
    weighed: dict[Instance, Instance]
    """By instance of the whole: the one with another weight."""


class RoutedViews:
    """The parts of one listener's services."""

    def __init__(
        self,
        view: View,
        registry: Registry,
        routing: DiscoveryRouting,
        turned: Callable[[Caller], int],
        *,
        switched: bool,
    ) -> None:
        """``turned``: the publication since which a caller may be of another kind. ``switched``: whether the listener routes
        services that do not say so themselves."""
        self.routing = routing
        self.turned = turned
        self.view = view
        self._registry = registry
        self._switched = switched
        self._parts: OrderedDict[tuple[str, str, Kinds], _Part] = OrderedDict()
        self._routed: set[ServiceKey] = set()
        """Of which somebody saw a part: whoever waits for one of them is told when it is not routed any more."""
        registry.observe(self._published)

    @property
    def on(self) -> bool:
        """Whether answers about anything are routed."""
        return self.routing.any_on(self._switched)

    def kinds(self, whole: ServiceView, caller: Callable[[], Caller]) -> Kinds:
        """What a caller is for a service; nothing when answers about it are not routed."""
        routing, switched = self.routing, self._switched
        found = [routing.classify(key, caller()) if routing.on(key, switched) else None for key in whole.keys]
        return tuple(found) if any(kind is not None for kind in found) else ()

    def at_hand(self, namespace: str, whole: ServiceView, kinds: Kinds) -> bool:
        """Whether what a kind sees of a service was made and is as it is now."""
        part = self._parts.get((namespace, whole.name.lower(), kinds))
        if part is None or part.whole is not whole.instances or any(map(self.routing.ahead, whole.keys)):
            return False
        return _is_fresh(part, whole, self._subsets(whole, kinds))

    def ahead(self, whole: ServiceView) -> Generator[None, None, None]:
        """Read what rules are asked about. Yields where it may be interrupted."""
        for key in list(whole.keys):
            work = self.routing.ahead(key)
            if work is not None:
                yield from work

    def part(self, namespace: str, whole: ServiceView, kinds: Kinds) -> Generator[None, None, Found]:
        """What a kind sees of a service, and since when. Yields where it may be interrupted; changes meanwhile are not in it,
        and it does not say so."""
        at, newest = (namespace, whole.name.lower(), kinds), self._registry.revision
        instances, subsets = whole.instances, self._subsets(whole, kinds)
        before = self._parts.get(at)
        if before is not None and _is_fresh(before, whole, subsets):
            self._parts.move_to_end(at)
            return before.listing, before.indexes
        if all(subset.whole for subset in subsets.values()):
            part = _Part(instances, _revisions(subsets), whole, instances, _NEVER, {})
        else:
            weighed = {} if before is None else before.weighed
            found, weighed = yield from _chosen(instances, subsets, weighed)
            part = _Part(instances, _revisions(subsets), Listing(whole.name, found), found, _NEVER, weighed)
            if before is not None:
                part.listing.encoded |= before.listing.encoded
        part.indexes = _since(before, part, newest)
        self._routed.update(whole.keys)
        self._parts[at] = part
        self._parts.move_to_end(at)
        if len(self._parts) > _MOST_KEPT:
            self._parts.popitem(last=False)
        return part.listing, part.indexes

    def _subsets(self, whole: ServiceView, kinds: Kinds) -> dict[ServiceKey, Subset]:
        both = zip(whole.keys, kinds, strict=False)  # another spelling may have come since
        return {key: self.routing.subset(key, kind) for key, kind in both if kind is not None}

    def _published(self, published: Published) -> None:
        """A service that was published though none of its instances changed: rules, or its own word. Then callers may be of
        another kind, which had its part before: no part keeps its index."""
        if not self.on and not self._routed:
            return
        changed = {change.service for change in published.changes}
        again = [
            key
            for key in published.services
            if key not in changed and (key in self._routed or self.routing.on(key, self._switched))
        ]
        if again:
            folded = {(key.namespace, key.name.lower()) for key in again}
            for at in [at for at in self._parts if at[:2] in folded]:
                del self._parts[at]
            self.view.again(again, published.revision)


class CallerView:
    """``Reading`` for one caller and one call: parts where answers are routed, the whole elsewhere."""

    __slots__ = ("_caller", "_views", "_who")

    def __init__(self, views: RoutedViews, who: Callable[[], Caller]) -> None:
        """``who``: asked when it is needed."""
        self._views = views
        self._who = who
        self._caller: Caller | None = None

    def at_hand(self, namespace: str, name: str, variant: str = "") -> Found | None:
        """See ``Reading``."""
        views = self._views
        found = views.view.at_hand(namespace, name)
        if found is None:
            return None
        whole = views.view.service(namespace, name)
        kinds = views.kinds(whole, self._asks)
        if not kinds:
            return views.view.at_hand(namespace, name, variant)
        if whole.size > SMALL and not views.at_hand(namespace, whole, kinds):
            return None
        listing, indexes = self._since(views.turned(self._asks()), _done(views.part(namespace, whole, kinds)))
        long = len(listing.instances) > SMALL and variant and variant not in listing.encoded
        return None if long else (listing, indexes)

    def build(
        self, namespace: str, name: str, variant: str = "", encode: Callable[[Instance], object] | None = None
    ) -> Generator[None, None, Found]:
        """See ``Reading``."""
        views = self._views
        yield from views.view.build(namespace, name)
        whole = views.view.service(namespace, name)
        yield from views.ahead(whole)
        kinds, turned = views.kinds(whole, self._asks), views.turned(self._asks())
        if not kinds:
            found = yield from views.view.build(namespace, name, variant, encode)
            return found
        part = yield from views.part(namespace, whole, kinds)
        listing = part[0]
        if encode is not None and variant not in listing.encoded:
            for instance in listing.instances:
                encode(instance)
                yield
            listing.encoded.add(variant)
        return self._since(turned, part)

    def read(self, namespace: str, name: str) -> Found:
        """See ``Reading``."""
        views = self._views
        whole = views.view.service(namespace, name)
        kinds = views.kinds(whole, self._asks)
        if not kinds:
            return views.view.read(namespace, name)
        return self._since(views.turned(self._asks()), _done(views.part(namespace, whole, kinds)))

    def indexes(self, namespace: str, name: str) -> Indexes:
        """See ``Reading``."""
        view = self._views.view
        return _NEVER if self._views.kinds(view.service(namespace, name), self._asks) else view.indexes(namespace, name)

    def _asks(self) -> Caller:
        if self._caller is None:
            self._caller = self._who()
        return self._caller

    @staticmethod
    def _since(turned: int, part: Found) -> Found:
        """What a caller sees changed with what its kind sees, or when it became one of that kind."""
        listing, indexes = part
        return listing, Indexes(max(indexes.any, turned), max(indexes.catalog, turned))


# ---------------------------------------------------------------------- pieces


def _done(steps: Generator[None, None, Found]) -> Found:
    """The result of steps, in one go."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: Found = stop.value
            return found


def _revisions(subsets: Mapping[ServiceKey, Subset]) -> tuple[int, ...]:
    return tuple(subset.revision for subset in subsets.values())


def _is_fresh(part: _Part, whole: ServiceView, subsets: Mapping[ServiceKey, Subset]) -> bool:
    return part.whole is whole.instances and part.revisions == _revisions(subsets)


def _since(before: _Part | None, now: _Part, newest: int) -> Indexes:
    """Since when a part is as it is. What is another than before changed with the newest publication at the latest; what is
    not keeps its index, so that nobody is woken by what others see."""
    if before is None:
        return Indexes(newest, newest)
    a, b, indexes = before.instances, now.instances, before.indexes
    if len(a) == len(b) and all(map(is_, a, b)):
        return indexes
    return Indexes(newest, indexes.catalog if _same_catalog(a, b) else newest)


def _same_catalog(a: Sequence[Instance], b: Sequence[Instance]) -> bool:
    """Whether catalog shows the same, which knows no checks."""
    return len(a) == len(b) and all(
        x is y or (x.service == y.service and x.node.shape == y.node.shape) for x, y in zip(a, b, strict=True)
    )


def _chosen(
    instances: Sequence[Instance], subsets: Mapping[ServiceKey, Subset], before: Mapping[Instance, Instance]
) -> Generator[None, None, tuple[list[Instance], dict[Instance, Instance]]]:
    """The instances that are left, and those of them that have another weight than in the whole. ``before``: these as they
    were made before. Yields where it may be interrupted."""
    found: list[Instance] = []
    weights: list[tuple[int, At, int]] = []
    """Of weighed instances: place in ``found``, where it stands, what the address weighs."""
    chosen = {key: subset for key, subset in subsets.items() if not subset.whole}
    for number, instance in enumerate(instances):
        if number % _PIECE == _PIECE - 1:
            yield
        at = instance.at
        subset = None if at is None else chosen.get(at[0])
        if at is not None and subset is not None:
            weight = subset.addresses.get(at[1])
            if weight is None:
                continue
            if subset.weighted and weight > 0:
                weights.append((len(found), at, weight))
        found.append(instance)
    weighed: dict[Instance, Instance] = {}
    for number, (place, weight) in enumerate(_shared(found, weights)):
        if number % _PIECE == _PIECE - 1:
            yield
        own = found[place]
        made = before.get(own)
        wanted = _weights(own, weight)
        if wanted != own.service.weights:
            if made is None or made.service.weights != wanted:
                made = own.weighing(wanted)
            found[place] = weighed[own] = made
    return found, weighed


def _shared(found: Sequence[Instance], weights: Sequence[tuple[int, At, int]]) -> Iterator[tuple[int, int]]:
    """By place in ``found``: the weight in the smallest whole numbers that keep all proportions. Instances at one address
    share what the address weighs, by their own weights."""
    if not weights:
        return
    there = Counter(at for _, at, _ in weights)
    totals = Counter[At]()
    for place, at, _ in weights:
        if there[at] > 1:
            totals[at] += _own_weight(found[place])
    parts = [
        weight if there[at] == 1 else max(1, round(weight * _own_weight(found[place]) / totals[at]))
        for place, at, weight in weights
    ]
    unit = gcd(*parts)
    for (place, _, _), weight in zip(weights, parts, strict=True):
        yield place, weight // unit


def _own_weight(instance: Instance) -> int:
    return max(1, instance.service.weights.passing)


def _weights(instance: Instance, passing: int) -> Weights:
    """With a warning an instance keeps the part of its weight that it would have had without rules."""
    own = instance.service.weights
    if own.warning <= 0:
        return Weights(passing, 0)
    return Weights(passing, min(_HEAVIEST, max(1, round(passing * own.warning / max(1, own.passing)))))
