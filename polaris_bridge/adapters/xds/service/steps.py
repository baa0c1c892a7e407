"""What a client is told next, worked out and encoded: from what it has (``Held``) and what there is, to responses (``Step``).

The work is a generator that stops every ``PORTION`` names, so that it can be done in slices; ``finished`` does it in one go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from polaris_bridge.adapters.xds.resources import Resource, View
from polaris_bridge.adapters.xds.wire import discovery, types

MAX_RESPONSE: Final = 4 * 1024 * 1024 - 64
"""Octets of a response that every client takes (gRPC's limit, less the nonce); above, it is split where the type allows it."""
PORTION: Final = 64
"""Names after which others have their turn."""

NOTHING: Final[frozenset[str]] = frozenset()
_NO_RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType({})
_MASK: Final = (1 << 64) - 1

_Encoded = tuple[tuple[bytes, ...], tuple[frozenset[str], ...]]
"""Responses without nonce, and what is in each; see ``Step``."""
_SILENCE: Final[_Encoded] = ((), ())
_Now = Callable[[str], Resource | None]
"""A resource by its name."""


class Scope(Struct, frozen=True, gc=False):
    """What a subscription is to."""

    names: frozenset[str] = NOTHING
    wildcard: bool = False


class Held(Struct, frozen=True, gc=False, eq=False):
    """What a client was told."""

    resources: Mapping[str, Resource] = _NO_RESOURCES
    total: int = 0
    """Sum of their versions."""

    @property
    def version(self) -> str:
        """Of all of it: equal content has equal versions, also after a restart, and one resource has its own."""
        return f"{self.total & _MASK:016x}"

    def without(self, names: Iterable[str]) -> Held:
        """As if those had never been told."""
        gone = [name for name in names if name in self.resources]
        if not gone:
            return self
        rest, total = dict(self.resources), self.total
        for name in gone:
            total -= number(rest.pop(name))
        return Held(rest, total)

    def of(self, names: Collection[str]) -> Held:
        """Only those."""
        return held_of(self.resources[name] for name in names if name in self.resources)


def number(resource: Resource) -> int:
    """A version as a number. Versions that a client brought from elsewhere may be anything."""
    try:
        return int(resource.version, 16)
    except ValueError:
        return 0


def held_of(resources: Iterable[Resource]) -> Held:
    """As if those had been told."""
    found = {each.name: each for each in resources}
    return Held(found, sum(map(number, found.values()))) if found else EMPTY


EMPTY: Final = Held()


class Step(Struct, frozen=True, gc=False, eq=False):
    """What clients with the same subscription that have the same are told next."""

    held: Held
    """What they have then."""
    stamp: int
    """Up to where that takes them: of the view, when the work began."""
    bodies: tuple[bytes, ...] = ()
    """Responses without nonce; none: there is nothing to say."""
    parts: tuple[frozenset[str], ...] = ()
    """The resources in each response, where one that a client refuses may be told again without the others."""
    warming: frozenset[str] = NOTHING
    """Assignments that a client waits for now, because their clusters are new to it or changed."""
    leaving: frozenset[str] = NOTHING
    """Names that are gone, which is told once nothing points at them."""


Making = Generator[None, None, Step]


def finished(making: Making) -> Step:
    """Without a pause."""
    while True:
        try:
            next(making)
        except StopIteration as stop:
            step: Step = stop.value
            return step


class Steps:
    """What is told of one type in one view."""

    def __init__(self, view: View, type_url: str) -> None:
        self._view = view
        self._type = type_url
        self.oversized = 0
        """Responses that had to be larger than ``MAX_RESPONSE``."""

    def since(self, scope: Scope, stamp: int) -> frozenset[str] | None:
        """Names of a subscription that changed since a stamp. None: all may have."""
        names = self._view.changed(self._type, stamp)
        return names if names is None or scope.wildcard else names & scope.names

    def answer(self, delta: bool, scope: Scope, held: Held, names: frozenset[str] | None, must: bool) -> Making:
        """To a request for names; None: for all that the client has not. ``must``: also when nothing differs."""
        stamp = self._view.stamp(self._type)
        now = self._now(scope)
        if names is None:
            found, gone = yield from _differences(now, held, self._names(scope, held))
            there = {each.name for each in found}
            gone += sorted(name for name in scope.names if name not in there and name not in held.resources)
            yield
        else:
            found, gone = yield from _sorted_out(now, names)
        after = _after(held, found, gone)
        yield
        encoded = _SILENCE
        if found or (gone and delta) or must:
            encoded = yield from self._encoded(delta, after, found, gone)
        return Step(after, stamp, *encoded, self._warming(held, found))

    def change(
        self,
        delta: bool,
        scope: Scope,
        held: Held,
        since: int,
        again: frozenset[str],
        leaving: frozenset[str] | None,
    ) -> Making:
        """After changes since a stamp, and in any case ``again``. ``leaving``: names that are gone and were not said to be; they
        are now, with what has gone since. None: what is gone is not told yet."""
        stamp = self._view.stamp(self._type)
        now = self._now(scope)
        names = self.since(scope, since)
        if names is None:
            names = self._names(scope, held)
        found, gone = yield from _differences(now, held, names | (leaving or NOTHING))
        told = frozenset(each.name for each in found)
        repeated = [each for name in sorted(again - told) if (each := now(name)) is not None]
        kept = NOTHING
        if leaving is None:
            kept, gone = frozenset(gone), []
        after = _after(_after(held, found, gone), repeated, ())
        encoded = _SILENCE
        if found or repeated or (gone and (delta or self._type in types.FULL)):
            encoded = yield from self._encoded(delta, after, [*found, *repeated], gone)
        return Step(after, stamp, *encoded, self._warming(held, found), kept)

    def _warming(self, held: Held, found: Collection[Resource]) -> frozenset[str]:
        if self._type != types.CLUSTER or not held.resources:
            return NOTHING
        return frozenset(discovery.assignment_of(each.packed) for each in found)

    def _now(self, scope: Scope) -> _Now:
        """What a name of the subscription stands for now."""
        read, type_url, names = self._view.read, self._type, scope.names
        if not scope.wildcard:
            return lambda name: read(type_url, name) if name in names else None
        found = self._view.all(type_url).get
        if not names:
            return found
        return lambda name: found(name) or (read(type_url, name) if name in names else None)

    def _names(self, scope: Scope, held: Held) -> frozenset[str]:
        """Every name that the subscription may be about."""
        everything = self._view.all(self._type) if scope.wildcard else NOTHING
        return frozenset((*everything, *scope.names, *held.resources))

    # ------------------------------------------------------------------ encoded

    def _encoded(
        self, delta: bool, held: Held, found: list[Resource], gone: Collection[str]
    ) -> Generator[None, None, _Encoded]:
        type_url = self._type
        if delta:
            parts = yield from _framed(found, lambda each: discovery.framed_delta(each.name, each.version, each.packed))
            parts += [discovery.removed(name) for name in sorted(gone)]
            made = self._split(found, parts, lambda part: discovery.delta_response(type_url, held.version, part))
            return (yield from made)
        if type_url in types.FULL:
            parts = yield from _framed(held.resources.values(), lambda each: discovery.framed(each.packed))
            body = discovery.response(type_url, held.version, parts)
            self.oversized += len(body) > MAX_RESPONSE
            return (body,), ()
        parts = yield from _framed(found, lambda each: discovery.framed(each.packed))
        made = self._split(found, parts, lambda part: discovery.response(type_url, held.version, part))
        return (yield from made)

    def _split(
        self, found: list[Resource], parts: list[bytes], body: Callable[[list[bytes]], bytes]
    ) -> Generator[None, None, _Encoded]:
        """Parts, resources first, in responses that every client takes. One that is too large alone goes alone."""
        room = MAX_RESPONSE - 2 * len(self._type) - 64
        begins = [0]
        size = 0
        for at, part in enumerate(parts):
            if size + len(part) > room and at > begins[-1]:
                begins.append(at)
                size = 0
            self.oversized += len(part) > room
            size += len(part)
        bodies: list[bytes] = []
        names: list[frozenset[str]] = []
        for begin, end in zip(begins, [*begins[1:], len(parts)], strict=True):
            bodies.append(body(parts[begin:end]))
            names.append(frozenset(each.name for each in found[begin:end]))
            yield
        return tuple(bodies), tuple(names)


def _framed(resources: Iterable[Resource], frame: Callable[[Resource], bytes]) -> Generator[None, None, list[bytes]]:
    parts: list[bytes] = []
    for each in resources:
        parts.append(frame(each))
        if len(parts) % PORTION == 0:
            yield
    return parts


def _differences(
    now: _Now, held: Held, names: Collection[str]
) -> Generator[None, None, tuple[list[Resource], list[str]]]:
    """What of some names a client has not, and what it has that is gone."""
    found: list[Resource] = []
    gone: list[str] = []
    known = held.resources
    for count, name in enumerate(sorted(names), 1):
        new, old = now(name), known.get(name)
        if new is None:
            if old is not None:
                gone.append(name)
        elif old is None or (old is not new and old.version != new.version):
            found.append(new)
        if count % PORTION == 0:
            yield
    return found, gone


def _sorted_out(now: _Now, names: Collection[str]) -> Generator[None, None, tuple[list[Resource], list[str]]]:
    """What there is of some names, and of which there is nothing."""
    found: list[Resource] = []
    gone: list[str] = []
    for count, name in enumerate(sorted(names), 1):
        resource = now(name)
        if resource is None:
            gone.append(name)
        else:
            found.append(resource)
        if count % PORTION == 0:
            yield
    return found, gone


def _after(held: Held, found: Collection[Resource], gone: Collection[str]) -> Held:
    """What a client has when it was told."""
    if not found and not any(name in held.resources for name in gone):
        return held
    after, total = dict(held.resources), held.total
    for name in gone:
        old = after.pop(name, None)
        if old is not None:
            total -= number(old)
    for each in found:
        old = after.get(each.name)
        if old is not None:
            total -= number(old)
        after[each.name] = each
        total += number(each)
    return Held(after, total)
