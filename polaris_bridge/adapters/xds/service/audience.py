"""Who subscribes to resources of one type in one view, and what they are told: worked out and encoded once for all who ask for
the same and have the same.

What a client was told is a ``Held``, shared by all who were told the same. So a change is found out once for each different
``Held`` of a ``Group`` (those with the same subscription), and a client that is up to date costs a look into a dict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from polaris_bridge.adapters._shared.slices import Work
from polaris_bridge.adapters.xds.resources import Resource, View
from polaris_bridge.adapters.xds.wire import discovery, types

if TYPE_CHECKING:
    from .subscription import Subscription

MAX_RESPONSE: Final = 4 * 1024 * 1024 - 64
"""Octets of a response that every client takes (gRPC's limit, less the nonce); above, it is split where the type allows."""
NARROW: Final = 16
"""Up to so many names a group is found by them; others are compared with each change."""
MAX_KEPT: Final = 16 * 1024 * 1024
"""Octets of encoded answers that are kept for whoever asks the same, until something changes."""

MAX_STEPS: Final = 4096
"""The same, counted."""

NOTHING: Final[frozenset[str]] = frozenset()
_NO_RESOURCES: Final[Mapping[str, Resource]] = MappingProxyType({})
_MASK: Final = (1 << 64) - 1

_Now = Callable[[str], Resource | None]
"""A resource by its name."""
_Wanted = Callable[[], frozenset[str] | None]
"""Names that a step is about; None: all of the subscription."""


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
    bodies: tuple[bytes, ...] = ()
    """Responses without nonce; none: there is nothing to say."""
    warming: frozenset[str] = NOTHING
    """Assignments that a client waits for now, because their clusters are new to it or changed (state of the world)."""
    leaving: frozenset[str] = NOTHING
    """Names that are gone, which is told once nothing points at them."""


class Group:
    """Everybody with the same subscription to one type in one view."""

    __slots__ = ("members", "names", "wildcard")

    def __init__(self, names: frozenset[str], wildcard: bool) -> None:
        self.names = names
        self.wildcard = wildcard
        self.members: dict[Subscription, None] = {}

    @property
    def narrow(self) -> bool:
        """Whether it is found by its names."""
        return not self.wildcard and len(self.names) <= NARROW


class Building(Exception):
    """What is to be told has to be built first, in slices."""

    def __init__(self, key: object, work: Work) -> None:
        super().__init__()
        self.key = key
        self.work = work


class Audience:
    """The subscribers of one type in one view, and the answers to them."""

    def __init__(self, view: View, type_url: str) -> None:
        self.view = view
        self.type_url = type_url
        self.at = view.stamp(type_url)
        """Up to where its members were looked through for whom a change concerns."""
        self.oversized = 0
        """Responses that had to be larger than ``MAX_RESPONSE``."""
        self._groups: dict[tuple[frozenset[str], bool], Group] = {}
        self._narrow: dict[str, dict[Group, None]] = {}
        self._wide: dict[Group, None] = {}
        self._stamp = -1
        self._steps: dict[tuple[object, ...], tuple[Held, Step]] = {}
        self._kept = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    # ------------------------------------------------------------------ who

    def enter(self, member: Subscription, names: frozenset[str], wildcard: bool) -> Group:
        """The group of a subscription, which it is a member of from now on."""
        key = names, wildcard
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(names, wildcard)
            if group.narrow:
                for name in names:
                    self._narrow.setdefault(name, {})[group] = None
            else:
                self._wide[group] = None
        group.members[member] = None
        return group

    def leave(self, member: Subscription, group: Group) -> None:
        """No member any more."""
        del group.members[member]
        if group.members:
            return
        del self._groups[group.names, group.wildcard]
        if not group.narrow:
            del self._wide[group]
            return
        for name in group.names:
            found = self._narrow[name]
            del found[group]
            if not found:
                del self._narrow[name]

    def concerned(self, names: frozenset[str] | None) -> Iterator[Group]:
        """The groups that a change of these names concerns; None: every one."""
        if names is None:
            yield from self._groups.values()
            return
        found: dict[Group, None] = {}
        for name in names:
            found.update(self._narrow.get(name, ()))
        yield from found
        for group in self._wide:
            if group.wildcard or not group.names.isdisjoint(names):
                yield group

    # ------------------------------------------------------------------ what

    def asked(
        self, delta: bool, group: Group, held: Held, names: frozenset[str] | None, must: bool, built: bool = False
    ) -> Step:
        """The answer to a request for these names (None: for everything of the subscription that the client has not).

        With ``must`` there is an answer also when nothing differs. Raises ``Building`` unless what could be was ``built``.
        """
        key = ("asked", delta, group, id(held), names, must)
        wanted = None if built else lambda: names
        return self._step(key, group, held, wanted, lambda: self._answer(delta, group, held, names, must))

    def changed(
        self,
        delta: bool,
        group: Group,
        held: Held,
        since: int,
        again: frozenset[str],
        leaving: frozenset[str] | None,
        built: bool = False,
    ) -> Step:
        """What has to be told after a change since ``since``, and in any case ``again``.

        ``leaving``: names that are gone and were not said to be; they are now, with what has gone since. None: what is gone is
        not told yet. Raises ``Building`` unless what could be was ``built``.
        """
        key = ("changed", delta, group, id(held), since, again, leaving)
        wanted = None if built else lambda: self._since(group, since)
        return self._step(key, group, held, wanted, lambda: self._change(delta, group, held, since, again, leaving))

    def _since(self, group: Group, since: int) -> frozenset[str] | None:
        names = self.view.changed(self.type_url, since)
        return names if names is None or group.wildcard else names & group.names

    def _step(
        self, key: tuple[object, ...], group: Group, held: Held, wanted: _Wanted | None, make: Callable[[], Step]
    ) -> Step:
        stamp = self.view.stamp(self.type_url)
        if stamp != self._stamp:
            self._stamp = stamp
            self._forget()
        known = self._steps.get(key)
        if known is not None:
            return known[1]
        if wanted is not None:
            self._build(group, wanted())
        step = make()
        self._kept += sum(map(len, step.bodies))
        if self._kept > MAX_KEPT or len(self._steps) >= MAX_STEPS:
            self._forget()
        self._steps[key] = held, step  # with ``held``, so that its id stays its own
        return step

    def _forget(self) -> None:
        self._steps = {}
        self._kept = 0

    def _build(self, group: Group, names: frozenset[str] | None) -> None:
        wanted = names if names is not None or group.wildcard else group.names
        work = self.view.ahead(self.type_url, wanted)
        if work is not None:
            raise Building((id(self.view), self.type_url, wanted), work)

    def _answer(self, delta: bool, group: Group, held: Held, names: frozenset[str] | None, must: bool) -> Step:
        now = self._now(group)
        if names is None:
            found, gone = _differences(now, held, self._names(group, held))
            gone += [name for name in sorted(group.names) if name not in held.resources and now(name) is None]
        else:
            found, gone = [], []
            for name in sorted(names):
                resource = now(name)
                if resource is None:
                    gone.append(name)
                else:
                    found.append(resource)
        after = _after(held, found, gone)
        bodies: tuple[bytes, ...] = ()
        if found or (gone and delta) or must:
            bodies = self._encoded(delta, after, found, gone)
        return Step(after, self._stamp, bodies, self._warming(delta, held, found))

    def _change(
        self,
        delta: bool,
        group: Group,
        held: Held,
        since: int,
        again: frozenset[str],
        leaving: frozenset[str] | None,
    ) -> Step:
        now = self._now(group)
        names = self._since(group, since)
        if names is None:
            names = self._names(group, held)
        found, gone = _differences(now, held, names | (leaving or NOTHING))
        told = frozenset(each.name for each in found)
        repeated = [each for name in sorted(again - told) if (each := now(name)) is not None]
        if leaving is None:
            after = _after(held, found, ())
            kept, gone = frozenset(gone), []
        else:
            after = _after(held, found, gone)
            kept = NOTHING
        after = _after(after, repeated, ())
        bodies: tuple[bytes, ...] = ()
        if found or repeated or (gone and (delta or self.type_url in types.FULL)):
            bodies = self._encoded(delta, after, [*found, *repeated], gone)
        return Step(after, self._stamp, bodies, self._warming(delta, held, found), kept)

    def _warming(self, delta: bool, held: Held, found: Collection[Resource]) -> frozenset[str]:
        if delta or self.type_url != types.CLUSTER or not held.resources:
            return NOTHING
        return frozenset(discovery.assignment_of(each.packed) for each in found)

    def _now(self, group: Group) -> _Now:
        """What a name of the subscription stands for now."""
        read, type_url, names = self.view.read, self.type_url, group.names
        if not group.wildcard:
            return lambda name: read(type_url, name) if name in names else None
        found = self.view.all(type_url).get
        if not names:
            return found
        return lambda name: found(name) or (read(type_url, name) if name in names else None)

    def _names(self, group: Group, held: Held) -> frozenset[str]:
        """Every name that the subscription may be about."""
        everything = self.view.all(self.type_url) if group.wildcard else NOTHING
        return frozenset((*everything, *group.names, *held.resources))

    # ------------------------------------------------------------------ encoded

    def _encoded(self, delta: bool, held: Held, found: list[Resource], gone: Collection[str]) -> tuple[bytes, ...]:
        type_url = self.type_url
        if delta:
            parts = [discovery.framed_delta(each.name, each.version, each.packed) for each in found]
            parts += [discovery.removed(name) for name in sorted(gone)]
            return tuple(discovery.delta_response(type_url, held.version, part) for part in self._split(parts))
        if type_url in types.FULL:
            parts = [discovery.framed(each.packed) for each in held.resources.values()]
            body = discovery.response(type_url, held.version, parts)
            self.oversized += len(body) > MAX_RESPONSE
            return (body,)
        parts = [discovery.framed(each.packed) for each in found]
        return tuple(discovery.response(type_url, held.version, part) for part in self._split(parts))

    def _split(self, parts: list[bytes]) -> list[list[bytes]]:
        """Parts in responses that every client takes. A part that is too large alone goes alone."""
        room = MAX_RESPONSE - 2 * len(self.type_url) - 64
        pieces: list[list[bytes]] = [[]]
        size = 0
        for part in parts:
            if size + len(part) > room and pieces[-1]:
                pieces.append([])
                size = 0
            self.oversized += len(part) > room
            pieces[-1].append(part)
            size += len(part)
        return pieces


def _differences(now: _Now, held: Held, names: Collection[str]) -> tuple[list[Resource], list[str]]:
    """What of some names a client has not, and what it has that is gone."""
    found: list[Resource] = []
    gone: list[str] = []
    known = held.resources
    for name in sorted(names) if len(names) < 1000 else names:
        new, old = now(name), known.get(name)
        if new is None:
            if old is not None:
                gone.append(name)
        elif old is None or (old is not new and old.version != new.version):
            found.append(new)
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
